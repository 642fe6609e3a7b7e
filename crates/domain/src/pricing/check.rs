//! What a rule must be before it counts. What a type cannot rule out is said here, in one place.

use super::{
    Benefit, Budget, ExchangeRate, Hours, Needs, Off, Part, Promotion, Rule, Scale, ShippingOption, ShippingStep, Target, TaxRate, Tier,
    Trigger, Window,
};
use crate::ids::CouponCode;
use crate::limits::RULE_PARTS_MAX;
use crate::money::{Currency, Money, Ppm};

/// What is wrong with a rule, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {fault}")]
pub struct RuleFault {
    /// Such as `budget` or `tiers`.
    pub field: &'static str,
    pub fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("all amounts of a rule are of one currency")]
    CurrencyMixed,
    /// A count or an amount that has to be above zero.
    #[error("must be above zero")]
    NotPositive,
    #[error("must not be below zero")]
    Negative,
    /// A part of a price is above zero and at most 100 %.
    #[error("must be at most 100 %")]
    RateTooHigh,
    #[error("must not be empty")]
    Empty,
    #[error("at most {most} are allowed")]
    TooMany { most: usize },
    #[error("must ascend")]
    NotAscending,
    #[error("must start at zero")]
    NotFromZero,
    #[error("hours are of a weekday from 1 to 7 and end after they begin, at midnight at the latest")]
    HoursInvalid,
    #[error("must end after it begins")]
    WindowEmpty,
    #[error("must be two currencies")]
    SameCurrency,
    /// Prices in a country contain a tax or they do not: all rates there agree.
    #[error("the other rates of this country say otherwise")]
    IncludedDisagrees,
    /// The code leads to another promotion, or is listed twice.
    #[error("the code {code} is taken")]
    CodeTaken { code: CouponCode },
    /// The catalog has no such edition, book or heading.
    #[error("{id} is not in the catalog")]
    NotInCatalog { id: String },
    #[error("{why}")]
    ConditionInvalid { why: String },
}

impl Fault {
    /// The stable code of a field's error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::CurrencyMixed => "CURRENCY_MIXED",
            Self::NotPositive => "NOT_POSITIVE",
            Self::Negative => "NEGATIVE",
            Self::RateTooHigh => "RATE_TOO_HIGH",
            Self::Empty => "EMPTY",
            Self::TooMany { .. } => "TOO_MANY",
            Self::NotAscending => "NOT_ASCENDING",
            Self::NotFromZero => "NOT_FROM_ZERO",
            Self::HoursInvalid => "HOURS_INVALID",
            Self::WindowEmpty => "WINDOW_EMPTY",
            Self::SameCurrency => "SAME_CURRENCY",
            Self::IncludedDisagrees => "INCLUDED_DISAGREES",
            Self::CodeTaken { .. } => "CODE_TAKEN",
            Self::NotInCatalog { .. } => "NOT_IN_CATALOG",
            Self::ConditionInvalid { .. } => "CONDITION_INVALID",
        }
    }

    pub fn of(self, field: &'static str) -> RuleFault {
        RuleFault { field, fault: self }
    }
}

type Checked = Result<(), RuleFault>;

impl Rule {
    /// Whether the rule makes sense by itself.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn check(&self) -> Checked {
        match self {
            Self::Promotion(promotion) => promotion.check(),
            Self::TaxRate { rate, .. } => rate.check(),
            Self::ShippingOption(option) => option.check(),
            Self::ExchangeRate { rate, .. } => rate.check(),
            Self::Stacking { most } => positive_if(*most, "most"),
        }
    }
}

impl Promotion {
    fn check(&self) -> Checked {
        one_currency(self.amounts(), "amounts")?;
        self.trigger.check()?;
        self.benefit.check()?;
        self.needs.check()?;
        self.window.check()?;
        few(self.hours.len(), "hours")?;
        ensure(self.hours.iter().all(Hours::is_sound), Fault::HoursInvalid, "hours")?;
        more_than_nothing(self.cap, "cap")?;
        self.budget.check()
    }
}

impl Trigger {
    fn check(&self) -> Checked {
        let Self::Codes(codes) = self else { return Ok(()) };
        few(codes.len(), "codes")?;
        let twice = codes.iter().enumerate().find(|(n, code)| codes[..*n].contains(code));
        twice.map_or(Ok(()), |(_, code)| Err(Fault::CodeTaken { code: code.clone() }.of("codes")))
    }
}

impl Benefit {
    fn check(&self) -> Checked {
        match self {
            Self::Each { of, off } | Self::Goods { of, off } => of.check().and_then(|()| off.check()),
            Self::Shipping { off } => off.check(),
            Self::Tiers { of, tiers } => {
                of.check()?;
                tiers.first().map_or(Ok(()), |t| positive(t.from, "tiers"))?;
                ascending(tiers, |t| u64::from(t.from))
            }
            Self::Spend { tiers } => {
                tiers.first().map_or(Ok(()), |t| more_than_nothing(Some(t.from), "tiers"))?;
                ascending(tiers, |t| t.from.minor().unsigned_abs())
            }
            Self::BuyGet { buy, buy_count, get, get_count, off, times_max } => {
                buy.check().and_then(|()| get.check())?;
                positive(*buy_count, "buy").and_then(|()| positive(*get_count, "get"))?;
                Off::Rate(*off).check()?;
                positive_if(*times_max, "timesMax")
            }
            Self::Bundle { parts, off, times_max } => {
                ensure(!parts.is_empty(), Fault::Empty, "parts")?;
                few(parts.len(), "parts")?;
                parts.iter().try_for_each(Part::check)?;
                off.check()?;
                positive_if(*times_max, "timesMax")
            }
            Self::Gift { .. } => Ok(()),
        }
    }
}

