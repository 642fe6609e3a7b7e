//! What nodes keep in memory, where several of them share one database.

use crate::servers::{Database, Private};
use crate::start::settings;
use app::ports::{Catalog, CatalogChange, CatalogSaved, Committed, HeadingWrite, Ledger, PriceChange, Prices, PricesSaved, RuleWrite};
use conformance::fixtures::{START, book, heading, move_stock, moved, new_books, put_book, put_heading, rules};
use domain::catalog::{Book, HeadingKind};
use domain::ids::{BookId, EditionId, Version};
use domain::order::Actor;
use domain::pricing::{Kept, Rule, Why};
use domain::stock::{StockChange, StockLevel};
use std::sync::Arc;
use std::time::Duration;
use store_postgres::{PgSettings, PgStore};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, NoTls};

async fn node(database: &Database) -> PgStore {
    PgStore::connect(settings(database)).await.expect("a store")
}

async fn two_nodes() -> (Database, PgStore, PgStore) {
    let database = Database::fresh();
    let (one, other) = (node(&database).await, node(&database).await);
    (database, one, other)
}

/// Waits until something holds; that it takes no longer than it may is not what is tested.
#[expect(clippy::disallowed_methods, reason = "another node hears of it a moment later")]
pub async fn soon(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// A connection of the test's own.
#[expect(clippy::disallowed_methods, reason = "the connection ends with the test")]
pub async fn client(database: &Database) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

pub async fn save(on: &PgStore, change: CatalogChange) {
    let saved = Catalog::save(on, change, START).await.expect("a store that works");
    assert!(matches!(saved, CatalogSaved::Done), "{saved:?}");
}

pub async fn save_rule(on: &PgStore, write: RuleWrite) {
    let why = Why { actor: Actor::System, reason: None };
    let saved = Prices::save(on, PriceChange { rules: vec![write], ..PriceChange::by(why) }, START).await.expect("a store that works");
    assert!(matches!(saved, PricesSaved::Done), "{saved:?}");
}

fn version(of: &PgStore, n: u128) -> u64 {
    of.snapshot().book(BookId(n)).map_or(0, |book| book.version.0)
}

fn next(n: u32, version: u64) -> CatalogChange {
    let book = Book { version: Version(version), ..book(n) };
    CatalogChange { books: vec![put_book(book, version - 1)], ..CatalogChange::default() }
}

fn stacking(most: u32, expected: u64) -> RuleWrite {
    let kept = Kept { rule: Rule::Stacking { most: Some(most) }, version: Version(expected + 1), updated_at: START };
    RuleWrite::Put { kept: Arc::new(kept), expected: Version(expected) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_saves_the_others_see() {
    let (_database, one, other) = two_nodes().await;
    let author = heading(HeadingKind::Author, 1, "Frank Herbert");
    let headings = vec![put_heading(author.clone(), 0)];
    save(&one, CatalogChange { headings, ..new_books([Book { authors: vec![author.id], ..book(1) }]) }).await;
    soon("a new book", || version(&other, 1) == 1).await;
    assert_eq!(other.snapshot().heading(author.id).map(|h| (**h).clone()), Some(author.clone()));
    save(&other, next(1, 2)).await;
    soon("a changed book", || version(&one, 1) == 2).await;
    let delete = app::ports::BookWrite::Delete { id: BookId(1), expected: Version(2) };
    save(&one, CatalogChange { books: vec![delete], ..CatalogChange::default() }).await;
    let delete = HeadingWrite::Delete { id: author.id, expected: Version(1) };
    save(&one, CatalogChange { headings: vec![delete], ..CatalogChange::default() }).await;
    soon("a deleted heading", || other.snapshot().heading(author.id).is_none()).await;
    assert_eq!(version(&other, 1), 0, "what was deleted before is gone");
    // The name is free again, and so is the id.
    save(&other, CatalogChange { headings: vec![put_heading(author.clone(), 0)], ..CatalogChange::default() }).await;
    soon("a heading that is there again", || one.snapshot().heading(author.id).is_some()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_the_catalog_to_another_keeps_the_rules_only() {
    let (database, one, _) = two_nodes().await;
    save(&one, new_books([book(1)])).await;
    one.commit(move_stock([moved(1, StockChange::Receive(5), "delivery")]), START).await.expect("a store that works");
    save_rule(&one, stacking(1, 0)).await;
    let other = PgStore::connect(PgSettings { copies_catalog: false, ..settings(&database) }).await.expect("a store");
    assert_eq!(other.book().rules().stack_max(), Some(1));
    save(&one, next(1, 2)).await;
    save_rule(&one, stacking(2, 1)).await;
    let reserved = other.commit(move_stock([moved(1, StockChange::Reserve(2), "order")]), START).await.expect("a store that works");
    assert!(matches!(reserved, Committed::Done), "{reserved:?}");
    soon("a changed rule", || other.book().rules().stack_max() == Some(2)).await;
    soon("a level", || one.level(EditionId(1)).reserved == 2).await;
    assert_eq!((version(&other, 1), other.level(EditionId(1))), (0, StockLevel::default()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_decides_about_prices_the_others_go_by() {
    let (_database, one, other) = two_nodes().await;
    let most = |of: &PgStore| of.book().rules().stack_max();
    for rule in rules() {
        save_rule(&one, RuleWrite::Put { kept: Kept::first(rule, START), expected: Version(0) }).await;
    }
    soon("new rules", || rules().iter().all(|rule| other.book().get(&rule.key()).is_some())).await;
    save_rule(&one, stacking(1, 0)).await;
    save_rule(&one, stacking(2, 1)).await;
    soon("a changed rule", || most(&other) == Some(2)).await;
    let delete = RuleWrite::Delete { key: Rule::Stacking { most: None }.key(), expected: Version(2) };
    save_rule(&other, delete).await;
    // Its version is smaller than that of the one before it, and it is seen all the same.
    save_rule(&other, stacking(3, 0)).await;
    assert_eq!(most(&other), Some(3));
    soon("a rule put anew", || most(&one) == Some(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_moves_the_others_see() {
    let (_database, one, other) = two_nodes().await;
    let stock = vec![moved(1, StockChange::Count(7), "import")];
    save(&one, CatalogChange { stock, ..new_books([book(1)]) }).await;
    let reserve = move_stock([moved(1, StockChange::Reserve(2), "order")]);
    let committed = other.commit(reserve, START).await.expect("a store that works");
    assert!(matches!(committed, Committed::Done), "{committed:?}");
    let expected = StockLevel { on_hand: 7, reserved: 2, moves: 2 };
    assert_eq!(other.level(EditionId(1)), expected);
    soon("a move of another node", || one.level(EditionId(1)) == expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_save_makes_the_copy_as_new_as_the_refusal() {
    let (_database, one, other) = two_nodes().await;
    save(&one, new_books([book(1)])).await;
    for expected in 1..20 {
        save(&one, next(1, expected + 1)).await;
        let refused = Catalog::save(&other, next(1, expected + 1), START).await.expect("a store that works");
        assert!(matches!(refused, CatalogSaved::Conflict), "{refused:?}");
        assert_eq!(version(&other, 1), expected + 1);
    }
}

/// Saves book after book, each in a transaction of its own.
async fn save_books(on: &PgStore, count: u32) {
    for n in 1..=count {
        save(on, new_books([book(n)])).await;
    }
}

/// The books that are there are the first ones: nothing is seen before what was saved before it.
fn ensure_first(of: &PgStore) -> usize {
    let snapshot = of.snapshot();
    let mut there: Vec<_> = snapshot.books().map(|book| book.id.0).collect();
    there.sort_unstable();
    assert!(there.iter().copied().eq(1..=there.len() as u128), "{there:?}");
    there.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saves_are_seen_in_their_order() {
    let (_database, one, other) = two_nodes().await;
    let (_, ()) = tokio::join!(save_books(&one, 100), soon("all books", || ensure_first(&other) == 100));
}

/// Ends the connections by which copies are kept fresh, and says how many there were.
async fn cut(client: &Client) -> u64 {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'cartwright copy'";
    client.execute(sql, &[]).await.expect("SQL that works")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the connection is cut now and then")]
async fn a_connection_that_is_cut_loses_nothing() {
    let (database, one, other) = two_nodes().await;
    let cutter = client(&database).await;
    let cuts = async {
        let mut ended = 0;
        for _ in 0..5 {
            ended += cut(&cutter).await;
            sleep(Duration::from_millis(40)).await;
        }
        assert!(ended >= 2, "{ended}");
    };
    let seen = soon("all books", || ensure_first(&other) == 100);
    tokio::join!(save_books(&one, 100), cuts, seen);
    soon("all books where they were saved", || ensure_first(&one) == 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_began_early_and_commits_late_is_not_passed_over() {
    let database = Database::fresh();
    let patient = PgSettings { lock_max: Duration::from_secs(60), statement_max: Duration::from_secs(60), ..settings(&database) };
    let (one, other) = (PgStore::connect(patient).await.expect("a store"), node(&database).await);
    save(&one, new_books([book(1)])).await;
    let holder = client(&database).await;
    holder.batch_execute("BEGIN; SELECT FROM books FOR UPDATE").await.expect("a lock");
    // It has begun, and waits for the row that is held.
    let late = CatalogChange { books: [new_books([book(2)]).books, next(1, 2).books].concat(), ..CatalogChange::default() };
    let late = save(&one, late);
    let meanwhile = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while holder.query_one(waits, &[]).await.expect("a count").get::<_, i64>(0) == 0 {}
        save(&one, new_books([book(3)])).await;
        save(&one, new_books([book(4)])).await;
        soon("those that have committed", || version(&other, 3) == 1 && version(&other, 4) == 1).await;
        assert_eq!((version(&other, 1), version(&other, 2)), (1, 0));
        holder.batch_execute("COMMIT").await.expect("released");
    };
    tokio::join!(late, meanwhile);
    soon("the late one", || version(&other, 2) == 1).await;
    assert_eq!(version(&other, 1), 2, "all of a transaction or nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "time passes while the server is away")]
async fn a_server_that_is_away_leaves_an_aging_copy_which_then_heals() {
    let private = Private::start(&[]);
    let url = private.server.url("postgres");
    let (one, other) =
        (PgStore::connect(PgSettings::new(&url)).await.expect("a store"), PgStore::connect(PgSettings::new(&url)).await.expect("a store"));
    save(&one, new_books([book(1)])).await;
    soon("a book", || version(&other, 1) == 1).await;
    private.server.stop("immediate");
    soon("an aging copy", || other.copy_age() > Duration::from_secs(1)).await;
    assert_eq!(version(&other, 1), 1, "what is in memory is there");
    private.server.start();
    let healed = Instant::now();
    while Catalog::save(&one, new_books([book(2)]), START).await.is_err() {
        assert!(healed.elapsed() < Duration::from_secs(30));
        sleep(Duration::from_millis(10)).await;
    }
    soon("a book saved afterwards", || version(&other, 2) == 1).await;
    assert!(other.copy_age() < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the connection ends a moment later")]
async fn a_store_that_is_dropped_leaves_no_connection() {
    let database = Database::fresh();
    let watcher = client(&database).await;
    drop(node(&database).await);
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                 AND backend_type = 'client backend'";
    let begun = Instant::now();
    while watcher.query_one(count, &[]).await.expect("a count").get::<_, i64>(0) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        sleep(Duration::from_millis(10)).await;
    }
}
