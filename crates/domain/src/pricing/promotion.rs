//! What a promotion is: whom and what it is for, what it takes off, when, how often, and beside which others.

use super::rules::Window;
use super::{Counter, Who};
use crate::catalog::{Format, HeadingId};
use crate::ids::{BookId, CouponCode, EditionId, PromotionGroup, PromotionId, Segment};
use crate::limits::{EXPRESSION_MAX, NAME_MAX};
use crate::money::{Currency, Money, Ppm};
use crate::text::Text;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    pub id: PromotionId,
    pub label: Text<NAME_MAX>,
    pub active: bool,
    pub trigger: Trigger,
    pub benefit: Benefit,
    pub needs: Needs,
    pub window: Window,
    /// Hours of the week it holds in, by the shop's clock; always when empty.
    pub hours: Vec<Hours>,
    /// Higher ones come first within their step.
    pub priority: i32,
    pub stacking: Stacking,
    /// The most it takes off one order.
    pub cap: Option<Money>,
    pub budget: Budget,
}

impl Promotion {
    /// A promotion without conditions, for one code.
    pub fn coupon(code: CouponCode, label: Text<NAME_MAX>, benefit: Benefit) -> Self {
        let id = PromotionId::parse(code.as_str()).expect("invariant: a coupon code is a valid promotion id");
        Self { trigger: Trigger::Codes(vec![code]), ..Self::automatic(id, label, benefit) }
    }

    /// A promotion without conditions, for everybody.
    pub fn automatic(id: PromotionId, label: Text<NAME_MAX>, benefit: Benefit) -> Self {
        Self {
            id,
            label,
            active: true,
            trigger: Trigger::Automatic,
            benefit,
            needs: Needs::default(),
            window: Window::default(),
            hours: Vec::new(),
            priority: 0,
            stacking: Stacking::Combine,
            cap: None,
            budget: Budget::default(),
        }
    }

    /// How often one person may use it; a first order is there only once.
    pub(super) fn uses_each(&self) -> Option<u32> {
        let first = self.needs.first_order.then_some(1);
        self.budget.uses_each.into_iter().chain(first).min()
    }

    fn is_limited(&self) -> bool {
        self.budget.uses.is_some() || self.budget.amount.is_some() || self.uses_each().is_some()
    }

    /// Whether it looks at how many orders a shopper has placed; a condition of the shop's own may.
    fn asks_for_orders(&self) -> bool {
        self.needs.first_order || self.needs.expression.is_some()
    }

    /// Whether anything that is counted decides whether it applies.
    pub(super) fn is_counted(&self) -> bool {
        self.is_limited() || self.asks_for_orders()
    }

    /// The counts that decide whether it applies.
    pub(super) fn counters(&self, who: Option<Who>) -> impl Iterator<Item = Counter> + '_ {
        let uses = self.budget.uses.map(|_| Counter::Uses(self.id.clone()));
        let spent = self.budget.amount.map(|_| Counter::Spent(self.id.clone()));
        let by = self.uses_each().and(who).map(|who| Counter::UsesBy(self.id.clone(), who));
        let orders = who.filter(|_| self.asks_for_orders()).map(Counter::Orders);
        uses.into_iter().chain(spent).chain(by).chain(orders)
    }

    /// Whether it depends on the goods of the cart alone. A gift that is added depends on its own stock.
    pub(super) fn is_steady(&self) -> bool {
        let Needs { segments, first_order, birthday_within_days, expression, .. } = &self.needs;
        let about_shopper = !segments.is_empty() || *first_order || birthday_within_days.is_some() || expression.is_some();
        let about_time = !self.hours.is_empty() || self.window != Window::default();
        !self.is_limited() && !about_shopper && !about_time && !matches!(self.benefit, Benefit::Gift { .. })
    }

    /// Everything it is for or needs.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.benefit.targets().into_iter().chain(self.needs.copies.iter().map(|part| &part.of))
    }

    /// The currency its amounts are in; `None` when it holds in every one.
    pub fn currency(&self) -> Option<Currency> {
        self.amounts().next().map(Money::currency)
    }

    /// Every amount of it; they are of one currency.
    pub fn amounts(&self) -> impl Iterator<Item = Money> + '_ {
        let needed = self.needs.minimum.map(|m| m.amount);
        self.benefit.amounts().into_iter().chain(needed).chain(self.cap).chain(self.budget.amount)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Whenever its conditions hold.
    Automatic,
    /// When one of these codes is on the cart, or one that was issued for it.
    Codes(Vec<CouponCode>),
}

/// What one copy, one set or one sum is lowered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    /// A part of the price; all of it at most.
    Rate(Ppm),
    /// A fixed amount, at most the price.
    Amount(Money),
    /// Down to a price; never up.
    Price(Money),
}

impl Off {
    fn amount(self) -> Option<Money> {
        match self {
            Self::Rate(_) => None,
            Self::Amount(amount) | Self::Price(amount) => Some(amount),
        }
    }
}

