//! JSON records: one object, `"v"` first.

use crate::Damaged;
use crate::stored::{As, Stored};
use serde::{Deserialize, Serialize};

const FORMAT: u64 = 1;

/// One object with the members of each part, in order.
pub struct Object(Vec<u8>);

impl Object {
    pub fn new() -> Self {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(br#"{"v":1}"#);
        Self(out)
    }

    /// Adds the members of another object: its opening brace becomes the comma after what is there.
    pub fn with(mut self, part: &impl Serialize) -> Self {
        let end = self.0.len() - 1;
        self.0.truncate(end);
        serde_json::to_writer(&mut self.0, part).expect("invariant: records have text keys and go to memory");
        self.0[end] = b',';
        self
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

pub fn encode<T: Stored>(value: &T) -> Vec<u8> {
    Object::new().with(&As(value)).into_bytes()
}

pub fn decode<T: Stored>(what: &'static str, bytes: &[u8]) -> Result<T, Damaged> {
    check_format(what, bytes)?;
    part::<As<T>>(what, bytes).map(|As(value)| value)
}

/// Reads the members it knows; the others belong to other parts.
pub fn part<'de, T: Deserialize<'de>>(what: &'static str, bytes: &'de [u8]) -> Result<T, Damaged> {
    serde_json::from_slice(bytes).map_err(|e| Damaged::new(what, e))
}

pub fn check_format(what: &'static str, bytes: &[u8]) -> Result<(), Damaged> {
    #[derive(Deserialize)]
    struct Head {
        v: u64,
    }
    // As it is written: nothing needs to be read to its end for this.
    if bytes.starts_with(br#"{"v":1,"#) {
        return Ok(());
    }
    match part::<Head>(what, bytes)?.v {
        FORMAT => Ok(()),
        newer if newer > FORMAT => Err(Damaged::newer(what, newer, FORMAT)),
        unknown => Err(Damaged::new(what, format!("there is no format {unknown}"))),
    }
}
