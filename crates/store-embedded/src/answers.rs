//! Idempotency keys and their first answers: one table for all ports, written with the change they answer.

use crate::columns::{change, limit};
use crate::fault::Fault;
use app::ports::Answer;
use bytes::Bytes;
use domain::cart::OnceMark;
use domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension};

pub fn find(on: &Connection, key: [u8; 16]) -> Result<Option<Answer>, Fault> {
    let mut statement = on.prepare_cached("SELECT fingerprint, at, body FROM answers WHERE key = ?1")?;
    let found = statement.query_row([key], |row| {
        let mark = OnceMark { key, fingerprint: row.get(0)? };
        Ok(Answer { mark, at: Timestamp(row.get(1)?), body: Bytes::from(row.get::<_, Vec<u8>>(2)?) })
    });
    Ok(found.optional()?)
}

/// The first answer to any of these keys.
pub fn first<'a>(on: &Connection, answers: impl IntoIterator<Item = &'a Answer>) -> Result<Option<Answer>, Fault> {
    for answer in answers {
        if let Some(first) = find(on, answer.mark.key)? {
            return Ok(Some(first));
        }
    }
    Ok(None)
}

/// Remembers an answer whose key [`first`] did not find.
pub fn remember(on: &Connection, answer: &Answer) -> rusqlite::Result<()> {
    let sql = "INSERT INTO answers (key, fingerprint, at, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    change(on, sql, (answer.mark.key, answer.mark.fingerprint, answer.at.0, &answer.body[..])).map(drop)
}

pub fn forget(on: &Connection, before: Timestamp, most: usize) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM answers WHERE key IN (SELECT key FROM answers WHERE at < ?1 ORDER BY at LIMIT ?2)";
    change(on, sql, (before.0, limit(most)))
}
