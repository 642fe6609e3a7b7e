//! Which promotions apply, in which order, and what they take off.
//!
//! A pass works like this. What cannot apply whatever the others do is set aside first (times, budgets, who, minimums
//! of the subtotal). Then exclusive ones and groups are decided, on goods before any discount, so that the outcome does not
//! depend on the order of lines or of other promotions. The remaining ones take their turn: items, cart, codes in the
//! order they were given; within a step by priority, then by id; each on what the ones before left. At the end
//! minimums of discounted goods are tested again: where a later discount made one untrue, its promotion is set
//! aside and everything is computed anew, at most once per promotion.

use super::bar::bar;
use super::benefit::{Goods, Outcome, Taken};
use super::index::Index;
use super::promotion::{Basis, Benefit, Promotion, Stacking, Step};
use super::usage::{Counter, uses};
use super::{
    Adjustment, AdjustmentKind, Context, Facts, Given, Limited, NotApplied, Quote, QuotedLine, Reason, Rules, ShippingOption, WhyNot,
};
use crate::catalog::{HeadingId, Offers};
use crate::ids::{EditionId, ItemId, ShippingOptionId};
use crate::money::{Money, MoneyError};
use crate::planted;
use crate::quantity::Quantity;
use crate::time::Timestamp;
use std::cmp::Reverse;
use std::sync::Arc;

/// A promotion that has its turn in a quote.
struct Candidate<'a> {
    promotion: &'a Promotion,
    given: Option<&'a Given>,
    step: Step,
    /// Why it is out whatever the others do.
    barred: Option<WhyNot>,
    /// Why it did not take anything off in this pass.
    out: Option<WhyNot>,
    applied: bool,
}

impl Candidate<'_> {
    fn is_in(&self) -> bool {
        self.barred.is_none() && self.out.is_none()
    }
}

/// A quote on its way through the promotions.
pub(super) struct Promoting<'a> {
    quote: &'a mut Quote,
    headings: &'a [Arc<[HeadingId]>],
    context: &'a Context,
    rules: &'a Rules,
    now: Timestamp,
    candidates: Vec<Candidate<'a>>,
    unknown: Vec<NotApplied>,
    offers: &'a dyn Offers,
    /// What each line of the cart comes to before discounts; gifts that are added come after them.
    whole: Vec<Money>,
    /// What is left of each by now.
    left: Vec<Money>,
    index: Index<'a>,
    /// The goods of the cart before discounts.
    subtotal: Money,
    /// Adjustments that are no promotions' come first.
    base: usize,
}

impl<'a> Promoting<'a> {
    pub fn new(
        quote: &'a mut Quote,
        headings: &'a [Arc<[HeadingId]>],
        codes: &'a [Given],
        offers: &'a dyn Offers,
        rules: &'a Rules,
        context: &'a Context,
        now: Timestamp,
    ) -> Self {
        let mut candidates: Vec<Candidate<'a>> = Vec::new();
        let mut unknown = Vec::new();
        for promotion in rules.automatic() {
            candidates.push(Candidate { promotion, given: None, step: promotion.benefit.step(), barred: None, out: None, applied: false });
        }
        candidates.sort_by_key(|c| c.step);
        for given in codes {
            let Some(promotion) = given.promotion.as_ref().and_then(|id| rules.promotion(id)) else {
                unknown.push(NotApplied { code: Some(given.code.clone()), promotion: None, label: None, why: WhyNot::Unknown });
                continue;
            };
            let twice = candidates.iter().any(|c| c.promotion.id == promotion.id);
            let step = promotion.benefit.step().max(Step::Coupons);
            let barred = twice.then_some(WhyNot::GivenTwice);
            candidates.push(Candidate { promotion, given: Some(given), step, barred, out: None, applied: false });
        }
        candidates.sort_by_key(|c| c.step);
        let whole: Vec<Money> = quote.lines.iter().map(|l| l.total).collect();
        let (left, index) = (whole.clone(), Index::of(rules.named(), &quote.lines, headings));
        let base = quote.adjustments.len();
        let subtotal = quote.subtotal;
        let mut this = Self { quote, headings, context, rules, now, candidates, unknown, offers, whole, left, index, subtotal, base };
        this.bar();
        this
    }

    /// Sets aside what cannot apply whatever the others do.
    fn bar(&mut self) {
        let facts = Facts { quote: self.quote, headings: self.headings, context: self.context };
        let goods = self.goods_with(&self.whole);
        let why = |c: &Candidate<'_>| c.barred.clone().or_else(|| bar(c.promotion, c.given, &goods, &facts, self.now));
        let barred: Vec<_> = self.candidates.iter().map(why).collect();
        for (candidate, barred) in self.candidates.iter_mut().zip(barred) {
            candidate.barred = barred;
        }
    }

