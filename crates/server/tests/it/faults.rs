//! The process dies at every call that changes something, on Redis and PostgreSQL. In `./test` at one call in twenty;
//! `FAULTS=all cargo nextest run -p server faults` takes them all.

use crate::scale::{engines, stores};
use crate::shop::dir;
use app::Ports;
use app::ports::{Charge, NoExpressions};
use async_trait::async_trait;
use conformance::faults::{Stand, a_crash_at_any_call_leaves_money_stock_and_coupons_balanced};
use domain::event::Outgoing;
use domain::ids::AttemptId;
use memory::simulator::PaymentSimulator;
use memory::{ManualClock, MemoryBus, SeededEntropy};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

struct OnEngines {
    ports: Ports,
    payments: Arc<PaymentSimulator>,
    bus: MemoryBus,
    clock: ManualClock,
    _name: TempDir,
}

impl OnEngines {
    async fn new() -> Self {
        let name = dir();
        let (postgres, redis) = stores(engines(), name.path()).await;
        let (postgres, redis) = (Arc::new(postgres), Arc::new(redis));
        let (payments, bus, clock) = (Arc::new(PaymentSimulator::in_memory(Duration::ZERO)), MemoryBus::new(), ManualClock::new());
        let ports = Ports {
            carts: redis.clone(),
            sessions: redis.clone(),
            ledger: postgres.clone(),
            catalog: postgres.clone(),
            prices: postgres.clone(),
            search: postgres.clone(),
            outboxes: vec![redis, postgres],
            payments: payments.clone(),
            taxes: None,
            bus: Arc::new(bus.clone()),
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(SeededEntropy::new(7)),
            expressions: Arc::new(NoExpressions),
        };
        Self { ports, payments, bus, clock, _name: name }
    }
}

#[async_trait]
impl Stand for OnEngines {
    fn ports(&self) -> Ports {
        self.ports.clone()
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    async fn meet_challenge(&self, attempt: AttemptId) {
        self.payments.answer_challenge(attempt, true).await.expect("answered");
    }

    fn charges(&self) -> BTreeMap<AttemptId, Charge> {
        self.payments.charges()
    }

    fn published(&self) -> Vec<Outgoing> {
        self.bus.published()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_scale_a_crash_at_any_call_leaves_money_stock_and_coupons_balanced() {
    let every = if std::env::var("FAULTS").is_ok_and(|v| v == "all") { 1 } else { 20 };
    let points = a_crash_at_any_call_leaves_money_stock_and_coupons_balanced(OnEngines::new, every).await;
    assert!(points > 200, "only {points} calls were met");
}
