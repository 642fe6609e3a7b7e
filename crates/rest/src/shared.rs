//! Limits that all nodes share, where there are any. While they do not answer this node goes by its own counts.

use crate::limits::{PAYMENT_UNDER_WAY_MAX, ROOM_PAUSE};
use app::ports::{FailuresMax, PortError, Quota, Room, SharedLimits, Spent, Ticket};
use prometheus_client::metrics::counter::Counter;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Shared {
    limits: Arc<dyn SharedLimits>,
    /// How often they did not answer.
    alone: Counter,
}

impl Shared {
    pub fn new(limits: Arc<dyn SharedLimits>, alone: Counter) -> Self {
        Self { limits, alone }
    }

    pub async fn spend(&self, key: &str, quota: Quota) -> Option<Spent> {
        self.heard(self.limits.spend(key, quota).await)
    }

    /// Lets a payment in when it is known that there is room for one more that fails; whether it was counted.
    ///
    /// # Errors
    /// How long there will be none.
    pub async fn admit(&self, key: &str, ticket: Ticket, max: FailuresMax) -> Result<bool, Duration> {
        loop {
            match self.heard(self.limits.admit(key, ticket, max, PAYMENT_UNDER_WAY_MAX).await) {
                None => return Ok(false),
                Some(Room::There) => return Ok(true),
                Some(Room::None(wait)) => return Err(wait),
                Some(Room::Perhaps) => {}
            }
            #[expect(clippy::disallowed_methods, reason = "a payment under way on another node cannot say when it is over")]
            tokio::time::sleep(ROOM_PAUSE).await;
        }
    }

    /// A ticket that cannot be given back runs out.
    pub async fn settle(&self, key: &str, ticket: Option<Ticket>, failed: Option<Ticket>, window: Duration) {
        self.heard(self.limits.settle(key, ticket, failed, window).await);
    }

    fn heard<T>(&self, answer: Result<T, PortError>) -> Option<T> {
        if answer.is_err() {
            self.alone.inc();
        }
        answer.ok()
    }
}
