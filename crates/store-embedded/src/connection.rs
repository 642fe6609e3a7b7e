//! How a connection is set up.

use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longer than any checkpoint holds the write lock.
const BUSY: Duration = Duration::from_secs(10);
/// A checkpoint that waits for readers holds up the writer meanwhile.
const CHECKPOINT_BUSY: Duration = Duration::from_millis(20);

pub fn database(dir: &Path) -> PathBuf {
    dir.join("cartwright.db")
}

/// The writer's connection.
pub fn writing(dir: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database(dir), flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // FULL: the log is synced before a commit returns. The writer never checkpoints on its own: another
    // thread does, off the path of those who wait.
    // The cache is small, and the kernel's stands behind it: a commit that has moved pages of a tree about looks at every
    // page in the cache (`pcache1TruncateUnsafe`), which at 16 MB took a fifth of the processor time of adds to
    // carts where other programs ran beside the store, and nothing where none did.
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -4096; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;",
    )?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// A connection that only moves the log into the file.
pub fn checkpointing(dir: &Path) -> rusqlite::Result<Connection> {
    let connection = writing(dir)?;
    connection.busy_timeout(CHECKPOINT_BUSY)?;
    connection.execute_batch("PRAGMA cache_size = -64")?;
    Ok(connection)
}

pub fn reading(dir: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database(dir), flags)?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch("PRAGMA cache_size = -2048; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
