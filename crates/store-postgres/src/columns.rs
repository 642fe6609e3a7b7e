//! Between columns and the domain.

use crate::fault::Fault;
use bytes::{BufMut, Bytes, BytesMut};
use records::Damaged;
use std::error::Error;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

/// A value for a query, made before it is asked.
pub type Parameter = Box<dyn ToSql + Sync + Send>;

macro_rules! parameters {
    ($($value:expr),* $(,)?) => { vec![$(Box::new($value) as crate::columns::Parameter),*] };
}
pub(crate) use parameters;

/// Values as a query takes them.
pub fn lent(parameters: &[Parameter]) -> impl Iterator<Item = &(dyn ToSql + Sync)> {
    parameters.iter().map(|one| &**one as &(dyn ToSql + Sync))
}

/// An id as the database's `uuid`: sixteen bytes, big endian, so that they sort as in the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub u128);

impl ToSql for Id {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_u128(self.0);
        Ok(IsNull::No)
    }

    accepts!(UUID);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Id {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(u128::from_be_bytes(raw.try_into()?)))
    }

    accepts!(UUID);
}

/// A record as the database's `bytea`. Clones are the same bytes.
#[derive(Clone, Debug)]
pub struct Record(Bytes);

impl Record {
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Record {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl ToSql for Record {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    accepts!(BYTEA);
    to_sql_checked!();
}

/// A digest's or a key's sixteen bytes.
impl From<[u8; 16]> for Id {
    fn from(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl From<Id> for [u8; 16] {
    fn from(id: Id) -> Self {
        id.0.to_be_bytes()
    }
}

/// Counters fit: nothing is changed 2^63 times.
pub fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub fn uint(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

pub fn limit(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub type Decode<T> = fn(&[u8]) -> Result<T, Damaged>;

/// The records in the first column of what a query found, in order.
pub fn records<T>(rows: &[Row], decode: Decode<T>) -> Result<Vec<T>, Fault> {
    rows.iter().map(|row| Ok(decode(row.try_get(0)?)?)).collect()
}

/// The record in the first column of the first row.
pub fn record<T>(rows: &[Row], decode: Decode<T>) -> Result<Option<T>, Fault> {
    rows.first().map(|row| Ok(decode(row.try_get(0)?)?)).transpose()
}
