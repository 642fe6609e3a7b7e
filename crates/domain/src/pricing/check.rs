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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{EditionId, PromotionId, ShippingOptionId, TaxName};
    use crate::money::Nano;
    use crate::person::Country;
    use crate::pricing::{Basis, Kept, Minimum, Place, Pricebook, RuleId, Selector};
    use crate::text::Text;
    use crate::time::Timestamp;

    fn money(minor: i64, currency: &str) -> Money {
        Money::new(minor, Currency::parse(currency).expect("a currency")).expect("an amount")
    }

    fn usd(minor: i64) -> Money {
        money(minor, "USD")
    }

    fn text<const MAX: usize>(text: &str) -> Text<MAX> {
        Text::parse(text).expect("a text")
    }

    fn with(benefit: Benefit) -> Promotion {
        Promotion::automatic(PromotionId::parse("P").expect("an id"), text("P"), benefit)
    }

    fn plain() -> Promotion {
        with(goods(Off::Rate(Ppm(1))))
    }

    fn all() -> Target {
        Target::default()
    }

    fn goods(off: Off) -> Benefit {
        Benefit::Goods { of: all(), off }
    }

    fn code(text: &str) -> CouponCode {
        CouponCode::parse(text).expect("a code")
    }

    fn named(codes: &[&str]) -> Promotion {
        Promotion { trigger: Trigger::Codes(codes.iter().map(|c| code(c)).collect()), ..plain() }
    }

    fn tiers(from: &[u32], off: Off) -> Promotion {
        with(Benefit::Tiers { of: all(), tiers: from.iter().map(|from| Tier { from: *from, off }).collect() })
    }

    fn buy_get(buy_count: u32, get_count: u32, off: u32, times_max: Option<u32>) -> Promotion {
        with(Benefit::BuyGet { buy: all(), buy_count, get: all(), get_count, off: Ppm(off), times_max })
    }

    fn bundle(counts: &[u32]) -> Promotion {
        let parts = counts.iter().map(|count| Part { of: all(), count: *count }).collect();
        with(Benefit::Bundle { parts, off: Off::Price(usd(0)), times_max: None })
    }

    fn open(from: i64, to: i64) -> Promotion {
        Promotion { window: Window { from: Some(Timestamp(from)), to: Some(Timestamp(to)) }, ..plain() }
    }

    fn hours(weekday: u8, from_minute: u16, to_minute: u16) -> Promotion {
        Promotion { hours: vec![Hours { weekday, from_minute, to_minute }], ..plain() }
    }

    fn budget(uses: Option<u32>, uses_each: Option<u32>, amount: Option<i64>) -> Promotion {
        Promotion { budget: Budget { uses, uses_each, amount: amount.map(usd) }, ..plain() }
    }

    fn minimum(amount: Money) -> Promotion {
        let needs = Needs { minimum: Some(Minimum { amount, basis: Basis::Subtotal }), ..Needs::default() };
        Promotion { needs, ..with(goods(Off::Amount(usd(1)))) }
    }

    fn many() -> Target {
        Target { any: vec![Selector::Edition(EditionId(1)); RULE_PARTS_MAX + 1], ..all() }
    }

    #[test]
    fn a_promotion_makes_sense_or_its_fault_is_named() {
        let too_many = || Fault::TooMany { most: RULE_PARTS_MAX }.of("any");
        for (promotion, fault) in [
            (plain(), None),
            (with(goods(Off::Rate(Ppm(0)))), Some(Fault::NotPositive.of("off"))),
            (with(goods(Off::Rate(Ppm::ONE))), None),
            (with(goods(Off::Rate(Ppm(1_000_001)))), Some(Fault::RateTooHigh.of("off"))),
            (with(goods(Off::Amount(usd(0)))), Some(Fault::NotPositive.of("off"))),
            (with(goods(Off::Price(usd(0)))), None),
            (with(goods(Off::Price(usd(-1)))), Some(Fault::Negative.of("off"))),
            (with(Benefit::Each { of: many(), off: Off::Rate(Ppm(1)) }), Some(too_many())),
            (with(Benefit::Shipping { off: Off::Rate(Ppm(1_000_001)) }), Some(Fault::RateTooHigh.of("off"))),
            (with(Benefit::Gift { edition: EditionId(1) }), None),
            (tiers(&[1, 3], Off::Rate(Ppm(1))), None),
            (tiers(&[], Off::Rate(Ppm(1))), Some(Fault::Empty.of("tiers"))),
            (tiers(&[0, 3], Off::Rate(Ppm(1))), Some(Fault::NotPositive.of("tiers"))),
            (tiers(&[3, 3], Off::Rate(Ppm(1))), Some(Fault::NotAscending.of("tiers"))),
            (tiers(&[3], Off::Rate(Ppm(0))), Some(Fault::NotPositive.of("off"))),
            (with(Benefit::Spend { tiers: vec![Tier { from: usd(0), off: Off::Rate(Ppm(1)) }] }), Some(Fault::NotPositive.of("tiers"))),
            (
                with(Benefit::Spend { tiers: vec![Tier { from: usd(1), off: Off::Amount(money(1, "EUR")) }] }),
                Some(Fault::CurrencyMixed.of("amounts")),
            ),
            (buy_get(2, 1, 1_000_000, Some(1)), None),
            (buy_get(0, 1, 1_000_000, None), Some(Fault::NotPositive.of("buy"))),
            (buy_get(2, 0, 1_000_000, None), Some(Fault::NotPositive.of("get"))),
            (buy_get(2, 1, 1_000_001, None), Some(Fault::RateTooHigh.of("off"))),
            (buy_get(2, 1, 1_000_000, Some(0)), Some(Fault::NotPositive.of("timesMax"))),
            (bundle(&[1, 2]), None),
            (bundle(&[]), Some(Fault::Empty.of("parts"))),
            (bundle(&[1, 0]), Some(Fault::NotPositive.of("copies"))),
            (named(&[]), None),
            (named(&["A", "B"]), None),
            (named(&["A", "B", "A"]), Some(Fault::CodeTaken { code: code("A") }.of("codes"))),
            (open(1, 2), None),
            (open(2, 2), Some(Fault::WindowEmpty.of("window"))),
            (hours(7, 0, 1_440), None),
            (hours(0, 0, 60), Some(Fault::HoursInvalid.of("hours"))),
            (hours(8, 0, 60), Some(Fault::HoursInvalid.of("hours"))),
            (hours(1, 60, 60), Some(Fault::HoursInvalid.of("hours"))),
            (hours(1, 60, 1_441), Some(Fault::HoursInvalid.of("hours"))),
            (budget(Some(1), Some(1), Some(1)), None),
            (budget(Some(0), None, None), Some(Fault::NotPositive.of("uses"))),
            (budget(None, Some(0), None), Some(Fault::NotPositive.of("usesPerCustomer"))),
            (budget(None, None, Some(0)), Some(Fault::NotPositive.of("budget"))),
            (Promotion { cap: Some(usd(0)), ..plain() }, Some(Fault::NotPositive.of("cap"))),
            (minimum(usd(1)), None),
            (minimum(usd(0)), Some(Fault::NotPositive.of("minimum"))),
            (minimum(money(1, "EUR")), Some(Fault::CurrencyMixed.of("amounts"))),
        ] {
            let note = format!("{promotion:?}");
            assert_eq!(Rule::from(promotion).check().err(), fault, "{note}");
        }
    }

    fn shipping(scale: Scale) -> ShippingOption {
        let flat = ShippingOption::flat(ShippingOptionId::parse("s").expect("an id"), text("s"), usd(1));
        ShippingOption { scale, ..flat }
    }

    fn by_weight(from: &[u32], price: i64) -> ShippingOption {
        shipping(Scale::Weight(from.iter().map(|from| ShippingStep { from: *from, price: usd(price) }).collect()))
    }

    fn rate(to: &str, rate: u64) -> Rule {
        let currency = |code| Currency::parse(code).expect("a currency");
        let rate = ExchangeRate { from: currency("USD"), to: currency(to), rate: Nano(rate), since: Timestamp(0), source: None };
        Rule::ExchangeRate { id: RuleId::parse("r").expect("an id"), rate }
    }

    fn tax(country: &str, name: &str, included: bool) -> TaxRate {
        let place = Place::country(Country::parse(country).expect("a country"));
        TaxRate { included, ..TaxRate::of(TaxName::parse(name).expect("a name"), place, text(name), Ppm(1)) }
    }

    #[test]
    fn other_rules_make_sense_or_their_fault_is_named() {
        let amount = |from: Money, price| ShippingStep { from, price: usd(price) };
        for (rule, fault) in [
            (shipping(Scale::Flat(usd(0))).into(), None),
            (shipping(Scale::Flat(usd(-1))).into(), Some(Fault::Negative.of("price"))),
            (by_weight(&[0, 500], 1).into(), None),
            (by_weight(&[], 1).into(), Some(Fault::Empty.of("steps"))),
            (by_weight(&[1], 1).into(), Some(Fault::NotFromZero.of("steps"))),
            (by_weight(&[0, 500, 500], 1).into(), Some(Fault::NotAscending.of("steps"))),
            (by_weight(&[0], -1).into(), Some(Fault::Negative.of("steps"))),
            (shipping(Scale::Amount(vec![amount(usd(0), 1), amount(usd(5), 0)])).into(), None),
            (shipping(Scale::Amount(vec![amount(money(0, "EUR"), 1)])).into(), Some(Fault::CurrencyMixed.of("amounts"))),
            (ShippingOption { free_from: Some(money(1, "EUR")), ..by_weight(&[0], 1) }.into(), Some(Fault::CurrencyMixed.of("amounts"))),
            (ShippingOption { free_from: Some(usd(-1)), ..by_weight(&[0], 1) }.into(), Some(Fault::Negative.of("freeFrom"))),
            (rate("EUR", 1), None),
            (rate("EUR", 0), Some(Fault::NotPositive.of("rate"))),
            (rate("USD", 1), Some(Fault::SameCurrency.of("to"))),
            (Rule::Stacking { most: Some(1) }, None),
            (Rule::Stacking { most: None }, None),
            (Rule::Stacking { most: Some(0) }, Some(Fault::NotPositive.of("most"))),
            (Rule::tax(tax("DE", "VAT", true)), None),
            (Rule::tax(TaxRate { rate: Ppm(1_000_001), ..tax("DE", "VAT", true) }), Some(Fault::RateTooHigh.of("rate"))),
        ] {
            let rule: Rule = rule;
            let note = format!("{rule:?}");
            assert_eq!(rule.check().err(), fault, "{note}");
        }
    }

    #[test]
    fn a_rule_goes_together_with_all_others() {
        let other = Promotion { id: PromotionId::parse("Q").expect("an id"), ..named(&["A"]) };
        let first = [Rule::tax(tax("DE", "VAT", true)), Rule::tax(tax("US", "SALES", false)), other.clone().into()];
        let book = Pricebook::new(first.into_iter().map(|rule| Kept::first(rule, Timestamp(0))));
        for (rule, fault) in [
            (Rule::tax(tax("DE", "CITY", true)), None),
            (Rule::tax(tax("DE", "CITY", false)), Some(Fault::IncludedDisagrees.of("included"))),
            (Rule::tax(tax("FR", "VAT", false)), None),
            // In place of itself.
            (Rule::tax(tax("DE", "VAT", false)), None),
            (other.into(), None),
            (named(&["B"]).into(), None),
            (named(&["B", "A"]).into(), Some(Fault::CodeTaken { code: code("A") }.of("codes"))),
        ] {
            let note = format!("{rule:?}");
            assert_eq!(book.check(&rule).err(), fault, "{note}");
        }
    }
}
