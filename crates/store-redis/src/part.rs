//! What a change does in one partition, as the functions read it (`library.lua`), and what they answer.

use crate::hash::{Difference, Field, WriteName};
use crate::keys::Keys;
use crate::servers::GivenUp;
use app::ports::Answer;
use bytes::Bytes;
use domain::cart::OnceMark;
use domain::ids::{Partition, Version};
use domain::limits::IDEMPOTENCY_KEEP;
use domain::time::Timestamp;
use redis::{Cmd, Value};
use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

/// What a change does in one partition: all of it, or none.
#[derive(Clone, Debug)]
pub struct Part {
    pub partition: Partition,
    pub ops: Vec<Op>,
    /// Encoded, in order.
    pub events: Vec<Vec<u8>>,
}

#[derive(Clone, Debug)]
pub enum Op {
    Answer(Answer),
    Put(Put),
    Delete(Delete),
}

impl Op {
    /// The cart or session that it changes.
    pub fn id(&self) -> Option<u128> {
        match self {
            Self::Put(put) => Some(put.id),
            Self::Delete(delete) => Some(delete.id),
            Self::Answer(_) => None,
        }
    }
}

/// A cart or a session that is written.
#[derive(Clone, Debug)]
pub struct Put {
    pub id: u128,
    /// Its hash.
    pub key: String,
    /// The set of its kind by expiry.
    pub index: String,
    /// The pointer of its owner; a session has none.
    pub owner: Option<String>,
    /// The cart that its owner's pointer may point to, when that has to be known for certain.
    pub other: Option<String>,
    pub expected: Version,
    pub version: Version,
    /// The write it differs from; `None` when it is written whole.
    pub base: Option<WriteName>,
    pub expires_at: Timestamp,
    /// How long it is kept after it has expired, if nobody sweeps it away.
    pub grace: Duration,
    pub difference: Difference,
}

/// A cart or a session that goes away.
#[derive(Clone, Debug)]
pub struct Delete {
    pub id: u128,
    pub key: String,
    pub index: String,
    /// `None`: whichever is there.
    pub expected: Option<Version>,
}

/// Texts, one after the other: a call has dozens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    fn print(&mut self, what: impl Display) {
        write!(self.bytes, "{what}").expect("invariant: memory takes whatever is written");
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

/// A call of a function: its keys and arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    pub keys: Vec<String>,
    pub args: Texts,
}

impl Arguments {
    /// Adds the arguments to a command.
    pub fn add_to(&self, command: &mut Cmd) {
        for arg in self.args.iter() {
            command.arg(arg);
        }
    }

    /// In one text: everything with its length before it.
    pub fn pack(&self, version: &str) -> Vec<u8> {
        let mut packed = Vec::new();
        let mut put = |bytes: &[u8]| {
            packed.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            packed.extend(bytes);
        };
        put(version.as_bytes());
        put(&u32::try_from(self.keys.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.keys.iter().for_each(|key| put(key.as_bytes()));
        self.args.iter().for_each(put);
        packed
    }

    /// What [`Arguments::pack`] made, and the version of the functions it is for.
    pub fn unpack(packed: &[u8]) -> Option<(String, Self)> {
        let mut rest = packed;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (len, after) = rest.split_first_chunk::<4>()?;
            let (piece, after) = after.split_at_checked(u32::from_be_bytes(*len) as usize)?;
            pieces.push(piece);
            rest = after;
        }
        let mut pieces = pieces.into_iter();
        let text = |piece: &[u8]| String::from_utf8(piece.to_vec()).ok();
        let version = text(pieces.next()?)?;
        let count = u32::from_be_bytes(pieces.next()?.try_into().ok()?) as usize;
        let keys = pieces.by_ref().take(count).map(text).collect::<Option<_>>()?;
        let mut args = Texts::default();
        pieces.for_each(|piece| args.push(piece));
        Some((version, Self { keys, args }))
    }
}

/// How long until then, in milliseconds; at least one, as Redis has it.
pub fn milliseconds_until(then: Timestamp, grace: Duration, now: Timestamp) -> u64 {
    let left = u64::try_from(then.0.saturating_sub(now.0).max(0) / 1000).unwrap_or(0);
    left.saturating_add(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)).clamp(1, u64::MAX / 4)
}

