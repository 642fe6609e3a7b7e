//! Taxes as somebody else assesses them: what is asked, what may be believed of the answer, and what stands in for it.

use super::tax::{bases, charge};
use super::{Destination, Level, Place, Quote, Reason, TaxRate, Window};
use crate::catalog::Format;
use crate::ids::{ItemId, Sku, TaxName};
use crate::limits::{NAME_MAX, RULE_ID_MAX, RULE_PARTS_MAX};
use crate::money::{Currency, Money, MoneyError, Ppm, Rounding};
use crate::quantity::Quantity;
use crate::text::Text;
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What a tax is asked for: goods as discounted, what it costs to ship them, and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taxable {
    pub to: Destination,
    pub currency: Currency,
    /// Each item once.
    pub lines: Vec<TaxableLine>,
    pub shipping: Money,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxableLine {
    pub item: ItemId,
    pub sku: Sku,
    pub format: Format,
    pub quantity: Quantity,
    /// Of all copies, after discounts.
    pub amount: Money,
}

/// What is due on taxable goods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessed {
    /// The prices contain it.
    pub included: bool,
    pub taxes: Vec<Due>,
    /// Reckoned by rates known from elsewhere, because whoever knows could not say.
    pub estimated: bool,
}

/// What is due of one tax: of a jurisdiction, at a rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The jurisdiction, such as `US-CA`.
    pub code: Text<RULE_ID_MAX>,
    pub label: Text<NAME_MAX>,
    pub rate: Option<Ppm>,
    /// On each item that is taxed.
    pub lines: Vec<(ItemId, Money)>,
    pub shipping: Money,
}

/// What was last assessed, and of what: a question whose answer is known is not asked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// A digest of the [`Taxable`].
    pub asked: [u8; 16],
    pub assessed: Assessed,
}

/// Why an assessment is not one of these goods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbelievable {
    #[error("an assessment of more taxes than there can be")]
    TooManyTaxes,
    #[error("an assessment of an item that was not asked about")]
    OtherItem,
    #[error("an assessment of one item twice")]
    ItemTwice,
    #[error("an assessment in another currency")]
    OtherCurrency,
    #[error("an assessment below zero")]
    Negative,
    #[error("an assessment of more than the goods come to")]
    MoreThanGoods,
}

impl Taxable {
    /// What is to be taxed of a quote; `None` when there is nothing.
    ///
    /// # Errors
    /// A sum left the range of exact integers.
    pub fn of(quote: &Quote, to: &Destination) -> Result<Option<Self>, MoneyError> {
        let lines = quote.lines.iter().map(|line| {
            let amount = line.total.minus(line.discount)?;
            Ok(TaxableLine { item: line.item, sku: line.sku.clone(), format: line.format, quantity: line.quantity, amount })
        });
        let lines: Vec<_> = lines.collect::<Result<_, _>>()?;
        let taxable = Self { to: to.clone(), currency: quote.currency, lines, shipping: quote.shipping };
        Ok(Some(taxable).filter(|goods| !goods.lines.is_empty()))
    }

    /// What is due by these rates.
    ///
    /// # Errors
    /// A sum left the range of exact integers.
    pub fn at(&self, rates: &[TaxRate], now: Timestamp) -> Result<Assessed, MoneyError> {
        let lines = self.lines.iter().map(|line| Ok((line.format, line.amount)));
        let mut assessed = Assessed { included: false, taxes: Vec::new(), estimated: false };
        for base in bases(lines, self.shipping, rates, &self.to, now)? {
            assessed.included |= base.rate.included;
            let of = base.sum(self.currency)?;
            if of.is_zero() {
                continue;
            }
            let (parts, shipping) = base.split(of)?;
            assessed.taxes.push(Due {
                code: Text::parse(&base.rate.code()).expect("invariant: a country and a region are a short text"),
                label: base.rate.label.clone(),
                rate: Some(base.rate.rate),
                lines: base.lines.iter().map(|(line, _)| self.lines[*line].item).zip(parts).collect(),
                shipping,
            });
        }
        Ok(assessed)
    }
}

