//! What carts, orders and quotes come to, reckoned apart from the rules that are being tried.

use domain::cart::{Cart, Strategy};
use domain::checkout::{AfterUndo, State};
use domain::ids::EditionId;
use domain::limits::QUANTITY_MAX;
use domain::money::Money;
use domain::order::{Order, PaymentStatus, Status};
use domain::pricing::{AdjustmentKind, Quote};
use std::collections::BTreeMap;

/// Copies by edition.
pub type Items = BTreeMap<EditionId, u32>;

/// Never lowers what was allowed before.
pub fn allow<K: Ord>(limits: &mut BTreeMap<K, u64>, of: K, limit: Option<u64>) {
    if let Some(limit) = limit {
        let most = limits.entry(of).or_default();
        *most = limit.max(*most);
    }
}

/// Copies of an order that left the shelf and did not come back.
pub fn copies_out(order: &Order) -> BTreeMap<EditionId, i64> {
    let mut out = BTreeMap::new();
    let mut count = |edition: EditionId, n: i64| *out.entry(edition).or_default() += n;
    let refunded = order.refunds.iter().flat_map(|r| r.items.iter().map(move |i| (r.restock, i.edition, i64::from(i.quantity.get()))));
    match order.status {
        Status::Failed => {}
        // All came back but what was paid back before and thrown away.
        Status::Canceled => refunded.filter(|(restock, ..)| !restock).for_each(|(_, edition, n)| count(edition, n)),
        Status::Pending | Status::Confirmed | Status::Processing | Status::Shipped | Status::Delivered | Status::Refunded => {
            order.quote.lines.iter().for_each(|l| count(l.edition, l.quantity.get().into()));
            refunded.filter(|(restock, ..)| *restock).for_each(|(_, edition, n)| count(edition, -n));
        }
    }
    out
}

/// Whether what the provider has of an order goes back as a whole.
pub fn is_taken_back(payment: PaymentStatus) -> bool {
    matches!(payment, PaymentStatus::Voiding | PaymentStatus::Voided | PaymentStatus::Failed)
}

/// Whether a checkout in this state holds stock and coupons of its own.
pub fn holds(state: State) -> bool {
    match state {
        State::Authorizing | State::Challenged => true,
        State::Undoing { then } => then != AfterUndo::Failed,
        State::Open | State::Capturing | State::Completed { .. } | State::Canceled { .. } | State::Expired { .. } => false,
    }
}

pub fn quantities(cart: &Cart) -> Items {
    cart.items.iter().map(|i| (i.edition, i.quantity.get())).collect()
}

pub fn merge(items: &mut Items, source: Items, strategy: Strategy) {
    for (edition, theirs) in source {
        let merged = match (items.get(&edition).copied(), strategy) {
            (None, _) | (Some(_), Strategy::Source) => theirs,
            (Some(ours), Strategy::Target) => ours,
            (Some(ours), Strategy::Max) => ours.max(theirs),
            (Some(ours), Strategy::Sum) => (ours + theirs).min(QUANTITY_MAX),
        };
        items.insert(edition, merged);
    }
}

/// A quote is the sum of its parts, recomputed here in plain integers.
pub fn adds_up(quote: &Quote) -> bool {
    let minor = |money: Money| i128::from(money.minor());
    let sum = |part: fn(&domain::pricing::QuotedLine) -> Money| quote.lines.iter().map(|l| minor(part(l))).sum::<i128>();
    let adjusted = |kind| quote.adjustments.iter().filter(|a| a.kind == kind).map(|a| minor(a.amount)).sum::<i128>();
    let tax_on_top = if quote.tax_included { 0 } else { minor(quote.tax) };
    quote.lines.iter().all(|l| minor(l.total) == minor(l.unit_price) * i128::from(l.quantity.get()))
        && quote.lines.iter().all(|l| 0 <= l.discount.minor() && l.discount.minor() <= l.total.minor())
        && sum(|l| l.total) == minor(quote.subtotal)
        && sum(|l| l.discount) == minor(quote.discount)
        && adjusted(AdjustmentKind::Coupon) + adjusted(AdjustmentKind::Promotion) == -minor(quote.discount)
        && adjusted(AdjustmentKind::Shipping) == minor(quote.shipping)
        && adjusted(AdjustmentKind::Tax) == minor(quote.tax)
        && sum(|l| l.tax) <= minor(quote.tax)
        && minor(quote.subtotal) - minor(quote.discount) + minor(quote.shipping) + tax_on_top == minor(quote.total)
}
