//! The processes that are measured: started here, stopped by their own id, whatever happens.

use crate::Failure;
use crate::client::{Ask, Client};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const READY_WAIT: Duration = Duration::from_secs(60);
const READY_POLL: Duration = Duration::from_millis(50);
const MADE_BOOKS: u32 = 1_000;

/// What a started server sells.
pub struct Stock {
    pub catalog: Option<PathBuf>,
    pub prices: Option<PathBuf>,
    pub copies: u32,
}

pub struct Server {
    child: Child,
    pub url: String,
    /// Removed with it.
    _directory: Option<Scratch>,
}

/// A directory of this run's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("cartwright-bench-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

impl Server {
    /// A `cartwright` on a fresh directory and a free port, with a catalog, without rate limits, ready to serve.
    pub async fn start(bin: &Path, stock: &Stock) -> Result<Self, Failure> {
        let scratch = Scratch::new()?;
        let directory = &scratch.0;
        import(bin, directory, stock)?;
        let listen = format!("127.0.0.1:{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
        let log = directory.join("server.log");
        let child = Command::new(bin)
            .args(["serve", "--listen", &listen, "--data-dir"])
            .arg(directory.join("data"))
            .env("CARTWRIGHT_RATE_LIMITS__ENABLED", "false")
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?)
            .spawn()?;
        let mut server = Self { child, url: format!("http://{listen}"), _directory: Some(scratch) };
        server.wait_until_ready(&log).await?;
        Ok(server)
    }

    /// This program as a bare endpoint, in its own process.
    pub fn bare(size: u64) -> Result<Self, Failure> {
        let bin = std::env::current_exe()?;
        let mut child = Command::new(bin).args(["bare", "--size", &size.to_string()]).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().expect("invariant: it was piped");
        let mut server = Self { child, url: String::new(), _directory: None };
        BufReader::new(stdout).read_line(&mut server.url)?;
        server.url.truncate(server.url.trim_end().len());
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    async fn wait_until_ready(&mut self, log: &Path) -> Result<(), Failure> {
        let until = Instant::now() + READY_WAIT;
        loop {
            if let Ok(mut client) = Client::connect(&self.url).await
                && client.send(Ask::get("ready", "/health/ready", None)).await?.status == 200
            {
                return Ok(());
            }
            if self.child.try_wait()?.is_some() || Instant::now() > until {
                return Err(format!("the server did not get ready:\n{}", fs::read_to_string(log)?).into());
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }
}

impl Drop for Server {
    /// Best effort: there is nobody left to tell.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn import(bin: &Path, directory: &Path, stock: &Stock) -> Result<(), Failure> {
    let made = directory.join("books.jsonl");
    if stock.catalog.is_none() {
        fs::write(&made, made_catalog(stock.copies))?;
    }
    let mut command = Command::new(bin);
    command.args(["import", "catalog"]).arg(stock.catalog.as_ref().unwrap_or(&made));
    command.args(["--stock", &stock.copies.to_string(), "--data-dir"]).arg(directory.join("data"));
    if let Some(prices) = &stock.prices {
        command.arg("--prices").arg(prices);
    }
    let output = command.output().map_err(|error| format!("{}: {error}", bin.display()))?;
    eprint!("{}", String::from_utf8_lossy(&output.stdout));
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned().into()) }
}

/// Books of one edition each, in the format of `fixtures/catalog`.
fn made_catalog(copies: u32) -> String {
    (1..=MADE_BOOKS).fold(String::new(), |mut lines, n| {
        let price = 499 + 7 * n;
        writeln!(
            lines,
            r#"{{"title":"Measured volume {n}","description":"A book to be measured with.","authors":["Author {}"],"categories":["Fiction"],"language":"en","publishedYear":2001,"editions":[{{"sku":"BENCH-{n:05}","format":"paperback","price":{price},"stock":{copies}}}]}}"#,
            n % 100
        )
        .expect("invariant: a string has room");
        lines
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_made_catalog_is_a_json_object_a_line() {
        let catalog = made_catalog(9);
        let books: Vec<serde_json::Value> = catalog.lines().map(|l| serde_json::from_str(l).expect("a line of JSON")).collect();
        assert_eq!(books.len(), 1_000);
        assert!(books.iter().all(|b| b["editions"][0]["stock"] == 9));
    }
}
