//! Every amount of a quote with its reason, and every promotion that takes nothing off with its own: facts, from which an edge makes
//! sentences.

use super::Off;
use crate::ids::{CouponCode, ItemId, PromotionId};
use crate::limits::NAME_MAX;
use crate::money::{Money, Ppm};
use crate::text::Text;
use crate::time::Timestamp;

/// A change to the sum, with its reason. Negative amounts are in the shopper's favor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    pub kind: AdjustmentKind,
    pub code: String,
    pub label: Text<NAME_MAX>,
    pub amount: Money,
    /// The only item it is about.
    pub item: Option<ItemId>,
    /// Each item's part of the amount, where it is divided.
    pub shares: Vec<(ItemId, Money)>,
    pub promotion: Option<PromotionId>,
    /// What kept the amount smaller than the arithmetic of its reason.
    pub limited: Option<Limited>,
    pub reason: Reason,
}

impl Adjustment {
    /// An amount that is not divided.
    pub fn new(kind: AdjustmentKind, code: String, label: Text<NAME_MAX>, amount: Money, reason: Reason) -> Self {
        Self { kind, code, label, amount, item: None, shares: Vec::new(), promotion: None, limited: None, reason }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdjustmentKind {
    /// A sale price against the list price; it is in the lines' totals already, not in the discount.
    Sale,
    Promotion,
    Coupon,
    Shipping,
    Tax,
    /// Tax taken out of prices that contain it; part of the discount.
    Exemption,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// The promotion's cap for one order.
    Cap,
    /// What was left of the promotion's budget.
    Budget,
}

/// Why an amount is what it is: facts, from which an edge makes a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The edition is on sale: so much less than the list price, already in the line's total.
    Sale {
        list: Money,
    },
    /// A percentage of `of`.
    Percentage {
        rate: Ppm,
        of: Money,
    },
    /// A fixed amount, at most `of`.
    Fixed {
        of: Money,
    },
    /// Goods worth `of` for one price.
    Price {
        price: Money,
        of: Money,
    },
    /// Each of `copies` that are worth `of` together.
    Each {
        off: Off,
        copies: u64,
        of: Money,
    },
    /// Each copy, because there are at least `from` of them.
    Tier {
        from: u32,
        off: Off,
        copies: u64,
        of: Money,
    },
    /// The whole, because the goods come to at least `from`.
    Spend {
        from: Money,
        off: Off,
        of: Money,
    },
    /// `gotten` copies that are worth `of`, because `bought` were bought for each set.
    BuyGet {
        bought: u32,
        gotten: u64,
        rate: Ppm,
        of: Money,
    },
    /// Sets of goods that are worth `of` together.
    Bundle {
        sets: u64,
        off: Off,
        of: Money,
    },
    /// One copy for nothing.
    Gift,
    /// The price of shipping, lowered.
    Shipping {
        off: Off,
        of: Money,
    },
    /// The option's price.
    ShippingPrice,
    /// Free because the goods reached the threshold.
    ShippingFree {
        from: Money,
    },
    /// Nothing in the cart has to be shipped.
    NothingToShip,
    Tax {
        rate: Ppm,
        of: Money,
        included: bool,
    },
    /// What a tax provider says is due on `of`, and at which rate if it says so.
    Assessed {
        rate: Option<Ppm>,
        of: Money,
        included: bool,
    },
    /// The shopper pays no tax on `of`.
    Exempt {
        of: Money,
    },
}

/// A promotion that takes nothing off, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotApplied {
    /// The code that was given; `None` for automatic ones.
    pub code: Option<CouponCode>,
    pub promotion: Option<PromotionId>,
    pub label: Option<Text<NAME_MAX>>,
    pub why: WhyNot,
}

impl NotApplied {
    /// Whether a shopper asked for it, or could still do something to have it.
    pub fn concerns_shopper(&self) -> bool {
        self.code.is_some() || matches!(self.why, WhyNot::BelowMinimum { .. } | WhyNot::BelowCopies { .. })
    }

    /// Whether a shopper may hear of it: what they asked for, and what a shop does not keep to itself. Promotions that are
    /// still to come, are over or are for others are the shop's own business.
    pub fn is_public(&self) -> bool {
        let own = matches!(self.why, WhyNot::Inactive | WhyNot::NotYet { .. } | WhyNot::Ended { .. } | WhyNot::NotInSegment);
        self.code.is_some() || !own
    }

    /// What the shopper knows it by: the code that was given, else the promotion.
    pub fn name(&self) -> &str {
        let code = self.code.as_ref().map(CouponCode::as_str);
        code.or(self.promotion.as_ref().map(PromotionId::as_str)).unwrap_or_default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    Unknown,
    Inactive,
    NotYet {
        from: Timestamp,
    },
    Ended {
        at: Timestamp,
    },
    /// Not at this hour of the week.
    OffHours,
    Exhausted,
    /// This person has used it as often as one may.
    UsedByShopper,
    /// What the goods come to is not known of quotes from before it was noted.
    BelowMinimum {
        minimum: Money,
        have: Option<Money>,
    },
    BelowCopies {
        least: u32,
        have: u64,
    },
    OtherCurrency,
    /// Nothing in the cart is what it is for.
    NothingMatches,
    /// Earlier discounts left nothing to take off.
    NothingLeft,
    NotInSegment,
    NotFirstOrder,
    NotBirthday,
    /// It depends on who buys, and that is not known yet.
    NeedsCustomer,
    ConditionUnmet,
    /// The condition could not be evaluated.
    ConditionFailed,
    /// Another one of its group takes off more.
    BetterInGroup {
        by: PromotionId,
    },
    /// Another one holds alone.
    Excluded {
        by: PromotionId,
    },
    /// As many promotions apply as may.
    StackFull {
        max: u32,
    },
    /// Another code for the same promotion was given before.
    GivenTwice,
    /// The gift is not there.
    OutOfStock,
    /// It is about shipping, and that is not settled yet.
    NoShipping,
}
