//! Every bound of calling somebody else's service, with its reason.

use std::time::Duration;

/// Calls under way at once: a provider that hangs holds up to that many, and no more of the shop's memory.
pub const CALLS_MAX: usize = 64;
/// The part of a call's time that may go by waiting for one of those places.
pub const QUEUE_SHARE: u32 = 2;
/// How long a connection may take to be made: longer, and the provider is not there.
pub const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Idle connections that are kept, and for how long: shorter than providers keep theirs.
pub const IDLE_MAX: usize = 16;
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(20);

/// Tries of one call. What fails longer than these take is not a passing fault.
pub const RETRIES_MAX: usize = 3;
/// The pause before the second try; it doubles, with chance added.
pub const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Calls that are looked at before the breaker opens, and the share of them that must have failed.
pub const BREAKER_CALLS: usize = 20;
pub const BREAKER_FAILED: f32 = 0.5;
/// How long an open breaker refuses, and how many calls then decide whether it closes.
pub const BREAKER_PAUSE: Duration = Duration::from_secs(5);
pub const BREAKER_PROBES: usize = 3;
