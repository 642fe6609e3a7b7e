//! Why a price is what it is: every step of its computation, with each line's arithmetic, and what did not apply.
//!
//! The amounts of all lines that are not `included` add up to the total, and those of a step to its `amount`.

use crate::rules::OffBody;
use crate::say::Say;
use crate::scalar::{MoneyBody, Show};
use domain::ids::ItemId;
use domain::money::Money;
use domain::pricing::{Adjustment, AdjustmentKind, Limited, NotApplied, Quote, QuotedLine, Reason, WhyNot};
use serde::Serialize;

/// An answer, with the explanation of its price when that was asked for.
#[derive(Debug, Serialize)]
pub struct Explained<'a, B> {
    #[serde(flatten)]
    body: B,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<ExplanationBody<'a>>,
}

impl<'a, B> Explained<'a, B> {
    /// `audience` is who asked for the explanation, if anybody did.
    pub fn of(body: B, quote: &'a Quote, audience: Option<Audience>) -> Self {
        Self { body, explanation: audience.map(|audience| ExplanationBody::of(quote, audience)) }
    }
}

/// For whom something is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Does not hear of promotions the shop keeps to itself.
    Shopper,
    Shopkeeper,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplanationBody<'a> {
    /// Those in which something happened, in their order.
    steps: Vec<StepBody<'a>>,
    total: TotalBody<'a>,
    not_applied: Vec<NotAppliedBody<'a>>,
}

#[derive(Debug, Serialize)]
struct TotalBody<'a> {
    amount: MoneyBody,
    arithmetic: Show<Say<'a, Quote>>,
}

#[derive(Debug, Serialize)]
struct StepBody<'a> {
    step: &'static str,
    lines: Vec<LineBody<'a>>,
    /// What the step changed the total by.
    amount: SumBody,
    /// What it has come to after this step.
    subtotal: SumBody,
}

/// Money on the way to a total. It may be more than an amount can be, before a later step takes something off.
#[derive(Clone, Copy, Debug, Serialize)]
struct SumBody {
    amount: i64,
    currency: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LineBody<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    promotion_id: Option<&'a str>,
    label: &'a str,
    /// Negative in the shopper's favor.
    amount: MoneyBody,
    /// In other lines already, and not added again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    included: bool,
    arithmetic: Words<'a>,
    numbers: NumbersBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    limited_by: Option<&'static str>,
    /// Each item's part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<ShareBody<'a>>,
    /// The part of it that is about shipping, where the rest is about items.
    #[serde(skip_serializing_if = "Option::is_none")]
    shipping: Option<MoneyBody>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Words<'a> {
    Line(Show<Say<'a, QuotedLine>>),
    Adjustment(Show<Say<'a, Adjustment>>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShareBody<'a> {
    item_id: Show<ItemId>,
    sku: &'a str,
    title: &'a str,
    amount: MoneyBody,
}

/// The facts of the arithmetic. Which ones there are depends on the reason.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct NumbersBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_price: Option<MoneyBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    converted_from: Option<MoneyBody>,
    /// What the reason is about is worth this much.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<MoneyBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    off: Option<OffBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_ppm: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    copies: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bought: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sets: Option<u64>,
    /// The tier that was reached, in copies.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_copies: Option<u32>,
    /// The tier or threshold that was reached, in money.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_amount: Option<MoneyBody>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NotAppliedBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    promotion_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    reason: Show<Say<'a, WhyNot>>,
    /// What is still missing for it, where that is an amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<MoneyBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_copies: Option<u64>,
}

/// Where in the order of computation a line belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Goods,
    Items,
    Cart,
    Codes,
    Gifts,
    Shipping,
    Tax,
}

impl Step {
    const ALL: [Self; 7] = [Self::Goods, Self::Items, Self::Cart, Self::Codes, Self::Gifts, Self::Shipping, Self::Tax];

    fn name(self) -> &'static str {
        match self {
            Self::Goods => "goods",
            Self::Items => "items",
            Self::Cart => "cart",
            Self::Codes => "codes",
            Self::Gifts => "gifts",
            Self::Shipping => "shipping",
            Self::Tax => "tax",
        }
    }

