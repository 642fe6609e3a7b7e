//! A copy of the store, consistent while another process serves from it.

use crate::{EmbeddedStore, OpenError, connection, existing};
use std::fs::File;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the copy cannot be written: {0}")]
    Copy(#[from] rusqlite::Error),
    #[error("the copy cannot be written: {0}")]
    Disk(#[from] std::io::Error),
}

impl EmbeddedStore {
    /// Copies the store of `dir` as of one instant into `target`, a new or empty directory, which is then a
    /// data directory like any other. On return the copy is on disk.
    pub fn backup_to(dir: &Path, target: &Path) -> Result<(), BackupError> {
        std::fs::create_dir_all(target)?;
        if std::fs::read_dir(target)?.next().is_some() {
            return Err(BackupError::NotEmpty(target.to_owned()));
        }
        // Under its own name only when it is whole.
        let partial = target.join("cartwright.partial");
        let copied = copy(dir, &partial).and_then(|()| Ok(std::fs::rename(&partial, connection::database(target))?));
        if copied.is_err() {
            // What is left of it is of no use; the first error is the one to tell.
            drop(std::fs::remove_file(&partial));
        }
        copied?;
        Ok(File::open(target)?.sync_all()?)
    }
}

fn copy(dir: &Path, partial: &Path) -> Result<(), BackupError> {
    existing(dir)?.execute("VACUUM INTO ?1", [partial.to_string_lossy()])?;
    Ok(File::open(partial)?.sync_all()?)
}