impl Part {
    fn check(&self) -> Checked {
        positive(self.count, "copies")?;
        self.of.check()
    }
}

impl Target {
    fn check(&self) -> Checked {
        few(self.any.len(), "any")?;
        few(self.except.len(), "except")
    }
}

impl Off {
    fn check(self) -> Checked {
        match self {
            Self::Rate(rate) => {
                ensure(rate.0 > 0, Fault::NotPositive, "off")?;
                ensure(rate <= Ppm::ONE, Fault::RateTooHigh, "off")
            }
            Self::Amount(amount) => more_than_nothing(Some(amount), "off"),
            Self::Price(price) => ensure(price.minor() >= 0, Fault::Negative, "off"),
        }
    }
}

impl Needs {
    fn check(&self) -> Checked {
        more_than_nothing(self.minimum.map(|m| m.amount), "minimum")?;
        self.copies.as_ref().map_or(Ok(()), Part::check)?;
        few(self.segments.len(), "segments")
    }
}

impl Window {
    fn check(self) -> Checked {
        let empty = self.from.zip(self.to).is_some_and(|(from, to)| from >= to);
        ensure(!empty, Fault::WindowEmpty, "window")
    }
}

impl Hours {
    fn is_sound(&self) -> bool {
        (1..=7).contains(&self.weekday) && self.from_minute < self.to_minute && self.to_minute <= 24 * 60
    }
}

impl Budget {
    fn check(&self) -> Checked {
        positive_if(self.uses, "uses")?;
        positive_if(self.uses_each, "usesPerCustomer")?;
        more_than_nothing(self.amount, "budget")
    }
}

impl TaxRate {
    fn check(&self) -> Checked {
        ensure(self.rate <= Ppm::ONE, Fault::RateTooHigh, "rate")?;
        few(self.formats.len(), "formats")?;
        self.window.check()
    }
}

impl ShippingOption {
    fn check(&self) -> Checked {
        few(self.zones.len(), "zones")?;
        self.scale.check()?;
        one_currency(self.amounts(), "amounts")?;
        ensure(self.free_from.is_none_or(|from| from.minor() >= 0), Fault::Negative, "freeFrom")
    }

    fn amounts(&self) -> Vec<Money> {
        let scale = match &self.scale {
            Scale::Flat(price) => vec![*price],
            Scale::Weight(steps) => steps.iter().map(|s| s.price).collect(),
            Scale::Amount(steps) => steps.iter().flat_map(|s| [s.from, s.price]).collect(),
        };
        scale.into_iter().chain(self.free_from).collect()
    }
}

impl Scale {
    fn check(&self) -> Checked {
        match self {
            Self::Flat(price) => ensure(price.minor() >= 0, Fault::Negative, "price"),
            Self::Weight(steps) => climbing(steps, |from| i64::from(*from)),
            Self::Amount(steps) => climbing(steps, |from| from.minor()),
        }
    }
}

impl ExchangeRate {
    fn check(&self) -> Checked {
        ensure(self.from != self.to, Fault::SameCurrency, "to")?;
        ensure(self.rate.0 > 0, Fault::NotPositive, "rate")
    }
}

fn climbing<T>(steps: &[ShippingStep<T>], from: impl Fn(&T) -> i64) -> Checked {
    few(steps.len(), "steps")?;
    let first = steps.first().ok_or(Fault::Empty.of("steps"))?;
    ensure(from(&first.from) == 0, Fault::NotFromZero, "steps")?;
    ensure(steps.windows(2).all(|pair| from(&pair[0].from) < from(&pair[1].from)), Fault::NotAscending, "steps")?;
    ensure(steps.iter().all(|s| s.price.minor() >= 0), Fault::Negative, "steps")
}

fn ascending<T>(tiers: &[Tier<T>], from: impl Fn(&Tier<T>) -> u64) -> Checked {
    ensure(!tiers.is_empty(), Fault::Empty, "tiers")?;
    few(tiers.len(), "tiers")?;
    ensure(tiers.windows(2).all(|pair| from(&pair[0]) < from(&pair[1])), Fault::NotAscending, "tiers")?;
    tiers.iter().try_for_each(|tier| tier.off.check())
}

fn one_currency(amounts: impl IntoIterator<Item = Money>, field: &'static str) -> Checked {
    let mut currencies = amounts.into_iter().map(Money::currency);
    let first: Option<Currency> = currencies.next();
    ensure(currencies.all(|c| Some(c) == first), Fault::CurrencyMixed, field)
}

fn more_than_nothing(amount: Option<Money>, field: &'static str) -> Checked {
    ensure(amount.is_none_or(|a| a.minor() > 0), Fault::NotPositive, field)
}

fn positive(count: u32, field: &'static str) -> Checked {
    ensure(count > 0, Fault::NotPositive, field)
}

fn positive_if(count: Option<u32>, field: &'static str) -> Checked {
    count.map_or(Ok(()), |count| positive(count, field))
}

fn few(count: usize, field: &'static str) -> Checked {
    ensure(count <= RULE_PARTS_MAX, Fault::TooMany { most: RULE_PARTS_MAX }, field)
}

fn ensure(holds: bool, fault: Fault, field: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(fault.of(field)) }
}
