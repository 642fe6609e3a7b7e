//! Servers that will do and servers that will not, and what becomes of one that has no room, forgets, or asks who is there.

use crate::servers::{Server, free_port};
use app::ports::{AtLeast, Carts, DidItHappen, FailuresMax, Outbox, PortErrorKind, Quota, Room, Saved, SharedLimits};
use conformance::fixtures::add;
use conformance::fixtures::{
    START, at, cart_of, cart_writes, changed, customer, delete_cart, digest, guest, put_cart, save_cart, session, session_event,
};
use domain::cart::{Command, Strategy};
use domain::event::Subject;
use domain::ids::{CartId, SessionId};
use domain::session::SessionEvent;
use redis::cmd;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::process::Command as Process;
use std::time::Duration;
use store_redis::{OpenError, RedisLimits, RedisSettings, RedisStore};
use tempfile::TempDir;

#[tokio::test]
async fn a_server_that_throws_carts_away_is_refused() {
    for policy in ["allkeys-lru", "volatile-ttl", "allkeys-random"] {
        let server = Server::start(&["--maxmemory", "100mb", "--maxmemory-policy", policy]);
        let refused = RedisStore::connect(server.settings()).await.expect_err("refused");
        assert!(matches!(refused, OpenError::Unfit(..)) && refused.to_string().contains(policy), "{refused}");
    }
}

#[tokio::test]
async fn a_server_without_an_append_only_file_is_refused_when_one_is_required() {
    let server = Server::start(&["--appendonly", "no"]);
    server.store().await;
    let refused = RedisStore::connect(RedisSettings { require_aof: true, ..server.settings() }).await.expect_err("refused");
    assert!(refused.to_string().contains("append-only"), "{refused}");
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let settings = RedisSettings { urls: vec![format!("redis://127.0.0.1:{}", free_port())], ..RedisSettings::default() };
    assert!(matches!(RedisStore::connect(settings).await, Err(OpenError::Unreachable(_))));
    let settings = RedisSettings { urls: vec!["not an address".to_owned()], ..RedisSettings::default() };
    assert!(matches!(RedisStore::connect(settings).await, Err(OpenError::Url(_))));
    let settings = RedisSettings { prefix: "{1}".to_owned(), ..RedisSettings::default() };
    assert!(matches!(RedisStore::connect(settings).await, Err(OpenError::Prefix(_))));
}

#[tokio::test]
async fn a_full_server_refuses_writes_answers_reads_and_lets_go_of_carts() {
    let server = Server::start(&[]);
    let store = server.store().await;
    let cart = cart_of(1, guest(1), START);
    assert!(matches!(store.save(save_cart(&cart, 0), START).await, Ok(Saved::Done)));
    server.ask::<()>(cmd("CONFIG").arg("SET").arg("maxmemory").arg(1)).await;
    let next = changed(&cart.cart, &[add(2, 1)], at(1));
    let refused = store.save(save_cart(&next, 2), at(1)).await.expect_err("no room");
    assert_eq!((refused.kind, refused.did_it_happen), (PortErrorKind::Full, DidItHappen::No));
    let another = server.store().await;
    for store in [&store, &another] {
        let there = store.load(CartId(1), AtLeast::Now, at(1)).await.expect("reads go on").expect("the cart");
        assert_eq!(*there, cart.cart);
    }
    assert!(matches!(store.save(cart_writes([delete_cart(1, 2)]), at(1)).await, Ok(Saved::Done)));
    let pending = store.pending(10).await.expect("events");
    store.delivered(&pending.into_iter().map(|p| p.position).collect::<Vec<_>>(), at(1)).await.expect("room is made");
    server.ask::<()>(cmd("CONFIG").arg("SET").arg("maxmemory").arg(0)).await;
    assert!(matches!(store.save(save_cart(&cart_of(2, guest(2), START), 0), START).await, Ok(Saved::Done)));
}

