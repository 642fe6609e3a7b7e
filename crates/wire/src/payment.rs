//! What a payment provider tells the shop, in both directions: the built-in one writes what the shop reads.

use crate::read::Object;
use crate::scalar::{self, At, MoneyBody, Show};
use domain::ids::{AttemptId, CheckoutId};
use domain::money::Money;
use domain::time::Timestamp;
use serde::Serialize;

/// The body of a webhook: which charge changed, and what it is now. Only a hint: the shop asks what is true.
#[derive(Debug, Serialize)]
pub struct PaymentNoticeBody<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: At,
    data: ChangedBody<'a>,
}

#[derive(Debug, Serialize)]
struct ChangedBody<'a> {
    id: Show<AttemptId>,
    checkout: Show<CheckoutId>,
    status: &'a str,
    amount: MoneyBody,
    refunded: MoneyBody,
}

/// What happened at the provider.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaymentNotice<'a> {
    /// `payment.authorized`, `payment.captured`, …
    pub kind: &'a str,
    pub at: Timestamp,
    pub attempt: AttemptId,
    pub checkout: CheckoutId,
    /// `authorized`, `captured`, …
    pub status: &'a str,
    pub amount: Money,
    pub refunded: Money,
}

impl<'a> From<PaymentNotice<'a>> for PaymentNoticeBody<'a> {
    fn from(notice: PaymentNotice<'a>) -> Self {
        Self {
            kind: notice.kind,
            timestamp: At(notice.at),
            data: ChangedBody {
                id: Show(notice.attempt),
                checkout: Show(notice.checkout),
                status: notice.status,
                amount: MoneyBody(notice.amount),
                refunded: MoneyBody(notice.refunded),
            },
        }
    }
}

/// `POST /payments/webhook`: whom it is about, and when it happened. What it says of the charge is checked to be of
/// its form and not believed.
pub fn notice(o: &mut Object<'_, '_>) -> Option<(AttemptId, CheckoutId, Timestamp)> {
    let kind = o.required("type", |v| v.parsed(|text| text.starts_with("payment.").then_some(()), "payment.…"));
    let at = o.required("timestamp", |v| v.parsed(At::parse, "an RFC 3339 instant"));
    let data = o.required("data", |v| {
        v.object(|o| {
            let attempt = o.required("id", |v| v.parsed(AttemptId::parse, "the key of a charge"));
            let checkout = o.required("checkout", |v| v.parsed(CheckoutId::parse, "the id of a checkout"));
            let status = o.required("status", |v| v.text().map(drop));
            let amounts = [o.required("amount", scalar::price), o.required("refunded", scalar::price)];
            (status.is_some() && amounts.iter().all(Option::is_some)).then_some((attempt?, checkout?))
        })
    });
    kind?;
    data.zip(at).map(|((attempt, checkout), at)| (attempt, checkout, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Json, read};
    use domain::money::Currency;

    #[test]
    fn the_shop_reads_what_the_provider_writes() {
        let usd = |minor| Money::new(minor, Currency::parse("USD").expect("a currency")).expect("an amount");
        let written = PaymentNotice {
            kind: "payment.captured",
            at: Timestamp(1_750_000_000_123_456),
            attempt: AttemptId(7),
            checkout: CheckoutId(8),
            status: "captured",
            amount: usd(1299),
            refunded: usd(0),
        };
        let text = serde_json::to_string(&PaymentNoticeBody::from(written)).expect("JSON");
        let told = read(Some(Json::parse(text.as_bytes()).expect("JSON")), notice);
        assert_eq!(told, Ok((AttemptId(7), CheckoutId(8), written.at)));
        for (from, to) in
            [("payment.captured", "order.placed"), ("\"pay_", "\"chk_"), ("\"amount\":1299", "\"amount\":-1"), ("\"data\"", "\"date\"")]
        {
            let text = text.replace(from, to);
            assert!(read(Some(Json::parse(text.as_bytes()).expect("JSON")), notice).is_err(), "{text}");
        }
    }
}
