//! What the provider holds under each attempt's key: the rules of the payment port, one amount per key.

use crate::ports::{Charge, ChargeStatus};
use domain::checkout::PaymentError;
use domain::money::Money;

/// The account of one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    #[default]
    Unknown,
    /// Voided before it was charged: an authorization that arrives later is declined.
    Closed,
    Authorized,
    Challenged,
    Declined,
    Captured,
    Voided,
    Refunded,
}

/// What is asked of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    Authorize,
    /// What became of an authorization.
    Find,
    Capture,
    Void,
    /// What is left where a void was refused.
    FindLeft,
    Refund,
}

/// How the bank or the customer decides where the provider leaves it to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bank {
    Agrees,
    Refuses,
    WantsChallenge,
}

/// A provider's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    Approved,
    Declined,
    Challenge,
    Done,
    Refused,
    /// To a question: the account as it is.
    Is(Account),
}

impl Account {
    /// The account after a request, and its answer.
    pub fn after(self, request: Request, bank: Bank) -> (Self, Answer) {
        use Account::*;
        match (request, self) {
            (Request::Authorize, Unknown) => match bank {
                Bank::Agrees => (Authorized, Answer::Approved),
                Bank::Refuses => (Declined, Answer::Declined),
                Bank::WantsChallenge => (Challenged, Answer::Challenge),
            },
            (Request::Authorize, Closed | Declined) => (self, Answer::Declined),
            (Request::Authorize, Challenged) => (self, Answer::Challenge),
            // The first answer again, whatever has become of the money since.
            (Request::Authorize, Authorized | Captured | Voided | Refunded) => (self, Answer::Approved),
            (Request::Find | Request::FindLeft, _) => (self, Answer::Is(self)),
            (Request::Capture, Authorized) if bank == Bank::Agrees => (Captured, Answer::Done),
            (Request::Capture, Captured | Refunded) => (self, Answer::Done),
            (Request::Capture, Unknown | Closed | Authorized | Challenged | Declined | Voided) => (self, Answer::Refused),
            (Request::Void, Authorized | Challenged) => (Voided, Answer::Done),
            (Request::Void, Captured | Refunded) => (self, Answer::Refused),
            (Request::Void, Unknown) => (Closed, Answer::Done),
            (Request::Void, Closed | Declined | Voided) => (self, Answer::Done),
            (Request::Refund, Captured) => (Refunded, Answer::Done),
            (Request::Refund, Refunded) => (self, Answer::Done),
            (Request::Refund, Unknown | Closed | Authorized | Challenged | Declined | Voided) => (self, Answer::Refused),
        }
    }

    /// What there is to decide for the bank.
    pub fn choices(self, request: Request) -> &'static [Bank] {
        match (request, self) {
            (Request::Authorize, Self::Unknown) => &[Bank::Agrees, Bank::Refuses, Bank::WantsChallenge],
            (Request::Capture, Self::Authorized) => &[Bank::Agrees, Bank::Refuses],
            _ => &[Bank::Agrees],
        }
    }

    /// Whether nothing is held, and nothing ever will be.
    pub fn is_dead(self) -> bool {
        matches!(self, Self::Closed | Self::Declined | Self::Voided | Self::Refunded)
    }

    pub fn charge(self, amount: Money) -> Option<Charge> {
        let zero = Money::zero(amount.currency());
        let (status, refunded) = match self {
            Self::Unknown | Self::Closed => return None,
            Self::Authorized => (ChargeStatus::Authorized, zero),
            Self::Challenged => (ChargeStatus::Challenged { url: String::new() }, zero),
            Self::Declined => (ChargeStatus::Declined(error()), zero),
            Self::Captured => (ChargeStatus::Captured, zero),
            Self::Voided => (ChargeStatus::Voided, zero),
            Self::Refunded => (ChargeStatus::Refunded, amount),
        };
        Some(Charge { amount, status, refunded })
    }
}

pub fn error() -> PaymentError {
    PaymentError { code: String::new(), detail: String::new() }
}
