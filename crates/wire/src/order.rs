use crate::checkout::{AddressBody, address};
use crate::read::Object;
use crate::scalar::{At, MoneyBody, Private, Show};
use crate::totals::{PricedItemBody, TotalsBody, priced_items};
use domain::cart::Owner;
use domain::ids::OrderId;
use domain::order::{Actor, Number, Order, OrderEvent, Recorded, Status};
use domain::person::Address;
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
            shipping_address: (&order.shipping_address).into(),
            billing_address: (&order.billing_address).into(),
            placed_at: At(order.placed_at),
            updated_at: At(order.updated_at),
            version: order.version.0,
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
}

#[derive(Debug)]
struct ActorName<'a>(&'a Actor);

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
        OrderEvent::PaymentAuthorized { amount }
        | OrderEvent::PaymentCaptured { amount }
        | OrderEvent::PaymentVoided { amount }
        | OrderEvent::PaymentRefunded { amount } => {
            became.amount = Some(MoneyBody(*amount));
        }
        OrderEvent::Canceled { reason, .. } => became.reason = reason.as_ref().map(|r| r.as_str()),
        OrderEvent::Failed { reason } => became.reason = Some(reason),
        OrderEvent::Placed(_)
        | OrderEvent::Confirmed
        | OrderEvent::Processing
        | OrderEvent::Shipped
        | OrderEvent::Delivered
        | OrderEvent::RefundRequested
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
