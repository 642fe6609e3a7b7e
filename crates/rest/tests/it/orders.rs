//! Orders whose money moves later, in part, or after a challenge.

use crate::shop::{Shop, usd};
use app::ports::{Payments, Refund};
use domain::ids::{AttemptId, RefundId};
use domain::order::CaptureWhen;
use serde_json::{Value, json};
use std::time::Duration;

fn path(order: &Value) -> String {
    format!("/api/v1/orders/{}", order["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn copies_are_paid_back_and_the_order_says_so() {
    let shop = Shop::new().await;
    let (ada, admin) = (shop.customer("ada"), shop.admin());
    // Two copies at 9.00 with a tax of 1.48, and 4.99 for shipping.
    let order = shop.order(&ada).await;
    let (path, item, variant) = (path(&order), &order["items"][0]["id"], &order["items"][0]["variantId"]);
    let refunds = format!("{path}/refunds");
    let ask = |body: Value| shop.ask("POST", &refunds).by(&admin).json(&body).send();
    shop.ask("POST", &refunds).by(&ada).json(&json!({ "amount": usd(1) })).send().await.is(403, "FORBIDDEN");
    for (body, status, code) in [
        (json!({}), 400, "VALIDATION_FAILED"),
        (json!({ "items": [] }), 400, "VALIDATION_FAILED"),
        (json!({ "items": [{ "quantity": 1 }] }), 400, "VALIDATION_FAILED"),
        (json!({ "items": [{ "itemId": item, "variantId": variant, "quantity": 1 }] }), 400, "VALIDATION_FAILED"),
        (json!({ "items": [{ "itemId": item, "quantity": 1 }], "amount": usd(1) }), 400, "VALIDATION_FAILED"),
        (json!({ "amount": usd(1), "restock": true }), 400, "VALIDATION_FAILED"),
        (json!({ "items": [{ "itemId": item, "quantity": 0 }] }), 422, "QUANTITY_INVALID"),
        (json!({ "items": [{ "itemId": "item_00000000000000000000000009", "quantity": 1 }] }), 404, "ITEM_NOT_FOUND"),
        (json!({ "amount": usd(0) }), 422, "REFUND_AMOUNT_INVALID"),
        (json!({ "amount": { "amount": 1, "currency": "EUR" } }), 422, "REFUND_AMOUNT_INVALID"),
    ] {
        let refused = ask(body.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (status, code), "{body}: {}", refused.json);
    }
    let large = ask(json!({ "amount": usd(2448) })).await.is(409, "REFUND_TOO_LARGE");
    assert_eq!((&large.json["asked"], &large.json["left"]), (&usd(2448), &usd(2447)));
    let many = ask(json!({ "items": [{ "itemId": item, "quantity": 3 }] })).await.is(409, "REFUND_ITEMS_TOO_MANY");
    assert_eq!((&many.json["short"][0]["wanted"], &many.json["short"][0]["available"]), (&json!(3), &json!(2)));

    let one = json!({ "items": [{ "itemId": item, "quantity": 1 }], "reason": "A torn page" });
    let send = || shop.ask("POST", &refunds).by(&admin).key("r").json(&one).send();
    let (first, again) = (send().await.is(201, ""), send().await.is(201, ""));
    assert_eq!((again.header("idempotent-replayed"), &again.bytes), ("true", &first.bytes));
    assert_eq!(first.header("location"), path);
    let read = shop.ask("GET", &path).by(&ada).send().await.ok();
    assert_eq!((read.str("/paymentStatus"), read.json["refunds"].as_array().map(Vec::len)), ("partially_refunded".into(), Some(1)));
    let refund = &read.json["refunds"][0];
    assert_eq!((&refund["amount"], &refund["status"], &refund["restock"]), (&usd(974), &json!("refunded"), &json!(true)));
    assert_eq!((&refund["items"][0]["variantId"], &refund["reason"]), (variant, &json!("A torn page")));

    let last = ask(json!({ "items": [{ "variantId": variant, "quantity": 1 }], "restock": false })).await.is(201, "");
    assert_eq!((last.str("/paymentStatus"), &last.json["refunds"][1]["amount"]), ("refunded".into(), &usd(974 + 499)));
    ask(json!({ "amount": usd(1) })).await.is(409, "REFUND_NOT_POSSIBLE");
    let history = shop.ask("GET", &format!("{path}/events")).by(&ada).send().await.ok();
    let events = history.json["items"].as_array().expect("events");
    let asked = events.iter().find(|e| e["type"] == "refund.requested").expect("an event");
    assert_eq!(
        (&asked["actor"], &asked["before"]["paymentStatus"], &asked["after"]["paymentStatus"]),
        (&json!("admin:boss"), &json!("captured"), &json!("refunding"))
    );
    assert_eq!((&asked["after"]["refund"]["amount"], &asked["after"]["refund"]["items"][0]["quantity"]), (&usd(974), &json!(1)));
    let paid = events.iter().find(|e| e["type"] == "payment.refunded").expect("an event");
    assert_eq!((&paid["after"]["refundId"], &paid["after"]["amount"]), (&refund["id"], &usd(974)));
}

#[tokio::test]
async fn a_refund_that_was_refused_says_why() {
    let (shop, provider) = Shop::capturing(CaptureWhen::AtOnce).await;
    let (ada, admin) = (shop.customer("ada"), shop.admin());
    let checkout = shop.ready_checkout(&ada).await;
    let order = path(&shop.process(&ada, &checkout, "tok_visa", "k").await.is(200, "").json["order"]);
    let (key, charge) = provider.charges().pop_first().expect("a charge");
    provider.refund(key, &Refund { id: RefundId(1), amount: charge.amount }).await.expect("paid back elsewhere");
    let asked = shop.ask("POST", &format!("{order}/refunds")).by(&admin).json(&json!({ "amount": usd(1) })).send().await.is(201, "");
    let refund = &asked.json["refunds"][0];
    assert_eq!((&refund["status"], &refund["error"]["code"]), (&json!("refused"), &json!("REFUND_EXCEEDS_CAPTURE")));
    let history = shop.ask("GET", &format!("{order}/events")).by(&ada).send().await.ok();
    let last = history.json["items"].as_array().and_then(|e| e.last()).expect("events").clone();
    assert_eq!((&last["type"], &last["after"]["refundId"]), (&json!("payment.refund_refused"), &refund["id"]));
    assert_eq!(last["after"]["error"], refund["error"]);
}

#[tokio::test]
async fn goods_leave_when_their_money_is_there() {
    let (shop, _) = Shop::capturing(CaptureWhen::OnShipment).await;
    let (ada, admin) = (shop.customer("ada"), shop.admin());
    for (token, status, payment, last) in
        [("tok_visa", "shipped", "captured", "order.shipped"), ("tok_capture_fails", "processing", "authorized", "payment.capture_refused")]
    {
        let checkout = shop.ready_checkout(&ada).await;
        let paid = shop.process(&ada, &checkout, token, token).await.is(200, "");
        assert_eq!((paid.str("/order/status"), paid.str("/order/paymentStatus")), ("confirmed".into(), "authorized".into()));
        let order = path(&paid.json["order"]);
        for to in ["processing", "shipped"] {
            shop.ask("PATCH", &order).by(&admin).json(&json!({ "status": to })).send().await.is(200, "");
        }
        let read = shop.ask("GET", &order).by(&ada).send().await.ok();
        assert_eq!((read.str("/status"), read.str("/paymentStatus")), (status.into(), payment.into()), "{token}");
        let history = shop.ask("GET", &format!("{order}/events")).by(&ada).send().await.ok();
        let event = history.json["items"].as_array().and_then(|e| e.last()).expect("events").clone();
        assert_eq!(event["type"], last);
        assert!(token == "tok_visa" || event["after"]["error"]["code"] == "CAPTURE_FAILED", "{event}");
    }
}

#[tokio::test]
async fn a_challenge_is_met_elsewhere_and_resumed_here() {
    for (passed, status, code) in [(true, 200, ""), (false, 402, "PAYMENT_DECLINED")] {
        let (shop, payments) = Shop::capturing(CaptureWhen::AtOnce).await;
        let ada = shop.customer("ada");
        let checkout = shop.ready_checkout(&ada).await;
        let body = json!({
            "sessionId": checkout["id"], "paymentToken": "tok_requires_action", "expectedTotal": checkout["totals"]["total"],
            "returnUrl": "https://shop.example/return",
        });
        let wants = shop.ask("POST", "/api/v1/checkout/process").by(&ada).key("c").json(&body).send().await.is(202, "");
        assert_eq!((wants.str("/status"), wants.str("/nextAction/type")), ("requires_action".into(), "redirect".into()));
        let session = wants.header("location").to_owned();
        let read = shop.ask("GET", &session).by(&ada).send().await.ok();
        assert_eq!((read.str("/status"), &read.json["nextAction"]), ("requires_action".into(), &wants.json["nextAction"]));
        let url = read.str("/nextAction/url");
        let key = AttemptId::parse(url.rsplit('/').next().expect("a path")).expect("an attempt");
        assert_eq!(payments.challenge(key).and_then(|c| c.return_url).as_deref(), Some("https://shop.example/return"));

        let resume = || shop.ask("POST", &format!("{session}/resume")).by(&ada).send();
        let waits = resume().await.is(202, "");
        assert_eq!(waits.str("/status"), "requires_action");
        payments.answer_challenge(key, passed).await.expect("an answer");
        for _ in 0..2 {
            let over = resume().await.is(status, code);
            assert!(!passed || over.str("/order/paymentStatus") == "captured");
        }
        let after = shop.ask("GET", &session).by(&ada).send().await.ok();
        assert_eq!((after.str("/status").as_str(), after.json.get("nextAction")), (if passed { "completed" } else { "ready" }, None));
        assert_eq!(after.json.get("lastError").is_some(), !passed);
    }
}

#[tokio::test]
async fn resuming_says_nothing_and_is_its_owner_s() {
    let (shop, _) = Shop::capturing(CaptureWhen::AtOnce).await;
    let (ada, bob) = (shop.customer("ada"), shop.customer("bob"));
    let checkout = shop.ready_checkout(&ada).await;
    let resume = format!("/api/v1/checkout/session/{}/resume", checkout["id"].as_str().expect("an id"));
    shop.ask("POST", &resume).by(&bob).json(&json!({})).send().await.is(404, "CHECKOUT_NOT_FOUND");
    shop.ask("POST", &resume).by(&ada).json(&json!({ "paid": true })).send().await.is(400, "VALIDATION_FAILED");
    shop.ask("POST", &resume).by(&ada).json(&json!({})).send().await.is(409, "CHECKOUT_STATE");
    for url in ["javascript:alert(1)", "shop.example", ""] {
        let body = json!({ "sessionId": checkout["id"], "paymentToken": "tok_visa", "expectedTotal": usd(1), "returnUrl": url });
        shop.ask("POST", "/api/v1/checkout/process").by(&ada).key("u").json(&body).send().await.is(400, "VALIDATION_FAILED");
    }
}

#[tokio::test]
async fn what_waits_too_long_is_in_the_metrics() {
    let (shop, _) = Shop::capturing(CaptureWhen::AtOnce).await;
    let ada = shop.customer("ada");
    let checkout = shop.ready_checkout(&ada).await;
    shop.process(&ada, &checkout, "tok_requires_action", "c").await.is(202, "");
    for (seconds, waiting, age) in [(599, 0, 0), (43, 1, 42)] {
        shop.clock.advance(Duration::from_secs(seconds));
        shop.edge.measure_overdue().await.expect("counted");
        let text = String::from_utf8(shop.ask("GET", "/metrics").send().await.ok().bytes).expect("text");
        for line in [
            format!("saga_overdue{{kind=\"checkout\"}} {waiting}"),
            "saga_overdue{kind=\"order\"} 0".to_owned(),
            format!("saga_overdue_age_seconds {age}"),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}
