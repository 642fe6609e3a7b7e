//! What holds of every quote, whatever the rules and the cart.

mod random;

use domain::ids::{ItemId, PromotionId};
use domain::money::Money;
use domain::pricing::*;
use domain::quantity::Quantity;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use random::{Scenario, scenarios, usd};
use std::collections::{BTreeMap, BTreeSet};

fn sum(parts: impl IntoIterator<Item = Money>) -> i64 {
    parts.into_iter().map(Money::minor).sum()
}

fn of_kind<'a>(quote: &'a Quote, kinds: &'a [AdjustmentKind]) -> impl Iterator<Item = &'a Adjustment> {
    quote.adjustments.iter().filter(|a| kinds.contains(&a.kind))
}

const LOWERING: &[AdjustmentKind] = &[AdjustmentKind::Promotion, AdjustmentKind::Coupon, AdjustmentKind::Exemption];

/// Each item's part of some adjustments.
fn shares(quote: &Quote, kinds: &[AdjustmentKind]) -> BTreeMap<ItemId, i64> {
    let mut parts = BTreeMap::new();
    for (item, part) in of_kind(quote, kinds).flat_map(|a| &a.shares) {
        *parts.entry(*item).or_default() += part.minor();
    }
    parts
}

/// Promotions that took something off, in order.
fn applied(quote: &Quote) -> Vec<&PromotionId> {
    quote.adjustments.iter().filter_map(|a| a.promotion.as_ref()).collect()
}

fn promotion<'a>(scenario: &'a Scenario, id: &PromotionId) -> &'a Promotion {
    scenario.promotions.iter().find(|p| p.id == *id).expect("a promotion of the scenario")
}

