//! How long a store with many orders takes to be ready again after a kill -9. Nothing here asserts a time: it is
//! printed, and published in the documentation.
//!
//! `ORDERS=100000 cargo nextest run -p server many_orders --no-capture`

use crate::crashes::{Told, add_until_it_dies, buy_until_it_dies};
use crate::shop::{Shop, command, dir, scale};
use app::ports::{Change, Committed, Ledger, Payments};
use conformance::fixtures::{START, append, authorize, moved, paying, placed_by};
use domain::checkout::{Checkout, State};
use domain::ids::{AttemptId, Version};
use domain::order::{Actor, OrderEvent};
use domain::stock::StockChange;
use futures_util::stream::{StreamExt, iter};
use memory::simulator::PaymentSimulator;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use store_embedded::EmbeddedStore;

/// Orders that are written at once.
const AT_ONCE: usize = 256;
const KILLS: u64 = 5;

/// Paid orders, as the application writes them, in the store and in the provider's own ledger.
async fn fill(dir: &Path, orders: usize) {
    let store = EmbeddedStore::open(dir).expect("a store");
    let provider = PaymentSimulator::open(dir.join("payment-simulator.jsonl"), Duration::ZERO).expect("a journal");
    let write = async |n: usize| {
        let n = n as u128 + 1;
        let paid = Checkout { version: Version(1), state: State::Completed { settled: true }, ..paying(n) };
        provider.authorize(AttemptId(n), &authorize("tok_visa")).await.expect("authorized");
        provider.capture(AttemptId(n)).await.expect("captured");
        let placed = placed_by(&paid, START);
        let captured = vec![OrderEvent::PaymentCaptured { amount: paid.quote.total }, OrderEvent::Confirmed];
        let captured = placed.order.append(captured, &Actor::System, "a test", START);
        let first = Change {
            outbox: placed.outgoing().collect(),
            stock: vec![moved(1, StockChange::Receive(1), &format!("delivery {n}"))],
            checkout: Some((paid, Version(0))),
            ..append(placed)
        };
        let second = Change { outbox: captured.outgoing().collect(), ..append(captured) };
        for change in [first, second] {
            let committed = store.commit(change, START).await.expect("committed");
            assert!(matches!(committed, Committed::Done), "{committed:?}");
        }
    };
    iter(0..orders).map(write).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

/// Adds and purchases for a while, then a kill -9 in the middle of them.
async fn load_and_kill(shop: Shop, book: &str, told: &Arc<Mutex<Told>>, time: Duration) {
    let client = shop.client();
    let mut tasks = Vec::new();
    for _ in 0..8 {
        tasks.push(tokio::spawn(add_until_it_dies(client.guest().await, book.to_owned(), told.clone())));
    }
    for _ in 0..4 {
        tasks.push(tokio::spawn(buy_until_it_dies(client.clone(), book.to_owned(), told.clone())));
    }
    tokio::time::sleep(time).await;
    shop.kill();
    for task in tasks {
        task.await.expect("clients end with the store");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_many_orders_is_ready_again_after_kill_9() {
    let dir = dir();
    let orders = scale("ORDERS", 500);
    fill(dir.path(), orders).await;
    let mut shop = Shop::start(dir.path(), &[("CARTWRIGHT_DEMO_CATALOG", "false")]);
    let (book, _) = shop.admin(dir.path()).new_book("RECOVERY", 1000, 1_000_000).await;
    let told = Arc::new(Mutex::new(Told::default()));
    let mut took = Vec::new();
    for n in 0..KILLS {
        load_and_kill(shop, &book, &told, Duration::from_millis(400 + 300 * n)).await;
        let log = std::fs::metadata(dir.path().join("cartwright.db-wal")).map_or(0, |log| log.len());
        let began = Instant::now();
        shop = tokio::task::block_in_place(|| Shop::start(dir.path(), &[]));
        took.push(format!("{} ms with a log of {} KiB", began.elapsed().as_millis(), log / 1024));
    }
    let told = told.lock().expect("not poisoned").clone();
    let client = shop.client();
    for (id, token) in &told.orders {
        let order = client.clone().with(token.clone()).get(&format!("/orders/{id}")).await.expect(200);
        assert_eq!(order["paymentStatus"], "captured", "{id}");
    }
    assert_eq!(shop.stop(), Some(0));
    let checked = command(dir.path()).arg("check").output().expect("check runs");
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let there: usize = said.split(" orders with").next().and_then(|s| s.rsplit(' ').next()).and_then(|n| n.parse().ok()).expect("a count");
    assert!(there >= orders + told.orders.len(), "{there} orders");
    #[expect(clippy::print_stderr, reason = "the figure is the result")]
    {
        eprintln!("{there} orders, ready again after: {}", took.join(", "));
    }
}
