//! The catalog of the real binary, as another node copies it.

use crate::scale;
use crate::shop::{Answer, Provider, Shop, dir, key};
use app::ports::{Catalog, Freshness};
use catalog_grpc::{RemoteCatalog, RemoteCatalogSettings, Token};
use serde_json::json;
use std::net::TcpListener;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
/// By which nodes know each other.
const SECRET: &str = "nodes-of-one-shop";

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalog_is_served_to_other_nodes_and_followed_to_the_end() {
    let (dir, free) = (dir(), free_port());
    let shop = Shop::start(dir.path(), &[("CARTWRIGHT_CATALOG__LISTEN", &free), ("CARTWRIGHT_CATALOG__TOKEN", SECRET)]);
    let settings = RemoteCatalogSettings::new(&format!("http://{free}"), Token::parse(SECRET).expect("a token"));
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

/// Asks again until it answers so.
async fn until(status: u16, ask: impl AsyncFn() -> Answer) -> Answer {
    let come = async {
        loop {
            let answer = ask().await;
            if answer.status == status {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, come).await.expect("what was waited for")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_the_catalogs_sells_what_was_chosen_and_nothing_new_until_it_is_back() {
    let (dir, free) = (dir(), free_port());
    let provider =
        Provider::start("127.0.0.1:0", &["payment-simulator", "--ledger", dir.path().join("paid.jsonl").to_str().expect("text")]);
    let (shared, url, catalog) = (scale::variables(scale::engines(), dir.path()), provider.url(), format!("http://{free}"));
    let all: Vec<_> = shared.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let node = |name: &str, own: &[(&str, &str)]| {
        let more = [("CARTWRIGHT_PAYMENTS__URL", url.as_str()), ("CARTWRIGHT_CATALOG__TOKEN", SECRET), ("CARTWRIGHT_NODE", name)];
        Shop::start(&dir.path().join(name), &[&all[..], &more, own].concat())
    };
    let holder = || node("holder", &[("CARTWRIGHT_ROLES", "catalog,edge,worker"), ("CARTWRIGHT_CATALOG__LISTEN", &free)]);
    let held = holder();
    let edge =
        node("edge", &[("CARTWRIGHT_ROLES", "edge"), ("CARTWRIGHT_CATALOG__URL", &catalog), ("CARTWRIGHT_CATALOG__COPY_AGE_MAX", "500ms")]);
    let client = edge.guest().await;
    let (new, _) = held.admin(dir.path()).new_book("NEW-1", 1999, 10_000).await;
    until(200, async || client.get(&format!("/books/{new}")).await).await;
    let item = json!({ "productId": new, "quantity": 1 });
    let cart = client.cart(json!([item])).await;

    held.kill();
    let items = format!("/cart/{cart}/items");
    let refused = until(503, async || client.post(&items, item.clone()).await).await;
    assert_eq!(refused.code(), "CATALOG_UNAVAILABLE");
    assert!(!refused.header("retry-after").is_empty());
    until(200, async || client.get("/health/ready").await).await;
    client.get("/books?search=dune&limit=1").await.expect(200);
    client.get(&format!("/cart/{cart}")).await.expect(200);
    let checkout = client.checkout().await;
    client.process(&checkout, "tok_visa", &key()).await.expect(200);

    let _back = holder();
    until(201, async || client.post("/cart", json!({ "items": [item] })).await).await;
}
