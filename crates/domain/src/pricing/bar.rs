//! Why a promotion cannot apply whatever the others do: times, budgets, who buys, and what the goods come to before discounts.

use super::benefit::Goods;
use super::promotion::{Basis, Promotion};
use super::usage::Counter;
use super::{Context, Facts, Given, Hours, WhyNot};
use crate::planted;
use crate::time::Timestamp;

/// The first reason there is, in the order that `docs/money.md` gives.
pub(super) fn bar(promotion: &Promotion, given: Option<&Given>, goods: &Goods<'_>, facts: &Facts<'_>, now: Timestamp) -> Option<WhyNot> {
    closed(promotion, given, facts.context, now).or_else(|| unmet(promotion, goods, facts.context)).or_else(|| expression(promotion, facts))
}

/// Whether it is closed now, or used up.
fn closed(promotion: &Promotion, given: Option<&Given>, context: &Context, now: Timestamp) -> Option<WhyNot> {
    if !promotion.active {
        return Some(WhyNot::Inactive);
    }
    let used = |counter: Counter, limit: u64| context.usage.of(&counter) >= limit;
    let id = || promotion.id.clone();
    promotion
        .window
        .closed(now)
        .or_else(|| {
            let open = |h: &Hours| h.weekday == context.local.weekday && (h.from_minute..h.to_minute).contains(&context.local.minute);
            (!promotion.hours.is_empty() && !promotion.hours.iter().any(open)).then_some(WhyNot::OffHours)
        })
        .or_else(|| {
            let gone = given.is_some_and(|g| g.uses_max.is_some_and(|max| used(Counter::Code(g.code.clone()), max.into())))
                || promotion.budget.uses.is_some_and(|max| used(Counter::Uses(id()), max.into()))
                || promotion
                    .budget
                    .amount
                    .is_some_and(|max| used(Counter::Spent(id()), max.minor().unsigned_abs()) && !planted("budget-not-checked"));
            gone.then_some(WhyNot::Exhausted)
        })
        .or_else(|| {
            let who = context.shopper.who?;
            let max = promotion.uses_each().filter(|_| !planted("person-limit-ignored"))?;
            used(Counter::UsesBy(id(), who), max.into()).then_some(WhyNot::UsedByShopper)
        })
}

/// Whether a condition does not hold that no other promotion can change.
fn unmet(promotion: &Promotion, goods: &Goods<'_>, context: &Context) -> Option<WhyNot> {
    let (needs, shopper) = (&promotion.needs, &context.shopper);
    if promotion.currency().is_some_and(|c| c != context.currency) {
        return Some(WhyNot::OtherCurrency);
    }
    if let Some(minimum) = needs.minimum.filter(|m| m.basis == Basis::Subtotal && goods.subtotal.minor() < m.amount.minor()) {
        return Some(WhyNot::BelowMinimum { minimum: minimum.amount, have: Some(goods.subtotal) });
    }
    if let Some(part) = &needs.copies {
        let have = goods.copies(&part.of);
        if have < u64::from(part.count) {
            return Some(WhyNot::BelowCopies { least: part.count, have });
        }
    }
    if !needs.segments.is_empty() && !needs.segments.iter().any(|s| shopper.segments.contains(s)) {
        return Some(if shopper.orders.is_none() { WhyNot::NeedsCustomer } else { WhyNot::NotInSegment });
    }
    if needs.first_order {
        match shopper.orders {
            None => return Some(WhyNot::NeedsCustomer),
            Some(0) => {}
            Some(_) => return Some(WhyNot::NotFirstOrder),
        }
    }
    let days = needs.birthday_within_days?;
    match shopper.birthday {
        None => Some(WhyNot::NeedsCustomer),
        Some(birthday) => (birthday.days_from(context.local.date) > days).then_some(WhyNot::NotBirthday),
    }
}

fn expression(promotion: &Promotion, facts: &Facts<'_>) -> Option<WhyNot> {
    match facts.context.evaluator.holds(promotion.needs.expression.as_ref()?, facts) {
        Some(true) => None,
        Some(false) => Some(WhyNot::ConditionUnmet),
        None => Some(WhyNot::ConditionFailed),
    }
}