#[tokio::test]
async fn functions_that_were_lost_are_loaded_again() {
    let server = Server::start(&[]);
    let store = server.store().await;
    for n in 1..=3 {
        server.ask::<()>(cmd("FUNCTION").arg("FLUSH")).await;
        assert!(matches!(store.save(save_cart(&cart_of(n, guest(n), START), 0), START).await, Ok(Saved::Done)));
    }
    server.ask::<()>(cmd("FUNCTION").arg("FLUSH")).await;
    assert_eq!(store.of_owner(&guest(3), START).await.expect("a store that works"), Some(CartId(3)));
}

#[tokio::test]
async fn a_cart_of_another_partition_than_its_owner_is_refused() {
    let server = Server::start(&[]);
    let store = server.store().await;
    let mut cart = cart_of(1, guest(1), START).cart;
    cart.id = CartId(2);
    let refused = store.save(cart_writes([put_cart(&cart, 0)]), START).await.expect_err("refused");
    assert_eq!(refused.did_it_happen, DidItHappen::No);
}

#[tokio::test]
async fn events_come_as_many_as_are_asked_for_also_where_most_lie_in_one_place() {
    let server = Server::start(&[]);
    let store = server.store().await;
    for n in 1..=5 {
        assert!(matches!(store.save(save_cart(&cart_of(n, guest(n), START), 0), START).await, Ok(Saved::Done)));
    }
    let mut cart = cart_of(1, guest(1), START).cart;
    for n in 1..=50 {
        let next = changed(&cart, &[add(1, 1)], at(n));
        assert!(matches!(store.save(save_cart(&next, cart.version.0), at(n)).await, Ok(Saved::Done)));
        cart = next.cart;
    }
    let mut told: BTreeMap<Subject, Vec<u64>> = BTreeMap::new();
    for expected in [40, 20, 0] {
        let pending = store.pending(40).await.expect("events");
        assert_eq!(pending.len(), expected);
        let (positions, events): (Vec<_>, Vec<_>) = pending.into_iter().map(|p| (p.position, p.event)).unzip();
        events.into_iter().for_each(|event| told.entry(event.subject).or_default().push(event.sequence));
        store.delivered(&positions, at(100)).await.expect("delivered");
    }
    let few = (2..=5).map(|n| (Subject::Cart(CartId(n)), vec![1, 2]));
    let many = (Subject::Cart(CartId(1)), (1..=52).collect());
    assert_eq!(told, few.chain([many]).collect());
}

/// All that a store does, once.
async fn everything(store: &RedisStore) {
    let target = cart_of(1, customer("alice"), START);
    let source = cart_of(2, guest(2), START);
    for cart in [&target, &source] {
        assert!(matches!(store.save(save_cart(cart, 0), START).await, Ok(Saved::Done)));
    }
    let merge = Command::Merge { source: Box::new(source.cart), strategy: Strategy::Sum };
    let merged = changed(&target.cart, &[merge], at(1)).cart;
    let merge = cart_writes([put_cart(&merged, 2), delete_cart(2, 2)]);
    assert!(matches!(store.save(merge, at(1)).await, Ok(Saved::Done)));
    let none = changed(&merged, &[Command::Clear], at(1));
    assert!(matches!(store.save(save_cart(&none, merged.version.0), at(1)).await, Ok(Saved::Done)));
    assert_eq!(store.of_owner(&customer("alice"), at(1)).await.expect("a store that works"), Some(merged.id));
    app::ports::Sessions::create(store, session(3), digest(3), session_event(3, 1, SessionEvent::Started)).await.expect("a session");
    assert!(app::ports::Sessions::by_token(store, digest(3), START).await.expect("a store that works").is_some());
    assert!(app::ports::Sessions::end(store, SessionId(3), session_event(3, 2, SessionEvent::Ended)).await.expect("a store that works"));
    assert_eq!(store.expired(at(1_000_000), 10).await.expect("a store that works").len(), 1);
    assert_eq!(app::ports::Sessions::sweep(store, at(1_000_000), 10).await.expect("a store that works"), 0);
    let pending = store.pending(10).await.expect("events");
    assert_eq!(pending.len(), 7);
    store.delivered(&pending.into_iter().map(|p| p.position).collect::<Vec<_>>(), at(1)).await.expect("delivered");
    assert_eq!(Carts::answer(store, [1; 16]).await.expect("a store that works"), None);
}

