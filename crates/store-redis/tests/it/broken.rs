//! Connections that break at every step of a change: nothing is doubled, nothing is lost, and whoever comes next finds
//! either all of it or nothing.

use crate::proxy::{Cut, Proxy};
use crate::servers::{Server, wait};
use app::ports::{Answer, AtLeast, CartChange, Carts, DidItHappen, Outbox, Pending, PortError, Saved};
use conformance::fixtures::{
    START, add, answer, at, cart_of, cart_writes, changed, customer, delete_cart, guest, put_cart, race, save_cart,
};
use domain::cart::{Cart, CartEvent, Command, Strategy};
use domain::event::Outgoing;
use domain::ids::CartId;
use std::time::Duration;
use store_redis::{RedisSettings, RedisStore};

/// Steps of a merge: begin, prepare, commit, finish, forget.
const STEPS: i64 = 5;

/// An answer to the customer, where the customer's things lie.
fn merged_answer() -> Answer {
    let answer = answer(1, "merged", at(1));
    let mut mark = answer.mark;
    mark.key[0] = customer("alice").partition().0;
    Answer { mark, ..answer }
}

/// What a customer's cart and a guest's are, and the change that merges one into the other.
struct Merge {
    target: Cart,
    source: Cart,
    merged: Cart,
    change: CartChange,
}

impl Merge {
    fn new() -> Self {
        let target = cart_of(1, customer("alice"), START).cart;
        let source = cart_of(2, guest(2), START).cart;
        let command = Command::Merge { source: Box::new(source.clone()), strategy: Strategy::Sum };
        let merged = changed(&target, &[command], at(1));
        let deleted = source.end(CartEvent::Deleted { merged_into: Some(target.id) }, at(1));
        let change = CartChange {
            outbox: merged.events.into_iter().chain([deleted]).collect(),
            answers: vec![merged_answer()],
            ..cart_writes([put_cart(&merged.cart, target.version.0), delete_cart(source.id.0, source.version.0)])
        };
        Self { target, source, merged: merged.cart, change }
    }

    /// Both carts, and nothing to publish.
    async fn set_up(&self, on: &RedisStore) {
        for cart in [&self.target, &self.source] {
            done(on.save(cart_writes([put_cart(cart, 0)]), START).await);
        }
    }
}

fn done(saved: Result<Saved, PortError>) {
    assert!(matches!(saved, Ok(Saved::Done)), "{saved:?}");
}

async fn load(on: &RedisStore, id: CartId) -> Option<Cart> {
    on.load(id, AtLeast::Now, at(1)).await.expect("a store that works").map(|cart| (*cart).clone())
}

async fn remembered(on: &RedisStore) -> Option<Answer> {
    Carts::answer(on, merged_answer().mark.key).await.expect("a store that works")
}

async fn events(on: &RedisStore) -> Vec<Outgoing> {
    let pending = on.pending(100).await.expect("a store that works");
    let mut events: Vec<_> = pending.into_iter().map(|Pending { event, .. }| event).collect();
    events.sort_by_key(|event| (event.subject, event.sequence));
    events
}

fn sorted(events: &[Outgoing]) -> Vec<Outgoing> {
    let mut events = events.to_vec();
    events.sort_by_key(|event| (event.subject, event.sequence));
    events
}

async fn connect(url: String, prefix: &str, patience: Duration) -> RedisStore {
    let settings = RedisSettings {
        urls: vec![url],
        prefix: prefix.to_owned(),
        connections: 1,
        response_timeout: Duration::from_millis(500),
        patience,
        ..RedisSettings::default()
    };
    RedisStore::connect(settings).await.expect("a store")
}

/// Two nodes at once end what a third left behind.
async fn recover(server: &Server, prefix: &str) {
    let (one, two) =
        tokio::join!(connect(server.url(), prefix, Duration::from_secs(4)), connect(server.url(), prefix, Duration::from_secs(4)));
    for round in 0.. {
        let (a, b) = tokio::join!(one.expired(START, 1), two.expired(START, 1));
        assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
        let mut left = 0;
        for key in ["l:{2}", "p:{2}", "l:{81}", "p:{81}"] {
            left += server.ask::<u64>(redis::cmd("EXISTS").arg(format!("{prefix}{key}"))).await;
        }
        if left == 0 {
            break;
        }
        assert!(round < 100, "seals are left");
        wait(Duration::from_millis(50)).await;
    }
}