impl Assessed {
    /// Whether this can be true of these goods: each item that was asked about at most once a tax, nothing below zero, and no
    /// more than each of them, and shipping, comes to.
    ///
    /// # Errors
    /// The first thing that cannot be.
    pub fn check(&self, goods: &Taxable) -> Result<(), Unbelievable> {
        if self.taxes.len() > RULE_PARTS_MAX {
            return Err(Unbelievable::TooManyTaxes);
        }
        let mut left: BTreeMap<ItemId, Money> = goods.lines.iter().map(|line| (line.item, line.amount)).collect();
        let mut shipping = goods.shipping;
        for due in &self.taxes {
            let mut named = BTreeSet::new();
            for (item, amount) in &due.lines {
                if !named.insert(*item) {
                    return Err(Unbelievable::ItemTwice);
                }
                let left = left.get_mut(item).ok_or(Unbelievable::OtherItem)?;
                *left = take(*left, *amount)?;
            }
            shipping = take(shipping, due.shipping)?;
        }
        Ok(())
    }

    /// Charges it on a quote of the goods it was assessed for.
    pub(super) fn charge(&self, quote: &mut Quote) -> Result<(), MoneyError> {
        quote.tax_included = self.included;
        quote.tax_estimated = self.estimated;
        let places: BTreeMap<ItemId, usize> = quote.lines.iter().enumerate().map(|(n, line)| (line.item, n)).collect();
        for due in &self.taxes {
            let lines: Vec<_> = due.lines.iter().filter_map(|(item, part)| Some((*places.get(item)?, *part))).collect();
            let mut of = if due.shipping.is_zero() { Money::zero(quote.currency) } else { quote.shipping };
            for (line, _) in &lines {
                of = of.plus(quote.lines[*line].total.minus(quote.lines[*line].discount)?)?;
            }
            let reason = match due.rate {
                Some(rate) if self.estimated => Reason::Tax { rate, of, included: self.included },
                rate => Reason::Assessed { rate, of, included: self.included },
            };
            charge(quote, due.code.to_string(), due.label.clone(), reason, lines, due.shipping)?;
        }
        Ok(())
    }
}

fn take(left: Money, amount: Money) -> Result<Money, Unbelievable> {
    let rest = left.minus(amount).map_err(|_| Unbelievable::OtherCurrency)?;
    match amount.minor() {
        ..0 => Err(Unbelievable::Negative),
        _ if rest.minor() < 0 => Err(Unbelievable::MoreThanGoods),
        _ => Ok(rest),
    }
}

/// The rates that an assessment comes to: what can be said of other goods that go to the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRates {
    /// The formats that were assessed.
    formats: Vec<Format>,
    rates: Vec<TaxRate>,
}

impl LastRates {
    /// Of each tax on each format: the rate that was named, where it gives what is due, else what is due by what it is due on.
    pub fn of(assessed: &Assessed, goods: &Taxable) -> Self {
        let formats: Vec<_> = Format::ALL.into_iter().filter(|format| goods.lines.iter().any(|line| line.format == *format)).collect();
        let place = Place { region: goods.to.region.clone(), ..Place::country(goods.to.country) };
        let rate = |(n, due): (usize, &Due), format: Format| {
            let tax = TaxName::parse(&format!("TAX-{n}")).expect("invariant: a name and a number");
            Some(TaxRate {
                tax,
                place: place.clone(),
                label: due.label.clone(),
                rate: effective(assessed, due, goods, format)?,
                formats: vec![format],
                included: assessed.included,
                shipping_taxed: !due.shipping.is_zero(),
                rounding: Rounding::HalfEven,
                level: Level::Line,
                window: Window::default(),
                source: None,
            })
        };
        let taxes = assessed.taxes.iter().enumerate();
        let rates = taxes.flat_map(|tax| formats.iter().filter_map(move |format| rate(tax, *format))).collect();
        Self { formats, rates }
    }

