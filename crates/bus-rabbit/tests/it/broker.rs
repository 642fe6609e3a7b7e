//! Brokers for tests: a shared one, where every test has names of its own, and private ones that can be stopped.

use bus_rabbit::{Binding, RabbitSettings};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// As long as anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(90);
const USUAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5672);

/// Names of a test's own at a broker, which go with it.
pub struct Place {
    pub settings: RabbitSettings,
    pub address: SocketAddr,
    /// Nobody else's.
    pub own: Option<OwnBroker>,
}

impl Place {
    pub async fn new() -> Self {
        let usual = TcpStream::connect_timeout(&USUAL, Duration::from_secs(1)).is_ok();
        Self::at(if usual { USUAL } else { *SHARED }, None)
    }

    pub fn private() -> Self {
        let broker = OwnBroker::start();
        Self::at(broker.address(), Some(broker))
    }

    fn at(address: SocketAddr, own: Option<OwnBroker>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("cartwright-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let settings = RabbitSettings {
            orders: vec![Binding { exchange: format!("{prefix}.other"), routing_key: "order.placed".into() }],
            prefix,
            publish_within: Duration::from_secs(5),
            patience: Duration::from_secs(2),
            ..RabbitSettings::new([url(address)])
        };
        Self { settings, address, own }
    }

    pub async fn connection(&self) -> Connection {
        Connection::connect(&url(self.address), ConnectionProperties::default()).await.expect("a broker")
    }

    pub fn name(&self, of: &str) -> String {
        format!("{}.{of}", self.settings.prefix)
    }

    /// A queue of the test's own for every event.
    pub async fn listen(&self, channel: &Channel, arguments: FieldTable) -> Consumer {
        let queue = self.name("listener");
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let mut arguments = arguments;
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        channel.queue_declare(queue.as_str().into(), options, arguments).await.expect("declared");
        let (events, none) = (self.name("events"), FieldTable::default());
        channel
            .queue_bind(queue.as_str().into(), events.as_str().into(), "#".into(), QueueBindOptions::default(), none)
            .await
            .expect("bound");
        consume(channel, &queue).await
    }

    /// The exchange where another system says what was ordered.
    pub async fn declare_other(&self, channel: &Channel) {
        let (name, options) = (self.name("other"), ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() });
        channel.exchange_declare(name.as_str().into(), ExchangeKind::Topic, options, FieldTable::default()).await.expect("declared");
    }

    /// Messages in a queue of this name, once there are so many of them.
    pub async fn in_queue(&self, channel: &Channel, name: &str, at_least: usize) -> Vec<(BasicProperties, Vec<u8>)> {
        let (queue, began, mut got) = (self.name(name), Instant::now(), Vec::new());
        while got.len() < at_least {
            assert!(began.elapsed() < PATIENCE, "{queue} has {} of {at_least} messages", got.len());
            match channel.basic_get(queue.as_str().into(), BasicGetOptions { no_ack: false }).await.expect("a broker that works") {
                Some(message) => {
                    message.delivery.acker.ack(BasicAckOptions::default()).await.expect("acknowledged");
                    got.push((message.delivery.properties, message.delivery.data));
                }
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        got
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.own.is_some() {
            return;
        }
        let (url, prefix) = (url(self.address), self.settings.prefix.clone());
        let cleanup = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let connection = Connection::connect(&url, ConnectionProperties::default()).await.expect("a broker");
                let channel = connection.create_channel().await.expect("a channel");
                for queue in ["listener", "inbox", "dead", "unrouted"] {
                    let name = format!("{prefix}.{queue}");
                    channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.expect("deleted");
                }
                for exchange in ["events", "unrouted", "commands", "dead", "other"] {
                    let name = format!("{prefix}.{exchange}");
                    channel.exchange_delete(name.as_str().into(), ExchangeDeleteOptions::default()).await.expect("deleted");
                }
                drop(connection.close(200, "OK".into()).await);
            });
        });
        drop(cleanup.join());
    }
}

pub fn url(address: SocketAddr) -> String {
    format!("amqp://guest:guest@{address}/%2f")
}

pub async fn consume(channel: &Channel, queue: &str) -> Consumer {
    let options = BasicConsumeOptions::default();
    channel.basic_consume(queue.into(), "test".into(), options, FieldTable::default()).await.expect("a consumer")
}

