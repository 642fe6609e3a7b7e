//! Events on their way out.

use crate::broker::{PATIENCE, Place, url};
use crate::proxy::{Proxy, Wire};
use crate::world::{app, open};
use app::ports::{Bus, PortError};
use app::{App, Ports, traced};
use async_trait::async_trait;
use bus_rabbit::{RabbitBus, RabbitSettings};
use conformance::bus::{BusSubject, Listener};
use conformance::fixtures::{START, cart_of, guest, policy, trace};
use domain::event::Outgoing;
use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, QueueDeleteOptions, QueuePurgeOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer};
use memory::{MemoryBus, MemoryStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

conformance::bus!(subject().await);

/// A bus that goes through a wire, and a consumer that does not.
async fn subject() -> BusSubject {
    let place = Place::new().await;
    let proxy = Arc::new(Proxy::to(place.address).await);
    let bus = RabbitBus::connect(RabbitSettings { urls: vec![url(proxy.address)], ..place.settings.clone() }).await.expect("a bus");
    let ear = Ear::at(&place).await;
    let guard = Box::new(place);
    BusSubject { bus: Arc::new(bus), listener: Arc::new(Wired { proxy, ear }), guard }
}

struct Wired {
    proxy: Arc<Proxy>,
    ear: Ear,
}

#[async_trait]
impl Listener for Wired {
    async fn heard(&self, at_least: usize) -> Vec<String> {
        self.ear.heard(at_least).await
    }

    async fn cut(&self) {
        self.proxy.set(Wire::Cut);
    }

    async fn mend(&self) {
        self.proxy.set(Wire::Whole);
    }
}

/// Who hears every event.
struct Ear {
    consumer: Mutex<(Consumer, Vec<String>)>,
    channel: Channel,
    _connection: Connection,
}

impl Ear {
    async fn at(place: &Place) -> Self {
        Self::with(place, FieldTable::default()).await
    }

    async fn with(place: &Place, arguments: FieldTable) -> Self {
        let connection = place.connection().await;
        let channel = connection.create_channel().await.expect("a channel");
        let consumer = place.listen(&channel, arguments).await;
        Self { consumer: Mutex::new((consumer, Vec::new())), channel, _connection: connection }
    }

    async fn next(&self) -> lapin::message::Delivery {
        let mut consumer = self.consumer.lock().await;
        let delivery = timeout(PATIENCE, consumer.0.next()).await.expect("an event in time").expect("a consumer").expect("an event");
        delivery.acker.ack(BasicAckOptions::default()).await.expect("acknowledged");
        consumer.1.push(delivery.properties.message_id().as_ref().expect("an id").to_string());
        delivery
    }

    /// Ids of everything heard so far: at least so many, and different ones.
    async fn heard(&self, at_least: usize) -> Vec<String> {
        loop {
            let heard = self.consumer.lock().await.1.clone();
            let mut different = heard.clone();
            different.sort_unstable();
            different.dedup();
            if different.len() >= at_least {
                return heard;
            }
            self.next().await;
        }
    }
}

fn events(carts: std::ops::Range<u128>) -> Vec<Outgoing> {
    carts.flat_map(|n| cart_of(n, guest(n), START).events).collect()
}

fn ids(events: &[Outgoing]) -> Vec<String> {
    events.iter().map(Outgoing::id).collect()
}

async fn until_published(bus: &RabbitBus, events: &[Outgoing]) {
    let began = std::time::Instant::now();
    while let Err(error) = bus.publish(events).await {
        assert!(began.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn told(published: Result<(), PortError>) -> String {
    published.expect_err("an error").to_string()
}

/// One of each event, as it was written once for ever.
const GOLDEN: [&str; 3] = [
    include_str!("../../../records/golden/v1/outgoing.json"),
    include_str!("../../../records/golden/v1/outgoing_refunds.json"),
    include_str!("../../../records/golden/v1/outgoing_refused.json"),
];

#[test]
fn every_event_is_in_the_documentation() {
    let documented = include_str!("../../../../docs/events.md");
    for line in GOLDEN.iter().flat_map(|file| file.lines()) {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let name = event["type"].as_str().expect("a name");
        assert!(documented.contains(&format!("`{name}`")), "{name}");
    }
}

#[tokio::test]
async fn an_event_arrives_as_a_cloud_event() {
    let place = Place::new().await;
    let bus = RabbitBus::connect(place.settings.clone()).await.expect("a bus");
    let ear = Ear::at(&place).await;
    bus.publish(&cart_of(1, guest(1), START).events).await.expect("published");
    let (created, added) = (ear.next().await, ear.next().await);
    assert_eq!(created.routing_key.as_str(), "cart.created");
    assert_eq!(String::from_utf8_lossy(&created.data), r#"{"currency":"USD"}"#);
    assert_eq!(added.routing_key.as_str(), "cart.item_added");
    let properties = added.properties;
    assert_eq!(properties.content_type().as_ref().map(|t| t.as_str()), Some("application/json"));
    assert_eq!(properties.delivery_mode(), &Some(2));
    assert_eq!(properties.message_id().as_ref().map(|t| t.as_str()), Some("cart_00000000000000000000000001.2"));
    let headers = properties.headers().clone().expect("headers");
    for (name, expected) in [
        ("specversion", "1.0"),
        ("id", "cart_00000000000000000000000001.2"),
        ("source", "urn:cartwright"),
        ("type", "cart.item_added"),
        ("subject", "cart_00000000000000000000000001"),
        ("sequence", "2"),
        ("time", "2025-06-15T15:06:40Z"),
    ] {
        let value = headers.inner().get(format!("cloudEvents_{name}").as_str());
        assert_eq!(value, Some(&AMQPValue::LongString(expected.into())), "{name}");
    }
}

#[tokio::test]
async fn an_event_carries_the_trace_of_its_cause_whoever_relays_it() {
    let place = Place::new().await;
    let (store, bus) = (MemoryStore::new(), RabbitBus::connect(place.settings.clone()).await.expect("a bus"));
    let ear = Ear::at(&place).await;
    let one = app(&store, Arc::new(store.clone()), Arc::new(MemoryBus::new())).await;
    traced(trace(Some("a=1")), open(&one, "alice", vec![])).await;
    open(&one, "bob", vec![]).await;
    let another = App::new(Ports { bus: Arc::new(bus), ..memory::ports(Arc::new(store)) }, policy());
    while another.outbox_step(another.now(), 100).await.expect("published") > 0 {}
    let mut told = Vec::new();
    while told.len() < 2 {
        let event = ear.next().await;
        if event.routing_key.as_str() == "cart.created" {
            let headers = event.properties.headers().clone().expect("headers");
            let names = ["traceparent", "cloudEvents_traceparent", "tracestate", "cloudEvents_tracestate"];
            told.push(names.map(|name| headers.inner().get(name).and_then(AMQPValue::as_long_string).map(ToString::to_string)));
        }
    }
    let parent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    let state = Some("a=1".to_owned());
    assert_eq!(told, [[parent.clone(), parent, state.clone(), state], [const { None }; 4]]);
}

#[tokio::test]
async fn an_event_no_queue_asks_for_is_kept() {
    let place = Place::new().await;
    let bus = RabbitBus::connect(place.settings.clone()).await.expect("a bus");
    let events = events(1..3);
    bus.publish(&events).await.expect("published");
    let channel = place.connection().await.create_channel().await.expect("a channel");
    let kept = place.in_queue(&channel, "unrouted", events.len()).await;
    let kept: Vec<_> = kept.iter().map(|(p, _)| p.message_id().as_ref().expect("an id").to_string()).collect();
    assert_eq!(kept, ids(&events));
}

#[tokio::test]
async fn an_event_that_comes_back_was_not_delivered() {
    let place = Place::new().await;
    let bus = RabbitBus::connect(place.settings.clone()).await.expect("a bus");
    let connection = place.connection().await;
    let channel = connection.create_channel().await.expect("a channel");
    // Somebody has taken away the queue for what nobody asks for.
    channel.queue_delete(place.name("unrouted").as_str().into(), QueueDeleteOptions::default()).await.expect("deleted");
    let events = events(1..3);
    let error = told(bus.publish(&events).await);
    assert!(error.ends_with("was returned: no queue takes it)"), "{error}");
    bus.publish(&events).await.expect("declared anew");
    assert_eq!(place.in_queue(&channel, "unrouted", events.len()).await.len(), events.len());
}

#[tokio::test]
async fn an_event_the_broker_refuses_was_not_delivered() {
    let place = Place::new().await;
    let bus = RabbitBus::connect(place.settings.clone()).await.expect("a bus");
    let connection = place.connection().await;
    let channel = connection.create_channel().await.expect("a channel");
    let mut full = FieldTable::default();
    full.insert("x-max-length".into(), 1.into());
    full.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let consumer = place.listen(&channel, full).await;
    channel.basic_cancel(consumer.tag(), lapin::options::BasicCancelOptions::default()).await.expect("nobody takes anything out");
    let events = events(1..2);
    let mut refused = 0;
    // A queue says that it is full a little late.
    for _ in 0..100 {
        refused += usize::from(bus.publish(&events).await.is_err());
        if refused > 0 {
            break;
        }
    }
    assert_eq!(refused, 1);
    channel.queue_purge(place.name("listener").as_str().into(), QueuePurgeOptions::default()).await.expect("purged");
    channel.queue_delete(place.name("listener").as_str().into(), QueueDeleteOptions::default()).await.expect("deleted");
    bus.publish(&events).await.expect("published");
}

#[tokio::test]
async fn a_confirmation_that_is_lost_is_an_error_and_the_consumer_knows_the_repeat() {
    let place = Place::new().await;
    let proxy = Proxy::to(place.address).await;
    let within = Duration::from_secs(1);
    let settings = RabbitSettings { urls: vec![url(proxy.address)], publish_within: within, ..place.settings.clone() };
    let bus = RabbitBus::connect(settings).await.expect("a bus");
    let ear = Ear::at(&place).await;
    let events = events(1..4);
    bus.publish(&events[..2]).await.expect("published");
    proxy.set(Wire::Deaf);
    let error = told(bus.publish(&events[2..]).await);
    assert!(error.contains("has not confirmed"), "{error}");
    proxy.set(Wire::Cut);
    assert!(bus.publish(&events[2..]).await.is_err());
    proxy.set(Wire::Whole);
    until_published(&bus, &events[2..]).await;
    while ear.consumer.lock().await.1.len() < 2 * events.len() - 2 {
        ear.next().await;
    }
    assert_eq!(ear.heard(6).await, [ids(&events), ids(&events[2..])].concat());
    drop(ear.channel);
}

#[tokio::test]
async fn a_broker_that_is_away_is_an_error_in_time_and_the_next_one_is_tried() {
    let place = Place::new().await;
    // A port nobody listens on, and one where somebody listens and says nothing.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let away = vec![url(gone), url(silent.local_addr().expect("bound"))];
    let within = Duration::from_millis(200);
    let lonely = RabbitBus::connect(RabbitSettings { urls: away.clone(), publish_within: within, ..place.settings.clone() });
    let lonely = lonely.await.expect("a broker that is away is no reason not to start");
    for _ in 0..3 {
        assert!(lonely.publish(&events(1..2)).await.is_err());
    }
    let urls = away.into_iter().chain([url(place.address)]).collect();
    let bus = RabbitBus::connect(RabbitSettings { urls, ..place.settings.clone() }).await.expect("a bus");
    until_published(&bus, &events(1..2)).await;
}
