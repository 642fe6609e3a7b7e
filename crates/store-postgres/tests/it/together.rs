//! Changes that wait at the same time are one commit, and each has its own outcome.
//!
//! On one thread, those who are asked for at once all wait before the first of them is taken.

use crate::proxy::{Cut, Proxy};
use crate::servers::Database;
use crate::sql::{connect, number, rows, until, waiting};
use crate::start::settings;
use app::ports::{Catalog, Change, Committed, Ledger, Outbox, PortError};
use conformance::fixtures::{
    START, answer, append, at, checkout, commit_checkout, count, give_back, move_stock, moved, next, placed, text, use_coupon, uses_of,
};
use domain::checkout::State;
use domain::event::Subject;
use domain::ids::{CheckoutId, EditionId, OrderId};
use domain::order::{Actor, OrderEvent};
use domain::stock::{StockChange, StockLevel};
use futures_util::future::join_all;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use store_postgres::{PgSettings, PgStore};
use tokio_postgres::Client;

struct Shop {
    store: PgStore,
    beside: Client,
    database: Database,
}

impl Shop {
    async fn open() -> Self {
        let database = Database::fresh();
        let store = PgStore::connect(settings(&database)).await.expect("a store");
        Self { store, beside: connect(&database.url()).await, database }
    }

    async fn with_copies(copies: i32) -> Self {
        let shop = Self::open().await;
        shop.alone((1..=3).flat_map(|edition| move_stock([moved(edition, StockChange::Receive(copies), "delivery")]).stock)).await;
        shop
    }

    /// One commit, of moves of stock.
    async fn alone(&self, moves: impl IntoIterator<Item = domain::stock::StockMove>) {
        done(&self.store.commit(move_stock(moves), START).await);
    }

    /// At once; what each of them is told.
    async fn at_once(&self, changes: impl IntoIterator<Item = Change>) -> Vec<Committed> {
        let outcomes = join_all(changes.into_iter().map(|change| self.store.commit(change, START))).await;
        outcomes.into_iter().map(|outcome| outcome.expect("a store that works")).collect()
    }

    async fn commits(&self) -> i64 {
        number(&self.beside, "SELECT count(*) FROM commits").await
    }

    async fn level(&self, edition: u128) -> StockLevel {
        let level = self.store.stock(EditionId(edition)).await.expect("a store that works");
        assert_eq!(self.store.level(EditionId(edition)), level, "what is in memory is as new");
        level
    }

    /// Nothing that is stored twice differs, and the events of each edition are in order.
    async fn is_sound(&self) {
        self.store.verify().await.expect("a sound store");
        let mut sequences = std::collections::HashMap::<_, u64>::new();
        for pending in self.store.pending(10_000).await.expect("a store that works") {
            if let Subject::Stock(edition) = pending.event.subject {
                let last = sequences.entry(edition).or_default();
                *last += 1;
                assert_eq!(pending.event.sequence, *last, "{edition}");
            }
        }
        let moves = "SELECT count(*) FROM stock_moves";
        assert_eq!(i64::try_from(sequences.values().sum::<u64>()).expect("few"), number(&self.beside, moves).await);
    }
}

#[track_caller]
fn done(committed: &Result<Committed, PortError>) {
    assert!(matches!(committed, Ok(Committed::Done)), "{committed:?}");
}

/// An order with one copy of each of these editions.
fn order(n: u128, editions: &[u128]) -> Change {
    let cause = format!("pay {n}.");
    let stock = editions.iter().map(|edition| moved(*edition, StockChange::Reserve(1), &cause));
    let placed = placed(n, START);
    Change { outbox: placed.outgoing().collect(), order: Some(placed), ..move_stock(stock) }
}

fn how_many(outcomes: &[Committed], what: impl Fn(&Committed) -> bool) -> usize {
    outcomes.iter().filter(|outcome| what(outcome)).count()
}

fn are_done(outcomes: &[Committed]) -> usize {
    how_many(outcomes, |outcome| matches!(outcome, Committed::Done))
}

