//! The promises of the contract, by number. `ROUNDS=100` repeats the races as often.

use crate::column::Column;
use crate::shop::{Answer, Client, dir, key, scale, usd};
use futures_util::future::join_all;
use futures_util::stream::{StreamExt, iter};
use serde_json::{Value, json};
use std::time::Duration;

crate::on_both! {
    promise_1_a_hundred_concurrent_adds_leave_exactly_a_hundred_a_thousand_times_over
    promise_3_sixty_four_racers_complete_one_checkout_with_one_order_one_charge_and_equal_answers
    promise_4_of_five_hundred_buyers_of_the_last_copy_one_gets_it
    promise_5_a_coupon_with_ten_uses_is_used_ten_times_by_two_hundred_racers
    promise_7_a_cart_with_a_lifetime_of_two_seconds_is_gone_after_three
    promise_9_merging_twice_or_twice_at_once_is_merging_once
    promise_10_the_total_seen_is_the_total_paid_or_the_client_is_asked_again
}

fn quantity(cart: &Value) -> u64 {
    cart["items"].as_array().map_or(0, |items| items.iter().filter_map(|i| i["quantity"].as_u64()).sum())
}

async fn promise_1_a_hundred_concurrent_adds_leave_exactly_a_hundred_a_thousand_times_over(column: Column) {
    let dir = dir();
    let shop = column.start(dir.path(), &[]);
    let (book, _) = shop.admin(dir.path()).new_book("PROMISE-1", 1000, 1_000_000).await;
    let client = shop.client();
    let rounds = column.fewer(1000, 40);
    let add = json!({ "productId": book, "quantity": 1 });
    let round = async |_| {
        let guest = client.guest().await;
        let id = guest.cart(json!([])).await;
        let path = format!("/cart/{id}/items");
        for answer in join_all((0..100).map(|_| guest.post(&path, add.clone()))).await {
            answer.expect(201);
        }
        quantity(&guest.get(&format!("/cart/{id}")).await.expect(200))
    };
    let quantities: Vec<u64> = iter(0..rounds).map(round).buffer_unordered(4).collect().await;
    assert_eq!(quantities.len(), rounds);
    assert!(quantities.iter().all(|q| *q == 100), "{quantities:?}");
}

