//! Taxes: which ones a place has, and what they come to.

use super::{Adjustment, AdjustmentKind, Destination, Place, Quote, Reason, label};
use crate::catalog::Format;
use crate::ids::TaxName;
use crate::limits::{NAME_MAX, REASON_MAX};
use crate::money::{Currency, Money, MoneyError, Ppm, Rounding};
use crate::pricing::Window;
use crate::text::Text;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// The rate of one tax in one place. Of one tax the closest place counts, then a rate for the format before one for all goods;
/// taxes of different names add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxRate {
    pub tax: TaxName,
    pub place: Place,
    pub label: Text<NAME_MAX>,
    pub rate: Ppm,
    /// Formats it is for (a reduced rate for books); all goods when empty.
    pub formats: Vec<Format>,
    /// Prices shown in this place contain the tax. All rates of a country agree on it.
    pub included: bool,
    pub shipping_taxed: bool,
    pub rounding: Rounding,
    pub level: Level,
    pub window: Window,
    /// Where the rate was taken from, and as of when.
    pub source: Option<Text<REASON_MAX>>,
}

/// Where fractions are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// On each line.
    Line,
    /// On the sum of what is taxed at this rate, and then allocated to the lines.
    Total,
}

impl TaxRate {
    /// A rate on everything, rounded line by line.
    pub fn of(tax: TaxName, place: Place, label: Text<NAME_MAX>, rate: Ppm) -> Self {
        Self {
            tax,
            place,
            label,
            rate,
            formats: Vec::new(),
            included: false,
            shipping_taxed: false,
            rounding: Rounding::HalfEven,
            level: Level::Line,
            window: Window::default(),
            source: None,
        }
    }

    /// `DE`, `US-CA`.
    pub fn code(&self) -> String {
        match &self.place.region {
            Some(region) => format!("{}-{region}", self.place.country.as_str()),
            None => self.place.country.as_str().to_owned(),
        }
    }

    fn is_for(&self, format: Format) -> bool {
        self.formats.is_empty() || self.formats.contains(&format)
    }
}

/// The rates on goods of a format: one of each tax, by name.
pub(super) fn rates_on<'a>(rates: &'a [TaxRate], format: Format, to: &Destination, now: Timestamp) -> Vec<&'a TaxRate> {
    let mut best: Vec<((u8, bool), &TaxRate)> = Vec::new();
    for rate in rates.iter().filter(|r| r.is_for(format) && r.window.is_open(now)) {
        let Some(closeness) = rate.place.closeness(to) else { continue };
        let rank = (closeness, !rate.formats.is_empty());
        match best.iter_mut().find(|(_, r)| r.tax == rate.tax) {
            Some(old) if rank > old.0 => *old = (rank, rate),
            Some(_) => {}
            None => best.push((rank, rate)),
        }
    }
    best.sort_by(|(_, a), (_, b)| a.tax.cmp(&b.tax));
    best.into_iter().map(|(_, rate)| rate).collect()
}

/// What one rate is taken on.
pub(super) struct Base<'a> {
    pub rate: &'a TaxRate,
    /// All rates that are inside the same prices, together.
    inside: Ppm,
    pub lines: Vec<(usize, Money)>,
    shipping: Option<Money>,
}

impl Base<'_> {
    fn part(&self, amount: Money) -> Result<Money, MoneyError> {
        let TaxRate { rate, rounding, included, .. } = *self.rate;
        if included { amount.included_among(rate, self.inside, rounding) } else { amount.share(rate, rounding) }
    }

    pub(super) fn sum(&self, currency: Currency) -> Result<Money, MoneyError> {
        Money::sum(currency, self.lines.iter().map(|(_, of)| *of).chain(self.shipping))
    }

    /// The tax on each line, and on shipping.
    pub(super) fn split(&self, of: Money) -> Result<(Vec<Money>, Money), MoneyError> {
        let mut parts = self.parts(of)?;
        let shipping = parts.drain(self.lines.len()..).next();
        Ok((parts, shipping.unwrap_or(Money::zero(of.currency()))))
    }

    /// The tax on each line, then on shipping.
    fn parts(&self, of: Money) -> Result<Vec<Money>, MoneyError> {
        let bases = self.lines.iter().map(|(_, of)| *of).chain(self.shipping);
        match self.rate.level {
            Level::Line => bases.map(|of| self.part(of)).collect(),
            Level::Total => {
                let weights: Vec<u64> = bases.map(|of| of.minor().unsigned_abs()).collect();
                Ok(self.part(of)?.allocate(&weights))
            }
        }
    }
}

