//! Bounds of the writer.

/// Jobs of one commit: enough to share a sync among everybody who waits, few enough that the first of them
/// does not wait long for the last.
pub const GROUP_MAX: usize = 256;
/// Jobs that wait for the writer; whoever comes later waits before the queue.
pub const WAITING_MAX: usize = 4096;
