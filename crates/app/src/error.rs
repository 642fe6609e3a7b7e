use crate::ports::PortError;
use domain::money::MoneyError;
use domain::refusal::Refusal;

/// Why a use case did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The answer is no. Nothing was changed that the refusal does not speak of.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Something outside did not work.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<MoneyError> for Error {
    fn from(error: MoneyError) -> Self {
        Self::Refused(error.into())
    }
}

impl Error {
    /// The same error for everybody who waited for the same commit.
    pub(crate) fn share(&self) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(refusal.clone()),
            Self::Port(e) => {
                Self::Port(PortError { port: e.port, kind: e.kind, did_it_happen: e.did_it_happen, source: e.source.to_string().into() })
            }
        }
    }
}
