//! From a guest's cart to a canceled order.

use crate::shop::{Shop, address, usd};
use memory::ManualClock;
use memory::simulator::PaymentSimulator;
use rest::{EdgeConfig, RateLimits};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_stranger_becomes_a_guest_with_a_cart() {
    let shop = Shop::new().await;
    let first = shop.ask("POST", "/api/v1/cart").json(&json!({ "items": [shop.item(2)], "couponCodes": ["TEN", "NOPE"] })).send().await;
    let first = first.is(201, "");
    let token = first.header("x-session-token").to_owned();
    assert!(token.starts_with("gst_") && token.len() >= 4 + 32);
    assert_eq!(first.header("location"), format!("/api/v1/cart/{}", first.str("/id")));
    assert_eq!(first.header("cache-control"), "private, no-store");
    assert_eq!(
        (first.str("/owner/kind"), first.str("/status"), &first.json["totals"]["total"]),
        ("guest".into(), "active".into(), &usd(1620))
    );
    assert_eq!(first.str("/warnings/0/code"), "COUPON_NOT_APPLICABLE");
    let again = shop.ask("POST", "/api/v1/cart").by(&token).json(&json!({})).send().await.is(200, "");
    assert_eq!((again.str("/id"), again.header("x-session-token")), (first.str("/id"), ""));
    let session = shop.ask("GET", "/api/v1/session").by(&token).send().await.is(200, "");
    assert_eq!(session.str("/cartId"), first.str("/id"));
    assert!(session.json.get("token").is_none());
    let path = format!("/api/v1/session/{}", session.str("/id"));
    let named = shop.ask("PATCH", &path).by(&token).json(&json!({ "device": "Firefox", "extend": true })).send().await.is(200, "");
    assert_eq!(named.str("/device"), "Firefox");
    // Signing in: the guest's cart is merged, once.
    let ada = shop.customer("ada");
    let hers = shop.cart(&ada, 1).await;
    let merge = json!({ "sourceSessionToken": token, "strategy": "sum" });
    let preview = shop.ask("POST", &format!("{hers}/merge?dryRun=true")).by(&ada).json(&merge).send().await.is(200, "");
    assert_eq!(preview.json["items"][0]["quantity"], 3);
    assert_eq!(shop.ask("GET", &hers).by(&ada).send().await.json["items"][0]["quantity"], 1);
    for _ in 0..2 {
        let merged = shop.ask("POST", &format!("{hers}/merge")).by(&ada).json(&merge).send().await.is(200, "");
        assert_eq!(merged.json["items"][0]["quantity"], 3);
    }
    shop.ask("DELETE", &path).by(&token).send().await.is(204, "");
    shop.ask("GET", "/api/v1/session").by(&token).send().await.is(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_cart_is_changed_and_read() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    let cart = shop.cart(&ada, 2).await;
    let added =
        shop.ask("POST", &format!("{cart}/items")).by(&ada).json(&json!({ "productId": shop.product(), "quantity": 1 })).send().await;
    let item = format!("{cart}/items/{}", added.is(201, "").str("/items/0/id"));
    let set = shop.ask("PATCH", &item).by(&ada).json(&json!({ "quantity": 7 })).send().await.is(200, "");
    assert_eq!((&set.json["items"][0]["quantity"], &set.json["items"][0]["lineTotal"]), (&json!(7), &usd(6300)));
    let totals = shop.ask("GET", &format!("{cart}/totals")).by(&ada).send().await.is(200, "");
    assert_eq!(totals.json, set.json["totals"]);
    let patch = json!({
        "note": "wrap it", "metadata": { "from": "newsletter" }, "couponCodes": ["five"],
        "operations": [{ "op": "clear" }, { "op": "add", "productId": shop.product(), "quantity": 2 }],
    });
    let patched = shop.ask("PATCH", &cart).by(&ada).json(&patch).send().await.is(200, "");
    assert_eq!((&patched.json["note"], &patched.json["metadata"]["from"]), (&json!("wrap it"), &json!("newsletter")));
    assert_eq!((&patched.json["totals"]["total"], &patched.json["couponCodes"]), (&usd(1300), &json!(["FIVE"])));
    shop.ask("PATCH", &cart).by(&ada).json(&json!({ "currency": "EUR" })).send().await.is(409, "CURRENCY_FIXED");
    let removed = shop.ask("PATCH", &item).by(&ada).json(&json!({ "quantity": 0 })).send().await.is(200, "");
    assert_eq!(removed.json["items"], json!([]));
    shop.ask("DELETE", &item).by(&ada).send().await.is(404, "ITEM_NOT_FOUND");
    shop.ask("DELETE", &cart).by(&ada).send().await.is(204, "");
    shop.ask("GET", &cart).by(&ada).send().await.is(404, "CART_NOT_FOUND");
}

#[tokio::test]
async fn a_checkout_is_filled_in_paid_and_its_order_canceled() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    shop.cart(&ada, 2).await;
    let started = shop.ask("POST", "/api/v1/checkout/session").by(&ada).send().await.is(201, "");
    assert_eq!((started.str("/status"), &started.json["missing"]), ("incomplete".into(), &json!(["email", "shippingAddress"])));
    let path = started.header("location").to_owned();
    let body = json!({ "email": "ada@example.com", "shippingAddress": address(), "shippingOptionId": "standard" });
    let ready = shop.ask("PATCH", &path).by(&ada).json(&body).send().await.is(200, "");
    assert_eq!((ready.str("/status"), &ready.json["totals"]["final"]), ("ready".into(), &json!(true)));
    assert_eq!((ready.str("/shippingOptions/0/id"), ready.str("/shippingAddress/region")), ("standard".into(), "TX".into()));
    // 1800 + 499 + 8.25 % of 1800, which is 148.5 and goes to the even neighbor.
    assert_eq!(ready.json["totals"]["total"], usd(2447));
    let no_key = json!({ "sessionId": ready.json["id"], "paymentToken": "tok_visa", "expectedTotal": usd(2447) });
    shop.ask("POST", "/api/v1/checkout/process").by(&ada).json(&no_key).send().await.is(400, "IDEMPOTENCY_KEY_REQUIRED");
    let wrong = json!({ "sessionId": ready.json["id"], "paymentToken": "tok_visa", "expectedTotal": usd(1) });
    let wrong = shop.ask("POST", "/api/v1/checkout/process").by(&ada).key("w").json(&wrong).send().await.is(409, "PRICE_CHANGED");
    assert_eq!((&wrong.json["expected"], &wrong.json["total"]), (&usd(1), &usd(2447)));
    let paid = shop.process(&ada, &ready.json, "tok_visa", "p").await.is(200, "");
    assert_eq!((paid.str("/status"), &paid.json["order"]["totals"]["total"]), ("completed".into(), &usd(2447)));
    let again = shop.process(&ada, &ready.json, "tok_visa", "p").await.is(200, "");
    assert_eq!((again.header("idempotent-replayed"), &again.bytes), ("true", &paid.bytes));
    let order = format!("/api/v1/orders/{}", paid.str("/order/id"));
    let read = shop.ask("GET", &order).by(&ada).send().await.is(200, "");
    assert_eq!((read.str("/email"), read.str("/customerId")), ("ada@example.com".into(), "ada".into()));
    let history = shop.ask("GET", &format!("{order}/events")).by(&ada).send().await.is(200, "");
    assert_eq!((history.str("/items/0/type"), history.str("/items/0/after/status")), ("order.placed".into(), "pending".into()));
    let canceled = shop.ask("DELETE", &order).by(&ada).send().await.is(200, "");
    assert_eq!(canceled.str("/status"), "canceled");
    let twice = shop.ask("DELETE", &order).by(&ada).send().await.is(409, "ORDER_TRANSITION_INVALID");
    assert_eq!((twice.str("/from"), twice.str("/to")), ("canceled".into(), "canceled".into()));
    shop.ask("PATCH", &order).by(&ada).json(&json!({ "shippingAddress": address() })).send().await.is(409, "ADDRESS_LOCKED");
}

