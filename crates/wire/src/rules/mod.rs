//! What a shop has decided about prices: promotions, tax rates, ways to ship, exchange rates. Reading what was printed
//! gives the same rule.

mod benefit;
mod codes;
mod exchange;
mod history;
mod place;
mod promotion;
mod shipping;
mod target;
mod tax;

pub use benefit::OffBody;
pub use codes::{BatchBody, CODES_HEAD, CodeBody, codes_csv, issue};
pub use exchange::ExchangeRateBody;
pub use history::ChangeBody;
pub use promotion::PromotionBody;
pub use shipping::ShippingOptionBody;
pub use tax::TaxRateBody;

use exchange::exchange_rate;
use promotion::promotion;
pub(crate) use promotion::segment;
use shipping::shipping_option;
use tax::tax_rate;

use crate::read::{Object, Value};
use crate::scalar::{self, At};
use domain::ids::PromotionId;
use domain::limits::REASON_MAX;
use domain::pricing::{Kept, Rule, RuleId, RuleKey, RuleKind, Window};
use domain::text::Text;
use jiff::tz::TimeZone;
use serde::Serialize;

/// A rule as it is kept.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptBody<'a> {
    #[serde(flatten)]
    rule: RuleBody<'a>,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<At>,
}

impl KeptBody<'_> {
    /// How promotions go together where nobody has decided it.
    pub fn unlimited() -> Self {
        Self { rule: RuleBody::Stacking(StackingBody { promotions_max: None }), version: 0, updated_at: None }
    }
}

impl<'a> From<&'a Kept> for KeptBody<'a> {
    fn from(kept: &'a Kept) -> Self {
        Self { rule: (&kept.rule).into(), version: kept.version.0, updated_at: Some(At(kept.updated_at)) }
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum RuleBody<'a> {
    Promotion(Box<PromotionBody<'a>>),
    TaxRate(Box<TaxRateBody<'a>>),
    ShippingOption(Box<ShippingOptionBody<'a>>),
    ExchangeRate(Box<ExchangeRateBody<'a>>),
    Stacking(StackingBody),
}

impl<'a> From<&'a Rule> for RuleBody<'a> {
    fn from(rule: &'a Rule) -> Self {
        match rule {
            Rule::Promotion(promotion) => Self::Promotion(Box::new(promotion.into())),
            Rule::TaxRate { id, rate } => Self::TaxRate(Box::new(TaxRateBody::of(id, rate))),
            Rule::ShippingOption(option) => Self::ShippingOption(Box::new(option.into())),
            Rule::ExchangeRate { id, rate } => Self::ExchangeRate(Box::new(ExchangeRateBody::of(id, rate))),
            Rule::Stacking { most } => Self::Stacking(StackingBody { promotions_max: *most }),
        }
    }
}

/// How promotions go together.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StackingBody {
    /// On one order; null where there is no limit.
    promotions_max: Option<u32>,
}

fn stacking(o: &mut Object<'_, '_>) -> Option<Rule> {
    let most = o.clearable("promotionsMax", scalar::count);
    Some(Rule::Stacking { most: most.unwrap_or_default() })
}

/// A rule as a shopkeeper writes it down, and why.
#[derive(Debug)]
pub struct RuleInput {
    pub rule: Rule,
    pub reason: Option<Text<REASON_MAX>>,
}

/// A rule that is to be: the body may name it, else it is called `fresh`.
pub fn new_rule(kind: RuleKind, o: &mut Object<'_, '_>, fresh: RuleId, zone: &TimeZone) -> Option<RuleInput> {
    let id = if o.has("id") { o.required("id", rule_id) } else { Some(fresh) };
    written(kind, o, id, zone)
}

/// A rule in the place of the one named `id`; the body may repeat the name, and must not give another.
pub fn replaced_rule(kind: RuleKind, o: &mut Object<'_, '_>, id: RuleId, zone: &TimeZone) -> Option<RuleInput> {
    let same = match o.optional("id", rule_id) {
        Some(other) if other != id => o.wrong("id", "INVALID", "Must be the id of the address: an id cannot be changed."),
        _ => Some(id),
    };
    written(kind, o, same, zone)
}

fn written(kind: RuleKind, o: &mut Object<'_, '_>, id: Option<RuleId>, zone: &TimeZone) -> Option<RuleInput> {
    let reason = o.optional("reason", scalar::line);
    Some(RuleInput { rule: rule(kind, o, id, zone)?, reason })
}

/// A rule of a kind; everything that is wrong with it is told also when its name is.
fn rule(kind: RuleKind, o: &mut Object<'_, '_>, id: Option<RuleId>, zone: &TimeZone) -> Option<Rule> {
    match kind {
        RuleKind::Promotion => promotion(o, id.as_ref(), zone).map(Rule::Promotion),
        RuleKind::TaxRate => tax_rate(o, zone).and_then(|rate| Some(Rule::TaxRate { id: id?, rate })),
        RuleKind::ShippingOption => shipping_option(o, id.as_ref()).map(Rule::ShippingOption),
        RuleKind::ExchangeRate => exchange_rate(o, zone).and_then(|rate| Some(Rule::ExchangeRate { id: id?, rate })),
        RuleKind::Stacking => stacking(o),
    }
}

/// A rule that names its kind and itself.
pub(crate) fn draft(o: &mut Object<'_, '_>, zone: &TimeZone) -> Option<Rule> {
    let kind = o.required("kind", rule_kind)?;
    let id = if kind == RuleKind::Stacking { Some(stacking_id()) } else { o.required("id", rule_id) };
    rule(kind, o, id, zone)
}

/// What names a rule that is there.
pub(crate) fn rule_key(o: &mut Object<'_, '_>) -> Option<RuleKey> {
    let (kind, id) = (o.required("kind", rule_kind), o.required("id", rule_id));
    Some(RuleKey { kind: kind?, id: id? })
}

/// The id of the one rule about stacking.
pub fn stacking_id() -> RuleId {
    Rule::Stacking { most: None }.key().id
}

pub(crate) fn rule_kind(value: Value<'_, '_>) -> Option<RuleKind> {
    value.parsed(RuleKind::parse, "promotion, tax_rate, shipping_option, exchange_rate or stacking")
}

/// The name of a rule: 1 to 64 letters, digits, dashes or underscores, whatever its kind.
pub fn parse_rule_id(text: &str) -> Option<RuleId> {
    PromotionId::parse(text).and_then(|_| RuleId::parse(text))
}

fn rule_id(value: Value<'_, '_>) -> Option<RuleId> {
    value.parsed(parse_rule_id, "1 to 64 letters, digits, dashes or underscores")
}

/// Members `startsAt` (included) and `endsAt` (not).
fn window(o: &mut Object<'_, '_>, zone: &TimeZone) -> Window {
    let from = o.optional("startsAt", |v| scalar::instant(v, zone));
    Window { from, to: o.optional("endsAt", |v| scalar::instant(v, zone)) }
}
