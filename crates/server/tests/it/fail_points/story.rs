//! Who acts in a run, what they do and are told, and what must be left of it.

use super::nodes::Others;
use crate::column::Column;
use crate::scale;
use crate::shop::{Answer, Client};
use app::ports::{Ledger, Outbox};
use domain::checkout::{Checkout, State};
use domain::ids::{EditionId, PromotionId};
use domain::pricing::Counter;
use domain::time::Timestamp;
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store_embedded::EmbeddedStore;

/// Copies on the shelf, and in the cart before anything happens.
const ON_HAND: u32 = 10;
const IN_CART: u64 = 1;
/// How often and with which pause a client at scale asks again.
const TRIES: usize = 600;
pub const PAUSE: Duration = Duration::from_millis(50);

/// Who acts in a run, and on what.
#[derive(Clone)]
pub struct Cast {
    pub scenario: &'static str,
    pub edition: EditionId,
    pub book: String,
    pub coupon: String,
    pub guest: String,
    pub cart: String,
    pub customer: String,
    pub customer_cart: String,
}

/// What the client has asked for, and what it was told.
#[derive(Default)]
pub struct Told {
    pub added: Asked,
    pub paid: Asked,
    pub merged: Asked,
    pub canceled: Asked,
    pub refunded: Asked,
    pub checkout: Option<String>,
    pub order: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    #[default]
    No,
    Yes,
    Told,
}

/// What the process that dies is told.
pub fn variables(scenario: &str) -> Vec<(&'static str, &'static str)> {
    let mut variables = vec![("CARTWRIGHT_DEMO_CATALOG", "false"), ("CARTWRIGHT_PAYMENTS__TIMEOUT", "200ms")];
    if scenario == "expiry" {
        variables.push(("CARTWRIGHT_CHECKOUT__TTL", "1s"));
    }
    variables
}

/// The one way of shipping, and nothing else that costs or saves anything.
pub fn rules(dir: &Path) -> String {
    let rules = dir.join("rules.toml");
    std::fs::write(&rules, "[[shipping]]\nid = 'standard'\nlabel = 'Standard'\nprice = 499\ncurrency = 'USD'\n").expect("written");
    rules.to_str().expect("text").to_owned()
}

impl Cast {
    pub async fn new(shop: &Client, dir: &Path, scenario: &'static str, n: usize) -> Self {
        let token = |sub: &str, role: &str| crate::shop::token(dir, sub, role);
        let admin = shop.clone().with(token("root", "admin"));
        let (book, edition) = admin.new_book(&format!("FAIL-POINT-{n}"), 1000, ON_HAND).await;
        let coupon = format!("TEN-{n}");
        let ten = json!({ "id": coupon, "label": "Ten", "trigger": { "codes": [coupon] }, "budget": { "uses": 10 },
            "benefit": { "kind": "goods", "off": { "amount": crate::shop::usd(100) } } });
        admin.post("/pricing/promotions", ten).await.expect(201);
        let (guest, customer) = (shop.guest().await, shop.clone().with(token(&format!("alice-{n}"), "customer")));
        let filled = json!({ "items": [{ "productId": book, "quantity": IN_CART }], "couponCodes": [coupon] });
        let cart = guest.post("/cart", filled).await.expect(201)["id"].as_str().expect("an id").to_owned();
        let customer_cart = customer.cart(json!([{ "productId": book, "quantity": IN_CART }])).await;
        let (guest, customer) = (guest.token().to_owned(), customer.token().to_owned());
        let edition = EditionId::parse(&edition).expect("an id");
        Self { scenario, edition, book, coupon, guest, cart, customer, customer_cart }
    }
}

/// Sends a request until it is answered, or nobody is left to ask.
pub struct Hand<'a> {
    pub client: Client,
    pub others: Option<Others<'a>>,
}

impl Hand<'_> {
    async fn send(&mut self, token: &str, method: Method, path: &str, key: &str, body: &Value) -> Result<Answer, String> {
        let headers: &[(&str, &str)] = if key.is_empty() { &[] } else { &[("idempotency-key", key)] };
        let text = if body.is_null() { String::new() } else { body.to_string() };
        for _ in 0..TRIES {
            let answer = self.client.clone().with(token.to_owned()).send(method.clone(), path, headers, text.clone()).await;
            match &mut self.others {
                Some(others) if !answer.as_ref().is_ok_and(is_final) => others.next(&mut self.client).await,
                _ => return answer,
            }
        }
        Err(format!("{path}: nobody answers"))
    }
}

/// Whether an answer says what became of the request.
fn is_final(answer: &Answer) -> bool {
    let under_way = answer.code() == "IDEMPOTENCY_IN_FLIGHT" || answer.status == 202 && answer.body["status"] == "processing";
    answer.status < 500 && !under_way
}