pub fn encode_answer(answer: &Answer) -> Vec<u8> {
    [answer.mark.fingerprint.as_slice(), &answer.at.0.to_be_bytes(), &answer.body].concat()
}

pub fn decode_answer(key: [u8; 16], stored: &[u8]) -> Option<Answer> {
    let (fingerprint, rest) = stored.split_first_chunk::<16>()?;
    let (at, body) = rest.split_first_chunk::<8>()?;
    let mark = OnceMark { key, fingerprint: *fingerprint };
    Some(Answer { mark, at: Timestamp(i64::from_be_bytes(*at)), body: Bytes::copy_from_slice(body) })
}

impl Part {
    pub fn new(partition: Partition) -> Self {
        Self { partition, ops: Vec::new(), events: Vec::new() }
    }

    /// Whether it only makes room.
    pub fn shrinks(&self) -> bool {
        self.ops.iter().all(|op| matches!(op, Op::Delete(_)))
    }

    /// The keys and arguments of a call that makes it true at `now` as the write of this name.
    pub fn arguments(&self, keys: &Keys, write: WriteName, now: Timestamp) -> Arguments {
        let mut call = Arguments { keys: vec![keys.events(self.partition), keys.sealed(self.partition)], args: Texts::default() };
        call.args.print(now.0);
        call.args.push(&write);
        call.args.print(self.events.len());
        self.events.iter().for_each(|event| call.args.push(event));
        for op in &self.ops {
            match op {
                Op::Answer(answer) => {
                    call.keys.push(keys.answer(answer.mark.key));
                    call.args.push(b"A");
                    call.args.push(&encode_answer(answer));
                    call.args.print(milliseconds_until(answer.at, IDEMPOTENCY_KEEP, now));
                }
                Op::Put(put) => put.write(&mut call, write, now),
                Op::Delete(delete) => delete.write(&mut call, write),
            }
        }
        call
    }
}

/// An entry of a history of writes.
fn entry(on: Version, write: WriteName) -> [u8; 16] {
    let mut entry = [0; 16];
    entry[..8].copy_from_slice(&on.0.to_be_bytes());
    entry[8..].copy_from_slice(&write);
    entry
}

impl Put {
    fn write(&self, call: &mut Arguments, write: WriteName, now: Timestamp) {
        call.keys.extend([self.key.clone(), self.index.clone()]);
        call.keys.extend(self.owner.iter().chain(&self.other).cloned());
        let args = &mut call.args;
        args.push(b"P");
        args.push(crate::keys::member(self.id).as_bytes());
        args.print(self.expected.0);
        args.push(&entry(self.expected, write));
        args.print(self.version.0);
        args.push(self.base.as_ref().map_or(&[], |base| base));
        args.print(self.expires_at.0);
        args.print(milliseconds_until(self.expires_at, self.grace, now));
        args.print(u8::from(self.owner.is_some()));
        args.print(u8::from(self.other.is_some()));
        args.print(2 * self.difference.set.len());
        for (name, value) in &self.difference.set {
            args.push(name);
            args.push(value);
        }
        args.print(self.difference.delete.len());
        self.difference.delete.iter().for_each(|name| args.push(name));
    }
}

impl Delete {
    fn write(&self, call: &mut Arguments, write: WriteName) {
        call.keys.extend([self.key.clone(), self.index.clone()]);
        call.args.push(b"D");
        call.args.push(crate::keys::member(self.id).as_bytes());
        match self.expected {
            Some(version) => call.args.print(version.0),
            None => call.args.push(b"*"),
        }
        call.args.push(&entry(self.expected.unwrap_or_default(), write));
    }
}

