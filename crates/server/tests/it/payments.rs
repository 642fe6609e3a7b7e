//! The payment provider as a process of its own, and what becomes of the store without it.

use crate::shop::{Client, Provider, Shop, dir, key, usd};
use hyper::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// `cartwright payment-simulator` on this ledger.
fn simulator(ledger: &Path, listen: &str, arguments: &[&str]) -> Provider {
    let ledger = ledger.to_str().expect("a path");
    Provider::start(listen, &[&["payment-simulator", "--ledger", ledger], arguments].concat())
}

fn shop_of(dir: &Path, provider: &str, more: &[(&str, &str)]) -> Shop {
    let mut variables = vec![("CARTWRIGHT_PAYMENTS__PROVIDER", "http"), ("CARTWRIGHT_PAYMENTS__URL", provider)];
    variables.extend(more);
    Shop::start(dir, &variables)
}

/// A guest with a checkout that is ready to be paid.
async fn ready_guest(shop: &Shop, book: &str) -> (Client, Value) {
    let guest = shop.guest().await;
    guest.cart(json!([{ "productId": book, "quantity": 1 }])).await;
    let checkout = guest.checkout().await;
    (guest, checkout)
}

fn path(checkout: &Value) -> String {
    format!("/checkout/session/{}", checkout["id"].as_str().expect("an id"))
}

