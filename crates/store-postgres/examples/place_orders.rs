//! How many orders a second go through `Ledger::commit`: three stock moves, one order with its events, its outbox.
//!
//! `cargo run --release -p store-postgres --example place_orders -- URL [CALLERS] [SECONDS] [CONNECTIONS]`
//!
//! `place_orders.sh` beside it runs this and pgbench, with the same minimal order as one statement, in turns on a server of
//! their own.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement asks the clock and speaks to its user")]

use app::ports::{Change, Committed, Ledger};
use conformance::fixtures::{START, move_stock, moved, placed};
use domain::event::Subject;
use domain::ids::{CheckoutId, OrderId};
use domain::order::{Appended, Number};
use domain::stock::StockChange;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use store_postgres::{PgSettings, PgStore};
use tokio::task::JoinSet;

/// As in the server.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const EDITIONS: u128 = 10_000;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("the url of a database");
    let mut number = |or| arguments.next().map_or(or, |text| text.parse().expect("a number"));
    let (callers, seconds, connections) = (number(32), number(10), number(16));
    let settings = PgSettings { connections_max: connections, wait_max: Duration::from_secs(10), ..PgSettings::new(url) };
    let store = PgStore::connect(settings).await.expect("a store");
    fill(&store).await;
    let stop = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let mut running: JoinSet<Vec<Duration>> = (0..callers).map(|_| place(store.clone(), Arc::clone(&stop))).collect();
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    while let Some(of_one) = running.join_next().await {
        times.extend(of_one.expect("no panic"));
    }
    times.sort_unstable();
    let took = begun.elapsed().as_secs_f64();
    let at = |part: usize| times[(times.len() - 1) * part / 1000].as_secs_f64() * 1e3;
    let rate = times.len() as f64 / took;
    println!("{rate:.0} orders/s, {callers} callers, {connections} connections; p50 {:.2} ms, p99 {:.2} ms", at(500), at(990));
}

/// Stock for all, once.
async fn fill(store: &PgStore) {
    for from in (1..=EDITIONS).step_by(1000) {
        let moves = (from..from + 1000).map(|edition| moved(edition, StockChange::Receive(1_000_000_000), "delivery"));
        store.commit(move_stock(moves), START).await.expect("a store that works");
    }
}

/// One caller: an order after the other, each of three editions.
async fn place(store: PgStore, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let template = placed(1, START);
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let change = order(&template);
        let begun = Instant::now();
        let committed = store.commit(change, START).await.expect("a store that works");
        times.push(begun.elapsed());
        assert!(matches!(committed, Committed::Done), "{committed:?}");
    }
    times
}

/// Like the template, with names of its own.
fn order(template: &Appended) -> Change {
    // As ids are: the time first.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock that is right").as_millis();
    let bits = (now << 80) | (fastrand::u128(..) >> 48);
    let mut placed = template.clone();
    placed.order.id = OrderId(bits);
    placed.order.checkout = CheckoutId(bits);
    placed.order.number = Number::from_random(fastrand::u64(..));
    let mut outbox: Vec<_> = placed.outgoing().collect();
    for event in &mut outbox {
        event.subject = Subject::Order(OrderId(bits));
    }
    let moves = (0..3).map(|n| moved(3333 * n + fastrand::u128(1..=3333), StockChange::Reserve(1), &format!("pay_{bits}/reserve")));
    Change { order: Some(placed), outbox, ..move_stock(moves) }
}
