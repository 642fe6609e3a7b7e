//! Reads. A point read takes some microseconds and runs on the caller's thread; a read of many rows runs
//! where it may block.

use crate::connection;
use crate::fault::Fault;
use app::ports::PortError;
use rusqlite::Connection;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const CONNECTIONS: usize = 4;

pub struct Readers {
    pool: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Readers {
    pub fn open(dir: &Path) -> rusqlite::Result<Self> {
        let pool = (0..CONNECTIONS).map(|_| connection::reading(dir).map(Mutex::new)).collect::<Result<_, _>>()?;
        Ok(Self { pool, next: AtomicUsize::new(0) })
    }

    /// Any connection that is free, or the next one.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let turn = |i: usize| &self.pool[(first + i) % CONNECTIONS];
        (0..CONNECTIONS).find_map(|i| turn(i).try_lock().ok()).unwrap_or_else(|| turn(0).lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        read(&self.connection())
    }

    /// A read by key, here and now.
    pub fn point<T>(&self, port: &'static str, read: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, PortError> {
        self.read(read).map_err(|fault| fault.without_effect(port))
    }

    /// A read of many rows, where it may block.
    pub async fn range<T, F>(self: &Arc<Self>, port: &'static str, read: F) -> Result<T, PortError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let readers = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || readers.read(read)).await;
        read.map_err(|lost| PortError::unavailable(port, lost))?.map_err(|fault| fault.without_effect(port))
    }
}
