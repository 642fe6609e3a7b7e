//! The JSON both sides speak, and nothing else. Every shape is strict: a member that is not known here is an error.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /v1/charges` | `{token, amount, reference, checkout, returnUrl?}` | `{authorization, error?, url?, charge}` |
//! | `POST /v1/charges/{key}/capture` | | `{taken, error?, charge}` |
//! | `POST /v1/charges/{key}/void` | | `{taken, error?, charge}` |
//! | `POST /v1/charges/{key}/refunds` | `{amount}` | `{taken, error?, charge}` |
//! | `GET /v1/charges/{key}` | | `{charge}` |
//!
//! Every `POST` has an `Idempotency-Key`: the charge's key `pay_…`, and for a refund its id `rfd_…`. Repeated, it has
//! no second effect and gets the first answer. All of these answers are a 200; a charge that is not there is
//! `"charge": null`, so that a 404 of something in between never says that nothing was charged. 409 says that the key
//! stands for another amount, 503 that the provider is down, 504 that it gave up; after any answer but a 200 nobody
//! knows what happened, and the same request may be sent again.
//!
//! `charge` is what there is after the call: `{id, amount, status, error?, url?, refunded}`. An `authorization` is the
//! first answer, `approved`, `declined` or `challenge`; what was `taken` is `done` or `refused`.

