//! Copies in each node: results are the same with them and without, and what a client has seen it never unsees.

use crate::news::Proxy;
use crate::servers::{Cluster, Server, pause};
use crate::subject;
use app::ports::{AtLeast, CartChange, CartWrite, Carts, Saved, Sessions};
use conformance::Subject;
use conformance::fixtures::{START, add, cart, cart_writes, changed, digest, put_cart, session, session_event};
use domain::cart::Cart;
use domain::ids::{CartId, SessionId, Version};
use domain::session::SessionEvent;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store_redis::{Looked, RedisSettings, RedisStore};

async fn without_copies() -> Subject {
    let server = Server::start(&[]);
    let store = RedisStore::connect(RedisSettings { copies_bytes: 0, ..server.settings() }).await.expect("a store");
    subject::of(store, server)
}

/// More connections than one, each of which tells of what the others wrote.
async fn over_many_connections() -> Subject {
    let server = Server::start(&[]);
    let store = RedisStore::connect(RedisSettings { connections: 3, ..server.settings() }).await.expect("a store");
    subject::of(store, server)
}

mod off {
    use super::*;
    conformance::carts!(without_copies().await);
    conformance::sessions!(without_copies().await);
}

mod many {
    use super::*;
    conformance::carts!(over_many_connections().await);
    conformance::sessions!(over_many_connections().await);
}

async fn node(settings: RedisSettings) -> RedisStore {
    RedisStore::connect(settings).await.expect("a store")
}

async fn load(store: &RedisStore, id: CartId, fresh: AtLeast) -> Option<Arc<Cart>> {
    Carts::load(store, id, fresh, START).await.expect("a store that works")
}

async fn version(store: &RedisStore, id: CartId, fresh: AtLeast) -> u64 {
    load(store, id, fresh).await.map_or(0, |cart| cart.version.0)
}

async fn save(store: &RedisStore, cart: &Cart, expected: Version) -> Saved {
    Carts::save(store, cart_writes([put_cart(cart, expected.0)]), START).await.expect("a store that works")
}

/// One more copy in a cart, by this node.
async fn add_one(store: &RedisStore, had: &Cart) -> Cart {
    let next = changed(had, &[add(1, 1)], START).cart;
    let saved = save(store, &next, had.version).await;
    assert!(matches!(saved, Saved::Done), "{saved:?}");
    next
}

async fn first(store: &RedisStore, n: u128) -> Cart {
    assert!(matches!(save(store, &cart(n), Version(0)).await, Saved::Done));
    cart(n)
}

fn memory(store: &RedisStore) -> Looked {
    store.looked()[0].looked
}

