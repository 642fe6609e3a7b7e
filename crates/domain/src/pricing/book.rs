//! The pricebook: every rule of a shop, each with its version, and what they come to together.

use super::{ExchangeRate, Fault, Promotion, RuleFault, Rules, ShippingOption, TaxRate, Trigger};
use crate::ids::{CouponCode, PromotionId, Version};
use crate::limits::RULE_ID_MAX;
use crate::text::Text;
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a rule is kept under.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleKey {
    pub kind: RuleKind,
    pub id: RuleId,
}

/// The shop's own name for a rule, unique within its kind.
pub type RuleId = Text<RULE_ID_MAX>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleKind {
    Promotion,
    TaxRate,
    ShippingOption,
    ExchangeRate,
    /// How promotions go together; there is one, `shop`.
    Stacking,
}

impl RuleKind {
    pub const ALL: [Self; 5] = [Self::Promotion, Self::TaxRate, Self::ShippingOption, Self::ExchangeRate, Self::Stacking];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Promotion => "promotion",
            Self::TaxRate => "tax_rate",
            Self::ShippingOption => "shipping_option",
            Self::ExchangeRate => "exchange_rate",
            Self::Stacking => "stacking",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One decision of a shop about prices.
#[expect(clippy::large_enum_variant, reason = "most rules are promotions, and all are kept behind an `Arc`")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    Promotion(Promotion),
    TaxRate {
        id: RuleId,
        rate: TaxRate,
    },
    ShippingOption(ShippingOption),
    ExchangeRate {
        id: RuleId,
        rate: ExchangeRate,
    },
    /// At most so many promotions on one order.
    Stacking {
        most: Option<u32>,
    },
}

impl RuleKey {
    pub fn promotion(id: &PromotionId) -> Self {
        Self { kind: RuleKind::Promotion, id: named(id.as_str()) }
    }
}

fn named(text: &str) -> RuleId {
    RuleId::parse(text).expect("invariant: an id is a rule's id")
}

impl Rule {
    pub fn key(&self) -> RuleKey {
        let (kind, id) = match self {
            Self::Promotion(promotion) => return RuleKey::promotion(&promotion.id),
            Self::TaxRate { id, .. } => (RuleKind::TaxRate, id.clone()),
            Self::ShippingOption(option) => (RuleKind::ShippingOption, named(option.id.as_str())),
            Self::ExchangeRate { id, .. } => (RuleKind::ExchangeRate, id.clone()),
            Self::Stacking { .. } => (RuleKind::Stacking, named("shop")),
        };
        RuleKey { kind, id }
    }

    /// The codes it names.
    pub fn codes(&self) -> &[CouponCode] {
        match self {
            Self::Promotion(Promotion { trigger: Trigger::Codes(codes), .. }) => codes,
            Self::Promotion(_) | Self::TaxRate { .. } | Self::ShippingOption(_) | Self::ExchangeRate { .. } | Self::Stacking { .. } => &[],
        }
    }

    /// A tax rate under the name of its place and its tax, such as `US-CA-SALES`.
    pub fn tax(rate: TaxRate) -> Self {
        let name: String = format!("{}-{}", rate.code(), rate.tax).chars().take(RULE_ID_MAX).collect();
        Self::TaxRate { id: RuleId::parse(&name).expect("invariant: two names"), rate }
    }
}

impl From<Promotion> for Rule {
    fn from(promotion: Promotion) -> Self {
        Self::Promotion(promotion)
    }
}

impl From<ShippingOption> for Rule {
    fn from(option: ShippingOption) -> Self {
        Self::ShippingOption(option)
    }
}

/// A rule as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub rule: Rule,
    pub version: Version,
    pub updated_at: Timestamp,
}

impl Kept {
    /// A rule as it is kept first.
    pub fn first(rule: Rule, at: Timestamp) -> Arc<Self> {
        Arc::new(Self { rule, version: Version(1), updated_at: at })
    }
}

/// All rules as of one instant. Never changed in place.
#[derive(Clone, Debug, Default)]
pub struct Pricebook {
    kept: BTreeMap<RuleKey, Arc<Kept>>,
    rules: Rules,
}

impl Pricebook {
    pub fn new(kept: impl IntoIterator<Item = Arc<Kept>>) -> Self {
        let kept: BTreeMap<_, _> = kept.into_iter().map(|k| (k.rule.key(), k)).collect();
        Self { rules: rules(kept.values().map(|k| &k.rule)), kept }
    }

    /// What quotes go by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    pub fn get(&self, key: &RuleKey) -> Option<&Arc<Kept>> {
        self.kept.get(key)
    }

    /// Rules of a kind by id.
    pub fn of(&self, kind: RuleKind) -> impl Iterator<Item = &Arc<Kept>> {
        self.kept.values().filter(move |k| k.rule.key().kind == kind)
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether a rule goes together with all others, once it is in place of the one with its key.
    ///
    /// # Errors
    /// A tax that is in prices beside one of the same country that is not; a code that another promotion has.
    pub fn check(&self, rule: &Rule) -> Result<(), RuleFault> {
        let key = rule.key();
        let mut others = self.kept.iter().filter(|(other, _)| **other != key).map(|(_, kept)| &kept.rule);
        match rule {
            Rule::TaxRate { rate, .. } => {
                let disagrees = |r: &TaxRate| r.place.country == rate.place.country && r.included != rate.included;
                let other = others.find(|other| matches!(other, Rule::TaxRate { rate, .. } if disagrees(rate)));
                other.map_or(Ok(()), |_| Err(Fault::IncludedDisagrees.of("included")))
            }
            Rule::Promotion(promotion) => {
                let taken = rule.codes().iter().find(|code| self.rules.coupon(code).is_some_and(|other| other.id != promotion.id));
                taken.map_or(Ok(()), |code| Err(Fault::CodeTaken { code: code.clone() }.of("codes")))
            }
            Rule::ShippingOption(_) | Rule::ExchangeRate { .. } | Rule::Stacking { .. } => Ok(()),
        }
    }

    /// A code that more than one promotion names; there must be none.
    pub fn code_named_twice(&self) -> Option<&CouponCode> {
        let mut seen = BTreeSet::new();
        self.kept.values().flat_map(|kept| kept.rule.codes()).find(|code| !seen.insert(*code))
    }

    /// The pricebook after some rules were put and others removed.
    #[must_use]
    pub fn with(&self, put: impl IntoIterator<Item = Arc<Kept>>, removed: &[RuleKey]) -> Self {
        let left = self.kept.iter().filter(|(key, _)| !removed.contains(key)).map(|(_, kept)| Arc::clone(kept));
        Self::new(left.chain(put))
    }
}

fn rules<'a>(all: impl Iterator<Item = &'a Rule>) -> Rules {
    let (mut promotions, mut taxes, mut shipping, mut rates, mut most) = (vec![], vec![], vec![], vec![], None);
    for rule in all {
        match rule {
            Rule::Promotion(promotion) => promotions.push(promotion.clone()),
            Rule::TaxRate { rate, .. } => taxes.push(rate.clone()),
            Rule::ShippingOption(option) => shipping.push(option.clone()),
            Rule::ExchangeRate { rate, .. } => rates.push(rate.clone()),
            Rule::Stacking { most: shop } => most = *shop,
        }
    }
    Rules::new(promotions, taxes, shipping).with_rates(rates).with_stack_max(most)
}