    /// What is probably due, if every format among the goods is known.
    ///
    /// # Errors
    /// A sum left the range of exact integers.
    pub fn estimate(&self, goods: &Taxable, now: Timestamp) -> Result<Option<Assessed>, MoneyError> {
        if goods.lines.iter().any(|line| !self.formats.contains(&line.format)) {
            return Ok(None);
        }
        Ok(Some(Assessed { estimated: true, ..goods.at(&self.rates, now)? }))
    }
}

/// The rate of one tax on the goods of a format, `None` when they are not taxed.
fn effective(assessed: &Assessed, due: &Due, goods: &Taxable, format: Format) -> Option<Ppm> {
    let of_format = |item: &ItemId| goods.lines.iter().any(|line| line.item == *item && line.format == format);
    let sum = |due: &Due| due.lines.iter().filter(|(item, _)| of_format(item)).map(|(_, part)| i128::from(part.minor())).sum::<i128>();
    let (part, lines) = (sum(due), goods.lines.iter().filter(|line| line.format == format));
    let inside: i128 = if assessed.included { assessed.taxes.iter().map(sum).sum() } else { 0 };
    let net = lines.clone().map(|line| i128::from(line.amount.minor())).sum::<i128>() - inside;
    if part <= 0 || net <= 0 {
        return None;
    }
    // Rounding may have added or taken a unit of each line.
    let gives = |rate: &Ppm| {
        let off = net * i128::from(rate.0) - part * i128::from(Ppm::ONE.0);
        off.unsigned_abs() <= lines.clone().count() as u128 * u128::from(Ppm::ONE.0)
    };
    let worked_out = (part * i128::from(Ppm::ONE.0) + net / 2) / net;
    let worked_out = Ppm(u32::try_from(worked_out).unwrap_or(u32::MAX)).min(Ppm::ONE);
    Some(due.rate.filter(gives).unwrap_or(worked_out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::person::Country;

    fn usd(minor: i64) -> Money {
        Money::new(minor, Currency::parse("USD").expect("a currency")).expect("in range")
    }

    fn text<const N: usize>(text: &str) -> Text<N> {
        Text::parse(text).expect("a short text")
    }

    /// Paperbacks 1, 2, … that come to these amounts, and an e-book 9.
    fn goods(paper: &[i64], ebook: i64, shipping: i64) -> Taxable {
        let line = |n: u128, format, amount| TaxableLine {
            item: ItemId(n),
            sku: Sku::parse(&format!("SKU-{n}")).expect("a sku"),
            format,
            quantity: Quantity::ONE,
            amount: usd(amount),
        };
        let paper = paper.iter().zip(1..).map(|(amount, n)| line(n, Format::Paperback, *amount));
        let to = Destination { region: Some(text("CA")), ..Destination::country(Country::parse("US").expect("a country")) };
        let lines = paper.chain((ebook > 0).then(|| line(9, Format::Ebook, ebook))).collect();
        Taxable { to, currency: usd(0).currency(), lines, shipping: usd(shipping) }
    }

    fn due(rate: Option<u32>, lines: &[(u128, i64)], shipping: i64) -> Due {
        let lines = lines.iter().map(|(item, part)| (ItemId(*item), usd(*part))).collect();
        Due { code: text("US-CA"), label: text("Tax"), rate: rate.map(Ppm), lines, shipping: usd(shipping) }
    }

    fn assessed(included: bool, taxes: Vec<Due>) -> Assessed {
        Assessed { included, taxes, estimated: false }
    }

    #[test]
    fn what_cannot_be_true_is_not_believed() {
        let goods = goods(&[1000, 500], 0, 499);
        let eur = Money::zero(Currency::parse("EUR").expect("a currency"));
        let other_currency = Due { lines: vec![(ItemId(1), eur)], ..due(None, &[], 0) };
        let other_shipping = Due { shipping: eur, ..due(None, &[(1, 5)], 0) };
        for (taxes, expected) in [
            (vec![], Ok(())),
            (vec![due(Some(80_000), &[(1, 80), (2, 40)], 40)], Ok(())),
            (vec![due(None, &[(1, 1000), (2, 0)], 499)], Ok(())),
            (vec![due(None, &[(1, 600)], 0), due(None, &[(1, 400)], 0)], Ok(())),
            (vec![due(None, &[(1, 600)], 0), due(None, &[(1, 401)], 0)], Err(Unbelievable::MoreThanGoods)),
            (vec![due(None, &[(2, 501)], 0)], Err(Unbelievable::MoreThanGoods)),
            (vec![due(None, &[], 300), due(None, &[], 200)], Err(Unbelievable::MoreThanGoods)),
            (vec![due(None, &[(1, -1)], 0)], Err(Unbelievable::Negative)),
            (vec![due(None, &[], -1)], Err(Unbelievable::Negative)),
            (vec![due(None, &[(3, 1)], 0)], Err(Unbelievable::OtherItem)),
            (vec![due(None, &[(1, 1), (1, 1)], 0)], Err(Unbelievable::ItemTwice)),
            (vec![other_currency], Err(Unbelievable::OtherCurrency)),
            (vec![other_shipping], Err(Unbelievable::OtherCurrency)),
            (vec![due(None, &[], 0); RULE_PARTS_MAX + 1], Err(Unbelievable::TooManyTaxes)),
        ] {
            let assessed = assessed(false, taxes);
            assert_eq!(assessed.check(&goods), expected, "{assessed:?}");
        }
    }

    #[test]
    fn last_rates_say_of_other_goods_what_was_said_of_the_first() {
        let paper = |rate, part| due(rate, &[(1, part)], 0);
        for (included, taxes, of, other, parts) in [
            // 7.25 % of 10.00 is 0.725: the rate that was named, not the 7.2 % or 7.3 % that rounding makes of it.
            (false, vec![paper(Some(72_500), 72)], (1000, 0), (100_000, 0), vec![7250]),
            (false, vec![paper(Some(72_500), 73)], (1000, 0), (100_000, 0), vec![7250]),
            // A rate that is far from what is due is not the effective one.
            (false, vec![paper(Some(200_000), 72)], (1000, 0), (100_000, 0), vec![7200]),
            (false, vec![paper(None, 73)], (1000, 0), (100_000, 0), vec![7300]),
            // Inside the price: 0.70 of 10.70.
            (true, vec![paper(None, 70)], (1070, 0), (10_700, 0), vec![700]),
            (true, vec![paper(None, 50), paper(None, 20)], (1070, 0), (10_700, 0), vec![500, 200]),
            // E-books are not taxed.
            (false, vec![paper(None, 100)], (1000, 500), (2000, 700), vec![200]),
            (false, vec![], (1000, 0), (2000, 0), vec![]),
        ] {
            let goods_then = goods(&[of.0], of.1, 0);
            let then = assessed(included, taxes);
            then.check(&goods_then).expect("believable");
            let goods = goods(&[other.0], other.1, 0);
            let now = LastRates::of(&then, &goods_then).estimate(&goods, Timestamp(0)).expect("in range").expect("known formats");
            assert!(now.estimated && (now.included == included || parts.is_empty()));
            let got: Vec<i64> = now.taxes.iter().flat_map(|due| &due.lines).map(|(_, part)| part.minor()).collect();
            assert_eq!(got, parts, "{then:?}");
            assert_eq!(now.check(&goods), Ok(()), "{then:?}");
        }
    }

    #[test]
    fn last_rates_know_only_the_formats_and_the_shipping_they_are_of() {
        let paper = goods(&[1000], 0, 500);
        let rates = LastRates::of(&assessed(false, vec![due(None, &[(1, 100)], 50)]), &paper);
        assert_eq!(rates.estimate(&goods(&[1000], 700, 0), Timestamp(0)), Ok(None));
        let same = rates.estimate(&paper, Timestamp(0)).expect("in range").expect("known");
        assert_eq!((same.taxes[0].lines[0].1, same.taxes[0].shipping), (usd(100), usd(50)));
    }
}