#[tokio::test]
async fn a_declined_payment_is_declined_again() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    let checkout = shop.ready_checkout(&ada).await;
    let first = shop.process(&ada, &checkout, "tok_insufficient_funds", "d").await.is(402, "PAYMENT_DECLINED");
    let again = shop.process(&ada, &checkout, "tok_insufficient_funds", "d").await.is(402, "PAYMENT_DECLINED");
    assert_eq!(first.str("/reason"), again.str("/reason"));
    let path = format!("/api/v1/checkout/session/{}", checkout["id"].as_str().expect("an id"));
    let after = shop.ask("GET", &path).by(&ada).send().await.is(200, "");
    assert_eq!((after.str("/status"), after.str("/lastError/code")), ("ready".into(), "INSUFFICIENT_FUNDS".into()));
    shop.process(&ada, &after.json, "tok_visa", "e").await.is(200, "");
}

#[tokio::test]
async fn whoever_waits_too_long_is_told_where_to_look() {
    let clock = ManualClock::new();
    let payments = PaymentSimulator::in_memory(Duration::from_secs(5)).with_slowness(Duration::from_millis(300));
    let limits = RateLimits { enabled: false, ..RateLimits::default() };
    let config = EdgeConfig { rate_limits: limits, answer_within: Duration::from_millis(50), ..EdgeConfig::default() };
    let shop = Shop::on(config, Arc::new(clock.clone()), clock, Arc::new(payments)).await;
    let ada = shop.customer("ada");
    let checkout = shop.ready_checkout(&ada).await;
    let told = shop.process(&ada, &checkout, "tok_slow", "s").await.is(202, "");
    assert_eq!((told.str("/status"), &told.json["checkoutId"]), ("processing".into(), &checkout["id"]));
    shop.edge.idle().await;
    let path = told.header("location").to_owned();
    let after = shop.ask("GET", &path).by(&ada).send().await.is(200, "");
    assert_eq!(after.str("/status"), "completed");
    let again = shop.process(&ada, &checkout, "tok_slow", "s").await.is(200, "");
    assert_eq!(after.str("/orderId"), again.str("/order/id"));
}