/// Acts until everything is done or nobody is left to ask.
pub async fn act(cast: &Cast, hand: &mut Hand<'_>, told: &mut Told) -> Result<(), String> {
    let guest = cast.guest.as_str();
    if cast.scenario == "merge" {
        told.merged = Asked::Yes;
        let merge = json!({ "sourceSessionToken": guest, "strategy": "sum" });
        hand.send(&cast.customer, Method::POST, &format!("/cart/{}/merge", cast.customer_cart), "", &merge).await?.expect(200);
        told.merged = Asked::Told;
        return Ok(());
    }
    told.added = Asked::Yes;
    let item = json!({ "productId": cast.book, "quantity": 1 });
    hand.send(guest, Method::POST, &format!("/cart/{}/items", cast.cart), "add", &item).await?.expect(201);
    told.added = Asked::Told;
    let details = json!({ "email": "ada@example.com", "shippingAddress": crate::shop::address() });
    let checkout = hand.send(guest, Method::POST, "/checkout/session", "begin", &details).await?.expect(201);
    let id = checkout["id"].as_str().expect("an id").to_owned();
    told.checkout = Some(id.clone());
    let mut pay = Pay { guest, checkout: &checkout, hand, told };
    match cast.scenario {
        "purchase" => pay.by("tok_visa", 200).await,
        "decline" => {
            pay.by("tok_declined", 402).await?;
            pay.by("tok_flaky", 200).await
        }
        "challenge" => {
            pay.by("tok_requires_action", 202).await?;
            pay.by("tok_declined", 402).await
        }
        "capture fails" => pay.by("tok_capture_fails", 402).await,
        "no answer" => pay.by("tok_timeout_after", 200).await,
        "cancel" => {
            told.canceled = Asked::Yes;
            hand.send(guest, Method::DELETE, &format!("/checkout/session/{id}"), "cancel", &Value::Null).await?.expect(200);
            told.canceled = Asked::Told;
            Ok(())
        }
        "refund" => {
            pay.by("tok_visa", 200).await?;
            let order = told.order.clone().expect("told");
            told.refunded = Asked::Yes;
            hand.send(guest, Method::DELETE, &format!("/orders/{order}"), "refund", &Value::Null).await?.expect(200);
            told.refunded = Asked::Told;
            Ok(())
        }
        // The sweeper comes by.
        "expiry" => {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            Ok(())
        }
        other => panic!("no such scenario: {other}"),
    }
}

struct Pay<'a, 'h> {
    guest: &'a str,
    checkout: &'a Value,
    hand: &'a mut Hand<'h>,
    told: &'a mut Told,
}

impl Pay<'_, '_> {
    async fn by(&mut self, token: &str, status: u16) -> Result<(), String> {
        self.told.paid = self.told.paid.max(Asked::Yes);
        let total = &self.checkout["totals"]["total"];
        let body = json!({ "sessionId": self.checkout["id"], "paymentToken": token, "expectedTotal": total });
        let answer = self.hand.send(self.guest, Method::POST, "/checkout/process", token, &body).await?.expect(status);
        if let Some(order) = answer["order"]["id"].as_str() {
            self.told.paid = Asked::Told;
            self.told.order = Some(order.to_owned());
        }
        Ok(())
    }
}

/// What is stored, past whatever process serves it.
pub struct Kept {
    ledger: Arc<dyn Ledger>,
    outboxes: Vec<Arc<dyn Outbox>>,
}

impl Kept {
    pub async fn of(column: Column, dir: &Path) -> Self {
        match column {
            Column::Embedded => {
                let store = Arc::new(EmbeddedStore::open_read_only(dir).expect("a store"));
                Self { ledger: store.clone(), outboxes: vec![store] }
            }
            Column::AtScale => {
                let (postgres, redis) = scale::stores(scale::engines(), dir).await;
                let (postgres, redis) = (Arc::new(postgres), Arc::new(redis));
                Self { ledger: postgres.clone(), outboxes: vec![postgres, redis] }
            }
        }
    }

    /// What is left to do.
    async fn left(&self) -> Option<String> {
        let far = Timestamp(i64::MAX);
        let open = |checkout: &Checkout| matches!(checkout.state, State::Open);
        let checkouts = self.ledger.due_checkouts(far, 10_000).await.expect("read").into_iter().filter(|c| !open(c));
        let checkouts: Vec<_> = checkouts.map(|c| (c.id, c.state, c.due_at)).collect();
        let orders = self.ledger.due_orders(far, 100).await.expect("read");
        let mut events = Vec::new();
        for outbox in &self.outboxes {
            events.extend(outbox.pending(1).await.expect("read"));
        }
        let at_rest = checkouts.is_empty() && orders.is_empty() && events.is_empty();
        (!at_rest).then(|| format!("{checkouts:?} {orders:?} {events:?}"))
    }
}

