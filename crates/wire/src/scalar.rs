//! Small things in both directions: money, instants, ids.

use crate::limits::COUNT_MAX;
use crate::read::Value;
use domain::ids::{BookId, CouponCode, CustomerId, EditionId, ItemId, Version};
use domain::limits::{COUPON_CODES_MAX, CUSTOMER_ID_MAX, QUANTITY_MAX};
use domain::money::{Currency, Money, Ppm};
use domain::quantity::Quantity;
use domain::text::Text;
use domain::time::Timestamp;
use jiff::tz::TimeZone;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::fmt::Display;
use std::io::Write;

/// Anything that prints, as a JSON string.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Show<T>(pub T);

impl<T: Display> Serialize for Show<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        in_one_piece(&self.0, serializer)
    }
}

/// Prints to a place on the stack first, so that the writer looks for what to escape once and not for every
/// piece. What is too long for it goes the long way.
fn in_one_piece<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    let mut place = [0; 64];
    let mut rest = &mut place[..];
    match write!(rest, "{value}") {
        Ok(()) => {
            let left = rest.len();
            let text = std::str::from_utf8(&place[..place.len() - left]).expect("invariant: what prints is text");
            serializer.serialize_str(text)
        }
        Err(_) => serializer.collect_str(value),
    }
}

/// What clients see and logs do not: personal data, tokens.
#[derive(Clone, Copy)]
pub(crate) struct Private<T>(pub T);

impl<T> std::fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl<T: Serialize> Serialize for Private<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// An instant as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At(pub Timestamp);

impl Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = if self.0.micros() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        jiff::Timestamp::from_microsecond(self.0.micros()).unwrap_or(end).fmt(f)
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        in_one_piece(self, serializer)
    }
}

impl At {
    /// An RFC 3339 instant with any offset.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let fits = text.len() <= 40 && text.as_bytes().get(10).is_some_and(|c| matches!(c, b'T' | b't'));
        fits.then(|| text.parse::<jiff::Timestamp>().ok().map(|t| Timestamp(t.as_microsecond()))).flatten()
    }
}

/// An RFC 3339 instant, or a date and time without an offset by the clock of `zone`. A time that a clock skips counts as
/// the same span after the gap, one that it shows twice as the first.
pub(crate) fn instant(value: Value<'_, '_>, zone: &TimeZone) -> Option<Timestamp> {
    let local = |text: &str| {
        let fits = text.len() <= 40 && text.as_bytes().get(10).is_some_and(|c| matches!(c, b'T' | b't'));
        let at = text.parse::<jiff::civil::DateTime>().ok().filter(|_| fits && !text.contains('['))?;
        zone.to_timestamp(at).ok().map(|t| Timestamp(t.as_microsecond()))
    };
    value.parsed(|text| At::parse(text).or_else(|| local(text)), "an RFC 3339 time, or one without an offset by the shop's clock")
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MoneyBody(pub Money);

impl Serialize for MoneyBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut money = serializer.serialize_struct("Money", 2)?;
        money.serialize_field("amount", &self.0.minor())?;
        money.serialize_field("currency", self.0.currency().code())?;
        money.end()
    }
}

/// Money that is not negative.
pub(crate) fn price(value: Value<'_, '_>) -> Option<Money> {
    value.object(|o| {
        let amount = o.required("amount", |v| match v.int()? {
            n if n >= 0 => Some(n),
            _ => v.wrong("INVALID", "Must not be negative."),
        });
        let currency = o.required("currency", currency);
        let (amount, currency) = (amount?, currency?);
        Money::new(amount, currency).ok().or_else(|| o.wrong("amount", "INVALID", "Is too large."))
    })
}

pub(crate) fn currency(value: Value<'_, '_>) -> Option<Currency> {
    value.parsed(Currency::parse, "an ISO 4217 currency code such as USD")
}

pub(crate) fn line<const MAX: usize>(value: Value<'_, '_>) -> Option<Text<MAX>> {
    value.parsed(Text::parse, &format!("1 to {MAX} characters without control characters"))
}

pub(crate) fn block<const MAX: usize>(value: Value<'_, '_>) -> Option<Text<MAX>> {
    value.parsed(Text::parse_block, &format!("1 to {MAX} characters without control characters"))
}

/// Where a browser can be sent.
pub(crate) fn web_address<const MAX: usize>(value: Value<'_, '_>) -> Option<Text<MAX>> {
    let is_web = |text: &str| text.starts_with("https://") || text.starts_with("http://");
    let parse = |text: &str| Text::parse(text).filter(|_| is_web(text) && !text.contains(char::is_whitespace));
    value.parsed(parse, &format!("an https or http address of at most {MAX} characters"))
}

