//! Reads that may be a moment old: from the replica, and from the primary while the replica is of no use.

use crate::fault::Fault;
use crate::limits::REPLICA_PAUSE;
use crate::pool::{Connections, Params};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;
use tokio_postgres::Row;

/// Clones are the same one.
#[derive(Clone)]
pub struct Replica {
    primary: Connections,
    own: Option<Arc<Own>>,
}

struct Own {
    connections: Connections,
    /// Where it has failed: when it is asked again.
    away: Mutex<Option<Instant>>,
}

impl Replica {
    pub fn new(primary: Connections, own: Option<Connections>) -> Self {
        let own = own.map(|connections| Arc::new(Own { connections, away: Mutex::default() }));
        Self { primary, own }
    }

    /// The rows of a query that changes nothing. Where there is no replica, or it fails, the primary's; and where both
    /// have failed lately, of whichever answers.
    pub async fn read(&self, query: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let Some(own) = &self.own else { return self.primary.read(query, params).await };
        let asked = own.may_be_asked();
        if asked && let Ok(rows) = own.read(query, params).await {
            return Ok(rows);
        }
        let rows = self.primary.read(query, params).await;
        if rows.is_err() && !asked { own.read(query, params).await } else { rows }
    }
}

impl Own {
    /// While it is away, one read tries it now and then, and no other waits for it.
    fn may_be_asked(&self) -> bool {
        let (mut away, now) = (self.away.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        match *away {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                *away = Some(now + REPLICA_PAUSE);
                true
            }
        }
    }

    async fn read(&self, query: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let rows = self.connections.read(query, params).await;
        self.heard(rows.as_ref().err());
        rows
    }

    /// Told of once, when it goes and when it is back.
    fn heard(&self, fault: Option<&Fault>) {
        let away = fault.map(|_| Instant::now() + REPLICA_PAUSE);
        let before = std::mem::replace(&mut *self.away.lock().unwrap_or_else(PoisonError::into_inner), away);
        match (before, fault) {
            (None, Some(fault)) => tracing::warn!(%fault, "the replica is away; what is read there comes from the primary"),
            (Some(_), None) => tracing::info!("the replica is read again"),
            _ => {}
        }
    }
}
