//! What a shop has decided about prices: coupons, taxes, shipping. Loaded as a whole, never changed in place.

use super::{Destination, WhyNot};
use crate::ids::{CouponCode, ShippingOptionId};
use crate::limits::NAME_MAX;
use crate::money::{Currency, Money, Ppm, Rounding};
use crate::person::{Country, Region};
use crate::text::Text;
use crate::time::Timestamp;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub struct Rules {
    coupons: BTreeMap<CouponCode, Coupon>,
    taxes: Vec<TaxRate>,
    shipping: Vec<ShippingOption>,
}

impl Rules {
    pub fn new(coupons: Vec<Coupon>, taxes: Vec<TaxRate>, shipping: Vec<ShippingOption>) -> Self {
        Self { coupons: coupons.into_iter().map(|c| (c.code.clone(), c)).collect(), taxes, shipping }
    }

    pub fn coupons(&self) -> impl Iterator<Item = &Coupon> {
        self.coupons.values()
    }

    pub fn coupon(&self, code: &CouponCode) -> Option<&Coupon> {
        self.coupons.get(code)
    }

    pub fn taxes(&self) -> &[TaxRate] {
        &self.taxes
    }

    /// The rate of a place: the region's own before its country's.
    pub fn tax(&self, destination: &Destination) -> Option<&TaxRate> {
        let of = |region: Option<&Region>| self.taxes.iter().find(|t| t.country == destination.country && t.region.as_ref() == region);
        destination.region.as_ref().and_then(|region| of(Some(region))).or_else(|| of(None))
    }

    /// Ways to ship there, as the shop lists them.
    pub fn shipping_to(&self, destination: &Destination, currency: Currency) -> Vec<&ShippingOption> {
        let goes =
            |o: &&ShippingOption| o.price.currency() == currency && (o.countries.is_empty() || o.countries.contains(&destination.country));
        self.shipping.iter().filter(goes).collect()
    }
}

/// When a rule holds: from an instant (inclusive) to another (exclusive).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

impl Window {
    pub(super) fn closed(self, now: Timestamp) -> Option<WhyNot> {
        match (self.from, self.to) {
            (Some(from), _) if now < from => Some(WhyNot::NotYet { from }),
            (_, Some(at)) if now >= at => Some(WhyNot::Ended { at }),
            _ => None,
        }
    }

    pub fn is_open(self, now: Timestamp) -> bool {
        self.closed(now).is_none()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CouponKind {
    /// Of the goods, at most all of them.
    Percentage(Ppm),
    /// At most the value of the goods.
    Fixed(Money),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coupon {
    pub code: CouponCode,
    pub label: Text<NAME_MAX>,
    pub kind: CouponKind,
    pub min_subtotal: Option<Money>,
    pub window: Window,
    /// Orders it may be used for; unlimited when left out.
    pub uses_max: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxRate {
    pub country: Country,
    pub region: Option<Region>,
    pub label: Text<NAME_MAX>,
    pub rate: Ppm,
    /// Prices shown in this place contain the tax.
    pub included: bool,
    pub shipping_taxed: bool,
    pub rounding: Rounding,
}

impl TaxRate {
    /// `DE`, `US-CA`.
    pub fn code(&self) -> String {
        match &self.region {
            Some(region) => format!("{}-{region}", self.country.as_str()),
            None => self.country.as_str().to_owned(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShippingOption {
    pub id: ShippingOptionId,
    pub label: Text<NAME_MAX>,
    pub price: Money,
    /// Discounted goods worth this much ship free.
    pub free_from: Option<Money>,
    /// Everywhere when empty.
    pub countries: Vec<Country>,
}

impl ShippingOption {
    /// What it costs to ship goods worth `goods` after discounts.
    pub fn price_for(&self, goods: Money) -> Money {
        match self.free_from {
            Some(from) if goods.minor() >= from.minor() => Money::zero(self.price.currency()),
            _ => self.price,
        }
    }
}