/// Reads until it is so.
async fn until(guest: &Client, path: &str, is: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..600 {
        let body = guest.get(path).await.expect(200);
        if is(&body) {
            return body;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} does not become what is waited for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_pays_through_a_provider_elsewhere_also_after_that_was_killed() {
    let (store, provider) = (dir(), dir());
    let ledger = provider.path().join("payments.jsonl");
    let first = simulator(&ledger, "127.0.0.1:0", &[]);
    let (listen, url) = (first.listen.to_string(), first.url());
    let shop = shop_of(store.path(), &url, &[]);
    let (book, _) = shop.admin(store.path()).new_book("ELSEWHERE", 1000, 100).await;

    let (guest, checkout) = ready_guest(&shop, &book).await;
    guest.process(&checkout, "tok_declined", &key()).await.expect(402);
    let order = guest.process(&checkout, "tok_visa", &key()).await.expect(200)["order"].clone();
    assert_eq!(order["paymentStatus"], "captured");

    drop(first);
    let _second = simulator(&ledger, &listen, &[]);
    let canceled = format!("/orders/{}", order["id"].as_str().expect("an id"));
    guest.send(Method::DELETE, &canceled, &[], "").await.expect("an answer").expect(200);
    until(&guest, &canceled, |order| order["paymentStatus"] == "refunded").await;
    let lines = std::fs::read_to_string(&ledger).expect("a ledger");
    let count = |change: &str| lines.lines().filter(|l| l.contains(&format!("\"change\":\"{change}\""))).count();
    assert_eq!(["authorized", "captured", "refunded", "declined"].map(count), [1; 4], "{lines}");
    assert!(!store.path().join("payment-simulator.jsonl").exists(), "the built-in provider is off");
    shop.client().send(Method::GET, "/payment-simulator/challenges/x", &[], "").await.expect("an answer").expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_the_provider_refuses_is_told_with_its_reason() {
    let (store, provider) = (dir(), dir());
    let ledger = provider.path().join("payments.jsonl");
    let elsewhere = simulator(&ledger, "127.0.0.1:0", &[]);
    let (listen, url) = (elsewhere.listen.to_string(), elsewhere.url());
    let shop = shop_of(store.path(), &url, &[]);
    let admin = shop.admin(store.path());
    let (book, _) = admin.new_book("REFUSED", 1000, 100).await;
    let (guest, checkout) = ready_guest(&shop, &book).await;
    let order = guest.process(&checkout, "tok_visa", &key()).await.expect(200)["order"].clone();

    // Somebody pays all of it back at the provider.
    drop(elsewhere);
    let lines = std::fs::read_to_string(&ledger).expect("a ledger");
    let paid: Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
    let back = json!({ "key": paid["key"], "change": "refunded", "refund": ["rfd_00000000000000000000000001", paid["amount"]] });
    std::fs::write(&ledger, format!("{lines}{back}\n")).expect("written");
    let _elsewhere = simulator(&ledger, &listen, &[]);

    let path = format!("/orders/{}", order["id"].as_str().expect("an id"));
    let asked = admin.post(&format!("{path}/refunds"), json!({ "amount": usd(1) })).await.expect(201);
    assert_eq!((&asked["paymentStatus"], &asked["refunds"][0]["status"]), (&json!("captured"), &json!("refused")));
    assert_eq!(asked["refunds"][0]["error"]["code"], "REFUND_EXCEEDS_CAPTURE");
    let history = guest.get(&format!("{path}/events")).await.expect(200);
    assert_eq!(history["items"].as_array().and_then(|events| events.last()).expect("events")["type"], "payment.refund_refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_ends_once_the_provider_is_back() {
    let (store, provider) = (dir(), dir());
    let ledger = provider.path().join("payments.jsonl");
    let first = simulator(&ledger, "127.0.0.1:0", &[]);
    let (listen, url) = (first.listen.to_string(), first.url());
    let shop = shop_of(store.path(), &url, &[("CARTWRIGHT_PAYMENTS__TIMEOUT", "1s"), ("CARTWRIGHT_CHECKOUT__ANSWER_WITHIN", "500ms")]);
    let (book, _) = shop.admin(store.path()).new_book("GONE", 1000, 100).await;
    let (guest, checkout) = ready_guest(&shop, &book).await;

    // The provider hangs: the answer is that it goes on; then it is gone altogether.
    first.signal("-STOP");
    guest.process(&checkout, "tok_visa", &key()).await.expect(202);
    drop(first);

    // Everybody else is served meanwhile.
    let other = shop.guest().await;
    let cart = other.cart(json!([{ "productId": book, "quantity": 1 }])).await;
    other.post(&format!("/cart/{cart}/items"), json!({ "productId": book, "quantity": 1 })).await.expect(201);
    other.get("/books?limit=1").await.expect(200);

    let _second = simulator(&ledger, &listen, &[]);
    until(&guest, &path(&checkout), |checkout| checkout["status"] == "completed").await;
    let orders = guest.get("/orders").await.expect(200);
    assert_eq!(orders["items"].as_array().map(Vec::len), Some(1));
}

/// The address a challenge is met at, as the provider's ledger has it.
fn challenge(ledger: &Path) -> String {
    let lines = std::fs::read_to_string(ledger).expect("a ledger");
    let line: Value = lines
        .lines()
        .rev()
        .filter_map(|l| serde_json::from_str(l).ok())
        .find(|l: &Value| l["change"] == "challenged")
        .expect("a challenge");
    line["url"].as_str().expect("an address").to_owned()
}

/// The customer at the provider's page.
async fn answers(shop: &Shop, url: &str, answer: &str) -> u16 {
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("an address");
    let page = shop.client().at(host);
    page.send(Method::GET, &format!("/{path}"), &[], "").await.expect("an answer").expect(200);
    page.send(Method::POST, &format!("/{path}/{answer}"), &[], "").await.expect("an answer").status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_is_met_at_the_provider_and_the_store_hears_of_it() {
    let (store, provider) = (dir(), dir());
    let ledger = provider.path().join("payments.jsonl");
    let first = simulator(&ledger, "127.0.0.1:0", &[]);
    let (listen, url) = (first.listen.to_string(), first.url());
    let shop = shop_of(store.path(), &url, &[("CARTWRIGHT_PAYMENTS__WEBHOOK_SECRET", SECRET)]);
    let (book, _) = shop.admin(store.path()).new_book("CHALLENGED", 1000, 100).await;
    drop(first);
    let webhook = format!("http://{}/api/v1/payments/webhook", shop.listen);
    let tells = ["--webhook-url", &webhook, "--webhook-secret", SECRET, "--webhook-unruly"];
    let _second = simulator(&ledger, &listen, &tells);

    for (answer, status) in [("approve", "completed"), ("deny", "ready")] {
        let (guest, checkout) = ready_guest(&shop, &book).await;
        guest.process(&checkout, "tok_requires_action", &key()).await.expect(202);
        assert_eq!(answers(&shop, &challenge(&ledger), answer).await, 200);
        let after = until(&guest, &path(&checkout), |checkout| checkout["status"] == status).await;
        assert_eq!(after["lastError"].is_object(), answer == "deny", "{after}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_built_in_provider_has_its_challenges_in_the_store() {
    let store = dir();
    let shop = Shop::start(store.path(), &[]);
    let (book, _) = shop.admin(store.path()).new_book("BUILT-IN", 1000, 100).await;
    for (answer, status) in [("approve", "completed"), ("deny", "ready")] {
        let (guest, checkout) = ready_guest(&shop, &book).await;
        guest.process(&checkout, "tok_requires_action", &key()).await.expect(202);
        let url = challenge(&store.path().join("payment-simulator.jsonl"));
        assert!(url.starts_with(&format!("http://{}/payment-simulator/challenges/pay_", shop.listen)), "{url}");
        assert_eq!(answers(&shop, &url, answer).await, 200);
        // Known before the customer is back.
        assert_eq!(guest.get(&path(&checkout)).await.expect(200)["status"], status);
    }
}
