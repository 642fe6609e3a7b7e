//! The connection breaks, the server is restarted, takes no writes, has no room: nothing is done by half, nothing twice, and
//! what is said to have happened has.

use crate::proxy::{Cut, Proxy};
use crate::servers::{Database, Private};
use crate::sql::{connect, number, until, waiting};
use crate::start::settings;
use app::ports::{Change, Committed, DidItHappen, Ledger, PortError, PortErrorKind};
use conformance::fixtures::{START, append, move_stock, moved, placed};
use domain::ids::{EditionId, OrderId};
use domain::stock::{StockChange, StockLevel};
use std::collections::BTreeSet;
use std::time::Duration;
use store_postgres::{PgSettings, PgStore};
use tokio::task::JoinSet;

async fn commit(store: &PgStore, change: Change) -> Result<Committed, PortError> {
    store.commit(change, START).await
}

#[track_caller]
fn done(committed: Result<Committed, PortError>) {
    assert!(matches!(committed, Ok(Committed::Done)), "{committed:?}");
}

fn receive(cause: &str) -> Change {
    move_stock([moved(1, StockChange::Receive(1), cause)])
}

async fn on_hand(store: &PgStore) -> u32 {
    let StockLevel { on_hand, moves, .. } = store.stock(EditionId(1)).await.expect("a store that works");
    assert_eq!(u64::from(on_hand), moves, "one move a copy");
    on_hand
}