#[tokio::test]
async fn changes_that_wait_at_the_same_time_are_one_commit_with_the_events_of_each_in_a_row_of_its_own() {
    let shop = Shop::with_copies(100).await;
    let before = shop.commits().await;
    let outcomes = shop.at_once((1..=8).map(|n| order(n, &[1, 2 + n % 2]))).await;
    assert_eq!((are_done(&outcomes), shop.commits().await - before), (8, 1), "{outcomes:?}");
    for n in 1..=8 {
        let (stored, events) = (shop.store.order(OrderId(n)).await, shop.store.order_events(OrderId(n)).await);
        let placed = placed(n, START);
        assert_eq!(stored.expect("a store that works"), Some(placed.order));
        assert_eq!(events.expect("a store that works"), placed.events);
    }
    assert_eq!(shop.level(1).await, StockLevel { on_hand: 100, reserved: 8, moves: 9 });
    assert_eq!(shop.level(2).await, StockLevel { on_hand: 100, reserved: 4, moves: 5 });
    let row = "SELECT cardinality(events)::bigint FROM outbox ORDER BY position OFFSET 1";
    let told = order(1, &[]).outbox.len() + 2;
    let events: Vec<i64> = rows(&shop.beside, row).await.iter().map(|row| row.get(0)).collect();
    assert_eq!(events, [i64::try_from(told).expect("few"); 8]);
    shop.is_sound().await;
}

#[tokio::test]
async fn every_line_of_every_change_of_a_group_is_stored() {
    let shop = Shop::open().await;
    let open = [1, 2, 3].map(checkout);
    let confirmed =
        |n: u128| placed(n, START).order.append(vec![OrderEvent::Confirmed, OrderEvent::Processing], &Actor::System, "test", at(1));
    for changes in [
        open.iter().map(|one| commit_checkout(one, 0)).collect::<Vec<_>>(),
        open.iter().map(|one| commit_checkout(&next(one, State::Authorizing, at(9)), 1)).collect(),
        (1..=3).map(|n| Change { uses: vec![use_coupon("TEN", 9, &format!("{n}"))], ..append(placed(n, START)) }).collect(),
        (1..=2).map(|n| Change { order_alarm: Some((OrderId(n), at(5))), ..append(confirmed(n)) }).collect(),
        vec![
            Change { order_alarm: Some((OrderId(3), at(7))), ..Change::default() },
            Change { notice: Some(text("evt_1")), answer: Some(answer(1, "one", START)), ..Change::default() },
            Change { notice: Some(text("evt_1")), answer: Some(answer(2, "two", START)), ..Change::default() },
            count([give_back("TEN", 1, "4")]),
        ],
    ] {
        let (before, many) = (shop.commits().await, changes.len());
        let outcomes = shop.at_once(changes).await;
        assert_eq!((are_done(&outcomes), shop.commits().await - before), (many, 1), "{outcomes:?}");
    }
    for one in &open {
        let stored = shop.store.checkout(one.id).await.expect("a store that works");
        assert_eq!(stored, Some(next(one, State::Authorizing, at(9))));
    }
    for n in 1..=2 {
        assert_eq!(shop.store.order(OrderId(n)).await.expect("a store that works"), Some(confirmed(n).order));
    }
    let alarms = "SELECT count(*) FROM orders WHERE (version > 2, alarm_at) IN ((true, $1), (false, $2))";
    let alarms = alarms.replace("$1", &at(5).0.to_string()).replace("$2", &at(7).0.to_string());
    assert_eq!(number(&shop.beside, &alarms).await, 3);
    assert_eq!(shop.store.usage(&[uses_of("TEN")]).await.expect("a store that works").0.into_values().collect::<Vec<_>>(), [2]);
    assert!(shop.store.noticed(&text("evt_1")).await.expect("a store that works"));
    for n in [1, 2] {
        let expected = answer(n, ["one", "two"][usize::from(n) - 1], START);
        assert_eq!(Ledger::answer(&shop.store, expected.mark.key).await.expect("a store that works"), Some(expected));
    }
    shop.is_sound().await;
}

#[tokio::test]
async fn what_does_not_hold_is_told_to_its_own_caller_and_spoils_nothing() {
    let shop = Shop::with_copies(5).await;
    let taken = checkout(9);
    for change in [order(1, &[1]), commit_checkout(&taken, 0), Change { answer: Some(answer(7, "first", START)), ..Change::default() }] {
        done(&shop.store.commit(change, START).await);
    }
    let before = shop.commits().await;
    let outcomes = shop
        .at_once([
            order(2, &[1, 2]),
            order(1, &[2]),
            order(3, &[2, 4]),
            Change { answer: Some(answer(7, "second", START)), ..order(4, &[2]) },
            Change { stock: order(5, &[3]).stock, ..commit_checkout(&next(&taken, State::Authorizing, at(9)), 7) },
            count([use_coupon("TEN", 0, "use")]),
            move_stock([moved(1, StockChange::Count(9), "count")]),
            order(6, &[2, 3]),
        ])
        .await;
    assert!(
        matches!(
            &outcomes[..],
            [
                Committed::Done,
                Committed::OrderConflict,
                Committed::StockShort(short),
                Committed::Answered(first),
                Committed::CheckoutConflict,
                Committed::UsedUp(_),
                Committed::Done,
                Committed::Done
            ] if short[0].edition == EditionId(4) && *first.body == *b"first"
        ),
        "{outcomes:?}"
    );
    assert_eq!(shop.commits().await - before, 2, "the count of stock by itself, the others together");
    assert_eq!((shop.level(2).await.reserved, shop.level(3).await.reserved), (2, 1));
    shop.is_sound().await;
}

