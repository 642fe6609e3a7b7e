//! The store at scale: PostgreSQL, for what must never disagree, for any number of nodes.
//!
//! - **SQL** is in `queries/`, one file a query, prepared on every connection at its start (`queries.rs`); the schema is in
//!   `migrations/` (`migrate.rs`).
//! - **A call** is one round trip (`pool.rs`): it has a connection of a bounded pool, to the server that takes writes (`hosts.rs`), a time, and an honest error (`fault.rs`).
//! - **Records** are encoded by the `records` crate, byte for byte as in the embedded store; the columns beside
//!   them are only what queries and preconditions need.

mod answers;
mod catalog;
mod change;
mod columns;
mod commit;
mod copy;
mod fault;
mod feed;
mod group;
mod hosts;
mod leases;
mod ledger;
mod limits;
mod migrate;
mod outbox;
mod outgoing;
mod pool;
mod prices;
mod queries;
mod replica;
mod search;
mod settings;
mod stock;
mod tls;
mod verify;

pub use settings::PgSettings;
pub use verify::{Verified, VerifyError};

use crate::copy::Copy;
use crate::feed::Feed;
use crate::group::Group;
use crate::hosts::Hosts;
use crate::outbox::Floor;
use crate::pool::Connections;
use crate::replica::Replica;
use app::ports::{PortError, PortErrorKind};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_postgres::config::TargetSessionAttrs;

/// The store of all nodes of a shop. Clones are the same store.
#[derive(Clone)]
pub struct PgStore(Arc<Open>);

struct Open {
    primary: Connections,
    replica: Replica,
    /// Of the outbox.
    floor: Mutex<Floor>,
    copy: Arc<Copy>,
    feed: Feed,
    group: Group,
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
        let hosts = Hosts::new(&settings.url, &settings, TargetSessionAttrs::ReadWrite)?;
        prepare_server(&hosts, &settings).await?;
        let primary = Connections::new(hosts, &settings);
        let patience = settings.for_replica();
        let own = settings.read_url.as_ref().map(|url| Hosts::new(url, &patience, TargetSessionAttrs::Any)).transpose()?;
        let own = own.map(|hosts| Connections::new(hosts, &patience));
        let replica = Replica::new(primary.clone(), own);
        // A query that does not fit is told here.
        drop(primary.get().await?);
        let copy = Arc::new(Copy::new(settings.copies_catalog));
        let feed = Feed::start(&settings, Arc::clone(&copy)).await?;
        let group = Group::start(&settings, &primary, &copy);
        Ok(Self(Arc::new(Open { primary, replica, floor: Mutex::default(), copy, feed, group })))
    }

    /// How old the copy of catalog, prices and stock in memory is at most: a moment, as long as the database answers.
    pub fn copy_age(&self) -> Duration {
        self.copy().age()
    }

    /// Catalog, prices and levels of stock in memory, as far as they are kept there.
    fn copy(&self) -> &Copy {
        &self.0.copy
    }

    /// Makes the copy as new as the database is now; says whether that has answered in time.
    async fn catch_up(&self) -> bool {
        self.0.feed.catch_up().await
    }

    /// What was saved is in the copy before it is answered. And so is what a change was refused by, if that can be
    /// read: who decides anew shall not decide by the same again.
    ///
    /// # Errors
    /// It is saved, and the database is gone: whoever asks again with the same key is told what came of it.
    async fn show(&self, port: &'static str, saved: bool) -> Result<(), PortError> {
        let unseen = || PortError::unknown(port, PortErrorKind::Timeout, "it is saved, and cannot be read yet");
        if self.catch_up().await || !saved { Ok(()) } else { Err(unseen()) }
    }

    /// Changes of the ledger that wait.
    fn group(&self) -> &Group {
        &self.0.group
    }

    /// For decisions and writes.
    fn primary(&self) -> &Connections {
        &self.0.primary
    }

    fn floor(&self) -> &Mutex<Floor> {
        &self.0.floor
    }

    /// For reads that may be stale.
    fn replica(&self) -> &Replica {
        &self.0.replica
    }
}

impl std::fmt::Debug for PgStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PgStore")
    }
}

/// What is done once, on a connection of its own, before any other.
async fn prepare_server(hosts: &Hosts, settings: &PgSettings) -> Result<(), OpenError> {
    let (mut client, connection) = hosts.connect().await?;
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