/// Asks until it is so: news takes a moment.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    while !holds().await {
        pause(Duration::from_millis(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_is_asked_for_once_and_read_again_when_another_node_has_changed_it() {
    let server = Server::start(&[]);
    copies_follow(&server.settings()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_of_a_cluster_tells_of_its_carts() {
    let cluster = Cluster::start(3, 0).await;
    copies_follow(&cluster.settings()).await;
}

async fn copies_follow(settings: &RedisSettings) {
    let (here, there) = (node(settings.clone()).await, node(settings.clone()).await);
    // Their partitions lie far apart.
    for n in [1, 40, 80, 120, 160, 200] {
        copy_follows(&here, &there, n).await;
    }
}

async fn copy_follows(here: &RedisStore, there: &RedisStore, n: u128) {
    // Of the same partition: reading it keeps the server within hearing, so that only news can end the copy.
    let (mine, other) = (first(there, n).await, cart(n + 256));
    let hits = memory(here).hits;
    until(async || {
        load(here, mine.id, AtLeast::Copy).await;
        memory(here).hits > hits + 100
    })
    .await;
    let mut last = mine;
    for round in 0..10 {
        // What it wrote itself it is told of just as what it read.
        if round % 2 == 0 {
            last = add_one(here, &last).await;
        }
        last = add_one(there, &last).await;
        until(async || {
            load(here, other.id, AtLeast::Now).await;
            version(here, last.id, AtLeast::Copy).await == last.version.0
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_wrote_itself_it_does_not_ask_for() {
    let server = Server::start(&[]);
    let here = node(server.settings()).await;
    let mut last = first(&here, 1).await;
    let mut asked = 0;
    for _ in 0..100 {
        last = add_one(&here, &last).await;
        let before = memory(&here).hits;
        assert_eq!(version(&here, last.id, AtLeast::Copy).await, last.version.0);
        asked += usize::from(memory(&here).hits == before);
    }
    // A copy is not believed when the machine stands still for a second.
    assert!(asked < 50, "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_elsewhere_is_seen_here_though_no_news_came() {
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port);
    let deaf = RedisSettings { urls: vec![format!("redis://127.0.0.1:{}", proxy.port)], ..server.settings() };
    let (here, there) = (node(deaf).await, node(server.settings()).await);
    let mut last = first(&there, 1).await;
    for n in 1..=20 {
        proxy.hold_news(false);
        until(async || version(&here, last.id, AtLeast::Copy).await == last.version.0).await;
        proxy.hold_news(true);
        let seen = last;
        last = add_one(&there, &seen).await;
        until(async || proxy.unheard() >= n).await;
        assert!([seen.version.0, last.version.0].contains(&version(&here, last.id, AtLeast::Copy).await));
        assert_eq!(version(&here, last.id, AtLeast::Seen(last.version)).await, last.version.0);
        // And from then on by whoever asks.
        assert_eq!(version(&here, last.id, AtLeast::Copy).await, last.version.0);
        // Whoever decides on an old copy is told what is there.
        last = add_one(&there, &last).await;
        until(async || proxy.unheard() >= n).await;
        match save(&here, &changed(&seen, &[add(1, 5)], START).cart, seen.version).await {
            Saved::Conflict { current: Some(current), .. } => assert_eq!(current.version, last.version),
            other => panic!("{other:?}"),
        }
        assert_eq!(version(&here, last.id, AtLeast::Now).await, last.version.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_not_believed_after_all_keys_were_removed_or_the_connection_broke() {
    let server = Server::start(&[]);
    let (here, there) = (node(server.settings()).await, node(server.settings()).await);
    let mut admin = redis::Client::open(server.url()).and_then(|client| client.get_connection()).expect("a connection");
    let (mut last, other) = (first(&there, 1).await, first(&there, 2).await);
    for _ in 0..5 {
        until(async || version(&here, last.id, AtLeast::Copy).await == last.version.0).await;
        redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes").exec(&mut admin).expect("killed");
        last = changed(&last, &[add(1, 1)], START).cart;
        until(async || {
            let change = CartChange {
                writes: vec![CartWrite::Put { cart: Arc::new(last.clone()), expected: Version(last.version.0 - 1) }],
                ..CartChange::default()
            };
            Carts::save(&there, change, START).await.is_ok_and(|saved| matches!(saved, Saved::Done | Saved::Conflict { .. }))
        })
        .await;
        until(async || version(&here, last.id, AtLeast::Copy).await == last.version.0).await;
        // The new connection tells of changes, too.
        last = add_one(&there, &last).await;
        until(async || {
            load(&here, other.id, AtLeast::Now).await;
            version(&here, last.id, AtLeast::Copy).await == last.version.0
        })
        .await;
    }
    redis::cmd("FLUSHALL").exec(&mut admin).expect("flushed");
    until(async || {
        redis::cmd("PING").exec(&mut admin).expect("a server");
        load(&here, CartId(3), AtLeast::Now).await;
        load(&here, last.id, AtLeast::Copy).await.is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_ended_elsewhere_is_over_here() {
    let server = Server::start(&[]);
    let (here, there) = (node(server.settings()).await, node(server.settings()).await);
    there.create(session(1), digest(1), session_event(1, 1, SessionEvent::Started)).await.expect("created");
    let by_token = async || here.by_token(digest(1), START).await.expect("a store that works").is_some();
    until(async || by_token().await && here.looked()[1].looked.hits > 100).await;
    assert!(there.end(SessionId(1), session_event(1, 2, SessionEvent::Ended)).await.expect("ended"));
    until(async || {
        load(&here, CartId(3), AtLeast::Now).await;
        !by_token().await
    })
    .await;
}

#[derive(Clone, Debug)]
enum Step {
    Add { node: usize, cart: u128 },
    Load { node: usize, cart: u128, how: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (node, cart) = (0..3_usize, 1..4_u128);
    prop_oneof![
        (node.clone(), cart.clone()).prop_map(|(node, cart)| Step::Add { node, cart }),
        (node, cart, 0..3_usize).prop_map(|(node, cart, how)| Step::Load { node, cart, how }),
    ]
}

/// Three nodes, one of them without copies, in any order: what was seen stays seen, and what is stored is what was saved.
#[test]
fn histories_are_the_same_with_copies_and_without() {
    let server = Server::start(&[]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let run =
        TestRunner::new(ProptestConfig { cases: 60, ..ProptestConfig::default() }).run(&prop::collection::vec(step(), 1..60), |steps| {
            runtime.block_on(async {
                let prefix = format!("{:x}:", fastrand::u64(..));
                let at = |copies_bytes| node(RedisSettings { prefix: prefix.clone(), copies_bytes, ..server.settings() });
                let nodes = [at(1 << 20).await, at(1 << 20).await, at(0).await];
                let mut stored: BTreeMap<u128, Cart> = BTreeMap::new();
                for step in steps {
                    match step {
                        Step::Add { node, cart: n } => {
                            let next = match stored.get(&n) {
                                Some(had) => add_one(&nodes[node], had).await,
                                None => first(&nodes[node], n).await,
                            };
                            stored.insert(n, next);
                        }
                        Step::Load { node, cart: n, how } => {
                            let known = stored.get(&n);
                            let version = known.map_or(Version(0), |cart| cart.version);
                            let fresh = [AtLeast::Copy, AtLeast::Seen(version), AtLeast::Now][how];
                            let loaded = load(&nodes[node], cart(n).id, fresh).await;
                            match loaded {
                                // News of another node's change may not have come yet.
                                Some(copy) if fresh == AtLeast::Copy => prop_assert!(copy.version <= version),
                                loaded => prop_assert_eq!(loaded.as_deref(), known),
                            }
                        }
                    }
                }
                Ok(())
            })
        });
    run.expect("histories without a fault");
}
