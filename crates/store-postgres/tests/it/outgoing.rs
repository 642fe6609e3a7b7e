//! An order's events are written once, and go out whole; nodes that do not know of that go on beside those that do.

use crate::servers::Database;
use crate::sql::{connect, number, rows};
use crate::start::settings;
use app::ports::{Change, Committed, Ledger, Outbox};
use conformance::fixtures::{START, at, move_stock, moved, placed, trace};
use domain::event::{Event, Outgoing};
use domain::order::{Actor, Appended, OrderEvent};
use domain::stock::StockChange;
use store_postgres::PgStore;

/// What this order tells, in a trace.
fn tells(order: Appended) -> Change {
    let outbox = order.outgoing().map(|event| Outgoing { trace: trace(Some("a=1")), ..event }).collect();
    Change { order: Some(order), outbox, ..Change::default() }
}

async fn commit(store: &PgStore, change: Change) {
    let committed = store.commit(change, START).await;
    assert!(matches!(committed, Ok(Committed::Done)), "{committed:?}");
}

/// All of it, which is then delivered.
async fn deliver(store: &PgStore) -> Vec<Outgoing> {
    let pending = store.pending(100).await.expect("a store that works");
    let positions: Vec<_> = pending.iter().map(|one| one.position.clone()).collect();
    store.delivered(&positions, START).await.expect("a store that works");
    assert_eq!(store.pending(100).await.expect("a store that works"), []);
    pending.into_iter().map(|one| one.event).collect()
}

#[tokio::test]
async fn an_orders_events_are_written_once_and_go_out_whole() {
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    let beside = connect(&database.url()).await;
    let named = "SELECT count(sequence) FROM outgoing, unnest(sequences) sequence";
    let first = placed(1, START);
    let more = first.order.append(vec![OrderEvent::Confirmed, OrderEvent::Processing], &Actor::System, "test", at(1));
    for (order, many) in [(first, 2), (more, 2)] {
        let change = tells(order);
        commit(&store, change.clone()).await;
        assert_eq!(number(&beside, named).await, many);
        store.verify().await.expect("a sound store");
        assert_eq!(deliver(&store).await, change.outbox);
    }
    // With what is committed by itself, as counting stock is.
    let change = Change { stock: move_stock([moved(1, StockChange::Count(3), "count")]).stock, ..tells(placed(2, START)) };
    commit(&store, change.clone()).await;
    assert_eq!(number(&beside, named).await, 0);
    let told = deliver(&store).await;
    assert_eq!(told[..2], change.outbox);
    assert!(matches!((&told[2].event, told.len()), (Event::Stock(_), 3)), "{told:?}");
}

#[tokio::test]
async fn an_event_whose_order_has_lost_it_is_no_event() {
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    commit(&store, tells(placed(1, START))).await;
    connect(&database.url()).await.batch_execute("DELETE FROM order_events WHERE sequence = 2").await.expect("lost");
    store.pending(100).await.expect_err("it cannot be told");
    store.verify().await.expect_err("it is missing");
}

/// What they call: `commit_together` and `deliver`, and `outbox` as if it were a table.
#[tokio::test]
async fn nodes_of_the_version_before_go_on() {
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    let beside = connect(&database.url()).await;
    let ours = tells(placed(1, START));
    commit(&store, ours.clone()).await;
    let theirs: Vec<_> = placed(2, START).outgoing().collect();
    let told: Vec<_> = theirs.iter().map(records::encode_outgoing).collect();
    let together = format!(
        "SELECT together FROM commit_together(gen_random_uuid(), 200, '{{5}}', {}, $1::bytea[], {}, '{{1,1}}')",
        ["'{}'"; 39].join(", "),
        ["'{}'"; 8].join(", ")
    );
    assert!(beside.query_one(&together, &[&told]).await.expect("done").get::<_, bool>(0));
    let whole = "SELECT unnest(events) FROM outbox ORDER BY position";
    let whole: Vec<Vec<u8>> = rows(&beside, whole).await.iter().map(|row| row.get(0)).collect();
    let all: Vec<_> = ours.outbox.into_iter().chain(theirs).collect();
    assert_eq!(whole, all.iter().map(records::encode_outgoing).collect::<Vec<_>>());
    let (first, rest) = ("deliver((SELECT array_agg(position ORDER BY position) FROM outbox)", "'{1,1}', 5)");
    beside.batch_execute(&format!("SELECT {first}, {rest}")).await.expect("delivered");
    assert_eq!(number(&beside, "SELECT sum(events)::bigint FROM deliveries").await, 2);
    assert_eq!(deliver(&store).await, [all[1].clone(), all[3].clone()]);
    commit(&store, tells(placed(3, START))).await;
    beside.batch_execute("SELECT deliver(ARRAY(SELECT position FROM outbox, generate_series(1, 2)), '{1,2}', 5)").await.expect("delivered");
    assert_eq!(number(&beside, "SELECT count(*) FROM outgoing").await, 0);
}
