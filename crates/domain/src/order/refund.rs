//! Paying money back: in part or whole, copy by copy, never more than was paid.
//!
//! What a copy is worth comes from the order's quote alone. A line's part of the total is what it cost after
//! its discount, with its tax; it is divided over the line's copies by `allocate`, the earlier copies first.
//! Shipping, with its tax, comes back with the last copy. So every way of refunding all copies pays back
//! exactly the total.

use super::{Order, OrderEvent, PaymentStatus, Status};
use crate::checkout::PaymentError;
use crate::ids::{EditionId, RefundId};
use crate::limits::{REASON_MAX, REFUNDS_MAX};
use crate::money::Money;
use crate::pricing::{Line, Quote, QuotedLine};
use crate::quantity::Quantity;
use crate::refusal::{Refusal, Short};
use crate::stock::{StockChange, StockMove};
use crate::text::Text;
use crate::time::Timestamp;

/// Money on its way back, or paid back already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The key under which the provider is asked, so that it pays once.
    pub id: RefundId,
    pub amount: Money,
    /// The copies this pays back; none for a mere amount.
    pub items: Vec<RefundedItem>,
    /// Whether those copies went back on the shelf.
    pub restock: bool,
    pub reason: Option<Text<REASON_MAX>>,
    pub requested_at: Timestamp,
    /// When the provider had paid it back.
    pub paid_at: Option<Timestamp>,
    /// Why the provider will not pay it back. It counts for nothing then, but that its copies stay on the shelf.
    pub refused: Option<PaymentError>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundedItem {
    pub edition: EditionId,
    pub quantity: Quantity,
    /// What these copies cost, with discount and tax.
    pub amount: Money,
}

/// What an admin wants paid back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRequest {
    pub what: RefundOf,
    /// Whether the copies go back on the shelf: when left out, only those that were not delivered.
    pub restock: Option<bool>,
    pub reason: Option<Text<REASON_MAX>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundOf {
    Items(Vec<Line>),
    Amount(Money),
}

impl Refund {
    /// Whether the provider has still to pay it back.
    pub fn is_open(&self) -> bool {
        self.paid_at.is_none() && self.refused.is_none()
    }

    /// Its copies of an edition that go back on the shelf.
    fn restocks(&self, edition: EditionId) -> u32 {
        let items = self.items.iter().filter(|i| self.restock && i.edition == edition);
        items.map(|i| i.quantity.get()).sum()
    }
}

impl Order {
    /// The moves that bring the copies of a new refund back on the shelf: once, whoever asks. Those that came back
    /// with a refund that was refused are there already.
    pub(super) fn restocked_by(&self, refund: &Refund) -> Vec<StockMove> {
        let cause = format!("{}/return", refund.id);
        let back = |item: &RefundedItem| {
            let more = refund.restocks(item.edition).saturating_sub(self.copies_back_unpaid(item.edition));
            (more > 0).then(|| StockMove { edition: item.edition, change: StockChange::Return(more), cause: cause.clone() })
        };
        refund.items.iter().filter_map(back).collect()
    }

    /// Copies of an edition that are on the shelf again and whose refund was refused. One refund moves at a time, so
    /// each is decided before the next.
    fn copies_back_unpaid(&self, edition: EditionId) -> u32 {
        let (mut back, mut paid) = (0, 0);
        for refund in &self.refunds {
            let copies = refund.restocks(edition);
            back = back.max(paid + copies);
            paid += if refund.refused.is_none() { copies } else { 0 };
        }
        back - paid
    }

    /// The refund a request means.
    ///
    /// # Errors
    /// [`Refusal::RefundNotPossible`] while nothing is captured, [`Refusal::OrderPaymentPending`] while money
    /// is moving, and the facts when it is more than what is left.
    pub fn request_refund(&self, id: RefundId, request: RefundRequest, now: Timestamp) -> Result<Vec<OrderEvent>, Refusal> {
        let RefundRequest { what, restock, reason } = request;
        self.ensure_refundable()?;
        let left = self.left_to_refund()?;
        let items = match &what {
            RefundOf::Items(lines) if lines.is_empty() => return Err(Refusal::ItemNotFound),
            RefundOf::Items(lines) => self.refunded_items(lines)?,
            RefundOf::Amount(_) => Vec::new(),
        };
        let amount = match what {
            RefundOf::Items(_) => self.worth_of(&items)?,
            RefundOf::Amount(amount) if amount.currency() == left.currency() && amount.minor() > 0 => amount,
            RefundOf::Amount(_) => return Err(Refusal::RefundAmountInvalid { left }),
        };
        if amount.minor() > left.minor() {
            return Err(Refusal::RefundTooLarge { asked: amount, left });
        }
        let restock = !items.is_empty() && restock.unwrap_or_else(|| !self.was_delivered());
        let refund = Refund { id, amount, items, restock, reason, requested_at: now, paid_at: None, refused: None };
        Ok(vec![OrderEvent::RefundRequested(Box::new(refund))])
    }

