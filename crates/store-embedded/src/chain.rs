//! The chain of an order's events: each is stored with a link, SHA-256 over the link before it and its own
//! bytes. Whoever changes a byte of the past would have to change every link after it too.

use crate::columns::{change, int};
use rusqlite::Connection;
use sha2::{Digest, Sha256};

pub type Link = [u8; 32];

/// The format of the store since which there are links.
pub const SINCE: u32 = 2;

/// What an order's first event is linked to.
pub const START: Link = [0; 32];

pub fn link(before: &Link, body: &[u8]) -> Link {
    Sha256::new().chain_update(before).chain_update(body).finalize().into()
}

/// Links every event that is there: for a store from before there were links.
pub fn fill(on: &Connection) -> rusqlite::Result<()> {
    let mut orders = on.prepare("SELECT DISTINCT order_id FROM order_events")?;
    let orders: Vec<[u8; 16]> = orders.query_map((), |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut bodies = on.prepare("SELECT body FROM order_events WHERE order_id = ?1 ORDER BY sequence")?;
    for order in orders {
        let bodies: Vec<Vec<u8>> = bodies.query_map([order], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut last = START;
        for (sequence, body) in (1..).zip(&bodies) {
            last = link(&last, body);
            change(on, "UPDATE order_events SET link = ?3 WHERE order_id = ?1 AND sequence = ?2", (order, int(sequence), last))?;
        }
    }
    Ok(())
}
