//! The process dies at every call that changes something, on the reference stores.

use crate::world::World;
use app::Ports;
use app::ports::Charge;
use async_trait::async_trait;
use conformance::faults::{Stand, a_crash_at_any_call_leaves_money_stock_and_coupons_balanced};
use domain::event::Outgoing;
use domain::ids::AttemptId;
use memory::MemoryStore;
use std::collections::BTreeMap;
use std::time::Duration;

#[async_trait]
impl Stand for World {
    fn ports(&self) -> Ports {
        self.ports()
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

#[tokio::test]
async fn a_crash_at_any_call_of_the_reference_stores_leaves_everything_balanced() {
    let empty = async || World { store: MemoryStore::new(), ..World::new().await };
    let points = a_crash_at_any_call_leaves_money_stock_and_coupons_balanced(empty, 1).await;
    assert!(points > 200, "only {points} points were met");
}
