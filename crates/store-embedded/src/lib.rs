//! The default store: one directory, one SQLite file in it, no other process. Everything acknowledged is on
//! disk.
//!
//! - **Writes** go to one thread that commits in groups (`writer.rs`): one sync to disk for all who wait.
//! - **Reads** are answered from memory where possible (carts, sessions, the catalog, stock levels:
//!   `memory.rs`), else from a few read-only connections on the caller's thread (`readers.rs`).
//! - **Checkpoints** run on a thread of their own, so that nobody waits for them.
//! - **Records** are encoded where the caller is; the columns beside them are only what queries need.
//! - **One process** writes: `LOCK` in the directory is held for life. Others may look on
//!   ([`EmbeddedStore::open_read_only`]), copy ([`EmbeddedStore::backup_to`]) and check ([`verify`], [`rebuild`]).

mod answers;
mod backup;
mod carts;
mod catalog;
mod chain;
mod columns;
mod connection;
mod fault;
mod ledger;
mod limits;
mod log;
mod memory;
mod migrate;
mod outbox;
mod prices;
mod readers;
mod rebuild;
mod search;
mod sessions;
mod stock;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use backup::BackupError;
pub use rebuild::{Rebuilt, rebuild};
pub use verify::{Verified, VerifyError, verify};

use crate::memory::Memory;
use crate::readers::Readers;
use crate::writer::Writer;
use app::ports::PortError;
use rusqlite::Connection;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The durable store of one node; implements every port of what must not be lost. Clones are the same store.
#[derive(Clone)]
pub struct EmbeddedStore(Arc<Open>);

/// Closed in this order: the writer first, the lock last.
struct Open {
    writer: Option<Writer>,
    readers: Arc<Readers>,
    memory: Arc<Memory>,
    _lock: Option<File>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the data directory {} is in use by another process", .0.display())]
    InUse(PathBuf),
    #[error("the data directory has format {found}, written by a newer version; this one reads up to format {supported}")]
    NewerFormat { found: u32, supported: u32 },
    #[error("there is no store in {}", .0.display())]
    Missing(PathBuf),
    #[error("the data directory cannot be used: {0}")]
    Directory(#[from] std::io::Error),
    #[error("the database cannot be opened: {0}")]
    Database(#[from] rusqlite::Error),
    #[error("the database cannot be read: {0}")]
    Damaged(#[from] records::Damaged),
}

impl From<fault::Fault> for OpenError {
    fn from(fault: fault::Fault) -> Self {
        match fault {
            fault::Fault::Sql(error) => Self::Database(error),
            fault::Fault::Damaged(damaged) => Self::Damaged(damaged),
        }
    }
}

impl EmbeddedStore {
    /// Opens the store of a directory, made if need be, and brings it to this version's format.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        std::fs::create_dir_all(dir)?;
        let lock = lock(dir)?;
        log::write_again(dir)?;
        let mut connection = connection::writing(dir)?;
        migrate::migrate(&mut connection)?;
        let memory = load(&connection)?;
        let writer = Writer::start(dir, connection, Arc::clone(&memory))?;
        Self::with(dir, memory, Some(writer), Some(lock))
    }

    /// Looks on while another process may have it open. Catalog and levels are as of now; writes are refused.
    pub fn open_read_only(dir: &Path) -> Result<Self, OpenError> {
        let connection = existing(dir)?;
        Self::with(dir, load(&connection)?, None, None)
    }

    fn with(dir: &Path, memory: Arc<Memory>, writer: Option<Writer>, lock: Option<File>) -> Result<Self, OpenError> {
        let readers = Arc::new(Readers::open(dir)?);
        Ok(Self(Arc::new(Open { writer, readers, memory, _lock: lock })))
    }

    /// Returns when the store writes no more: a write failed and nobody knows whether it happened. The process
    /// should end then; a new one recovers.
    pub async fn poisoned(&self) {
        let Some(writer) = &self.0.writer else { return std::future::pending().await };
        // The sender is gone only when the writer is.
        drop(writer.poisoned().wait_for(|poisoned| *poisoned).await);
    }

    fn writer(&self, port: &'static str) -> Result<&Writer, PortError> {
        self.0.writer.as_ref().ok_or_else(|| PortError::unavailable(port, "the store is open for reading only"))
    }

    fn readers(&self) -> &Arc<Readers> {
        &self.0.readers
    }

    fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// Then another process writes, and what is in memory may be old.
    fn is_read_only(&self) -> bool {
        self.0.writer.is_none()
    }
}

impl std::fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedStore").field("read_only", &self.is_read_only()).finish_non_exhaustive()
    }
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let file = File::options().create(true).truncate(false).write(true).open(dir.join("LOCK"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// A read-only connection to a store that is there, in a format this version reads.
fn existing(dir: &Path) -> Result<Connection, OpenError> {
    if !connection::database(dir).is_file() {
        return Err(OpenError::Missing(dir.to_owned()));
    }
    let connection = connection::reading(dir)?;
    migrate::format(&connection)?;
    Ok(connection)
}

fn load(connection: &Connection) -> Result<Arc<Memory>, OpenError> {
    Ok(Arc::new(Memory::new(catalog::load(connection)?, stock::levels(connection)?, prices::load(connection)?)))
}
