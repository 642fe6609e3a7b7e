//! What happens before the first call.

use crate::proxy::Proxy;
use crate::servers::{Database, Private};
use crate::sql::{connect, number};
use app::ports::{Ledger, OrderFilter, PriceChange, Prices, RuleWrite};
use conformance::fixtures::{START, append, placed, race, rules};
use domain::ids::{OrderId, Version};
use domain::order::Actor;
use domain::pricing::{Kept, Why};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use store_postgres::{OpenError, PgSettings, PgStore};
use tempfile::TempDir;

/// Settings for a database of the shared server, which may forget. Patient, so that what a test arranges is there when it looks.
pub fn settings(database: &Database) -> PgSettings {
    let new = PgSettings::new(database.url());
    PgSettings { forgetful_allowed: true, group_lock_max: new.lock_max, ..new }
}

#[tokio::test]
async fn a_store_is_opened_again_as_it_is() {
    let database = Database::fresh();
    for _ in 0..2 {
        PgStore::connect(settings(&database)).await.expect("a store");
    }
}

#[tokio::test]
async fn a_server_that_may_forget_is_refused() {
    let database = Database::fresh();
    let refused = PgStore::connect(PgSettings::new(database.url())).await.expect_err("it may forget");
    assert!(matches!(&refused, OpenError::Forgetful(what) if what.len() == 3), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_bring_the_schema_along_once() {
    let database = Database::fresh();
    let opened = race(8, |_| {
        let settings = settings(&database);
        async move { PgStore::connect(settings).await.map(drop) }
    })
    .await;
    for store in opened {
        store.expect("a store");
    }
    let beside = connect(&database.url()).await;
    assert_eq!(
        number(&beside, "SELECT count(*) FROM migrations").await,
        number(&beside, "SELECT max(number)::bigint FROM migrations").await
    );
}

#[tokio::test]
async fn a_schema_that_this_version_does_not_know_is_refused() {
    let database = Database::fresh();
    PgStore::connect(settings(&database)).await.expect("a store");
    let beside = connect(&database.url()).await;
    beside
        .batch_execute("INSERT INTO migrations (number, name, checksum) SELECT max(number) + 1, 'later', '' FROM migrations")
        .await
        .expect("a step");
    let refused = PgStore::connect(settings(&database)).await.expect_err("newer");
    assert!(matches!(refused, OpenError::NewerFormat { found, supported } if found == supported + 1), "{refused}");
    let other = "DELETE FROM migrations WHERE name = 'later'; UPDATE migrations SET checksum = '' WHERE number = 1";
    beside.batch_execute(other).await.expect("another first step");
    let refused = PgStore::connect(settings(&database)).await.expect_err("another schema");
    assert!(matches!(refused, OpenError::OtherStep { number: 1, .. }), "{refused}");
}

#[tokio::test]
async fn a_query_that_does_not_fit_is_found_at_the_start() {
    let database = Database::fresh();
    PgStore::connect(settings(&database)).await.expect("a store");
    connect(&database.url()).await.batch_execute("ALTER TABLE notices RENAME TO notes").await.expect("renamed");
    let refused = PgStore::connect(settings(&database)).await.expect_err("a query that does not fit");
    assert!(refused.to_string().contains("notices"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_from_the_replica_and_decisions_never_do() {
    let (primary, replica) = (Database::fresh(), Database::fresh());
    let behind = PgStore::connect(settings(&replica)).await.expect("a store");
    let store = PgStore::connect(PgSettings { read_url: Some(replica.url()), ..settings(&primary) }).await.expect("a store");
    store.commit(append(placed(1, START)), START).await.expect("a store that works");
    behind.commit(append(placed(2, START)), START).await.expect("a store that works");
    let [one, two] = [OrderId(1), OrderId(2)];
    let listed = store.orders(&OrderFilter::default(), 10).await.expect("a store that works");
    assert_eq!(listed.iter().map(|o| o.id).collect::<Vec<_>>(), [two]);
    let history = async |id| store.order_events(id).await.expect("a store that works").len();
    assert_eq!((history(one).await, history(two).await), (0, 2));
    let there = async |id| store.order(id).await.expect("a store that works").is_some();
    assert_eq!((there(one).await, there(two).await), (true, false));
    let kept = Kept { rule: rules().remove(0), version: Version(1), updated_at: START };
    let put = RuleWrite::Put { kept: Arc::new(kept), expected: Version(0) };
    let change = PriceChange { rules: vec![put], ..PriceChange::by(Why { actor: Actor::System, reason: None }) };
    Prices::save(&store, change, START).await.expect("a store that works");
    // A node that starts goes by this: who has decided gets no first rules.
    assert_eq!(store.audit(None, None, 1).await.expect("a store that works").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_servers_the_one_that_takes_writes_is_found_past_those_that_do_not_and_those_that_hang() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (primary, other) = (Private::start(&[]), Private::start(&["default_transaction_read_only = on"]));
    let ports = [silent.local_addr().expect("an address").port(), other.server.port, primary.server.port];
    let hosts = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
    let url = format!("postgres://postgres@{hosts}/postgres?target_session_attrs=read-write");
    let store = PgStore::connect(PgSettings { connect_max: Duration::from_secs(3), ..PgSettings::new(url) }).await.expect("a store");
    store.commit(append(placed(1, START)), START).await.expect("a store that works");
    let alone = PgStore::connect(PgSettings::new(primary.server.url("postgres"))).await.expect("a store");
    assert!(alone.order(OrderId(1)).await.expect("a store that works").is_some());
}

/// A replica that has an order of its own, which tells who was read.
async fn with_replica(port: u16, primary: PgSettings, replica: &Private) -> PgStore {
    let behind = PgStore::connect(PgSettings::new(replica.server.url("postgres"))).await.expect("a store");
    behind.commit(append(placed(2, START)), START).await.expect("a store that works");
    let read_url = replica.server.url("postgres").replace(&replica.server.port.to_string(), &port.to_string());
    let store = PgStore::connect(PgSettings { read_url: Some(read_url), ..primary }).await.expect("a store");
    store.commit(append(placed(1, START)), START).await.expect("a store that works");
    store
}

async fn listed(store: &PgStore) -> Vec<OrderId> {
    store.orders(&OrderFilter::default(), 10).await.expect("lists never fail for want of a replica").iter().map(|o| o.id).collect()
}

async fn listed_again(store: &PgStore, expected: OrderId) {
    let read = async { while listed(store).await != [expected] {} };
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("it is read again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_replica_is_away_lists_come_from_the_primary() {
    let (primary, replica) = (Database::fresh(), Private::start(&[]));
    let proxy = Proxy::start(primary.port()).await;
    let url = primary.url().replace(&format!(":{}/", primary.port()), &format!(":{}/", proxy.port));
    let store = with_replica(replica.server.port, PgSettings { url, ..settings(&primary) }, &replica).await;
    let [one, two] = [OrderId(1), OrderId(2)];
    assert_eq!(listed(&store).await, [two]);
    replica.server.stop("immediate");
    for _ in 0..3 {
        assert_eq!(listed(&store).await, [one]);
        assert_eq!(store.order_events(one).await.expect("a history").len(), 2);
    }
    replica.server.start();
    listed_again(&store, two).await;
    replica.server.stop("immediate");
    assert_eq!(listed(&store).await, [one]);
    replica.server.start();
    drop(proxy);
    assert_eq!(listed(&store).await, [two], "it is away, as far as is known, and the primary too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_replica_is_silent_lists_come_from_the_primary() {
    let (primary, replica) = (Database::fresh(), Private::start(&[]));
    let proxy = Proxy::start(replica.server.port).await;
    let store = with_replica(proxy.port, settings(&primary), &replica).await;
    let [one, two] = [OrderId(1), OrderId(2)];
    assert_eq!(listed(&store).await, [two]);
    proxy.hold(true);
    for _ in 0..3 {
        assert_eq!(listed(&store).await, [one]);
    }
    proxy.hold(false);
    listed_again(&store, two).await;
}

/// A certificate for this address, signed by itself, and the server that has it.
fn with_certificate() -> (Private, TempDir) {
    let dir = TempDir::new().expect("a temporary directory");
    let (key, certificate) = (dir.path().join("key.pem"), dir.path().join("cert.pem"));
    let mut make = Command::new("openssl");
    make.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test"]);
    make.args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    let made = make.output().expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let server = Private::with_files(&[(&key, "server.key"), (&certificate, "server.crt")], &["ssl = on"]);
    (server, dir)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_on_the_other_side_of_tls_is_checked() {
    let (private, dir) = with_certificate();
    let url = private.server.url("postgres") + "?sslmode=require";
    let stranger = PgStore::connect(PgSettings::new(&url)).await.expect_err("nobody vouches for it");
    assert!(matches!(stranger, OpenError::Database(_)), "{stranger}");
    let own = PgSettings { root_certificates: Some(dir.path().join("cert.pem")), ..PgSettings::new(&url) };
    let store = PgStore::connect(own).await.expect("a store");
    store.commit(append(placed(1, START)), START).await.expect("a store that works");
    let beside = connect(&private.server.url("postgres")).await;
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'cartwright'";
    assert!(number(&beside, encrypted).await > 0);
}
