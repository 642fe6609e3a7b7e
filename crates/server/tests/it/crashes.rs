//! The process is killed under load; what it had acknowledged must be there. Oracles only read.

use crate::column::Column;
use crate::shop::{Client, command, dir, key, scale};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

crate::on_both! {
    promise_2_what_was_acknowledged_is_there_after_kill_9
    promise_6_a_checkout_interrupted_anywhere_ends_completed_or_released_and_everything_balances
}

/// What a client was told.
#[derive(Clone, Default)]
pub struct Told {
    /// Cart → token, quantity acknowledged, quantity asked for.
    pub carts: BTreeMap<String, (String, u64, u64)>,
    /// Order → token.
    pub orders: BTreeMap<String, String>,
}

pub async fn add_until_it_dies(guest: Client, book: String, told: Arc<Mutex<Told>>) {
    let id = guest.cart(json!([])).await;
    let path = format!("/cart/{id}/items");
    let note = |acknowledged: u64, asked: u64| {
        told.lock().expect("not poisoned").carts.insert(id.clone(), (guest.token().to_owned(), acknowledged, asked));
    };
    for n in 0..900 {
        note(n, n + 1);
        let add = json!({ "productId": book, "quantity": 1 }).to_string();
        match guest.send(hyper::Method::POST, &path, &[], add).await {
            Ok(answer) => drop(answer.expect(201)),
            Err(_) => return,
        }
        note(n + 1, n + 1);
    }
}

pub async fn buy_until_it_dies(client: Client, book: String, told: Arc<Mutex<Told>>) {
    loop {
        let Ok(session) = client.send(hyper::Method::POST, "/session", &[], "{}").await else { return };
        let guest = client.clone().with(session.body["token"].as_str().expect("a token").to_owned());
        let cart = json!({ "items": [{ "productId": book, "quantity": 1 }] });
        let Ok(_) = guest.send(hyper::Method::POST, "/cart", &[], cart.to_string()).await else { return };
        let details = json!({ "email": "ada@example.com", "shippingAddress": crate::shop::address() });
        let Ok(checkout) = guest.send(hyper::Method::POST, "/checkout/session", &[], details.to_string()).await else { return };
        let Ok(done) = guest.try_process(&checkout.body, "tok_visa", &key()).await else { return };
        let order = done.expect(200)["order"]["id"].as_str().expect("an id").to_owned();
        told.lock().expect("not poisoned").orders.insert(order, guest.token().to_owned());
    }
}

/// The sequence numbers of every subject's events in the outbox, delivered or not.
pub fn sequences(dir: &Path) -> BTreeMap<String, Vec<u64>> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = rusqlite::Connection::open_with_flags(dir.join("cartwright.db"), flags).expect("the store");
    let mut rows = db.prepare("SELECT body FROM outbox ORDER BY position").expect("an outbox");
    let mut sequences: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let bodies = rows.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("rows");
    for body in bodies {
        let event: Value = serde_json::from_slice(&body.expect("a row")).expect("an event");
        sequences
            .entry(event["subject"].as_str().expect("a subject").to_owned())
            .or_default()
            .push(event["sequence"].as_u64().expect("a number"));
    }
    sequences
}

async fn promise_2_what_was_acknowledged_is_there_after_kill_9(column: Column) {
    let dir = dir();
    let mut shop = column.start(dir.path(), &[]);
    let (book, _) = shop.admin(dir.path()).new_book("PROMISE-2", 1000, 1_000_000).await;
    let told = Arc::new(Mutex::new(Told::default()));
    for round in 0..column.fewer(5, 2) as u64 {
        let client = shop.client();
        let mut tasks = Vec::new();
        for _ in 0..12 {
            tasks.push(tokio::spawn(add_until_it_dies(client.guest().await, book.clone(), told.clone())));
        }
        for _ in 0..4 {
            tasks.push(tokio::spawn(buy_until_it_dies(client.clone(), book.clone(), told.clone())));
        }
        tokio::time::sleep(Duration::from_millis(700 + round * 130)).await;
        shop.kill();
        for task in tasks {
            task.await.expect("clients end with the store");
        }
        shop = column.start(dir.path(), &[]);
        let (carts, orders) = {
            let told = told.lock().expect("not poisoned");
            (told.carts.clone(), told.orders.clone())
        };
        let client = shop.client();
        for (id, (token, acknowledged, asked)) in &carts {
            let cart = client.clone().with(token.clone()).get(&format!("/cart/{id}")).await.expect(200);
            let quantity = cart["items"][0]["quantity"].as_u64().unwrap_or(0);
            assert!((*acknowledged..=*asked).contains(&quantity), "{id}: {acknowledged} acknowledged, {quantity} there");
        }
        for (id, token) in &orders {
            let order = client.clone().with(token.clone()).get(&format!("/orders/{id}")).await.expect(200);
            assert_eq!(order["paymentStatus"], "captured", "{id}");
        }
        // At scale they go out to the broker, where others look for them.
        if column == Column::AtScale {
            continue;
        }
        let events = sequences(dir.path());
        for (subject, numbers) in &events {
            let gapless: Vec<u64> = (1..=numbers.len() as u64).collect();
            assert_eq!(*numbers, gapless, "{subject}: every event, in order, once");
        }
        for (id, (_, acknowledged, _)) in &carts {
            let there = events.get(id).map_or(0, Vec::len) as u64;
            assert!(there > *acknowledged, "{id}: created and {acknowledged} adds acknowledged, {there} events");
        }
        for id in orders.keys() {
            assert!(events.get(id).is_some_and(|numbers| numbers.len() >= 4), "{id}: placed, authorized, captured, confirmed");
        }
    }
    let told = told.lock().expect("not poisoned");
    assert!(
        told.carts.len() == 12 * column.fewer(5, 2) && told.orders.len() > column.fewer(20, 3),
        "{} carts, {} orders",
        told.carts.len(),
        told.orders.len()
    );
}

