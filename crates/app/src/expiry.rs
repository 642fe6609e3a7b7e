//! Sweeping away what is over. Nothing depends on it happening in time: what has expired is not there.

use crate::App;
use crate::error::Error;
use crate::ports::{CartChange, CartWrite};
use domain::cart::CartEvent;
use domain::limits::{IDEMPOTENCY_KEEP, NOTICES_KEEP};
use domain::time::Timestamp;
use std::time::Duration;

impl App {
    /// Removes expired carts and sessions, at most `limit` of each; says how many.
    pub async fn expiry_step(&self, now: Timestamp, limit: usize) -> Result<usize, Error> {
        let mut carts = self.ports.carts.expired(now, limit).await?;
        let mut swept = carts.len();
        carts.sort_by_key(|cart| cart.id.partition());
        for carts in carts.chunk_by(|a, b| a.id.partition() == b.id.partition()) {
            let change = CartChange {
                writes: carts.iter().map(|c| CartWrite::Delete { id: c.id, expected: c.version }).collect(),
                outbox: carts.iter().map(|c| c.end(CartEvent::Expired, now)).collect(),
                answers: vec![],
            };
            // A cart that was touched in this instant makes the batch a conflict; the next step sees it anew.
            self.ports.carts.save(change, now).await?;
        }
        swept += self.ports.sessions.sweep(now, limit).await?;
        Ok(swept)
    }

    /// Forgets old answers, notices and delivered events, at most `limit` of each; says how many.
    pub async fn forget_step(&self, now: Timestamp, limit: usize) -> Result<usize, Error> {
        let mut swept = self.ports.ledger.forget_answers(before(now, IDEMPOTENCY_KEEP), limit).await?;
        swept += self.ports.ledger.forget_notices(before(now, NOTICES_KEEP), limit).await?;
        for outbox in &self.ports.outboxes {
            swept += outbox.forget_delivered(before(now, self.policy.events_keep), limit).await?;
        }
        Ok(swept)
    }
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
}