    /// Takes off what promotions for goods take off.
    pub fn goods(&mut self) -> Result<(), MoneyError> {
        if self.candidates.is_empty() {
            return Ok(());
        }
        loop {
            self.decide_apart(|step| step != Step::Shipping)?;
            for n in 0..self.candidates.len() {
                if self.candidates[n].is_in() && self.candidates[n].promotion.benefit.step() != Step::Shipping {
                    let outcome = self.try_goods(n)?;
                    self.settle(n, outcome)?;
                }
            }
            let Some(broken) = self.broken()? else { return Ok(()) };
            self.candidates[broken.0].barred = Some(broken.1);
            self.start_again();
        }
    }

    /// Prices shipping as discounted goods need it.
    pub fn ship(&mut self, options: &[&ShippingOption], chosen: Option<&ShippingOptionId>) -> Result<(), MoneyError> {
        super::shipping::ship(self.quote, options, chosen)
    }

    /// Takes off what promotions for shipping take off its price.
    pub fn shipping(&mut self) -> Result<(), MoneyError> {
        self.decide_apart(|step| step == Step::Shipping)?;
        for n in 0..self.candidates.len() {
            let promotion = self.candidates[n].promotion;
            let Benefit::Shipping { off } = promotion.benefit else { continue };
            if !self.candidates[n].is_in() {
                continue;
            }
            let left = self.quote.shipping;
            if let Some(why) = self.no_shipping(promotion)? {
                self.candidates[n].out = Some(why);
                continue;
            }
            let taken = off.from(left, 1)?;
            let (amount, limited) = self.limit(promotion, taken)?;
            if amount.is_zero() {
                self.candidates[n].out = Some(WhyNot::NothingLeft);
                continue;
            }
            self.quote.shipping = left.minus(amount)?;
            self.record(n, AdjustmentKind::Shipping, amount, Vec::new(), Reason::Shipping { off, of: left }, limited)?;
        }
        Ok(())
    }

    fn no_shipping(&self, promotion: &Promotion) -> Result<Option<WhyNot>, MoneyError> {
        if self.quote.shipping_option.is_none() {
            return Ok(Some(WhyNot::NoShipping));
        }
        Ok(self.full().or(self.below_discounted(promotion, Money::zero(self.quote.currency))?))
    }

    /// Says why the others did not apply.
    pub fn finish(self) {
        let mut not_applied = self.unknown;
        for c in self.candidates {
            if let Some(why) = c.barred.or(c.out).filter(|_| !c.applied) {
                not_applied.push(NotApplied {
                    code: c.given.map(|g| g.code.clone()),
                    promotion: Some(c.promotion.id.clone()),
                    label: Some(c.promotion.label.clone()),
                    why,
                });
            }
        }
        self.quote.not_applied = not_applied;
    }

    /// Decides exclusive ones and groups, on the whole price of what the step is about.
    fn decide_apart(&mut self, of: impl Fn(Step) -> bool) -> Result<(), MoneyError> {
        let apart = |c: &Candidate<'_>| c.is_in() && of(c.promotion.benefit.step()) && c.promotion.stacking != Stacking::Combine;
        let apart: Vec<usize> = (0..self.candidates.len()).filter(|n| apart(&self.candidates[*n])).collect();
        let mut beaten = Vec::new();
        let worth = apart.into_iter().map(|n| Ok((n, self.worth_alone(n)?))).collect::<Result<Vec<_>, MoneyError>>()?;
        let stacking = |n: usize| &self.candidates[n].promotion.stacking;
        let first = |n: usize| (self.candidates[n].promotion.priority, Reverse(n));
        let exclusive = worth.iter().filter(|(n, worth)| *stacking(*n) == Stacking::Exclusive && *worth > 0);
        if let Some((winner, _)) = exclusive.max_by_key(|(n, _)| first(*n)) {
            self.exclude(*winner, of);
            return Ok(());
        }
        for (n, _) in worth.iter().filter(|(n, worth)| *worth > 0 && *stacking(*n) != Stacking::Exclusive) {
            let members = worth.iter().filter(|(m, _)| stacking(*m) == stacking(*n));
            let best = members.max_by_key(|(m, worth)| (*worth, first(*m))).map_or(*n, |(m, _)| *m);
            if best != *n {
                beaten.push((*n, WhyNot::BetterInGroup { by: self.candidates[best].promotion.id.clone() }));
            }
        }
        for (n, why) in beaten {
            self.candidates[n].out = Some(why);
        }
        Ok(())
    }

    /// Nothing else applies; one for goods keeps away those for shipping too, which come later.
    fn exclude(&mut self, winner: usize, of: impl Fn(Step) -> bool) {
        let by = self.candidates[winner].promotion.id.clone();
        for (n, other) in self.candidates.iter_mut().enumerate() {
            if n != winner && other.is_in() && (of(other.promotion.benefit.step()) || of(Step::Items)) {
                other.out = Some(WhyNot::Excluded { by: by.clone() });
            }
        }
    }

