//! The column at scale: three nodes behind HAProxy, on engines that all tests of a run share (`./dev cluster` starts them, and ends
//! them when nobody uses them any more). Every test has a database, keys and names of exchanges of its own.

use crate::shop::{Provider, Shop, ready};
use lapin::options::BasicGetOptions;
use lapin::types::AMQPValue;
use lapin::{Connection, ConnectionProperties};
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::BuildHasher;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;
use store_postgres::{PgSettings, PgStore};
use store_redis::{RedisSettings, RedisStore};

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

/// PostgreSQL and Redis as a node of the store of this directory has them.
pub async fn stores(engines: &Engines, dir: &Path) -> (PgStore, RedisStore) {
    let [postgres, _] = postgres_of(engines, dir);
    let urls = engines.redis().split(',').map(str::to_owned).collect();
    let redis = RedisSettings { urls, prefix: format!("{}:", name_of(engines, dir)), ..RedisSettings::default() };
    let (postgres, redis) = tokio::join!(PgStore::connect(PgSettings::new(postgres)), RedisStore::connect(redis));
    (postgres.expect("PostgreSQL"), redis.expect("Redis"))
}

/// What a worker that is dead holds is free, and what is done once a slot is to do, without waiting for it.
pub fn leases_run_out(engines: &Engines, dir: &Path) {
    let [postgres, _] = postgres_of(engines, dir);
    let done = Command::new("psql").args([&postgres, "-q", "-c", "UPDATE leases SET until = 0, last_slot = NULL"]).output();
    let done = done.expect("psql runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The sequence numbers of every subject's events as they came out of the broker, and nobody has asked for before.
pub async fn events(engines: &Engines, dir: &Path) -> BTreeMap<String, Vec<u64>> {
    let connection = Connection::connect(engines.rabbit(), ConnectionProperties::default()).await.expect("a broker");
    let channel = connection.create_channel().await.expect("a channel");
    // Where those are kept that no queue asks for.
    let queue = format!("{}.unrouted", name_of(engines, dir));
    let mut heard: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    while let Some(message) = channel.basic_get(queue.as_str().into(), BasicGetOptions { no_ack: true }).await.expect("a broker that works")
    {
        let headers = message.properties.headers().as_ref().expect("headers").inner();
        let text = |name: &str| match headers.get(name) {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            other => panic!("{name}: {other:?}"),
        };
        heard.entry(text("cloudEvents_subject")).or_default().push(text("cloudEvents_sequence").parse().expect("a number"));
    }
    heard
}

/// How the nodes of one store are started, and started again.
pub struct Recipe {
    binary: PathBuf,
    dir: PathBuf,
    variables: Vec<(String, String)>,
}

impl Recipe {
    /// Starts a node there and waits until it is ready; `only` is what it alone is told.
    pub fn start(&self, n: usize, listen: SocketAddr, only: &[(&str, &str)]) -> Result<(Child, SocketAddr), String> {
        let mut node = Command::new(&self.binary)
            .env_clear()
            .args(["--data-dir".as_ref(), self.dir.join(format!("node-{n}")).as_os_str()])
            .args(["--listen", &listen.to_string(), "--log", "json"])
            .env("CARTWRIGHT_NODE", format!("node-{n}"))
            .envs(self.variables.iter().map(|(key, value)| (key, value)))
            .envs(only.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        ready(&mut node).map(|listen| (node, listen))
    }
}

/// Starts a payment provider, three nodes, and what shares requests out to them.
pub fn try_start(engines: &Engines, binary: &Path, dir: &Path, more: &[(&str, &str)]) -> Result<Shop, String> {
    let ledger = dir.join("payment-simulator.jsonl");
    let provider = Provider::start("127.0.0.1:0", &["payment-simulator", "--ledger", ledger.to_str().expect("text")]);
    let mut all = variables(engines, dir);
    all.push(("CARTWRIGHT_RATE_LIMITS__ENABLED".to_owned(), "false".to_owned()));
    all.push(("CARTWRIGHT_PAYMENTS__URL".to_owned(), provider.url()));
    all.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let recipe = Recipe { binary: binary.to_owned(), dir: dir.to_owned(), variables: all };
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let started: Vec<_> = thread::scope(|scope| {
        let recipe = &recipe;
        let starts: Vec<_> = (0..NODES).map(|n| scope.spawn(move || recipe.start(n, anywhere, &[]))).collect();
        starts.into_iter().map(|start| start.join().expect("no panic")).collect()
    });
    let (nodes, listen): (Vec<_>, Vec<_>) = all_or_none(started)?.into_iter().unzip();
    let (balancer, address) = balance(dir, &listen);
    Ok(Shop::of(nodes, listen, address, recipe, vec![Box::new(provider), Box::new(Ended(balancer))]))
}

/// All nodes that were to start; where one did not, the others are ended and it is said why.
fn all_or_none<T>(started: Vec<Result<(Child, T), String>>) -> Result<Vec<(Child, T)>, String> {
    let mut wrong = None;
    let fine: Vec<_> = started.into_iter().filter_map(|start| start.map_err(|why| wrong = Some(why)).ok()).collect();
    let Some(why) = wrong else { return Ok(fine) };
    fine.into_iter().for_each(|(node, _)| drop(Ended(node)));
    Err(why)
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
