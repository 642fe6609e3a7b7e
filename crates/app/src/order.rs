//! Orders after they are placed: reading them, moving them along, paying back, canceling.

use crate::App;
use crate::caller::Caller;
use crate::cart::ensure_version;
use crate::checkout::give_back;
use crate::error::Error;
use crate::once::{Answered, Once, answer, before};
use crate::ports::{Change, Committed, OrderFilter, OrderPlace};
use domain::cart::Owner;
use domain::ids::{CustomerId, OrderId, RefundId, Version};
use domain::limits::{CONFLICT_RETRIES_MAX, DRIVE_LEASE, PAGE_MAX, REASON_MAX};
use domain::order::{Actor, Order, OrderEvent, PaymentStatus, Recorded, RefundRequest, Status};
use domain::person::Address;
use domain::planted;
use domain::refusal::Refusal;
use domain::text::Text;
use domain::time::Timestamp;

#[derive(Clone, Debug, Default)]
pub struct OrderQuery {
    /// For admins; others see their own.
    pub customer: Option<CustomerId>,
    pub status: Option<Status>,
    pub payment: Option<PaymentStatus>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub after: Option<OrderPlace>,
    pub limit: usize,
}

#[derive(Clone, Debug)]
pub struct Page<T, P> {
    pub items: Vec<T>,
    /// Where the next page starts; none after the last.
    pub next: Option<P>,
}

impl App {
    /// Own orders, or all of them for an admin, newest first.
    pub async fn orders(&self, caller: &Caller, query: OrderQuery) -> Result<Page<Order, OrderPlace>, Error> {
        let owner = match (caller.is_admin(), query.customer) {
            (true, customer) => customer.map(Owner::Customer),
            (false, None) => Some(caller.owner()?),
            (false, Some(customer)) => {
                Some(caller.owner()?).filter(|own| *own == Owner::Customer(customer)).ok_or(Refusal::Forbidden).map(Some)?
            }
        };
        let OrderQuery { status, payment, from, to, after, .. } = query;
        let limit = query.limit.clamp(1, PAGE_MAX);
        let filter = OrderFilter { owner, status, payment, from, to, after };
        let mut items = self.ports.ledger.orders(&filter, limit + 1).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|o| OrderPlace { placed_at: o.placed_at, id: o.id });
        Ok(Page { items, next })
    }

    /// Somebody else's order is not there.
    pub async fn order(&self, caller: &Caller, id: OrderId) -> Result<Order, Error> {
        let owner = caller.owner()?;
        let order = self.ports.ledger.order(id).await?.ok_or(Refusal::OrderNotFound)?;
        if caller.is_admin() || order.owner == owner { Ok(order) } else { Err(Refusal::OrderNotFound.into()) }
    }

    pub async fn order_events(&self, caller: &Caller, id: OrderId) -> Result<Vec<Recorded>, Error> {
        self.order(caller, id).await?;
        Ok(self.ports.ledger.order_events(id).await?)
    }

    /// Moves an order along its state machine. For admins. Goods whose money was only authorized leave once it
    /// is taken: until then the order is where it was, its payment `capturing`.
    pub async fn change_order_status(
        &self,
        caller: &Caller,
        id: OrderId,
        to: Status,
        if_match: Option<Version>,
        once: Option<Once<Order>>,
    ) -> Result<Answered<Order>, Error> {
        caller.ensure_admin()?;
        let refund = self.fresh_refund();
        self.edit_order(caller, id, if_match, once, |order, now| order.change_status(to, None, refund, now)).await
    }

    /// Changes where an order goes, before it is shipped.
    pub async fn change_order_address(
        &self,
        caller: &Caller,
        id: OrderId,
        address: Address,
        if_match: Option<Version>,
        once: Option<Once<Order>>,
    ) -> Result<Answered<Order>, Error> {
        self.edit_order(caller, id, if_match, once, |order, _| order.change_address(address.clone())).await
    }

    /// Cancels before shipment: money goes back, stock and coupons return.
    pub async fn cancel_order(
        &self,
        caller: &Caller,
        id: OrderId,
        reason: Option<Text<REASON_MAX>>,
        if_match: Option<Version>,
        once: Option<Once<Order>>,
    ) -> Result<Answered<Order>, Error> {
        let refund = self.fresh_refund();
        self.edit_order(caller, id, if_match, once, |order, now| order.change_status(Status::Canceled, reason.clone(), refund, now)).await
    }

    /// Pays back some copies, or an amount. For admins.
    pub async fn refund_order(
        &self,
        caller: &Caller,
        id: OrderId,
        request: RefundRequest,
        if_match: Option<Version>,
        once: Option<Once<Order>>,
    ) -> Result<Answered<Order>, Error> {
        caller.ensure_admin()?;
        let refund = self.fresh_refund();
        self.edit_order(caller, id, if_match, once, |order, now| order.request_refund(refund, request.clone(), now)).await
    }

    fn fresh_refund(&self) -> RefundId {
        RefundId(self.fresh_bits(self.now()))
    }

    /// Decides, commits, and then moves the money the decision is about.
    async fn edit_order(
        &self,
        caller: &Caller,
        id: OrderId,
        if_match: Option<Version>,
        once: Option<Once<Order>>,
        decide: impl Fn(&Order, Timestamp) -> Result<Vec<OrderEvent>, Refusal>,
    ) -> Result<Answered<Order>, Error> {
        if let Some(again) = before(once.as_ref(), |key| self.ports.ledger.answer(key)).await? {
            return Ok(again);
        }
        for _ in 0..CONFLICT_RETRIES_MAX {
            let now = self.now();
            let order = self.order(caller, id).await?;
            ensure_version(if_match, order.version)?;
            let events = decide(&order, now)?;
            let (after, mut change) = edited(&order, events, &caller.actor(), now);
            change.answer = answer(once.as_ref(), &after, now).filter(|_| !planted("order-answer-dropped"));
            match (self.commit(change, now).await?, &once) {
                // The money moves at once if it can; else the sweeper sees to it. A repeat is answered with what
                // was committed, so the first answer is that too.
                (Committed::Done, once) => {
                    let driven = self.drive_order(after.clone()).await?;
                    return Ok(Answered::Fresh(if once.is_some() { after } else { driven }));
                }
                (Committed::Answered(first), Some(once)) => return once.again(first),
                _ => {}
            }
        }
        Err(Refusal::CartBusy.into())
    }
}

/// What these events make of an order, and all that commits with them: goods and coupons come back from a
/// canceled one, and somebody looks again at money that has to move.
pub(crate) fn edited(order: &Order, events: Vec<OrderEvent>, actor: &Actor, now: Timestamp) -> (Order, Change) {
    let stock = if planted("stock-kept-on-cancel") { vec![] } else { order.returns(&events) };
    let appended = order.append(events, actor, "request", now);
    let after = appended.order.clone();
    let mut change = Change { stock, outbox: appended.outgoing().collect(), ..Change::default() };
    if after.status == Status::Canceled && !planted("use-kept-on-cancel") {
        change.uses = give_back(&after.quote, &after.return_cause());
    }
    if after.payment.is_moving() {
        change.order_alarm = Some((after.id, now.plus(DRIVE_LEASE)));
    }
    if !appended.events.is_empty() {
        change.order = Some(appended);
    }
    (after, change)
}
