//! Carrying a change to the database, and finding out what became of it when the connection breaks on the way.
//!
//! Each try has an id, which the transaction writes down. When nobody says what came of it, a new connection asks for the id:
//! if it is there, it happened; if not, the question itself writes it down as undone, and the transaction, should it still be
//! on its way, fails on it. So there is always an answer, also from a replica that has taken over, and it does not change.

use crate::columns::Id;
use crate::fault::Fault;
use crate::limits::{RESOLVE_AFTER, RESOLVE_EVERY, RETRY_AFTER, TRIES_MAX};
use crate::pool::Connections;
use crate::queries;
use backon::{ExponentialBuilder, Retryable};
use domain::time::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// A change that the database makes true as a whole or not at all, in one call.
pub trait Write {
    /// Its first parameter is the id of the commit.
    const QUERY: &str;
    type Outcome;

    /// All parameters but the first.
    fn parameters(&self) -> Vec<&(dyn ToSql + Sync)>;

    /// What the database's answer says.
    fn outcome(&self, row: &Row) -> Result<Self::Outcome, Fault>;

    /// What is known when nobody says more than that it happened.
    fn happened(&self) -> Self::Outcome;
}

/// Commits once, however often it takes.
pub async fn commit<W: Write>(to: &Connections, write: &W, now: Timestamp) -> Result<W::Outcome, Fault> {
    let tries = ExponentialBuilder::new().with_min_delay(RETRY_AFTER).with_max_times(TRIES_MAX - 1).with_jitter();
    let once = || ask(to, write, Id(commit_id(now)));
    once.retry(tries).when(|fault| matches!(fault, Fault::Undone)).await
}

async fn ask<W: Write>(to: &Connections, write: &W, id: Id) -> Result<W::Outcome, Fault> {
    let parameters: Vec<_> = [&id as &(dyn ToSql + Sync)].into_iter().chain(write.parameters()).collect();
    match to.row(W::QUERY, &parameters).await {
        Ok(row) => write.outcome(&row.expect("invariant: a function that gives one row")),
        Err(fault) if fault.may_have_happened() => match happened(to, id).await {
            Ok(true) => Ok(write.happened()),
            Ok(false) => Err(Fault::Undone),
            Err(_) => Err(fault),
        },
        Err(fault) => Err(fault),
    }
}

/// Whether the commit of this id happened; never says no to one that still may.
async fn happened(to: &Connections, id: Id) -> Result<bool, Fault> {
    let patience = ExponentialBuilder::new().with_min_delay(RESOLVE_AFTER).with_max_delay(RESOLVE_EVERY).without_max_times().with_jitter();
    let ask = || async { Ok(to.rows(queries::ledger::did_it_happen, &[&id]).await?[0].try_get(0)?) };
    tokio::time::timeout(to.resolve_max, ask.retry(patience)).await.unwrap_or(Err(Fault::Silent))
}

/// Its first 48 bits are the time in milliseconds, so that old ones lie together.
fn commit_id(now: Timestamp) -> u128 {
    first_commit_id(now) | (fastrand::u128(..) >> 48)
}

/// Commits of earlier milliseconds have smaller ids.
pub fn first_commit_id(at: Timestamp) -> u128 {
    u128::from(u64::try_from(at.0 / 1000).unwrap_or(0)) << 80
}
