//! The schema, forward only. A step that was once released is never changed; the file's `user_version` is the
//! number of steps it has been through.

use crate::{OpenError, chain};
use rusqlite::{Connection, TransactionBehavior};

/// What SQL cannot say, done after a step's SQL and in the same transaction.
type Fill = fn(&Connection) -> rusqlite::Result<()>;

const STEPS: &[(&str, Option<Fill>)] = &[
    (include_str!("../migrations/0001_initial.sql"), None),
    (include_str!("../migrations/0002_chain.sql"), Some(chain::fill)),
    (include_str!("../migrations/0003_uses.sql"), None),
    (include_str!("../migrations/0004_prices.sql"), None),
];

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
    migrate_to(connection, supported())
}

/// Up to a step.
fn migrate_to(connection: &mut Connection, last: u32) -> Result<(), OpenError> {
    let found = format(connection)?;
    for (number, (sql, fill)) in (1..=last).zip(STEPS).skip_while(|(number, _)| *number <= found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        if let Some(fill) = fill {
            fill(&transaction)?;
        }
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EmbeddedStore, columns, connection, verify};
    use conformance::fixtures::{START, placed};
    use rusqlite::params;

    /// A store as the first version left it.
    #[tokio::test]
    async fn the_past_of_an_older_store_is_linked_when_it_is_opened() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let mut old = connection::writing(dir.path()).expect("a database");
        migrate_to(&mut old, 1).expect("the first format");
        for n in 1..=3_u64 {
            let appended = placed(n.into(), START);
            let order = &appended.order;
            let id = order.id.0.to_be_bytes();
            let sql = "INSERT INTO orders (id, version, number, checkout, owner, placed_at, status, payment, body)
                       VALUES (?1, 2, ?2, ?3, ?4, ?5, 'pending', 'authorized', ?6)";
            let owner = records::owner_key(&order.owner);
            let body = records::encode_order(order);
            let checkout = order.checkout.0.to_be_bytes();
            old.execute(sql, params![id, order.number.to_string(), checkout, owner, order.placed_at.0, body]).expect("an order");
            for event in &appended.events {
                let sql = "INSERT INTO order_events (order_id, sequence, body) VALUES (?1, ?2, ?3)";
                old.execute(sql, params![id, columns::int(event.sequence), records::encode_recorded(event)]).expect("an event");
            }
        }
        drop(old);
        assert_eq!(verify(dir.path()).expect("sound as it is").order_events, 6);
        drop(EmbeddedStore::open(dir.path()).expect("a store"));
        let verified = verify(dir.path()).expect("a sound store");
        assert_eq!((verified.orders, verified.order_events), (3, 6));
    }
}
