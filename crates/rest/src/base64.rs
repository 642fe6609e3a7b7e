//! Base64 (RFC 4648), the two spellings that are needed here.

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// With padding.
pub(crate) fn standard(bytes: &[u8]) -> String {
    let mut text = encode(bytes, STANDARD);
    text.extend(std::iter::repeat_n('=', (3 - bytes.len() % 3) % 3));
    text
}

/// Without padding, for URLs and keys.
pub(crate) fn url(bytes: &[u8]) -> String {
    encode(bytes, URL)
}

fn encode(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        text.extend((0..=chunk.len()).map(|i| char::from(alphabet[(bits >> (18 - 6 * i) & 63) as usize])));
    }
    text
}

/// The one way back: padding, white space and stray bits are refused.
pub(crate) fn from_url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.as_bytes().chunks(4) {
        let digit = |c: &u8| URL.iter().position(|a| a == c).and_then(|d| u32::try_from(d).ok());
        let bits = chunk.iter().try_fold(0u32, |bits, c| Some(bits << 6 | digit(c)?))? << (6 * (4 - chunk.len()));
        let whole = (chunk.len() * 6) / 8;
        bytes.extend_from_slice(&bits.to_be_bytes()[1..=whole]);
    }
    (url(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree() {
        for (bytes, text, padded) in
            [("", "", ""), ("f", "Zg", "Zg=="), ("fo", "Zm8", "Zm8="), ("foo", "Zm9v", "Zm9v"), ("\u{3ff}?~", "z78_fg", "z78/fg==")]
        {
            assert_eq!(url(bytes.as_bytes()), text);
            assert_eq!(standard(bytes.as_bytes()), padded);
            assert_eq!(from_url(text).as_deref(), Some(bytes.as_bytes()));
        }
        for wrong in ["Z", "Zg==", "Zh", "Zm9v ", "Zm+v"] {
            assert_eq!(from_url(wrong), None, "{wrong}");
        }
    }
}
