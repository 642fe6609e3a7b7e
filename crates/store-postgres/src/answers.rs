//! Idempotency keys and their first answers: one table for all ports, written with the change they answer.

use crate::columns::Id;
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

impl PgStore {
    pub(crate) async fn answer_to(&self, port: &'static str, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        let found = self.primary().read(queries::ledger::answer, &[&Id::from(key)]).await;
        let read = |row: &Row| read(key, row, ["fingerprint", "at", "body"]);
        found.and_then(|rows| rows.first().map(read).transpose()).map_err(|fault| fault.without_effect(port))
    }
}
