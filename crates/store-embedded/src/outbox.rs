//! Events committed with their cause, in order of commit.

use crate::EmbeddedStore;
use crate::columns::{change, int, limit, uint, value};
use crate::fault::Fault;
use crate::writer::{Guard, Turn, Verdict};
use app::ports::{Outbox, Pending, PortError};
use async_trait::async_trait;
use domain::time::Timestamp;
use rusqlite::Connection;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const PORT: &str = "outbox";

pub fn last_position(on: &Connection) -> rusqlite::Result<i64> {
    Ok(value::<Option<i64>>(on, "SELECT max(position) FROM outbox", ())?.flatten().unwrap_or(0))
}

/// Up to here everything is delivered: where the search for pending events starts.
#[derive(Debug, Default)]
pub struct DeliveredUpTo(AtomicI64);

impl DeliveredUpTo {
    fn pending(&self, on: &Connection, most: usize) -> Result<Vec<Pending>, Fault> {
        let last = last_position(on)?;
        let sql = "SELECT position, body FROM outbox WHERE position > ?1 AND delivered_at IS NULL ORDER BY position LIMIT ?2";
        let mut statement = on.prepare_cached(sql)?;
        let mut rows = statement.query((self.0.load(Ordering::Acquire), limit(most)))?;
        let mut pending = Vec::new();
        while let Some(row) = rows.next()? {
            let position: i64 = row.get(0)?;
            let event = records::decode_outgoing(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
            pending.push(Pending { position: uint(position), event });
        }
        // Positions only grow: below the first one that is pending, nothing can become pending again.
        let delivered = pending.first().map_or(last, |first| int(first.position) - 1);
        if most > 0 {
            self.0.fetch_max(delivered, Ordering::AcqRel);
        }
        Ok(pending)
    }
}

/// Neighbors together, so that a batch is marked by one statement.
fn runs(positions: &[u64]) -> Vec<RangeInclusive<i64>> {
    let mut positions: Vec<i64> = positions.iter().map(|p| int(*p)).collect();
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

fn mark(turn: &Turn<'_>, runs: &[RangeInclusive<i64>], now: Timestamp) -> Result<Verdict<()>, Fault> {
    let sql = "UPDATE outbox SET delivered_at = ?3 WHERE position BETWEEN ?1 AND ?2 AND delivered_at IS NULL";
    for run in runs {
        change(turn, sql, (run.start(), run.end(), now.0))?;
    }
    Ok(Verdict::Keep(()))
}

#[async_trait]
impl Outbox for EmbeddedStore {
    async fn pending(&self, limit: usize) -> Result<Vec<Pending>, PortError> {
        let delivered = Arc::clone(&self.0.delivered_up_to);
        self.readers().range(PORT, move |on| delivered.pending(on, limit)).await
    }

    async fn delivered(&self, positions: &[u64], now: Timestamp) -> Result<(), PortError> {
        let runs = runs(positions);
        self.writer(PORT)?.submit(PORT, Guard::None, move |turn| mark(turn, &runs, now), |_, ()| ()).await
    }

    async fn forget_delivered(&self, before: Timestamp, most: usize) -> Result<usize, PortError> {
        // The search is a walk through the table: it is not the writer's to make.
        let sql = "SELECT position FROM outbox WHERE delivered_at < ?1 ORDER BY position LIMIT ?2";
        let find = move |on: &Connection| {
            let mut statement = on.prepare_cached(sql)?;
            let found = statement.query_map((before.0, limit(most)), |row| row.get(0))?;
            Ok(found.collect::<Result<Vec<i64>, _>>()?)
        };
        let found = self.readers().range(PORT, find).await?;
        if found.is_empty() {
            return Ok(0);
        }
        let forget = move |turn: &Turn<'_>| {
            let mut forgotten = 0;
            for position in &found {
                forgotten += change(turn, "DELETE FROM outbox WHERE position = ?1", [position])?;
            }
            Ok(Verdict::Keep(forgotten))
        };
        self.writer(PORT)?.submit(PORT, Guard::None, forget, |_, _| ()).await
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
            assert_eq!(runs(&positions), expected, "{positions:?}");
        }
    }
}
