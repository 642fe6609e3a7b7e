//! Events come in order however transactions overlap, none is passed over, and what is delivered does not pile up.

use crate::servers::Database;
use crate::sql::{connect, number, until, waiting};
use crate::start::settings;
use app::ports::{Ledger, Outbox, Pending};
use conformance::fixtures::{START, move_stock, moved};
use domain::event::Subject;
use domain::ids::EditionId;
use domain::stock::StockChange;
use store_postgres::PgStore;
use tokio_postgres::Client;

async fn receive(store: &PgStore, edition: u128, cause: &str) {
    store.commit(move_stock([moved(edition, StockChange::Receive(1), cause)]), START).await.expect("a store that works");
}

async fn pending(store: &PgStore) -> Vec<Pending> {
    store.pending(100).await.expect("a store that works")
}

/// Editions and sequences of what is pending, which is then delivered.
async fn deliver(store: &PgStore) -> Vec<(u128, u64)> {
    let pending = pending(store).await;
    let positions: Vec<_> = pending.iter().map(|p| p.position.clone()).collect();
    store.delivered(&positions, START).await.expect("a store that works");
    let name = |p: &Pending| match p.event.subject {
        Subject::Stock(EditionId(edition)) => (edition, p.event.sequence),
        ref other => panic!("{other}"),
    };
    pending.iter().map(name).collect()
}

/// A transaction of another node that has put an event of an edition's first move into the outbox, and stands open.
async fn open(client: &Client, edition: u8) {
    let moves = format!(
        "BEGIN; SELECT send((move_stock('{{00000000-0000-0000-0000-{edition:012}}}', '{{{}}}', '{{receive}}', '{{1}}', '{{open}}', 1)).events)",
        EditionId(edition.into())
    );
    client.batch_execute(&moves).await.expect("a move");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_committed_late_comes_late_and_is_not_passed_over() {
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    let late = connect(&database.url()).await;
    open(&late, 1).await;
    // Many reads, so that the floor would have risen above it.
    for n in 1..=50 {
        receive(&store, 2, &format!("delivery {n}")).await;
        assert_eq!(deliver(&store).await, [(2, n)], "others do not wait");
    }
    late.batch_execute("COMMIT").await.expect("a commit");
    assert_eq!(deliver(&store).await, [(1, 1)]);
    assert_eq!(deliver(&store).await, []);
}

/// The order of transaction ids is another one: read by it, or only below the oldest of those that run, the second move of
/// the edition would come first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_one_subject_come_in_sequence_also_when_the_later_transaction_began_first() {
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    let [later, between, first] = [connect(&database.url()).await, connect(&database.url()).await, connect(&database.url()).await];
    for client in [&later, &between] {
        client.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.expect("an id");
    }
    open(&first, 1).await;
    let second = format!(
        "SELECT send((move_stock('{{00000000-0000-0000-0000-000000000001}}', '{{{}}}', '{{receive}}', '{{1}}', '{{later}}', 1)).events); COMMIT",
        EditionId(1)
    );
    let (committed, ()) = tokio::join!(later.batch_execute(&second), async {
        until(&connect(&database.url()).await, &waiting(1)).await;
        first.batch_execute("COMMIT").await.expect("a commit");
    });
    committed.expect("a commit");
    // `between` still runs: the horizon is above the later transaction's id, and below the first one's.
    assert_eq!(deliver(&store).await, [(1, 1), (1, 2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_is_gone_with_the_last_of_its_events() {
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    let moves = (1..=5).map(|edition| moved(edition, StockChange::Receive(1), "delivery"));
    store.commit(move_stock(moves), START).await.expect("a store that works");
    let all = pending(&store).await;
    let beside = connect(&database.url()).await;
    for (told, left, rows) in
        [(vec![1, 3], vec![0, 2, 4], 1), (vec![1, 1, 0], vec![2, 4], 1), (vec![0, 1, 2, 3, 4], vec![], 0), (vec![2], vec![], 0)]
    {
        let positions: Vec<_> = told.iter().map(|n: &usize| all[*n].position.clone()).collect();
        store.delivered(&positions, START).await.expect("a store that works");
        let expected: Vec<_> = left.into_iter().map(|n: usize| all[n].clone()).collect();
        assert_eq!(pending(&store).await, expected, "{told:?}");
        assert_eq!(number(&beside, "SELECT count(*) FROM outbox").await, rows, "{told:?}");
    }
    assert_eq!(number(&beside, "SELECT sum(events)::bigint FROM deliveries").await, 5);
}
