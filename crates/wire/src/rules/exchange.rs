use crate::read::Object;
use crate::scalar::{self, At, Show};
use domain::money::Nano;
use domain::pricing::{ExchangeRate, RuleId};
use jiff::tz::TimeZone;
use serde::Serialize;
use std::fmt::{self, Display};

#[derive(Debug, Serialize)]
pub struct ExchangeRateBody<'a> {
    id: &'a str,
    from: &'static str,
    to: &'static str,
    /// A decimal number as text: no reader of JSON may round it.
    rate: Show<Decimal>,
    since: At,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
}

impl<'a> ExchangeRateBody<'a> {
    pub fn of(id: &'a RuleId, rate: &'a ExchangeRate) -> Self {
        Self {
            id: id.as_str(),
            from: rate.from.code(),
            to: rate.to.code(),
            rate: Show(Decimal(rate.rate)),
            since: At(rate.since),
            source: rate.source.as_ref().map(|s| s.as_str()),
        }
    }
}

const BILLION: u64 = 1_000_000_000;

/// 1,082,500,000 billionths are `1.0825`.
#[derive(Clone, Copy, Debug)]
struct Decimal(Nano);

impl Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0.0 / BILLION, self.0.0 % BILLION);
        match part {
            0 => write!(f, "{whole}"),
            _ => write!(f, "{whole}.{}", format!("{part:09}").trim_end_matches('0')),
        }
    }
}

impl Decimal {
    /// Digits, and up to nine more after a point; more than nothing.
    fn parse(text: &str) -> Option<Nano> {
        let digits = |text: &str, max: usize| (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        if !digits(whole, 11) || !digits(part, 9) {
            return None;
        }
        let (whole, part): (u64, u64) = (whole.parse().ok()?, format!("{part:0<9}").parse().ok()?);
        whole.checked_mul(BILLION)?.checked_add(part).filter(|nano| *nano > 0).map(Nano)
    }
}

pub(super) fn exchange_rate(o: &mut Object<'_, '_>, zone: &TimeZone) -> Option<ExchangeRate> {
    let from = o.required("from", scalar::currency);
    let to = o.required("to", scalar::currency);
    let rate = o.required("rate", |v| {
        v.parsed(Decimal::parse, "a positive decimal number as text, such as \"1.0825\", with at most nine decimals")
    });
    let since = o.required("since", |v| scalar::instant(v, zone));
    let source = o.optional("source", scalar::line);
    Some(ExchangeRate { from: from?, to: to?, rate: rate?, since: since?, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_exact() {
        for (text, nano) in [
            ("1.0825", Some(1_082_500_000)),
            ("1", Some(BILLION)),
            ("0.000000001", Some(1)),
            ("9999999999.999999999", Some(9_999_999_999_999_999_999)),
            ("110", Some(110 * BILLION)),
            ("0", None),
            ("0.0000000001", None),
            ("1.", None),
            (".5", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("1,5", None),
            ("18446744074", None),
            ("NaN", None),
            ("", None),
        ] {
            assert_eq!(Decimal::parse(text), nano.map(Nano), "{text}");
            if let Some(nano) = nano {
                assert_eq!(Decimal::parse(&Decimal(Nano(nano)).to_string()), Some(Nano(nano)), "{text}");
            }
        }
    }
}
