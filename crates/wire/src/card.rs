//! Card numbers do not belong here: whoever sends one is told so, and nothing of it is kept.

use crate::json::Json;

/// Of the shortest card numbers.
const DIGITS_MIN: usize = 13;

/// Whether any text or number of the tree, or a member's name, holds a card number: 13 to 19 digits (ASCII or
/// full width, with single spaces or dashes between groups, no Latin letters right beside them) whose check digit holds.
pub fn holds_card_number(json: &Json<'_>) -> bool {
    match json {
        Json::Null | Json::Bool(_) => false,
        Json::Int(n) => in_text(&n.to_string()),
        Json::Float(n) => in_text(&n.to_string()),
        Json::Text(text) => in_text(text),
        Json::List(list) => list.iter().any(holds_card_number),
        Json::Object(members) => members.iter().any(|(name, value)| in_text(name) || holds_card_number(value)),
    }
}

fn in_text(text: &str) -> bool {
    text.chars().filter(|c| digit(*c).is_some()).count() >= DIGITS_MIN && runs(text).iter().any(|groups| in_groups(groups))
}

fn digit(c: char) -> Option<u8> {
    let c = match c {
        '０'..='９' => char::from_u32(u32::from(c) - u32::from('０') + u32::from('0'))?,
        c => c,
    };
    c.to_digit(10).and_then(|d| u8::try_from(d).ok())
}

/// Digits that belong together, group by group. A group is a word of digits alone: in one with Latin letters they are part of a
/// name or of a hexadecimal token, of which one in some hundreds has a number in it whose check digit holds. Other scripts write
/// numbers right beside their letters. A single space or dash joins groups, anything else ends a run.
fn runs(text: &str) -> Vec<Vec<Vec<u8>>> {
    let ends_word = |c: char| !c.is_ascii_alphanumeric() && digit(c).is_none();
    let mut runs = vec![vec![]];
    for part in text.split_inclusive(ends_word) {
        let word = part.trim_end_matches(ends_word);
        match word.chars().map(digit).collect::<Option<Vec<u8>>>() {
            Some(group) if !group.is_empty() => {
                runs.last_mut().expect("invariant: never empty").push(group);
                if !part[word.len()..].starts_with([' ', '-', '\u{a0}', '\u{3000}', '－']) {
                    runs.push(vec![]);
                }
            }
            _ => runs.push(vec![]),
        }
    }
    runs
}

/// Any neighbors together: "4111 1111 1111 1111 12" is a number and a month.
fn in_groups(groups: &[Vec<u8>]) -> bool {
    (0..groups.len()).any(|from| {
        let mut digits = Vec::new();
        groups[from..].iter().take_while(|g| g.len() <= 19).take(19).any(|group| {
            digits.extend_from_slice(group);
            (DIGITS_MIN..=19).contains(&digits.len()) && digits[0] != 0 && luhn(&digits)
        })
    })
}

fn luhn(digits: &[u8]) -> bool {
    let doubled = |d: u8| if d > 4 { 2 * d - 9 } else { 2 * d };
    let sum: u32 = digits.iter().rev().enumerate().map(|(i, d)| u32::from(if i % 2 == 1 { doubled(*d) } else { *d })).sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_is_found_wherever_it_hides() {
        for (body, found) in [
            (r#"{"paymentToken":"4111111111111111"}"#, true),
            (r#"{"paymentToken":"4111 1111 1111 1111"}"#, true),
            (r#"{"paymentToken":"4111-1111-1111-1111"}"#, true),
            (r#"{"a":[{"b":"my card: 5555555555554444, thanks"}]}"#, true),
            (r#"{"a":"378282246310005"}"#, true),
            (r#"{"a":"4222222222222"}"#, true),
            (r#"{"a":4111111111111111}"#, true),
            (r#"{"a":4111111111111111.0}"#, true),
            (r#"{"4111111111111111":1}"#, true),
            (r#"{"a":"４１１１１１１１１１１１１１１１"}"#, true),
            (r#"{"a":"4111 1111 1111 1111 12/27 123"}"#, true),
            (r#"{"a":"order 7 4111111111111111"}"#, true),
            (r#"{"a":"tok_4111111111111111"}"#, true),
            (r#"{"a":"number=4111111111111111;"}"#, true),
            (r#"{"a":"卡号4111111111111111。"}"#, true),
            (r#"{"a":"カード番号４１１１ １１１１ １１１１ １１１１です"}"#, true),
            (r#"{"a":"4111  1111 1111 1111"}"#, false),
            (r#"{"a":"gst_09ab4111111111111111f00d09ab4111111111111111f00d09ab411111111111"}"#, false),
            (r#"{"a":"550e8400-e29b-41d4-4111-1111111111ff"}"#, false),
            (r#"{"a":"4111111111111112"}"#, false),
            (r#"{"a":"411111111111"}"#, false),
            (r#"{"a":"41111111111111111111"}"#, false),
            (r#"{"a":"0000000000000000"}"#, false),
            (r#"{"a":"ed_00000000000000000000000001"}"#, false),
            (r#"{"a":"tok_visa","b":true,"c":null,"d":12.5}"#, false),
            (r#"{"a":"+1 555 010 1234"}"#, false),
        ] {
            let json = Json::parse(body.as_bytes()).expect("JSON");
            assert_eq!(holds_card_number(&json), found, "{body}");
        }
    }
}
