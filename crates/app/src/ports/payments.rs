use super::PortError;
use async_trait::async_trait;
use domain::checkout::PaymentError;
use domain::ids::{AttemptId, PaymentToken};
use domain::money::Money;

/// A payment provider. The attempt's id is the idempotency key of all its calls: sent again, a call has no
/// second effect and gives the first one's answer.
///
/// An error with `DidItHappen::No` had no effect; one with `Unknown` must be reconciled with [`Payments::find`].
/// A call always ends, in an answer or an error, within the adapter's own timeout.
#[async_trait]
pub trait Payments: Send + Sync {
    /// Sets money aside.
    async fn authorize(&self, key: AttemptId, request: &Authorize) -> Result<Authorization, PortError>;

    /// Takes the authorized amount. Refused when there is no authorization to take from.
    async fn capture(&self, key: AttemptId) -> Result<Taken, PortError>;

    /// Releases an authorization. A key the provider has never seen is closed: an authorization that
    /// arrives later under it is declined.
    async fn void(&self, key: AttemptId) -> Result<Taken, PortError>;

    /// Pays the captured amount back.
    async fn refund(&self, key: AttemptId) -> Result<Taken, PortError>;

    /// What the provider knows under this key.
    async fn find(&self, key: AttemptId) -> Result<Option<Charge>, PortError>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorize {
    pub token: PaymentToken,
    pub amount: Money,
    /// Shown on the customer's statement.
    pub reference: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    Approved,
    Declined(PaymentError),
    /// The customer has to do something at the provider first.
    Challenge,
}

/// The answer to a capture, void or refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    Done,
    Refused(PaymentError),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub amount: Money,
    pub status: ChargeStatus,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChargeStatus {
    Authorized,
    Challenged,
    Declined(PaymentError),
    Captured,
    Voided,
    Refunded,
}
