use crate::checkout::{AddressBody, PaymentErrorBody, address};
use crate::read::Object;
use crate::scalar::{self, At, MoneyBody, Private, Show};
use crate::totals::{PricedItemBody, TotalsBody, priced_items};
use domain::cart::Owner;
use domain::ids::{EditionId, ItemId, OrderId, RefundId};
use domain::limits::CART_ITEMS_MAX;
use domain::order::{Actor, Number, Order, OrderEvent, Recorded, Refund, RefundOf, RefundRequest, RefundedItem, Status};
use domain::person::Address;
use domain::pricing::Line;
use domain::text::Text;
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderBody<'a> {
    id: Show<OrderId>,
    number: Show<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<&'a str>,
    email: Private<&'a str>,
    status: &'static str,
    payment_status: &'static str,
    items: Vec<PricedItemBody<'a>>,
    totals: TotalsBody<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refunds: Vec<RefundBody<'a>>,
    shipping_address: AddressBody<'a>,
    billing_address: AddressBody<'a>,
    placed_at: At,
    updated_at: At,
    version: u64,
}

impl<'a> From<&'a Order> for OrderBody<'a> {
    fn from(order: &'a Order) -> Self {
        Self {
            id: Show(order.id),
            number: Show(order.number),
            customer_id: match &order.owner {
                Owner::Customer(id) => Some(id.as_str()),
                Owner::Guest(_) => None,
            },
            email: Private(order.email.as_str()),
            status: order.status.as_str(),
            payment_status: order.payment.as_str(),
            items: priced_items(&order.quote),
            totals: (&order.quote).into(),
            refunds: order.refunds.iter().map(RefundBody::from).collect(),
            shipping_address: (&order.shipping_address).into(),
            billing_address: (&order.billing_address).into(),
            placed_at: At(order.placed_at),
            updated_at: At(order.updated_at),
            version: order.version.0,
        }
    }
}

/// Money paid back, or on its way.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct RefundBody<'a> {
    id: Show<RefundId>,
    status: &'static str,
    amount: MoneyBody,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<RefundedItemBody>,
    restock: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    requested_at: At,
    #[serde(skip_serializing_if = "Option::is_none")]
    refunded_at: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<PaymentErrorBody<'a>>,
}

impl<'a> From<&'a Refund> for RefundBody<'a> {
    fn from(refund: &'a Refund) -> Self {
        Self {
            id: Show(refund.id),
            status: match (refund.paid_at, &refund.refused) {
                (Some(_), _) => "refunded",
                (None, Some(_)) => "refused",
                (None, None) => "pending",
            },
            amount: MoneyBody(refund.amount),
            items: refund.items.iter().map(RefundedItemBody::from).collect(),
            restock: refund.restock,
            reason: refund.reason.as_ref().map(Text::as_str),
            requested_at: At(refund.requested_at),
            refunded_at: refund.paid_at.map(At),
            error: refund.refused.as_ref().map(Into::into),
        }
    }
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct RefundedItemBody {
    item_id: Show<ItemId>,
    variant_id: Show<EditionId>,
    quantity: u32,
    amount: MoneyBody,
}

impl From<&RefundedItem> for RefundedItemBody {
    fn from(item: &RefundedItem) -> Self {
        Self {
            item_id: Show(item.edition.into()),
            variant_id: Show(item.edition),
            quantity: item.quantity.get(),
            amount: MoneyBody(item.amount),
        }
    }
}

/// One event of an order's history, with what it changed.
#[derive(Debug, Serialize)]
pub struct OrderEventBody<'a> {
    seq: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    at: At,
    actor: Show<ActorName<'a>>,
    cause: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Changed<'a>>,
    after: Changed<'a>,
}

/// What an event can change, and what it tells besides.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Changed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shipping_address: Option<AddressBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<MoneyBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<PaymentErrorBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<RefundBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_id: Option<Show<RefundId>>,
}

/// Who did something: `guest`, `customer:…`, `admin:…` or `system`.
#[derive(Debug)]
pub(crate) struct ActorName<'a>(pub &'a Actor);

impl std::fmt::Display for ActorName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Actor::Guest => f.write_str("guest"),
            Actor::Customer(id) => write!(f, "customer:{id}"),
            Actor::Admin(id) => write!(f, "admin:{id}"),
            Actor::System => f.write_str("system"),
        }
    }
}

/// The whole history: what each event changed is found by folding it.
pub fn history(events: &[Recorded]) -> Vec<OrderEventBody<'_>> {
    let mut order = None;
    events
        .iter()
        .map(|recorded| {
            let before = order.take();
            let after = Order::evolve(before.clone(), recorded);
            let body = event_body(recorded, before.as_ref(), after.as_ref());
            order = after;
            body
        })
        .collect()
}

