//! The real clock, real chance, and the in-process bus.

use app::ports::{Bus, Clock, Entropy, PortError};
use async_trait::async_trait;
use domain::event::Outgoing;
use domain::time::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks what time it is")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("invariant: the operating system has chance to give");
    }
}

/// Events end in this process: they are logged, and stay readable in the outbox for a while. Other buses
/// deliver them to other systems.
pub struct LocalBus;

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, events: &[Outgoing]) -> Result<(), PortError> {
        for event in events {
            tracing::debug!(target: "events", id = %event.id(), kind = event.event.name(), "event");
        }
        Ok(())
    }
}
