//! Between columns and the domain.

use crate::fault::Fault;
use records::Damaged;
use rusqlite::{Connection, OptionalExtension, Params};

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

/// The body a query finds, decoded.
pub fn one<T>(on: &Connection, sql: &str, params: impl Params, decode: Decode<T>) -> Result<Option<T>, Fault> {
    let mut statement = on.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    match rows.next()? {
        Some(row) => Ok(Some(decode(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?)),
        None => Ok(None),
    }
}

/// The bodies a query finds, decoded, in order.
pub fn many<T>(on: &Connection, sql: &str, params: impl Params, decode: Decode<T>) -> Result<Vec<T>, Fault> {
    let mut statement = on.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(decode(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?);
    }
    Ok(found)
}

/// The first column of the row a query finds.
pub fn value<T: rusqlite::types::FromSql>(on: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<Option<T>> {
    on.prepare_cached(sql)?.query_row(params, |row| row.get(0)).optional()
}

/// Runs a statement; how many rows it changed.
pub fn change(on: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
    on.prepare_cached(sql)?.execute(params)
}
