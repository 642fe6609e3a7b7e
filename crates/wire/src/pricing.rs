use crate::cart::add_items;
use crate::checkout::address;
use crate::read::Object;
use crate::scalar::{self, At, MoneyBody};
use app::{ActiveCoupon, Calculate};
use domain::pricing::{Benefit, Destination, Off, TaxRate};
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

/// The name of a kind, which is also what lists are filtered by.
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

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaxRateBody<'a> {
    country: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    label: &'a str,
    rate_ppm: u32,
    included: bool,
}

impl<'a> From<&'a TaxRate> for TaxRateBody<'a> {
    fn from(rate: &'a TaxRate) -> Self {
        Self {
            country: rate.place.country.as_str(),
            region: rate.place.region.as_ref().map(|r| r.as_str()),
            label: rate.label.as_str(),
            rate_ppm: rate.rate.0,
            included: rate.included,
        }
    }
}
