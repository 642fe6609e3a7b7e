//! What a shop has decided about prices: promotions, taxes, ways to ship, exchange rates. Made as a whole, never changed in place.

use super::index::Named;
use super::{Counter, Destination, Given, Promotion, ShippingOption, TaxRate, Trigger, Who, WhyNot};
use crate::ids::{CouponCode, PromotionId};
use crate::limits::REASON_MAX;
use crate::money::{Currency, Money, MoneyError, Nano};
use crate::text::Text;
use crate::time::Timestamp;
use std::cmp::Reverse;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// By priority, then id.
    promotions: Vec<Promotion>,
    by_id: BTreeMap<PromotionId, usize>,
    codes: BTreeMap<CouponCode, usize>,
    taxes: Vec<TaxRate>,
    shipping: Vec<ShippingOption>,
    rates: Vec<ExchangeRate>,
    stack_max: Option<u32>,
    /// Automatic promotions for which something counted decides.
    counted: Vec<usize>,
    steady: bool,
    named: Named,
}

impl Rules {
    pub fn new(mut promotions: Vec<Promotion>, taxes: Vec<TaxRate>, shipping: Vec<ShippingOption>) -> Self {
        promotions.sort_by(|a, b| (Reverse(a.priority), &a.id).cmp(&(Reverse(b.priority), &b.id)));
        let by_id = promotions.iter().enumerate().map(|(n, p)| (p.id.clone(), n)).collect();
        let codes = promotions.iter().enumerate().flat_map(|(n, p)| match &p.trigger {
            Trigger::Codes(codes) => codes.iter().map(|code| (code.clone(), n)).collect(),
            Trigger::Automatic => Vec::new(),
        });
        let codes = codes.collect();
        let automatic = || promotions.iter().enumerate().filter(|(_, p)| p.active && p.trigger == Trigger::Automatic);
        let counted = automatic().filter(|(_, p)| p.is_counted()).map(|(n, _)| n).collect();
        let steady = automatic().all(|(_, p)| p.is_steady());
        let named = Named::by(&promotions);
        Self { counted, steady, named, promotions, by_id, codes, taxes, shipping, rates: Vec::new(), stack_max: None }
    }

    /// With rates to sell in other currencies than the catalog's.
    #[must_use]
    pub fn with_rates(self, rates: Vec<ExchangeRate>) -> Self {
        Self { rates, ..self }
    }

    /// With at most so many promotions on one order.
    #[must_use]
    pub fn with_stack_max(self, stack_max: Option<u32>) -> Self {
        Self { stack_max, ..self }
    }

    /// What promotions name.
    pub(super) fn named(&self) -> &Named {
        &self.named
    }

    pub fn promotions(&self) -> &[Promotion] {
        &self.promotions
    }

    /// Promotions that need no code, in the order of their turns within a step.
    pub fn automatic(&self) -> impl Iterator<Item = &Promotion> {
        self.promotions.iter().filter(|p| p.active && p.trigger == Trigger::Automatic)
    }

    pub fn promotion(&self, id: &PromotionId) -> Option<&Promotion> {
        self.by_id.get(id).map(|n| &self.promotions[*n])
    }

    /// The promotion that names this code itself; codes that were issued for one are not known here.
    pub fn coupon(&self, code: &CouponCode) -> Option<&Promotion> {
        self.codes.get(code).map(|n| &self.promotions[*n])
    }

    /// What the rules themselves know of a code.
    pub fn given(&self, code: &CouponCode) -> Given {
        Given { code: code.clone(), promotion: self.coupon(code).map(|p| p.id.clone()), uses_max: None }
    }

    /// What a quote with these codes, for this person, has to know the count of.
    pub fn counters(&self, codes: &[Given], who: Option<Who>) -> Vec<Counter> {
        let given = codes.iter().filter_map(|g| g.promotion.as_ref()).filter_map(|id| self.promotion(id));
        let promotions = self.counted.iter().map(|n| &self.promotions[*n]).chain(given);
        let mut counters: Vec<Counter> = promotions.flat_map(|p| p.counters(who)).collect();
        counters.extend(codes.iter().filter(|g| g.uses_max.is_some()).map(|g| Counter::Code(g.code.clone())));
        counters.sort_unstable();
        counters.dedup();
        counters
    }

    /// Whether a quote without codes stays the same while its goods do, whoever asks and whenever.
    pub fn is_steady(&self) -> bool {
        self.steady && self.rates.is_empty()
    }

    pub fn taxes(&self) -> &[TaxRate] {
        &self.taxes
    }

    pub fn shipping(&self) -> &[ShippingOption] {
        &self.shipping
    }

    pub fn rates(&self) -> &[ExchangeRate] {
        &self.rates
    }

    pub fn stack_max(&self) -> Option<u32> {
        self.stack_max
    }

    /// Ways to ship there, as the shop lists them.
    pub fn shipping_to(&self, destination: &Destination, currency: Currency) -> Vec<&ShippingOption> {
        self.shipping.iter().filter(|o| o.active && o.currency() == Some(currency) && o.goes_to(destination)).collect()
    }

    /// The rate from one currency to another that holds at an instant: the newest one that has begun.
    pub fn rate(&self, from: Currency, to: Currency, now: Timestamp) -> Option<&ExchangeRate> {
        self.rates.iter().filter(|r| r.from == from && r.to == to && r.since <= now).max_by_key(|r| r.since)
    }
}

/// What one unit of a currency is worth in another, since an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeRate {
    pub from: Currency,
    pub to: Currency,
    pub rate: Nano,
    pub since: Timestamp,
    pub source: Option<Text<REASON_MAX>>,
}

impl ExchangeRate {
    /// The amount in the other currency, to the nearest minor unit, ties to even.
    pub fn convert(&self, amount: Money) -> Result<Money, MoneyError> {
        if amount.currency() != self.from {
            return Err(MoneyError::CurrencyMismatch);
        }
        amount.converted(self.rate, self.to)
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