    /// What it would take off goods, or shipping, that nothing else has touched.
    fn worth_alone(&self, n: usize) -> Result<i64, MoneyError> {
        let promotion = self.candidates[n].promotion;
        if self.below_discounted(promotion, Money::zero(self.quote.currency))?.is_some() {
            return Ok(0);
        }
        if let Benefit::Shipping { off } = promotion.benefit {
            return Ok(self.limit(promotion, off.from(self.quote.shipping, 1)?)?.0.minor());
        }
        let lines = &self.quote.lines[..self.whole.len()];
        if let Benefit::Gift { edition } = promotion.benefit {
            return match lines.iter().find(|l| l.edition == edition) {
                Some(line) => Ok(self.limit(promotion, line.unit_price)?.0.minor()),
                None => Ok(self.gift(promotion, edition)?.map_or(0, |line| line.total.minor())),
            };
        }
        let worth = self.goods_with(&self.whole).worth(&promotion.benefit)?;
        Ok(self.limit(promotion, worth)?.0.minor())
    }

    fn try_goods(&mut self, n: usize) -> Outcome {
        let promotion = self.candidates[n].promotion;
        if let Some(why) = self.full().or(self.below_discounted(promotion, Money::zero(self.quote.currency))?) {
            return Ok(Err(why));
        }
        if let Benefit::Gift { edition } = promotion.benefit {
            return self.give(promotion, edition);
        }
        self.goods_with(&self.left).take(&promotion.benefit)
    }

    /// The goods of the cart, so much left of each line.
    fn goods_with<'b>(&'b self, left: &'b [Money]) -> Goods<'b> {
        let lines = &self.quote.lines[..self.whole.len()];
        Goods { lines, headings: self.headings, index: &self.index, left, subtotal: self.subtotal }
    }

    /// One copy for nothing: the cheapest of those in the cart, else one that is added.
    fn give(&mut self, promotion: &Promotion, edition: EditionId) -> Outcome {
        let n = match self.quote.lines.iter().position(|l| l.edition == edition) {
            Some(n) => n,
            None => match self.gift(promotion, edition)? {
                Ok(line) => self.add(line)?,
                Err(why) => return Ok(Err(why)),
            },
        };
        let line = &self.quote.lines[n];
        let left = line.total.minus(line.discount)?;
        let one = Money::new(left.minor() / i64::from(line.quantity.get()), left.currency())?;
        Ok(if one.is_zero() { Err(WhyNot::NothingLeft) } else { Ok(Taken { shares: vec![(n, one)], reason: Reason::Gift }) })
    }

    /// A copy to add to the lines, unless a part of it would have to be paid: nobody asked for it.
    fn gift(&self, promotion: &Promotion, edition: EditionId) -> Result<Result<QuotedLine, WhyNot>, MoneyError> {
        let Some(offer) = self.offers.offer(edition).filter(|o| o.available > 0) else { return Ok(Err(WhyNot::OutOfStock)) };
        let Some(line) = super::priced(offer, Quantity::ONE, self.rules, self.quote.currency, self.now)? else {
            return Ok(Err(WhyNot::OtherCurrency));
        };
        if line.total.is_zero() {
            return Ok(Err(WhyNot::NothingLeft));
        }
        if self.limit(promotion, line.total)?.1.is_some() {
            return Ok(Err(WhyNot::Exhausted));
        }
        Ok(Ok(QuotedLine { gift: true, ..line }))
    }

    fn add(&mut self, line: QuotedLine) -> Result<usize, MoneyError> {
        self.quote.subtotal = self.quote.subtotal.plus(line.total)?;
        self.quote.item_count += 1;
        self.quote.lines.push(line);
        Ok(self.quote.lines.len() - 1)
    }

    /// Takes it off, or notes why not.
    fn settle(&mut self, n: usize, outcome: Result<Taken, WhyNot>) -> Result<(), MoneyError> {
        let taken = match outcome {
            Ok(taken) => taken,
            Err(why) => {
                self.candidates[n].out = Some(why);
                return Ok(());
            }
        };
        let full = Money::sum(self.quote.currency, taken.shares.iter().map(|(_, part)| *part))?;
        let (amount, limited) = self.limit(self.candidates[n].promotion, full)?;
        if amount.is_zero() {
            self.candidates[n].out = Some(WhyNot::Exhausted);
            return Ok(());
        }
        let mut shares = taken.shares;
        if amount != full {
            let weights: Vec<u64> = shares.iter().map(|(_, part)| part.minor().unsigned_abs()).collect();
            for (share, part) in shares.iter_mut().zip(amount.allocate(&weights)) {
                share.1 = part;
            }
        }
        self.quote.discount = self.quote.discount.plus(amount)?;
        let zero = Money::zero(self.quote.currency);
        let mut told = Vec::with_capacity(shares.len());
        for (line, part) in shares {
            if let Some(left) = self.left.get_mut(line) {
                *left = left.minus(part)?;
            }
            let line = &mut self.quote.lines[line];
            line.discount = line.discount.plus(part)?;
            told.push((line.item, zero.minus(part)?));
        }
        let kind = if self.candidates[n].given.is_some() { AdjustmentKind::Coupon } else { AdjustmentKind::Promotion };
        self.record(n, kind, amount, told, taken.reason, limited)
    }

