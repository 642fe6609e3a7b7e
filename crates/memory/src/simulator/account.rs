//! What the provider knows under one key, and what it does when it is asked. Pure: an account changes only
//! by [`Account::apply`], so a journal of changes is all there is to keep.

use super::journal::Line;
use super::{Challenge, Notice};
use app::ports::{Authorization, Authorize, Charge, ChargeStatus, Refund, Taken};
use domain::checkout::PaymentError;
use domain::ids::{AttemptId, CheckoutId, RefundId};
use domain::money::{Currency, Money};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;

/// Calls of `tok_flaky` that fail before one succeeds.
const FLAKES: u32 = 2;

#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    flakes: u32,
    /// Voided before anything was charged: nothing ever will be.
    closed: bool,
    opened: Option<Opened>,
    notices: u32,
}

#[derive(Clone, Debug)]
struct Opened {
    purchase: Purchase,
    /// The first answer, which a repeated authorization gets again.
    authorization: Authorization,
    charge: Charge,
    capturable: bool,
    refunds: BTreeMap<RefundId, Money>,
}

/// What is paid for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Purchase {
    #[serde(serialize_with = "write_amount")]
    amount: Money,
    /// None in lines of before there were notices.
    #[serde(serialize_with = "write_checkout", skip_serializing_if = "Option::is_none")]
    checkout: Option<CheckoutId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_url: Option<String>,
}

/// One change of an account: what a line of the journal says. It is read by [`Words`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(super) enum Change {
    Flaked,
    Closed,
    Authorized {
        #[serde(flatten)]
        purchase: Purchase,
        capturable: bool,
    },
    Challenged {
        #[serde(flatten)]
        purchase: Purchase,
        url: String,
    },
    Declined {
        #[serde(flatten)]
        purchase: Purchase,
        code: String,
        detail: String,
    },
    ChallengePassed,
    ChallengeFailed,
    Captured,
    Voided,
    Refunded {
        /// None in lines of before there were partial refunds: all of it.
        #[serde(serialize_with = "write_refund", skip_serializing_if = "Option::is_none")]
        refund: Option<Refund>,
    },
    /// The shop has heard this notice of the account.
    Told {
        number: u32,
    },
}

