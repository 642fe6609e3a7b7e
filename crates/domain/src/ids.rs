//! Names of things. An id is 128 bits, opaque outside, and prints as a prefix and a ULID
//! (`cart_01J…`): 48 bits of time, then chance, so that fresh rows land next to each other in an index.

use crate::time::Timestamp;
use std::fmt;
use std::sync::Arc;
use ulid::Ulid;

/// What an id is made of: the instant and 80 bits of chance, both handed in by the caller.
pub fn id_bits(now: Timestamp, random: u128) -> u128 {
    Ulid::from_parts(now.millis(), random).0
}

pub(crate) fn parse_bits(prefix: &str, text: &str) -> Option<u128> {
    let digits = text.strip_prefix(prefix)?.strip_prefix('_')?;
    let ulid = Ulid::from_string(digits).ok()?;
    // One spelling an id: the lenient alphabet (lower case, I for 1) is refused.
    (ulid.array_to_str(&mut [0; ulid::ULID_LEN]) == digits).then_some(ulid.0)
}

pub(crate) fn write_id(f: &mut fmt::Formatter<'_>, prefix: &str, bits: u128) -> fmt::Result {
    // In one piece: ids are most of what an answer prints.
    let mut text = [b'_'; 8 + ulid::ULID_LEN];
    let mut digits = [0; ulid::ULID_LEN];
    let end = prefix.len() + 1 + ulid::ULID_LEN;
    text[..prefix.len()].copy_from_slice(prefix.as_bytes());
    text[prefix.len() + 1..end].copy_from_slice(Ulid(bits).array_to_str(&mut digits).as_bytes());
    f.write_str(std::str::from_utf8(&text[..end]).expect("invariant: ASCII"))
}

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u128);

        impl $name {
            pub const PREFIX: &str = $prefix;

            pub fn parse(text: &str) -> Option<Self> {
                parse_bits($prefix, text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id(f, $prefix, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

id! {
    CartId = "cart";
    /// An item is one edition in one cart, so its id carries the edition's bits: the same edition has the same item id.
    ItemId = "item";
    BookId = "book";
    EditionId = "ed";
    SessionId = "ses";
    CheckoutId = "chk";
    /// One try to pay a checkout; its text is the idempotency key the payment provider sees.
    AttemptId = "pay";
    OrderId = "ord";
    /// One wish to pay money back; its text is the idempotency key the payment provider sees.
    RefundId = "rfd";
}

/// Where all that an owner has lies together, in a store that is spread over several places: one of 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub u8);

impl CartId {
    /// An id that says in its last byte where its owner's things lie.
    pub fn within(bits: u128, partition: Partition) -> Self {
        Self(bits & !0xff | u128::from(partition.0))
    }

    pub fn partition(self) -> Partition {
        Partition(self.0.to_be_bytes()[15])
    }
}

impl SessionId {
    /// Ids end in chance, so their last byte spreads evenly.
    pub fn partition(self) -> Partition {
        Partition(self.0.to_be_bytes()[15])
    }
}

impl CustomerId {
    /// A digest that never changes (FNV-1a): carts are stored by it.
    pub fn partition(&self) -> Partition {
        let hash = self.as_str().bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Partition(hash.to_be_bytes().into_iter().fold(0, |folded, byte| folded ^ byte))
    }
}

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident: $max:expr, $test:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn parse(text: &str) -> Option<Self> {
                let allowed: fn(char) -> bool = $test;
                ((1..=$max).contains(&text.len()) && text.chars().all(allowed)).then(|| Self(text.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

text_id! {
    /// The subject of an identity provider's token. Opaque: nothing is read into it.
    CustomerId: crate::limits::CUSTOMER_ID_MAX, |c| c.is_ascii_graphic();
    /// A stock keeping unit: the shop's own name for an edition.
    Sku: crate::limits::SKU_MAX, |c| c.is_ascii_alphanumeric() || "-_.".contains(c);
    /// A coupon code as typed; compared in upper case.
    CouponCode: crate::limits::COUPON_CODE_MAX, |c| c.is_ascii_uppercase() || c.is_ascii_digit() || "-_".contains(c);
    /// A payment provider's token for a means of payment. Never a card number.
    PaymentToken: crate::limits::PAYMENT_TOKEN_MAX, |c| c.is_ascii_alphanumeric() || "-_.".contains(c);
    /// The shop's own name for a promotion.
    PromotionId: crate::limits::RULE_ID_MAX, |c| c.is_ascii_alphanumeric() || "-_".contains(c);
    /// Promotions of which at most one applies.
    PromotionGroup: crate::limits::RULE_ID_MAX, |c| c.is_ascii_alphanumeric() || "-_".contains(c);
    /// A group of customers the shop has named, such as `gold`.
    Segment: crate::limits::RULE_ID_MAX, |c| c.is_ascii_alphanumeric() || "-_".contains(c);
    /// A tax by name, such as `VAT` or `GST`: of one tax a place has one rate, different taxes add up.
    TaxName: crate::limits::RULE_ID_MAX, |c| c.is_ascii_alphanumeric() || "-_".contains(c);
    ShippingOptionId: crate::limits::RULE_ID_MAX, |c| c.is_ascii_alphanumeric() || "-_".contains(c);
}

impl From<EditionId> for ItemId {
    fn from(edition: EditionId) -> Self {
        Self(edition.0)
    }
}

/// Counts the changes of one thing; the first stored state is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u64);

impl Version {
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = CartId(id_bits(Timestamp(1_700_000_000_000_000), 7));
        let text = id.to_string();
        assert_eq!(CartId::parse(&text), Some(id));
        for wrong in
            [text.to_lowercase(), text.replace("cart", "book"), text[1..].to_owned(), format!("{text}0"), String::new(), "cart_".into()]
        {
            assert_eq!(CartId::parse(&wrong), None, "{wrong}");
        }
    }

    /// What is stored is found by them, so they stand for ever.
    #[test]
    fn partitions_stand() {
        for (customer, partition) in [("alice", 81), ("bob", 52), ("auth0|Ada", 138)] {
            assert_eq!(CustomerId::parse(customer).expect("an id").partition(), Partition(partition), "{customer}");
        }
        assert_eq!(SessionId(0x1234).partition(), Partition(0x34));
        let id = CartId::within(0x1234, Partition(0x99));
        assert_eq!((id, id.partition()), (CartId(0x1299), Partition(0x99)));
    }

    #[test]
    fn customers_spread_evenly_over_partitions() {
        let mut counts = [0_u32; 256];
        for n in 0..25_600 {
            counts[usize::from(CustomerId::parse(&format!("customer-{n}")).expect("an id").partition().0)] += 1;
        }
        assert!(counts.iter().all(|n| (50..200).contains(n)), "{counts:?}");
    }
}
