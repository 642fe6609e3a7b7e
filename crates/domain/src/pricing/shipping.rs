//! Ways to ship and what they cost.

use super::{Adjustment, AdjustmentKind, Destination, Place, Quote, Reason, label};
use crate::ids::{ItemId, ShippingOptionId};
use crate::limits::NAME_MAX;
use crate::money::{Currency, Money, MoneyError};
use crate::text::Text;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShippingOption {
    pub id: ShippingOptionId,
    pub label: Text<NAME_MAX>,
    pub active: bool,
    /// Where it goes; everywhere when empty.
    pub zones: Vec<Place>,
    pub scale: Scale,
    /// Discounted goods worth this much ship free.
    pub free_from: Option<Money>,
    /// Whether goods that are not there yet pay for a parcel of their own.
    pub per_parcel: bool,
}

/// What the price depends on. The first step starts at zero, the others follow in order; the highest that is reached counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scale {
    Flat(Money),
    /// By the weight of the parcel in grams.
    Weight(Vec<Step<u32>>),
    /// By what the discounted goods of the parcel come to.
    Amount(Vec<Step<Money>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<T> {
    pub from: T,
    pub price: Money,
}

/// Goods that travel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parcel {
    pub weight_g: u64,
    /// After discounts.
    pub worth: Money,
}

/// What is sent, and what free shipping depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcels {
    /// At most two: what is there now, and what is not.
    pub parcels: Vec<Parcel>,
    /// All goods after discounts, those that are not shipped included.
    pub goods: Money,
}

impl Parcels {
    /// Whether nothing has to travel.
    pub fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }
}

impl ShippingOption {
    /// One price everywhere.
    pub fn flat(id: ShippingOptionId, label: Text<NAME_MAX>, price: Money) -> Self {
        Self { id, label, active: true, zones: Vec::new(), scale: Scale::Flat(price), free_from: None, per_parcel: false }
    }

    pub fn currency(&self) -> Option<Currency> {
        match &self.scale {
            Scale::Flat(price) => Some(price.currency()),
            Scale::Weight(steps) => steps.first().map(|s| s.price.currency()),
            Scale::Amount(steps) => steps.first().map(|s| s.price.currency()),
        }
    }

    pub fn goes_to(&self, destination: &Destination) -> bool {
        self.zones.is_empty() || self.zones.iter().any(|zone| zone.closeness(destination).is_some())
    }

    /// What it costs before it may become free.
    fn full_price(&self, parcels: &[Parcel]) -> Result<Money, MoneyError> {
        let one = |parcel: &Parcel| match &self.scale {
            Scale::Flat(price) => Some(*price),
            Scale::Weight(steps) => reached(steps, |from| u64::from(*from) <= parcel.weight_g),
            Scale::Amount(steps) => reached(steps, |from| from.minor() <= parcel.worth.minor()),
        };
        let currency = self.currency().ok_or(MoneyError::CurrencyMismatch)?;
        match parcels {
            [first, rest @ ..] if !self.per_parcel => {
                let weight_g = parcels.iter().map(|p| p.weight_g).sum();
                let worth = rest.iter().try_fold(first.worth, |sum, p| sum.plus(p.worth))?;
                Money::sum(currency, one(&Parcel { weight_g, worth }))
            }
            _ => Money::sum(currency, parcels.iter().filter_map(one)),
        }
    }

    /// What it costs to send these parcels.
    pub fn price_for(&self, sent: &Parcels) -> Result<Money, MoneyError> {
        let price = self.full_price(&sent.parcels)?;
        Ok(match self.free_from {
            Some(from) if sent.goods.minor() >= from.minor() => Money::zero(price.currency()),
            _ => price,
        })
    }
}

fn reached<T>(steps: &[Step<T>], is: impl Fn(&T) -> bool) -> Option<Money> {
    steps.iter().rev().find(|s| is(&s.from)).map(|s| s.price)
}

impl Quote {
    /// The goods that have to travel: those that are there now, and those that are not, when there are such. Shipping is
    /// priced before taxes, so what an exemption took out of the goods is still in them here.
    pub fn parcels(&self) -> Result<Parcels, MoneyError> {
        let exemption = self.adjustments.iter().find(|a| a.kind == AdjustmentKind::Exemption);
        let relief: BTreeMap<ItemId, Money> = exemption.iter().flat_map(|a| &a.shares).copied().collect();
        let mut goods = self.subtotal.minus(self.discount)?;
        if let Some(exemption) = exemption {
            goods = goods.minus(exemption.amount)?;
        }
        let mut parcels: Vec<(bool, Parcel)> = Vec::with_capacity(2);
        for line in self.lines.iter().filter(|l| l.format.ships()) {
            let now = line.quantity.get() <= line.available;
            let weight_g = u64::from(line.weight_g) * u64::from(line.quantity.get());
            let mut worth = line.total.minus(line.discount)?;
            if let Some(part) = relief.get(&line.item) {
                worth = worth.minus(*part)?;
            }
            match parcels.iter_mut().find(|(when, _)| *when == now) {
                Some((_, parcel)) => *parcel = Parcel { weight_g: parcel.weight_g + weight_g, worth: parcel.worth.plus(worth)? },
                None => parcels.push((now, Parcel { weight_g, worth })),
            }
        }
        let parcels = parcels.into_iter().map(|(_, parcel)| parcel).collect();
        Ok(Parcels { parcels, goods })
    }
}

/// Prices the chosen way of shipping, else the cheapest one that goes there.
pub(super) fn ship(quote: &mut Quote, options: &[&ShippingOption], chosen: Option<&ShippingOptionId>) -> Result<(), MoneyError> {
    let sent = quote.parcels()?;
    if sent.is_empty() {
        quote.settled = true;
        if !quote.lines.is_empty() {
            let nothing = Money::zero(quote.currency);
            quote.adjustments.push(Adjustment::new(
                AdjustmentKind::Shipping,
                "DIGITAL".into(),
                label("No shipping"),
                nothing,
                Reason::NothingToShip,
            ));
        }
        return Ok(());
    }
    let priced = options.iter().map(|o| Ok((*o, o.price_for(&sent)?))).collect::<Result<Vec<_>, MoneyError>>()?;
    let taken = match chosen {
        Some(id) => priced.into_iter().find(|(o, _)| o.id == *id),
        None => priced.into_iter().min_by_key(|(_, price)| price.minor()),
    };
    let Some((option, price)) = taken else { return Ok(()) };
    quote.shipping = price;
    quote.shipping_option = Some(option.id.clone());
    quote.settled = true;
    let reason = match option.free_from {
        Some(from) if price.is_zero() && !option.full_price(&sent.parcels)?.is_zero() => Reason::ShippingFree { from },
        _ => Reason::ShippingPrice,
    };
    quote.adjustments.push(Adjustment::new(AdjustmentKind::Shipping, option.id.to_string(), option.label.clone(), price, reason));
    Ok(())
}