/// An integer between `least` and `most`.
pub(crate) fn within(value: Value<'_, '_>, least: u32, most: u32) -> Option<u32> {
    let n = u32::try_from(value.int()?).ok().filter(|n| (least..=most).contains(n));
    n.or_else(|| value.wrong("INVALID", format!("Must be between {least} and {most}.")))
}

/// A count of something there is at least one of.
pub(crate) fn count(value: Value<'_, '_>) -> Option<u32> {
    within(value, 1, COUNT_MAX)
}

pub(crate) fn ppm(value: Value<'_, '_>) -> Option<Ppm> {
    within(value, 0, Ppm::ONE.0).map(Ppm)
}

const QUANTITY: &str = "QUANTITY_INVALID";

pub(crate) fn quantity(value: Value<'_, '_>) -> Option<Quantity> {
    let n = value.int()?;
    Quantity::new(n).ok().or_else(|| value.wrong(QUANTITY, format!("Must be between 1 and {QUANTITY_MAX}.")))
}

/// 0 removes: `Some(None)`.
pub(crate) fn quantity_or_zero(value: Value<'_, '_>) -> Option<Option<Quantity>> {
    match value.int()? {
        0 => Some(None),
        n => Quantity::new(n).ok().map(Some).or_else(|| value.wrong(QUANTITY, format!("Must be between 0 and {QUANTITY_MAX}."))),
    }
}

/// Ids are opaque: one that was never given out is one that is not there.
pub(crate) fn id<T>(value: Value<'_, '_>, parse: fn(&str) -> Option<T>, missing: &'static str) -> Option<T> {
    let text = value.text()?;
    parse(text).or_else(|| value.wrong(missing, "There is no such thing."))
}

pub(crate) fn book_id(value: Value<'_, '_>) -> Option<BookId> {
    id(value, BookId::parse, "PRODUCT_NOT_FOUND")
}

pub(crate) fn edition_id(value: Value<'_, '_>) -> Option<EditionId> {
    id(value, EditionId::parse, "PRODUCT_NOT_FOUND")
}

pub(crate) fn item_id(value: Value<'_, '_>) -> Option<ItemId> {
    id(value, ItemId::parse, "ITEM_NOT_FOUND")
}

pub(crate) fn customer_id(value: Value<'_, '_>) -> Option<CustomerId> {
    value.parsed(CustomerId::parse, &format!("1 to {CUSTOMER_ID_MAX} visible ASCII characters"))
}

pub(crate) fn version(value: Value<'_, '_>) -> Option<Version> {
    let n = u64::try_from(value.int()?).ok().map(Version);
    n.or_else(|| value.wrong("INVALID", "Must not be negative."))
}

/// Codes are compared in upper case.
pub(crate) fn coupon_codes(value: Value<'_, '_>) -> Option<Vec<CouponCode>> {
    value.list(COUPON_CODES_MAX, "COUPONS_TOO_MANY", coupon_code)
}

pub(crate) fn coupon_code(value: Value<'_, '_>) -> Option<CouponCode> {
    value.parsed(|text| CouponCode::parse(&text.trim().to_uppercase()), "1 to 64 letters, digits, dashes or underscores")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_sent_to_the_web_alone() {
        for (text, sent) in [
            ("https://shop.example/return?a=b", true),
            ("http://localhost:3000/", true),
            ("javascript:alert(1)", false),
            ("//shop.example", false),
            ("https://shop.example/a b", false),
            ("", false),
        ] {
            let body = format!("{{\"url\":\"{text}\"}}");
            let json = crate::Json::parse(body.as_bytes()).expect("JSON");
            let read = crate::read(Some(json), |o| o.required("url", web_address::<100>));
            assert_eq!(read.is_ok(), sent, "{text}");
        }
    }

    #[test]
    fn instants_are_rfc_3339() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_700_000_000_123_456, "2023-11-14T22:13:20.123456Z"),
            (i64::MAX, "9999-12-30T22:00:00.999999999Z"),
        ] {
            assert_eq!(At(Timestamp(micros)).to_string(), text);
        }
        for (text, parsed) in [
            ("2023-11-14T22:13:20Z", true),
            ("2023-11-14T22:13:20.5+02:00", true),
            ("2023-11-14", false),
            ("2023-11-14 22:13:20Z", false),
            ("2023-11-14T22:13:20", false),
            ("", false),
        ] {
            assert_eq!(At::parse(text).is_some(), parsed, "{text}");
        }
    }
}
