//! The arithmetic of a benefit: what it would take off, line by line, of what is left of each.

use super::index::Index;
use super::promotion::{Benefit, Off, Part, Selector, Target, Tier};
use super::{QuotedLine, Reason, WhyNot};
use crate::catalog::HeadingId;
use crate::money::{Money, MoneyError, Ppm, Rounding};
use std::cmp::Reverse;
use std::sync::Arc;

/// The goods a benefit looks at.
pub(super) struct Goods<'a> {
    pub lines: &'a [QuotedLine],
    pub headings: &'a [Arc<[HeadingId]>],
    pub index: &'a Index<'a>,
    /// What earlier discounts left of each line.
    pub left: &'a [Money],
    /// The goods before discounts.
    pub subtotal: Money,
}

/// What is taken off: by line, with the arithmetic.
pub(super) struct Taken {
    /// Lines and positive amounts, in the order of lines.
    pub shares: Vec<(usize, Money)>,
    pub reason: Reason,
}

/// Either what is taken off, or why nothing is.
pub(super) type Outcome = Result<Result<Taken, WhyNot>, MoneyError>;

impl Goods<'_> {
    pub fn take(&self, benefit: &Benefit) -> Outcome {
        match benefit {
            Benefit::Each { of, off } => self.each(of, *off, |copies, of| Reason::Each { off: *off, copies, of }),
            Benefit::Tiers { of, tiers } => self.tiers(of, tiers),
            Benefit::BuyGet { buy, buy_count, get, get_count, off, times_max } => {
                self.buy_get((buy, *buy_count), (get, *get_count), *off, *times_max)
            }
            Benefit::Bundle { parts, off, times_max } => self.bundle(parts, *off, *times_max),
            Benefit::Goods { of, off } => self.sum(of, *off, |off, of| match off {
                Off::Rate(rate) => Reason::Percentage { rate, of },
                Off::Amount(_) => Reason::Fixed { of },
                Off::Price(price) => Reason::Price { price, of },
            }),
            Benefit::Spend { tiers } => self.spend(tiers),
            Benefit::Gift { .. } | Benefit::Shipping { .. } => Ok(Err(WhyNot::NothingMatches)),
        }
    }

    /// What it would take off altogether.
    pub fn worth(&self, benefit: &Benefit) -> Result<Money, MoneyError> {
        if let Benefit::Goods { of, off } = benefit {
            return Ok(self.lowered(of, *off)?.amount);
        }
        let Ok(taken) = self.take(benefit)? else { return Ok(self.zero()) };
        Money::sum(self.subtotal.currency(), taken.shares.iter().map(|(_, part)| *part))
    }

    /// Copies of what the target names.
    pub fn copies(&self, target: &Target) -> u64 {
        self.matching(target).map(|n| u64::from(self.lines[n].quantity.get())).sum()
    }

    fn matching<'b>(&'b self, target: &'b Target) -> impl Iterator<Item = usize> + 'b {
        let named = self.index.named_by(target);
        (0..named.len()).map(move |n| named[n]).filter(|n| self.is_for(*n, target))
    }

    fn is_for(&self, n: usize, target: &Target) -> bool {
        let line = &self.lines[n];
        let named = |selector: &Selector| match *selector {
            Selector::Edition(id) => line.edition == id,
            Selector::Book(id) => line.book == id,
            Selector::Heading(id) => self.headings[n].contains(&id),
            Selector::Format(format) => line.format == format,
        };
        (target.any.is_empty() || target.any.iter().any(named))
            && !target.except.iter().any(named)
            && !(target.full_price_only && line.unit_price.minor() < line.list_price.minor())
    }

    fn zero(&self) -> Money {
        Money::zero(self.subtotal.currency())
    }

    /// Lowers every matching copy.
    fn each(&self, of: &Target, off: Off, reason: impl FnOnce(u64, Money) -> Reason) -> Outcome {
        let (mut shares, mut copies, mut sum) = (Vec::new(), 0, self.zero());
        for n in self.matching(of) {
            let count = self.lines[n].quantity.get();
            let amount = off.from(self.left[n], count)?;
            copies += u64::from(count);
            sum = sum.plus(self.left[n])?;
            if !amount.is_zero() {
                shares.push((n, amount));
            }
        }
        Ok(self.taken(copies > 0, shares, || reason(copies, sum)))
    }

    fn tiers(&self, of: &Target, tiers: &[Tier<u32>]) -> Outcome {
        let copies = self.copies(of);
        let Some(tier) = tiers.iter().rev().find(|t| u64::from(t.from) <= copies) else {
            let least = tiers.first().map_or(0, |t| t.from);
            return Ok(Err(WhyNot::BelowCopies { least, have: copies }));
        };
        self.each(of, tier.off, |copies, of| Reason::Tier { from: tier.from, off: tier.off, copies, of })
    }

    /// Lowers the matching goods as one sum; each line bears its part.
    fn sum(&self, of: &Target, off: Off, reason: impl FnOnce(Off, Money) -> Reason) -> Outcome {
        let Lowered { lines, sum, amount } = self.lowered(of, off)?;
        Ok(self.taken(!lines.is_empty(), self.spread(amount, &lines), || reason(off, sum)))
    }

    fn lowered(&self, of: &Target, off: Off) -> Result<Lowered, MoneyError> {
        let lines: Vec<usize> = self.matching(of).collect();
        let sum = Money::sum(self.subtotal.currency(), lines.iter().map(|n| self.left[*n]))?;
        Ok(Lowered { lines, sum, amount: off.from(sum, 1)? })
    }

    /// An amount divided over lines by what is left of them.
    fn spread(&self, amount: Money, lines: &[usize]) -> Vec<(usize, Money)> {
        if amount.is_zero() {
            return Vec::new();
        }
        let weights: Vec<u64> = lines.iter().map(|n| self.left[*n].minor().unsigned_abs()).collect();
        lines.iter().copied().zip(amount.allocate(&weights)).filter(|(_, part)| !part.is_zero()).collect()
    }

    fn spend(&self, tiers: &[Tier<Money>]) -> Outcome {
        let Some(tier) = tiers.iter().rev().find(|t| t.from.minor() <= self.subtotal.minor()) else {
            let minimum = tiers.first().map_or(self.zero(), |t| t.from);
            return Ok(Err(WhyNot::BelowMinimum { minimum, have: Some(self.subtotal) }));
        };
        self.sum(&Target::default(), tier.off, |_, of| Reason::Spend { from: tier.from, off: tier.off, of })
    }

    fn buy_get(&self, buy: (&Target, u32), get: (&Target, u32), off: Ppm, times_max: Option<u32>) -> Outcome {
        let mut runs = self.runs(self.matching(get.0));
        runs.sort_unstable_by_key(|run| (run.each, run.line));
        let bought = self.copies(buy.0);
        let gotten: u64 = runs.iter().map(|r| u64::from(r.copies)).sum();
        if gotten == 0 {
            return Ok(Err(WhyNot::NothingMatches));
        }
        // Copies that are gotten cannot also be bought.
        let bought_beside = |k: u64| {
            let both = first(&runs, k).filter(|(run, _)| self.is_for(run.line, buy.0)).map(|(_, n)| n).sum::<u64>();
            bought - both
        };
        let fits = |k: u64| bought_beside(k) >= k.div_ceil(u64::from(get.1)).saturating_mul(u64::from(buy.1));
        let most = times_max.map_or(gotten, |times| gotten.min(u64::from(times) * u64::from(get.1)));
        let k = largest(most, fits);
        if k == 0 {
            return Ok(Err(WhyNot::BelowCopies { least: buy.1, have: bought_beside(1) }));
        }
        let (mut shares, mut of) = (Vec::new(), self.zero());
        for (line, worth) in by_line(first(&runs, k)) {
            let worth = self.money(worth)?;
            of = of.plus(worth)?;
            shares.push((line, Off::Rate(off).from(worth, 1)?));
        }
        shares.retain(|(_, part)| !part.is_zero());
        Ok(self.taken(true, shares, || Reason::BuyGet { bought: buy.1, gotten: k, rate: off, of }))
    }

    fn bundle(&self, parts: &[Part], off: Off, times_max: Option<u32>) -> Outcome {
        let mut free = vec![true; self.lines.len()];
        let mut dearest_first = |part: &Part| {
            let mut runs = self.runs(self.matching(&part.of).filter(|n| std::mem::replace(&mut free[*n], false)));
            runs.sort_unstable_by_key(|run| (Reverse(run.each), run.line));
            (u64::from(part.count), runs)
        };
        let runs: Vec<(u64, Vec<Run>)> = parts.iter().map(&mut dearest_first).collect();
        let there = |(count, runs): &(u64, Vec<Run>)| runs.iter().map(|r| u64::from(r.copies)).sum::<u64>() / count;
        let possible = runs.iter().map(there).min().unwrap_or(0).min(times_max.map_or(u64::MAX, u64::from));
        let worth = |sets: u64| {
            let part = |(count, runs): &(u64, Vec<Run>)| first(runs, sets * count).map(|(run, n)| run.worth(n)).sum::<i128>();
            runs.iter().map(part).sum::<i128>()
        };
        let sets = match off {
            // Each further set is worth at most as much as the one before: stop where a set is cheaper than its price.
            Off::Price(price) => largest(possible, |sets| worth(sets) - worth(sets - 1) > i128::from(price.minor())),
            Off::Rate(_) | Off::Amount(_) => possible,
        };
        if possible == 0 {
            let missing = runs.iter().zip(parts).find(|(r, _)| there(r) == 0);
            let have = missing.map_or(0, |((_, runs), _)| runs.iter().map(|r| u64::from(r.copies)).sum());
            return Ok(Err(WhyNot::BelowCopies { least: missing.map_or(0, |(_, p)| p.count), have }));
        }
        let of = self.money(worth(sets))?;
        let amount = off.from(of, u32::try_from(sets).unwrap_or(u32::MAX))?;
        let taken = by_line(runs.iter().flat_map(|(count, runs)| first(runs, sets * count)));
        let weights: Vec<u64> = taken.iter().map(|(_, worth)| u64::try_from(*worth).unwrap_or(0)).collect();
        let shares = taken.into_iter().map(|(line, _)| line).zip(amount.allocate(&weights)).filter(|(_, part)| !part.is_zero()).collect();
        Ok(self.taken(true, shares, || Reason::Bundle { sets, off, of }))
    }

    fn runs(&self, lines: impl IntoIterator<Item = usize>) -> Vec<Run> {
        let runs = lines.into_iter().flat_map(|n| Run::of(n, self.left[n], self.lines[n].quantity.get()));
        runs.filter(|run| run.copies > 0).collect()
    }

    fn money(&self, minor: i128) -> Result<Money, MoneyError> {
        Money::new(i64::try_from(minor).map_err(|_| MoneyError::Overflow)?, self.subtotal.currency())
    }

    fn taken(&self, matched: bool, shares: Vec<(usize, Money)>, reason: impl FnOnce() -> Reason) -> Result<Taken, WhyNot> {
        match (matched, shares.is_empty()) {
            (false, _) => Err(WhyNot::NothingMatches),
            (true, true) => Err(WhyNot::NothingLeft),
            (true, false) => Ok(Taken { shares, reason: reason() }),
        }
    }
}

