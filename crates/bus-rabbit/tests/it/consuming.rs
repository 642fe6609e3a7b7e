//! What other systems say.

use crate::broker::{PATIENCE, Place, url};
use crate::proxy::{Proxy, Wire};
use crate::world::{add, app, customer, items, open};
use app::App;
use app::ports::{Answer, AtLeast, CartChange, Carts, PortError, Saved};
use async_trait::async_trait;
use bus_rabbit::{RabbitSettings, consume};
use domain::cart::{Cart, Owner};
use domain::ids::CartId;
use domain::time::Timestamp;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection};
use memory::{MemoryBus, MemoryStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A shop that listens, and somebody who talks to it.
struct Shop {
    app: Arc<App>,
    bus: MemoryBus,
    away: Away,
    channel: Channel,
    _connection: Connection,
    stop: watch::Sender<bool>,
    consumers: JoinSet<()>,
    // Last: what was declared goes after everybody has left.
    place: Place,
}

impl Shop {
    async fn new() -> Self {
        Self::through(None, Place::new().await).await
    }

    async fn through(proxy: Option<&Proxy>, place: Place) -> Self {
        let (store, bus) = (MemoryStore::new(), MemoryBus::new());
        let away = Away { store: store.clone(), away: Arc::default(), failed: Arc::default() };
        let app = app(&store, Arc::new(away.clone()), Arc::new(bus.clone())).await;
        let connection = place.connection().await;
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        place.declare_other(&channel).await;
        let urls = proxy.map_or_else(|| place.settings.urls.clone(), |proxy| vec![url(proxy.address)]);
        let settings = RabbitSettings { urls, ..place.settings.clone() };
        let (stop, consumers) = (watch::Sender::new(false), JoinSet::new());
        let mut shop = Self { app, bus, away, channel, _connection: connection, stop, consumers, place };
        shop.listen(settings);
        // Whoever sends before the inbox is there is told so: nothing is lost that way either.
        while !shop.try_send(&shop.place.name("commands"), "x", BasicProperties::default(), "{}").await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(shop.dead(1).await, ["ENVELOPE_INVALID"]);
        shop
    }

    fn listen(&mut self, settings: RabbitSettings) {
        let (listener, stopped) = (Arc::clone(&self.app), self.stop.subscribe());
        self.consumers.spawn(async move { consume(listener, settings, stopped).await.expect("settings that can work") });
    }

    async fn stop_listening(&mut self) {
        self.stop.send_replace(true);
        while self.consumers.join_next().await.is_some() {}
        self.stop.send_replace(false);
    }

    /// Whether the message found its queue.
    async fn try_send(&self, exchange: &str, key: &str, properties: BasicProperties, body: &str) -> bool {
        let connection = self.place.connection().await;
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent = channel.basic_publish(exchange.into(), key.into(), mandatory, body.as_bytes(), properties).await;
        let Ok(confirm) = sent.expect("a channel").await else { return false };
        confirm.is_ack() && confirm.take_message().is_none()
    }

    async fn send(&self, exchange: &str, key: &str, properties: BasicProperties, body: &str) {
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let exchange = self.place.name(exchange);
        let sent = self.channel.basic_publish(exchange.as_str().into(), key.into(), mandatory, body.as_bytes(), properties).await;
        let confirm = sent.expect("a channel").await.expect("a broker");
        assert!(confirm.is_ack() && confirm.take_message().is_none(), "{key}");
    }

    /// A command of another system.
    async fn command(&self, name: &str, id: &str, sequence: Option<u64>, body: &str) {
        self.send("commands", name, envelope(name, id, "urn:crm", sequence), body).await;
    }

    async fn becomes(&self, name: &str, expected: Option<Vec<(u128, u32)>>) {
        let began = Instant::now();
        while items(&self.app, name).await != expected {
            let got = items(&self.app, name).await;
            assert!(began.elapsed() < PATIENCE, "{name} has {got:?} instead of {expected:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The reasons on dead letters, once there are so many.
    async fn dead(&self, at_least: usize) -> Vec<String> {
        let reason = |p: &BasicProperties| match p.headers().as_ref().and_then(|h| h.inner().get("x-reason").cloned()) {
            Some(AMQPValue::LongString(text)) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
            other => panic!("no reason: {other:?}"),
        };
        self.place.in_queue(&self.channel, "dead", at_least).await.iter().map(|(p, _)| reason(p)).collect()
    }

    /// Everything that was sent is settled, and nothing of it is dead.
    async fn end(mut self) {
        // What was heeded and could not be acknowledged comes again, to be passed over; what is in hand is not counted.
        let mut quiet = 0;
        for _ in 0..1000 {
            quiet = if self.waiting_in("inbox").await == 0 { quiet + 1 } else { 0 };
            if quiet == 50 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.stop_listening().await;
        for queue in ["inbox", "dead"] {
            assert_eq!(self.waiting_in(queue).await, 0, "{queue}");
        }
    }

    async fn waiting_in(&self, queue: &str) -> u32 {
        let (name, passive) = (self.place.name(queue), QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() });
        let declared = self.channel.queue_declare(name.as_str().into(), passive, FieldTable::default()).await.expect("a queue");
        declared.message_count()
    }

    async fn events_named(&self, name: &str) -> usize {
        while self.app.outbox_step(self.app.now(), 1000).await.expect("published") > 0 {}
        self.bus.published().iter().filter(|e| e.event.name() == name).count()
    }
}

fn envelope(name: &str, id: &str, source: &str, sequence: Option<u64>) -> BasicProperties {
    let mut headers = FieldTable::default();
    let attributes = [("specversion", "1.0"), ("type", name), ("id", id), ("source", source)];
    for (attribute, value) in attributes {
        headers.insert(format!("cloudEvents:{attribute}").as_str().into(), AMQPValue::LongString(value.into()));
    }
    if let Some(n) = sequence {
        headers.insert("cloudEvents:sequence".into(), AMQPValue::LongLongInt(i64::try_from(n).expect("a small number")));
    }
    BasicProperties::default().with_content_type("application/json".into()).with_message_id(id.into()).with_headers(headers)
}

fn body(customer: &str, rest: &str) -> String {
    format!(r#"{{"customerId":"{customer}"{rest}}}"#)
}

fn operation(op: &str) -> String {
    format!(r#","operations":[{op}]"#)
}

const BOOK: &str = "book_00000000000000000000000001";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_come_twice_and_out_of_order_have_one_effect_each() {
    let shop = Shop::new().await;
    let plus = |n: u32| operation(&format!(r#"{{"op":"add","productId":"{BOOK}","quantity":{n}}}"#));
    let set = operation(r#"{"op":"set","itemId":"item_00000000000000000000000001","quantity":5}"#);
    let steps = [
        ("cart.create", String::new()),
        ("cart.update", plus(3)),
        ("cart.delete", String::new()),
        ("cart.create", String::new()),
        ("cart.update", plus(9)),
        ("cart.update", set),
        ("cart.update", plus(1)),
    ];
    let customers: Vec<_> = (0..12).map(|n| format!("c{n}")).collect();
    // Every customer's in another order, twice.
    for twice in 0..2 {
        for at in 0..steps.len() {
            for (n, name) in customers.iter().enumerate() {
                let at = (at * (n % 6 + 1) + n + twice) % steps.len();
                let (command, rest) = &steps[at];
                shop.command(command, &format!("{name}.{at}"), Some(at as u64 + 1), &body(name, rest)).await;
            }
        }
    }
    for name in &customers {
        shop.becomes(name, Some(vec![(1, 6)])).await;
    }
    assert_eq!(shop.events_named("cart.item_added").await, 3 * customers.len());
    assert_eq!(shop.events_named("cart.created").await, 2 * customers.len());
    // Coming once more, in the middle of everything else.
    shop.command("cart.update", "c0.1", Some(2), &body("c0", &plus(3))).await;
    shop.command("cart.update", "once", None, &body("c0", &plus(1))).await;
    shop.becomes("c0", Some(vec![(1, 7)])).await;
    shop.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_message_causes_is_in_the_trace_it_names() {
    let shop = Shop::new().await;
    let (sent, written, bad) = (parent("a"), parent("b"), "00-ff".to_owned());
    for (n, (headers, expected)) in [
        (vec![("traceparent", &sent)], Some(&sent)),
        (vec![("cloudEvents:traceparent", &written)], Some(&written)),
        (vec![("cloudEvents_traceparent", &written), ("traceparent", &sent)], Some(&sent)),
        (vec![("cloudEvents_traceparent", &written), ("traceparent", &bad)], Some(&written)),
        (vec![], None),
    ]
    .into_iter()
    .enumerate()
    {
        let (name, mut properties) = (format!("c{n}"), envelope("cart.create", &format!("m{n}"), "urn:crm", None));
        let mut all = properties.headers().clone().expect("headers");
        for (header, value) in headers {
            all.insert(header.into(), AMQPValue::LongString(value.as_str().into()));
        }
        properties = properties.with_headers(all);
        shop.send("commands", "cart.create", properties, &body(&name, "")).await;
        shop.becomes(&name, Some(vec![])).await;
        assert_eq!(shop.events_named("cart.created").await, n + 1);
        let told = shop.bus.published().last().and_then(|event| event.trace.clone());
        assert_eq!(told.as_ref().map(|trace| trace.parent()), expected.map(String::as_str), "{name}");
    }
    let structured = BasicProperties::default().with_content_type("application/cloudevents+json".into());
    let data = body("alice", "");
    let event =
        format!(r#"{{"specversion":"1.0","id":"s","source":"urn:till","type":"cart.create","traceparent":"{sent}","data":{data}}}"#);
    shop.send("commands", "cart.create", structured, &event).await;
    shop.becomes("alice", Some(vec![])).await;
    assert_eq!(shop.events_named("cart.created").await, 6);
    assert_eq!(shop.bus.published().last().and_then(|event| event.trace.clone()).as_ref().map(|trace| trace.parent()), Some(sent.as_str()));
    shop.end().await;
}

fn parent(digit: &str) -> String {
    format!("00-{}-00f067aa0ba902b7-01", digit.repeat(32))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_never_comes_is_waited_for_and_given_up() {
    let shop = Shop::new().await;
    shop.command("cart.create", "m1", Some(1), &body("alice", "")).await;
    let plus = operation(&format!(r#"{{"op":"add","productId":"{BOOK}","quantity":1}}"#));
    let clear = operation(r#"{"op":"clear"}"#);
    shop.command("cart.update", "m3", Some(3), &body("alice", &plus)).await;
    shop.becomes("alice", Some(vec![(1, 1)])).await;
    // What was given up must not undo what came after it.
    shop.command("cart.update", "m2", Some(2), &body("alice", &clear)).await;
    shop.command("cart.update", "m4", Some(4), &body("alice", &plus)).await;
    shop.becomes("alice", Some(vec![(1, 2)])).await;
    shop.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_have_no_effect_goes_to_the_dead_letters_with_the_reason() {
    let shop = Shop::new().await;
    let command = |name: &str| envelope(name, "m", "urn:crm", None);
    let with = |name: &str, header: &str, value: AMQPValue| {
        let mut headers = command(name).headers().clone().expect("headers");
        headers.insert(header.into(), value);
        command(name).with_headers(headers)
    };
    let huge = "x".repeat(300_000);
    let structured = BasicProperties::default().with_content_type("application/cloudevents+json; charset=utf-8".into());
    let (zero, word) = (AMQPValue::LongInt(0), AMQPValue::LongString("soon".into()));
    for (properties, body, reason) in [
        (BasicProperties::default(), "{}", "ENVELOPE_INVALID"),
        (structured.clone(), "{}", "ENVELOPE_INVALID"),
        (structured.clone(), r#"{"specversion":"1.0","id":"1","source":"a","type":"cart.burn"}"#, "TYPE_UNKNOWN"),
        (structured, r#"{"specversion":"1.0","id":"1","source":"a","type":"cart.update","data":{}}"#, "MESSAGE_INVALID"),
        (command("cart.burn"), "{}", "TYPE_UNKNOWN"),
        (command("cart.create"), "{", "JSON_INVALID"),
        (command("cart.create"), huge.as_str(), "MESSAGE_TOO_LARGE"),
        (command("cart.create"), r#"{"customerId":"a","vip":true}"#, "MESSAGE_INVALID"),
        (with("cart.create", "cloudEvents:sequence", zero), r#"{"customerId":"a"}"#, "ENVELOPE_INVALID"),
        (with("cart.create", "cloudEvents:sequence", word), r#"{"customerId":"a"}"#, "ENVELOPE_INVALID"),
        (command("cart.update"), r#"{"customerId":"nobody","operations":[{"op":"clear"}]}"#, "CART_NOT_FOUND"),
    ] {
        shop.send("commands", "anything", properties, body).await;
        assert_eq!(shop.dead(1).await, [reason], "{}", body.chars().take(80).collect::<String>());
    }
    // Those after them are served.
    shop.command("cart.create", "m1", None, &body("alice", "")).await;
    shop.becomes("alice", Some(vec![])).await;
    shop.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_ordered_elsewhere_leaves_the_cart_and_the_shops_own_orders_do_not_count_twice() {
    let shop = Shop::new().await;
    for name in ["alice", "bob"] {
        open(&shop.app, name, vec![add(1, 3), add(2, 1)]).await;
    }
    let placed = |customer| {
        body(
            customer,
            r#","orderId":"A-7","total":12.5,"items":[{"variantId":"ed_00000000000000000000000001","quantity":2,"price":1},{"sku":"SKU-2","quantity":4},{"sku":"ELSE","quantity":1}]"#,
        )
    };
    shop.send("other", "order.placed", envelope("order.placed", "o1", "urn:cartwright", Some(9)), &placed("bob")).await;
    for _ in 0..3 {
        shop.send("other", "order.placed", envelope("order.placed", "o1", "urn:till", Some(9)), &placed("alice")).await;
    }
    shop.becomes("alice", Some(vec![(1, 1)])).await;
    let structured = BasicProperties::default().with_content_type("application/cloudevents+json".into());
    let event =
        format!(r#"{{"specversion":"1.0","id":"o2","source":"urn:till","type":"order.placed","sequence":"4","data":{}}}"#, placed("alice"));
    shop.send("other", "order.placed", structured, &event).await;
    shop.becomes("alice", Some(vec![])).await;
    assert_eq!(items(&shop.app, "bob").await, Some(vec![(1, 3), (2, 1)]));
    shop.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_is_waited_for() {
    let shop = Shop::new().await;
    shop.away.away.store(true, Ordering::SeqCst);
    let plus = operation(&format!(r#"{{"op":"add","productId":"{BOOK}","quantity":1}}"#));
    shop.command("cart.create", "m0", None, &body("alice", "")).await;
    for n in 1..=10 {
        shop.command("cart.update", &format!("m{n}"), None, &body("alice", &plus)).await;
    }
    while shop.away.failed.load(Ordering::SeqCst) < 4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shop.away.away.store(false, Ordering::SeqCst);
    shop.becomes("alice", Some(vec![(1, 10)])).await;
    shop.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_again_and_again_neither_loses_nor_doubles() {
    let place = Place::new().await;
    let proxy = Proxy::to(place.address).await;
    let shop = Shop::through(Some(&proxy), place).await;
    open(&shop.app, "alice", vec![]).await;
    let plus = operation(&format!(r#"{{"op":"add","productId":"{BOOK}","quantity":1}}"#));
    for n in 0..200 {
        shop.command("cart.update", &format!("m{n}"), None, &body("alice", &plus)).await;
        if n % 40 == 20 {
            proxy.set(Wire::Deaf);
        }
        if n % 40 == 30 {
            proxy.set(Wire::Cut);
            tokio::time::sleep(Duration::from_millis(50)).await;
            proxy.set(Wire::Whole);
        }
    }
    shop.becomes("alice", Some(vec![(1, 200)])).await;
    assert_eq!(shop.events_named("cart.item_added").await, 200);
    assert!(shop.app.my_unpriced_cart(&customer("alice"), None).await.is_ok());
    shop.end().await;
}

/// Carts that can be away.
#[derive(Clone)]
struct Away {
    store: MemoryStore,
    away: Arc<AtomicBool>,
    failed: Arc<AtomicU32>,
}

impl Away {
    fn there(&self) -> Result<&dyn Carts, PortError> {
        if self.away.load(Ordering::SeqCst) {
            self.failed.fetch_add(1, Ordering::SeqCst);
            return Err(PortError::unavailable("carts", "away"));
        }
        Ok(&self.store)
    }
}

#[async_trait]
impl Carts for Away {
    async fn load(&self, id: CartId, fresh: AtLeast, now: Timestamp) -> Result<Option<Arc<Cart>>, PortError> {
        self.there()?.load(id, fresh, now).await
    }

    async fn of_owner(&self, owner: &Owner, now: Timestamp) -> Result<Option<CartId>, PortError> {
        self.there()?.of_owner(owner, now).await
    }

    async fn save(&self, change: CartChange, now: Timestamp) -> Result<Saved, PortError> {
        self.there()?.save(change, now).await
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.there()?.answer(key).await
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<Arc<Cart>>, PortError> {
        self.there()?.expired(now, limit).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_memory_to_spare_moves_dead_letters_itself_and_the_others_are_taken_in() {
    let mut shop = Shop::through(None, Place::private()).await;
    shop.stop_listening().await;
    for n in 0..20 {
        shop.command("cart.create", &format!("poison {n}"), None, "{").await;
    }
    shop.command("cart.create", "good", None, &body("alice", "")).await;
    let memory = |shop: &Shop, of: &str| shop.place.own.as_ref().expect("a private broker").control(&["set_vm_memory_high_watermark", of]);
    memory(&shop, "0.000001");
    let settings = shop.place.settings.clone();
    shop.listen(settings);
    shop.becomes("alice", Some(vec![])).await;
    let channel = shop.place.connection().await.create_channel().await.expect("a channel");
    assert_eq!(shop.place.in_queue(&channel, "dead", 20).await.len(), 20);
    memory(&shop, "0.9");
    shop.command("cart.create", "poison", None, "{").await;
    // With their reasons again; what the broker had not read yet is there a second time.
    while shop.place.in_queue(&channel, "dead", 1).await[0].0.message_id().as_ref().is_none_or(|id| id.as_str() != "poison") {}
    shop.end().await;
}