/// What a function made of a part.
#[derive(Debug)]
pub enum Outcome {
    Done,
    /// The write of the op of this place expected another version; what is there.
    Conflict(usize, Vec<Field>),
    /// The owner of a new cart has this one.
    OwnerHas(u128),
    /// The owner of a new cart may have this one: the call has to name its key to be certain.
    MayHave(u128),
    /// The answer of the op of this place was given before.
    Answered(usize, Vec<u8>),
    /// A transaction has sealed what this touches.
    Sealed(Seal),
    /// A difference was to another write: the cart has to be written whole.
    OtherBase,
    /// The transaction was given up meanwhile.
    Aborted,
}

/// Whose intention lies on a key, and where that is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    pub transaction: String,
    pub decided_in: Partition,
}

impl Seal {
    pub fn text(&self) -> String {
        format!("{}@{}", self.transaction, self.decided_in.0)
    }

    pub fn parse(text: &[u8]) -> Option<Self> {
        let (transaction, partition) = std::str::from_utf8(text).ok()?.split_once('@')?;
        Some(Self { transaction: transaction.to_owned(), decided_in: Partition(partition.parse().ok()?) })
    }
}

impl Outcome {
    pub fn read(answer: Value) -> Result<Self, GivenUp> {
        Self::parse(answer).ok_or_else(|| GivenUp::nonsense("a function answered what it never answers"))
    }

    fn parse(answer: Value) -> Option<Self> {
        let said = match answer {
            Value::Array(said) => said,
            word => {
                return match &*bytes(word)? {
                    b"done" | b"open" | b"sealed" => Some(Self::Done),
                    b"aborted" => Some(Self::Aborted),
                    _ => None,
                };
            }
        };
        let mut said = said.into_iter();
        let word = bytes(said.next()?)?;
        match &*word {
            b"conflict" => Some(Self::Conflict(place(said.next()?)?, fields(said.next()?)?)),
            b"owner" => Some(Self::OwnerHas(crate::keys::parse_member(&bytes(said.next()?)?)?)),
            b"other" => Some(Self::MayHave(crate::keys::parse_member(&bytes(said.next()?)?)?)),
            b"answered" => Some(Self::Answered(place(said.next()?)?, bytes(said.next()?)?)),
            b"sealed" => Some(Self::Sealed(Seal::parse(&bytes(said.next()?)?)?)),
            b"base" => Some(Self::OtherBase),
            _ => None,
        }
    }
}

pub fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        Value::Okay => Some(b"OK".to_vec()),
        _ => None,
    }
}

/// Lua counts from one.
fn place(value: Value) -> Option<usize> {
    match value {
        Value::Int(n) => usize::try_from(n).ok()?.checked_sub(1),
        _ => None,
    }
}

/// The fields of a hash: a map when the server was asked for it, a flat list when a function was.
pub fn fields(value: Value) -> Option<Vec<Field>> {
    match value {
        Value::Map(pairs) => pairs.into_iter().map(|(name, value)| Some((bytes(name)?, bytes(value)?))).collect(),
        Value::Array(flat) => {
            let mut fields = Vec::with_capacity(flat.len() / 2);
            let mut flat = flat.into_iter();
            while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
                fields.push((bytes(name)?, bytes(value)?));
            }
            Some(fields)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_call_is_unpacked_as_it_was() {
        let mut call = Arguments { keys: vec!["a".to_owned(), "cw:l:{1}".to_owned()], args: Texts::default() };
        for arg in [&b""[..], &[0; 300], b"P"] {
            call.args.push(arg);
        }
        assert_eq!(Arguments::unpack(&call.pack("1234")), Some(("1234".to_owned(), call)));
        assert_eq!(Arguments::unpack(b"\0\0\0\x05abc"), None);
    }

    #[test]
    fn a_seal_is_read_as_it_was_written() {
        let seal = Seal { transaction: "00ff".to_owned(), decided_in: Partition(255) };
        assert_eq!(Seal::parse(seal.text().as_bytes()), Some(seal));
        assert_eq!(Seal::parse(b"00ff@256"), None);
    }
}
