//! The process dies at every place where it calls a port or commits: before and after, once and again while it
//! recovers. Each time a reader looks at what is left, after the store has healed by itself. Clients never
//! come back: whoever retries heals what they are looking for.
//!
//! `cargo nextest run -p server fail_points` takes a sample; `FAIL_POINTS=all` takes them all and prints where a
//! process can die.

use crate::crashes::sequences;
use crate::shop::{Client, Shop, command, dir};
use app::ports::{Ledger, Outbox};
use domain::checkout::State;
use domain::ids::{EditionId, PromotionId};
use domain::pricing::Counter;
use domain::time::Timestamp;
use futures_util::stream::{StreamExt, iter};
use hyper::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store_embedded::EmbeddedStore;
use tempfile::TempDir;

/// What a client does while it is waiting to happen.
const SCENARIOS: [&str; 9] = ["purchase", "decline", "challenge", "capture fails", "no answer", "cancel", "refund", "expiry", "merge"];
/// Copies on the shelf, and in the cart before anything happens.
const ON_HAND: u32 = 10;
const IN_CART: u64 = 1;
/// Leases and reservations have run out when the store is started again, and again after that.
pub const LATER: (&str, &str) = ("FAIL_POINTS_LATE_S", "660");
const LATER_STILL: (&str, &str) = ("FAIL_POINTS_LATE_S", "1320");
/// Changes of a recovery at which a process dies again: six on each side.
const DEATHS_AGAIN: usize = 12;
/// Processes that run at once.
const AT_ONCE: usize = 4;

/// A directory to begin from, and who acts in it.
struct Stage {
    dir: TempDir,
    scenario: &'static str,
    edition: EditionId,
    book: String,
    guest: String,
    cart: String,
    customer: String,
    customer_cart: String,
}

/// What the client has asked for, and what it was told.
#[derive(Default)]
struct Told {
    added: Asked,
    paid: Asked,
    merged: Asked,
    canceled: Asked,
    refunded: Asked,
    checkout: Option<String>,
    order: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    #[default]
    No,
    Yes,
    Told,
}

fn variables(scenario: &str) -> Vec<(&'static str, &'static str)> {
    let mut variables = vec![("CARTWRIGHT_DEMO_CATALOG", "false"), ("CARTWRIGHT_PAYMENTS__TIMEOUT", "200ms")];
    if scenario == "expiry" {
        variables.push(("CARTWRIGHT_CHECKOUT__TTL", "1s"));
    }
    variables
}

impl Stage {
    async fn set(scenario: &'static str) -> Self {
        let dir = dir();
        let rules = dir.path().join("rules.toml");
        let shipping = "[[shipping]]\nid = 'standard'\nlabel = 'Standard'\nprice = 499\ncurrency = 'USD'\n";
        std::fs::write(&rules, format!("[[coupon]]\ncode = 'TEN'\nlabel = 'Ten'\namount = 100\nuses_max = 10\n{shipping}"))
            .expect("written");
        let mut first = variables(scenario);
        first.push(("CARTWRIGHT_PRICING__RULES", rules.to_str().expect("text")));
        let shop = Shop::start(dir.path(), &first);
        let (book, edition) = shop.admin(dir.path()).new_book("FAIL-POINT", 1000, ON_HAND).await;
        let (guest, customer) = (shop.guest().await, shop.customer(dir.path(), "alice"));
        let filled = json!({ "items": [{ "productId": book, "quantity": IN_CART }], "couponCodes": ["TEN"] });
        let cart = guest.post("/cart", filled).await.expect(201)["id"].as_str().expect("an id").to_owned();
        let customer_cart = customer.cart(json!([{ "productId": book, "quantity": IN_CART }])).await;
        let (guest, customer) = (guest.token().to_owned(), customer.token().to_owned());
        assert_eq!(shop.stop(), Some(0));
        if scenario == "expiry" {
            let shop = Shop::start(dir.path(), &[("CARTWRIGHT_CART__TTL", "1ms")]);
            shop.guest().await.cart(json!([{ "productId": book, "quantity": 1 }])).await;
            shop.kill();
        }
        let edition = EditionId::parse(&edition).expect("an id");
        Self { dir, scenario, edition, book, guest, cart, customer, customer_cart }
    }

