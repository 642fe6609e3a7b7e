use super::PortError;
use async_trait::async_trait;
use std::num::NonZeroU32;
use std::time::Duration;

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// As many at once, when nothing happened for a while.
    pub amount: NonZeroU32,
    /// In which as many come back, one by one and evenly.
    pub span: Duration,
}

/// What one more did to a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// How many more may come at once.
    pub left: u32,
    /// How long until one may come again, where this one may not.
    pub wait: Option<Duration>,
}

/// How many may fail before no more are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailuresMax {
    pub amount: u32,
    /// For how long a failure counts.
    pub window: Duration,
}

/// Names one of those that may fail, also when it is told of twice.
pub type Ticket = [u8; 16];

/// Whether one more may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    There,
    /// It depends on what is under way: ask again when that is over.
    Perhaps,
    /// Not before this much time has gone by.
    None(Duration),
}

/// Counts that all nodes share, each under a key. By its own clock: nodes' clocks differ.
///
/// An answer that does not come at once is of no use: it is an error then, and whoever asked goes by counts of its
/// own until the shared ones are back.
#[async_trait]
pub trait SharedLimits: std::fmt::Debug + Send + Sync {
    /// Spends one of a key's budget.
    ///
    /// - A whole budget can be spent at once; what is spent comes back one by one, evenly over the span.
    /// - What is refused costs nothing.
    async fn spend(&self, key: &str, quota: Quota) -> Result<Spent, PortError>;

    /// Makes room for one more that may fail, under a ticket.
    ///
    /// - What is under way counts as if it were going to fail.
    /// - A ticket that is let in twice counts once.
    /// - One whose end is not told is over after `keep`.
    async fn admit(&self, key: &str, ticket: Ticket, max: FailuresMax, keep: Duration) -> Result<Room, PortError>;

    /// Says that a ticket is over, where there is one, and what has failed, if something has.
    ///
    /// - A failure counts from now on for the window, once, however often it is told.
    async fn settle(&self, key: &str, ticket: Option<Ticket>, failed: Option<Ticket>, window: Duration) -> Result<(), PortError>;
}
