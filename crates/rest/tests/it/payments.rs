//! What the payment provider says, and how often a card may be tried.

use crate::shop::{Answer, Ask, Shop};
use app::ports::{Charge, ChargeStatus, Clock, Payments};
use domain::ids::{AttemptId, CheckoutId};
use domain::time::Timestamp;
use memory::ManualClock;
use memory::simulator::PaymentSimulator;
use rest::{DeclineLimits, EdgeConfig, RateLimits};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use webhook::Secret;

const PATH: &str = "/api/v1/payments/webhook";
const OURS: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const STRANGERS: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn secret(text: &str) -> Secret {
    Secret::parse(text).expect("a secret")
}

async fn listening(secrets: &[&str]) -> Shop {
    let rate_limits = RateLimits { enabled: false, ..RateLimits::default() };
    let webhook_secrets = secrets.iter().map(|text| secret(text)).collect();
    Shop::with(EdgeConfig { rate_limits, webhook_secrets, ..EdgeConfig::default() }).await
}

fn notice(checkout: &str) -> String {
    let money = |amount: i64| json!({ "amount": amount, "currency": "USD" });
    let data =
        json!({ "id": AttemptId(1).to_string(), "checkout": checkout, "status": "authorized", "amount": money(1), "refunded": money(0) });
    json!({ "type": "payment.authorized", "timestamp": "2025-06-15T15:06:40Z", "data": data }).to_string()
}

fn seconds(at: Timestamp) -> i64 {
    at.micros() / 1_000_000
}

/// A notice as somebody who has this secret sends it.
fn signed<'a>(shop: &'a Shop, by: &str, at: i64, body: &str) -> Ask<'a> {
    let signature = secret(by).sign("msg_1", at, body.as_bytes());
    shop.ask("POST", PATH)
        .with("webhook-id", "msg_1")
        .with("webhook-timestamp", &at.to_string())
        .with("webhook-signature", &signature)
        .raw(body)
}

#[tokio::test]
async fn a_genuine_notice_is_heard() {
    let shop = listening(&[OURS, OLD]).await;
    let (now, body) = (seconds(shop.clock.now()), notice(&CheckoutId(1).to_string()));
    for by in [OURS, OLD] {
        for at in [now, now - 299, now + 299] {
            signed(&shop, by, at, &body).send().await.is(204, "");
        }
    }
}

#[tokio::test]
async fn nothing_is_read_of_what_is_forged_altered_or_old() {
    let shop = listening(&[OURS]).await;
    let (now, body) = (seconds(shop.clock.now()), notice(&CheckoutId(1).to_string()));
    let wrong = "WEBHOOK_SIGNATURE_INVALID";
    signed(&shop, OLD, now, &body).send().await.is(401, wrong);
    signed(&shop, OURS, now - 301, &body).send().await.is(401, wrong);
    signed(&shop, OURS, now + 301, &body).send().await.is(401, wrong);
    // What cannot be read is only known to be unreadable once it is known to be genuine.
    for body in [body.replace("authorized", "captured"), "{".to_owned(), String::new(), body.clone() + " "] {
        let signature = secret(OURS).sign("msg_1", now, notice("other").as_bytes());
        let ask = shop.ask("POST", PATH).with("webhook-id", "msg_1").with("webhook-timestamp", &now.to_string());
        ask.with("webhook-signature", &signature).raw(body).send().await.is(401, wrong);
    }
    shop.ask("POST", PATH).raw(body).send().await.is(401, wrong);
    for body in ["{", "{}", "[]", r#"{"type":"order.placed"}"#] {
        signed(&shop, OURS, now, body).send().await.is(400, "VALIDATION_FAILED");
    }
}

#[tokio::test]
async fn a_shop_without_a_secret_listens_to_nobody() {
    let shop = listening(&[]).await;
    let body = notice(&CheckoutId(1).to_string());
    signed(&shop, STRANGERS, seconds(shop.clock.now()), &body).send().await.is(401, "WEBHOOK_SIGNATURE_INVALID");
}

