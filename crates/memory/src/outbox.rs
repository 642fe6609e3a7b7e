use crate::MemoryStore;
use app::ports::{Outbox, Pending, PortError, Position};
use async_trait::async_trait;
use domain::event::Outgoing;
use domain::time::Timestamp;
use std::collections::BTreeMap;

/// Events in the order they were committed.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    last: u64,
    pending: BTreeMap<u64, Outgoing>,
    /// When each was delivered.
    delivered: BTreeMap<u64, Timestamp>,
}

impl Queue {
    pub fn push(&mut self, events: impl IntoIterator<Item = Outgoing>) {
        for event in events {
            self.last += 1;
            self.pending.insert(self.last, event);
        }
    }
}

#[async_trait]
impl Outbox for MemoryStore {
    async fn pending(&self, limit: usize) -> Result<Vec<Pending>, PortError> {
        let state = self.state();
        let oldest = state.outbox.pending.iter().take(limit);
        Ok(oldest.map(|(position, event)| Pending { position: Position::numbered(*position), event: event.clone() }).collect())
    }

    async fn delivered(&self, positions: &[Position], now: Timestamp) -> Result<(), PortError> {
        let queue = &mut self.state().outbox;
        for position in positions.iter().filter_map(Position::number) {
            if queue.pending.remove(&position).is_some() {
                queue.delivered.insert(position, now);
            }
        }
        Ok(())
    }

    async fn forget_delivered(&self, before: Timestamp, limit: usize) -> Result<usize, PortError> {
        let queue = &mut self.state().outbox;
        let old: Vec<u64> = queue.delivered.iter().filter(|(_, at)| **at < before).map(|(position, _)| *position).take(limit).collect();
        for position in &old {
            queue.delivered.remove(position);
        }
        Ok(old.len())
    }
}
