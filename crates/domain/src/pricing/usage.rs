//! How often promotions have been used. Quoting consumes nothing: a quote says what it would use, the ledger
//! holds it for a checkout that is being paid, and gives it back when nothing comes of it.

use super::promotion::{Promotion, Trigger};
use super::{Context, Given};
use crate::ids::{CouponCode, PromotionId};
use crate::money::Money;
use std::collections::BTreeMap;
use std::fmt;

/// A person, known by an account or by an e-mail address, as a fingerprint: counting needs no names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Who(pub [u8; 16]);

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Something that is counted and may be limited.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// Orders that used a promotion.
    Uses(PromotionId),
    /// One person's orders that used it.
    UsesBy(PromotionId, Who),
    /// What it took off altogether, in minor units of its budget's currency.
    Spent(PromotionId),
    /// Orders that used one code of many.
    Code(CouponCode),
    /// One person's orders, with promotions or without.
    Orders(Who),
}

impl Counter {
    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('/')?;
        match kind {
            "uses" => PromotionId::parse(rest).map(Self::Uses),
            "spent" => PromotionId::parse(rest).map(Self::Spent),
            "code" => CouponCode::parse(rest).map(Self::Code),
            "orders" => parse_who(rest).map(Self::Orders),
            "by" => {
                let (who, promotion) = rest.split_once('/')?;
                Some(Self::UsesBy(PromotionId::parse(promotion)?, parse_who(who)?))
            }
            _ => None,
        }
    }
}

fn parse_who(text: &str) -> Option<Who> {
    let mut who = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (n, byte) in who.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).ok()?;
    }
    Some(Who(who))
}

/// `uses/SUMMER`, `by/<who>/SUMMER`, `spent/SUMMER`, `code/A1B2`, `orders/<who>`: the name a ledger keeps it under.
impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uses(promotion) => write!(f, "uses/{promotion}"),
            Self::UsesBy(promotion, who) => write!(f, "by/{who}/{promotion}"),
            Self::Spent(promotion) => write!(f, "spent/{promotion}"),
            Self::Code(code) => write!(f, "code/{code}"),
            Self::Orders(who) => write!(f, "orders/{who}"),
        }
    }
}

/// What an order with this quote uses: holds only while the count stays within the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    pub counter: Counter,
    pub by: u64,
    pub limit: Option<u64>,
}

/// What an order with this promotion uses. Automatic ones without limits are not counted: every order would wait for them.
pub(super) fn uses(promotion: &Promotion, given: Option<&Given>, context: &Context, amount: Money) -> Vec<Use> {
    let (budget, id) = (promotion.budget, || promotion.id.clone());
    let mut uses = Vec::new();
    if matches!(promotion.trigger, Trigger::Codes(_)) || budget.uses.is_some() {
        uses.push(Use { counter: Counter::Uses(id()), by: 1, limit: budget.uses.map(u64::from) });
    }
    if let (Some(max), Some(who)) = (promotion.uses_each(), context.shopper.who) {
        uses.push(Use { counter: Counter::UsesBy(id(), who), by: 1, limit: Some(max.into()) });
    }
    if let Some(max) = budget.amount {
        uses.push(Use { counter: Counter::Spent(id()), by: amount.minor().unsigned_abs(), limit: Some(max.minor().unsigned_abs()) });
    }
    if let Some(given) = given.filter(|g| g.uses_max.is_some()) {
        uses.push(Use { counter: Counter::Code(given.code.clone()), by: 1, limit: given.uses_max.map(u64::from) });
    }
    uses
}

/// Counts as of one instant. A counter that is not among them is at zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage(pub BTreeMap<Counter, u64>);

impl Usage {
    pub fn of(&self, counter: &Counter) -> u64 {
        self.0.get(counter).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_has_one_name() {
        let promotion = || PromotionId::parse("SUMMER").expect("an id");
        let who = Who(*b"0123456789abcdef");
        let code = CouponCode::parse("A1-B2").expect("a code");
        let counters = [
            Counter::Uses(promotion()),
            Counter::UsesBy(promotion(), who),
            Counter::Spent(promotion()),
            Counter::Code(code),
            Counter::Orders(who),
        ];
        for counter in counters {
            assert_eq!(Counter::parse(&counter.to_string()), Some(counter));
        }
        for wrong in ["", "uses", "uses/", "by/00/SUMMER", "by/zz112233445566778899aabbccddeeff/SUMMER", "code/a", "other/A"] {
            assert_eq!(Counter::parse(wrong), None, "{wrong}");
        }
    }
}