#[tokio::test]
async fn a_payment_that_was_approved_at_the_provider_is_completed_when_the_shop_hears_of_it() {
    let provider = PaymentSimulator::in_memory(Duration::from_millis(50));
    let clock = ManualClock::new();
    let rate_limits = RateLimits { enabled: false, ..RateLimits::default() };
    let config = EdgeConfig { rate_limits, webhook_secrets: vec![secret(OURS)], ..EdgeConfig::default() };
    let shop = Shop::on(config, Arc::new(clock.clone()), clock, Arc::new(provider.clone())).await;
    let ada = shop.customer("ada");
    let checkout = shop.ready_checkout(&ada).await;
    let id = checkout["id"].as_str().expect("an id");
    shop.process(&ada, &checkout, "tok_requires_action", "k").await.is(202, "");
    let key = *provider.charges().keys().next().expect("a charge");
    provider.answer_challenge(key, true).await.expect("an answer");
    let status = async || shop.ask("GET", &format!("/api/v1/checkout/session/{id}")).by(&ada).send().await.is(200, "").str("/status");
    assert_eq!(status().await, "requires_action");
    let body = notice(id).replace(&AttemptId(1).to_string(), &key.to_string());
    for _ in 0..2 {
        signed(&shop, OURS, seconds(shop.clock.now()), &body).send().await.is(204, "");
        assert_eq!(status().await, "completed");
    }
    assert_eq!(provider.find(key).await.expect("an answer").map(|c| c.refunded.minor()), Some(0));
}

/// A shop with these limits, and the provider it asks.
async fn limited(per_cart: u32, per_address: u32) -> (Shop, PaymentSimulator) {
    let provider = PaymentSimulator::in_memory(Duration::from_millis(50));
    let declines = DeclineLimits { per_cart, per_address, window: Duration::from_secs(3600) };
    let rate_limits = RateLimits { declines, checkout_per_minute: 1000, ..RateLimits::default() };
    let clock = ManualClock::new();
    let config = EdgeConfig { rate_limits, ..EdgeConfig::default() };
    let shop = Shop::on(config, Arc::new(clock.clone()), clock, Arc::new(provider.clone())).await;
    (shop, provider)
}

async fn pay_from(shop: &Shop, address: &str, who: &str, checkout: &Value, token: &str, key: &str) -> Answer {
    let body = json!({ "sessionId": checkout["id"], "paymentToken": token, "expectedTotal": checkout["totals"]["total"] });
    shop.ask("POST", "/api/v1/checkout/process").from(address).by(who).key(key).json(&body).send().await
}

#[tokio::test]
async fn twenty_bad_cards_in_a_row_reach_the_provider_five_times() {
    let (shop, provider) = limited(5, 0).await;
    let eve = shop.customer("eve");
    let checkout = shop.ready_checkout(&eve).await;
    for n in 0..20 {
        let answer = shop.process(&eve, &checkout, "tok_declined", &format!("k{n}")).await;
        if n < 5 {
            answer.is(402, "PAYMENT_DECLINED");
        } else {
            let answer = answer.is(429, "PAYMENT_ATTEMPTS_EXCEEDED");
            assert!((1..=3600).contains(&answer.header("retry-after").parse::<u32>().expect("seconds")));
        }
    }
    // Nor does a good card, now; but what was answered is answered again.
    shop.process(&eve, &checkout, "tok_visa", "good").await.is(429, "PAYMENT_ATTEMPTS_EXCEEDED");
    let again = shop.process(&eve, &checkout, "tok_declined", "k0").await.is(402, "PAYMENT_DECLINED");
    assert_eq!((again.header("idempotent-replayed"), provider.charges().len()), ("true", 5));
    // Another cart is another customer.
    let ada = shop.customer("ada");
    let checkout = shop.ready_checkout(&ada).await;
    shop.process(&ada, &checkout, "tok_visa", "k").await.is(200, "");
}

#[tokio::test]
async fn twenty_bad_cards_at_once_reach_the_provider_five_times() {
    let (shop, provider) = limited(5, 0).await;
    let eve = shop.customer("eve");
    let checkout = shop.ready_checkout(&eve).await;
    let keys: Vec<_> = (0..20).map(|n| format!("k{n}")).collect();
    let answers = futures_util::future::join_all(keys.iter().map(|key| shop.process(&eve, &checkout, "tok_declined", key))).await;
    let declined = answers.iter().filter(|a| a.status.as_u16() == 402).count();
    assert_eq!((declined, provider.charges().len()), (5, 5));
    assert_eq!(answers.iter().filter(|a| a.status.as_u16() == 429).count(), 15);
}