/// The broker that all tests of a run share when nobody listens on the usual port. It ends by itself when they have ended.
static SHARED: LazyLock<SocketAddr> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rabbit");
    let lock = File::options().append(true).create(true).open(folder.with_added_extension("lock")).expect("a lock");
    loop {
        lock.lock_shared().expect("locked");
        if let Some(address) = running(&folder) {
            // Held as long as this process lives.
            std::mem::forget(lock);
            return address;
        }
        lock.unlock().expect("unlocked");
        lock.lock().expect("locked");
        if running(&folder).is_none() {
            dev(&["down"], &folder);
            dev(&["cluster", "--only", "rabbit", "--without-nodes", "--while-used"], &folder);
        }
        lock.unlock().expect("unlocked");
    }
});

fn dev(arguments: &[&str], folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dev");
    let done = Command::new(script).args(arguments).arg("--dir").arg(folder).stdout(Stdio::null()).output().expect("./dev runs");
    assert!(done.status.success(), "./dev {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn running(folder: &Path) -> Option<SocketAddr> {
    let all: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("cluster.json")).ok()?).ok()?;
    let address = all["rabbit"].as_str()?.rsplit('@').next()?.split('/').next()?.parse().ok()?;
    (all["ready"] == true && TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()).then_some(address)
}

/// A broker with a directory and ports of its own.
pub struct OwnBroker {
    dir: TempDir,
    port: u16,
    distribution: u16,
    epmd_port: u16,
    epmd: Child,
    node: Option<Child>,
}

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const CONTROL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";

impl OwnBroker {
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a directory"), "")
    }

    /// A broker with these lines in its configuration; `dir` may hold what they name.
    pub fn start_in(dir: TempDir, configuration: &str) -> Self {
        assert!(Path::new(SERVER).exists(), "RabbitMQ is missing: install the package rabbitmq-server");
        fs::write(dir.path().join("rabbitmq.conf"), configuration).expect("written");
        fs::write(dir.path().join("plugins"), "[].").expect("written");
        let [port, distribution, epmd_port] = free_ports();
        let mut epmd = Command::new("epmd");
        epmd.args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"]).stdout(Stdio::null()).stderr(Stdio::null());
        let epmd = epmd.spawn().expect("epmd, which Erlang brings");
        let mut broker = Self { dir, port, distribution, epmd_port, epmd, node: None };
        broker.restart();
        broker
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(USUAL.ip(), self.port)
    }

    /// Starts the node again, on what it had kept.
    pub fn restart(&mut self) {
        self.node = Some(self.command(SERVER).process_group(0).spawn().expect("a broker"));
        let began = Instant::now();
        while TcpStream::connect_timeout(&self.address(), Duration::from_secs(1)).is_err() {
            assert!(began.elapsed() < PATIENCE, "the broker does not start; see {}", self.dir.path().display());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the node without warning.
    pub fn kill(&mut self) {
        let Some(mut node) = self.node.take() else { return };
        drop(Command::new("kill").args(["-KILL", "--", &format!("-{}", node.id())]).status());
        drop(node.wait());
    }

    pub fn control(&self, arguments: &[&str]) {
        let done = self.command(CONTROL).args(arguments).status().expect("rabbitmqctl");
        assert!(done.success(), "rabbitmqctl {arguments:?}");
    }

    fn command(&self, program: &str) -> Command {
        let (dir, node) = (self.dir.path(), format!("cartwright{}@localhost", self.port));
        let mut command = Command::new(program);
        command.env("HOME", dir).env("ERL_EPMD_PORT", self.epmd_port.to_string()).env("ERL_EPMD_ADDRESS", "127.0.0.1");
        command.env("RABBITMQ_NODENAME", node).env("RABBITMQ_NODE_PORT", self.port.to_string());
        command.env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1").env("RABBITMQ_DIST_PORT", self.distribution.to_string());
        command.env("RABBITMQ_MNESIA_BASE", dir.join("mnesia")).env("RABBITMQ_LOG_BASE", dir.join("log"));
        command.env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("plugins")).env("RABBITMQ_CONFIG_FILE", dir.join("rabbitmq"));
        command.env("RABBITMQ_CONF_ENV_FILE", "/dev/null").env("RABBITMQ_GENERATED_CONFIG_DIR", dir.join("generated"));
        command.env("RABBITMQ_PID_FILE", dir.join("pid")).env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        self.kill();
        drop(self.epmd.kill());
        drop(self.epmd.wait());
    }
}

pub fn free_ports<const N: usize>() -> [u16; N] {
    let held = std::array::from_fn::<_, N, _>(|_| TcpListener::bind("127.0.0.1:0").expect("a port"));
    held.map(|l| l.local_addr().expect("bound").port())
}
