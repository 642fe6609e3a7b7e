//! What can go wrong below the ports, and what it means for those who wait.

use app::ports::{DidItHappen, PortError, PortErrorKind};
use deadpool_postgres::{HookError, PoolError, TimeoutType};
use std::sync::Arc;
use tokio_postgres::error::{Severity, SqlState};

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No connection: nothing was asked of the server.
    #[error("no connection to the database: {}", within(.0).map_or_else(|| .0.to_string(), told))]
    Pool(#[from] PoolError),
    /// Too many wait already: nothing was asked of the server.
    #[error("too many changes wait for the database")]
    Crowded,
    /// The server said no, or the connection broke.
    #[error("{}", told(.0))]
    Sql(#[from] tokio_postgres::Error),
    /// The server is silent.
    #[error("the database does not answer")]
    Silent,
    /// A write of which nobody said what came of it has turned out not to have happened.
    #[error("the connection broke, and nothing was written")]
    Undone,
    /// The server says what this version does not know.
    #[error("the database answers {0:?}")]
    Unheard(String),
    #[error(transparent)]
    Damaged(#[from] records::Damaged),
}

/// The driver's own text says "db error" and no more.
fn told(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |db| format!("{} ({})", db.message(), db.code().code()))
}

/// What the server or the network said when a connection was to be made ready.
fn within(error: &PoolError) -> Option<&tokio_postgres::Error> {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => Some(error),
        _ => None,
    }
}

impl Fault {
    pub fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Sql(error) => error.code(),
            Self::Pool(error) => within(error)?.code(),
            Self::Crowded | Self::Silent | Self::Undone | Self::Unheard(_) | Self::Damaged(_) => None,
        }
    }

    /// The transaction lost to another one, and nothing of it was done: the same again meets what the other has left. Two
    /// that insert the same row at once are kept apart by a unique index at the latest.
    pub fn is_lost_race(&self) -> bool {
        let lost = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::UNIQUE_VIOLATION];
        self.code().is_some_and(|code| lost.contains(code))
    }

    /// The connection is of no use any more.
    pub fn is_broken(&self) -> bool {
        match self {
            Self::Sql(error) => error.as_db_error().is_none_or(|db| db.parsed_severity() != Some(Severity::Error)),
            Self::Silent => true,
            Self::Pool(_) | Self::Crowded | Self::Undone | Self::Unheard(_) | Self::Damaged(_) => false,
        }
    }

    /// The server takes no writes: it has become a replica, or another one the primary.
    pub fn is_read_only(&self) -> bool {
        self.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
    }

    /// Whether what was asked for may have been done all the same. An error of the server has undone it; the end of a
    /// connection, also one that the server announces, leaves it open.
    pub fn may_have_happened(&self) -> bool {
        self.is_broken()
    }

    fn kind(&self) -> PortErrorKind {
        let timeouts = [SqlState::QUERY_CANCELED, SqlState::LOCK_NOT_AVAILABLE];
        match (self, self.code()) {
            (Self::Damaged(_) | Self::Unheard(_), _) => PortErrorKind::Corrupt,
            (Self::Silent | Self::Crowded | Self::Pool(PoolError::Timeout(TimeoutType::Wait)), _) => PortErrorKind::Timeout,
            (_, Some(code)) if timeouts.contains(code) => PortErrorKind::Timeout,
            (_, Some(code)) if *code == SqlState::DISK_FULL => PortErrorKind::Full,
            (_, Some(code)) if [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(code) => PortErrorKind::Corrupt,
            _ => PortErrorKind::Unavailable,
        }
    }

    /// The error of a call that changed nothing, whatever came of it.
    pub fn without_effect(self, port: &'static str) -> PortError {
        PortError { port, kind: self.kind(), did_it_happen: DidItHappen::No, source: self.into() }
    }

    /// The error of a write.
    pub fn of_write(self, port: &'static str) -> PortError {
        Arc::new(self).of_writes(port)
    }

    /// The error of each of several writes.
    pub fn of_writes(self: &Arc<Self>, port: &'static str) -> PortError {
        let did_it_happen = if self.may_have_happened() { DidItHappen::Unknown } else { DidItHappen::No };
        PortError { port, kind: self.kind(), did_it_happen, source: Box::new(Arc::clone(self)) }
    }
}
