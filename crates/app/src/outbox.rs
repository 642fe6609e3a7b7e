//! Publishing what was committed: at least once, in order.

use crate::App;
use crate::error::Error;
use domain::planted;
use domain::time::Timestamp;

impl App {
    /// Publishes waiting events and marks them delivered; says how many.
    pub async fn outbox_step(&self, now: Timestamp, limit: usize) -> Result<usize, Error> {
        let mut published = 0;
        for outbox in &self.ports.outboxes {
            let pending = outbox.pending(limit).await?;
            if pending.is_empty() {
                continue;
            }
            let (positions, events): (Vec<_>, Vec<_>) = pending.into_iter().map(|p| (p.position, p.event)).unzip();
            if planted("delivered-before-published") {
                outbox.delivered(&positions, now).await?;
            }
            self.ports.bus.publish(&events).await?;
            outbox.delivered(&positions, now).await?;
            published += positions.len();
        }
        Ok(published)
    }
}
