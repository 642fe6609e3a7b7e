//! Problems (RFC 9457): one table from what went wrong to what the client is told.

use crate::read::{FieldError, Invalid};
use crate::scalar::{MoneyBody, Show};
use app::Error;
use app::ports::{DidItHappen, PortError, PortErrorKind};
use domain::checkout::Kind;
use domain::ids::Version;
use domain::limits::{CART_ITEMS_MAX, CODE_PREFIX_MAX, CODES_MAX, COUPON_CODES_MAX, OPERATIONS_MAX, QUANTITY_MAX};
use domain::refusal::{Refusal, Short};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

/// What a client is told instead of what it asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub status: u16,
    /// Stable: clients decide by it.
    pub code: &'static str,
    /// For people.
    pub detail: String,
    pub errors: Vec<FieldError>,
    /// The facts of a refusal, as further members.
    pub facts: Vec<(&'static str, Value)>,
    /// Seconds after which asking again makes sense.
    pub retry_after: Option<u32>,
    /// The version there is, when another was expected.
    pub current: Option<Version>,
}

impl Problem {
    pub fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), facts: Vec::new(), retry_after: None, current: None }
    }

    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    #[must_use]
    fn fact(mut self, name: &'static str, value: impl Serialize) -> Self {
        self.facts.push((name, serde_json::to_value(value).unwrap_or_default()));
        self
    }

    /// The reason phrase of the status, as RFC 9457 asks for where the type is `about:blank`.
    pub fn title(&self) -> &'static str {
        match self.status {
            400 => "Bad Request",
            401 => "Unauthorized",
            402 => "Payment Required",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            409 => "Conflict",
            410 => "Gone",
            412 => "Precondition Failed",
            413 => "Content Too Large",
            414 => "URI Too Long",
            415 => "Unsupported Media Type",
            422 => "Unprocessable Content",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            507 => "Insufficient Storage",
            _ if self.status < 500 => "Request Refused",
            _ => "Internal Server Error",
        }
    }

    /// The body, for the request it answers.
    pub fn at<'a>(&'a self, instance: &'a str, trace_id: &'a str) -> ProblemBody<'a> {
        ProblemBody { problem: self, instance, trace_id }
    }
}

#[derive(Debug)]
pub struct ProblemBody<'a> {
    problem: &'a Problem,
    instance: &'a str,
    trace_id: &'a str,
}

impl Serialize for ProblemBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let problem = self.problem;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "about:blank")?;
        map.serialize_entry("title", problem.title())?;
        map.serialize_entry("status", &problem.status)?;
        map.serialize_entry("detail", &problem.detail)?;
        map.serialize_entry("instance", self.instance)?;
        map.serialize_entry("code", problem.code)?;
        map.serialize_entry("traceId", self.trace_id)?;
        if !problem.errors.is_empty() {
            map.serialize_entry("errors", &problem.errors)?;
        }
        for (name, value) in &problem.facts {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A request with one kind of error is about that error; any other mixture is a request that cannot be read.
impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let (status, code, detail) = match invalid.only_code() {
            Some(code @ "QUANTITY_INVALID") => (422, code, format!("A quantity must be between 1 and {QUANTITY_MAX}.")),
            Some(code @ "CART_FULL") => (422, code, format!("A cart holds at most {CART_ITEMS_MAX} items.")),
            Some(code @ "COUPONS_TOO_MANY") => (422, code, format!("At most {COUPON_CODES_MAX} coupon codes are allowed.")),
            Some(code @ "OPERATIONS_TOO_MANY") => (422, code, format!("At most {OPERATIONS_MAX} operations are allowed.")),
            Some(code @ ("PRODUCT_NOT_FOUND" | "ITEM_NOT_FOUND" | "CART_NOT_FOUND" | "CHECKOUT_NOT_FOUND")) => {
                (404, code, "There is no such thing.".to_owned())
            }
            _ => (400, "VALIDATION_FAILED", "The request is not valid; `errors` says why.".to_owned()),
        };
        Self { errors: invalid.errors, ..Self::new(status, code, detail) }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => (&refusal).into(),
            Error::Port(error) => (&error).into(),
        }
    }
}

