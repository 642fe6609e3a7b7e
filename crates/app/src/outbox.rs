//! Publishing what was committed: at least once, in order.

use crate::App;
use crate::error::Error;
use domain::planted;
use domain::time::Timestamp;

impl App {
    /// In how many places events wait to be published.
    pub fn outboxes(&self) -> usize {
        self.ports.outboxes.len()
    }

    /// Publishes waiting events and marks them delivered; says how many.
    pub async fn outbox_step(&self, now: Timestamp, limit: usize) -> Result<usize, Error> {
        let mut published = 0;
        for n in 0..self.outboxes() {
            published += self.relay_step(n, now, limit).await?;
        }
        Ok(published)
    }

    /// Publishes what waits in one outbox and marks it delivered; says how many.
    pub async fn relay_step(&self, n: usize, now: Timestamp, limit: usize) -> Result<usize, Error> {
        let Some(outbox) = self.ports.outboxes.get(n) else { return Ok(0) };
        let pending = outbox.pending(limit).await?;
        if pending.is_empty() {
            return Ok(0);
        }
        let (positions, events): (Vec<_>, Vec<_>) = pending.into_iter().map(|p| (p.position, p.event)).unzip();
        if planted("delivered-before-published") {
            outbox.delivered(&positions, now).await?;
        }
        self.ports.bus.publish(&events).await?;
        outbox.delivered(&positions, now).await?;
        Ok(positions.len())
    }
}
