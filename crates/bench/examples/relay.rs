//! From a decision to a consumer at RabbitMQ, through the outbox and the relay:
//! `cargo run --release -p bench --example relay -- [--store memory] [--rate 1000] [--seconds 20] [--pause-ms 25]`.
//!
//! Adds to carts at a steady rate, whoever waits or not; relays as the server does; listens on a quorum queue; and
//! tells how long each event was on its way, from the instant its cart was decided on, so with the commit. At the end every
//! event must have come, in the order of its cart.
#![expect(clippy::disallowed_methods, reason = "a load generator measures real time, waits and runs its own tasks")]
#![expect(clippy::print_stdout, reason = "a command speaks to its user")]

use app::ports::{Carts, Catalog, Clock, Entropy, Ledger, Outbox, Prices, SearchIndex, Sessions};
use app::{AddItem, App, Caller, OpenCart, Operation, Ports};
use bus_rabbit::{RabbitBus, RabbitSettings};
use clap::{Parser, ValueEnum};
use conformance::fixtures;
use domain::ids::{BookId, CartId, CustomerId};
use domain::time::Timestamp;
use futures_util::StreamExt;
use hdrhistogram::Histogram;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use memory::{MemoryStore, SeededEntropy};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store_embedded::EmbeddedStore;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
struct Options {
    #[arg(long, default_value = "amqp://guest:guest@127.0.0.1:5672/%2f")]
    amqp: String,
    #[arg(long, value_enum, default_value = "embedded")]
    store: Store,
    /// Adds a second; each is one event.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How long the relay waits when there was nothing to do.
    #[arg(long, default_value_t = 25)]
    pause_ms: u64,
    #[arg(long, default_value_t = 500)]
    carts: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Store {
    Memory,
    Embedded,
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let dir = tempfile::tempdir()?;
    let settings =
        RabbitSettings { prefix: format!("cartwright-bench-{}", std::process::id()), ..RabbitSettings::new([options.amqp.clone()]) };
    let bus = RabbitBus::connect(settings.clone()).await?;
    let app = match options.store {
        Store::Memory => shop(MemoryStore::new(), bus).await,
        Store::Embedded => shop(EmbeddedStore::open(dir.path())?, bus).await,
    };
    let connection = Connection::connect(&options.amqp, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let heard = Arc::new(Heard::default());
    let ear = tokio::spawn(listen(subscribe(&channel, &settings.prefix).await?, Arc::clone(&heard)));
    let carts = open_carts(&app, options.carts).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let relay = tokio::spawn(relay(Arc::clone(&app), Duration::from_millis(options.pause_ms), Arc::clone(&stop)));
    while heard.count.load(Ordering::SeqCst) < options.carts as u64 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    heard.measuring.store(true, Ordering::SeqCst);
    let adds = options.rate * options.seconds;
    add(&app, &carts, options.rate, adds).await;
    while heard.count.load(Ordering::SeqCst) < options.carts as u64 + adds {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, Ordering::SeqCst);
    let batches = relay.await?;
    ear.abort();
    remove(&channel, &settings.prefix).await?;
    let times = heard.times.lock().map_err(|_| "the consumer has died")?;
    let ms = |q| Duration::from_micros(times.value_at_quantile(q)).as_secs_f64() * 1000.0;
    println!(
        "{:?}, {} events/s for {} s, pause {} ms: {} events in {batches} batches, all in order",
        options.store,
        options.rate,
        options.seconds,
        options.pause_ms,
        times.len()
    );
    println!("decided to consumer: p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, max {:.1} ms", ms(0.5), ms(0.99), ms(0.999), ms(1.0));
    Ok(())
}

async fn shop<S>(store: S, bus: RabbitBus) -> Arc<App>
where
    S: Carts + Ledger + Catalog + Prices + SearchIndex + Sessions + Outbox + 'static,
{
    let store = Arc::new(store);
    Catalog::save(&*store, fixtures::three_books(1000), SystemClock.now()).await.expect("saved");
    // Chance that differs between runs.
    let seed = u64::try_from(SystemClock.now().micros()).expect("after 1970");
    let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(seed));
    let ports = Ports { bus: Arc::new(bus), clock: Arc::new(SystemClock), entropy, ..memory::ports(store) };
    let app = Arc::new(App::new(ports, fixtures::policy()));
    // The events of the catalog's first stock go nowhere.
    while app.outbox_step(app.now(), 500).await.expect("published") > 0 {}
    app
}

fn customer(n: usize) -> Caller {
    Caller::Customer(CustomerId::parse(&format!("customer-{n}")).expect("an id"), Arc::default())
}

async fn open_carts(app: &App, n: usize) -> Result<Vec<CartId>, Failure> {
    let mut carts = Vec::with_capacity(n);
    for n in 0..n {
        let open = OpenCart { currency: None, items: vec![], coupons: vec![] };
        match app.open_cart(&customer(n), open, None).await? {
            app::Answered::Fresh(opened) => carts.push(opened.view.cart.id),
            app::Answered::Again(_) => return Err("no key was sent".into()),
        }
    }
    Ok(carts)
}

/// An add every so often, each in a task of its own: a slow answer holds up nobody.
async fn add(app: &Arc<App>, carts: &[CartId], rate: u64, adds: u64) {
    let mut ticks = tokio::time::interval(Duration::from_nanos(1_000_000_000 / rate));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..adds {
        ticks.tick().await;
        let at = usize::try_from(n).expect("small") % carts.len();
        let (app, cart) = (Arc::clone(app), carts[at]);
        tasks.spawn(async move {
            let add = AddItem { product: BookId(1 + u128::from(n % 3)), variant: None, quantity: fixtures::copies(1) };
            app.change_cart(&customer(at), cart, vec![Operation::Add(add)], None, None).await.expect("added");
        });
    }
    tasks.join_all().await;
}

/// As the server relays.
async fn relay(app: Arc<App>, pause: Duration, stop: Arc<AtomicBool>) -> u64 {
    const STEP: usize = 500;
    let mut batches = 0;
    while !stop.load(Ordering::SeqCst) {
        let n = app.outbox_step(app.now(), STEP).await.expect("a broker that works");
        batches += u64::from(n > 0);
        if n < STEP {
            tokio::time::sleep(pause).await;
        }
    }
    batches
}

struct Heard {
    count: AtomicU64,
    measuring: AtomicBool,
    /// In microseconds.
    times: std::sync::Mutex<Histogram<u64>>,
}

impl Default for Heard {
    fn default() -> Self {
        let times = Histogram::new_with_bounds(1, 600_000_000, 3).expect("bounds in order");
        Self { count: AtomicU64::new(0), measuring: AtomicBool::new(false), times: times.into() }
    }
}

/// A quorum queue of every event of carts.
async fn subscribe(channel: &Channel, prefix: &str) -> Result<Consumer, Failure> {
    let queue = format!("{prefix}.listener");
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.as_str().into(), durable, quorum).await?;
    let (events, bind) = (format!("{prefix}.events"), QueueBindOptions::default());
    channel.queue_bind(queue.as_str().into(), events.as_str().into(), "cart.*".into(), bind, FieldTable::default()).await?;
    channel.basic_qos(1000, BasicQosOptions::default()).await?;
    Ok(channel.basic_consume(queue.as_str().into(), "bench".into(), BasicConsumeOptions::default(), FieldTable::default()).await?)
}

