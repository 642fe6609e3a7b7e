//! The names of all keys. What they start with says what they are, the tag where they lie:
//! `cw:c:{17}0190…` is a cart of partition 17.

use domain::cart::Owner;
use domain::ids::{CartId, Partition, SessionId};
use std::fmt::Display;

#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    pub fn new(prefix: String) -> Self {
        Self { prefix }
    }

    fn key(&self, kind: char, partition: Partition, rest: impl Display) -> String {
        format!("{}{kind}:{{{}}}{rest}", self.prefix, partition.0)
    }

    /// What the keys of all carts start with, and those of all sessions.
    pub fn of_copies(&self) -> [String; 2] {
        ['c', 's'].map(|kind| format!("{}{kind}:", self.prefix))
    }

    /// A hash: a cart.
    pub fn cart(&self, id: CartId) -> String {
        self.key('c', id.partition(), member(id.0))
    }

    /// What the keys of a partition's carts start with.
    pub fn carts(&self, partition: Partition) -> String {
        self.key('c', partition, "")
    }

    /// A string: the cart that an owner has, or had.
    pub fn owner(&self, owner: &Owner) -> String {
        match owner {
            Owner::Guest(session) => self.key('o', owner.partition(), format_args!("g{}", member(session.0))),
            Owner::Customer(customer) => self.key('o', owner.partition(), format_args!("c{}", customer.as_str())),
        }
    }

    /// A string: the first answer to an idempotency key.
    pub fn answer(&self, key: [u8; 16]) -> String {
        self.key('a', Partition(key[0]), member(u128::from_be_bytes(key)))
    }

    /// A hash: a session.
    pub fn session(&self, id: SessionId) -> String {
        self.key('s', id.partition(), member(id.0))
    }

    /// A string: the session of a token.
    pub fn token(&self, digest: [u8; 32]) -> String {
        let (high, low) = digest.split_at(16);
        let half = |bytes: &[u8]| bytes.iter().fold(0, |n: u128, byte| n << 8 | u128::from(*byte));
        self.key('t', token_partition(digest), format_args!("{}{}", member(half(high)), member(half(low))))
    }

    /// A stream: events that wait to be published.
    pub fn events(&self, partition: Partition) -> String {
        self.key('e', partition, "")
    }

    /// A sorted set: carts by when they expire at the earliest.
    pub fn carts_by_expiry(&self, partition: Partition) -> String {
        self.key('x', partition, "c")
    }

    /// A sorted set: sessions by when they expire at the earliest.
    pub fn sessions_by_expiry(&self, partition: Partition) -> String {
        self.key('x', partition, "s")
    }

    /// A hash: which transaction has sealed which key.
    pub fn sealed(&self, partition: Partition) -> String {
        self.key('l', partition, "")
    }

    /// A hash: what transactions intend to do here.
    pub fn prepared(&self, partition: Partition) -> String {
        self.key('p', partition, "")
    }

    /// A hash: what became of transactions that are decided here.
    pub fn decisions(&self, partition: Partition) -> String {
        self.key('d', partition, "")
    }
}

pub fn token_partition(digest: [u8; 32]) -> Partition {
    Partition(digest[0])
}

/// An id as part of a key and as a member of a set.
pub fn member(id: u128) -> String {
    format!("{id:032x}")
}

/// The id of a [`member`].
pub fn parse_member(text: &[u8]) -> Option<u128> {
    u128::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// All partitions.
pub fn partitions() -> impl Iterator<Item = Partition> {
    (0..=u8::MAX).map(Partition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::CustomerId;

    /// What is stored is found by them, so they stand for ever.
    #[test]
    fn keys_stand() {
        let keys = Keys::new("cw:".to_owned());
        let customer = Owner::Customer(CustomerId::parse("alice").expect("a customer"));
        for (key, expected) in [
            (keys.cart(CartId(0x1234)), "cw:c:{52}00000000000000000000000000001234"),
            (keys.owner(&Owner::Guest(SessionId(0x1102))), "cw:o:{2}g00000000000000000000000000001102"),
            (keys.owner(&customer), "cw:o:{81}calice"),
            (keys.answer([7; 16]), "cw:a:{7}07070707070707070707070707070707"),
            (keys.session(SessionId(3)), "cw:s:{3}00000000000000000000000000000003"),
            (keys.token([1; 32]), "cw:t:{1}0101010101010101010101010101010101010101010101010101010101010101"),
            (keys.events(Partition(9)), "cw:e:{9}"),
            (keys.carts_by_expiry(Partition(9)), "cw:x:{9}c"),
            (keys.sessions_by_expiry(Partition(9)), "cw:x:{9}s"),
            (keys.sealed(Partition(9)), "cw:l:{9}"),
            (keys.prepared(Partition(9)), "cw:p:{9}"),
            (keys.decisions(Partition(255)), "cw:d:{255}"),
        ] {
            assert_eq!(key, expected);
        }
        assert_eq!(parse_member(member(u128::MAX).as_bytes()), Some(u128::MAX));
    }
}
