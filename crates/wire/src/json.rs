//! A request body as a tree that borrows from its bytes. One pass over the bytes gives what every rule about
//! bodies needs: duplicate members are refused, texts are in normal form C, and the same tree is read into
//! commands, looked through for card numbers, and canonicalized for idempotency.

use crate::limits::MEMBERS_MAX;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;
use std::fmt;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Its `Debug` shows the kind alone: bodies are never logged.
#[derive(Clone, PartialEq)]
pub enum Json<'a> {
    Null,
    Bool(bool),
    /// Written as an integer, and exact.
    Int(i128),
    /// Every other number.
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Object(Vec<(Cow<'a, str>, Self)>),
}

impl<'a> Json<'a> {
    /// # Errors
    /// What is wrong and where (line and column), without quoting the body.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let json = Tree.deserialize(&mut deserializer).map_err(|e| e.to_string())?;
        deserializer.end().map_err(|e| e.to_string())?;
        Ok(json)
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number that is not an integer",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({})", self.kind())
    }
}

/// The tree again, for canonicalization.
impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Int(n) => match i64::try_from(*n) {
                Ok(n) => serializer.serialize_i64(n),
                Err(_) => serializer.serialize_u64(u64::try_from(*n).unwrap_or(u64::MAX)),
            },
            Self::Float(n) => serializer.serialize_f64(*n),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(list) => serializer.collect_seq(list),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

fn normal(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc(&text) { text } else { Cow::Owned(text.nfc().collect()) }
}

struct Tree;

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(b))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Json<'de>, E> {
        Ok(Json::Int(n.into()))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Json<'de>, E> {
        Ok(Json::Int(n.into()))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(n))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(normal(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(normal(Cow::Owned(text.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element_seed(Self)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut members: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            if members.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom("duplicate member"));
            }
            if members.len() == MEMBERS_MAX {
                return Err(A::Error::custom("too many members in one object"));
            }
            members.push((name, map.next_value_seed(Self)?));
        }
        Ok(Json::Object(members))
    }
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(normal(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(normal(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_plain_json_is_refused() {
        for (body, wrong) in [
            ("", "EOF"),
            ("{", "EOF"),
            ("{\"a\":1,\"a\":1}", "duplicate member"),
            ("{\"\\u0061\":1,\"a\":1}", "duplicate member"),
            ("{\"e\\u0301\":1,\"\\u00e9\":1}", "duplicate member"),
            ("{\"a\":1} x", "trailing"),
            ("{\"a\":01}", "invalid number"),
            ("{\"a\":1e400}", "out of range"),
            ("{\"a\":NaN}", "expected"),
            ("\"\\ud800\"", "hex escape"),
            ("{\"a\":'x'}", "expected"),
            ("\u{feff}{}", "expected"),
        ] {
            let error = Json::parse(body.as_bytes()).expect_err(body);
            assert!(error.contains(wrong), "{body}: {error}");
        }
        assert!(Json::parse(b"\"\xff\"").is_err(), "invalid UTF-8");
        assert!(Json::parse("[".repeat(100_000).as_bytes()).expect_err("deep").contains("recursion"));
        let wide = format!("{{{}}}", (0..=MEMBERS_MAX).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(","));
        assert!(Json::parse(wide.as_bytes()).expect_err("wide").contains("too many members"));
    }

    #[test]
    fn texts_are_in_normal_form_c() {
        assert_eq!(Json::parse("\"e\u{301}\"".as_bytes()), Ok(Json::Text("\u{e9}".into())));
    }

    #[test]
    fn plain_texts_are_borrowed() {
        assert!(matches!(Json::parse(b"\"plain\""), Ok(Json::Text(Cow::Borrowed("plain")))));
    }
}
