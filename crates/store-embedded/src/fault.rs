//! What can go wrong below the ports, and what it means for those who wait.

use app::ports::{DidItHappen, PortError, PortErrorKind};
use rusqlite::ErrorCode;

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error(transparent)]
    Damaged(#[from] records::Damaged),
}

impl Fault {
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sql(error) => error.sqlite_error_code(),
            Self::Damaged(_) => None,
        }
    }

    /// The disk has no room. The write that met it can be rolled back.
    pub fn is_full(&self) -> bool {
        self.code() == Some(ErrorCode::DiskFull)
    }

    pub fn is_busy(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    /// The fault of one statement or one row: the file and the disk below are fine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::Sql(error) => matches!(
                error.sqlite_error_code(),
                None | Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig | ErrorCode::ApiMisuse)
            ),
        }
    }

    fn is_corruption(&self) -> bool {
        matches!(self, Self::Damaged(_)) || matches!(self.code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }

    /// The error of a call that changed nothing.
    pub fn without_effect(self, port: &'static str) -> PortError {
        if self.is_corruption() { PortError::corrupt(port, self) } else { PortError::unavailable(port, self) }
    }
}

/// Why a whole group of writes was not acknowledged.
#[derive(Clone, Debug)]
pub enum Failure {
    /// No room: nothing happened, the store goes on.
    Full,
    /// Nothing happened, the store goes on.
    Undone(String),
    /// Nobody knows whether the group is on disk: the store writes no more.
    Unknown(String),
    /// An earlier failure was of that kind.
    Poisoned,
}

impl Failure {
    pub fn on(self, port: &'static str) -> PortError {
        match self {
            Self::Full => PortError { port, kind: PortErrorKind::Full, did_it_happen: DidItHappen::No, source: "the disk is full".into() },
            Self::Undone(why) => PortError::unavailable(port, why),
            Self::Unknown(why) => PortError::unknown(port, PortErrorKind::Unavailable, why),
            Self::Poisoned => PortError::unavailable(port, "the store writes no more after a failed write; restart it"),
        }
    }
}