#[tokio::test]
async fn of_changes_of_one_checkout_or_with_one_key_exactly_one_is_done() {
    let shop = Shop::open().await;
    let open = checkout(1);
    done(&shop.store.commit(commit_checkout(&open, 0), START).await);
    let next = commit_checkout(&next(&open, State::Authorizing, at(9)), 1);
    let outcomes = shop.at_once((0..6).map(|_| next.clone())).await;
    let lost = how_many(&outcomes, |outcome| matches!(outcome, Committed::CheckoutConflict));
    assert_eq!((are_done(&outcomes), lost), (1, 5), "{outcomes:?}");
    let answered = |n: u128| Change { answer: Some(answer(1, &format!("answer {n}"), START)), ..append(placed(n, START)) };
    let outcomes = shop.at_once((1..=6).map(answered)).await;
    let lost = how_many(&outcomes, |outcome| matches!(outcome, Committed::Answered(_)));
    assert_eq!((are_done(&outcomes), lost), (1, 5), "{outcomes:?}");
    let outcomes = shop.at_once((11..=16).map(|n| {
        let mut order = placed(n, START);
        order.order.checkout = CheckoutId(10);
        append(order)
    }));
    let outcomes = outcomes.await;
    let lost = how_many(&outcomes, |outcome| matches!(outcome, Committed::OrderConflict));
    assert_eq!((are_done(&outcomes), lost), (1, 5), "{outcomes:?}");
}

#[tokio::test]
async fn the_last_copies_of_an_edition_go_to_as_many_as_there_are() {
    for buyers in [7, 8] {
        let shop = Shop::with_copies(7).await;
        let before = shop.commits().await;
        let outcomes = shop.at_once((1..=buyers).map(|n| order(n, &[1, 2, 3]))).await;
        let short = how_many(&outcomes, |outcome| matches!(outcome, Committed::StockShort(short) if short.len() == 3));
        assert_eq!((are_done(&outcomes), short), (7, usize::from(buyers == 8)), "{outcomes:?}");
        assert_eq!(shop.commits().await - before, 1);
        assert_eq!(shop.level(1).await, StockLevel { on_hand: 7, reserved: 7, moves: 8 });
        shop.is_sound().await;
    }
}

#[tokio::test]
async fn the_last_uses_of_a_coupon_go_to_as_many_as_there_are() {
    let shop = Shop::open().await;
    let before = shop.commits().await;
    let outcomes = shop.at_once((0..9).map(|n| count([use_coupon("TEN", 4, &format!("{n}"))]))).await;
    let used_up = how_many(&outcomes, |outcome| matches!(outcome, Committed::UsedUp(_)));
    assert_eq!((are_done(&outcomes), used_up, shop.commits().await - before), (4, 5, 1), "{outcomes:?}");
    shop.is_sound().await;
}

#[tokio::test]
async fn a_cause_that_was_applied_or_comes_twice_is_passed_over() {
    let shop = Shop::with_copies(7).await;
    shop.alone(order(1, &[1]).stock).await;
    let [again, twice] = [1, 2].map(|n| move_stock(order(n, &[1, 2]).stock));
    let outcomes = shop.at_once([again, twice.clone(), twice, move_stock(order(3, &[1]).stock)]).await;
    assert_eq!(are_done(&outcomes), 4, "{outcomes:?}");
    assert_eq!((shop.level(1).await.reserved, shop.level(2).await.reserved), (3, 2));
    shop.is_sound().await;
}

