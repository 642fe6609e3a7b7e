use super::{Answer, PortError};
use async_trait::async_trait;
use domain::ids::{CouponCode, PromotionId, Version};
use domain::limits::REASON_MAX;
use domain::order::Actor;
use domain::pricing::{Kept, Pricebook, Rule, RuleKey};
use domain::text::Text;
use domain::time::Timestamp;
use std::sync::Arc;

/// What a shop has decided about prices, who decided it and why.
#[async_trait]
pub trait Prices: Send + Sync {
    /// All rules as of now, in memory. A saved change is in every pricebook taken after its answer.
    fn book(&self) -> Arc<Pricebook>;

    /// Makes every line true, with its line in the audit and its answer, or none.
    ///
    /// - A write with an expected version holds only while the stored version is that one (0: not there); else `Conflict`.
    /// - A code that was issued before: `CodeTaken` with the first such code.
    /// - An answer whose key is already answered: `Answered` with the first answer.
    async fn save(&self, change: PriceChange, now: Timestamp) -> Result<PricesSaved, PortError>;

    /// A code as it was issued.
    async fn issued(&self, code: &CouponCode) -> Result<Option<Issued>, PortError>;

    /// Codes that were issued for a promotion, in their order; those after `after` when given.
    async fn codes(&self, promotion: &PromotionId, after: Option<&CouponCode>, limit: usize) -> Result<Vec<Issued>, PortError>;

    /// What was changed, newest first; of one rule when it is named, and before a place in the list when given.
    async fn audit(&self, of: Option<&RuleKey>, before: Option<u64>, limit: usize) -> Result<Vec<Audited>, PortError>;

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError>;
}

#[derive(Clone, Debug, Default)]
pub struct PriceChange {
    pub rules: Vec<RuleWrite>,
    pub codes: Vec<Issued>,
    pub why: Option<Why>,
    pub answer: Option<Answer>,
}

#[derive(Clone, Debug)]
pub enum RuleWrite {
    /// The rule carries its next version.
    Put {
        kept: Arc<Kept>,
        expected: Version,
    },
    Delete {
        key: RuleKey,
        expected: Version,
    },
}

/// Who changed something, and for what reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    pub actor: Actor,
    pub reason: Option<Text<REASON_MAX>>,
}

/// One code of many for one promotion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    pub code: CouponCode,
    pub promotion: PromotionId,
    /// Orders that may use it.
    pub uses_max: Option<u32>,
    /// What was issued together has one batch.
    pub batch: u128,
    pub at: Timestamp,
}

/// A line of the audit: a rule before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Its place: grows with every line.
    pub sequence: u64,
    pub key: RuleKey,
    pub at: Timestamp,
    pub why: Why,
    pub before: Option<Rule>,
    pub after: Option<Rule>,
}

#[derive(Clone, Debug)]
pub enum PricesSaved {
    Done,
    Conflict,
    CodeTaken(CouponCode),
    Answered(Answer),
}