/// Pays. At scale another node may be at the same, or have more to do than it can: then it comes back when it is told to.
async fn pay(column: Column, guest: &Client, checkout: &Value, key: &str) -> Answer {
    loop {
        let answer = guest.process(checkout, "tok_visa", key).await;
        let again = matches!((answer.status, answer.code()), (202 | 503, _) | (_, "IDEMPOTENCY_IN_FLIGHT"));
        if column == Column::Embedded || !again {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn promise_3_sixty_four_racers_complete_one_checkout_with_one_order_one_charge_and_equal_answers(column: Column) {
    let dir = dir();
    let shop = column.start(dir.path(), &[]);
    let admin = shop.admin(dir.path());
    let (book, _) = admin.new_book("PROMISE-3", 1000, 1000).await;
    let rounds = scale("ROUNDS", 10);
    for round in 0..rounds {
        let guest = shop.guest().await;
        guest.cart(json!([{ "productId": book, "quantity": 1 }])).await;
        let checkout = guest.checkout().await;
        // Half of them share one key, the others bring their own.
        let racers = (0..64).map(|n| {
            let (guest, checkout) = (guest.clone(), checkout.clone());
            let key = if n % 2 == 0 { format!("shared-{round}") } else { key() };
            async move { pay(column, &guest, &checkout, &key).await.expect(200) }
        });
        let mut answers = join_all(racers).await;
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!(answers[0]["status"], "completed");
        assert_eq!(guest.get("/orders").await.expect(200)["items"].as_array().map(Vec::len), Some(1));
    }
    assert_eq!(charges(dir.path()), rounds);
}

/// How many charges the payment provider's own ledger knows.
fn charges(dir: &std::path::Path) -> usize {
    let journal = std::fs::read_to_string(dir.join("payment-simulator.jsonl")).expect("a journal");
    let keys: std::collections::BTreeSet<String> =
        journal.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["key"].as_str().map(str::to_owned)).collect();
    keys.len()
}

async fn promise_4_of_five_hundred_buyers_of_the_last_copy_one_gets_it(column: Column) {
    let dir = dir();
    let shop = column.start(dir.path(), &[]);
    let admin = shop.admin(dir.path());
    for round in 0..scale("ROUNDS", 1) {
        let (book, edition) = admin.new_book(&format!("PROMISE-4-{round}"), 1000, 1).await;
        let buyers: Vec<_> = iter(0..500)
            .map(async |_| {
                let guest = shop.guest().await;
                guest.cart(json!([{ "productId": book, "quantity": 1 }])).await;
                let checkout = guest.checkout().await;
                (guest, checkout)
            })
            .buffer_unordered(16)
            .collect()
            .await;
        let answers = join_all(buyers.iter().map(async |(guest, checkout)| pay(column, guest, checkout, &key()).await)).await;
        let sold = answers.iter().filter(|a| a.status == 200).count();
        let refused = answers.iter().filter(|a| a.status == 409 && a.code() == "OUT_OF_STOCK").count();
        let others: Vec<_> = answers.iter().filter(|a| a.status != 409).map(|a| (a.status, a.code())).take(5).collect();
        assert_eq!((sold, refused), (1, 499), "{others:?}");
        assert_eq!(answers.iter().find(|a| a.status == 409).map(|a| a.body["short"][0]["available"].clone()), Some(json!(0)));
        let stock =
            admin.post(&format!("/books/{book}/editions/{edition}/stock"), json!({ "delta": 0, "reason": "look" })).await.expect(200);
        assert_eq!((stock["onHand"].as_i64(), stock["reserved"].as_i64()), (Some(0), Some(0)));
    }
}

async fn promise_5_a_coupon_with_ten_uses_is_used_ten_times_by_two_hundred_racers(column: Column) {
    let dir = dir();
    let rules = dir.path().join("rules.toml");
    let shipping = "[[shipping]]\nid = 'standard'\nlabel = 'Standard'\nprice = 499\ncurrency = 'USD'\n";
    let rounds = scale("ROUNDS", 1);
    let coupon = |n| format!("[[coupon]]\ncode = 'TEN-{n}'\nlabel = 'Ten'\namount = 100\nuses_max = 10\n");
    std::fs::write(&rules, (0..rounds).map(coupon).chain([shipping.to_owned()]).collect::<String>()).expect("written");
    let shop = column.start(dir.path(), &[("CARTWRIGHT_PRICING__RULES", rules.to_str().expect("text"))]);
    let (book, _) = shop.admin(dir.path()).new_book("PROMISE-5", 1000, 100_000).await;
    for round in 0..rounds {
        let racers: Vec<_> = iter(0..200)
            .map(async |_| {
                let guest = shop.guest().await;
                let cart = json!({ "items": [{ "productId": book, "quantity": 1 }], "couponCodes": [format!("TEN-{round}")] });
                guest.post("/cart", cart).await.expect(201);
                let checkout = guest.checkout().await;
                assert_eq!(checkout["totals"]["discount"], usd(100));
                (guest, checkout)
            })
            .buffer_unordered(16)
            .collect()
            .await;
        let answers = join_all(racers.iter().map(async |(guest, checkout)| guest.process(checkout, "tok_visa", &key()).await)).await;
        let used = answers.iter().filter(|a| a.status == 200 && a.body["order"]["totals"]["discount"] == usd(100)).count();
        let told = answers.iter().filter(|a| a.status == 409 && a.code() == "COUPON_EXHAUSTED").count();
        assert_eq!((used, told), (10, 190));
    }
    assert_eq!(shop.client().get("/pricing/discounts").await.expect(200)["items"], json!([]));
}

async fn promise_7_a_cart_with_a_lifetime_of_two_seconds_is_gone_after_three(column: Column) {
    let dir = dir();
    let shop = column.start(dir.path(), &[("CARTWRIGHT_CART__TTL", "2s")]);
    let (book, _) = shop.admin(dir.path()).new_book("PROMISE-7", 1000, 1000).await;
    let guest = shop.guest().await;
    let id = guest.cart(json!([{ "productId": book, "quantity": 1 }])).await;
    let path = format!("/cart/{id}");
    tokio::time::sleep(Duration::from_millis(1200)).await;
    guest.post(&format!("{path}/items"), json!({ "productId": book, "quantity": 1 })).await.expect(201);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(quantity(&guest.get(&path).await.expect(200)), 2, "a change lets it live on");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let gone: Vec<Answer> = vec![guest.get(&path).await, guest.get("/cart").await];
    assert!(gone.iter().all(|a| a.status == 404 && a.code() == "CART_NOT_FOUND"));
}

async fn promise_9_merging_twice_or_twice_at_once_is_merging_once(column: Column) {
    let dir = dir();
    let shop = column.start(dir.path(), &[]);
    let admin = shop.admin(dir.path());
    let (first, _) = admin.new_book("PROMISE-9A", 1000, 1000).await;
    let (second, _) = admin.new_book("PROMISE-9B", 2000, 1000).await;
    for round in 0..20 {
        let customer = shop.customer(dir.path(), &format!("alice-{round}"));
        let id = customer.cart(json!([{ "productId": first, "quantity": 1 }])).await;
        let guest = shop.guest().await;
        guest.cart(json!([{ "productId": first, "quantity": 2 }, { "productId": second, "quantity": 1 }])).await;
        let merge = json!({ "sourceSessionToken": guest.token(), "strategy": "sum" });
        let path = format!("/cart/{id}/merge");
        for answer in join_all((0..8).map(|_| customer.post(&path, merge.clone()))).await {
            assert_eq!(quantity(&answer.expect(200)), 4);
        }
        assert_eq!(quantity(&customer.post(&path, merge).await.expect(200)), 4);
        assert_eq!(guest.get("/cart").await.status, 404);
    }
}

async fn promise_10_the_total_seen_is_the_total_paid_or_the_client_is_asked_again(column: Column) {
    let dir = dir();
    let shop = column.start(dir.path(), &[]);
    let admin = shop.admin(dir.path());
    for round in 0..scale("ROUNDS", 1) {
        let sku = format!("PROMISE-10-{round}");
        let (book, _) = admin.new_book(&sku, 1000, 1000).await;
        let guest = shop.guest().await;
        let id = guest.cart(json!([{ "productId": book, "quantity": 1 }])).await;
        let seen = guest.checkout().await;
        let edition = json!({ "sku": sku, "format": "paperback", "price": usd(1200) });
        let dearer = json!({ "title": format!("Book {sku}"), "authors": ["A. Tester"], "categories": ["Tests"], "language": "en", "editions": [edition] });
        let replaced = admin.send(hyper::Method::PUT, &format!("/books/{book}"), &[], dearer.to_string()).await.expect("an answer");
        replaced.expect(200);
        let told = guest.process(&seen, "tok_visa", &key()).await;
        assert_eq!((told.status, told.code()), (409, "PRICE_CHANGED"));
        assert_eq!(told.body["expected"], seen["totals"]["total"]);
        let cart = guest.get(&format!("/cart/{id}")).await.expect(200);
        assert_eq!(cart["warnings"][0]["code"], "PRICE_CHANGED");
        let now = guest.get(&format!("/checkout/session/{}", seen["id"].as_str().expect("an id"))).await.expect(200);
        assert_eq!(told.body["total"], now["totals"]["total"]);
        let order = guest.process(&now, "tok_visa", &key()).await.expect(200)["order"].clone();
        assert_eq!(order["totals"]["total"], now["totals"]["total"]);
        let paid = std::fs::read_to_string(dir.path().join("payment-simulator.jsonl")).expect("a journal");
        assert!(
            paid.contains(&now["totals"]["total"]["amount"].to_string()) && !paid.contains(&seen["totals"]["total"]["amount"].to_string()),
            "{paid}"
        );
    }
}
