//! A quote: totals, adjustments, priced items.

use crate::explain::limited_by;
use crate::say::Say;
use crate::scalar::{MoneyBody, Show};
use domain::ids::{BookId, EditionId, ItemId};
use domain::pricing::{Adjustment, AdjustmentKind, NotApplied, Quote, QuotedLine};
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TotalsBody<'a> {
    subtotal: MoneyBody,
    discount: MoneyBody,
    shipping: MoneyBody,
    tax: MoneyBody,
    total: MoneyBody,
    item_count: u64,
    tax_included: bool,
    #[serde(skip_serializing_if = "is_false")]
    tax_estimated: bool,
    #[serde(rename = "final")]
    settled: bool,
    adjustments: Vec<AdjustmentBody<'a>>,
    not_applied: Vec<NotAppliedBody<'a>>,
}

impl<'a> From<&'a Quote> for TotalsBody<'a> {
    fn from(quote: &'a Quote) -> Self {
        Self {
            subtotal: MoneyBody(quote.subtotal),
            discount: MoneyBody(quote.discount),
            shipping: MoneyBody(quote.shipping),
            tax: MoneyBody(quote.tax),
            total: MoneyBody(quote.total),
            item_count: quote.item_count,
            tax_included: quote.tax_included,
            tax_estimated: quote.tax_estimated,
            settled: quote.settled,
            adjustments: quote.adjustments.iter().map(AdjustmentBody::from).collect(),
            not_applied: quote.not_applied.iter().filter(|n| n.concerns_shopper()).map(NotAppliedBody::from).collect(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_false(b: &bool) -> bool {
    !b
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AdjustmentBody<'a> {
    kind: &'static str,
    code: &'a str,
    label: &'a str,
    /// Negative in the shopper's favor.
    amount: MoneyBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_id: Option<Show<ItemId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    promotion_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limited_by: Option<&'static str>,
    reason: Show<Say<'a, domain::pricing::Reason>>,
}

impl<'a> From<&'a Adjustment> for AdjustmentBody<'a> {
    fn from(a: &'a Adjustment) -> Self {
        Self {
            kind: match a.kind {
                AdjustmentKind::Sale | AdjustmentKind::Promotion => "promotion",
                AdjustmentKind::Coupon => "coupon",
                AdjustmentKind::Shipping => "shipping",
                AdjustmentKind::Tax | AdjustmentKind::Exemption => "tax",
            },
            code: &a.code,
            label: a.label.as_str(),
            amount: MoneyBody(a.amount),
            item_id: a.item.map(Show),
            promotion_id: a.promotion.as_ref().map(|id| id.as_str()),
            limited_by: a.limited.map(limited_by),
            reason: Show(Say(&a.reason)),
        }
    }
}

#[derive(Debug, Serialize)]
struct NotAppliedBody<'a> {
    code: &'a str,
    reason: Show<Say<'a, domain::pricing::WhyNot>>,
}

impl<'a> From<&'a NotApplied> for NotAppliedBody<'a> {
    fn from(not: &'a NotApplied) -> Self {
        Self { code: not.name(), reason: Show(Say(&not.why)) }
    }
}

/// One line as it is priced.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PricedItemBody<'a> {
    id: Show<ItemId>,
    product_id: Show<BookId>,
    variant_id: Show<EditionId>,
    sku: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<&'a str>,
    quantity: u32,
    unit_price: MoneyBody,
    list_price: MoneyBody,
    line_total: MoneyBody,
    /// Its part of the discount; left out when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<MoneyBody>,
    /// Added by a promotion.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gift: bool,
}

/// A line's part of the discount, if it has one.
pub(crate) fn discount(line: &QuotedLine) -> Option<MoneyBody> {
    (!line.discount.is_zero()).then_some(MoneyBody(line.discount))
}

impl<'a> From<&'a QuotedLine> for PricedItemBody<'a> {
    fn from(line: &'a QuotedLine) -> Self {
        Self {
            id: Show(line.item),
            product_id: Show(line.book),
            variant_id: Show(line.edition),
            sku: line.sku.as_str(),
            title: line.title.as_str(),
            image_url: line.image_url.as_ref().map(|url| url.as_str()),
            quantity: line.quantity.get(),
            unit_price: MoneyBody(line.unit_price),
            list_price: MoneyBody(line.list_price),
            line_total: MoneyBody(line.total),
            discount: discount(line),
            gift: line.gift,
        }
    }
}

pub(crate) fn priced_items(quote: &Quote) -> Vec<PricedItemBody<'_>> {
    quote.lines.iter().map(PricedItemBody::from).collect()
}

/// Totals with the items they are of.
#[derive(Debug, Serialize)]
pub struct QuoteBody<'a> {
    #[serde(flatten)]
    totals: TotalsBody<'a>,
    items: Vec<PricedItemBody<'a>>,
}

impl<'a> From<&'a Quote> for QuoteBody<'a> {
    fn from(quote: &'a Quote) -> Self {
        Self { totals: quote.into(), items: priced_items(quote) }
    }
}
