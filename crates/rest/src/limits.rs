//! Bounds of the network side; what a request may ask for is bounded in `domain::limits`.

use std::time::Duration;

/// Carts kept as they were printed, with what they were printed from.
pub const RENDERED_BYTES_MAX: u64 = 64 << 20;

/// The largest body of a request: 500 items and an address fit four times over.
pub const BODY_MAX: usize = 256 * 1024;
/// How much of a body that is too large goes by unread, and how long that may take, so that whoever sends it
/// hears why it is refused.
pub const LEFTOVER_MAX: usize = 1024 * 1024;
pub const LEFTOVER_TIME_MAX: Duration = Duration::from_secs(2);
/// HTTP/2 streams of one connection at a time.
pub const STREAMS_MAX: u32 = 128;
/// All headers of a request: a bearer token and everything else, twice over.
pub const HEAD_MAX: u16 = 32 * 1024;
pub const HEADERS_MAX: usize = 100;
/// No issuer's token is longer.
pub const TOKEN_MAX: usize = 8192;
/// Characters of a key's name in a token.
pub const KID_MAX: usize = 64;
/// Groups a token may put its customer in; further ones are passed over. Every condition on segments looks through them.
pub const SEGMENTS_MAX: usize = 50;
/// Verified tokens remembered, so that a busy client's signature is checked once.
pub const VERIFIED_MAX: usize = 10_000;
/// Characters of a request's name that a client may give.
pub const REQUEST_ID_MAX: usize = 64;
/// Characters of a cursor; those given out have at most 100.
pub const CURSOR_MAX: usize = 1024;
/// Characters of an unknown parameter's name that are told back.
pub const NAME_TOLD_MAX: usize = 64;
/// Carts, and addresses, whose declined payments are remembered: a few megabytes. Beyond that all are forgotten.
pub const DECLINES_KEYS_MAX: usize = 100_000;
/// A payment whose end is not told, because its node died, counts as under way for so long: longer than any takes.
pub const PAYMENT_UNDER_WAY_MAX: Duration = Duration::from_secs(120);
/// How long to wait before asking again whether payments on other nodes have ended.
pub const ROOM_PAUSE: Duration = Duration::from_millis(50);