/// Goods taken as one sum, and what it is lowered by.
struct Lowered {
    lines: Vec<usize>,
    sum: Money,
    amount: Money,
}

impl Off {
    /// What `times` copies or sets that are worth `worth` together are lowered by: never more than they are worth.
    pub(super) fn from(self, worth: Money, times: u32) -> Result<Money, MoneyError> {
        match self {
            Self::Rate(rate) => worth.share(rate, Rounding::HalfEven)?.min(worth),
            Self::Amount(amount) => amount.times_at_most(times, worth),
            Self::Price(price) => {
                let lowered = price.times_at_most(times, worth)?;
                worth.minus(lowered)
            }
        }
    }
}

/// Copies of one line that are worth the same.
struct Run {
    line: usize,
    copies: u32,
    each: i64,
}

impl Run {
    /// What is left of a line is divided over its copies as evenly as it goes: some are worth one minor unit more than the others.
    fn of(line: usize, left: Money, copies: u32) -> [Self; 2] {
        let (each, dear) = (left.minor() / i64::from(copies), left.minor() % i64::from(copies));
        let dear = u32::try_from(dear).unwrap_or(0);
        [Self { line, copies: copies - dear, each }, Self { line, copies: dear, each: each + 1 }]
    }

    fn worth(&self, n: u64) -> i128 {
        i128::from(n) * i128::from(self.each)
    }
}

/// What copies are worth, by line.
fn by_line<'a>(copies: impl Iterator<Item = (&'a Run, u64)>) -> Vec<(usize, i128)> {
    let mut worth: Vec<(usize, i128)> = copies.map(|(run, n)| (run.line, run.worth(n))).collect();
    worth.sort_unstable_by_key(|(line, _)| *line);
    worth.dedup_by(|(line, more), (before, sum)| {
        let same = line == before;
        *sum += if same { *more } else { 0 };
        same
    });
    worth
}

/// The first `k` copies: how many of each run.
fn first(runs: &[Run], k: u64) -> impl Iterator<Item = (&Run, u64)> {
    runs.iter().scan(k, |left, run| {
        let n = (*left).min(u64::from(run.copies));
        *left -= n;
        (n > 0).then_some((run, n))
    })
}

/// The largest of 1 to `most` that fits, where what follows one that does not fit does not fit either; else 0.
fn largest(most: u64, fits: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) { low = middle } else { high = middle - 1 }
    }
    low
}