proptest! {
    #[test]
    fn a_quote_is_the_sum_of_its_parts(scenario in scenarios(8)) {
        let q = scenario.quote().expect("in range");
        prop_assert_eq!(sum(q.lines.iter().map(|l| l.total)), q.subtotal.minor());
        prop_assert_eq!(sum(q.lines.iter().map(|l| l.discount)), q.discount.minor());
        prop_assert_eq!(-sum(of_kind(&q, LOWERING).map(|a| a.amount)), q.discount.minor());
        prop_assert_eq!(sum(of_kind(&q, &[AdjustmentKind::Shipping]).map(|a| a.amount)), q.shipping.minor());
        prop_assert_eq!(sum(of_kind(&q, &[AdjustmentKind::Tax]).map(|a| a.amount)), q.tax.minor());
        let on_top = if q.tax_included { 0 } else { q.tax.minor() };
        prop_assert_eq!(q.subtotal.minor() - q.discount.minor() + q.shipping.minor() + on_top, q.total.minor());
        prop_assert_eq!(q.lines.iter().map(|l| u64::from(l.quantity.get())).sum::<u64>(), q.item_count);
    }

    #[test]
    fn nothing_is_negative(scenario in scenarios(8)) {
        let q = scenario.quote().expect("in range");
        prop_assert!([q.subtotal, q.discount, q.shipping, q.tax, q.total].iter().all(|m| m.minor() >= 0));
        for line in &q.lines {
            prop_assert!((0..=line.total.minor()).contains(&line.discount.minor()), "{:?}", line);
            prop_assert!(line.tax.minor() >= 0);
            prop_assert_eq!(line.total, line.unit_price.times(line.quantity.get()).expect("in range"));
        }
    }

    #[test]
    fn shares_are_their_adjustment_and_their_line(scenario in scenarios(8)) {
        let q = scenario.quote().expect("in range");
        for a in of_kind(&q, LOWERING) {
            prop_assert_eq!(sum(a.shares.iter().map(|(_, part)| *part)), a.amount.minor(), "{:?}", a);
            prop_assert!(a.shares.iter().all(|(_, part)| part.minor() <= 0));
        }
        let (lowered, taxed) = (shares(&q, LOWERING), shares(&q, &[AdjustmentKind::Tax]));
        let of = |parts: &BTreeMap<ItemId, i64>, item| parts.get(&item).copied().unwrap_or(0);
        for line in &q.lines {
            prop_assert_eq!(-of(&lowered, line.item), line.discount.minor());
            prop_assert_eq!(of(&taxed, line.item), line.tax.minor());
        }
        // The rest of a tax is on shipping.
        for a in of_kind(&q, &[AdjustmentKind::Tax]) {
            let rest = a.amount.minor() - sum(a.shares.iter().map(|(_, part)| *part));
            prop_assert!(rest == 0 || rest > 0 && !q.shipping.is_zero(), "{:?}", a);
        }
    }

    #[test]
    fn every_promotion_either_applied_or_says_why_not(scenario in scenarios(8)) {
        let q = scenario.quote().expect("in range");
        let automatic = scenario.promotions.iter().filter(|p| p.active && p.trigger == Trigger::Automatic).count();
        let told: Vec<_> = applied(&q).into_iter().chain(q.not_applied.iter().filter_map(|n| n.promotion.as_ref())).collect();
        let unknown = scenario.codes.iter().filter(|g| g.promotion.is_none()).count();
        prop_assert_eq!(told.len() + unknown, automatic + scenario.codes.len());
        prop_assert_eq!(applied(&q).iter().collect::<BTreeSet<_>>().len(), applied(&q).len(), "none twice");
    }

    #[test]
    fn caps_budgets_and_conditions_are_kept(scenario in scenarios(8)) {
        let q = scenario.quote().expect("in range");
        for a in q.adjustments.iter().filter(|a| a.promotion.is_some()) {
            let promotion = promotion(&scenario, a.promotion.as_ref().expect("filtered"));
            let taken = -a.amount.minor();
            let spent = i64::try_from(scenario.context.usage.of(&Counter::Spent(promotion.id.clone()))).expect("small");
            prop_assert!(taken > 0);
            prop_assert!(promotion.cap.is_none_or(|cap| taken <= cap.minor()));
            prop_assert!(promotion.budget.amount.is_none_or(|budget| spent + taken <= budget.minor()));
            prop_assert!(promotion.active && promotion.window.is_open(scenario.now));
            let own = if matches!(promotion.benefit, Benefit::Shipping { .. }) { 0 } else { taken };
            let exempt = -sum(of_kind(&q, &[AdjustmentKind::Exemption]).map(|a| a.amount));
            let bare = sum(q.lines.iter().filter(|l| !l.gift).map(|l| l.total));
            let discounted = q.subtotal.minor() - q.discount.minor() + exempt + own;
            let met = |m: Minimum| m.amount.minor() <= if m.basis == Basis::Subtotal { bare } else { discounted };
            prop_assert!(promotion.needs.minimum.is_none_or(met));
        }
    }

    #[test]
    fn stacking_is_kept(scenario in scenarios(8)) {
        let q = scenario.quote().expect("in range");
        let applied: Vec<_> = applied(&q).into_iter().map(|id| promotion(&scenario, id)).collect();
        prop_assert!(scenario.stack_max.is_none_or(|max| applied.len() <= max as usize));
        let ships = |p: &Promotion| matches!(p.benefit, Benefit::Shipping { .. });
        for p in applied.iter().filter(|p| p.stacking != Stacking::Combine) {
            let others = applied.iter().filter(|o| o.id != p.id);
            let mut besides = others.filter(|o| ships(o) == ships(p) || p.stacking == Stacking::Exclusive && !ships(p));
            prop_assert!(p.stacking != Stacking::Exclusive || besides.next().is_none(), "{:?} is not alone", p);
            prop_assert!(besides.all(|o| o.stacking != p.stacking), "two of a group");
        }
    }

    #[test]
    fn uses_are_those_of_what_applied(scenario in scenarios(8)) {
        let q = scenario.quote().expect("in range");
        let mut expected = Vec::new();
        for a in q.adjustments.iter().filter(|a| a.promotion.is_some()) {
            let p = promotion(&scenario, a.promotion.as_ref().expect("filtered"));
            let mut expect = |counter, by: u64, limit: Option<u64>| expected.push(Use { counter, by, limit });
            if p.trigger != Trigger::Automatic || p.budget.uses.is_some() {
                expect(Counter::Uses(p.id.clone()), 1, p.budget.uses.map(u64::from));
            }
            let each = [p.budget.uses_each, p.needs.first_order.then_some(1)].into_iter().flatten().min();
            if let (Some(max), Some(who)) = (each, scenario.context.shopper.who) {
                expect(Counter::UsesBy(p.id.clone(), who), 1, Some(max.into()));
            }
            if let Some(budget) = p.budget.amount {
                expect(Counter::Spent(p.id.clone()), a.amount.minor().unsigned_abs(), Some(budget.minor().unsigned_abs()));
            }
            let given = scenario.codes.iter().find(|g| g.code.as_str() == a.code);
            if let Some((given, max)) = given.and_then(|g| g.uses_max.map(|max| (g, max))) {
                expect(Counter::Code(given.code.clone()), 1, Some(max.into()));
            }
        }
        expected.extend(scenario.context.shopper.who.map(|who| Use { counter: Counter::Orders(who), by: 1, limit: None }));
        prop_assert_eq!(&q.uses, &expected);
        // The ledger would grant it, as of the counts the quote was made with.
        let granted = |u: &Use| u.limit.is_none_or(|limit| scenario.context.usage.of(&u.counter) + u.by <= limit);
        prop_assert!(q.uses.iter().all(granted), "{:?}", q.uses);
    }

    #[test]
    fn the_same_question_has_the_same_answer(scenario in scenarios(8)) {
        let q = scenario.quote().expect("in range");
        prop_assert_eq!(scenario.quote(), Ok(q.clone()));
        // A checkout freezes the lines that were quoted and quotes them again.
        let frozen = q.lines.iter().filter(|l| !l.gift).map(|l| Line { edition: l.edition, quantity: l.quantity }).collect();
        let again = Scenario { lines: frozen, ..scenario }.quote().expect("in range");
        prop_assert_eq!(again, Quote { unavailable: Vec::new(), ..q });
    }

    #[test]
    fn the_order_of_items_does_not_matter((scenario, lines) in shuffled()) {
        let q = scenario.quote().expect("in range");
        let other = Scenario { lines, ..scenario }.quote().expect("in range");
        prop_assert_eq!(sorted(other), sorted(q));
    }

    #[test]
    fn the_order_of_rules_does_not_matter(scenario in scenarios(8)) {
        let q = scenario.quote().expect("in range");
        let mut other = scenario;
        other.promotions.reverse();
        prop_assert_eq!(other.quote(), Ok(q));
    }

    #[test]
    fn one_more_never_costs_less_by_plain_rules(scenario in scenarios(8).prop_map(plain), which in any::<prop::sample::Index>()) {
        let before = scenario.quote().expect("in range");
        let edition = *which.get(&scenario.offers.keys().collect::<Vec<_>>());
        let mut more = scenario.clone();
        match more.lines.iter_mut().find(|line| line.edition == *edition) {
            Some(line) => line.quantity = line.quantity.plus(Quantity::ONE).unwrap_or(line.quantity),
            None => more.lines.push(Line { edition: *edition, quantity: Quantity::ONE }),
        }
        let after = more.quote().expect("in range");
        prop_assert!(after.total.minor() >= before.total.minor(), "{:?}, then {:?}", before, after);
    }

    #[test]
    fn what_does_not_apply_changes_nothing(scenario in scenarios(8)) {
        let q = scenario.quote().expect("in range");
        let kept: BTreeSet<_> = applied(&q).into_iter().cloned().collect();
        let mut bare = scenario;
        bare.promotions.retain(|p| kept.contains(&p.id));
        let mut seen = BTreeSet::new();
        bare.codes.retain(|g| q.adjustments.iter().any(|a| a.code == g.code.as_str()) && seen.insert(g.code.clone()));
        let bare = bare.quote().expect("in range");
        prop_assert_eq!(bare, Quote { not_applied: Vec::new(), ..q });
    }
}