#[tokio::test]
async fn a_good_customer_is_not_hurt() {
    let (shop, provider) = limited(2, 3).await;
    // A repeat is no second try, and what goes through costs nothing.
    for n in 0..10 {
        let who = shop.customer(&format!("good-{n}"));
        let checkout = shop.ready_checkout(&who).await;
        pay_from(&shop, "203.0.113.7", &who, &checkout, "tok_visa", "k").await.is(200, "");
    }
    let ada = shop.customer("ada");
    let checkout = shop.ready_checkout(&ada).await;
    for _ in 0..10 {
        pay_from(&shop, "203.0.113.7", &ada, &checkout, "tok_insufficient_funds", "k").await.is(402, "PAYMENT_DECLINED");
    }
    pay_from(&shop, "203.0.113.7", &ada, &checkout, "tok_visa", "l").await.is(200, "");
    assert_eq!(provider.charges().len(), 12);
}

#[tokio::test]
async fn an_address_with_many_carts_is_one_address() {
    let (shop, provider) = limited(2, 3).await;
    let mut answers = Vec::new();
    for n in 0..6 {
        let who = shop.customer(&format!("eve-{n}"));
        let checkout = shop.ready_checkout(&who).await;
        answers.push(pay_from(&shop, "203.0.113.7", &who, &checkout, "tok_declined", "k").await.status.as_u16());
    }
    assert_eq!((answers, provider.charges().len()), (vec![402, 402, 402, 429, 429, 429], 3));
    let ada = shop.customer("ada");
    let checkout = shop.ready_checkout(&ada).await;
    pay_from(&shop, "203.0.113.7", &ada, &checkout, "tok_visa", "k").await.is(429, "PAYMENT_ATTEMPTS_EXCEEDED");
    pay_from(&shop, "203.0.113.8", &ada, &checkout, "tok_visa", "k").await.is(200, "");
}

/// Pays with a card that meets a challenge, and answers it at the provider.
async fn challenged(shop: &Shop, provider: &PaymentSimulator, who: &str, checkout: &Value, key: &str, passed: bool) {
    shop.process(who, checkout, "tok_requires_action", key).await.is(202, "");
    let open = |(_, charge): &(_, Charge)| matches!(charge.status, ChargeStatus::Challenged { .. });
    let (attempt, _) = provider.charges().into_iter().find(open).expect("a challenge");
    provider.answer_challenge(attempt, passed).await.expect("an answer");
}

#[tokio::test]
async fn a_challenge_that_was_not_met_counts_once_like_a_declined_card() {
    for comes_back in [true, false] {
        let (shop, provider) = limited(3, 0).await;
        let eve = shop.customer("eve");
        let checkout = shop.ready_checkout(&eve).await;
        let resume = format!("/api/v1/checkout/session/{}/resume", checkout["id"].as_str().expect("an id"));
        for key in ["k0", "k1"] {
            challenged(&shop, &provider, &eve, &checkout, key, false).await;
            if comes_back {
                for _ in 0..3 {
                    shop.ask("POST", &resume).by(&eve).send().await.is(402, "PAYMENT_DECLINED");
                }
                shop.process(&eve, &checkout, "tok_requires_action", key).await.is(402, "PAYMENT_DECLINED");
            }
        }
        shop.process(&eve, &checkout, "tok_declined", "third").await.is(402, "PAYMENT_DECLINED");
        shop.process(&eve, &checkout, "tok_visa", "good").await.is(429, "PAYMENT_ATTEMPTS_EXCEEDED");
        assert_eq!(provider.charges().len(), 3, "{comes_back}");
    }
}

#[tokio::test]
async fn a_challenge_that_was_met_costs_nothing() {
    let (shop, provider) = limited(1, 1).await;
    for n in 0..3 {
        let ada = shop.customer(&format!("ada-{n}"));
        let checkout = shop.ready_checkout(&ada).await;
        challenged(&shop, &provider, &ada, &checkout, "k", true).await;
        let resume = format!("/api/v1/checkout/session/{}/resume", checkout["id"].as_str().expect("an id"));
        shop.ask("POST", &resume).by(&ada).send().await.is(200, "");
    }
}