/// Taxes every line on what discounts left, and shipping like the goods it carries.
pub(super) fn tax(quote: &mut Quote, rates: &[TaxRate], to: &Destination, exempt: bool, now: Timestamp) -> Result<(), MoneyError> {
    let lines = quote.lines.iter().map(|line| Ok((line.format, line.total.minus(line.discount)?)));
    let bases = bases(lines, quote.shipping, rates, to, now)?;
    quote.tax_included = bases.iter().any(|b| b.rate.included);
    if exempt {
        return relieve(quote, &bases);
    }
    for base in bases {
        let of = base.sum(quote.currency)?;
        if of.is_zero() {
            continue;
        }
        let (parts, shipping) = base.split(of)?;
        let reason = Reason::Tax { rate: base.rate.rate, of, included: base.rate.included };
        let lines = base.lines.iter().map(|(line, _)| *line).zip(parts);
        charge(quote, base.rate.code(), base.rate.label.clone(), reason, lines, shipping)?;
    }
    Ok(())
}

/// Adds a tax that is due on lines, by their places, and on shipping.
pub(super) fn charge(
    quote: &mut Quote,
    code: String,
    label: Text<NAME_MAX>,
    reason: Reason,
    lines: impl IntoIterator<Item = (usize, Money)>,
    shipping: Money,
) -> Result<(), MoneyError> {
    let mut amount = shipping;
    let lines = lines.into_iter();
    let mut shares = Vec::with_capacity(lines.size_hint().0);
    for (line, part) in lines {
        let line = &mut quote.lines[line];
        line.tax = line.tax.plus(part)?;
        amount = amount.plus(part)?;
        shares.push((line.item, part));
    }
    quote.tax = quote.tax.plus(amount)?;
    quote.adjustments.push(Adjustment { shares, ..Adjustment::new(AdjustmentKind::Tax, code, label, amount, reason) });
    Ok(())
}

/// What each rate is taken on, of lines by their places and of shipping.
pub(super) fn bases<'a>(
    lines: impl Iterator<Item = Result<(Format, Money), MoneyError>>,
    shipping: Money,
    rates: &'a [TaxRate],
    to: &Destination,
    now: Timestamp,
) -> Result<Vec<Base<'a>>, MoneyError> {
    let mut bases: Vec<Base<'a>> = Vec::new();
    let mut known: Vec<(Format, Vec<&TaxRate>)> = Vec::with_capacity(Format::ALL.len());
    let mut add = |applied: &[&'a TaxRate], line: Option<usize>, of: Money| {
        let inside = Ppm(applied.iter().filter(|r| r.included).map(|r| r.rate.0).sum());
        for rate in applied {
            let at = bases.iter().position(|b| std::ptr::eq(b.rate, *rate) && b.inside == inside).unwrap_or_else(|| {
                bases.push(Base { rate, inside, lines: Vec::new(), shipping: None });
                bases.len() - 1
            });
            match line {
                Some(line) => bases[at].lines.push((line, of)),
                None => bases[at].shipping = Some(of),
            }
        }
    };
    for (n, line) in lines.enumerate() {
        let (format, of) = line?;
        if !known.iter().any(|(seen, _)| *seen == format) {
            known.push((format, rates_on(rates, format, to, now)));
        }
        let applied = known.iter().find(|(seen, _)| *seen == format).map_or(&[][..], |(_, rates)| rates);
        add(applied, Some(n), of);
    }
    if !shipping.is_zero()
        && let Some((_, applied)) = known.iter().find(|(format, _)| format.ships())
    {
        let applied: Vec<_> = applied.iter().copied().filter(|r| r.shipping_taxed).collect();
        add(&applied, None, shipping);
    }
    Ok(bases)
}

/// Nothing is due; where prices contain taxes, they are taken out of them.
fn relieve(quote: &mut Quote, bases: &[Base<'_>]) -> Result<(), MoneyError> {
    let zero = Money::zero(quote.currency);
    let mut goods: BTreeMap<usize, (Money, Money)> = BTreeMap::new();
    for base in bases.iter().filter(|b| b.rate.included) {
        let parts = base.parts(base.sum(quote.currency)?)?;
        for ((line, of), part) in base.lines.iter().zip(&parts) {
            let (_, relief) = goods.entry(*line).or_insert((*of, zero));
            *relief = relief.plus(*part)?;
        }
        if let (Some(shipping), Some(part)) = (base.shipping, parts.get(base.lines.len())) {
            quote.shipping = quote.shipping.minus(*part)?;
            quote.adjustments.push(exemption(AdjustmentKind::Shipping, zero.minus(*part)?, shipping));
        }
    }
    let mut shares = Vec::with_capacity(goods.len());
    for (line, (_, relief)) in &goods {
        let line = &mut quote.lines[*line];
        line.discount = line.discount.plus(*relief)?;
        quote.discount = quote.discount.plus(*relief)?;
        shares.push((line.item, zero.minus(*relief)?));
    }
    if !bases.is_empty() {
        let amount = Money::sum(quote.currency, shares.iter().map(|(_, part)| *part))?;
        let of = Money::sum(quote.currency, goods.into_values().map(|(of, _)| of))?;
        quote.adjustments.push(Adjustment { shares, ..exemption(AdjustmentKind::Exemption, amount, of) });
    }
    Ok(())
}

fn exemption(kind: AdjustmentKind, amount: Money, of: Money) -> Adjustment {
    Adjustment::new(kind, "EXEMPT".into(), label("Tax exemption"), amount, Reason::Exempt { of })
}