async fn promise_6_a_checkout_interrupted_anywhere_ends_completed_or_released_and_everything_balances(column: Column) {
    let dir = dir();
    let variables = [("CARTWRIGHT_PAYMENTS__TIMEOUT", "300ms")];
    let mut shop = column.start(dir.path(), &variables);
    let (book, edition) = shop.admin(dir.path()).new_book("PROMISE-6", 1000, 10_000).await;
    const TOKENS: [&str; 7] =
        ["tok_visa", "tok_declined", "tok_timeout_before", "tok_timeout_after", "tok_slow", "tok_flaky", "tok_capture_fails"];
    let mut buyers: Vec<(Client, Value)> = Vec::new();
    for round in 0..scale("ROUNDS", column.fewer(8, 4)) as u64 {
        let client = shop.client();
        let heard = heard_by_provider(dir.path());
        let started = join_all((0..28).map(async |_| {
            let guest = client.guest().await;
            guest.cart(json!([{ "productId": book, "quantity": 1 }])).await;
            let checkout = guest.checkout().await;
            (guest, checkout)
        }))
        .await;
        let racers: Vec<_> = started
            .iter()
            .cloned()
            .zip(TOKENS.iter().cycle())
            .map(|((guest, checkout), token)| tokio::spawn(async move { drop(guest.try_process(&checkout, token, "the-key").await) }))
            .collect();
        tokio::time::sleep(Duration::from_millis(5 + round % 8 * 17)).await;
        // However slow the machine is, every second time some are in the middle of paying.
        while round % 2 == 1 && heard_by_provider(dir.path()) < heard + 12 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        shop.kill();
        for racer in racers {
            racer.await.expect("clients end with the store");
        }
        shop = column.start(dir.path(), &variables);
        let tokens: Vec<String> = started.iter().map(|(g, _)| g.token().to_owned()).collect();
        buyers.extend(tokens.into_iter().map(|t| shop.client().with(t)).zip(started.into_iter().map(|(_, c)| c)));
    }
    let client = shop.client();
    let buyers: Vec<_> = buyers.into_iter().map(|(guest, checkout)| (client.clone().with(guest.token().to_owned()), checkout)).collect();
    let mut completed = 0;
    for (guest, checkout) in &buyers {
        let path = format!("/checkout/session/{}", checkout["id"].as_str().expect("an id"));
        let mut status = String::new();
        // Half a minute after its driver died somebody else drives it on, and what was tried in vain some times waits as long again.
        for _ in 0..1800 {
            status = guest.get(&path).await.expect(200)["status"].as_str().expect("a status").to_owned();
            if status != "processing" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(["completed", "ready", "canceled"].contains(&status.as_str()), "{path} is still {status}");
        completed += usize::from(status == "completed");
    }
    let admin = shop.admin(dir.path());
    let stock = admin.post(&format!("/books/{book}/editions/{edition}/stock"), json!({ "delta": 0, "reason": "look" })).await.expect(200);
    assert_eq!(stock["reserved"], 0);
    assert_eq!(stock["onHand"], 10_000 - completed);
    let mut captured = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = admin.get(&format!("/orders?limit=100{cursor}")).await.expect(200);
        for order in page["items"].as_array().expect("orders") {
            *captured.entry(order["paymentStatus"].as_str().expect("a status").to_owned()).or_insert(0) += 1;
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(captured.get("captured").copied().unwrap_or(0), completed, "{captured:?}");
    assert!(captured.keys().all(|s| ["captured", "failed"].contains(&s.as_str())), "{captured:?}");
    assert!(completed > column.fewer(10, 3), "only {completed} completed");
    assert_eq!(shop.stop(), Some(0));
    if column == Column::AtScale {
        return;
    }
    let checked = command(dir.path()).arg("check").output().expect("check runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// How much the provider has written down.
fn heard_by_provider(dir: &Path) -> usize {
    std::fs::read_to_string(dir.join("payment-simulator.jsonl")).map_or(0, |journal| journal.lines().count())
}
