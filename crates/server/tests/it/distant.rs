//! The catalog of the real binary, as another node copies it.

use crate::shop::{Shop, dir};
use app::ports::{Catalog, Freshness};
use catalog_grpc::{RemoteCatalog, RemoteCatalogSettings, Token};
use std::net::TcpListener;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalog_is_served_to_other_nodes_and_followed_to_the_end() {
    let (dir, secret) = (dir(), "nodes-of-one-shop");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").to_string();
    let shop = Shop::start(dir.path(), &[("CARTWRIGHT_CATALOG__LISTEN", &free), ("CARTWRIGHT_CATALOG__TOKEN", secret)]);
    let settings = RemoteCatalogSettings::new(&format!("http://{free}"), Token::parse(secret).expect("a token"));
    let copy = RemoteCatalog::connect(settings).expect("an address");
    assert!(copy.caught_up(PATIENCE).await);
    let page = shop.client().get("/books?limit=1").await.expect(200);
    assert_eq!(page["total"].as_u64(), Some(copy.snapshot().len() as u64));

    shop.admin(dir.path()).new_book("NEW-1", 1999, 7).await;
    assert!(copy.caught_up(PATIENCE).await);
    let snapshot = copy.snapshot();
    let new = snapshot.books().flat_map(|b| &b.editions).find(|e| e.sku.as_str() == "NEW-1").expect("copied");
    assert_eq!(copy.level(new.id).available(), 7);
    assert_eq!(copy.freshness(), Freshness::Fresh);
    assert_eq!(shop.stop(), Some(0), "a follower keeps nobody from stopping");
}
