//! What calls come to when the other node is slow, away, or does not know us.

use crate::served::{Node, PATIENCE, of, settings};
use app::ports::{Catalog, CatalogChange, DidItHappen, Freshness, PortError, PortErrorKind};
use catalog_grpc::{RemoteCatalog, RemoteCatalogSettings, Token};
use conformance::fixtures::{START, book, new_books};
use domain::ids::EditionId;
use memory::MemoryStore;
use outbound::Patience;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

/// Takes connections and says nothing.
#[expect(clippy::disallowed_methods, reason = "it listens until its test ends it")]
async fn mute() -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let listening = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    (address, listening)
}

fn impatient(address: SocketAddr) -> RemoteCatalogSettings {
    let patience =
        Patience { timeout: Duration::from_millis(100), retries_max: 0, breaker_calls: 4, breaker_pause: PATIENCE, ..Patience::default() };
    RemoteCatalogSettings { patience, save_within: patience.timeout, ..settings(address) }
}

async fn asked(remote: &RemoteCatalog) -> PortError {
    remote.prices(EditionId(1), None, 10).await.expect_err("no answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_node_is_waited_for_until_the_deadline_and_then_left_alone() {
    let (address, listening) = mute().await;
    let remote = RemoteCatalog::connect(impatient(address)).expect("an address");
    let first = asked(&remote).await;
    assert_eq!((first.port, first.kind, first.did_it_happen), ("catalog", PortErrorKind::Timeout, DidItHappen::No), "{first}");
    let mut last = first;
    for _ in 0..8 {
        last = asked(&remote).await;
    }
    assert!(last.to_string().contains("left alone"), "{last}");
    assert_eq!(last.kind, PortErrorKind::Unavailable);
    assert_eq!(remote.freshness(), Freshness::Unknown);
    listening.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_nobody_answered_is_unknown_and_one_nobody_heard_did_not_happen() {
    let change = || new_books([book(1)]);
    let (address, listening) = mute().await;
    let remote = RemoteCatalog::connect(impatient(address)).expect("an address");
    let error = remote.save(change(), START).await.expect_err("no answer");
    assert_eq!(error.did_it_happen, DidItHappen::Unknown, "{error}");
    listening.abort();

    let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("an address");
    let remote = RemoteCatalog::connect(impatient(free)).expect("an address");
    let error = remote.save(change(), START).await.expect_err("nobody is there");
    assert_eq!((error.kind, error.did_it_happen), (PortErrorKind::Unavailable, DidItHappen::No), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_shop_is_told_nothing_and_changes_nothing() {
    let store = MemoryStore::new();
    let node = Node::start(of(&store)).await;
    let token = Token::parse("nodes-of-another-shop").expect("a token");
    let stranger = RemoteCatalog::connect(RemoteCatalogSettings { token, ..node.settings() }).expect("an address");
    let error = stranger.save(new_books([book(1)]), START).await.expect_err("refused");
    assert_eq!((error.kind, error.did_it_happen), (PortErrorKind::Unavailable, DidItHappen::No), "{error}");
    assert!(store.snapshot().is_empty());
    assert!(!stranger.caught_up(Duration::from_millis(200)).await);
    assert_eq!(stranger.freshness(), Freshness::Unknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_saved_through_a_copy_is_saved_once_for_all() {
    let store = MemoryStore::new();
    let node = Node::start(of(&store)).await;
    let (here, there) = (node.copied().await, node.copied().await);
    here.save(CatalogChange { ..new_books([book(1)]) }, START).await.expect("saved");
    assert_eq!((here.snapshot().len(), store.snapshot().len()), (1, 1), "in the copy it went through at once");
    assert!(there.caught_up(PATIENCE).await);
    assert_eq!(there.snapshot().len(), 1);
}

#[tokio::test]
async fn an_address_is_http_and_nothing_else() {
    for url in
        ["", "catalog:50051", "https://catalog:50051", "http://", "http://user@catalog:1", "http://catalog:1/path", "http://catalog:1?q"]
    {
        let settings = RemoteCatalogSettings { url: url.to_owned(), ..settings("127.0.0.1:1".parse().expect("an address")) };
        assert!(RemoteCatalog::connect(settings).is_err(), "{url}");
    }
}