use crate::limits::{CODE_MAX, DETAIL_MAX};
use app::ports::{Authorization, Charge, ChargeStatus, Taken};
use domain::checkout::PaymentError;
use domain::ids::AttemptId;
use domain::limits::URL_MAX;
use domain::money::{Currency, Money};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Amount {
    amount: i64,
    currency: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct AuthorizeBody {
    pub token: String,
    pub amount: Amount,
    pub reference: String,
    pub checkout: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundBody {
    pub amount: Amount,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuthorizationBody {
    authorization: Answer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    charge: Option<ChargeBody>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Approved,
    Declined,
    Challenge,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakenBody {
    taken: Did,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
    charge: Option<ChargeBody>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Did {
    Done,
    Refused,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FoundBody {
    charge: Option<ChargeBody>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChargeBody {
    id: String,
    amount: Amount,
    status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    refunded: Amount,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Authorized,
    Challenged,
    Declined,
    Captured,
    Voided,
    Refunded,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorBody {
    code: String,
    detail: String,
}

/// An answer that cannot be believed, and why.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer cannot be believed: {0}")]
pub(crate) struct Unbelievable(pub &'static str);

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self { amount: money.minor(), currency: money.currency().code().to_owned() }
    }
}

impl Amount {
    pub fn read(&self) -> Option<Money> {
        Money::new(self.amount, Currency::parse(&self.currency)?).ok()
    }
}

impl From<&PaymentError> for ErrorBody {
    fn from(error: &PaymentError) -> Self {
        Self { code: error.code.clone(), detail: error.detail.clone() }
    }
}

impl ErrorBody {
    fn read(self) -> Result<PaymentError, Unbelievable> {
        let Self { code, detail } = self;
        let fits = (1..=CODE_MAX).contains(&code.len()) && detail.chars().count() <= DETAIL_MAX && !detail.chars().any(char::is_control);
        if fits { Ok(PaymentError { code, detail }) } else { Err(Unbelievable("an error without a code, or too long")) }
    }
}

/// What comes with one answer and with no other.
fn only<T>(there: Option<T>, wanted: bool) -> Result<Option<T>, Unbelievable> {
    if there.is_some() == wanted { Ok(there) } else { Err(Unbelievable("an error or an address is missing, or should not be there")) }
}

fn address(url: String) -> Result<String, Unbelievable> {
    let fits = url.len() <= URL_MAX && url.bytes().all(|b| b.is_ascii_graphic());
    let leads_there = url.starts_with("https://") || url.starts_with("http://");
    if fits && leads_there { Ok(url) } else { Err(Unbelievable("an address that leads nowhere")) }
}

impl ChargeBody {
    fn of(key: AttemptId, charge: &Charge) -> Self {
        let (status, error, url) = match &charge.status {
            ChargeStatus::Authorized => (Status::Authorized, None, None),
            ChargeStatus::Challenged { url } => (Status::Challenged, None, Some(url.clone())),
            ChargeStatus::Declined(error) => (Status::Declined, Some(error.into()), None),
            ChargeStatus::Captured => (Status::Captured, None, None),
            ChargeStatus::Voided => (Status::Voided, None, None),
            ChargeStatus::Refunded => (Status::Refunded, None, None),
        };
        Self { id: key.to_string(), amount: charge.amount.into(), status, error, url, refunded: charge.refunded.into() }
    }

    /// The charge of this key, if what is said of it goes together.
    fn read(self, key: AttemptId) -> Result<Charge, Unbelievable> {
        if AttemptId::parse(&self.id) != Some(key) {
            return Err(Unbelievable("the charge of another key"));
        }
        let amounts = self.amount.read().zip(self.refunded.read());
        let (amount, refunded) = amounts.filter(|(amount, _)| amount.minor() > 0).ok_or(Unbelievable("no amount"))?;
        let left = amount.minus(refunded).map_err(|_| Unbelievable("two currencies"))?;
        if refunded.minor() < 0 || left.minor() < 0 {
            return Err(Unbelievable("more was paid back than was charged"));
        }
        let error = only(self.error, matches!(self.status, Status::Declined))?.map(ErrorBody::read).transpose()?;
        let url = only(self.url, matches!(self.status, Status::Challenged))?.map(address).transpose()?;
        let status = match (self.status, error, url) {
            (Status::Authorized, ..) => ChargeStatus::Authorized,
            (Status::Challenged, _, url) => ChargeStatus::Challenged { url: url.unwrap_or_default() },
            (Status::Declined, error, _) => ChargeStatus::Declined(error.ok_or(Unbelievable("declined without a reason"))?),
            (Status::Captured, ..) if !left.is_zero() => ChargeStatus::Captured,
            (Status::Refunded, ..) if left.is_zero() => ChargeStatus::Refunded,
            (Status::Captured | Status::Refunded, ..) => return Err(Unbelievable("the status is not that of the amount paid back")),
            (Status::Voided, ..) => ChargeStatus::Voided,
        };
        let paid_back = matches!(status, ChargeStatus::Captured | ChargeStatus::Refunded);
        if !refunded.is_zero() && !paid_back {
            return Err(Unbelievable("paid back without having been captured"));
        }
        Ok(Charge { amount, status, refunded })
    }
}

fn read_charge(charge: Option<ChargeBody>, key: AttemptId) -> Result<Option<Charge>, Unbelievable> {
    charge.map(|charge| charge.read(key)).transpose()
}

impl FoundBody {
    pub fn of(key: AttemptId, charge: Option<&Charge>) -> Self {
        Self { charge: charge.map(|c| ChargeBody::of(key, c)) }
    }

    pub fn read(self, key: AttemptId) -> Result<Option<Charge>, Unbelievable> {
        read_charge(self.charge, key)
    }
}

impl AuthorizationBody {
    pub fn of(key: AttemptId, authorization: &Authorization, charge: Option<&Charge>) -> Self {
        let (authorization, error, url) = match authorization {
            Authorization::Approved => (Answer::Approved, None, None),
            Authorization::Declined(error) => (Answer::Declined, Some(error.into()), None),
            Authorization::Challenge { url } => (Answer::Challenge, None, Some(url.clone())),
        };
        Self { authorization, error, url, charge: charge.map(|c| ChargeBody::of(key, c)) }
    }

    /// What was answered, if the charge there is bears it out: of this key, this amount, and in a state that can follow.
    pub fn read(self, key: AttemptId, asked: Money) -> Result<Authorization, Unbelievable> {
        let charge = read_charge(self.charge, key)?;
        if charge.as_ref().is_some_and(|c| c.amount != asked) {
            return Err(Unbelievable("another amount than was asked for"));
        }
        let error = only(self.error, self.authorization == Answer::Declined)?.map(ErrorBody::read).transpose()?;
        let url = only(self.url, self.authorization == Answer::Challenge)?.map(address).transpose()?;
        let status = charge.map(|c| c.status);
        match (self.authorization, status, error, url) {
            (
                Answer::Approved,
                Some(ChargeStatus::Authorized | ChargeStatus::Captured | ChargeStatus::Voided | ChargeStatus::Refunded),
                ..,
            ) => Ok(Authorization::Approved),
            // A key that was closed has no charge.
            (Answer::Declined, None | Some(ChargeStatus::Declined(_)), Some(error), _) => Ok(Authorization::Declined(error)),
            (Answer::Challenge, Some(_), _, Some(url)) => Ok(Authorization::Challenge { url }),
            _ => Err(Unbelievable("the answer is not that of the charge")),
        }
    }
}

/// What a charge must be after a call was done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Capture,
    Void,
    Refund { at_least: Money },
}

impl Call {
    fn bears_out(self, charge: Option<&Charge>) -> bool {
        match (self, charge.map(|c| (&c.status, c.refunded))) {
            (Self::Capture, Some((ChargeStatus::Captured | ChargeStatus::Refunded, _))) => true,
            (Self::Void, None | Some((ChargeStatus::Voided | ChargeStatus::Declined(_), _))) => true,
            (Self::Refund { at_least }, Some((ChargeStatus::Captured | ChargeStatus::Refunded, refunded))) => {
                refunded.minus(at_least).is_ok_and(|more| more.minor() >= 0)
            }
            _ => false,
        }
    }
}

impl TakenBody {
    pub fn of(key: AttemptId, taken: &Taken, charge: Option<&Charge>) -> Self {
        let (taken, error) = match taken {
            Taken::Done => (Did::Done, None),
            Taken::Refused(error) => (Did::Refused, Some(error.into())),
        };
        Self { taken, error, charge: charge.map(|c| ChargeBody::of(key, c)) }
    }

    /// What was done, if the charge there is bears it out.
    pub fn read(self, key: AttemptId, call: Call) -> Result<Taken, Unbelievable> {
        let charge = read_charge(self.charge, key)?;
        let error = only(self.error, matches!(self.taken, Did::Refused))?.map(ErrorBody::read).transpose()?;
        match (self.taken, error) {
            (Did::Done, _) if call.bears_out(charge.as_ref()) => Ok(Taken::Done),
            (Did::Refused, Some(error)) => Ok(Taken::Refused(error)),
            _ => Err(Unbelievable("the answer is not that of the charge")),
        }
    }
}