/// What the documentation says a store's user needs.
const RIGHTS: &str = "~cw:* resetchannels -@all +hello +ping +info +asking +wait +time +client|tracking +cluster|slots +function|load +fcall \
                      +get +set +del +exists +hget +hmget +hset +hsetnx +hdel +hlen +hexists +hgetall +pexpire +zadd +zrem +zcard +zscore \
                      +zrange +zrangebyscore +zremrangebyscore +xadd +xrange +xdel";

#[tokio::test]
async fn a_user_with_few_rights_and_a_password_is_enough_over_tls_and_a_stranger_is_not_trusted() {
    let dir = TempDir::new().expect("a temporary directory");
    let ca = certificates(&dir);
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (tls_port, cert, key, ca_file) = (free_port().to_string(), file("server.pem"), file("server.key"), file("ca.pem"));
    let options = ["--tls-port", &tls_port, "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca_file];
    let user = format!("user shop on >secret {RIGHTS}");
    std::fs::write(dir.path().join("users.acl"), format!("{user}\nuser default on nopass ~* &* +@all\n")).expect("a file");
    let acl = file("users.acl");
    let mut options = options.to_vec();
    options.extend(["--tls-auth-clients", "no", "--aclfile", &acl]);
    let server = Server::start_in(dir, &options);
    let settings = RedisSettings {
        urls: vec![format!("rediss://shop:secret@127.0.0.1:{tls_port}")],
        ca_file: Some(ca.clone()),
        ..RedisSettings::default()
    };
    everything(&RedisStore::connect(settings.clone()).await.expect("a store")).await;
    let limits = RedisLimits::connect(settings.clone(), Duration::from_secs(20)).await.expect("limits");
    let hour = Duration::from_secs(3600);
    let max = FailuresMax { amount: 1, window: hour };
    limits.spend("a", Quota { amount: NonZeroU32::MIN, span: hour }).await.expect("an answer");
    for (ticket, room) in [([1; 16], Room::There), ([2; 16], Room::Perhaps)] {
        assert_eq!(limits.admit("a", ticket, max, hour).await.expect("an answer"), room);
    }
    limits.settle("a", Some([1; 16]), Some([3; 16]), hour).await.expect("an answer");
    assert!(matches!(limits.admit("a", [2; 16], max, hour).await.expect("an answer"), Room::None(_)));

    let other = TempDir::new().expect("a temporary directory");
    let strangers = RedisSettings { ca_file: Some(certificates(&other)), ..settings.clone() };
    assert!(matches!(RedisStore::connect(strangers).await, Err(OpenError::Unreachable(_))));
    let wrong = RedisSettings { urls: vec![format!("rediss://shop:wrong@127.0.0.1:{tls_port}")], ..settings };
    assert!(matches!(RedisStore::connect(wrong).await, Err(OpenError::Unreachable(_))));
    assert!(server.dir().exists());
}

/// An authority, and a certificate of 127.0.0.1 by it; where the authority's is.
fn certificates(dir: &TempDir) -> std::path::PathBuf {
    let run = |args: &[&str]| {
        let made = Process::new("openssl").args(args).current_dir(dir.path()).output().expect("openssl is installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    run(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=test authority",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
    ]);
    run(&[
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=127.0.0.1",
        "-keyout",
        "server.key",
        "-out",
        "server.csr",
    ]);
    std::fs::write(dir.path().join("names"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").expect("a file");
    run(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "names",
        "-out",
        "server.pem",
    ]);
    dir.path().join("ca.pem")
}
