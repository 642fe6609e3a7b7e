use super::PortError;
use async_trait::async_trait;
use domain::limits::{JOB_NAME_MAX, NODE_NAME_MAX};
use domain::text::Text;
use domain::time::Timestamp;
use std::time::Duration;

/// What one node does at a time for all of them, by name.
pub type Job = Text<JOB_NAME_MAX>;

/// A running process, by a name that no other has.
pub type NodeName = Text<NODE_NAME_MAX>;

/// Grows whenever a job goes to another holder, so that what an earlier holder still sends can be told from what the
/// present one says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// Who does which job just now. A holder that says nothing for a while loses the job to the next who asks.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes the job for as long as `keep`, or holds it for that much longer.
    ///
    /// - A job that nobody holds, or whose time has run out, goes to whoever asks, with a greater fence than any before.
    /// - The holder renews with the fence it has.
    /// - While another one holds it, the answer is `None`.
    async fn take(&self, job: &Job, holder: &NodeName, keep: Duration, now: Timestamp) -> Result<Option<Fence>, PortError>;

    /// Lets others have the job at once; nothing happens when the fence is not the present one.
    async fn give_up(&self, job: &Job, fence: Fence) -> Result<(), PortError>;

    /// Who holds what just now.
    async fn held(&self, now: Timestamp) -> Result<Vec<(Job, NodeName)>, PortError>;

    /// Whether the job may be done for this slot of time: true once a slot, however many nodes ask, and only under the
    /// present fence. Slots begin in their order: one before the last that was begun is over.
    async fn begin(&self, job: &Job, slot: Timestamp, fence: Fence, now: Timestamp) -> Result<bool, PortError>;
}