/// A consumer that checks the order and takes the time.
async fn listen(mut consumer: Consumer, heard: Arc<Heard>) {
    let mut last: HashMap<String, u64> = HashMap::new();
    while let Some(Ok(delivery)) = consumer.next().await {
        let now = SystemClock.now();
        let headers = delivery.properties.headers().clone().unwrap_or_default();
        let header = |name: &str| match headers.inner().get(format!("cloudEvents_{name}").as_str()) {
            Some(AMQPValue::LongString(text)) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
            other => panic!("{name}: {other:?}"),
        };
        let (subject, sequence) = (header("subject"), header("sequence").parse::<u64>().expect("a number"));
        let last = last.entry(subject).or_default();
        assert_eq!(sequence, *last + 1, "in order, once");
        *last = sequence;
        if heard.measuring.load(Ordering::SeqCst) {
            let decided = wire::At::parse(&header("time")).expect("a time");
            let took = u64::try_from(now.micros() - decided.micros()).unwrap_or_default();
            heard.times.lock().expect("nobody died").saturating_record(took.max(1));
        }
        delivery.acker.ack(BasicAckOptions::default()).await.expect("acknowledged");
        heard.count.fetch_add(1, Ordering::SeqCst);
    }
}

async fn remove(channel: &Channel, prefix: &str) -> Result<(), Failure> {
    for queue in ["listener", "unrouted"] {
        channel.queue_delete(format!("{prefix}.{queue}").as_str().into(), QueueDeleteOptions::default()).await?;
    }
    for exchange in ["events", "unrouted"] {
        channel.exchange_delete(format!("{prefix}.{exchange}").as_str().into(), ExchangeDeleteOptions::default()).await?;
    }
    Ok(())
}