/// Rules by which more goods never cost less: what is taken off depends on each line alone, or on the sum of all of them, and shipping costs
/// the same whatever the goods.
fn plain(mut scenario: Scenario) -> Scenario {
    let lasts = |p: &Promotion| match &p.benefit {
        Benefit::Each { .. } => p.trigger == Trigger::Automatic,
        Benefit::Goods { of, .. } => of.is_all(),
        _ => false,
    };
    scenario.promotions.retain(lasts);
    for p in &mut scenario.promotions {
        *p = Promotion {
            active: true,
            trigger: p.trigger.clone(),
            ..Promotion::automatic(p.id.clone(), p.label.clone(), p.benefit.clone())
        };
    }
    scenario.taxes.truncate(1);
    for tax in &mut scenario.taxes {
        *tax = TaxRate { formats: Vec::new(), level: Level::Total, ..tax.clone() };
    }
    scenario.options =
        scenario.options.first().map(|o| ShippingOption::flat(o.id.clone(), o.label.clone(), usd(499))).into_iter().collect();
    scenario.context.shopper.tax_exempt = false;
    scenario.stack_max = None;
    scenario
}

/// The name of a case of an enumeration.
fn case(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").chars().take_while(|c| c.is_alphabetic()).collect()
}

#[test]
fn the_scenarios_show_every_reason() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..1500 {
        let scenario = scenarios(8).new_tree(&mut runner).expect("a scenario").current();
        let quote = scenario.quote().expect("in range");
        seen.extend(quote.adjustments.iter().map(|a| case(&a.reason)));
        seen.extend(quote.adjustments.iter().filter_map(|a| a.limited.as_ref()).map(case));
        seen.extend(quote.not_applied.iter().map(|n| case(&n.why)));
    }
    let reasons = "Sale Percentage Fixed Price Each Tier Spend BuyGet Bundle Gift Shipping ShippingPrice ShippingFree NothingToShip Tax Exempt Cap Budget";
    // All amounts of the scenarios are of one currency.
    let why_not = "Unknown Inactive NotYet Ended OffHours Exhausted UsedByShopper BelowMinimum BelowCopies NothingMatches NothingLeft NotInSegment \
        NotFirstOrder NotBirthday NeedsCustomer ConditionUnmet ConditionFailed BetterInGroup Excluded StackFull GivenTwice OutOfStock NoShipping";
    let missing: Vec<_> = reasons.split(' ').chain(why_not.split_whitespace()).filter(|name| !seen.contains(*name)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}

fn shuffled() -> impl Strategy<Value = (Scenario, Vec<Line>)> {
    scenarios(8)
        .prop_flat_map(|scenario| (Just(scenario.lines.clone()).prop_shuffle(), Just(scenario)))
        .prop_map(|(lines, scenario)| (scenario, lines))
}

/// The same quote with its lists by edition.
fn sorted(mut quote: Quote) -> Quote {
    quote.lines.sort_by_key(|line| line.edition);
    quote.unavailable.sort_by_key(|line| line.edition);
    quote
}