/// What failed is in the log; the client hears what to do about it.
impl From<&PortError> for Problem {
    fn from(error: &PortError) -> Self {
        match (error.kind, error.did_it_happen) {
            (PortErrorKind::Full, _) => Self::new(507, "STORAGE_FULL", "There is no room left; nothing was changed."),
            (PortErrorKind::Corrupt, _) => Self::new(500, "INTERNAL", "Something is wrong here. It has been noted."),
            (PortErrorKind::Unavailable | PortErrorKind::Timeout, DidItHappen::Unknown) => {
                let detail = "It is not known whether this happened. Send it again with the same Idempotency-Key to find out.";
                Self::new(503, "OUTCOME_UNKNOWN", detail).retry_after(1)
            }
            (PortErrorKind::Unavailable | PortErrorKind::Timeout, DidItHappen::No) => {
                let code = match error.port {
                    "catalog" => "CATALOG_UNAVAILABLE",
                    "payments" => "PAYMENT_UNAVAILABLE",
                    _ => "STORE_UNAVAILABLE",
                };
                Self::new(503, code, "A part that is needed cannot answer now; nothing was changed.").retry_after(1)
            }
        }
    }
}

/// The state of a checkout in the words of the contract.
pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Open => "open",
        Kind::Authorizing | Kind::Capturing | Kind::Undoing => "processing",
        Kind::Challenged => "requires_action",
        Kind::Completed => "completed",
        Kind::Canceled => "canceled",
        Kind::Expired => "expired",
    }
}

/// `must ascend` as it is said: `Must ascend.`
fn sentence(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}

