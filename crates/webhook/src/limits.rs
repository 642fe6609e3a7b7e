//! Every bound of a signature, with its reason.

use std::time::Duration;

/// How far a signature's time may be from now, as the specification's libraries have it: longer than clocks are wrong,
/// shorter than a stolen message is of use.
pub const AGE_MAX: Duration = Duration::from_secs(300);
/// Signatures of one message that are looked at: while secrets are changed there are two.
pub const SIGNATURES_MAX: usize = 8;
/// Characters of a message's id.
pub const ID_MAX: usize = 255;
/// Bytes of a secret, as the specification has it.
pub const SECRET_MIN: usize = 24;
pub const SECRET_MAX: usize = 64;
