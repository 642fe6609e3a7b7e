use crate::cart::add_items;
use crate::checkout::address;
use crate::read::Object;
use crate::scalar::{self, At, MoneyBody};
use app::{ActiveCoupon, Calculate};
use domain::pricing::{CouponKind, Destination, TaxRate};
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
pub fn coupon_kind(kind: CouponKind) -> &'static str {
    match kind {
        CouponKind::Percentage(_) => "percentage",
        CouponKind::Fixed(_) => "fixed",
    }
}

impl<'a> From<&'a ActiveCoupon> for CouponBody<'a> {
    fn from(active: &'a ActiveCoupon) -> Self {
        let coupon = &active.coupon;
        let (rate_ppm, amount) = match coupon.kind {
            CouponKind::Percentage(rate) => (Some(rate.0), None),
            CouponKind::Fixed(amount) => (None, Some(MoneyBody(amount))),
        };
        Self {
            code: coupon.code.as_str(),
            label: coupon.label.as_str(),
            kind: coupon_kind(coupon.kind),
            rate_ppm,
            amount,
            min_subtotal: coupon.min_subtotal.map(MoneyBody),
            starts_at: coupon.window.from.map(At),
            ends_at: coupon.window.to.map(At),
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
            country: rate.country.as_str(),
            region: rate.region.as_ref().map(|r| r.as_str()),
            label: rate.label.as_str(),
            rate_ppm: rate.rate.0,
            included: rate.included,
        }
    }
}
