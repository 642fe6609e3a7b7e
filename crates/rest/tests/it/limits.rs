use crate::shop::Shop;
use rest::{EdgeConfig, RateLimits};
use std::time::Duration;

async fn shop(limits: RateLimits) -> Shop {
    Shop::with(EdgeConfig { rate_limits: limits, answer_within: Duration::from_secs(1), ..EdgeConfig::default() }).await
}

#[tokio::test]
async fn each_caller_has_a_budget_for_each_group() {
    let shop = shop(RateLimits { cart_per_minute: 3, ..RateLimits::default() }).await;
    let (ada, bob) = (shop.customer("ada"), shop.customer("bob"));
    for left in (0..3).rev() {
        let answer = shop.ask("GET", "/api/v1/cart").by(&ada).send().await.is(404, "CART_NOT_FOUND");
        assert_eq!(answer.header("ratelimit-policy"), "\"cart\";q=3;w=60");
        assert!(answer.header("ratelimit").starts_with(&format!("\"cart\";r={left};t=")), "{:?}", answer.headers);
    }
    let over = shop.ask("GET", "/api/v1/cart").by(&ada).send().await.is(429, "RATE_LIMITED");
    let wait: u32 = over.header("retry-after").parse().expect("seconds");
    assert!((1..=20).contains(&wait) && over.header("ratelimit").contains("r=0"), "{wait}");
    shop.ask("GET", "/api/v1/cart").by(&bob).send().await.is(404, "CART_NOT_FOUND");
    shop.ask("GET", "/api/v1/orders").by(&ada).send().await.is(200, "");
    shop.edge.forget_idle_callers();
    shop.ask("GET", "/api/v1/cart").by(&ada).send().await.is(429, "RATE_LIMITED");
}

#[tokio::test]
async fn guessing_tokens_spends_the_budget_of_strangers() {
    let shop = shop(RateLimits { anonymous_per_hour: 3, ..RateLimits::default() }).await;
    for _ in 0..3 {
        shop.ask("GET", "/api/v1/cart").by("guess").send().await.is(401, "UNAUTHENTICATED");
    }
    shop.ask("GET", "/api/v1/cart").by("guess").send().await.is(429, "RATE_LIMITED");
    shop.ask("GET", "/api/v1/books").send().await.is(429, "RATE_LIMITED");
    shop.ask("GET", "/api/v1/books").by(&shop.customer("ada")).send().await.is(200, "");
    shop.ask("GET", "/health/live").send().await.is(200, "");
}

#[tokio::test]
async fn reading_a_checkout_is_not_changing_one() {
    let shop = shop(RateLimits { checkout_per_minute: 1, ..RateLimits::default() }).await;
    let ada = shop.customer("ada");
    shop.cart(&ada, 1).await;
    let started = shop.ask("POST", "/api/v1/checkout/session").by(&ada).send().await.is(201, "");
    let path = started.header("location").to_owned();
    for _ in 0..5 {
        shop.ask("GET", &path).by(&ada).send().await.is(200, "");
    }
    shop.ask("DELETE", &path).by(&ada).send().await.is(429, "RATE_LIMITED");
}
