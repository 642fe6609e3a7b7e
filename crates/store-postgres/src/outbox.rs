//! Events committed with their cause, one row a commit, in the order of positions.
//!
//! A transaction draws its position last, when it holds the locks of all its subjects. So of two transactions about one
//! subject, the later draws the greater position, and whoever sees the later sees the earlier. What is pending is
//! therefore every row that is to be seen, by position; a transaction that stands open holds up nobody, and its rows
//! come when it has committed, also if others with greater positions have long been delivered. Reading only rows of transactions below the
//! snapshot's horizon would add nothing to that, and would take something away: of two transactions about one subject the later
//! one can have the *smaller* transaction id, so that it alone would be below the horizon.
//!
//! Where the horizon is needed is the [`Floor`].

use crate::columns::{limit, uint};
use crate::fault::Fault;
use crate::limits::FLOOR_EVERY;
use crate::pool::{Connections, Params};
use crate::{PgStore, queries};
use app::ports::{Outbox, Pending, PortError, Position};
use async_trait::async_trait;
use bytes::Bytes;
use domain::event::Subject;
use domain::time::Timestamp;
use std::sync::Mutex;
use tokio_postgres::Row;

const PORT: &str = "outbox";

/// Where to begin reading: below it no row is pending, nor ever will be. Without it, every read would walk over all
/// rows that were delivered and that the server could not yet clear away, because a backup or a report is looking at them.
///
/// It rises in two steps, never to the greatest position that is to be seen: smaller ones may still be on their way. First, how far positions
/// are drawn is noted, and then the next transaction id. When the oldest running transaction has that id, all that had
/// drawn these positions are over: what they left is to be seen, or never will be.
#[derive(Debug, Default)]
pub struct Floor {
    at: i64,
    /// The server it was found on, told by when it was started.
    server: f64,
    /// The greatest position that was drawn, and the transaction id that was next after that.
    noted: Option<(i64, i64)>,
    reads: u64,
}

/// What the floor goes by: in this order, and before the rows of the same read.
#[derive(Clone, Copy, Debug)]
struct Horizon {
    drawn: i64,
    oldest_running: i64,
    next: i64,
    server: f64,
}

impl Floor {
    /// `first` is the smallest position that is pending.
    fn rise(&mut self, seen: Horizon, first: Option<i64>) {
        if self.server.total_cmp(&seen.server).is_ne() {
            *self = Self { server: seen.server, reads: self.reads, ..Self::default() };
        }
        match self.noted {
            Some((drawn, next)) if seen.oldest_running >= next => {
                self.at = first.map_or(drawn + 1, |first| first.min(drawn + 1)).max(self.at);
                self.noted = None;
            }
            Some(_) => {}
            None => self.noted = Some((seen.drawn, seen.next)),
        }
    }
}

/// An event's place: its row, and which of the row's events it is, counted from 1.
fn position(row: i64, place: i32) -> Position {
    Position(Bytes::from([row.to_be_bytes().as_slice(), &place.to_be_bytes()].concat()))
}

fn read_position(position: &Position) -> Option<(i64, i32)> {
    let (row, place) = position.0.split_first_chunk()?;
    Some((i64::from_be_bytes(*row), i32::from_be_bytes(place.try_into().ok()?)))
}

