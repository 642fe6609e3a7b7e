//! Events committed with their cause, in order of commit.

use crate::EmbeddedStore;
use crate::columns::{change, int, limit, uint, value};
use crate::fault::Fault;
use crate::writer::{Guard, Turn, Verdict};
use app::ports::{Outbox, Pending, PortError, Position};
use async_trait::async_trait;
use domain::time::Timestamp;
use rusqlite::Connection;
use std::ops::RangeInclusive;

const PORT: &str = "outbox";

pub fn last_position(on: &Connection) -> rusqlite::Result<i64> {
    let last = value::<Option<i64>>(on, "SELECT max(position) FROM outbox", ())?.flatten().unwrap_or(0);
    // Above the floor even when every event has been forgotten.
    Ok(last.max(floor(on)?))
}

/// Up to here every event is delivered.
fn floor(on: &Connection) -> rusqlite::Result<i64> {
    Ok(value::<Option<i64>>(on, "SELECT max(through) FROM outbox_marks", ())?.flatten().unwrap_or(0))
}

fn pending(on: &Connection, most: usize) -> Result<Vec<Pending>, Fault> {
    let sql = "SELECT position, body FROM outbox WHERE position > ?1 AND delivered_at IS NULL ORDER BY position LIMIT ?2";
    let mut statement = on.prepare_cached(sql)?;
    let mut rows = statement.query((floor(on)?, limit(most)))?;
    let mut pending = Vec::new();
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(0)?;
        let event = records::decode_outgoing(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
        pending.push(Pending { position: Position::numbered(uint(position)), event });
    }
    Ok(pending)
}

/// Neighbors together, so that a batch is marked by one statement.
fn runs(positions: impl Iterator<Item = i64>) -> Vec<RangeInclusive<i64>> {
    let mut positions: Vec<i64> = positions.collect();
    positions.sort_unstable();
    let mut runs: Vec<RangeInclusive<i64>> = Vec::new();
    for position in positions {
        match runs.last_mut() {
            Some(run) if position <= run.end() + 1 => *run = *run.start()..=position,
            _ => runs.push(position..=position),
        }
    }
    runs
}

/// Raises the floor where nothing older is pending, else marks the events themselves.
fn mark(turn: &Turn<'_>, runs: &[RangeInclusive<i64>], now: Timestamp) -> Result<Verdict<()>, Fault> {
    let older = "SELECT 1 FROM outbox WHERE position > ?1 AND position < ?2 AND delivered_at IS NULL LIMIT 1";
    let event = "UPDATE outbox SET delivered_at = ?3 WHERE position BETWEEN ?1 AND ?2 AND delivered_at IS NULL";
    for run in runs {
        let floor = floor(turn)?;
        if *run.end() <= floor {
            continue;
        }
        if value::<i64>(turn, older, (floor, run.start()))?.is_none() {
            change(turn, "INSERT INTO outbox_marks (through, at) VALUES (?1, ?2)", (run.end(), now.0))?;
        } else {
            change(turn, event, (run.start().max(&(floor + 1)), run.end(), now.0))?;
        }
    }
    Ok(Verdict::Keep(()))
}

/// The positions of events delivered before an instant, the oldest first.
fn delivered_before(on: &Connection, before: Timestamp, most: usize) -> Result<Vec<i64>, Fault> {
    let sql = "SELECT position FROM (SELECT position FROM outbox WHERE position <= (SELECT max(through) FROM outbox_marks WHERE at < ?1)
                                     ORDER BY position LIMIT ?2)
               UNION SELECT position FROM (SELECT position FROM outbox WHERE delivered_at < ?1 LIMIT ?2)
               ORDER BY position LIMIT ?2";
    let mut statement = on.prepare_cached(sql)?;
    let found = statement.query_map((before.0, limit(most)), |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Forgets events, and the marks that no event needs any more; the last one stays: it is the floor.
fn forget(turn: &Turn<'_>, positions: &[i64], before: Timestamp) -> Result<Verdict<usize>, Fault> {
    let mut forgotten = 0;
    for position in positions {
        forgotten += change(turn, "DELETE FROM outbox WHERE position = ?1", [position])?;
    }
    let marks = "DELETE FROM outbox_marks WHERE at < ?1 AND through < (SELECT max(through) FROM outbox_marks)
                 AND through < (SELECT min(position) FROM outbox)";
    change(turn, marks, [before.0])?;
    Ok(Verdict::Keep(forgotten))
}

#[async_trait]
impl Outbox for EmbeddedStore {
    async fn pending(&self, limit: usize) -> Result<Vec<Pending>, PortError> {
        self.readers().range(PORT, move |on| pending(on, limit)).await
    }

    async fn delivered(&self, positions: &[Position], now: Timestamp) -> Result<(), PortError> {
        let runs = runs(positions.iter().filter_map(Position::number).map(int));
        self.writer(PORT)?.submit(PORT, Guard::None, move |turn| mark(turn, &runs, now), |_, ()| ()).await
    }

    async fn forget_delivered(&self, before: Timestamp, most: usize) -> Result<usize, PortError> {
        let found = self.readers().range(PORT, move |on| delivered_before(on, before, most)).await?;
        if found.is_empty() {
            return Ok(0);
        }
        self.writer(PORT)?.submit(PORT, Guard::None, move |turn| forget(turn, &found, before), |_, _| ()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbors_are_marked_together() {
        for (positions, expected) in [
            (vec![], vec![]),
            (vec![7], vec![7..=7]),
            (vec![3, 1, 2], vec![1..=3]),
            (vec![1, 2, 5, 6, 9], vec![1..=2, 5..=6, 9..=9]),
            (vec![4, 4, 5], vec![4..=5]),
        ] {
            assert_eq!(runs(positions.iter().copied()), expected, "{positions:?}");
        }
    }
}
