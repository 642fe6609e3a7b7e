//! Names made of contents: the same for the same, and for nothing else.

use sha2::{Digest, Sha256};

/// The first half of a SHA-256 digest. Nobody finds two contents for 128 bits, and ids have as many.
pub(crate) fn first_half(hash: Sha256) -> [u8; 16] {
    let digest: [u8; 32] = hash.finalize().into();
    digest[..16].try_into().expect("invariant: half of 32 bytes")
}
