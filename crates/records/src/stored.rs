//! How values of the domain are written and read back. A field of a record says `#[serde(with = "stored")]`
//! and that is all: scalars are here, composites mirror themselves with serde's `remote` derive.
//!
//! In JSON an id is its text; in a compact format it is its 16 bytes.

use domain::catalog::{Format, HeadingId, Isbn13};
use domain::ids::{
    AttemptId, BookId, CartId, CheckoutId, CouponCode, CustomerId, EditionId, ItemId, OrderId, PaymentToken, PromotionGroup, PromotionId,
    RefundId, Segment, SessionId, ShippingOptionId, Sku, TaxName, Version,
};
use domain::money::{Currency, Money, Nano, Ppm};
use domain::order::{Number, PaymentStatus, Status};
use domain::person::{Country, Email};
use domain::pricing::{Counter, RuleKind};
use domain::quantity::Quantity;
use domain::text::Text;
use domain::time::Timestamp;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

pub trait Stored: Sized {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

pub fn serialize<T: Stored, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    value.write(to)
}

pub fn deserialize<'de, T: Stored, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    T::read(from)
}

/// A stored value where serde wants its own traits.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct As<T>(pub T);

impl<T: Stored> Serialize for As<&T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.write(to)
    }
}

impl<'de, T: Stored> Deserialize<'de> for As<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::read(from).map(Self)
    }
}

/// The domain type is written as its record, which mirrors it.
macro_rules! mirrored {
    ($($domain:ty as $record:ident;)*) => {$(
        impl $crate::stored::Stored for $domain {
            fn write<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                $record::serialize(self, to)
            }

            fn read<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $record::deserialize(from)
            }
        }
    )*};
}
pub(crate) use mirrored;

impl<T: Stored> Stored for Vec<T> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(As))
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Vec::<As<T>>::deserialize(from)?.into_iter().map(|As(value)| value).collect())
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (As(&self.0), As(&self.1)).serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <(As<A>, As<B>)>::deserialize(from).map(|(As(a), As(b))| (a, b))
    }
}

impl<T: Stored> Stored for Option<T> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_ref().map(As).serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Option::<As<T>>::deserialize(from)?.map(|As(value)| value))
    }
}

impl<T: Stored> Stored for Box<T> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (**self).write(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::read(from).map(Self::new)
    }
}

impl<K: Stored + Ord, V: Stored> Stored for BTreeMap<K, V> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.iter().map(|(key, value)| (As(key), As(value))))
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(BTreeMap::<As<K>, As<V>>::deserialize(from)?.into_iter().map(|(As(key), As(value))| (key, value)).collect())
    }
}

struct Parsed<F> {
    what: &'static str,
    parse: F,
}

impl<T, F: Fn(&str) -> Option<T>> Visitor<'_> for Parsed<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    /// The text itself is not in the error: it may be a name or an address.
    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::custom(format_args!("this is no {}", self.what)))
    }
}

fn parse<'de, T, D: Deserializer<'de>>(from: D, what: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<T, D::Error> {
    from.deserialize_str(Parsed { what, parse })
}

/// Sixteen bytes, written as a whole.
struct Sixteen;

impl Visitor<'_> for Sixteen {
    type Value = [u8; 16];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("16 bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<[u8; 16], E> {
        bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
    }
}

macro_rules! ids {
    ($($id:ident)*) => {$(
        impl Stored for $id {
            fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                if to.is_human_readable() { to.collect_str(self) } else { to.serialize_bytes(&self.0.to_be_bytes()) }
            }

            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                if from.is_human_readable() {
                    return parse(from, stringify!($id), Self::parse);
                }
                from.deserialize_bytes(Sixteen).map(|bytes| Self(u128::from_be_bytes(bytes)))
            }
        }
    )*};
}

ids! { CartId ItemId BookId EditionId SessionId CheckoutId AttemptId OrderId RefundId }

/// Types that are their text.
macro_rules! texts {
    ($($text:ident)*) => {$(
        impl Stored for $text {
            fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }

            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                parse(from, stringify!($text), Self::parse)
            }
        }
    )*};
}

texts! { CustomerId Sku CouponCode PaymentToken PromotionId PromotionGroup Segment TaxName RuleKind ShippingOptionId Email Country Format Status PaymentStatus }

/// Types that are read and written like their text, but have none at hand.
macro_rules! displayed {
    ($($text:ident)*) => {$(
        impl Stored for $text {
            fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }

            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                parse(from, stringify!($text), Self::parse)
            }
        }
    )*};
}

displayed! { Counter HeadingId Isbn13 Number }

impl<const MAX: usize> Stored for Text<MAX> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }

    /// One line or many: the door has decided which.
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parse(from, "text", Self::parse_block)
    }
}

/// Numbers that cannot be wrong.
macro_rules! numbers {
    ($($number:ident($inner:ty))*) => {$(
        impl Stored for $number {
            fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(to)
            }

            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                <$inner>::deserialize(from).map(Self)
            }
        }
    )*};
}

numbers! { Version(u64) Timestamp(i64) Ppm(u32) Nano(u64) }

impl Stored for u32 {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(*self)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::deserialize(from)
    }
}

impl Stored for Quantity {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.get().serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let n = u32::deserialize(from)?;
        Self::new(i64::from(n)).map_err(|_| D::Error::custom(format_args!("{n} is no quantity")))
    }
}

impl Stored for Currency {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.code())
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parse(from, "currency", Self::parse)
    }
}

#[derive(Serialize, Deserialize)]
struct MoneyRecord {
    amount: i64,
    #[serde(with = "crate::stored")]
    currency: Currency,
}

impl Stored for Money {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        MoneyRecord { amount: self.minor(), currency: self.currency() }.serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let MoneyRecord { amount, currency } = MoneyRecord::deserialize(from)?;
        Self::new(amount, currency).map_err(D::Error::custom)
    }
}

/// A digest: hexadecimal where people read.
impl Stored for [u8; 16] {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.collect_str(&format_args!("{:032x}", u128::from_be_bytes(*self))) } else { to.serialize_bytes(self) }
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            return parse(from, "digest", |t| if t.len() == 32 { u128::from_str_radix(t, 16).ok().map(u128::to_be_bytes) } else { None });
        }
        from.deserialize_bytes(Sixteen)
    }
}
