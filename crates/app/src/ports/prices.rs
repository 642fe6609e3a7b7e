use super::{Answer, PortError};
use async_trait::async_trait;
use domain::ids::{CouponCode, PromotionId, Version};
use domain::pricing::{Audited, Batch, Issued, Kept, Pricebook, RuleKey, Why};
use domain::time::Timestamp;
use std::sync::Arc;

/// What a shop has decided about prices, who decided it and why.
#[async_trait]
pub trait Prices: Send + Sync {
    /// All rules as of now, in memory. A saved change is in every pricebook taken after its answer, and as long as no
    /// rule changes it is the same one.
    fn book(&self) -> Arc<Pricebook>;

    /// Makes every line true, with its lines in the audit and its answer, or none.
    ///
    /// - A write with an expected version holds only while the stored version is that one (0: not there); else `Conflict`.
    /// - Codes of a batch hold only while it has as many as expected; else `Conflict`.
    /// - A code leads to one promotion, whether a rule names it or it was issued: `CodeTaken`.
    /// - An answer whose key is already answered: `Answered` with the first answer.
    /// - Every rule that was put or deleted leaves a line in the audit, and so does the beginning of a batch.
    async fn save(&self, change: PriceChange, now: Timestamp) -> Result<PricesSaved, PortError>;

    /// A code as it was issued.
    async fn issued(&self, code: &CouponCode) -> Result<Option<Issued>, PortError>;

    /// Codes that were issued for a promotion, in their order; those after `after` when given.
    async fn codes(&self, promotion: &PromotionId, after: Option<&CouponCode>, limit: usize) -> Result<Vec<Issued>, PortError>;

    /// How many codes of a batch there are.
    async fn batch(&self, id: u128) -> Result<u32, PortError>;

    /// What was changed, newest first; of one rule when it is named, and before a place in the list when given.
    async fn audit(&self, of: Option<&RuleKey>, before: Option<u64>, limit: usize) -> Result<Vec<Audited>, PortError>;

    /// The remembered answer to this idempotency key.
    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError>;
}

#[derive(Clone, Debug)]
pub struct PriceChange {
    pub rules: Vec<RuleWrite>,
    pub codes: Option<CodeWrite>,
    pub why: Why,
    pub answer: Option<Answer>,
}

impl PriceChange {
    /// A change of nothing yet.
    pub fn by(why: Why) -> Self {
        Self { rules: Vec::new(), codes: None, why, answer: None }
    }
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

impl RuleWrite {
    pub fn key(&self) -> RuleKey {
        match self {
            Self::Put { kept, .. } => kept.rule.key(),
            Self::Delete { key, .. } => key.clone(),
        }
    }

    pub fn expected(&self) -> Version {
        match self {
            Self::Put { expected, .. } | Self::Delete { expected, .. } => *expected,
        }
    }
}

/// The next codes of a batch.
#[derive(Clone, Debug)]
pub struct CodeWrite {
    pub batch: Batch,
    pub uses_max: Option<u32>,
    /// How many codes the batch has before these.
    pub expected: u32,
    pub codes: Vec<CouponCode>,
}

#[derive(Clone, Debug)]
pub enum PricesSaved {
    Done,
    Conflict,
    CodeTaken(CouponCode),
    Answered(Answer),
}
