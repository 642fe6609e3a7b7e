//! What the provider knows under one key, and what it does when it is asked. Pure: an account changes only
//! by [`Account::apply`], so a journal of changes is all there is to keep.

use app::ports::{Authorization, Authorize, Charge, ChargeStatus, Taken};
use domain::checkout::PaymentError;
use domain::money::{Currency, Money};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Calls of `tok_flaky` that fail before one succeeds.
const FLAKES: u32 = 2;

#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    flakes: u32,
    /// Voided before anything was charged: nothing ever will be.
    closed: bool,
    opened: Option<Opened>,
}

#[derive(Clone, Debug)]
struct Opened {
    /// The first answer, which a repeated authorization gets again.
    authorization: Authorization,
    charge: Charge,
    capturable: bool,
}

/// One change of an account: what a line of the journal says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(super) enum Change {
    Flaked,
    Closed,
    Authorized {
        #[serde(with = "amount")]
        amount: Money,
        capturable: bool,
    },
    Challenged {
        #[serde(with = "amount")]
        amount: Money,
    },
    Declined {
        #[serde(with = "amount")]
        amount: Money,
        code: String,
        detail: String,
    },
    Captured,
    Voided,
    Refunded,
}

/// How an authorization's answer reaches the caller, if it does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Delivery {
    Now(Authorization),
    Slowly(Authorization),
    Never,
    Fails,
}

impl Account {
    pub fn charge(&self) -> Option<Charge> {
        self.opened.as_ref().map(|o| o.charge.clone())
    }

    fn status(&self) -> Option<&ChargeStatus> {
        self.opened.as_ref().map(|o| &o.charge.status)
    }

    pub fn authorize(&self, request: &Authorize) -> (Option<Change>, Delivery) {
        let token = request.token.as_str();
        if self.closed {
            return (None, Delivery::Now(Authorization::Declined(error("voided", "The payment was voided before it was authorized."))));
        }
        match &self.opened {
            Some(_) if token == "tok_timeout_after" => (None, Delivery::Never),
            Some(opened) => (None, Delivery::Now(opened.authorization.clone())),
            None => self.script(token, request.amount),
        }
    }

    /// What a token does the first time it is charged under a key.
    fn script(&self, token: &str, amount: Money) -> (Option<Change>, Delivery) {
        let approved = |capturable, delivery| (Some(Change::Authorized { amount, capturable }), delivery);
        let now = || Delivery::Now(Authorization::Approved);
        match token {
            "tok_visa" | "tok_mastercard" => approved(true, now()),
            "tok_capture_fails" => approved(false, now()),
            "tok_slow" => approved(true, Delivery::Slowly(Authorization::Approved)),
            "tok_timeout_after" => approved(true, Delivery::Never),
            "tok_timeout_before" => (None, Delivery::Never),
            "tok_flaky" if self.flakes < FLAKES => (Some(Change::Flaked), Delivery::Fails),
            "tok_flaky" => approved(true, now()),
            "tok_requires_action" => (Some(Change::Challenged { amount }), Delivery::Now(Authorization::Challenge)),
            "tok_declined" => declined(amount, error("card_declined", "The card was declined.")),
            "tok_insufficient_funds" => declined(amount, error("insufficient_funds", "The card has insufficient funds.")),
            "tok_expired_card" => declined(amount, error("expired_card", "The card has expired.")),
            _ => declined(amount, error("invalid_token", "No such payment token.")),
        }
    }

    pub fn capture(&self) -> (Option<Change>, Taken) {
        match self.status() {
            Some(ChargeStatus::Authorized) if self.opened.as_ref().is_some_and(|o| o.capturable) => (Some(Change::Captured), Taken::Done),
            Some(ChargeStatus::Authorized) => refused("capture_failed", "The bank refused the capture."),
            Some(ChargeStatus::Captured | ChargeStatus::Refunded) => (None, Taken::Done),
            Some(ChargeStatus::Voided) => refused("voided", "The authorization was voided."),
            Some(ChargeStatus::Challenged | ChargeStatus::Declined(_)) | None => {
                refused("not_authorized", "There is no authorization to capture.")
            }
        }
    }

    pub fn void(&self) -> (Option<Change>, Taken) {
        match self.status() {
            Some(ChargeStatus::Authorized | ChargeStatus::Challenged) => (Some(Change::Voided), Taken::Done),
            Some(ChargeStatus::Captured | ChargeStatus::Refunded) => refused("captured", "The charge was captured: it can be refunded."),
            Some(ChargeStatus::Voided | ChargeStatus::Declined(_)) => (None, Taken::Done),
            None => ((!self.closed).then_some(Change::Closed), Taken::Done),
        }
    }

    pub fn refund(&self) -> (Option<Change>, Taken) {
        match self.status() {
            Some(ChargeStatus::Captured) => (Some(Change::Refunded), Taken::Done),
            Some(ChargeStatus::Refunded) => (None, Taken::Done),
            Some(ChargeStatus::Authorized | ChargeStatus::Challenged | ChargeStatus::Voided | ChargeStatus::Declined(_)) | None => {
                refused("not_captured", "Nothing was captured.")
            }
        }
    }

    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Flaked => self.flakes += 1,
            Change::Closed => self.closed = true,
            Change::Authorized { amount, capturable } => {
                self.open(Authorization::Approved, *amount, ChargeStatus::Authorized, *capturable);
            }
            Change::Challenged { amount } => self.open(Authorization::Challenge, *amount, ChargeStatus::Challenged, false),
            Change::Declined { amount, code, detail } => {
                let error = error(code, detail);
                self.open(Authorization::Declined(error.clone()), *amount, ChargeStatus::Declined(error), false);
            }
            Change::Captured => self.becomes(ChargeStatus::Captured),
            Change::Voided => self.becomes(ChargeStatus::Voided),
            Change::Refunded => self.becomes(ChargeStatus::Refunded),
        }
    }

    fn open(&mut self, authorization: Authorization, amount: Money, status: ChargeStatus, capturable: bool) {
        self.opened = Some(Opened { authorization, charge: Charge { amount, status }, capturable });
    }

    fn becomes(&mut self, status: ChargeStatus) {
        if let Some(opened) = &mut self.opened {
            opened.charge.status = status;
        }
    }
}

fn error(code: &str, detail: &str) -> PaymentError {
    PaymentError { code: code.to_owned(), detail: detail.to_owned() }
}

fn declined(amount: Money, error: PaymentError) -> (Option<Change>, Delivery) {
    let change = Change::Declined { amount, code: error.code.clone(), detail: error.detail.clone() };
    (Some(change), Delivery::Now(Authorization::Declined(error)))
}

fn refused(code: &str, detail: &str) -> (Option<Change>, Taken) {
    (None, Taken::Refused(error(code, detail)))
}

/// `[1299, "USD"]`.
mod amount {
    use super::*;
    use serde::de::Error;

    pub fn serialize<S: Serializer>(amount: &Money, to: S) -> Result<S::Ok, S::Error> {
        (amount.minor(), amount.currency().code()).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Money, D::Error> {
        let (minor, code) = <(i64, String)>::deserialize(from)?;
        let currency = Currency::parse(&code).ok_or_else(|| D::Error::custom("not a currency"))?;
        Money::new(minor, currency).map_err(D::Error::custom)
    }
}