    /// The refund of all that was not paid back yet; none when nothing is left.
    pub(super) fn refund_of_the_rest(&self, id: RefundId, restock: bool, now: Timestamp) -> Result<Option<OrderEvent>, Refusal> {
        let amount = self.left_to_refund()?;
        if amount.is_zero() && !self.quote.total.is_zero() {
            return Ok(None);
        }
        let items = self.refunded_items(&self.copies_left())?;
        let refund = Refund {
            id,
            amount,
            restock: restock && !items.is_empty(),
            items,
            reason: None,
            requested_at: now,
            paid_at: None,
            refused: None,
        };
        Ok(Some(OrderEvent::RefundRequested(Box::new(refund))))
    }

    fn ensure_refundable(&self) -> Result<(), Refusal> {
        match self.payment {
            _ if self.refunds.len() >= REFUNDS_MAX => Err(Refusal::RefundNotPossible { payment: self.payment }),
            PaymentStatus::Captured | PaymentStatus::PartiallyRefunded => Ok(()),
            PaymentStatus::Capturing | PaymentStatus::Voiding | PaymentStatus::Refunding => Err(Refusal::OrderPaymentPending),
            PaymentStatus::Authorized | PaymentStatus::Voided | PaymentStatus::Refunded | PaymentStatus::Failed => {
                Err(Refusal::RefundNotPossible { payment: self.payment })
            }
        }
    }

    fn was_delivered(&self) -> bool {
        match self.status {
            Status::Delivered | Status::Refunded => true,
            Status::Pending | Status::Confirmed | Status::Processing | Status::Shipped | Status::Canceled | Status::Failed => false,
        }
    }

    /// What was paid and has not been asked back.
    pub fn left_to_refund(&self) -> Result<Money, Refusal> {
        let back = Money::sum(self.quote.currency, self.refunds.iter().filter(|r| r.refused.is_none()).map(|r| r.amount))?;
        Ok(self.quote.total.minus(back)?)
    }

    /// Copies of an edition that were paid back already, or are being.
    fn copies_refunded(&self, edition: EditionId) -> u32 {
        let items = self.refunds.iter().filter(|r| r.refused.is_none()).flat_map(|r| &r.items);
        items.filter(|i| i.edition == edition).map(|i| i.quantity.get()).sum()
    }

    /// The copies that were not paid back yet.
    pub fn copies_left(&self) -> Vec<Line> {
        let left = |line: &QuotedLine| {
            let left = line.quantity.get().saturating_sub(self.copies_refunded(line.edition));
            Quantity::new(left.into()).ok().map(|quantity| Line { edition: line.edition, quantity })
        };
        self.quote.lines.iter().filter_map(left).collect()
    }

    /// The wanted copies with what they are worth; the same edition twice adds up.
    fn refunded_items(&self, wanted: &[Line]) -> Result<Vec<RefundedItem>, Refusal> {
        let mut items: Vec<RefundedItem> = Vec::new();
        let mut short = Vec::new();
        for line in &self.quote.lines {
            let asked = wanted.iter().filter(|w| w.edition == line.edition);
            let asked: u32 = asked.map(|w| w.quantity.get()).fold(0, u32::saturating_add);
            let refunded = self.copies_refunded(line.edition);
            let available = line.quantity.get().saturating_sub(refunded);
            if asked > available {
                short.push(Short { edition: line.edition, sku: Some(line.sku.clone()), wanted: asked, available });
            } else if let Ok(quantity) = Quantity::new(asked.into()) {
                items.push(RefundedItem { edition: line.edition, quantity, amount: copies(&self.quote, line, refunded, asked)? });
            }
        }
        let sold = |w: &Line| self.quote.lines.iter().any(|l| l.edition == w.edition);
        match short.is_empty() {
            _ if !wanted.iter().all(sold) => Err(Refusal::ItemNotFound),
            false => Err(Refusal::RefundItemsTooMany { short }),
            true => Ok(items),
        }
    }

    /// What these copies are worth, with the shipping when they are the last.
    fn worth_of(&self, items: &[RefundedItem]) -> Result<Money, Refusal> {
        let worth = Money::sum(self.quote.currency, items.iter().map(|i| i.amount))?;
        let before: u32 = self.copies_left().iter().map(|l| l.quantity.get()).sum();
        let now: u32 = items.iter().map(|i| i.quantity.get()).sum();
        Ok(if now == before { worth.plus(shipping(&self.quote)?)? } else { worth })
    }
}

/// What a line cost, with its discount and its tax.
fn paid(quote: &Quote, line: &QuotedLine) -> Result<Money, Refusal> {
    let goods = line.total.minus(line.discount)?;
    Ok(if quote.tax_included { goods } else { goods.plus(line.tax)? })
}

/// What the copies number `from + 1` to `from + n` of a line cost.
fn copies(quote: &Quote, line: &QuotedLine, from: u32, n: u32) -> Result<Money, Refusal> {
    let each = paid(quote, line)?.allocate(&vec![1; line.quantity.get() as usize]);
    Ok(Money::sum(quote.currency, each.into_iter().skip(from as usize).take(n as usize))?)
}

/// What is in the total besides the goods: shipping, with its tax.
fn shipping(quote: &Quote) -> Result<Money, Refusal> {
    let goods = quote.lines.iter().map(|l| paid(quote, l)).collect::<Result<Vec<_>, _>>()?;
    Ok(quote.total.minus(Money::sum(quote.currency, goods)?)?)
}
