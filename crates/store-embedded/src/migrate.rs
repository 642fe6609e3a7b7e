//! The schema, forward only. A step that was once released is never changed; the file's `user_version` is the
//! number of steps it has been through.

use crate::OpenError;
use rusqlite::{Connection, TransactionBehavior};

const STEPS: &[&str] = &[include_str!("../migrations/0001_initial.sql")];

/// The format this version writes.
pub fn supported() -> u32 {
    u32::try_from(STEPS.len()).expect("invariant: few migrations")
}

/// The format of the file, refused when it is newer than this version.
pub fn format(connection: &Connection) -> Result<u32, OpenError> {
    let found = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > supported() { Err(OpenError::NewerFormat { found, supported: supported() }) } else { Ok(found) }
}

/// Brings the file to the format of this version; each step whole or not at all.
pub fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let found = format(connection)?;
    for (number, step) in (1..).zip(STEPS).skip_while(|(number, _)| *number <= found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}