    fn record(
        &mut self,
        n: usize,
        kind: AdjustmentKind,
        amount: Money,
        shares: Vec<(ItemId, Money)>,
        reason: Reason,
        limited: Option<Limited>,
    ) -> Result<(), MoneyError> {
        let Candidate { promotion, given, .. } = self.candidates[n];
        self.candidates[n].applied = true;
        let code = given.map_or_else(|| promotion.id.to_string(), |g| g.code.to_string());
        let lowered = Money::zero(self.quote.currency).minus(amount)?;
        let item = match shares.as_slice() {
            [(item, _)] => Some(*item),
            _ => None,
        };
        let plain = Adjustment::new(kind, code, promotion.label.clone(), lowered, reason);
        self.quote.adjustments.push(Adjustment { item, shares, limited, promotion: Some(promotion.id.clone()), ..plain });
        self.quote.uses.extend(uses(promotion, given, self.context, amount));
        Ok(())
    }

    /// No more than the cap and what is left of the budget.
    fn limit(&self, promotion: &Promotion, amount: Money) -> Result<(Money, Option<Limited>), MoneyError> {
        let mut limited = (amount, None);
        if let Some(cap) = promotion.cap.filter(|cap| cap.minor() < amount.minor()) {
            limited = (cap, Some(Limited::Cap));
        }
        if let Some(budget) = promotion.budget.amount.filter(|_| !planted("budget-not-checked")) {
            let spent = i64::try_from(self.context.usage.of(&Counter::Spent(promotion.id.clone()))).unwrap_or(i64::MAX);
            let left = budget.minor().saturating_sub(spent).max(0);
            if left < limited.0.minor() {
                limited = (Money::new(left, budget.currency())?, Some(Limited::Budget));
            }
        }
        Ok(limited)
    }

    /// Whether as many promotions apply as may.
    fn full(&self) -> Option<WhyNot> {
        let max = self.rules.stack_max()?;
        let applied = self.candidates.iter().filter(|c| c.applied).count();
        (applied >= max as usize).then_some(WhyNot::StackFull { max })
    }

    /// Whether discounted goods are below the promotion's minimum, its own discount not counted.
    fn below_discounted(&self, promotion: &Promotion, own: Money) -> Result<Option<WhyNot>, MoneyError> {
        let Some(minimum) = promotion.needs.minimum.filter(|m| m.basis == Basis::Discounted) else { return Ok(None) };
        let goods = self.quote.subtotal.minus(self.quote.discount)?.plus(own)?;
        let below = WhyNot::BelowMinimum { minimum: minimum.amount, have: Some(goods) };
        Ok((goods.minor() < minimum.amount.minor()).then_some(below))
    }

    /// The first promotion that later ones made untrue.
    fn broken(&self) -> Result<Option<(usize, WhyNot)>, MoneyError> {
        let tested = |c: &Candidate<'_>| c.applied && c.promotion.needs.minimum.is_some_and(|m| m.basis == Basis::Discounted);
        for (n, candidate) in self.candidates.iter().enumerate().filter(|(_, c)| tested(c)) {
            let own = self.quote.adjustments[self.base..].iter().find(|a| a.promotion.as_ref() == Some(&candidate.promotion.id));
            let own = own.map_or(Ok(Money::zero(self.quote.currency)), |a| Money::zero(self.quote.currency).minus(a.amount))?;
            if let Some(why) = self.below_discounted(candidate.promotion, own)? {
                return Ok(Some((n, why)));
            }
        }
        Ok(None)
    }

    fn start_again(&mut self) {
        let zero = Money::zero(self.quote.currency);
        self.quote.adjustments.truncate(self.base);
        self.quote.uses.clear();
        self.quote.discount = zero;
        self.quote.item_count -= (self.quote.lines.len() - self.whole.len()) as u64;
        self.quote.lines.truncate(self.whole.len());
        self.quote.subtotal = self.subtotal;
        self.left.clone_from(&self.whole);
        for line in &mut self.quote.lines {
            line.discount = zero;
        }
        for candidate in &mut self.candidates {
            candidate.out = None;
            candidate.applied = false;
        }
    }
}