#[tokio::test]
async fn a_client_that_hangs_up_stops_nothing() {
    let clock = ManualClock::new();
    let payments = PaymentSimulator::in_memory(Duration::from_secs(5)).with_slowness(Duration::from_millis(300));
    let limits = RateLimits { enabled: false, ..RateLimits::default() };
    let config = EdgeConfig { rate_limits: limits, ..EdgeConfig::default() };
    let shop = Shop::on(config, Arc::new(clock.clone()), clock, Arc::new(payments)).await;
    let ada = shop.customer("ada");
    let checkout = shop.ready_checkout(&ada).await;
    let hung_up = tokio::time::timeout(Duration::from_millis(50), shop.process(&ada, &checkout, "tok_slow", "s")).await;
    assert!(hung_up.is_err(), "the request is dropped on the way");
    shop.edge.idle().await;
    let orders = shop.ask("GET", "/api/v1/orders").by(&ada).send().await.is(200, "");
    assert_eq!(orders.json["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn orders_are_paged_newest_first() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    let mut placed = Vec::new();
    for _ in 0..5 {
        shop.clock.advance(Duration::from_secs(60));
        placed.push(shop.order(&ada).await["id"].clone());
    }
    placed.reverse();
    let (mut seen, mut path) = (Vec::new(), "/api/v1/orders?limit=2".to_owned());
    loop {
        let page = shop.ask("GET", &path).by(&ada).send().await.is(200, "");
        seen.extend(page.json["items"].as_array().expect("items").iter().map(|o| o["id"].clone()));
        let Some(cursor) = page.json["nextCursor"].as_str() else { break };
        path = format!("/api/v1/orders?limit=2&cursor={cursor}");
        assert_eq!(page.header("link"), format!("<{path}>; rel=\"next\""));
    }
    assert_eq!(seen, placed);
    for cursor in ["x", "AAAA", &path[path.len() - 20..]] {
        let answer = shop.ask("GET", &format!("/api/v1/orders?cursor={cursor}")).by(&ada).send().await;
        answer.is(400, "CURSOR_INVALID");
    }
    let order = format!("/api/v1/orders/{}/events?limit=1", placed[0].as_str().expect("an id"));
    let first = shop.ask("GET", &order).by(&ada).send().await.is(200, "");
    let second = shop.ask("GET", &format!("{order}&cursor={}", first.str("/nextCursor"))).by(&ada).send().await.is(200, "");
    assert_eq!((&first.json["items"][0]["seq"], &second.json["items"][0]["seq"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn an_admin_moves_orders_along() {
    let shop = Shop::new().await;
    let (ada, admin) = (shop.customer("ada"), shop.admin());
    let order = format!("/api/v1/orders/{}", shop.order(&ada).await["id"].as_str().expect("an id"));
    shop.ask("PATCH", &order).by(&ada).json(&json!({ "status": "shipped" })).send().await.is(403, "FORBIDDEN");
    shop.ask("PATCH", &order).by(&admin).json(&json!({ "status": "delivered" })).send().await.is(409, "ORDER_TRANSITION_INVALID");
    for status in ["processing", "shipped", "delivered"] {
        let moved = shop.ask("PATCH", &order).by(&admin).json(&json!({ "status": status })).send().await.is(200, "");
        assert_eq!(moved.str("/status"), status);
    }
    for body in [json!({}), json!({ "status": "lost" }), json!({ "status": "shipped", "shippingAddress": address() })] {
        shop.ask("PATCH", &order).by(&admin).json(&body).send().await.is(400, "VALIDATION_FAILED");
    }
    let theirs =
        shop.ask("GET", "/api/v1/orders?customerId=ada&paymentStatus=captured&status=delivered").by(&admin).send().await.is(200, "");
    assert_eq!(theirs.json["items"].as_array().map(Vec::len), Some(1));
}