impl Change {
    /// The name of the notice that tells the shop of it.
    fn told_as(&self) -> Option<&'static str> {
        match self {
            Self::Flaked | Self::Closed | Self::Told { .. } => None,
            Self::Authorized { .. } | Self::ChallengePassed => Some("payment.authorized"),
            Self::Challenged { .. } => Some("payment.challenge_required"),
            Self::Declined { .. } | Self::ChallengeFailed => Some("payment.declined"),
            Self::Captured => Some("payment.captured"),
            Self::Voided => Some("payment.voided"),
            Self::Refunded { .. } => Some("payment.refunded"),
        }
    }
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

    /// The first answer again, or what the token does. None when the key already stands for another amount.
    pub fn authorize(&self, request: &Authorize, challenge_url: impl FnOnce() -> String) -> (Option<Change>, Option<Delivery>) {
        let token = request.token.as_str();
        if self.closed {
            let error = error("voided", "The payment was voided before it was authorized.");
            return (None, Some(Delivery::Now(Authorization::Declined(error))));
        }
        match &self.opened {
            Some(opened) if opened.purchase.amount != request.amount => (None, None),
            Some(_) if token == "tok_timeout_after" => (None, Some(Delivery::Never)),
            Some(opened) => (None, Some(Delivery::Now(opened.authorization.clone()))),
            None => {
                let (change, delivery) = self.script(request, challenge_url);
                (change, Some(delivery))
            }
        }
    }

    /// What a token does the first time it is charged under a key.
    fn script(&self, request: &Authorize, challenge_url: impl FnOnce() -> String) -> (Option<Change>, Delivery) {
        let Authorize { token, amount, checkout, return_url, .. } = request;
        let purchase = Purchase { amount: *amount, checkout: Some(*checkout), return_url: return_url.clone() };
        let approved = |purchase, capturable, delivery| (Some(Change::Authorized { purchase, capturable }), delivery);
        let now = || Delivery::Now(Authorization::Approved);
        match token.as_str() {
            "tok_visa" | "tok_mastercard" => approved(purchase, true, now()),
            "tok_capture_fails" => approved(purchase, false, now()),
            "tok_slow" => approved(purchase, true, Delivery::Slowly(Authorization::Approved)),
            "tok_timeout_after" => approved(purchase, true, Delivery::Never),
            "tok_timeout_before" => (None, Delivery::Never),
            "tok_flaky" if self.flakes < FLAKES => (Some(Change::Flaked), Delivery::Fails),
            "tok_flaky" => approved(purchase, true, now()),
            "tok_requires_action" => {
                let url = challenge_url();
                let answer = Delivery::Now(Authorization::Challenge { url: url.clone() });
                (Some(Change::Challenged { purchase, url }), answer)
            }
            "tok_declined" => declined(purchase, error("card_declined", "The card was declined.")),
            "tok_insufficient_funds" => declined(purchase, error("insufficient_funds", "The card has insufficient funds.")),
            "tok_expired_card" => declined(purchase, error("expired_card", "The card has expired.")),
            _ => declined(purchase, error("invalid_token", "No such payment token.")),
        }
    }

    pub fn capture(&self) -> (Option<Change>, Taken) {
        match self.status() {
            Some(ChargeStatus::Authorized) if self.opened.as_ref().is_some_and(|o| o.capturable) => (Some(Change::Captured), Taken::Done),
            Some(ChargeStatus::Authorized) => refused("capture_failed", "The bank refused the capture."),
            Some(ChargeStatus::Captured | ChargeStatus::Refunded) => (None, Taken::Done),
            Some(ChargeStatus::Voided) => refused("voided", "The authorization was voided."),
            Some(ChargeStatus::Challenged { .. } | ChargeStatus::Declined(_)) | None => {
                refused("not_authorized", "There is no authorization to capture.")
            }
        }
    }

    pub fn void(&self) -> (Option<Change>, Taken) {
        match self.status() {
            Some(ChargeStatus::Authorized | ChargeStatus::Challenged { .. }) => (Some(Change::Voided), Taken::Done),
            Some(ChargeStatus::Captured | ChargeStatus::Refunded) => refused("captured", "The charge was captured: it can be refunded."),
            Some(ChargeStatus::Voided | ChargeStatus::Declined(_)) => (None, Taken::Done),
            None => ((!self.closed).then_some(Change::Closed), Taken::Done),
        }
    }

    pub fn refund(&self, refund: &Refund) -> (Option<Change>, Taken) {
        let captured = self.opened.as_ref().filter(|o| matches!(o.charge.status, ChargeStatus::Captured | ChargeStatus::Refunded));
        let Some(Opened { charge, refunds, .. }) = captured else { return refused("not_captured", "Nothing was captured.") };
        if refunds.contains_key(&refund.id) {
            return (None, Taken::Done);
        }
        let fits = charge.refunded.plus(refund.amount).and_then(|sum| charge.amount.minus(sum)).is_ok_and(|left| left.minor() >= 0);
        match refund.amount.minor() > 0 && fits {
            true => (Some(Change::Refunded { refund: Some(*refund) }), Taken::Done),
            false => refused("refund_exceeds_capture", "More would be paid back than was captured."),
        }
    }

    /// The challenge of this account, answered or not.
    pub fn challenge(&self) -> Option<Challenge> {
        let opened = self.opened.as_ref().filter(|o| matches!(o.authorization, Authorization::Challenge { .. }))?;
        let Purchase { checkout, return_url, .. } = opened.purchase.clone();
        Some(Challenge { charge: opened.charge.clone(), checkout, return_url })
    }

    /// Only an open challenge can be passed or failed.
    pub fn answer_challenge(&self, passed: bool) -> Option<Change> {
        let open = matches!(self.status(), Some(ChargeStatus::Challenged { .. }));
        open.then_some(if passed { Change::ChallengePassed } else { Change::ChallengeFailed })
    }

    /// Makes the change; the notice of it when it is one to be told, with its instant.
    pub fn apply(&mut self, key: AttemptId, change: &Change, at: Option<Timestamp>) -> Option<Notice> {
        self.change(key, change);
        let (opened, kind, at) = (self.opened.as_ref()?, change.told_as()?, at?);
        let checkout = opened.purchase.checkout?;
        self.notices += 1;
        Some(Notice { key, number: self.notices, kind, at, checkout, charge: opened.charge.clone() })
    }

    fn change(&mut self, key: AttemptId, change: &Change) {
        match change {
            Change::Flaked => self.flakes += 1,
            Change::Closed => self.closed = true,
            Change::Authorized { purchase, capturable } => {
                self.open(purchase, Authorization::Approved, ChargeStatus::Authorized, *capturable);
            }
            Change::Challenged { purchase, url } => {
                let [answer, status] = [url, url].map(String::clone);
                self.open(purchase, Authorization::Challenge { url: answer }, ChargeStatus::Challenged { url: status }, true);
            }
            Change::Declined { purchase, code, detail } => {
                let error = error(code, detail);
                self.open(purchase, Authorization::Declined(error.clone()), ChargeStatus::Declined(error), false);
            }
            Change::ChallengePassed => self.becomes(ChargeStatus::Authorized),
            Change::ChallengeFailed => {
                self.becomes(ChargeStatus::Declined(error("challenge_failed", "The customer did not pass the challenge.")));
            }
            Change::Captured => self.becomes(ChargeStatus::Captured),
            Change::Voided => self.becomes(ChargeStatus::Voided),
            Change::Refunded { refund } => self.pay_back(key, *refund),
            Change::Told { .. } => {}
        }
    }

    fn open(&mut self, purchase: &Purchase, authorization: Authorization, status: ChargeStatus, capturable: bool) {
        let Purchase { amount, .. } = *purchase;
        let charge = Charge { amount, status, refunded: Money::zero(amount.currency()) };
        self.opened = Some(Opened { purchase: purchase.clone(), authorization, charge, capturable, refunds: BTreeMap::new() });
    }

    fn becomes(&mut self, status: ChargeStatus) {
        if let Some(opened) = &mut self.opened {
            opened.charge.status = status;
        }
    }

    fn pay_back(&mut self, key: AttemptId, refund: Option<Refund>) {
        let Some(Opened { charge, refunds, .. }) = &mut self.opened else { return };
        let Refund { id, amount } = refund.unwrap_or(Refund { id: RefundId(key.0), amount: charge.amount });
        refunds.insert(id, amount);
        charge.refunded = charge.refunded.plus(amount).unwrap_or(charge.amount);
        if charge.refunded == charge.amount {
            charge.status = ChargeStatus::Refunded;
        }
    }
}