fn short(short: &Short) -> Value {
    let mut facts = json!({ "variantId": short.edition.to_string(), "wanted": short.wanted, "available": short.available });
    if let Some(sku) = &short.sku {
        facts["sku"] = sku.as_str().into();
    }
    facts
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let say = |status, detail: &str| Self::new(status, refusal.code(), detail);
        match refusal {
            Refusal::Unauthenticated => say(401, "A valid token is needed."),
            Refusal::Forbidden => say(403, "Your role does not allow this."),
            Refusal::CartNotFound => say(404, "There is no such cart."),
            Refusal::ItemNotFound => say(404, "There is no such item in the cart."),
            Refusal::ProductNotFound => say(404, "There is no such product."),
            Refusal::CheckoutNotFound => say(404, "There is no such checkout."),
            Refusal::OrderNotFound => say(404, "There is no such order."),
            Refusal::SessionNotFound => say(404, "There is no such session."),
            Refusal::AuthorNotFound => say(404, "There is no such author."),
            Refusal::CategoryNotFound => say(404, "There is no such category."),
            Refusal::PublisherNotFound => say(404, "There is no such publisher."),
            Refusal::VariantRequired => say(422, "The book has several editions; name one in `variantId`."),
            Refusal::OutOfStock { short: lines } => {
                say(409, "There are not enough copies left.").fact("short", lines.iter().map(short).collect::<Vec<_>>())
            }
            Refusal::QuantityInvalid { got } => {
                say(422, &format!("A quantity must be between 1 and {QUANTITY_MAX}.")).fact("quantity", got).fact("max", QUANTITY_MAX)
            }
            Refusal::CartFull => say(422, &format!("A cart holds at most {CART_ITEMS_MAX} items.")).fact("max", CART_ITEMS_MAX),
            Refusal::CouponsTooMany => {
                say(422, &format!("At most {COUPON_CODES_MAX} coupon codes are allowed.")).fact("max", COUPON_CODES_MAX)
            }
            Refusal::OperationsTooMany => {
                say(422, &format!("At most {OPERATIONS_MAX} operations are allowed.")).fact("max", OPERATIONS_MAX)
            }
            Refusal::CurrencyFixed => say(409, "The currency of a cart with items cannot change."),
            Refusal::CurrencyUnavailable => say(422, "Not sold in this currency."),
            Refusal::MergeSourceInvalid => say(422, "The token names no session whose cart could be merged."),
            Refusal::CartBusy => say(503, "Too many changes wait for this cart; try again shortly.").retry_after(1),
            Refusal::PriceChanged { expected, total } => {
                say(409, &format!("The total is {total} now, not {expected}; nothing was charged."))
                    .fact("expected", MoneyBody(*expected))
                    .fact("total", MoneyBody(*total))
            }
            Refusal::CouponExhausted { code } => {
                say(409, &format!("The coupon {code} has been used as often as it may be.")).fact("couponCode", code)
            }
            Refusal::CartChanged { total } => {
                say(409, &format!("The cart has changed since; the total is {total} now. Nothing was charged."))
                    .fact("total", MoneyBody(*total))
            }
            Refusal::CartEmpty => say(409, "The cart is empty."),
            Refusal::CheckoutExpired => say(410, "The checkout has expired; start a new one."),
            Refusal::CheckoutState { state } => {
                say(409, &format!("Not possible while the checkout is {}.", kind_name(*state))).fact("state", kind_name(*state))
            }
            Refusal::CheckoutIncomplete { missing } => say(409, "The checkout is not complete; `missing` names what is needed.")
                .fact("missing", missing.iter().map(|m| m.as_str()).collect::<Vec<_>>()),
            Refusal::ShippingUnavailable => say(422, "This way of shipping does not go there."),
            Refusal::TaxUnavailable => say(503, "The tax cannot be told now; nothing was charged. Try again shortly.").retry_after(1),
            Refusal::PaymentDeclined { reason } => say(402, "The payment was declined.").fact("reason", reason),
            Refusal::OrderTransitionInvalid { from, to } => {
                say(409, &format!("An order that is {} cannot become {}.", from.as_str(), to.as_str()))
                    .fact("from", from.as_str())
                    .fact("to", to.as_str())
            }
            Refusal::OrderPaymentPending => say(409, "Money is moving for this order right now; try again shortly.").retry_after(1),
            Refusal::AddressLocked { status } => say(409, &format!("The address of an order that is {} cannot change.", status.as_str()))
                .fact("orderStatus", status.as_str()),
            Refusal::RefundNotPossible { payment } => {
                say(409, &format!("Nothing can be paid back while the payment is {}.", payment.as_str()))
                    .fact("paymentStatus", payment.as_str())
            }
            Refusal::RefundAmountInvalid { left } => {
                say(422, &format!("An amount to pay back is positive and in {}.", left.currency().code())).fact("left", MoneyBody(*left))
            }
            Refusal::RefundTooLarge { asked, left } => say(409, &format!("That is {asked}, and {left} is left to pay back."))
                .fact("asked", MoneyBody(*asked))
                .fact("left", MoneyBody(*left)),
            Refusal::RefundItemsTooMany { short: lines } => {
                say(409, "More copies than were bought and not paid back yet.").fact("short", lines.iter().map(short).collect::<Vec<_>>())
            }
            Refusal::SkuTaken { sku } => say(409, &format!("The SKU {sku} belongs to another edition.")).fact("sku", Show(sku)),
            Refusal::NameTaken => say(409, "The name is taken."),
            Refusal::Referenced { count } => say(409, "Something still refers to it.").fact("count", count),
            Refusal::StockShort { available } => say(409, "The stock would fall below what is promised.").fact("available", available),
            Refusal::RuleNotFound => say(404, "There is no such rule."),
            Refusal::RuleExists => say(409, "There is a rule with this id already."),
            Refusal::RuleInvalid { fault } => {
                let message = sentence(&fault.fault.to_string());
                let error = FieldError { field: fault.field.to_owned(), code: fault.fault.code(), message };
                Self { errors: vec![error], ..say(422, "The rule makes no sense; `errors` says why.") }
            }
            Refusal::CodeTaken { code } => {
                say(409, &format!("The code {code} leads to a promotion already.")).fact("couponCode", Show(code))
            }
            Refusal::CodesNotUsed => say(422, "Codes are issued for a promotion that goes by codes."),
            Refusal::CodesInvalid => {
                say(422, &format!("Codes are issued 1 to {CODES_MAX} at a time, with a prefix of at most {CODE_PREFIX_MAX} characters."))
            }
            Refusal::VersionMismatch { current } => {
                let problem = say(412, "It has changed since; read it again.").fact("currentVersion", current.0);
                Self { current: Some(*current), ..problem }
            }
            Refusal::IdempotencyKeyReused => say(422, "This Idempotency-Key came with another request before."),
            Refusal::IdempotencyInFlight => say(409, "The first request with this Idempotency-Key is still running.").retry_after(1),
            Refusal::AmountTooLarge => say(422, "A sum would be too large."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::checkout::Missing;
    use domain::ids::{CouponCode, EditionId, Sku};
    use domain::money::{Currency, Money};
    use domain::order::{PaymentStatus, Status};
    use domain::pricing::Fault;

    /// One of each.
    fn refusals() -> Vec<(Refusal, u16)> {
        let total = Money::zero(Currency::parse("USD").expect("a currency"));
        let short = || Short { edition: EditionId(1), sku: None, wanted: 2, available: 1 };
        vec![
            (Refusal::Unauthenticated, 401),
            (Refusal::Forbidden, 403),
            (Refusal::CartNotFound, 404),
            (Refusal::ItemNotFound, 404),
            (Refusal::ProductNotFound, 404),
            (Refusal::CheckoutNotFound, 404),
            (Refusal::OrderNotFound, 404),
            (Refusal::SessionNotFound, 404),
            (Refusal::AuthorNotFound, 404),
            (Refusal::CategoryNotFound, 404),
            (Refusal::PublisherNotFound, 404),
            (Refusal::VariantRequired, 422),
            (Refusal::OutOfStock { short: vec![short()] }, 409),
            (Refusal::QuantityInvalid { got: 1000 }, 422),
            (Refusal::CartFull, 422),
            (Refusal::CouponsTooMany, 422),
            (Refusal::OperationsTooMany, 422),
            (Refusal::CurrencyFixed, 409),
            (Refusal::CurrencyUnavailable, 422),
            (Refusal::MergeSourceInvalid, 422),
            (Refusal::CartBusy, 503),
            (Refusal::PriceChanged { expected: total, total }, 409),
            (Refusal::CouponExhausted { code: "TEN".into() }, 409),
            (Refusal::CartChanged { total }, 409),
            (Refusal::CartEmpty, 409),
            (Refusal::CheckoutExpired, 410),
            (Refusal::CheckoutState { state: Kind::Capturing }, 409),
            (Refusal::CheckoutIncomplete { missing: vec![Missing::Email] }, 409),
            (Refusal::ShippingUnavailable, 422),
            (Refusal::TaxUnavailable, 503),
            (Refusal::PaymentDeclined { reason: "card_declined".into() }, 402),
            (Refusal::OrderTransitionInvalid { from: Status::Shipped, to: Status::Canceled }, 409),
            (Refusal::OrderPaymentPending, 409),
            (Refusal::AddressLocked { status: Status::Shipped }, 409),
            (Refusal::RefundNotPossible { payment: PaymentStatus::Authorized }, 409),
            (Refusal::RefundAmountInvalid { left: total }, 422),
            (Refusal::RefundTooLarge { asked: total, left: total }, 409),
            (Refusal::RefundItemsTooMany { short: vec![short()] }, 409),
            (Refusal::SkuTaken { sku: Sku::parse("A").expect("a sku") }, 409),
            (Refusal::NameTaken, 409),
            (Refusal::Referenced { count: 2 }, 409),
            (Refusal::StockShort { available: 1 }, 409),
            (Refusal::RuleNotFound, 404),
            (Refusal::RuleExists, 409),
            (Refusal::RuleInvalid { fault: Fault::Empty.of("tiers") }, 422),
            (Refusal::CodeTaken { code: CouponCode::parse("TEN").expect("a code") }, 409),
            (Refusal::CodesNotUsed, 422),
            (Refusal::CodesInvalid, 422),
            (Refusal::VersionMismatch { current: Version(7) }, 412),
            (Refusal::IdempotencyKeyReused, 422),
            (Refusal::IdempotencyInFlight, 409),
            (Refusal::AmountTooLarge, 422),
        ]
    }

    #[test]
    fn every_refusal_has_its_status_and_no_fact_hides_a_member() {
        for (refusal, status) in refusals() {
            let problem = Problem::from(&refusal);
            assert_eq!((problem.status, problem.code), (status, refusal.code()));
            let body = serde_json::to_string(&problem.at("/x", "0")).expect("JSON");
            let tree = crate::Json::parse(body.as_bytes());
            assert!(tree.is_ok(), "no member twice: {body}");
            assert!(problem.detail.ends_with('.') && problem.title() != "Request Refused", "{body}");
        }
    }

    #[test]
    fn a_failing_port_is_told_by_what_to_do_about_it() {
        use PortErrorKind::{Corrupt, Full, Timeout, Unavailable};
        for (port, kind, did_it_happen, status, code) in [
            ("carts", Unavailable, DidItHappen::No, 503, "STORE_UNAVAILABLE"),
            ("ledger", Timeout, DidItHappen::No, 503, "STORE_UNAVAILABLE"),
            ("catalog", Unavailable, DidItHappen::No, 503, "CATALOG_UNAVAILABLE"),
            ("payments", Timeout, DidItHappen::No, 503, "PAYMENT_UNAVAILABLE"),
            ("catalog", Unavailable, DidItHappen::Unknown, 503, "OUTCOME_UNKNOWN"),
            ("payments", Timeout, DidItHappen::Unknown, 503, "OUTCOME_UNKNOWN"),
            ("carts", Full, DidItHappen::No, 507, "STORAGE_FULL"),
            ("carts", Corrupt, DidItHappen::No, 500, "INTERNAL"),
            ("carts", Corrupt, DidItHappen::Unknown, 500, "INTERNAL"),
        ] {
            let problem = Problem::from(&PortError { port, kind, did_it_happen, source: "secret".into() });
            assert_eq!((problem.status, problem.code, problem.retry_after.is_some()), (status, code, status == 503), "{port} {kind:?}");
            assert!(!problem.detail.contains("secret"));
        }
    }
}