    fn of(adjustment: &Adjustment) -> Self {
        match (adjustment.kind, &adjustment.reason) {
            (AdjustmentKind::Sale, _) => Self::Goods,
            (AdjustmentKind::Tax | AdjustmentKind::Exemption, _) | (AdjustmentKind::Shipping, Reason::Exempt { .. }) => Self::Tax,
            (AdjustmentKind::Shipping, _) => Self::Shipping,
            (_, Reason::Gift) => Self::Gifts,
            (AdjustmentKind::Coupon, _) => Self::Codes,
            (AdjustmentKind::Promotion, Reason::Percentage { .. } | Reason::Fixed { .. } | Reason::Price { .. } | Reason::Spend { .. }) => {
                Self::Cart
            }
            (AdjustmentKind::Promotion, _) => Self::Items,
        }
    }
}

impl<'a> ExplanationBody<'a> {
    pub fn of(quote: &'a Quote, audience: Audience) -> Self {
        let mut subtotal = 0;
        let steps = Step::ALL.into_iter().filter_map(|step| StepBody::of(step, quote, &mut subtotal)).collect();
        let told = |not: &&NotApplied| audience == Audience::Shopkeeper || not.is_public();
        Self {
            steps,
            total: TotalBody { amount: MoneyBody(quote.total), arithmetic: Show(Say(quote)) },
            not_applied: quote.not_applied.iter().filter(told).map(NotAppliedBody::from).collect(),
        }
    }
}

impl<'a> StepBody<'a> {
    fn of(step: Step, quote: &'a Quote, subtotal: &mut i64) -> Option<Self> {
        let own = |line: &&QuotedLine| step == if line.gift { Step::Gifts } else { Step::Goods };
        let goods = quote.lines.iter().filter(own).map(LineBody::of_goods);
        let adjustments = quote.adjustments.iter().filter(|a| Step::of(a) == step).map(|a| LineBody::of_adjustment(a, quote));
        let lines: Vec<LineBody<'a>> = goods.chain(adjustments).collect();
        if lines.is_empty() {
            return None;
        }
        let changed: i64 = lines.iter().filter(|line| !line.included).map(|line| line.amount.0.minor()).sum();
        *subtotal += changed;
        let sum = |amount| SumBody { amount, currency: quote.currency.code() };
        Some(Self { step: step.name(), lines, amount: sum(changed), subtotal: sum(*subtotal) })
    }
}

impl<'a> LineBody<'a> {
    fn of_goods(line: &'a QuotedLine) -> Self {
        Self {
            kind: "item",
            code: None,
            promotion_id: None,
            label: line.title.as_str(),
            amount: MoneyBody(line.total),
            included: false,
            arithmetic: Words::Line(Show(Say(line))),
            numbers: NumbersBody {
                quantity: Some(line.quantity.get()),
                unit_price: Some(MoneyBody(line.unit_price)),
                converted_from: line.converted_from.map(MoneyBody),
                ..NumbersBody::default()
            },
            limited_by: None,
            items: vec![ShareBody::of(line, line.total)],
            shipping: None,
        }
    }

    fn of_adjustment(adjustment: &'a Adjustment, quote: &'a Quote) -> Self {
        let only = adjustment.item.map(|item| (item, adjustment.amount));
        let shares = if adjustment.shares.is_empty() { only.into_iter().collect() } else { adjustment.shares.clone() };
        let line = |item: ItemId| quote.lines.iter().find(|l| l.item == item);
        let items = shares.iter().filter_map(|(item, part)| line(*item).map(|line| ShareBody::of(line, *part))).collect();
        let included =
            matches!(adjustment.reason, Reason::Sale { .. } | Reason::Tax { included: true, .. } | Reason::Assessed { included: true, .. });
        Self {
            kind: kind(adjustment.kind),
            code: Some(&adjustment.code),
            promotion_id: adjustment.promotion.as_ref().map(|id| id.as_str()),
            label: adjustment.label.as_str(),
            amount: MoneyBody(adjustment.amount),
            included,
            arithmetic: Words::Adjustment(Show(Say(adjustment))),
            numbers: (&adjustment.reason).into(),
            limited_by: adjustment.limited.map(limited_by),
            items,
            shipping: on_shipping(adjustment.amount, &shares),
        }
    }
}

