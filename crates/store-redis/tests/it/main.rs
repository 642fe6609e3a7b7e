//! Every sentence of the ports on private Redis servers, and what only a store across a network has to do.

mod agree;
mod broken;
mod cluster;
mod copies;
mod fit;
mod limits;
mod news;
mod proxy;
mod servers;
mod subject;

use conformance::Subject;
use servers::Server;
use store_redis::RedisStore;

/// A server of its own for each sentence: they start in a few milliseconds.
async fn alone() -> Subject {
    let server = Server::start(&[]);
    let store = RedisStore::connect(server.settings()).await.expect("a store");
    subject::of(store, server)
}

conformance::carts!(alone().await);
conformance::sessions!(alone().await);
conformance::outbox!(alone().await);
