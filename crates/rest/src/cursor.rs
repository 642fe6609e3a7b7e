//! Cursors: the place of the last item of a page, opaque outside. A checksum over the list and the place
//! tells a cursor of this list from any other text; it is no secret, since a made-up place harms nobody.

use crate::limits::CURSOR_MAX;
use crate::problem::Failure;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

const CHECK: usize = 6;

fn check(list: &str, place: &[u8]) -> [u8; CHECK] {
    let digest = Sha256::new_with_prefix(list).chain_update([0]).chain_update(place).finalize();
    digest[..CHECK].try_into().expect("invariant: a digest is longer")
}

pub(crate) fn seal(list: &str, place: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode([&check(list, place), place].concat())
}

/// The place in a cursor of this list.
pub(crate) fn open<const N: usize>(list: &str, cursor: &str) -> Result<[u8; N], Failure> {
    let bytes = Some(cursor).filter(|c| c.len() <= CURSOR_MAX).and_then(|c| URL_SAFE_NO_PAD.decode(c).ok());
    let place = bytes.as_deref().and_then(|b| b.split_at_checked(CHECK)).filter(|(sum, place)| *sum == check(list, place));
    place
        .and_then(|(_, place)| place.try_into().ok())
        .ok_or_else(|| Failure::new(400, "CURSOR_INVALID", "The cursor is not one that this list has given out."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_only_as_it_was_sealed() {
        let cursor = seal("/orders", &[1, 2, 3]);
        assert_eq!(open::<3>("/orders", &cursor).expect("a place"), [1, 2, 3]);
        assert!(open::<3>("/books", &cursor).is_err() && open::<4>("/orders", &cursor).is_err());
        for i in 0..cursor.len() {
            let mut other = cursor.clone().into_bytes();
            other[i] = if other[i] == b'A' { b'B' } else { b'A' };
            assert!(open::<3>("/orders", std::str::from_utf8(&other).expect("text")).is_err(), "{i}");
        }
    }
}
