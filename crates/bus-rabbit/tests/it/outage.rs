//! A broker that dies, and one that has no memory to spare.

use crate::broker::{PATIENCE, Place};
use crate::world::{add, app, customer, open};
use app::Operation;
use app::ports::Bus;
use bus_rabbit::{RabbitBus, RabbitSettings};
use conformance::fixtures::{START, cart_of, guest};
use domain::ids::CartId;
use futures_util::StreamExt;
use lapin::options::BasicAckOptions;
use lapin::types::FieldTable;
use memory::MemoryStore;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_under_writes_loses_nothing_and_every_subject_keeps_its_order() {
    let mut place = Place::private();
    let settings = RabbitSettings { publish_within: Duration::from_secs(2), ..place.settings.clone() };
    let bus = RabbitBus::connect(settings).await.expect("a bus");
    // Bound before the first event.
    place.listen(&place.connection().await.create_channel().await.expect("a channel"), FieldTable::default()).await;
    let store = MemoryStore::new();
    let app = app(&store, Arc::new(store.clone()), Arc::new(bus)).await;
    let names: Vec<_> = (0..10).map(|n| format!("c{n}")).collect();
    for name in &names {
        open(&app, name, vec![]).await;
    }
    let (writing, written, failed) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let writer = tokio::spawn({
        let (app, writing, written) = (Arc::clone(&app), Arc::clone(&writing), Arc::clone(&written));
        async move {
            let mut n = 0;
            while writing.load(Ordering::SeqCst) {
                n += 1;
                let caller = customer(&names[n % names.len()]);
                let cart = app.my_unpriced_cart(&caller, None).await.expect("a cart").id;
                let operations = if n % 300 < 10 { vec![Operation::Clear] } else { vec![Operation::Add(add(1 + (n % 3) as u128, 1))] };
                app.change_cart(&caller, cart, operations, None, None).await.expect("writes go on");
                written.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    let relay = tokio::spawn({
        let (app, writing, failed) = (Arc::clone(&app), Arc::clone(&writing), Arc::clone(&failed));
        async move {
            loop {
                match app.outbox_step(app.now(), 500).await {
                    Ok(0) if !writing.load(Ordering::SeqCst) => return,
                    Ok(_) => {}
                    Err(_) => drop(failed.fetch_add(1, Ordering::SeqCst)),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, mut broker) = (written.load(Ordering::SeqCst), place.own.take().expect("a private broker"));
    broker.kill();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(written.load(Ordering::SeqCst) > before, "writes go on");
    assert!(failed.load(Ordering::SeqCst) > 0, "the relay is told");
    let mut broker = tokio::task::spawn_blocking(move || {
        broker.restart();
        broker
    })
    .await
    .expect("restarted");
    tokio::time::sleep(Duration::from_secs(1)).await;
    writing.store(false, Ordering::SeqCst);
    writer.await.expect("written");
    timeout(PATIENCE, relay).await.expect("the outbox runs dry").expect("relayed");

    let carts: BTreeMap<String, u64> = {
        let mut carts = BTreeMap::new();
        for n in 0..10 {
            let cart = app.my_unpriced_cart(&customer(&format!("c{n}")), None).await.expect("a cart");
            carts.insert(CartId::to_string(&cart.id), cart.version.0);
        }
        carts
    };
    let channel = place.connection().await.create_channel().await.expect("a channel");
    let mut consumer = crate::broker::consume(&channel, &place.name("listener")).await;
    let mut heard: BTreeMap<String, u64> = BTreeMap::new();
    while !carts.iter().all(|(cart, version)| heard.get(cart) == Some(version)) {
        let next = timeout(PATIENCE, consumer.next()).await.unwrap_or_else(|_| panic!("{heard:?} of {carts:?}"));
        let delivery = next.expect("a consumer").expect("an event");
        delivery.acker.ack(BasicAckOptions::default()).await.expect("acknowledged");
        let id = delivery.properties.message_id().as_ref().expect("an id").to_string();
        let (subject, sequence) = id.split_once('.').expect("a subject and a number");
        let (last, sequence) = (heard.entry(subject.to_owned()).or_default(), sequence.parse::<u64>().expect("a number"));
        assert!(sequence <= *last + 1, "{id} comes before {}", *last + 1);
        *last = sequence.max(*last);
    }
    broker.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_memory_to_spare_is_waited_for_and_what_was_blocked_arrives() {
    let place = Place::private();
    let within = Duration::from_millis(500);
    let bus = RabbitBus::connect(RabbitSettings { publish_within: within, ..place.settings.clone() }).await.expect("a bus");
    let events = cart_of(1, guest(1), START).events;
    bus.publish(&events[..1]).await.expect("published");
    let broker = place.own.as_ref().expect("a private broker");
    broker.control(&["set_vm_memory_high_watermark", "0.000001"]);
    for _ in 0..3 {
        let began = Instant::now();
        bus.publish(&events[1..]).await.expect_err("the broker does not read");
        assert!(began.elapsed() < PATIENCE);
    }
    broker.control(&["set_vm_memory_high_watermark", "0.9"]);
    while bus.publish(&events[1..]).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let channel = place.connection().await.create_channel().await.expect("a channel");
    let got = place.in_queue(&channel, "unrouted", 2).await;
    let ids: Vec<_> = got.iter().map(|(p, _)| p.message_id().as_ref().expect("an id").to_string()).collect();
    assert_eq!(ids[..2], [events[0].id(), events[1].id()]);
}