/// Waits until the store has nothing left to do. It only looks.
pub async fn heal(column: Column, dir: &Path) {
    let mut left = None;
    for _ in 0..400 {
        left = Kept::of(column, dir).await.left().await;
        if left.is_none() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("after 20 seconds there is still something to do: {left:?}");
}

/// What is left is what was told, and goods and coupons balance. It only reads; gives what was paid.
pub async fn look(cast: &Cast, shop: &Client, kept: &Kept, told: &Told) -> i64 {
    let guest = shop.clone().with(cast.guest.clone());
    let copies = |cart: &Value| cart["items"].as_array().map_or(0, |items| items.iter().filter_map(|i| i["quantity"].as_u64()).sum());
    let cart: u64 = copies(&guest.get(&format!("/cart/{}", cast.cart)).await.body);
    let customer = shop.clone().with(cast.customer.clone());
    let customer_cart: u64 = copies(&customer.get(&format!("/cart/{}", cast.customer_cart)).await.expect(200));
    match (told.merged, customer_cart) {
        (Asked::No | Asked::Yes, IN_CART) => {}
        (Asked::Yes | Asked::Told, n) if n == 2 * IN_CART => assert_eq!(cart, 0, "merged, and still there"),
        (_, n) => panic!("a merge left {n} copies"),
    }

    let orders = guest.get("/orders").await.expect(200)["items"].as_array().expect("orders").clone();
    let live: Vec<&Value> = orders.iter().filter(|o| o["status"] != "failed").collect();
    assert!(live.len() <= 1 && (told.paid > Asked::No || live.is_empty()), "{orders:?}");
    if let Some(id) = &told.order {
        assert!(live.iter().any(|o| o["id"] == id.as_str()), "{id} was told and is not there");
    }
    for order in &live {
        let refunded = order["status"] == "canceled";
        assert_eq!(order["paymentStatus"], if refunded { "refunded" } else { "captured" });
        assert!(if refunded { told.refunded > Asked::No } else { told.refunded < Asked::Told }, "{order}");
        assert_eq!(cart, 0, "what was bought is still in the cart");
    }
    if live.is_empty() && told.merged == Asked::No {
        let asked = IN_CART + u64::from(told.added > Asked::No);
        assert!((IN_CART + u64::from(told.added == Asked::Told)..=asked).contains(&cart), "{cart} copies in the cart");
    }
    if let Some(id) = &told.checkout {
        let answer = guest.get(&format!("/checkout/session/{id}")).await;
        let status = if answer.status == 410 { "expired" } else { answer.body["status"].as_str().expect("a status") };
        assert_eq!(status == "completed", !live.is_empty(), "{id} is {status}");
        assert!(["completed", "ready", "canceled", "expired"].contains(&status), "{id} is {status}");
        assert!(told.canceled < Asked::Told || status == "canceled", "{id} was canceled and is {status}");
    }

    let sold: Vec<&&Value> = live.iter().filter(|o| o["status"] != "canceled").collect();
    let level = kept.ledger.stock(cast.edition).await.expect("read");
    let gone: u64 = sold.iter().flat_map(|o| o["items"].as_array().expect("items")).filter_map(|i| i["quantity"].as_u64()).sum();
    assert_eq!((u64::from(level.on_hand), level.reserved), (u64::from(ON_HAND) - gone, 0), "stock");
    let ten = Counter::Uses(PromotionId::parse(&cast.coupon).expect("an id"));
    let uses = kept.ledger.usage(std::slice::from_ref(&ten)).await.expect("read").of(&ten);
    let discounted = sold.iter().filter(|o| o["totals"]["discount"]["amount"] == 100).count();
    assert_eq!(uses, discounted as u64, "coupons");
    sold.iter().filter_map(|o| o["totals"]["total"]["amount"].as_i64()).sum()
}

/// What the provider has captured and not paid back. No charge is left half done.
pub fn journal(dir: &Path) -> i64 {
    let text = std::fs::read_to_string(dir.join("payment-simulator.jsonl")).expect("a journal");
    let mut charges: BTreeMap<String, (i64, String)> = BTreeMap::new();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let charge = charges.entry(line["key"].as_str().expect("a key").to_owned()).or_default();
        charge.0 = line["amount"][0].as_i64().unwrap_or(charge.0);
        line["change"].as_str().expect("a change").clone_into(&mut charge.1);
    }
    let half_done: Vec<_> = charges.values().filter(|(_, change)| ["authorized", "challenged"].contains(&change.as_str())).collect();
    assert!(half_done.is_empty(), "{half_done:?}");
    charges.values().filter(|(_, change)| change == "captured").map(|(amount, _)| amount).sum()
}