#[tokio::test]
async fn a_connection_that_breaks_around_a_commit_leaves_all_of_the_group_done_once() {
    let database = Database::fresh();
    let proxy = Proxy::start(database.port()).await;
    let url = database.url().replace(&format!(":{}/", database.port()), &format!(":{}/", proxy.port));
    let settings = PgSettings { url, connections_max: 2, resolve_max: Duration::from_secs(20), ..settings(&database) };
    let shop = Shop { store: PgStore::connect(settings).await.expect("a store"), beside: connect(&database.url()).await, database };
    shop.alone((1..=3).map(|edition| moved(edition, StockChange::Receive(500), "delivery"))).await;
    for n in 1..=12 {
        let cut = [Cut::Before, Cut::Behind, Cut::Answer][n as usize % 3];
        proxy.cut(&format!("pay {}.", n * 10 + 4), cut);
        // Small, so that the proxy has all of the message at once.
        let outcomes = shop.at_once((1..=8).map(|k| move_stock(order(n * 10 + k, &[1, 2]).stock))).await;
        assert_eq!((are_done(&outcomes), u128::from(proxy.cuts())), (8, n), "{cut:?}");
        assert_eq!(u128::from(shop.level(1).await.reserved), n * 8, "{cut:?}");
    }
    assert_eq!(number(&shop.beside, "SELECT count(*) FROM commits WHERE NOT undone").await, 13);
    shop.is_sound().await;
    drop(shop.database);
}

/// Begins a commit and goes away.
async fn begin_and_leave(store: &PgStore, change: Change) {
    let mut commit = pin!(store.commit(change, START));
    let waits = std::future::poll_fn(|context| Poll::Ready(commit.as_mut().poll(context).is_pending())).await;
    assert!(waits, "it has not been taken yet");
}

#[tokio::test]
async fn who_has_gone_before_it_was_taken_changes_nothing() {
    let shop = Shop::with_copies(7).await;
    begin_and_leave(&shop.store, order(1, &[1])).await;
    let outcomes = shop.at_once([order(2, &[1]), order(3, &[1])]).await;
    assert_eq!((are_done(&outcomes), shop.level(1).await.reserved), (2, 2));
}

#[tokio::test]
async fn who_goes_while_the_database_is_at_work_holds_nobody_up() {
    let shop = Shop::with_copies(7).await;
    shop.beside.batch_execute("BEGIN; UPDATE stock SET moves = moves").await.expect("a lock");
    let watching = connect(&shop.database.url()).await;
    let one_waits = waiting(1);
    let leaves = async {
        tokio::select! {
            gone = shop.store.commit(order(1, &[1]), START) => panic!("{gone:?}"),
            () = until(&watching, &one_waits) => {}
        }
        shop.beside.batch_execute("COMMIT").await.expect("the lock is free");
    };
    let (stays, ()) = tokio::join!(shop.store.commit(order(2, &[1]), START), leaves);
    done(&stays);
    assert_eq!(shop.level(1).await.reserved, 2, "they were one commit");
}

#[tokio::test]
async fn somebody_elses_lock_holds_up_only_those_who_want_the_same() {
    let database = Database::fresh();
    let store = PgStore::connect(PgSettings { group_lock_max: Duration::from_millis(50), ..settings(&database) }).await;
    let shop = Shop { store: store.expect("a store"), beside: connect(&database.url()).await, database };
    shop.alone((1..=3).map(|edition| moved(edition, StockChange::Receive(7), "delivery"))).await;
    let lock = "BEGIN; UPDATE stock SET moves = moves WHERE edition = '00000000-0000-0000-0000-000000000001'";
    shop.beside.batch_execute(lock).await.expect("a lock");
    let others = async {
        let others = shop.at_once([order(2, &[2]), order(3, &[3])]).await;
        shop.beside.batch_execute("COMMIT").await.expect("the lock is free");
        others
    };
    let (held_up, others) = tokio::join!(shop.store.commit(order(1, &[1]), START), others);
    done(&held_up);
    assert_eq!(are_done(&others), 2, "{others:?}");
}

#[tokio::test]
async fn a_group_that_waited_goes_by_the_level_that_it_finds_then() {
    let shop = Shop::with_copies(7).await;
    let takes = "BEGIN; UPDATE stock SET reserved = reserved + 6 WHERE edition = '00000000-0000-0000-0000-000000000001'";
    shop.beside.batch_execute(takes).await.expect("six of seven are taken");
    let watching = connect(&shop.database.url()).await;
    let (one_waits, orders) = (waiting(1), shop.at_once([order(1, &[1, 2]), order(2, &[1, 3])]));
    let commits = async {
        until(&watching, &one_waits).await;
        shop.beside.batch_execute("COMMIT").await.expect("the lock is free");
    };
    let (outcomes, ()) = tokio::join!(orders, commits);
    assert_eq!(are_done(&outcomes), 1, "{outcomes:?}");
    assert_eq!(how_many(&outcomes, |outcome| matches!(outcome, Committed::StockShort(_))), 1, "{outcomes:?}");
    let level = shop.store.stock(EditionId(1)).await.expect("a store that works");
    assert_eq!((level.on_hand, level.reserved), (7, 7));
}
