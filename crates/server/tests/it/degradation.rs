//! What works, and what is answered, while an engine of a store at scale is gone: the table of docs/operations.md, line by line, through
//! the balancer, on engines of this test alone.

use crate::scale::{Broken, Engines, try_start};
use crate::shop::{Answer, Client, Shop, binary, dir, key};
use hyper::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Longer than any failover or restart here takes.
const HEALED_WITHIN: Duration = Duration::from_secs(60);

const REDIS: [&str; 6] = ["redis-1", "redis-2", "redis-3", "redis-4", "redis-5", "redis-6"];

/// A shopper in the middle of things.
struct Stage {
    shop: Shop,
    book: String,
    customer: Client,
    cart: String,
}

/// What a shopper may ask for, and whether it needs an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Search,
    ReadCart,
    Add,
    Checkout,
    ListOrders,
}

const ALL: [Asked; 5] = [Asked::Search, Asked::ReadCart, Asked::Add, Asked::Checkout, Asked::ListOrders];

impl Stage {
    async fn set(engines: &Engines, dir: &Path) -> Self {
        let shop = tokio::task::block_in_place(|| try_start(engines, &binary(), dir, &[]).expect("ready"));
        let (book, _) = shop.admin(dir).new_book("DEGRADED", 1000, 100_000).await;
        let customer = shop.customer(dir, "alice");
        let cart = customer.cart(json!([{ "productId": book, "quantity": 1 }])).await;
        let stage = Self { shop, book, customer, cart };
        stage.heals().await;
        stage
    }

    async fn ask(&self, what: Asked) -> Answer {
        let get = |path: String| async move { self.customer.get(&path).await };
        let post = |path: String, body: Value| async move {
            let sent = self.customer.send(Method::POST, &path, &[("idempotency-key", &key())], body.to_string()).await;
            sent.expect("an answer")
        };
        match what {
            Asked::Search => get("/books?search=degraded&limit=1".into()).await,
            Asked::ReadCart => get(format!("/cart/{}", self.cart)).await,
            Asked::Add => post(format!("/cart/{}/items", self.cart), json!({ "productId": self.book, "quantity": 1 })).await,
            Asked::Checkout => post("/checkout/session".into(), json!({ "email": "ada@example.com" })).await,
            Asked::ListOrders => get("/orders".into()).await,
        }
    }

    /// These do not work, and say so in a way that can be acted on; all others work.
    async fn only_these_fail(&self, when: &str, failing: &[Asked], codes: &[(u16, &str)]) {
        for what in ALL {
            let answer = self.ask(what).await;
            if failing.contains(&what) {
                let told = codes.iter().any(|(status, code)| answer.status == *status && answer.code() == *code);
                assert!(told, "{when}: {what:?}: {} {}", answer.status, answer.text);
                assert!(answer.status != 503 || !answer.header("retry-after").is_empty(), "{when}: {what:?}: no Retry-After");
            } else {
                assert!(answer.status < 300, "{when}: {what:?}: {} {}", answer.status, answer.text);
            }
        }
    }

    /// Everything works again, by itself.
    async fn heals(&self) {
        let healed = async {
            'again: loop {
                for what in ALL {
                    if self.ask(what).await.status >= 500 {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue 'again;
                    }
                }
                return;
            }
        };
        tokio::time::timeout(HEALED_WITHIN, healed).await.expect("it heals");
    }

    async fn buy(&self) -> u16 {
        let guest = self.shop.guest().await;
        guest.cart(json!([{ "productId": self.book, "quantity": 1 }])).await;
        let checkout = guest.checkout().await;
        guest.process(&checkout, "tok_visa", &key()).await.status
    }
}

const GONE: &[(u16, &str)] = &[(503, "STORE_UNAVAILABLE"), (503, "OUTCOME_UNKNOWN")];

fn engines(dir: &Path) -> Broken {
    tokio::task::block_in_place(|| Engines::of_one(dir.join("engines")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_scale_what_needs_an_engine_says_so_while_it_is_gone_and_the_rest_works() {
    let dir = dir();
    let engines = engines(dir.path());
    let stage = Stage::set(&engines, dir.path()).await;
    assert_eq!(stage.buy().await, 200);

    engines.dev("kill", &["rabbit"]);
    stage.only_these_fail("no RabbitMQ", &[], &[]).await;
    assert_eq!(stage.buy().await, 200, "orders need no bus");
    engines.dev("start", &["rabbit"]);

    engines.dev("kill", &["postgres-replica"]);
    stage.only_these_fail("no replica of PostgreSQL", &[Asked::ListOrders], GONE).await;
    engines.dev("start", &["postgres-replica"]);
    stage.heals().await;

    engines.dev("kill", &["postgres-primary"]);
    stage.only_these_fail("no PostgreSQL", &[Asked::Search, Asked::Checkout], GONE).await;
    engines.dev("start", &["postgres-primary"]);
    stage.heals().await;
    assert_eq!(stage.buy().await, 200);

    engines.dev("pause", &REDIS);
    // A node believes its copies for a second after it last heard of Redis.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let carts = [Asked::ReadCart, Asked::Add, Asked::Checkout];
    stage.only_these_fail("Redis hangs", &carts, GONE).await;
    engines.dev("resume", &REDIS);
    stage.heals().await;

    engines.dev("kill", &["redis-1"]);
    stage.heals().await;
    engines.dev("start", &["redis-1"]);
    assert_eq!(stage.buy().await, 200, "a replica has taken over");

    engines.dev("kill", &REDIS);
    stage.only_these_fail("no Redis", &carts, GONE).await;
    engines.dev("start", &REDIS);
    stage.heals().await;
    assert_eq!(stage.buy().await, 200);
    let cart = stage.ask(Asked::ReadCart).await.expect(200);
    assert!(cart["items"][0]["quantity"].as_u64().is_some_and(|n| n > 1), "what was acknowledged is in the append-only file: {cart}");
    assert_eq!(stage.shop.stop(), Some(0));
}
