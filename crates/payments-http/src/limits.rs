//! Every bound of talking with a payment provider, with its reason.

use std::time::Duration;

/// Bytes of an answer. The longest the protocol knows has a few hundred.
pub const ANSWER_MAX: usize = 64 * 1024;
/// Bytes of a request, for the same reason.
pub const REQUEST_MAX: usize = 64 * 1024;
/// Characters of what is shown on a statement.
pub const REFERENCE_MAX: usize = 64;
/// Characters of an error's code, of its detail, and of an address in an answer: they are stored and shown.
pub const CODE_MAX: usize = 64;
pub const DETAIL_MAX: usize = 500;

/// Notices that are looked through for one that is due: more wait on the provider's disk.
pub const NOTICES_MAX: usize = 10_000;
/// Notices on their way at once.
pub const NOTICES_AT_ONCE_MAX: usize = 8;
/// How long the shop may take to hear one.
pub const NOTICE_TIME_MAX: Duration = Duration::from_secs(10);
/// The pause after a notice that was not heard doubles up to this.
pub const NOTICE_PAUSE_MAX: Duration = Duration::from_secs(300);