    fn copy(&self) -> TempDir {
        let copy = dir();
        for entry in std::fs::read_dir(self.dir.path()).expect("a directory") {
            let entry = entry.expect("an entry");
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copied");
        }
        copy
    }

    fn start(&self, dir: &Path, more: &[(&str, &str)]) -> Result<Shop, String> {
        let rules = dir.join("rules.toml");
        let mut all = variables(self.scenario);
        all.push(("CARTWRIGHT_PRICING__RULES", rules.to_str().expect("text")));
        all.extend_from_slice(more);
        tokio::task::block_in_place(|| Shop::try_start(dir, &all))
    }
}

/// Acts until everything is done or the process is gone.
async fn act(stage: &Stage, shop: &Shop, told: &mut Told) -> Result<(), String> {
    let guest = shop.client().with(stage.guest.clone());
    if stage.scenario == "merge" {
        told.merged = Asked::Yes;
        let merge = json!({ "sourceSessionToken": stage.guest, "strategy": "sum" }).to_string();
        let customer = shop.client().with(stage.customer.clone());
        customer.send(Method::POST, &format!("/cart/{}/merge", stage.customer_cart), &[], merge).await?.expect(200);
        told.merged = Asked::Told;
        return Ok(());
    }
    told.added = Asked::Yes;
    let item = json!({ "productId": stage.book, "quantity": 1 }).to_string();
    guest.send(Method::POST, &format!("/cart/{}/items", stage.cart), &[("idempotency-key", "add")], item).await?.expect(201);
    told.added = Asked::Told;
    let details = json!({ "email": "ada@example.com", "shippingAddress": crate::shop::address() }).to_string();
    let checkout = guest.send(Method::POST, "/checkout/session", &[("idempotency-key", "begin")], details).await?.expect(201);
    let id = checkout["id"].as_str().expect("an id").to_owned();
    told.checkout = Some(id.clone());
    match stage.scenario {
        "purchase" => pay(&guest, &checkout, "tok_visa", 200, told).await,
        "decline" => {
            pay(&guest, &checkout, "tok_declined", 402, told).await?;
            pay(&guest, &checkout, "tok_flaky", 200, told).await
        }
        "challenge" => {
            pay(&guest, &checkout, "tok_requires_action", 202, told).await?;
            pay(&guest, &checkout, "tok_declined", 402, told).await
        }
        "capture fails" => pay(&guest, &checkout, "tok_capture_fails", 402, told).await,
        "no answer" => pay(&guest, &checkout, "tok_timeout_after", 200, told).await,
        "cancel" => {
            told.canceled = Asked::Yes;
            guest.send(Method::DELETE, &format!("/checkout/session/{id}"), &[("idempotency-key", "cancel")], "").await?.expect(200);
            told.canceled = Asked::Told;
            Ok(())
        }
        "refund" => {
            pay(&guest, &checkout, "tok_visa", 200, told).await?;
            let order = told.order.clone().expect("told");
            told.refunded = Asked::Yes;
            guest.send(Method::DELETE, &format!("/orders/{order}"), &[("idempotency-key", "refund")], "").await?.expect(200);
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

async fn pay(guest: &Client, checkout: &Value, token: &str, status: u16, told: &mut Told) -> Result<(), String> {
    told.paid = told.paid.max(Asked::Yes);
    let answer = guest.try_process(checkout, token, token).await?.expect(status);
    if let Some(order) = answer["order"]["id"].as_str() {
        told.paid = Asked::Told;
        told.order = Some(order.to_owned());
    }
    Ok(())
}

/// Waits until the store has nothing left to do. It only looks.
pub async fn heal(dir: &Path) {
    let far = Timestamp(i64::MAX);
    let left = async || {
        let store = EmbeddedStore::open_read_only(dir).expect("a store");
        let checkouts = store.due_checkouts(far, 100).await.expect("read").into_iter().filter(|c| !matches!(c.state, State::Open));
        let checkouts: Vec<_> = checkouts.map(|c| (c.id, c.state, c.due_at)).collect();
        let (orders, events) = (store.due_orders(far, 100).await.expect("read"), store.pending(1).await.expect("read"));
        let at_rest = checkouts.is_empty() && orders.is_empty() && events.is_empty();
        (!at_rest).then(|| format!("{checkouts:?} {orders:?} {events:?}"))
    };
    for _ in 0..400 {
        if left().await.is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("after 20 seconds there is still something to do: {:?}", left().await);
}

/// What is left is what was told, and everything balances. It only reads.
async fn look(stage: &Stage, shop: &Shop, dir: &Path, told: &Told) {
    let guest = shop.client().with(stage.guest.clone());
    let copies = |cart: &Value| cart["items"].as_array().map_or(0, |items| items.iter().filter_map(|i| i["quantity"].as_u64()).sum());
    let cart: u64 = copies(&guest.get(&format!("/cart/{}", stage.cart)).await.body);
    let customer = shop.client().with(stage.customer.clone());
    let customer_cart: u64 = copies(&customer.get(&format!("/cart/{}", stage.customer_cart)).await.expect(200));
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
    let total: i64 = sold.iter().filter_map(|o| o["totals"]["total"]["amount"].as_i64()).sum();
    assert_eq!(journal(dir), total, "money");
    let store = EmbeddedStore::open_read_only(dir).expect("a store");
    let level = store.stock(stage.edition).await.expect("read");
    let gone: u64 = sold.iter().flat_map(|o| o["items"].as_array().expect("items")).filter_map(|i| i["quantity"].as_u64()).sum();
    assert_eq!((u64::from(level.on_hand), level.reserved), (u64::from(ON_HAND) - gone, 0), "stock");
    let ten = Counter::Uses(PromotionId::parse("TEN").expect("an id"));
    let uses = store.usage(std::slice::from_ref(&ten)).await.expect("read").of(&ten);
    let discounted = sold.iter().filter(|o| o["totals"]["discount"]["amount"] == 100).count();
    assert_eq!(uses, discounted as u64, "coupons");
    for (subject, numbers) in sequences(dir) {
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{subject}: every event, in order, once");
    }
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

/// Where a process dies, and at which of the changes of its recovery it dies again.
#[derive(Clone, Debug)]
struct Case {
    at: String,
    again: Option<String>,
}

/// What became of a case: whether the process died where it should, and again.
#[derive(Clone, Copy, Default)]
struct Died {
    once: bool,
    again: bool,
}

async fn run(stage: &Stage, case: &Case) -> Died {
    let dir = stage.copy();
    let mut told = Told::default();
    let mut died = Died { once: true, again: false };
    // A process that dies while it starts was never there.
    if let Ok(mut shop) = stage.start(dir.path(), &[("FAIL_POINT", &case.at)]) {
        drop(act(stage, &shop, &mut told).await);
        // The loops may still get there, or the end.
        if shop.ended_within(Duration::from_millis(400)).await.is_none() {
            died.once = shop.stop() != Some(0);
        }
    }
    if let Some(again) = &case.again
        && let Ok(mut shop) = stage.start(dir.path(), &[LATER, ("FAIL_POINT", again)])
    {
        died.again = shop.ended_within(Duration::from_millis(400)).await.is_some();
        shop.kill();
    }
    let shop = stage.start(dir.path(), &[LATER_STILL]).expect("the store gets ready");
    heal(dir.path()).await;
    look(stage, &shop, dir.path(), &told).await;
    assert_eq!(shop.stop(), Some(0));
    let checked = command(dir.path()).arg("check").output().expect("check runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    died
}

/// Where a whole run passes, and how often.
async fn places(stage: &Stage) -> BTreeMap<String, u32> {
    let dir = stage.copy();
    let met = dir.path().join("met");
    let shop = stage.start(dir.path(), &[("FAIL_POINTS_MET", met.to_str().expect("text"))]).expect("ready");
    let mut told = Told::default();
    act(stage, &shop, &mut told).await.expect("nobody dies");
    heal(dir.path()).await;
    look(stage, &shop, dir.path(), &told).await;
    assert_eq!(shop.stop(), Some(0));
    let mut places = BTreeMap::new();
    for place in std::fs::read_to_string(met).expect("a list").lines() {
        *places.entry(place.to_owned()).or_insert(0) += 1;
    }
    places
}

/// Every passage of every place that changes something, and the first of every place that reads.
fn passages(places: &BTreeMap<String, u32>) -> Vec<String> {
    let turns = |place: &str, n: u32| if place.contains('?') { 1 } else { n };
    places.iter().flat_map(|(place, n)| (1..=turns(place, *n)).map(move |turn| format!("{place}:{turn}"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_anywhere_loses_nothing_it_told_and_leaves_nothing_half_done() {
    let all = std::env::var("FAIL_POINTS").is_ok_and(|v| v == "all");
    let only = std::env::var("FAIL_POINTS_SCENARIO").ok();
    let (mut cases, mut once, mut again, mut known) = (0, 0, 0, BTreeSet::new());
    for scenario in SCENARIOS.into_iter().filter(|s| only.as_deref().is_none_or(|only| only == *s)) {
        let stage = Stage::set(scenario).await;
        let places = places(&stage).await;
        say(&format!("{scenario}: {}", places.iter().map(|(p, n)| format!("{p} {n}")).collect::<Vec<_>>().join(", ")));
        let chosen = choose(&passages(&places), all, &mut known);
        let stage = Arc::new(stage);
        // Tasks of their own: one that waits for a start must not keep the others from their connections, which the
        // store does not hold open for long.
        let runs = iter(chosen).map(|case| {
            let (stage, at) = (Arc::clone(&stage), case.clone());
            let run = tokio::spawn(async move { run(&stage, &at).await });
            async move { (run.await.unwrap_or_else(|why| panic!("{scenario}: {case:?}: {why}")), case) }
        });
        let died: Vec<(Died, Case)> = runs.buffer_unordered(AT_ONCE).collect().await;
        for (died, case) in &died {
            // The loops run by the clock: they may come by less often than the last time.
            let by_the_clock = ["outbox", "bus", "?"].iter().any(|loops| case.at.contains(loops));
            assert!(died.once || by_the_clock, "{scenario}: nobody died at {case:?}");
        }
        cases += died.len();
        once += died.iter().filter(|(d, _)| d.once).count();
        again += died.iter().filter(|(d, _)| d.again).count();
    }
    say(&format!("{cases} runs: {once} died where asked, {again} died again while recovering"));
}

/// All passages, each alone and with deaths at several changes of the recovery. Or a sample: alone and again by
/// turns, every commit and every payment of every scenario, everything else where it is met first.
fn choose(passages: &[String], all: bool, known: &mut BTreeSet<String>) -> Vec<Case> {
    let twice = |at: &str, n: usize| {
        let side = if n.is_multiple_of(2) { "before" } else { "after" };
        Case { at: at.to_owned(), again: Some(format!("*:{side}:{}", 1 + n / 2)) }
    };
    let alone = |at: &str| Case { at: at.to_owned(), again: None };
    if all {
        return passages.iter().flat_map(|at| std::iter::once(alone(at)).chain((0..DEATHS_AGAIN).map(|n| twice(at, n)))).collect();
    }
    let effect = |at: &str| ["store.ledger", "store.carts", "payments."].iter().any(|p| at.starts_with(p));
    let place = |at: &str| at.rsplit_once(':').map_or(at, |(place, _)| place).to_owned();
    let sample = passages.iter().filter(|at| effect(at) | known.insert(place(at)));
    sample.enumerate().map(|(n, at)| if n % 2 == 0 { alone(at) } else { twice(at, n / 2 % DEATHS_AGAIN) }).collect()
}

#[expect(clippy::print_stderr, reason = "where a process can die is what the run is about")]
fn say(text: &str) {
    eprintln!("{text}");
}
