//! Bounds of the bus, each with its reason.

use std::time::Duration;

/// Longest try to connect to one broker: it is in the same network.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Seconds between two signs of life of a connection; a broker that shows none for twice as long is gone.
pub const HEARTBEAT_SECONDS: u16 = 10;
/// First and longest wait before the next try to connect.
pub const RETRY_WAIT_MIN: Duration = Duration::from_millis(100);
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often a connection that the broker does not read from is looked at.
pub const BLOCKED_PAUSE: Duration = Duration::from_millis(20);
/// Messages that are with a node and not settled: what a slow store makes it hold.
pub const PREFETCH_MAX: u16 = 256;
/// Messages of different customers that are taken in at once.
pub const WORKERS_MAX: usize = 16;
/// How long a dead letter may take before the broker is told to move the message itself.
pub const BURY_WITHIN: Duration = Duration::from_secs(2);
/// How long it is waited for that a connection ends in good order.
pub const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// How often a message that is too early is looked at again.
pub const EARLY_PAUSE: Duration = Duration::from_millis(100);
/// Times a message may be given back, by a node that died or lost its connection, before it goes to the dead letters.
pub const DELIVERIES_MAX: i64 = 20;
/// Bytes of messages kept for nobody: those no queue asked for, and dead letters. Then the oldest go.
pub const KEPT_BYTES_MAX: i64 = 1 << 30;
/// Bytes of a message that is read: as much as a request's body.
pub const MESSAGE_MAX: usize = 256 * 1024;
/// Characters of what is said of a dead letter.
pub const DETAIL_MAX: usize = 500;