fn event_body<'a>(recorded: &'a Recorded, before: Option<&Order>, after: Option<&Order>) -> OrderEventBody<'a> {
    let (mut was, mut became) = (differences(before, after), differences(after, before));
    match &recorded.event {
        OrderEvent::AddressChanged { from, to } => {
            was.shipping_address = Some((&**from).into());
            became.shipping_address = Some((&**to).into());
        }
        OrderEvent::PaymentAuthorized { amount } | OrderEvent::PaymentCaptured { amount } | OrderEvent::PaymentVoided { amount } => {
            became.amount = Some(MoneyBody(*amount));
        }
        OrderEvent::PaymentRefunded { amount, refund } => {
            became.amount = Some(MoneyBody(*amount));
            became.refund_id = refund.map(Show);
        }
        OrderEvent::RefundRequested(refund) => became.refund = Some((&**refund).into()),
        OrderEvent::CaptureRefused { error } => became.error = Some(error.into()),
        OrderEvent::RefundRefused { refund, error } => {
            became.error = Some(error.into());
            became.refund_id = refund.map(Show);
        }
        OrderEvent::Canceled { reason, .. } => became.reason = reason.as_ref().map(|r| r.as_str()),
        OrderEvent::Failed { reason } => became.reason = Some(reason),
        OrderEvent::Placed(_)
        | OrderEvent::Confirmed
        | OrderEvent::Processing
        | OrderEvent::Shipped
        | OrderEvent::Delivered
        | OrderEvent::CaptureRequested
        | OrderEvent::RefundOfAllRequested
        | OrderEvent::Refunded => {}
    }
    OrderEventBody {
        seq: recorded.sequence,
        kind: recorded.event.name(),
        at: At(recorded.at),
        actor: Show(ActorName(&recorded.actor)),
        cause: &recorded.cause,
        before: Some(was).filter(|was| *was != Changed::default()),
        after: became,
    }
}

/// What of `this` is not so in `other`.
fn differences<'a>(this: Option<&Order>, other: Option<&Order>) -> Changed<'a> {
    let Some(this) = this else { return Changed::default() };
    Changed {
        status: (other.map(|o| o.status) != Some(this.status)).then(|| this.status.as_str()),
        payment_status: (other.map(|o| o.payment) != Some(this.payment)).then(|| this.payment.as_str()),
        ..Changed::default()
    }
}

/// `PATCH /orders/{id}`: an admin moves it along, its owner corrects the address.
#[derive(Debug)]
pub enum OrderPatch {
    Status(Status),
    Address(Box<Address>),
}

pub fn change_order(o: &mut Object<'_, '_>) -> Option<OrderPatch> {
    let both = o.has("status") && o.has("shippingAddress");
    let status = o.optional("status", |v| v.parsed(Status::parse, "the status of an order"));
    let address = o.optional("shippingAddress", |v| v.object(address));
    match (status, address) {
        _ if both => o.wrong("shippingAddress", "INVALID", "Change either the status or the address."),
        (Some(status), _) => Some(OrderPatch::Status(status)),
        (None, Some(address)) => Some(OrderPatch::Address(Box::new(address))),
        (None, None) => o.wrong("status", "REQUIRED", "Is required, or `shippingAddress`."),
    }
}

/// `POST /orders/{id}/refunds`: some copies, or an amount.
pub fn refund(o: &mut Object<'_, '_>) -> Option<RefundRequest> {
    let (by_items, by_amount) = (o.has("items"), o.has("amount"));
    let items = o.optional("items", |v| v.some()?.list(CART_ITEMS_MAX, "TOO_MANY", |v| v.object(copies)));
    let amount = o.optional("amount", scalar::price);
    let restock = o.optional("restock", |v| v.bool());
    let reason = o.optional("reason", scalar::line);
    let what = match (by_items, by_amount) {
        (true, true) => o.wrong("amount", "INVALID", "Name either the items or the amount."),
        (true, false) => items.map(RefundOf::Items),
        (false, true) if restock.is_some() => o.wrong("restock", "INVALID", "Goes with items."),
        (false, true) => amount.map(RefundOf::Amount),
        (false, false) => o.wrong("items", "REQUIRED", "Is required, or `amount`."),
    };
    Some(RefundRequest { what: what?, restock, reason })
}

/// So many copies of an item, named by its id or by its edition's.
fn copies(o: &mut Object<'_, '_>) -> Option<Line> {
    let (by_item, by_edition) = (o.has("itemId"), o.has("variantId"));
    // An item's id carries its edition's bits.
    let item = o.optional("itemId", scalar::item_id).map(|item| EditionId(item.0));
    let edition = o.optional("variantId", scalar::edition_id);
    let quantity = o.required("quantity", scalar::quantity);
    let named = match (by_item, by_edition) {
        (true, true) => o.wrong("variantId", "INVALID", "Name either the item or the edition."),
        (false, false) => o.wrong("itemId", "REQUIRED", "Is required, or `variantId`."),
        (true, false) | (false, true) => item.or(edition),
    };
    Some(Line { edition: named?, quantity: quantity? })
}
