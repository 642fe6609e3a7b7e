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
/// Calls that a server gets at once from one who has many: whoever else calls meanwhile waits for these, a fifth of a millisecond, and
/// not for all of them; and a relay waits for four answers instead of one, which a network between them makes slow.
pub const PIPELINE_MAX: usize = 64;
/// A transaction that has not committed after so long is given up by whoever it stands in the way of. Its calls take a few
/// milliseconds; while a server fails over they take longer, and it is better to decide anew then.
pub const OPEN_MAX: Duration = Duration::from_millis(1500);
/// The note of a committed transaction is left to its own node for so long.
pub const COMMITTED_KEEP: Duration = Duration::from_secs(60);
/// Partitions looked through for unfinished transactions at a time, so that a sweep ends.
pub const RECOVERED_MAX: usize = 32;
/// How long an expired cart is kept for the sweep, which tells that it has expired. A shop whose sweep stands still for
/// longer loses that event, and not its memory.
pub const CART_GRACE: Duration = Duration::from_secs(7 * 86_400);
/// The same for a session; nothing is told of it.
pub const SESSION_GRACE: Duration = Duration::from_secs(86_400);
/// The pointer of a token outlives its session, so that it never ends before it.
pub const TOKEN_GRACE: Duration = Duration::from_secs(2 * 86_400);
/// Times a save is built anew because of what the store told it: of each of the reasons there is one for each write.
pub const REBUILDS_MAX: usize = 16;
/// Bytes of carts that are remembered as they were last seen, to write only what changes of them, where no copies are kept
/// to be read.
pub const KNOWN_CARTS_BYTES: u64 = 16 << 20;
/// About what a copy takes of memory: of a cart, to guess how many there will be; of a session, to bound their number.
pub const CART_BYTES: u64 = 1024;
pub const SESSION_BYTES: u64 = 512;
/// A copy is believed while its server was heard of so lately: longer than between two requests on a busy node, and no
/// longer than a shopper may be shown what another node has changed, on the day that a connection dies without a word.
pub const HEARD_WITHIN: Duration = Duration::from_secs(1);
/// Counters of changes, which carts and sessions share. A change ends the copies of all that share its counter, so there are many
/// times more than carts and sessions that are in use at a time: 20,000 of them lose one copy in fifty so. Four megabytes.
pub const CHANGE_COUNTERS: usize = 1 << 20;
/// Tokens whose session is remembered.
pub const KNOWN_TOKENS: usize = 100_000;
/// A relay asks every partition for so many times its part of what the relay wants: events are not spread evenly. Where many
/// wait everywhere, what was read too much is read again.
pub const PENDING_TIMES: usize = 2;
/// Carts and sessions of each partition that a sweep looks at, at least: of those that may have expired some were touched
/// later in the same hour, and they must not hide the others.
pub const CANDIDATES_MIN: usize = 256;
/// Answers about limits that are late in a row, before nobody asks any more: one may be chance.
pub const LIMITS_FAILURES_MAX: u32 = 3;
/// How long limits that were late are left alone before they are probed, and how long a probe may take to connect.
pub const LIMITS_PROBE_PAUSE: Duration = Duration::from_millis(250);
pub const LIMITS_PROBE_TIME_MAX: Duration = Duration::from_secs(1);
/// This part of the time a try may take is left to the replicas: they follow within milliseconds or not at all, and the next
/// write on the connection waits for them, too.
pub const REPLICAS_SHARE: u32 = 10;
