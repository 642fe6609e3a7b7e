//! A node that holds a catalog, which can be ended and started anew at the same address.

use app::ports::Freshness;
use catalog_grpc::{RemoteCatalog, RemoteCatalogSettings, Served, Token, serve};
use memory::MemoryStore;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub struct Node {
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

pub fn token() -> Token {
    Token::parse("nodes-of-one-shop").expect("a token")
}

/// What is served of a store.
pub fn of(store: &MemoryStore) -> Served {
    Served { catalog: Arc::new(store.clone()), search: Arc::new(store.clone()), token: token() }
}

impl Node {
    pub async fn start(served: Served) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), served).await
    }

    #[expect(clippy::disallowed_methods, reason = "a node of a test ends with it")]
    pub async fn start_at(address: SocketAddr, served: Served) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = watch::Sender::new(false);
        let told = stop.subscribe();
        let serving = tokio::spawn(async move { serve(listener, served, told).await.expect("served") });
        Self { address, stop, serving }
    }

    /// Ends in good order, also with followers.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.serving.await.expect("ended");
    }

    pub fn settings(&self) -> RemoteCatalogSettings {
        settings(self.address)
    }

    /// Another node's copy of what is there.
    pub async fn copied(&self) -> RemoteCatalog {
        let remote = RemoteCatalog::connect(self.settings()).expect("an address");
        assert!(remote.caught_up(PATIENCE).await);
        remote
    }
}

/// Longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn settings(address: SocketAddr) -> RemoteCatalogSettings {
    RemoteCatalogSettings { refresh: Duration::from_millis(10), ..RemoteCatalogSettings::new(&format!("http://{address}"), token()) }
}

/// Waits for what is bound to come.
#[expect(clippy::disallowed_methods, reason = "it comes from another task")]
pub async fn until(what: impl Fn() -> bool) {
    let come = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, come).await.expect("what was waited for");
}

pub async fn until_it_is(freshness: Freshness, remote: &RemoteCatalog) {
    until(|| app::ports::Catalog::freshness(remote) == freshness).await;
}
