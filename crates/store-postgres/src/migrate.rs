//! The schema, forward only. A step that was once released is never changed: its checksum is kept, and compared at
//! every start.
//!
//! Nodes of two versions run side by side while an update rolls out, so a step only *expands* what the version
//! before can live with (a new table, a new column with a default, a new function under a new name); what no
//! version uses any more is *contracted* by a step of a later release. A step that must wait for a table gives up after
//! [`MIGRATION_LOCK_MAX`], so that it does not hold up those who use it.

use crate::limits::{MIGRATION_LOCK_MAX, MIGRATION_WAIT_MAX};
use crate::{OpenError, queries};
use sha2::{Digest, Sha256};
use tokio_postgres::{Client, Row, Transaction};

struct Step {
    name: &'static str,
    sql: &'static str,
}

macro_rules! steps {
    ($($name:literal)*) => {
        &[$(Step { name: $name, sql: include_str!(concat!("../migrations/", $name, ".sql")) }),*]
    };
}

const STEPS: &[Step] = steps! {
    "0001_ledger"
    "0002_catalog"
    "0003_prices"
    "0004_together"
    "0005_orders"
    "0006_outgoing"
};

/// The nodes that change the schema queue up for this.
const LOCK: i64 = i64::from_be_bytes(*b"cartwrig");

/// The format this version writes.
pub fn supported() -> i32 {
    i32::try_from(STEPS.len()).expect("invariant: few migrations")
}

/// Brings the schema to the format of this version; each step whole or not at all, whichever node does it.
pub async fn migrate(client: &mut Client) -> Result<(), OpenError> {
    while format(client).await? < supported() {
        step(client).await?;
    }
    Ok(())
}

/// The format of the schema, refused when this version does not know it.
pub async fn format(client: &Client) -> Result<i32, OpenError> {
    let there: bool = client.query_one("SELECT to_regclass('migrations') IS NOT NULL", &[]).await?.get(0);
    if there { known(&client.query(queries::store::format, &[]).await?) } else { Ok(0) }
}

/// Does the next step, unless another node has.
async fn step(client: &mut Client) -> Result<(), OpenError> {
    let transaction = client.transaction().await?;
    let patience = |name: &str, max: std::time::Duration| format!("SET LOCAL {name} = {};", max.as_millis());
    transaction.batch_execute(&(patience("lock_timeout", MIGRATION_WAIT_MAX) + &patience("statement_timeout", MIGRATION_WAIT_MAX))).await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    transaction.batch_execute(&patience("lock_timeout", MIGRATION_LOCK_MAX)).await?;
    let next = format_within(&transaction).await? + 1;
    if let Some(Step { name, sql }) = usize::try_from(next - 1).ok().and_then(|done| STEPS.get(done)) {
        transaction.batch_execute(sql).await?;
        let line = "INSERT INTO migrations (number, name, checksum) VALUES ($1, $2, $3)";
        transaction.execute(line, &[&next, name, &checksum(sql)]).await?;
    }
    Ok(transaction.commit().await?)
}

async fn format_within(transaction: &Transaction<'_>) -> Result<i32, OpenError> {
    let table = "CREATE TABLE IF NOT EXISTS migrations (
                     number integer PRIMARY KEY, name text NOT NULL, checksum bytea NOT NULL, at timestamptz NOT NULL DEFAULT now())";
    transaction.batch_execute(table).await?;
    known(&transaction.query(queries::store::format, &[]).await?)
}

/// How many steps have been done, all of them steps of this version as they are.
fn known(done: &[Row]) -> Result<i32, OpenError> {
    let found = done.last().map_or(0, |row| row.get(0));
    if found > supported() {
        return Err(OpenError::NewerFormat { found, supported: supported() });
    }
    for (row, step) in done.iter().zip(STEPS) {
        if row.get::<_, &[u8]>(2) != checksum(step.sql) {
            return Err(OpenError::OtherStep { number: row.get(0), found: row.get(1), expected: step.name });
        }
    }
    Ok(found)
}

fn checksum(sql: &str) -> Vec<u8> {
    Sha256::digest(sql).to_vec()
}
