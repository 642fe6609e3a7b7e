use super::PortError;
use async_trait::async_trait;
use domain::event::Outgoing;
use domain::time::Timestamp;

/// Where events go.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Hands over events in order. `Ok` means all of them are in safe hands; after an error any of them may
    /// be, so they are sent again: consumers know a repeat by its id.
    async fn publish(&self, events: &[Outgoing]) -> Result<(), PortError>;
}

/// Events committed with their cause and not yet published.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The oldest events not yet delivered; those of one subject in their sequence.
    async fn pending(&self, limit: usize) -> Result<Vec<Pending>, PortError>;

    /// Marks events as delivered: they are not pending any more.
    async fn delivered(&self, positions: &[u64], now: Timestamp) -> Result<(), PortError>;

    /// Forgets events delivered before `before`, at most `limit`; says how many.
    async fn forget_delivered(&self, before: Timestamp, limit: usize) -> Result<usize, PortError>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub position: u64,
    pub event: Outgoing,
}
