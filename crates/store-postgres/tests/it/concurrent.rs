//! Many at once: levels and counters stay within their bounds and are what their moves say; whoever is in another's way waits or
//! is tried again.

use crate::servers::Database;
use crate::sql::{connect, number, rows, until, waiting};
use crate::start::settings;
use app::ports::{Change, Committed, Ledger};
use conformance::fixtures::{START, append, give_back, move_stock, moved, placed, race, use_coupon};
use domain::stock::StockChange;
use store_postgres::{PgSettings, PgStore};

const EDITIONS: u128 = 5;

/// Moves of some editions, in any order, and uses of two coupons.
fn any_change(cause: &str, random: &mut fastrand::Rng) -> Change {
    let mut stock = Vec::new();
    for n in 0..random.u32(1..=4) {
        let copies = random.u32(1..=3);
        let change = match random.u32(0..5) {
            0 | 1 => StockChange::Reserve(copies),
            2 => StockChange::Release(copies),
            3 => StockChange::Consume(copies),
            _ => StockChange::Receive(random.i32(-1..=3)),
        };
        stock.push(moved(random.u128(1..=EDITIONS), change, &format!("{cause}.{n}")));
    }
    let coupons = ["TEN", "FIVE"].map(|code| if random.bool() { use_coupon(code, 9, cause) } else { give_back(code, 1, cause) });
    let uses = coupons.into_iter().take(random.usize(0..=2)).collect();
    Change { stock, uses, ..Change::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_who_commit_at_once_leave_levels_and_counters_as_their_moves_say() {
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    let outcomes = race(16, |racer| {
        let store = store.clone();
        async move {
            let mut random = fastrand::Rng::with_seed(u64::from(racer));
            let mut done = 0;
            for n in 0..60 {
                match store.commit(any_change(&format!("{racer}.{n}"), &mut random), START).await.expect("a store that works") {
                    Committed::Done => done += 1,
                    Committed::StockShort(short) => assert!(!short.is_empty()),
                    Committed::UsedUp(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            done
        }
    })
    .await;
    let beside = connect(&database.url()).await;
    let commits = number(&beside, "SELECT count(*) FROM commits").await;
    assert!((1..=outcomes.iter().sum()).contains(&commits), "no commit without something that is done");
    let wrong = "SELECT count(*) FROM stock FULL JOIN (
            SELECT edition, count(*) AS moves, max(sequence) AS last, count(DISTINCT sequence) AS sequences,
                sum(CASE kind WHEN 'receive' THEN n WHEN 'consume' THEN -n ELSE 0 END) AS on_hand,
                sum(CASE kind WHEN 'reserve' THEN n WHEN 'receive' THEN 0 ELSE -n END) AS reserved
            FROM stock_moves GROUP BY edition) moved USING (edition)
        WHERE (stock.on_hand, stock.reserved, stock.moves) IS DISTINCT FROM (moved.on_hand, moved.reserved, moved.moves)
            OR moved.last <> moved.moves OR moved.sequences <> moved.moves OR stock.reserved NOT BETWEEN 0 AND stock.on_hand";
    assert_eq!(number(&beside, wrong).await, 0);
    assert_eq!(number(&beside, "SELECT count(*) FROM stock").await, i64::try_from(EDITIONS).expect("few"));
    let wrong = "SELECT count(*) FROM counters WHERE used > 9 OR used <> (SELECT sum(n) FROM uses WHERE counter = name)";
    assert_eq!(number(&beside, wrong).await, 0);
    let events = "SELECT count(*) FROM outbox, unnest(events)";
    assert_eq!(number(&beside, events).await, number(&beside, "SELECT count(*) FROM stock_moves").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_moves_of_an_edition_may_come_at_once() {
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    for edition in 1..=20 {
        let outcomes = race(8, |racer| {
            let store = store.clone();
            let one = move_stock([moved(edition, StockChange::Receive(1), &format!("racer {racer}"))]);
            async move { store.commit(one, START).await }
        })
        .await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Committed::Done))), "{outcomes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_loses_a_deadlock_is_tried_again() {
    let database = Database::fresh();
    // The store notices first, and is the one who loses.
    let url = format!("{}?options=-c%20deadlock_timeout=20ms", database.url());
    let store = PgStore::connect(PgSettings { url, ..settings(&database) }).await.expect("a store");
    let receive = |cause: &str| move_stock([1, 2, 3].map(|n| moved(n, StockChange::Receive(1), cause)));
    store.commit(receive("first"), START).await.expect("a store that works");
    let lock = |n: u8| format!("UPDATE stock SET moves = moves WHERE edition = '00000000-0000-0000-0000-00000000000{n}'");
    let [beside, between, watching] = [connect(&database.url()).await, connect(&database.url()).await, connect(&database.url()).await];
    beside.batch_execute(&format!("SET deadlock_timeout = '1min'; BEGIN; {}", lock(3))).await.expect("a lock");
    between.batch_execute(&format!("BEGIN; {}", lock(2))).await.expect("a lock");
    let wants_the_first = async {
        until(&watching, &waiting(1)).await;
        beside.batch_execute(&lock(1)).await.expect("the store gives way");
        beside.batch_execute("COMMIT").await.expect("a commit");
    };
    let lets_the_store_go_on = async {
        until(&connect(&database.url()).await, &waiting(2)).await;
        between.batch_execute("COMMIT").await.expect("a commit");
    };
    let (committed, (), ()) = tokio::join!(store.commit(receive("second"), START), wants_the_first, lets_the_store_go_on);
    assert!(matches!(committed, Ok(Committed::Done)), "{committed:?}");
    assert_eq!(number(&beside, "SELECT sum(on_hand)::bigint FROM stock").await, 6);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    drop(store);
    until(&beside, &format!("({deadlocks}) > 0")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_linked_event_by_event() {
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    let first = placed(1, START);
    let more = vec![domain::order::OrderEvent::Confirmed, domain::order::OrderEvent::Processing];
    let second = first.order.append(more, &domain::order::Actor::System, "test", START);
    for appended in [first, second] {
        store.commit(append(appended), START).await.expect("a store that works");
    }
    let beside = connect(&database.url()).await;
    let chain = "SELECT sequence, link = sha256(coalesce(lag(link) OVER (ORDER BY sequence), decode(repeat('00', 32), 'hex')) || body)
                 FROM order_events ORDER BY sequence";
    let linked: Vec<(i64, bool)> = rows(&beside, chain).await.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(linked, [1, 2, 3, 4].map(|n| (n, true)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_stock_is_written_as_the_records_write_it() {
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    let causes = ["delivery", "a \"quote\"", "back\\slash", "line\nfeed\ttab\u{1}\u{1f}", "ünïcödé 📚 \u{7f}", ""];
    let changes = [
        StockChange::Receive(9),
        StockChange::Reserve(3),
        StockChange::Release(1),
        StockChange::Consume(2),
        StockChange::Return(1),
        StockChange::Receive(-2),
        StockChange::Count(5),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let cause = causes[n % causes.len()];
        store.commit(move_stock([moved(u128::MAX - 7, change, &format!("{cause}{n}"))]), START).await.expect("a store that works");
    }
    let beside = connect(&database.url()).await;
    let written = rows(&beside, "SELECT unnest(events) FROM outbox ORDER BY position").await;
    assert_eq!(written.len(), changes.len());
    for row in written {
        let body: &[u8] = row.get(0);
        let event = records::decode_outgoing(body).expect("a record");
        assert_eq!(String::from_utf8_lossy(body), String::from_utf8_lossy(&records::encode_outgoing(&event)));
    }
}
