//! Every bound of talking with a tax provider, with its reason.

/// Bytes of an answer: some forty for each line and tax, of the longest cart with the taxes of a dozen jurisdictions.
pub const ANSWER_MAX: usize = 512 * 1024;
/// Bytes of a question: up to two hundred for each line of the longest cart.
pub const REQUEST_MAX: usize = 256 * 1024;
