//! Every sentence of the ports on private Redis servers, and what only a store across a network has to do.

mod limits;
mod servers;

use servers::Server;
use store_redis::RedisStore;

#[tokio::test]
async fn a_store_connects_to_a_server_of_its_own() {
    let server = Server::start(&[]);
    RedisStore::connect(server.settings()).await.expect("a store");
}
