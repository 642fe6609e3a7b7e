//! A node of three dies at a place of a purchase, and the client asks another one: one order, one charge, nothing held.

use crate::scale::{engines, try_start_with};
use crate::shop::{Client, binary, dir};
use hyper::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Where the first node dies: before and after what it changes, the first and later times.
const PLACES: [&str; 10] = [
    "carts.save:before:1",
    "carts.save:after:1",
    "ledger.commit:before:1",
    "ledger.commit:after:1",
    "ledger.commit:after:2",
    "ledger.commit:before:3",
    "payments.authorize:before:1",
    "payments.authorize:after:1",
    "payments.capture:after:1",
    "bus.publish:after:1",
];

/// Asks the first node, and whoever is left until there is an answer.
async fn ask(client: &Client, first: &str, method: Method, path: &str, key: &str, body: &Value) -> Value {
    let headers: &[(&str, &str)] = if method == Method::GET { &[] } else { &[("idempotency-key", key)] };
    let sent = if body.is_null() { String::new() } else { body.to_string() };
    let mut answer = client.clone().at(first).send(method.clone(), path, headers, sent.clone()).await;
    for _ in 0..300 {
        match answer {
            Ok(answer) if answer.status < 300 && answer.status != 202 => return answer.body,
            Ok(answer) if answer.status < 500 && answer.status != 202 => panic!("{path}: {} {}", answer.status, answer.text),
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
        answer = client.send(method.clone(), path, headers, sent.clone()).await;
    }
    panic!("{path}: no answer in a minute");
}

/// What was captured, by key.
pub fn captured(dir: &Path) -> usize {
    let text = std::fs::read_to_string(dir.join("payment-simulator.jsonl")).expect("a journal");
    text.lines().filter(|line| line.contains("\"captured\"")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_scale_a_node_that_dies_anywhere_in_a_purchase_leaves_one_order_at_the_others() {
    let mut died = 0;
    for place in PLACES {
        let dir = dir();
        let first = [("FAIL_POINT", place)];
        let quiet = [("CARTWRIGHT_DEMO_CATALOG", "false")];
        let mut shop = tokio::task::block_in_place(|| try_start_with(engines(), &binary(), dir.path(), &quiet, &first)).expect("ready");
        let admin = shop.admin(dir.path()).at(&shop.node(1));
        let (book, edition) = admin.new_book("NODES", 1000, 10).await;
        let (customer, node) = (shop.customer(dir.path(), "alice"), shop.node(0));
        let item = json!({ "items": [{ "productId": book, "quantity": 1 }] });
        let cart = ask(&customer, &node, Method::POST, "/cart", "cart", &item).await;
        let details = json!({ "email": "ada@example.com", "shippingAddress": crate::shop::address() });
        let checkout = ask(&customer, &node, Method::POST, "/checkout/session", "checkout", &details).await;
        let pay = json!({ "sessionId": checkout["id"], "paymentToken": "tok_visa", "expectedTotal": checkout["totals"]["total"] });
        let paid = ask(&customer, &node, Method::POST, "/checkout/process", "pay", &pay).await;
        assert_eq!(paid["status"], "completed", "{place}: {paid}");
        let orders = ask(&customer, &node, Method::GET, "/orders", "", &Value::Null).await;
        assert_eq!(orders["items"].as_array().map(Vec::len), Some(1), "{place}: {orders}");
        assert_eq!(captured(dir.path()), 1, "{place}: charges");
        let path = format!("/books/{book}/editions/{edition}/stock");
        let stock = admin.post(&path, json!({ "delta": 0, "reason": "look" })).await.expect(200);
        assert_eq!((&stock["onHand"], &stock["reserved"]), (&json!(9), &json!(0)), "{place}");
        let left = ask(&customer, &node, Method::GET, &format!("/cart/{}", cart["id"].as_str().expect("an id")), "", &Value::Null).await;
        assert_eq!(left["items"], json!([]), "{place}: what was bought is still in the cart");
        died += usize::from(shop.ended_within(Duration::from_millis(500)).await.is_some());
    }
    assert!(died >= PLACES.len() - 2, "only {died} died");
}