/// The events of a row that are not delivered. Those of stock, which the database writes, are in the trace of the one before them.
fn pending(row: &Row) -> Result<Vec<Pending>, Fault> {
    let (at, delivered, events): (i64, Vec<i32>, Vec<&[u8]>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let mut trace = None;
    let mut waiting = Vec::with_capacity(events.len());
    for (place, body) in (1..).zip(events) {
        let mut event = records::decode_outgoing(body)?;
        match event.subject {
            Subject::Stock(_) if event.trace.is_none() => event.trace.clone_from(&trace),
            _ => trace.clone_from(&event.trace),
        }
        if !delivered.contains(&place) {
            waiting.push(Pending { position: position(at, place), event });
        }
    }
    Ok(waiting)
}

/// The rows from the floor on; now and then with what raises it.
async fn rows(from: &Connections, floor: &Mutex<Floor>, most: usize) -> Result<Vec<Row>, Fault> {
    let (at, server, look) = {
        let mut floor = floor.lock().expect("invariant: nothing panics while it holds this");
        floor.reads += 1;
        (floor.at, floor.server, floor.reads % FLOOR_EVERY == 1)
    };
    let pending: (_, Params<'_>) = (queries::outbox::pending, &[&at, &server, &limit(most)]);
    if !look {
        return from.rows(pending.0, pending.1).await;
    }
    let [drawn, horizon, rows] = from.in_order([(queries::outbox::drawn, &[]), (queries::outbox::horizon, &[]), pending]).await?;
    let seen = Horizon {
        drawn: drawn[0].try_get(0)?,
        oldest_running: horizon[0].try_get(0)?,
        next: horizon[0].try_get(1)?,
        server: horizon[0].try_get(2)?,
    };
    let first = rows.first().map(|row| row.try_get(0)).transpose()?;
    floor.lock().expect("invariant: nothing panics while it holds this").rise(seen, first);
    Ok(rows)
}

#[async_trait]
impl Outbox for PgStore {
    async fn pending(&self, most: usize) -> Result<Vec<Pending>, PortError> {
        let rows = rows(self.primary(), self.floor(), most).await;
        let events = rows.and_then(|rows| rows.iter().map(pending).collect::<Result<Vec<_>, _>>());
        // A row has one event or more, and is not always asked for to its end.
        let events = events.map(|events| events.into_iter().flatten().take(most).collect());
        events.map_err(|fault| fault.without_effect(PORT))
    }

    async fn delivered(&self, positions: &[Position], now: Timestamp) -> Result<(), PortError> {
        let (rows, places): (Vec<i64>, Vec<i32>) = positions.iter().filter_map(read_position).unzip();
        let delivered = self.primary().execute(queries::outbox::deliver, &[&rows, &places, &now.0]).await;
        delivered.map(drop).map_err(|fault| fault.of_write(PORT))
    }

    async fn forget_delivered(&self, before: Timestamp, most: usize) -> Result<usize, PortError> {
        let forgotten = self.primary().row(queries::outbox::forget_delivered, &[&before.0, &limit(most)]).await;
        let count = forgotten.and_then(|row| row.map_or(Ok(0), |row| Ok(uint(row.try_get(0)?))));
        count.map(|n| usize::try_from(n).unwrap_or(usize::MAX)).map_err(|fault| fault.of_write(PORT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_rises_only_above_positions_whose_transactions_are_over() {
        let mut floor = Floor::default();
        for (drawn, oldest_running, next, server, first, at) in [
            (5, 100, 103, 1.0, Some(4), 0),
            // One that was running then still is: positions up to 5 may still come.
            (9, 102, 110, 1.0, Some(4), 0),
            (9, 103, 110, 1.0, Some(4), 4),
            (9, 104, 110, 1.0, None, 4),
            (12, 110, 120, 1.0, None, 10),
            (12, 120, 120, 1.0, None, 10),
            (12, 120, 120, 1.0, None, 13),
            // Another server may have forgotten the last positions.
            (11, 90, 90, 2.0, Some(11), 0),
            (11, 90, 90, 2.0, Some(11), 11),
        ] {
            floor.rise(Horizon { drawn, oldest_running, next, server }, first);
            assert_eq!(floor.at, at, "{drawn} drawn, {oldest_running} running, {first:?} pending");
        }
    }

    #[test]
    fn a_position_is_read_as_it_was_written() {
        for (row, place) in [(1, 1), (i64::MAX, i32::MAX)] {
            assert_eq!(read_position(&position(row, place)), Some((row, place)));
        }
        assert_eq!(read_position(&Position::numbered(7)), None);
    }
}