/// A node dies at this step of a merge; what the others find.
async fn die(server: &Server, step: i64, cut: Cut, somebody_writes: bool) {
    let case = format!("{cut:?} step {step}, somebody writes: {somebody_writes}");
    let prefix = format!("{step}{}{somebody_writes}:", cut == Cut::After);
    let merge = Merge::new();
    let others = connect(server.url(), &prefix, Duration::from_secs(4)).await;
    merge.set_up(&others).await;
    let proxy = Proxy::to(server.port).await;
    let dying = connect(proxy.url(), &prefix, Duration::from_millis(100)).await;
    proxy.fail_after(step, cut, true);
    let said = dying.save(merge.change.clone(), at(1)).await;
    assert_eq!(proxy.has_failed(), step < STEPS, "{case}");

    // Whatever is read before anybody repairs anything is one of the two states.
    let seen = load(&others, merge.target.id).await;
    assert!([Some(&merge.target), Some(&merge.merged)].contains(&seen.as_ref()), "{case}: {seen:?}");
    let seen_source = load(&others, merge.source.id).await;
    assert_eq!(seen_source.is_none(), seen.as_ref() == Some(&merge.merged), "{case}: {seen_source:?}");

    let grown = changed(&merge.source, &[add(5, 1)], at(1));
    let written = if somebody_writes { Some(others.save(save_cart(&grown, merge.source.version.0), at(1)).await) } else { None };
    recover(server, &prefix).await;

    let is_merged = load(&others, merge.target.id).await.as_ref() == Some(&merge.merged);
    match &said {
        Ok(saved) => assert!(is_merged && matches!(saved, Saved::Done), "{case}: {saved:?}"),
        Err(error) => assert!(!is_merged || error.did_it_happen == DidItHappen::Unknown, "{case}: {error:?}"),
    }
    let source = load(&others, merge.source.id).await;
    if is_merged {
        assert_eq!(source, None, "{case}");
        assert_eq!(remembered(&others).await, merge.change.answers.first().cloned(), "{case}");
        assert_eq!(events(&others).await, sorted(&merge.change.outbox), "{case}");
        if let Some(written) = written {
            assert!(matches!(written, Ok(Saved::Conflict { current: None, .. })), "{case}: {written:?}");
        }
        return;
    }
    assert_eq!(load(&others, merge.target.id).await.as_ref(), Some(&merge.target), "{case}");
    assert_eq!(remembered(&others).await, None, "{case}");
    match written {
        None => {
            assert_eq!(source.as_ref(), Some(&merge.source), "{case}");
            assert_eq!(events(&others).await, vec![], "{case}");
            done(others.save(merge.change.clone(), at(1)).await);
        }
        Some(written) => {
            done(written);
            assert_eq!(source.as_ref(), Some(&grown.cart), "{case}");
            assert_eq!(events(&others).await, grown.events, "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_happens_once_or_not_at_all_wherever_its_node_dies() {
    let server = Server::start(&[]);
    let mut cases = Vec::new();
    for step in 0..=STEPS {
        for cut in [Cut::Before, Cut::After] {
            for somebody_writes in [false, true] {
                cases.push(die(&server, step, cut, somebody_writes));
            }
        }
    }
    futures_util::future::join_all(cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_connection_breaks_is_made_once() {
    let server = Server::start(&[]);
    for step in 0..=STEPS {
        for cut in [Cut::Before, Cut::After] {
            let case = format!("{cut:?} step {step}");
            let prefix = format!("{step}{}:", cut == Cut::After);
            let merge = Merge::new();
            let proxy = Proxy::to(server.port).await;
            let store = connect(proxy.url(), &prefix, Duration::from_secs(4)).await;
            let created = cart_of(1, guest(1), START);
            let grown = changed(&created.cart, &[add(9, 2)], at(1));
            let ended = created.cart.end(CartEvent::Deleted { merged_into: None }, at(1));
            merge.set_up(&store).await;
            let mut expected = Vec::new();
            for change in [
                CartChange { answers: vec![answer(1, "created", START)], ..save_cart(&created, 0) },
                save_cart(&grown, created.cart.version.0),
                CartChange { outbox: vec![ended], ..cart_writes([delete_cart(1, grown.cart.version.0)]) },
                merge.change.clone(),
            ] {
                expected.extend(change.outbox.clone());
                proxy.fail_after(step, cut, false);
                let saved = store.save(change, at(1)).await;
                assert!(matches!(saved, Ok(Saved::Done)), "{case}: {saved:?}");
            }
            proxy.fail_after(i64::MAX, cut, false);
            recover(&server, &prefix).await;
            assert_eq!(load(&store, merge.target.id).await.as_ref(), Some(&merge.merged), "{case}");
            assert_eq!((load(&store, merge.source.id).await, load(&store, CartId(1)).await), (None, None), "{case}");
            assert_eq!(events(&store).await, sorted(&expected), "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adds_of_sixteen_nodes_to_one_cart_all_survive() {
    let server = Server::start(&[]);
    let first = server.store().await;
    done(first.save(cart_writes([put_cart(&cart_of(1, guest(1), START).cart, 0)]), START).await);
    let settings = server.settings();
    race(16, |_| {
        let settings = settings.clone();
        async move {
            let store = RedisStore::connect(settings).await.expect("a store");
            for _ in 0..10 {
                let mut current = load(&store, CartId(1)).await.expect("the cart");
                loop {
                    let next = changed(&current, &[add(1, 1)], at(1));
                    match store.save(save_cart(&next, current.version.0), at(1)).await.expect("a store that works") {
                        Saved::Done => break,
                        Saved::Conflict { current: Some(newer), .. } => current = (*newer).clone(),
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    })
    .await;
    let cart = load(&first, CartId(1)).await.expect("the cart");
    assert_eq!((cart.items[0].quantity.get(), cart.version.0), (161, 162));
    let sequences: Vec<_> = first.pending(1000).await.expect("events").iter().map(|p| p.event.sequence).collect();
    assert_eq!(sequences, (3..=162).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merges_that_cross_come_to_an_end() {
    let server = Server::start(&[]);
    let store = server.store().await;
    for n in 1..=6 {
        done(store.save(cart_writes([put_cart(&cart_of(n, guest(n), START).cart, 0)]), START).await);
    }
    // Everybody merges the next one's cart into his own: whoever is first wins, the others are told.
    let outcomes = race(6, |n| {
        let store = store.clone();
        async move {
            let (own, next) = (u128::from(n) + 1, u128::from(n + 1) % 6 + 1);
            let (Some(target), Some(source)) = (load(&store, CartId(own)).await, load(&store, CartId(next)).await) else { return false };
            let merge = Command::Merge { source: Box::new(source.clone()), strategy: Strategy::Sum };
            let merged = changed(&target, &[merge], at(1));
            let writes = [put_cart(&merged.cart, target.version.0), delete_cart(next, source.version.0)];
            let change = CartChange { outbox: merged.events, ..cart_writes(writes) };
            matches!(store.save(change, at(1)).await.expect("a store that works"), Saved::Done)
        }
    })
    .await;
    let merges = outcomes.iter().filter(|merged| **merged).count();
    let mut copies = 0;
    let mut left = 0;
    for n in 1..=6 {
        if let Some(cart) = load(&store, CartId(n)).await {
            left += 1;
            copies += cart.items.iter().map(|item| item.quantity.get()).sum::<u32>();
        }
    }
    assert!(merges > 0);
    assert_eq!((left, copies), (6 - merges, 6), "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_waited_for_and_the_save_is_made_once() {
    let server = Server::start(&[]);
    let settings = RedisSettings { response_timeout: Duration::from_millis(200), patience: Duration::from_secs(20), ..server.settings() };
    let store = RedisStore::connect(settings).await.expect("a store");
    let created = cart_of(1, guest(1), START);
    done(store.save(save_cart(&created, 0), START).await);
    let next = changed(&created.cart, &[add(2, 1)], at(1));
    server.signal("STOP");
    let (saved, ()) = tokio::join!(store.save(save_cart(&next, created.cart.version.0), at(1)), async {
        wait(Duration::from_millis(900)).await;
        server.signal("CONT");
    });
    done(saved);
    assert_eq!(load(&store, CartId(1)).await, Some(next.cart));
    assert_eq!(events(&store).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_cart_is_saved_whole_and_then_changed_by_its_difference() {
    let server = Server::start(&[]);
    let store = server.store().await;
    let mut cart = cart_of(1, guest(1), START).cart;
    let most = u128::try_from(domain::limits::CART_ITEMS_MAX).expect("a small number");
    let more: Vec<_> = (2..=most).map(|n| add(n, 1)).collect();
    for some in more.chunks(domain::limits::OPERATIONS_MAX) {
        cart = changed(&cart, some, at(1)).cart;
    }
    done(store.save(cart_writes([put_cart(&cart, 0)]), at(1)).await);
    assert_eq!(server.store().await.load(CartId(1), AtLeast::Now, at(1)).await.expect("a store that works").as_deref(), Some(&cart));
    let written = async || -> u64 {
        let told: String = server.ask(redis::cmd("INFO").arg("persistence")).await;
        let size = told.lines().find_map(|line| line.strip_prefix("aof_current_size:")).expect("a size");
        size.trim().parse().expect("a number")
    };
    let before = written().await;
    let next = changed(&cart, &[add(7, 1)], at(1));
    done(store.save(save_cart(&next, cart.version.0), at(1)).await);
    assert!(written().await - before < 2000, "one item and the head of it, and an event");
    assert_eq!(load(&store, CartId(1)).await, Some(next.cart));
}
