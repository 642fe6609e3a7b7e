//! What was decided about prices: by whom, when and why.

use super::{Rule, RuleKey};
use crate::ids::{CouponCode, EditionId, PromotionId};
use crate::limits::REASON_MAX;
use crate::money::Money;
use crate::order::Actor;
use crate::text::Text;
use crate::time::Timestamp;

/// Who changed something, and for what reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    pub actor: Actor,
    pub reason: Option<Text<REASON_MAX>>,
}

/// A line of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Its place: grows with every line.
    pub sequence: u64,
    /// Of the rule that it is about.
    pub key: RuleKey,
    pub at: Timestamp,
    pub why: Why,
    pub deed: Deed,
}

/// What was done to a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    Put {
        before: Option<Box<Rule>>,
        after: Box<Rule>,
    },
    Deleted {
        before: Box<Rule>,
    },
    /// So many codes were issued for a promotion.
    Issued {
        batch: u128,
        count: u32,
    },
}

/// What was issued together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub id: u128,
    pub promotion: PromotionId,
    /// Codes it has in the end.
    pub count: u32,
}

/// One code of many for one promotion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    pub code: CouponCode,
    pub promotion: PromotionId,
    /// Orders that may use it.
    pub uses_max: Option<u32>,
    pub batch: u128,
    pub at: Timestamp,
}

/// What an edition is sold at from an instant on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceLine {
    pub edition: EditionId,
    pub at: Timestamp,
    pub list: Money,
    pub sale: Option<Money>,
    pub why: Why,
}
