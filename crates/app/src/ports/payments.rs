use super::PortError;
use async_trait::async_trait;
use domain::checkout::PaymentError;
use domain::ids::{AttemptId, CheckoutId, PaymentToken, RefundId};
use domain::money::Money;

/// A payment provider. The attempt's id is the idempotency key of all its calls: sent again, a call has no
/// second effect and gives the first one's answer. A key stands for one amount: an authorization of another
/// one under it is an error and changes nothing.
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

    /// Pays back a part of the captured amount, or all of it: once per refund id. Refused when more would be
    /// paid back than was captured.
    async fn refund(&self, key: AttemptId, refund: &Refund) -> Result<Taken, PortError>;

    /// What the provider knows under this key.
    async fn find(&self, key: AttemptId) -> Result<Option<Charge>, PortError>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorize {
    pub token: PaymentToken,
    pub amount: Money,
    /// Shown on the customer's statement.
    pub reference: String,
    /// What is being paid: the provider says it again in its notices.
    pub checkout: CheckoutId,
    /// Where the customer goes after a challenge.
    pub return_url: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    Approved,
    Declined(PaymentError),
    /// The customer has to do something at the provider first, at this address.
    Challenge {
        url: String,
    },
}

/// Money to pay back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refund {
    pub id: RefundId,
    pub amount: Money,
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
    /// The sum of what was paid back.
    pub refunded: Money,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChargeStatus {
    Authorized,
    Challenged {
        url: String,
    },
    Declined(PaymentError),
    /// Also while only a part is paid back.
    Captured,
    Voided,
    /// Everything is paid back.
    Refunded,
}
