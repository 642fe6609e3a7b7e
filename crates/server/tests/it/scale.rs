//! The column at scale: three nodes behind HAProxy, on engines that all tests of a run share (`./dev cluster` starts them, and ends
//! them when nobody uses them any more). Every test has a database, keys and names of exchanges of its own.

use crate::shop::{Provider, Shop, ready};
use serde_json::Value;
use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::BuildHasher;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

pub const NODES: usize = 3;

/// What `./dev cluster` says of itself.
pub struct Engines {
    folder: PathBuf,
    all: Value,
    /// Held for as long as they are used; of those that belong to one test there is none.
    _used: Option<File>,
}

/// The engines that all tests of a run share.
pub fn engines() -> &'static Engines {
    static ENGINES: LazyLock<Engines> = LazyLock::new(|| Engines::shared(Path::new(env!("CARGO_TARGET_TMPDIR")).join("engines")));
    &ENGINES
}

fn dev(arguments: &[&str], folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dev");
    let done = Command::new(script).args(arguments).arg("--dir").arg(folder).stdout(Stdio::null()).output().expect("./dev runs");
    assert!(done.status.success(), "./dev {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

impl Engines {
    /// Those that run in this folder, for as long as this process lives; started when there are none.
    fn shared(folder: PathBuf) -> Self {
        let lock = folder.with_added_extension("lock");
        let lock = File::options().append(true).create(true).open(&lock).expect("a lock");
        loop {
            lock.lock_shared().expect("locked");
            if let Some(all) = running(&folder) {
                return Self { folder, all, _used: Some(lock) };
            }
            lock.unlock().expect("unlocked");
            lock.lock().expect("locked");
            if running(&folder).is_none() {
                dev(&["down"], &folder);
                dev(&["cluster", "--without-nodes", "--while-used"], &folder);
            }
            lock.unlock().expect("unlocked");
        }
    }

    /// Engines that one test may break, in this folder; ended when this is dropped.
    pub fn of_one(folder: PathBuf) -> Broken {
        dev(&["cluster", "--without-nodes"], &folder);
        let all = running(&folder).expect("just started");
        Broken(Self { folder, all, _used: None })
    }

    /// Does something to processes of theirs: `kill`, `stop`, `pause`, `resume`, `start`.
    pub fn dev(&self, action: &str, processes: &[&str]) {
        dev(&[&[action], processes].concat(), &self.folder);
    }

    /// Takes PostgreSQL's primary away for good; its replica is the primary then.
    pub fn promote(&self) {
        dev(&["promote"], &self.folder);
    }

    /// Every answer of these takes a moment, until this is dropped.
    pub fn slow<'a>(&'a self, processes: &'a [&str]) -> Slow<'a> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dev");
        let child = Command::new(script).arg("slow").args(processes).arg("--dir").arg(&self.folder).spawn().expect("./dev runs");
        Slow { engines: self, processes, child }
    }

    /// A command for every Redis server.
    pub fn redis_all(&self, command: &[&str]) {
        for url in self.redis().split(',') {
            let done = Command::new("redis-cli").args(["-u", url]).args(command).output().expect("redis-cli runs");
            assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), "OK", "{command:?}");
        }
    }

    /// What `rabbitmqctl` says.
    pub fn rabbitmqctl(&self, arguments: &[&str]) -> String {
        let environment = self.all["processes"]["rabbit"]["env"].as_object().expect("an environment");
        let environment = environment.iter().filter_map(|(key, value)| Some((key, value.as_str()?)));
        let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl");
        let done = command.arg("-q").args(arguments).envs(environment).output().expect("rabbitmqctl runs");
        assert!(done.status.success(), "rabbitmqctl {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// What a statement comes to at the primary of PostgreSQL; nothing when it ends there.
    pub fn sql(&self, statement: &str) -> Option<String> {
        self.sql_at("postgres", statement)
    }

    /// Whether the replica of PostgreSQL answers.
    pub fn has_replica(&self) -> bool {
        self.sql_at("postgres_read", "SELECT 1").is_some()
    }

    fn sql_at(&self, server: &str, statement: &str) -> Option<String> {
        let done = Command::new("psql").args([self.text(server), "-qAtc", statement]).output().expect("psql runs");
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    /// The directory of PostgreSQL's primary.
    pub fn primary(&self) -> PathBuf {
        let command = self.all["processes"]["postgres-primary"]["command"].as_array().expect("a command");
        command.iter().filter_map(Value::as_str).skip_while(|word| *word != "-D").nth(1).expect("a directory").into()
    }

    fn text(&self, key: &str) -> &str {
        self.all[key].as_str().expect("an address")
    }

    pub fn redis(&self) -> String {
        self.all["redis"].as_array().expect("addresses").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
    }

    pub fn rabbit(&self) -> &str {
        self.text("rabbit")
    }

    /// A database of the shared PostgreSQL, at whichever server takes writes; for reads that may be stale too.
    pub fn postgres(&self, database: &str) -> [String; 2] {
        ["postgres_hosts", "postgres_read"].map(|key| {
            let (server, _) = self.text(key).rsplit_once('/').expect("a database");
            format!("{server}/{database}")
        })
    }

    fn new_database(&self, name: &str) {
        let server = self.text("postgres");
        let done = Command::new("psql").args([server, "-q", "-c", &format!("CREATE DATABASE \"{name}\"")]).output().expect("psql runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

/// Engines that end when this is dropped.
pub struct Broken(Engines);

impl std::ops::Deref for Broken {
    type Target = Engines;

    fn deref(&self) -> &Engines {
        &self.0
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        dev(&["down"], &self.0.folder);
    }
}

/// Processes that are slow until this is dropped.
pub struct Slow<'a> {
    engines: &'a Engines,
    processes: &'a [&'a str],
    child: Child,
}

impl Drop for Slow<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        self.engines.dev("resume", self.processes);
    }
}

fn running(folder: &Path) -> Option<Value> {
    let all: Value = serde_json::from_slice(&fs::read(folder.join("cluster.json")).ok()?).ok()?;
    let reached = |key: &str| {
        let address = all[key].as_str().or(all[key][0].as_str())?;
        let host = address.split("://").nth(1)?.rsplit('@').next()?.split('/').next()?;
        TcpStream::connect_timeout(&host.parse().ok()?, Duration::from_secs(1)).ok()
    };
    (all["ready"] == true && ["redis", "postgres", "rabbit"].into_iter().all(|key| reached(key).is_some())).then_some(all)
}

/// What a store at scale is called in the shared engines: decided once for each data directory.
pub fn name_of(engines: &Engines, dir: &Path) -> String {
    let file = dir.join("name-at-scale");
    fs::read_to_string(&file).unwrap_or_else(|_| {
        let name = format!("t{:016x}", RandomState::new().hash_one(dir));
        engines.new_database(&name);
        fs::write(&file, &name).expect("written");
        name
    })
}

/// The database of the store of this directory, and its replica.
pub fn postgres_of(engines: &Engines, dir: &Path) -> [String; 2] {
    engines.postgres(&name_of(engines, dir))
}

/// The variables of a node of the store of this directory.
pub fn variables(engines: &Engines, dir: &Path) -> Vec<(String, String)> {
    let name = name_of(engines, dir);
    let [postgres, postgres_read] = postgres_of(engines, dir);
    let key = dir.join("token-key.pk8");
    [
        ("STORE__POSTGRES_URL", postgres),
        ("STORE__POSTGRES_READ_URL", postgres_read),
        ("STORE__POSTGRES_CONNECTIONS_MAX", "16".to_owned()),
        ("STORE__REDIS_URLS", engines.redis()),
        ("STORE__REDIS_PREFIX", format!("{name}:")),
        ("BUS__URLS", engines.rabbit().to_owned()),
        ("BUS__PREFIX", name),
        ("TOKEN_KEY", key.to_str().expect("text").to_owned()),
        ("PAYMENTS__PROVIDER", "http".to_owned()),
    ]
    .map(|(key, value)| (format!("CARTWRIGHT_{key}"), value))
    .into()
}

/// Starts a payment provider, three nodes, and what shares requests out to them.
pub fn try_start(engines: &Engines, binary: &Path, dir: &Path, more: &[(&str, &str)]) -> Result<Shop, String> {
    try_start_with(engines, binary, dir, more, &[])
}

/// The same, with something that only the first node is told.
pub fn try_start_with(engines: &Engines, binary: &Path, dir: &Path, more: &[(&str, &str)], first: &[(&str, &str)]) -> Result<Shop, String> {
    let ledger = dir.join("payment-simulator.jsonl");
    let provider = Provider::start("127.0.0.1:0", &["payment-simulator", "--ledger", ledger.to_str().expect("text")]);
    let shared = variables(engines, dir);
    let start = |n: usize| -> Result<(Child, SocketAddr), String> {
        let mut node = Command::new(binary)
            .env_clear()
            .args(["--data-dir".as_ref(), dir.join(format!("node-{n}")).as_os_str()])
            .args(["--listen", "127.0.0.1:0", "--log", "json"])
            .env("CARTWRIGHT_RATE_LIMITS__ENABLED", "false")
            .envs(shared.iter().map(|(key, value)| (key, value)))
            .env("CARTWRIGHT_PAYMENTS__URL", provider.url())
            .env("CARTWRIGHT_NODE", format!("node-{n}"))
            .envs(more.iter().copied())
            .envs(first.iter().copied().filter(|_| n == 1))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        ready(&mut node).map(|listen| (node, listen))
    };
    let started: Vec<_> = thread::scope(|scope| {
        let starts: Vec<_> = (1..=NODES).map(|n| scope.spawn(move || start(n))).collect();
        starts.into_iter().map(|start| start.join().expect("no panic")).collect::<Result<_, _>>()
    })?;
    let (nodes, listen): (Vec<_>, Vec<_>) = started.into_iter().unzip();
    let (balancer, address) = balance(dir, &listen);
    Ok(Shop::of(nodes, listen, address, vec![Box::new(provider), Box::new(Ended(balancer))]))
}

/// A process that ends when this is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// HAProxy as `./dev cluster` has it, in front of these.
fn balance(dir: &Path, nodes: &[SocketAddr]) -> (Child, SocketAddr) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dev");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let config = Command::new(script)
        .arg("balancer")
        .arg(port.port().to_string())
        .args(nodes.iter().map(SocketAddr::to_string))
        .output()
        .expect("./dev runs");
    let path = dir.join("haproxy.cfg");
    fs::write(&path, config.stdout).expect("written");
    let log = || File::create(dir.join("haproxy.log")).expect("a log");
    let mut balancer = Command::new("haproxy").args(["-db", "-f"]).arg(&path).stdout(log()).stderr(log()).spawn().expect("HAProxy starts");
    for _ in 0..400 {
        if TcpStream::connect(port).is_ok() {
            return (balancer, port);
        }
        thread::sleep(Duration::from_millis(10));
    }
    balancer.kill().and_then(|()| balancer.wait()).expect("ended");
    panic!("HAProxy does not listen: {}", fs::read_to_string(dir.join("haproxy.log")).unwrap_or_default());
}
