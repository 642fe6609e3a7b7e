//! What happens when the disk fails: told by jobs that reach into the writer's connection.

use crate::EmbeddedStore;
use crate::fault::Fault;
use crate::writer::{Guard, Turn, Verdict};
use app::ports::{AtLeast, Carts, DidItHappen, PortError, PortErrorKind, Saved};
use conformance::fixtures::{START, cart_of, guest, save_cart};
use domain::ids::CartId;
use std::time::Duration;
use tempfile::TempDir;

fn open() -> (TempDir, EmbeddedStore) {
    let dir = TempDir::new().expect("a temporary directory");
    let store = EmbeddedStore::open(dir.path()).expect("a store");
    (dir, store)
}

async fn save(store: &EmbeddedStore, n: u128) -> Result<Saved, PortError> {
    Carts::save(store, save_cart(&cart_of(n, guest(n), START), 0), START).await
}

async fn is_there(store: &EmbeddedStore, n: u128) -> bool {
    Carts::load(store, CartId(n), AtLeast::Now, START).await.expect("reads go on").is_some()
}

async fn run(
    store: &EmbeddedStore,
    guard: Guard,
    job: impl FnOnce(&Turn<'_>) -> Result<(), Fault> + Send + 'static,
) -> Result<(), PortError> {
    let job = move |turn: &Turn<'_>| job(turn).map(Verdict::Keep);
    store.writer("a test").expect("a writer").submit("a test", guard, job, |_, ()| ()).await
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room_again() {
    let (_dir, store) = open();
    let pages = |n: u32| move |turn: &Turn<'_>| Ok(turn.pragma_update_and_check(None, "max_page_count", n, |_| Ok(()))?);
    run(&store, Guard::None, pages(1)).await.expect("the smallest limit there can be");
    let mut saved = 0;
    let refused = loop {
        match save(&store, saved + 1).await {
            Ok(outcome) => assert!(matches!(outcome, Saved::Done), "{outcome:?}"),
            Err(refused) => break refused,
        }
        saved += 1;
    };
    assert_eq!((refused.kind, refused.did_it_happen), (PortErrorKind::Full, DidItHappen::No));
    assert_eq!(save(&store, saved + 2).await.expect_err("still full").kind, PortErrorKind::Full);
    assert!(is_there(&store, 1).await && is_there(&store, saved).await && !is_there(&store, saved + 1).await);
    run(&store, Guard::None, pages(1 << 20)).await.expect("room");
    assert!(matches!(save(&store, saved + 1).await.expect("room again"), Saved::Done));
    assert!(is_there(&store, saved + 1).await);
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_poisons_the_store_and_reads_go_on() {
    let (dir, store) = open();
    save(&store, 1).await.expect("a save");
    run(&store, Guard::None, |turn| Ok(turn.execute_batch("PRAGMA foreign_keys = ON; PRAGMA defer_foreign_keys = ON")?))
        .await
        .expect("set");
    // A deferred constraint that does not hold fails where a failed sync would: in COMMIT.
    let broken = run(&store, Guard::None, |turn| {
        let sql = "CREATE TABLE child (parent INTEGER REFERENCES nobody (id) DEFERRABLE INITIALLY DEFERRED);
                   CREATE TABLE nobody (id INTEGER PRIMARY KEY); INSERT INTO child VALUES (1)";
        Ok(turn.execute_batch(sql)?)
    })
    .await
    .expect_err("a failed commit");
    assert_eq!(broken.did_it_happen, DidItHappen::Unknown);
    tokio::time::timeout(Duration::from_secs(5), store.poisoned()).await.expect("poisoned");
    let refused = save(&store, 2).await.expect_err("poisoned");
    assert_eq!((refused.kind, refused.did_it_happen), (PortErrorKind::Unavailable, DidItHappen::No));
    assert!(is_there(&store, 1).await && !is_there(&store, 2).await);
    drop(store);
    let again = EmbeddedStore::open(dir.path()).expect("a new process recovers");
    assert!(matches!(save(&again, 2).await.expect("a save"), Saved::Done));
    assert!(is_there(&again, 1).await);
}

#[tokio::test]
async fn a_panic_in_the_writer_poisons_the_store() {
    let (_dir, store) = open();
    let lost = run(&store, Guard::None, |_| panic!("a bug")).await.expect_err("a lost job");
    assert_eq!(lost.did_it_happen, DidItHappen::Unknown);
    tokio::time::timeout(Duration::from_secs(5), store.poisoned()).await.expect("poisoned");
    assert_eq!(save(&store, 1).await.expect_err("poisoned").did_it_happen, DidItHappen::No);
}

#[tokio::test]
async fn a_job_with_a_fault_of_its_own_fails_alone() {
    let (_dir, store) = open();
    let sql = "INSERT INTO counters (name, used) VALUES ('uses/TEN', 1), ('uses/BAD', -1)";
    let faulty = run(&store, Guard::Savepoint, move |turn| Ok(turn.execute_batch(sql)?));
    let (failed, saved) = tokio::join!(faulty, save(&store, 1));
    assert_eq!(failed.expect_err("a broken constraint").did_it_happen, DidItHappen::No);
    assert!(matches!(saved.expect("a save"), Saved::Done));
    let ten = conformance::fixtures::uses_of("TEN");
    let usage = app::ports::Ledger::usage(&store, std::slice::from_ref(&ten)).await;
    assert_eq!(usage.expect("a count").of(&ten), 0);
}

#[tokio::test]
async fn the_log_is_moved_into_the_file_and_starts_over_beside_a_writer_that_never_rests() {
    let (dir, store) = open();
    let log = dir.path().join("cartwright.db-wal");
    let len = || std::fs::metadata(&log).map_or(0, |log| log.len());
    let mut longest = 0;
    // At 64 MB and more it starts over, and is cut to that.
    while len() >= longest {
        longest = len();
        assert!(longest < 256_000_000, "the log only grows");
        let grow = |turn: &Turn<'_>| turn.send(&vec![b' '; 1_000_000]).map_err(Fault::from);
        run(&store, Guard::None, grow).await.expect("a write");
    }
    drop(store);
    assert_eq!(len(), 0);
}
