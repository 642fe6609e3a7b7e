//! Bounds of the store, each with its reason.

use std::time::Duration;

/// Partitions: enough to spread over any cluster, few enough to be looked at one by one in a millisecond.
pub const PARTITIONS: usize = 256;
/// Bytes of a key prefix: it is in every key.
pub const PREFIX_MAX: usize = 32;
/// First pause before a call is tried again; doubled up to the largest, and shortened by chance.
pub const PAUSE_MIN: Duration = Duration::from_millis(5);
pub const PAUSE_MAX: Duration = Duration::from_millis(250);
/// A node that could not be reached is left alone for so long at most.
pub const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(2);
/// The layout of a cluster is not asked for more often than this.
pub const LAYOUT_PAUSE: Duration = Duration::from_millis(50);
/// Redirections a call follows at once: one is usual while a slot moves, more are a loop.
pub const REDIRECTS_MAX: u32 = 5;
/// Answers about limits that are late in a row, before nobody asks any more: one may be chance.
pub const LIMITS_FAILURES_MAX: u32 = 3;
/// How long limits that were late are left alone before they are probed, and how long a probe may take to connect.
pub const LIMITS_PROBE_PAUSE: Duration = Duration::from_millis(250);
pub const LIMITS_PROBE_TIME_MAX: Duration = Duration::from_secs(1);
