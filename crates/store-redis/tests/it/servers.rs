//! Private Redis servers, in directories of their own, on free ports; gone when they are dropped.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use store_redis::{RedisSettings, RedisStore};
use tempfile::TempDir;

#[derive(Debug)]
pub struct Server {
    pub port: u16,
    child: Child,
    dir: TempDir,
}

impl Server {
    /// With an append-only file, and with these options.
    pub fn start(extra: &[&str]) -> Self {
        Self::start_in(TempDir::new().expect("a temporary directory"), extra)
    }

    /// In a directory with files that the options name.
    pub fn start_in(dir: TempDir, extra: &[&str]) -> Self {
        for _ in 0..20 {
            let port = free_port();
            if let Some(child) = spawn(dir.path(), port, extra) {
                return Self { port, child, dir };
            }
        }
        panic!("no redis-server would start: {}", std::fs::read_to_string(dir.path().join("redis.log")).unwrap_or_default());
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

    pub async fn store(&self) -> RedisStore {
        RedisStore::connect(self.settings()).await.expect("a store")
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// As a machine dies.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> T {
        ask(&self.url(), command).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub async fn ask<T: FromRedisValue>(url: &str, command: &Cmd) -> T {
    command.query_async(&mut connection(url).await).await.unwrap_or_else(|e| panic!("{e}"))
}

pub async fn connection(url: &str) -> MultiplexedConnection {
    redis::Client::open(url).expect("an address").get_multiplexed_async_connection().await.expect("a connection")
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// A server that answers, unless another process was faster to take the port.
fn spawn(dir: &Path, port: u16, extra: &[&str]) -> Option<Child> {
    let number = port.to_string();
    let mut child = Command::new("redis-server")
        .args(["--port", &number, "--bind", "127.0.0.1", "--dir"])
        .arg(dir)
        .args(["--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--logfile", "redis.log"])
        .args(extra)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed (Debian: apt-get install redis-server)");
    for _ in 0..1000 {
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return None;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
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

#[expect(clippy::disallowed_methods, reason = "waits for other processes, which cannot tell when they are ready")]
pub async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Masters, and as many replicas for each.
pub struct Cluster {
    pub servers: Vec<Server>,
}

impl Cluster {
    pub async fn start(masters: usize, replicas: usize) -> Self {
        let server = |_| {
            let bus = free_port().to_string();
            // On a busy machine a replica's data is soon old by its clock, and it would not take over.
            let cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-replica-validity-factor", "0"];
            Server::start(&[&cluster[..], &["--repl-diskless-sync-delay", "0", "--cluster-port", &bus]].concat())
        };
        let servers: Vec<_> = (0..masters * (1 + replicas)).map(server).collect();
        let addresses = servers.iter().map(|server| format!("127.0.0.1:{}", server.port));
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"])
            .output()
            .expect("redis-cli is installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let cluster = Self { servers };
        cluster.settle().await;
        cluster
    }

    /// Waits until everybody knows everybody, and each replica has what its master has: before that it cannot take over.
    async fn settle(&self) {
        for server in &self.servers {
            for round in 0.. {
                let told: String = server.ask(redis::cmd("CLUSTER").arg("INFO")).await;
                let replication: String = server.ask(redis::cmd("INFO").arg("replication")).await;
                let in_step = !replication.contains("master_link_status:down");
                if in_step && told.contains("cluster_state:ok") && told.contains(&format!("cluster_known_nodes:{}", self.servers.len())) {
                    break;
                }
                assert!(round < 200, "the cluster does not come up: {told}");
                wait(Duration::from_millis(50)).await;
            }
        }
    }

    pub fn settings(&self) -> RedisSettings {
        RedisSettings {
            urls: self.servers.iter().map(Server::url).collect(),
            patience: Duration::from_secs(20),
            ..RedisSettings::default()
        }
    }

    /// The place of the master that has this partition.
    pub async fn master_of(&self, partition: u8) -> usize {
        let slot: u16 = self.servers[0].ask(redis::cmd("CLUSTER").arg("KEYSLOT").arg(format!("{{{partition}}}"))).await;
        for (place, server) in self.servers.iter().enumerate() {
            let nodes: String = server.ask(redis::cmd("CLUSTER").arg("NODES")).await;
            let own = nodes.lines().find(|line| line.contains("myself")).expect("itself");
            let has = |range: &str| {
                let (from, to) = range.split_once('-').unwrap_or((range, range));
                matches!((from.parse::<u16>(), to.parse::<u16>()), (Ok(from), Ok(to)) if (from..=to).contains(&slot))
            };
            if own.contains("master") && own.split(' ').skip(8).any(has) {
                return place;
            }
        }
        panic!("nobody has slot {slot}");
    }
}