/// What is left of an amount that items do not bear all of.
fn on_shipping(amount: Money, shares: &[(ItemId, Money)]) -> Option<MoneyBody> {
    let items = Money::sum(amount.currency(), shares.iter().map(|(_, part)| *part)).ok()?;
    let rest = amount.minus(items).ok().filter(|rest| !shares.is_empty() && !rest.is_zero())?;
    Some(MoneyBody(rest))
}

impl<'a> ShareBody<'a> {
    fn of(line: &'a QuotedLine, amount: Money) -> Self {
        Self { item_id: Show(line.item), sku: line.sku.as_str(), title: line.title.as_str(), amount: MoneyBody(amount) }
    }
}

fn kind(kind: AdjustmentKind) -> &'static str {
    match kind {
        AdjustmentKind::Sale => "sale",
        AdjustmentKind::Promotion => "promotion",
        AdjustmentKind::Coupon => "coupon",
        AdjustmentKind::Shipping => "shipping",
        AdjustmentKind::Tax => "tax",
        AdjustmentKind::Exemption => "exemption",
    }
}

pub(crate) fn limited_by(limited: Limited) -> &'static str {
    match limited {
        Limited::Cap => "cap",
        Limited::Budget => "budget",
    }
}

impl From<&Reason> for NumbersBody {
    fn from(reason: &Reason) -> Self {
        let of = |of: &Money| Self { of: Some(MoneyBody(*of)), ..Self::default() };
        match reason {
            Reason::Sale { list } => of(list),
            Reason::Percentage { rate, of: whole } | Reason::Tax { rate, of: whole, .. } => Self { rate_ppm: Some(rate.0), ..of(whole) },
            Reason::Assessed { rate, of: whole, .. } => Self { rate_ppm: rate.map(|rate| rate.0), ..of(whole) },
            Reason::Fixed { of: whole } | Reason::Exempt { of: whole } => of(whole),
            Reason::Price { price, of: whole } => Self { off: Some(OffBody::Price(MoneyBody(*price))), ..of(whole) },
            Reason::Each { off, copies, of: whole } => Self { off: Some(off.into()), copies: Some(*copies), ..of(whole) },
            Reason::Tier { from, off, copies, of: whole } => {
                Self { off: Some(off.into()), copies: Some(*copies), from_copies: Some(*from), ..of(whole) }
            }
            Reason::Spend { from, off, of: whole } => Self { off: Some(off.into()), from_amount: Some(MoneyBody(*from)), ..of(whole) },
            Reason::BuyGet { bought, gotten, rate, of: whole } => {
                Self { bought: Some(*bought), copies: Some(*gotten), rate_ppm: Some(rate.0), ..of(whole) }
            }
            Reason::Bundle { sets, off, of: whole } => Self { off: Some(off.into()), sets: Some(*sets), ..of(whole) },
            Reason::Shipping { off, of: whole } => Self { off: Some(off.into()), ..of(whole) },
            Reason::ShippingFree { from } => Self { from_amount: Some(MoneyBody(*from)), ..Self::default() },
            Reason::Gift | Reason::ShippingPrice | Reason::NothingToShip => Self::default(),
        }
    }
}

impl<'a> From<&'a NotApplied> for NotAppliedBody<'a> {
    fn from(not: &'a NotApplied) -> Self {
        let missing = match &not.why {
            WhyNot::BelowMinimum { minimum, have: Some(have) } => minimum.minus(*have).ok().map(MoneyBody),
            _ => None,
        };
        let missing_copies = match &not.why {
            WhyNot::BelowCopies { least, have } => Some(u64::from(*least).saturating_sub(*have)).filter(|n| *n > 0),
            _ => None,
        };
        Self {
            code: not.code.as_ref().map(|code| code.as_str()),
            promotion_id: not.promotion.as_ref().map(|id| id.as_str()),
            label: not.label.as_ref().map(|label| label.as_str()),
            reason: Show(Say(&not.why)),
            missing,
            missing_copies,
        }
    }
}