/// A store behind a proxy, of one connection.
async fn behind_proxy(database: &Database) -> (PgStore, Proxy) {
    let proxy = Proxy::start(database.port()).await;
    let url = database.url().replace(&format!(":{}/", database.port()), &format!(":{}/", proxy.port));
    let settings = PgSettings { url, connections_max: 2, resolve_max: Duration::from_secs(20), ..settings(database) };
    (PgStore::connect(settings).await.expect("a store"), proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_around_a_commit_leaves_it_done_once() {
    let database = Database::fresh();
    let (store, proxy) = behind_proxy(&database).await;
    for n in 1..=30 {
        let cut = [Cut::Before, Cut::Behind, Cut::Answer][n % 3];
        let order = placed(n as u128, START);
        proxy.cut(&format!("cause {n}."), cut);
        done(commit(&store, Change { stock: receive(&format!("cause {n}.")).stock, ..append(order.clone()) }).await);
        assert_eq!((on_hand(&store).await as usize, proxy.cuts() as usize), (n, n), "{cut:?}");
        assert_eq!(store.order(OrderId(n as u128)).await.expect("a store that works"), Some(order.order), "{cut:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_still_on_its_way_when_it_is_asked_for_counts_as_what_it_comes_to() {
    let database = Database::fresh();
    let (store, proxy) = behind_proxy(&database).await;
    done(commit(&store, receive("first")).await);
    let beside = connect(&database.url()).await;
    beside.batch_execute("BEGIN; UPDATE stock SET moves = moves").await.expect("a lock");
    proxy.cut("second", Cut::Behind);
    let (committed, ()) = tokio::join!(commit(&store, receive("second")), async {
        // The lost one waits for the lock, and whoever asks for it waits for the lost one.
        let watching = connect(&database.url()).await;
        until(&watching, &waiting(2)).await;
        beside.batch_execute("COMMIT").await.expect("the lock is free");
    });
    done(committed);
    assert_eq!((on_hand(&store).await, proxy.cuts()), (2, 1));
}

#[tokio::test]
async fn a_commit_that_was_found_not_to_have_happened_never_will() {
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    let beside = connect(&database.url()).await;
    let id = "'00000000-0000-0000-0000-000000000007'";
    for _ in 0..2 {
        let rows = beside.query(&format!("SELECT did_it_happen({id})"), &[]).await.expect("an answer");
        assert!(!rows[0].get::<_, bool>(0), "however often it is asked");
    }
    let late = format!("INSERT INTO commits (id) VALUES ({id})");
    assert!(beside.batch_execute(&late).await.expect_err("too late").code().is_some_and(|code| code.code() == "23505"));
    drop(store);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_a_commit_is_unknown_only_when_nobody_can_be_asked() {
    let database = Database::fresh();
    let before = PgStore::connect(settings(&database)).await.expect("a store");
    done(commit(&before, receive("before")).await);
    for (cut, copies) in [(Cut::Before, 1), (Cut::Answer, 2)] {
        let proxy = Proxy::start(database.port()).await;
        let url = database.url().replace(&format!(":{}/", database.port()), &format!(":{}/", proxy.port));
        let impatient = PgSettings { url, connections_max: 1, resolve_max: Duration::from_millis(300), ..settings(&database) };
        let store = PgStore::connect(impatient).await.expect("a store");
        proxy.cut_for_good("lost", cut);
        let lost = commit(&store, receive("lost")).await.expect_err("nobody there");
        assert_eq!(lost.did_it_happen, DidItHappen::Unknown, "{lost}");
        let refused = commit(&store, receive("refused")).await.expect_err("nobody there");
        assert_eq!((refused.kind, refused.did_it_happen), (PortErrorKind::Unavailable, DidItHappen::No), "{refused}");
        let again = PgStore::connect(settings(&database)).await.expect("a store");
        assert_eq!(on_hand(&again).await, copies, "{cut:?}");
    }
}

fn settings_of(private: &Private) -> PgSettings {
    PgSettings::new(private.server.url("postgres"))
}

/// Receives copies under causes of its own until it is told to stop; which were acknowledged, and which nobody knows of.
async fn receive_on(store: PgStore, who: usize, stop: tokio::sync::watch::Receiver<bool>) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut acknowledged, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for n in 0.. {
        let cause = format!("{who}.{n}");
        let one = move_stock([moved(who as u128, StockChange::Receive(1), &cause)]);
        match store.commit(one, START).await {
            Ok(Committed::Done) => drop(acknowledged.insert(cause)),
            Err(error) if error.did_it_happen == DidItHappen::Unknown => drop(unknown.insert(cause)),
            Err(_) => tokio::task::yield_now().await,
            Ok(other) => panic!("{other:?}"),
        }
        if *stop.borrow() {
            break;
        }
    }
    (acknowledged, unknown)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_restarted_under_load_loses_nothing_that_was_acknowledged() {
    let private = Private::start(&[]);
    let store = PgStore::connect(PgSettings { connections_max: 4, ..settings_of(&private) }).await.expect("a store");
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut running: JoinSet<_> = (0..8).map(|who| receive_on(store.clone(), who, stopped.clone())).collect();
    let private = tokio::task::spawn_blocking(move || {
        for mode in ["fast", "immediate"] {
            private.server.stop(mode);
            private.server.start();
        }
        private
    })
    .await
    .expect("no panic");
    // The same store works on, with new connections.
    let more = async |n: u32| commit(&store, receive(&format!("after {n}"))).await;
    let mut n = 0;
    while !matches!(more(n).await, Ok(Committed::Done)) {
        n += 1;
        assert!(n < 10_000, "it never comes back");
    }
    stop.send(true).expect("they run");
    let (mut acknowledged, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    while let Some(one) = running.join_next().await {
        let (done, open) = one.expect("no panic");
        acknowledged.extend(done);
        unknown.extend(open);
    }
    let beside = connect(&private.server.url("postgres")).await;
    let stored = beside.query("SELECT cause FROM stock_moves WHERE cause NOT LIKE 'after%'", &[]).await.expect("rows");
    let stored: BTreeSet<String> = stored.iter().map(|row| row.get(0)).collect();
    assert!(!acknowledged.is_empty() && acknowledged.is_subset(&stored));
    let strangers: Vec<_> = stored.difference(&acknowledged).filter(|cause| !unknown.contains(*cause)).collect();
    assert!(strangers.is_empty(), "said not to have happened: {strangers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_writes_is_left_and_found_again_when_it_does() {
    let private = Private::start(&[]);
    let store = PgStore::connect(settings_of(&private)).await.expect("a store");
    done(commit(&store, receive("before")).await);
    let beside = connect(&private.server.url("postgres")).await;
    let set = async |on: &str| {
        beside.batch_execute(&format!("ALTER SYSTEM SET default_transaction_read_only = {on}")).await.expect("set");
        beside.batch_execute("SELECT pg_reload_conf()").await.expect("reloaded");
    };
    set("on").await;
    until(&beside, "current_setting('default_transaction_read_only') = 'on'").await;
    // The first meets it on its connection, the second finds nobody that takes writes.
    for n in 0..2 {
        let refused = commit(&store, receive("while")).await.expect_err("read only");
        assert_eq!((refused.kind, refused.did_it_happen), (PortErrorKind::Unavailable, DidItHappen::No), "{n}: {refused}");
    }
    beside.batch_execute("SET default_transaction_read_only = off").await.expect("set");
    set("off").await;
    done(commit(&store, receive("after")).await);
    assert_eq!(on_hand(&store).await, 2);
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_reads_go_on() {
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    done(commit(&store, receive("before")).await);
    let beside = connect(&database.url()).await;
    // As the server says it; a disk cannot be filled everywhere.
    let full = "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$
                    BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
                CREATE TRIGGER no_room BEFORE INSERT ON outgoing EXECUTE FUNCTION no_room()";
    beside.batch_execute(full).await.expect("a trigger");
    let refused = commit(&store, receive("while")).await.expect_err("no room");
    assert_eq!((refused.kind, refused.did_it_happen), (PortErrorKind::Full, DidItHappen::No), "{refused}");
    assert_eq!(on_hand(&store).await, 1);
    beside.batch_execute("DROP TRIGGER no_room ON outgoing").await.expect("room");
    done(commit(&store, receive("while")).await);
    assert_eq!(on_hand(&store).await, 2);
}

#[tokio::test]
async fn whoever_waits_too_long_is_told_and_nothing_has_happened() {
    let database = Database::fresh();
    let short = Duration::from_millis(100);
    let patient = PgStore::connect(settings(&database)).await.expect("a store");
    done(commit(&patient, receive("before")).await);
    let beside = connect(&database.url()).await;
    beside.batch_execute("BEGIN; UPDATE stock SET moves = moves").await.expect("a lock");
    for settings in [PgSettings { lock_max: short, ..settings(&database) }, PgSettings { statement_max: short, ..settings(&database) }] {
        let store = PgStore::connect(settings).await.expect("a store");
        let refused = commit(&store, receive("while")).await.expect_err("locked");
        assert_eq!((refused.kind, refused.did_it_happen), (PortErrorKind::Timeout, DidItHappen::No), "{refused}");
    }
    // Nor does anybody wait for a connection for ever.
    let one = PgStore::connect(PgSettings { connections_max: 1, wait_max: short, ..settings(&database) }).await.expect("a store");
    let (held, waiting) = tokio::join!(commit(&one, receive("while")), async {
        until(&connect(&database.url()).await, &waiting(1)).await;
        let waiting = commit(&one, receive("while")).await;
        beside.batch_execute("COMMIT").await.expect("the lock is free");
        waiting
    });
    done(held);
    let waiting = waiting.expect_err("no connection");
    assert_eq!((waiting.kind, waiting.did_it_happen), (PortErrorKind::Timeout, DidItHappen::No), "{waiting}");
    assert_eq!(on_hand(&patient).await, 2);
    assert_eq!(number(&connect(&database.url()).await, "SELECT count(*) FROM stock_moves").await, 2);
}
