//! Idempotency keys and their first answers: one table for all ports, written with the change they answer.

use crate::columns::{Id, Parameter, parameters};
use crate::fault::Fault;
use crate::{PgStore, queries};
use app::ports::{Answer, PortError};
use bytes::Bytes;
use domain::cart::OnceMark;
use domain::time::Timestamp;
use tokio_postgres::Row;

/// The answer in these columns: fingerprint, instant, body.
pub fn read(key: [u8; 16], row: &Row, columns: [&str; 3]) -> Result<Answer, Fault> {
    let [fingerprint, at, body] = columns;
    let mark = OnceMark { key, fingerprint: row.try_get::<_, Id>(fingerprint)?.into() };
    Ok(Answer { mark, at: Timestamp(row.try_get(at)?), body: Bytes::from(row.try_get::<_, Vec<u8>>(body)?) })
}

/// The answer that was given before the one that was asked for.
pub fn first(asked: Option<&Answer>, row: &Row) -> Result<Answer, Fault> {
    let asked = asked.expect("invariant: only an answer meets an earlier one");
    read(asked.mark.key, row, ["first_fingerprint", "first_at", "first_body"])
}

/// An answer as every write takes it: key, fingerprint, instant, body.
pub fn parameters(answer: Option<&Answer>) -> Vec<Parameter> {
    parameters![
        answer.map(|a| Id::from(a.mark.key)),
        answer.map(|a| Id::from(a.mark.fingerprint)),
        answer.map(|a| a.at.0),
        answer.map(|a| a.body.to_vec()),
    ]
}

impl PgStore {
    pub(crate) async fn answer_to(&self, port: &'static str, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        let found = self.primary().read(queries::ledger::answer, &[&Id::from(key)]).await;
        let read = |row: &Row| read(key, row, ["fingerprint", "at", "body"]);
        found.and_then(|rows| rows.first().map(read).transpose()).map_err(|fault| fault.without_effect(port))
    }
}
