use super::PortError;
use async_trait::async_trait;
use bytes::Bytes;
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
    /// Events not yet delivered, older ones first as far as the store has one order; those of one subject in their
    /// sequence, without gaps.
    async fn pending(&self, limit: usize) -> Result<Vec<Pending>, PortError>;

    /// Marks events as delivered: they are not pending any more.
    async fn delivered(&self, positions: &[Position], now: Timestamp) -> Result<(), PortError>;

    /// Forgets events delivered before `before`, at most `limit`; says how many. A store where room is dear may have
    /// forgotten them when they were delivered.
    async fn forget_delivered(&self, before: Timestamp, limit: usize) -> Result<usize, PortError>;
}

/// Where an event lies in its outbox; only the outbox reads anything into it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(pub Bytes);

impl Position {
    /// The place of an event whose outbox counts them.
    pub fn numbered(n: u64) -> Self {
        Self(Bytes::copy_from_slice(&n.to_be_bytes()))
    }

    /// The number of a place that was made by [`Position::numbered`].
    pub fn number(&self) -> Option<u64> {
        self.0.as_ref().try_into().ok().map(u64::from_be_bytes)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub position: Position,
    pub event: Outgoing,
}