/// What a promotion takes off. Each works on what the ones before it left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Benefit {
    /// Every copy of what it is for.
    Each { of: Target, off: Off },
    /// Every copy, by how many copies there are; the highest step that is reached counts.
    Tiers { of: Target, tiers: Vec<Tier<u32>> },
    /// Who buys `buy_count` copies of one thing gets up to `get_count` of another (or the same) lowered by
    /// `off`, the cheapest ones first; again for every such set. A copy is either bought or gotten.
    BuyGet { buy: Target, buy_count: u32, get: Target, get_count: u32, off: Ppm, times_max: Option<u32> },
    /// Sets of goods, such as three of a kind for one price; of each part the dearest copies first. A copy belongs to
    /// the first part that names it.
    Bundle { parts: Vec<Part>, off: Off, times_max: Option<u32> },
    /// One copy for nothing: of those in the cart, else one more is added.
    Gift { edition: EditionId },
    /// The goods it is for, taken as one sum.
    Goods { of: Target, off: Off },
    /// All goods as one sum, by what they come to before discounts; the highest step that is reached counts.
    Spend { tiers: Vec<Tier<Money>> },
    /// The price of shipping.
    Shipping { off: Off },
}

/// From how much on something is lowered. Tiers of one promotion are in rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier<T> {
    pub from: T,
    pub off: Off,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub of: Target,
    pub count: u32,
}

impl Benefit {
    pub(super) fn step(&self) -> Step {
        match self {
            Self::Each { .. } | Self::Tiers { .. } | Self::BuyGet { .. } | Self::Bundle { .. } => Step::Items,
            Self::Goods { .. } | Self::Spend { .. } => Step::Cart,
            Self::Gift { .. } => Step::Gifts,
            Self::Shipping { .. } => Step::Shipping,
        }
    }

    fn targets(&self) -> Vec<&Target> {
        match self {
            Self::Each { of, .. } | Self::Tiers { of, .. } | Self::Goods { of, .. } => vec![of],
            Self::BuyGet { buy, get, .. } => vec![buy, get],
            Self::Bundle { parts, .. } => parts.iter().map(|part| &part.of).collect(),
            Self::Spend { .. } | Self::Gift { .. } | Self::Shipping { .. } => Vec::new(),
        }
    }

    fn amounts(&self) -> Vec<Money> {
        match self {
            Self::Each { off, .. } | Self::Bundle { off, .. } | Self::Goods { off, .. } | Self::Shipping { off } => {
                off.amount().into_iter().collect()
            }
            Self::Tiers { tiers, .. } => tiers.iter().filter_map(|t| t.off.amount()).collect(),
            Self::Spend { tiers } => tiers.iter().flat_map(|t| [Some(t.from), t.off.amount()]).flatten().collect(),
            Self::BuyGet { .. } | Self::Gift { .. } => Vec::new(),
        }
    }
}

/// Where in the order of computation a promotion has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Items,
    Cart,
    /// Whatever a code brought, item or cart.
    Coupons,
    /// Last of the goods: a gift that is added changes nothing for the others.
    Gifts,
    Shipping,
}

/// What a promotion is for: what any of `any` names (everything when empty), without what `except` names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub any: Vec<Selector>,
    pub except: Vec<Selector>,
    /// Leaves out what is on sale already.
    pub full_price_only: bool,
}

impl Target {
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    Edition(EditionId),
    Book(BookId),
    /// An author, a category or a publisher.
    Heading(HeadingId),
    Format(Format),
}

/// Conditions; all of them hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub minimum: Option<Minimum>,
    /// At least so many copies of what it names.
    pub copies: Option<Part>,
    /// The shopper is of any of these.
    pub segments: Vec<Segment>,
    /// The shopper has no order yet. It also limits the promotion to one use a person, so that two first
    /// orders at once are not both first.
    pub first_order: bool,
    /// The shopper's birthday is at most so many days away, before or after.
    pub birthday_within_days: Option<u16>,
    /// A condition of the shop's own, in a language an [`super::Evaluator`] knows.
    pub expression: Option<Text<EXPRESSION_MAX>>,
}

/// The least the goods have to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minimum {
    pub amount: Money,
    pub basis: Basis,
}

/// What a minimum is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The goods before discounts.
    Subtotal,
    /// The goods after all other discounts, those that come later included.
    Discounted,
}

/// A stretch of a day of the week, by the shop's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// 1 is Monday, 7 is Sunday (ISO 8601).
    pub weekday: u8,
    /// Minutes since midnight; `from` is included, `to` is not.
    pub from_minute: u16,
    pub to_minute: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stacking {
    /// Beside all others.
    Combine,
    /// Of a group only the one that takes off most (of goods before discounts); of equals the first.
    BestOf(PromotionGroup),
    /// Without any other. The first exclusive one that takes something off holds, and no other does; an exclusive
    /// one for shipping keeps away only others for shipping.
    Exclusive,
}

/// How often and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Orders that may use it.
    pub uses: Option<u32>,
    /// Orders of one person that may use it.
    pub uses_each: Option<u32>,
    /// What it may take off altogether; the last order gets what is left.
    pub amount: Option<Money>,
}
