use crate::shop::Shop;
use app::ports::{FailuresMax, PortError, Quota, Room, SharedLimits, Spent, Ticket};
use async_trait::async_trait;
use memory::{ManualClock, MemoryLimits};
use rest::{DeclineLimits, EdgeConfig, RateLimits};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Shared limits that can be cut off.
#[derive(Debug)]
struct Cut {
    limits: MemoryLimits,
    off: AtomicBool,
}

impl Cut {
    fn new() -> Arc<Self> {
        Arc::new(Self { limits: MemoryLimits::new(Arc::new(ManualClock::new())), off: AtomicBool::new(false) })
    }

    fn reached(&self) -> Result<&MemoryLimits, PortError> {
        if self.off.load(Ordering::SeqCst) { Err(PortError::unavailable("limits", "cut off")) } else { Ok(&self.limits) }
    }
}

#[async_trait]
impl SharedLimits for Cut {
    async fn spend(&self, key: &str, quota: Quota) -> Result<Spent, PortError> {
        self.reached()?.spend(key, quota).await
    }

    async fn admit(&self, key: &str, ticket: Ticket, max: FailuresMax, keep: Duration) -> Result<Room, PortError> {
        self.reached()?.admit(key, ticket, max, keep).await
    }

    async fn settle(&self, key: &str, ticket: Option<Ticket>, failed: Option<Ticket>, window: Duration) -> Result<(), PortError> {
        self.reached()?.settle(key, ticket, failed, window).await
    }
}

/// Three nodes, each with a shop of its own, that share their limits.
async fn nodes(limits: RateLimits, shared: &Arc<Cut>) -> Vec<Shop> {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let shared_limits: Option<Arc<dyn SharedLimits>> = Some(shared.clone());
        nodes.push(Shop::with(EdgeConfig { rate_limits: limits, shared_limits, ..EdgeConfig::default() }).await);
    }
    nodes
}

#[tokio::test]
async fn nodes_share_one_budget_and_have_one_each_when_they_are_cut_off() {
    let shared = Cut::new();
    let nodes = nodes(RateLimits { cart_per_minute: 4, ..RateLimits::default() }, &shared).await;
    let asked = async |turn: usize| {
        let node = &nodes[turn % nodes.len()];
        let answer = node.ask("GET", "/api/v1/cart").by(&node.customer("ada")).send().await;
        (answer.status.as_u16(), answer.header("ratelimit").to_owned(), answer.header("retry-after").to_owned())
    };
    for (turn, left, reset) in [(0, 3, 15), (1, 2, 30), (2, 1, 45), (3, 0, 60)] {
        assert_eq!(asked(turn).await, (404, format!("\"cart\";r={left};t={reset}"), String::new()), "{turn}");
    }
    for turn in 4..7 {
        assert_eq!(asked(turn).await, (429, "\"cart\";r=0;t=60".to_owned(), "15".to_owned()), "{turn}");
    }
    shared.off.store(true, Ordering::SeqCst);
    let answers = async |turns: std::ops::Range<usize>| {
        let mut answers = Vec::new();
        for turn in turns {
            answers.push(asked(turn).await.0);
        }
        answers
    };
    assert_eq!(answers(0..15).await, [[404; 12].as_slice(), &[429; 3]].concat());
    shared.off.store(false, Ordering::SeqCst);
    assert_eq!(answers(0..3).await, [429; 3]);
    let told = nodes[0].ask("GET", "/metrics").send().await;
    assert!(String::from_utf8_lossy(&told.bytes).contains("\nlimits_alone_total 5\n"), "each node went alone five times");
}

#[tokio::test]
async fn nodes_count_declined_payments_together_and_remember_their_own_when_they_are_cut_off() {
    let shared = Cut::new();
    let declines = DeclineLimits { per_cart: 0, per_address: 3, window: Duration::from_secs(3600) };
    let nodes = nodes(RateLimits { declines, ..RateLimits::default() }, &shared).await;
    let paid = async |turn: usize, token: &str| {
        let (node, who) = (&nodes[turn % nodes.len()], nodes[turn % nodes.len()].customer(&format!("eve-{turn}")));
        let checkout = node.ready_checkout(&who).await;
        node.process(&who, &checkout, token, &format!("k{turn}")).await.status.as_u16()
    };
    for (turn, token, status) in [
        (0, "tok_declined", 402),
        (1, "tok_declined", 402),
        (2, "tok_visa", 200),
        (5, "tok_declined", 402),
        (3, "tok_visa", 429),
        (4, "tok_visa", 429),
    ] {
        assert_eq!(paid(turn, token).await, status, "{turn}");
    }
    shared.off.store(true, Ordering::SeqCst);
    // The first node has seen one of the three.
    for (turn, status) in [(6, 402), (9, 402), (12, 429), (7, 402)] {
        assert_eq!(paid(turn, "tok_declined").await, status, "{turn}");
    }
}

#[tokio::test]
async fn of_many_bad_cards_at_once_on_many_nodes_as_many_reach_the_provider_as_on_one() {
    let declines = DeclineLimits { per_cart: 0, per_address: 5, window: Duration::from_secs(3600) };
    let nodes = nodes(RateLimits { declines, ..RateLimits::default() }, &Cut::new()).await;
    let pay = async |turn: usize| {
        let (node, who) = (&nodes[turn % nodes.len()], nodes[turn % nodes.len()].customer(&format!("eve-{turn}")));
        let checkout = node.ready_checkout(&who).await;
        node.process(&who, &checkout, "tok_declined", &format!("k{turn}")).await.status.as_u16()
    };
    let answers = futures_util::future::join_all((0..12).map(pay)).await;
    assert_eq!([402, 429].map(|status| answers.iter().filter(|a| **a == status).count()), [5, 7]);
}