fn error(code: &str, detail: &str) -> PaymentError {
    PaymentError { code: code.to_owned(), detail: detail.to_owned() }
}

fn declined(purchase: Purchase, error: PaymentError) -> (Option<Change>, Delivery) {
    let change = Change::Declined { purchase, code: error.code.clone(), detail: error.detail.clone() };
    (Some(change), Delivery::Now(Authorization::Declined(error)))
}

fn refused(code: &str, detail: &str) -> (Option<Change>, Taken) {
    (None, Taken::Refused(error(code, detail)))
}

/// A line of the journal as it is read: all that any change may say, side by side. Tags and nested parts would be
/// read several times over, and the whole journal is read at each start.
#[derive(Deserialize)]
pub(super) struct Words<'a> {
    key: &'a str,
    at: Option<i64>,
    change: &'a str,
    #[serde(borrow)]
    amount: Option<Amount<'a>>,
    checkout: Option<&'a str>,
    return_url: Option<String>,
    capturable: Option<bool>,
    url: Option<String>,
    code: Option<String>,
    detail: Option<String>,
    refund: Option<(&'a str, Amount<'a>)>,
    number: Option<u32>,
}

/// `[1299, "USD"]`.
type Amount<'a> = (i64, &'a str);

impl Words<'_> {
    /// What the line says; none when that makes no sense.
    pub fn line(self) -> Option<Line> {
        Some(Line { key: AttemptId::parse(self.key)?, at: self.at, change: self.change()? })
    }

    fn change(self) -> Option<Change> {
        Some(match self.change {
            "flaked" => Change::Flaked,
            "closed" => Change::Closed,
            "authorized" => Change::Authorized { purchase: self.purchase()?, capturable: self.capturable? },
            "challenged" => Change::Challenged { purchase: self.purchase()?, url: self.url.unwrap_or_default() },
            "declined" => Change::Declined { purchase: self.purchase()?, code: self.code?, detail: self.detail? },
            "challenge_passed" => Change::ChallengePassed,
            "challenge_failed" => Change::ChallengeFailed,
            "captured" => Change::Captured,
            "voided" => Change::Voided,
            "refunded" => Change::Refunded { refund: optional(self.refund, refund)? },
            "told" => Change::Told { number: self.number? },
            _ => return None,
        })
    }

    fn purchase(&self) -> Option<Purchase> {
        let checkout = optional(self.checkout, CheckoutId::parse)?;
        Some(Purchase { amount: money(self.amount?)?, checkout, return_url: self.return_url.clone() })
    }
}

/// What is not there is fine, what cannot be read is not.
fn optional<T, U>(value: Option<T>, read: impl FnOnce(T) -> Option<U>) -> Option<Option<U>> {
    match value {
        Some(value) => read(value).map(Some),
        None => Some(None),
    }
}

fn money((minor, code): Amount<'_>) -> Option<Money> {
    Money::new(minor, Currency::parse(code)?).ok()
}

fn refund((id, amount): (&str, Amount<'_>)) -> Option<Refund> {
    Some(Refund { id: RefundId::parse(id)?, amount: money(amount)? })
}

fn write_amount<S: Serializer>(amount: &Money, to: S) -> Result<S::Ok, S::Error> {
    (amount.minor(), amount.currency().code()).serialize(to)
}

/// `"chk_…"`.
fn write_checkout<S: Serializer>(checkout: &Option<CheckoutId>, to: S) -> Result<S::Ok, S::Error> {
    checkout.map(|id| id.to_string()).serialize(to)
}

/// `["rfd_…", [1299, "USD"]]`.
fn write_refund<S: Serializer>(refund: &Option<Refund>, to: S) -> Result<S::Ok, S::Error> {
    refund.map(|r| (r.id.to_string(), (r.amount.minor(), r.amount.currency().code()))).serialize(to)
}
