use crate::cart::add_items;
use crate::checkout::address;
use crate::explain::{Audience, Explained};
use crate::read::{Object, Value};
use crate::rules;
use crate::scalar::{self, At, MoneyBody};
use crate::totals::QuoteBody;
use app::{ActiveCoupon, Calculate, Simulate, Simulated};
use domain::limits::RULE_PARTS_MAX;
use domain::money::{Money, MoneyError};
use domain::pricing::{Benefit, Destination, Off, Quote, Shopper, Who};
use domain::time::MonthDay;
use jiff::tz::TimeZone;
use serde::Serialize;

/// `POST /pricing/calculate`.
pub fn calculate(o: &mut Object<'_, '_>) -> Option<Calculate> {
    let items = o.required("items", |v| v.some().and_then(add_items));
    let coupons = o.optional("couponCodes", scalar::coupon_codes);
    let address = o.optional("shippingAddress", |v| v.object(address));
    let shipping = o.optional("shippingOptionId", crate::checkout::shipping_option);
    let currency = o.optional("currency", scalar::currency);
    let destination = address.as_ref().map(Destination::from);
    Some(Calculate { items: items?, coupons: coupons.unwrap_or_default(), destination, shipping, currency })
}

/// `POST /pricing/simulate`.
pub fn simulate(o: &mut Object<'_, '_>, zone: &TimeZone) -> Option<Simulate> {
    let ask = calculate(o);
    let drafts = o.optional("drafts", |v| v.list(RULE_PARTS_MAX, "TOO_MANY", |v| v.object(|o| rules::draft(o, zone))));
    let without = o.optional("without", |v| v.list(RULE_PARTS_MAX, "TOO_MANY", |v| v.object(rules::rule_key)));
    let shopper = o.optional("shopper", |v| v.object(shopper));
    let at = o.optional("at", |v| scalar::instant(v, zone));
    Some(Simulate { ask: ask?, drafts: drafts.unwrap_or_default(), without: without.unwrap_or_default(), shopper, at })
}

/// Nobody's fingerprint: somebody who has not ordered or used anything yet.
const NEWCOMER: Who = Who([0; 16]);

fn shopper(o: &mut Object<'_, '_>) -> Option<Shopper> {
    let segments = o.optional("segments", |v| v.list(RULE_PARTS_MAX, "TOO_MANY", rules::segment));
    let birthday = o.optional("birthdate", birthday);
    let tax_exempt = o.optional("taxExempt", |v| v.bool());
    let newcomer = o.optional("newcomer", |v| v.bool());
    Some(Shopper {
        who: (newcomer == Some(true)).then_some(NEWCOMER),
        segments: segments.unwrap_or_default(),
        birthday,
        tax_exempt: tax_exempt.unwrap_or(false),
        ..Shopper::default()
    })
}

fn birthday(value: Value<'_, '_>) -> Option<MonthDay> {
    value.parsed(MonthDay::of_date, "a date such as 1990-11-28")
}

/// The same goods by the rules as they are and as they would be.
#[derive(Debug, Serialize)]
pub struct SimulatedBody<'a> {
    before: Explained<'a, QuoteBody<'a>>,
    after: Explained<'a, QuoteBody<'a>>,
    difference: DifferenceBody,
}

/// What is more, or less, after than before.
#[derive(Debug, Serialize)]
struct DifferenceBody {
    subtotal: MoneyBody,
    discount: MoneyBody,
    shipping: MoneyBody,
    tax: MoneyBody,
    total: MoneyBody,
}

impl<'a> SimulatedBody<'a> {
    /// # Errors
    /// A difference is out of the range of exact integers.
    pub fn of(simulated: &'a Simulated) -> Result<Self, MoneyError> {
        let Simulated { before, after } = simulated;
        let explained = |quote: &'a Quote| Explained::of(QuoteBody::from(quote), quote, Some(Audience::Shopkeeper));
        let more = |of: fn(&Quote) -> Money| of(after).minus(of(before)).map(MoneyBody);
        let difference = DifferenceBody {
            subtotal: more(|q| q.subtotal)?,
            discount: more(|q| q.discount)?,
            shipping: more(|q| q.shipping)?,
            tax: more(|q| q.tax)?,
            total: more(|q| q.total)?,
        };
        Ok(Self { before: explained(before), after: explained(after), difference })
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CouponBody<'a> {
    code: &'a str,
    label: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_ppm: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<MoneyBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_subtotal: Option<MoneyBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uses_left: Option<u32>,
}

/// What lists of coupons are filtered by.
pub const COUPON_KINDS: [&str; 10] = ["percentage", "fixed", "price", "each", "tiers", "buy_get", "bundle", "gift", "spend", "shipping"];

/// The name of a kind: one of [`COUPON_KINDS`].
pub fn coupon_kind(benefit: &Benefit) -> &'static str {
    match benefit {
        Benefit::Goods { off: Off::Rate(_), .. } => "percentage",
        Benefit::Goods { off: Off::Amount(_), .. } => "fixed",
        Benefit::Goods { off: Off::Price(_), .. } => "price",
        Benefit::Each { .. } => "each",
        Benefit::Tiers { .. } => "tiers",
        Benefit::BuyGet { .. } => "buy_get",
        Benefit::Bundle { .. } => "bundle",
        Benefit::Gift { .. } => "gift",
        Benefit::Spend { .. } => "spend",
        Benefit::Shipping { .. } => "shipping",
    }
}

impl<'a> From<&'a ActiveCoupon> for CouponBody<'a> {
    fn from(active: &'a ActiveCoupon) -> Self {
        let promotion = &active.promotion;
        let (rate_ppm, amount) = match promotion.benefit {
            Benefit::Goods { off: Off::Rate(rate), .. } => (Some(rate.0), None),
            Benefit::Goods { off: Off::Amount(amount), .. } => (None, Some(MoneyBody(amount))),
            _ => (None, None),
        };
        Self {
            code: active.code.as_str(),
            label: promotion.label.as_str(),
            kind: coupon_kind(&promotion.benefit),
            rate_ppm,
            amount,
            min_subtotal: promotion.needs.minimum.map(|m| MoneyBody(m.amount)),
            starts_at: promotion.window.from.map(At),
            ends_at: promotion.window.to.map(At),
            uses_left: active.uses_left,
        }
    }
}
