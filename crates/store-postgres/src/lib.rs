//! The store at scale: PostgreSQL, for what must never disagree, for any number of nodes.
//!
//! - **SQL** is in `queries/`, one file a query, prepared on every connection at its start (`queries.rs`); the schema is in
//!   `migrations/` (`migrate.rs`).
//! - **A call** is one round trip (`pool.rs`): it has a connection of a bounded pool, a time, and an honest error (`fault.rs`).
//! - **Records** are encoded by the `records` crate, byte for byte as in the embedded store; the columns beside
//!   them are only what queries and preconditions need.

mod answers;
mod change;
mod columns;
mod commit;
mod fault;
mod leases;
mod ledger;
mod limits;
mod migrate;
mod outbox;
mod pool;
mod queries;
mod settings;
mod stock;
mod tls;

pub use settings::PgSettings;

use crate::outbox::Floor;
use crate::pool::Connections;
use std::sync::{Arc, Mutex};
use tokio_postgres::config::TargetSessionAttrs;

/// The store of all nodes of a shop. Clones are the same store.
#[derive(Clone)]
pub struct PgStore(Arc<Open>);

struct Open {
    primary: Connections,
    /// For reads that may be stale; the primary where there is no replica.
    replica: Connections,
    /// Of the outbox.
    floor: Mutex<Floor>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the database has format {found}, written by a newer version; this one reads up to format {supported}")]
    NewerFormat { found: i32, supported: i32 },
    #[error("step {number} of the database's schema was {found}, which is not this version's {expected}")]
    OtherStep { number: i32, found: String, expected: &'static str },
    #[error("the database may forget what it has acknowledged: {} is off", .0.join(", "))]
    Forgetful(Vec<String>),
    #[error("the certificates cannot be used: {0}")]
    Certificates(String),
    #[error("the database cannot be opened: {0}")]
    Database(#[from] fault::Fault),
}

impl From<tokio_postgres::Error> for OpenError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

impl PgStore {
    /// Connects, brings the schema to this version's format, and prepares every query.
    pub async fn connect(settings: PgSettings) -> Result<Self, OpenError> {
        let config = pool::config(&settings.url, &settings, TargetSessionAttrs::ReadWrite)?;
        prepare_server(&config, &settings).await?;
        let primary = Connections::new(config, &settings)?;
        let replica = match &settings.read_url {
            Some(url) => Connections::new(pool::config(url, &settings, TargetSessionAttrs::Any)?, &settings)?,
            None => primary.clone(),
        };
        // A query that does not fit is told here.
        drop(primary.get().await?);
        Ok(Self(Arc::new(Open { primary, replica, floor: Mutex::default() })))
    }

    /// For decisions and writes.
    fn primary(&self) -> &Connections {
        &self.0.primary
    }

    fn floor(&self) -> &Mutex<Floor> {
        &self.0.floor
    }

    /// For reads that may be stale.
    fn replica(&self) -> &Connections {
        &self.0.replica
    }
}

impl std::fmt::Debug for PgStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PgStore")
    }
}

/// What is done once, on a connection of its own, before any other.
async fn prepare_server(config: &tokio_postgres::Config, settings: &PgSettings) -> Result<(), OpenError> {
    let (mut client, connection) = config.connect(pool::connector(settings)?).await?;
    let work = async {
        let forgotten = client.query(queries::store::durability, &[]).await?;
        if !forgotten.is_empty() && !settings.forgetful_allowed {
            return Err(OpenError::Forgetful(forgotten.iter().map(|row| row.get(0)).collect()));
        }
        let migrated = migrate::migrate(&mut client).await;
        drop(client);
        migrated
    };
    // The connection ends when its client is dropped.
    let (migrated, ended) = tokio::join!(work, connection);
    migrated.and(ended.map_err(Into::into))
}
