//! Private Redis servers, in directories of their own, on free ports; gone when they are dropped.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use store_redis::RedisSettings;
use tempfile::TempDir;

#[derive(Debug)]
pub struct Server {
    pub port: u16,
    child: Child,
    _dir: TempDir,
}

impl Server {
    /// Durable before the answer, unless `extra` says otherwise.
    pub fn start(extra: &[&str]) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        for _ in 0..20 {
            let port = free_port();
            if let Some(child) = spawn(&dir, port, extra) {
                return Self { port, child, _dir: dir };
            }
        }
        panic!("no redis-server would start");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends the server a signal: `STOP` makes it hang, `CONT` ends that.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|sent| sent.success()), "{name}");
    }

    pub fn settings(&self) -> RedisSettings {
        RedisSettings { urls: vec![self.url()], ..RedisSettings::default() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// A server that answers, unless another process was faster to take the port.
fn spawn(dir: &TempDir, port: u16, extra: &[&str]) -> Option<Child> {
    let port = port.to_string();
    let mut child = Command::new("redis-server")
        .args(["--port", &port, "--bind", "127.0.0.1", "--dir"])
        .arg(dir.path())
        .args(["--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--logfile", "redis.log"])
        .args(extra)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed (Debian: apt-get install redis-server)");
    for _ in 0..500 {
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return None;
        }
        if TcpStream::connect(("127.0.0.1", port.parse::<u16>().expect("a port"))).is_ok() {
            return Some(child);
        }
        pause(Duration::from_millis(10));
    }
    drop(child.kill());
    drop(child.wait());
    None
}

#[expect(clippy::disallowed_methods, reason = "waits for another process, which cannot tell when it is ready")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
