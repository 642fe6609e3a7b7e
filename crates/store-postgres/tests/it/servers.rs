//! PostgreSQL for tests: a private server that all test processes share and that ends some seconds after the last of
//! them, or one's own, to be stopped and started.
//!
//! Where it is not installed, the server that `CARTWRIGHT_TEST_POSTGRES` names is used.
#![expect(clippy::disallowed_methods, reason = "tests run processes and read their environment")]

use std::fs::{self, File, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use tempfile::TempDir;

/// Where Debian has it, the newest, or wherever it is found.
fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let mut debian: Vec<_> = versions.filter(|bin| bin.join("initdb").is_file()).collect();
    debian.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    debian.pop().or_else(|| std::env::split_paths(&path).find(|dir| dir.join("initdb").is_file()))
}

/// A command of PostgreSQL, as somebody it accepts: it does not run as root.
fn command(bin: &Path, name: &str) -> Command {
    let program = bin.join(name);
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"))
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("a command that is there");
    assert!(output.status.success(), "{command:?}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
}

/// A server in a directory.
#[derive(Debug)]
pub struct Server {
    bin: PathBuf,
    dir: PathBuf,
    pub port: u16,
}

impl Server {
    /// Makes one with these files (from, name in its directory) and starts it.
    fn make(bin: &Path, dir: &Path, files: &[(&Path, &str)], settings: &[&str]) -> Self {
        let server = Self { bin: bin.to_owned(), dir: dir.to_owned(), port: free_port() };
        // As `postgres` in a directory of its own, whoever made the directory around it.
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(dir));
        }
        let data = server.data();
        run(command(bin, "initdb").args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N", "-D"]).arg(&data));
        let ours = ["listen_addresses = '127.0.0.1'", "unix_socket_directories = ''", "max_connections = 300", "shared_buffers = 64MB"];
        let port = format!("port = {}", server.port);
        let lines = [ours.as_slice(), &[port.as_str()], settings].concat().join("\n");
        let path = data.join("postgresql.conf");
        let conf = fs::read_to_string(&path).expect("a configuration") + "\n" + &lines + "\n";
        fs::write(&path, conf).expect("a configuration");
        for (from, name) in files {
            let to = data.join(name);
            fs::copy(from, &to).expect("a copy");
            fs::set_permissions(&to, Permissions::from_mode(0o600)).expect("its permissions");
            if is_root() {
                run(Command::new("chown").arg("postgres").arg(&to));
            }
        }
        server.start();
        server
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn start(&self) {
        run(command(&self.bin, "pg_ctl")
            .args(["start", "-w", "-s", "-t", "60", "-l"])
            .arg(self.dir.join("log"))
            .arg("-D")
            .arg(self.data()));
    }

    /// `fast` undoes what is open; `immediate` is a crash.
    pub fn stop(&self, mode: &str) {
        run(command(&self.bin, "pg_ctl").args(["stop", "-w", "-s", "-t", "60", "-m", mode, "-D"]).arg(self.data()));
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

/// A server of one test's own, as durable as in earnest.
#[derive(Debug)]
pub struct Private {
    pub server: Server,
    _dir: TempDir,
}

impl Private {
    pub fn start(settings: &[&str]) -> Self {
        Self::with_files(&[], settings)
    }

    pub fn with_files(files: &[(&Path, &str)], settings: &[&str]) -> Self {
        let bin = binaries().expect("PostgreSQL is installed (Debian: postgresql)");
        let dir = tempfile::Builder::new().prefix("cartwright-pg-").tempdir().expect("a temporary directory");
        Self { server: Server::make(&bin, dir.path(), files, settings), _dir: dir }
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let Server { bin, .. } = &self.server;
        let stop = command(bin, "pg_ctl").args(["stop", "-w", "-s", "-m", "immediate", "-D"]).arg(self.server.data()).output();
        drop(stop);
    }
}

/// The url of the shared server, without a database; and what keeps it running.
struct Shared {
    base: String,
    _user: Option<File>,
}

static SHARED: OnceLock<Shared> = OnceLock::new();

fn shared() -> &'static Shared {
    SHARED.get_or_init(|| match binaries() {
        Some(bin) => share(&bin),
        None => {
            let named = std::env::var("CARTWRIGHT_TEST_POSTGRES");
            let base = named.expect("install PostgreSQL, or name a server: CARTWRIGHT_TEST_POSTGRES=postgres://user@host:port");
            Shared { base: base.trim_end_matches('/').to_owned(), _user: None }
        }
    })
}

/// Joins those who use the shared server; starts it for the first. Whoever holds `lock` starts or ends it, who holds `users`
/// uses it.
fn share(bin: &Path) -> Shared {
    let me = Command::new("id").arg("-u").output().expect("an id");
    let dir = std::env::temp_dir().join(format!("cartwright-pg-shared-{}", String::from_utf8_lossy(&me.stdout).trim()));
    let open = |name: &str| {
        let path = dir.with_extension(name);
        File::options().create(true).truncate(false).write(true).open(path).expect("a lock file")
    };
    let (lock, users) = (open("lock"), open("users"));
    lock.lock().expect("a lock");
    let running = fs::read_to_string(dir.join("port")).ok().and_then(|port| port.parse().ok());
    let port = running.filter(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()).unwrap_or_else(|| {
        drop(fs::remove_dir_all(&dir));
        fs::create_dir(&dir).expect("a directory");
        let server =
            Server::make(bin, &dir, &[], &["fsync = off", "full_page_writes = off", "synchronous_commit = off", "max_wal_size = 512MB"]);
        fs::write(dir.join("port"), server.port.to_string()).expect("a file");
        end_when_unused(&server, &dir);
        server.port
    });
    users.lock_shared().expect("a lock");
    Shared { base: format!("postgres://postgres@127.0.0.1:{port}"), _user: Some(users) }
}

/// A process of its own session waits until nobody has used the server for a while, ends it and removes it.
fn end_when_unused(server: &Server, dir: &Path) {
    let script = r#"
        idle=0
        while sleep 10; do
            exec 9>"$0.lock"
            flock 9
            if flock -n -x "$0.users" true; then idle=$((idle + 1)); else idle=0; fi
            if [ $idle -ge 3 ]; then "$@"; rm -rf "$0"; exit; fi
            exec 9>&-
        done"#;
    let stop = command(&server.bin, "pg_ctl");
    let mut keeper = Command::new("setsid");
    // Forked, so that there is nobody to wait for.
    keeper.args(["--fork", "sh", "-c", script]).arg(dir).arg(stop.get_program()).args(stop.get_args());
    keeper.args(["stop", "-s", "-m", "immediate", "-D"]).arg(server.data());
    keeper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("setsid and flock (util-linux)");
}

/// A database of one test, on the shared server.
#[derive(Debug)]
pub struct Database {
    base: String,
    name: String,
}

impl Database {
    pub fn fresh() -> Self {
        let base = shared().base.clone();
        let name = format!("test_{:016x}", fastrand::u64(..));
        execute(&base, format!("CREATE DATABASE {name}"));
        Self { base, name }
    }

    pub fn url(&self) -> String {
        format!("{}/{}", self.base, self.name)
    }

    pub fn port(&self) -> u16 {
        self.base.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a url that ends with its port")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        execute(&self.base, format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// Runs SQL on a server, from a thread of its own: also where a test's runtime is running.
fn execute(base: &str, sql: String) {
    let url = format!("{base}/postgres");
    let work = async move {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("a server");
        let (done, _) = tokio::join!(async { client.batch_execute(&sql).await.map(|()| drop(client)) }, connection);
        done.expect("SQL that works");
    };
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work);
    thread::Builder::new().spawn(run).expect("a thread").join().expect("no panic");
}
