use crate::call::Call;
use crate::problem::{Answer, Failure};
use crate::query::Query;
use crate::reply;
use app::OrderQuery;
use app::ports::OrderPlace;
use bytes::Bytes;
use domain::ids::{CustomerId, OrderId};
use domain::order::{Order, PaymentStatus, Status};
use domain::refusal::Refusal;
use domain::time::Timestamp;
use wire::At;
use wire::explain::Explained;
use wire::order::{OrderBody, OrderPatch, history};

fn order_id(call: &Call) -> Result<OrderId, Failure> {
    call.id("id", OrderId::parse, Refusal::OrderNotFound)
}

fn changed(order: &Order) -> Bytes {
    reply::ok(order.version, &OrderBody::from(order))
}

fn refunded(order: &Order) -> Bytes {
    reply::created(order.version, &format!("/api/v1/orders/{}", order.id), &OrderBody::from(order))
}

/// A place in the list as a cursor holds it: the instant, then the id.
fn place(bytes: [u8; 24]) -> Option<OrderPlace> {
    let (at, id) = bytes.split_first_chunk::<8>()?;
    Some(OrderPlace { placed_at: Timestamp(i64::from_be_bytes(*at)), id: OrderId(u128::from_be_bytes(id.try_into().ok()?)) })
}

fn place_bytes(place: OrderPlace) -> Vec<u8> {
    [&place.placed_at.micros().to_be_bytes()[..], &place.id.0.to_be_bytes()].concat()
}

fn order_query(call: &Call, query: &mut Query) -> Result<OrderQuery, Failure> {
    Ok(OrderQuery {
        customer: query.get("customerId", CustomerId::parse, "the id of a customer"),
        status: query.get("status", Status::parse, "the status of an order"),
        payment: query.get("paymentStatus", PaymentStatus::parse, "the status of a payment"),
        from: query.get("from", At::parse, "an RFC 3339 time"),
        to: query.get("to", At::parse, "an RFC 3339 time"),
        limit: query.limit(),
        after: call.after(query)?.and_then(place),
    })
}

pub(crate) async fn list(call: Call) -> Answer {
    let mut query = call.query()?;
    let asked = order_query(&call, &mut query)?;
    query.end()?;
    if asked.payment.is_some() && !call.caller.is_admin() {
        return Err(Refusal::Forbidden.into());
    }
    let page = call.app().orders(&call.caller, asked).await?;
    let next = page.next.map(place_bytes);
    Ok(call.page(page.items.iter().map(OrderBody::from).collect(), next.as_deref()))
}

pub(crate) async fn show(call: Call) -> Answer {
    let explain = call.explain()?;
    let order = call.app().order(&call.caller, order_id(&call)?).await?;
    Ok(call.show(order.version, &Explained::of(OrderBody::from(&order), &order.quote, explain)))
}

pub(crate) async fn events(call: Call) -> Answer {
    let mut query = call.query()?;
    let (limit, after) = (query.limit(), call.after(&mut query)?.map_or(0, u64::from_be_bytes));
    query.end()?;
    let events = call.app().order_events(&call.caller, order_id(&call)?).await?;
    let start = events.iter().take_while(|e| e.sequence <= after).count();
    let page = history(&events).into_iter().skip(start).take(limit).collect();
    let last = events.get(start..).and_then(|rest| rest.get(limit)).and(events.get(start + limit - 1));
    Ok(call.page(page, last.map(|e| e.sequence.to_be_bytes()).as_ref().map(|b| &b[..])))
}

pub(crate) async fn patch(mut call: Call) -> Answer {
    call.no_query()?;
    let patch = call.read(wire::order::change_order)?;
    let (id, if_match, once) = (order_id(&call)?, call.if_match()?, call.once(changed));
    let answered = match patch {
        OrderPatch::Status(to) => call.app().change_order_status(&call.caller, id, to, if_match, once).await?,
        OrderPatch::Address(address) => call.app().change_order_address(&call.caller, id, *address, if_match, once).await?,
    };
    call.answer(answered, changed)
}

pub(crate) async fn cancel(call: Call) -> Answer {
    call.no_query()?;
    let (id, if_match, once) = (order_id(&call)?, call.if_match()?, call.once(changed));
    let answered = call.app().cancel_order(&call.caller, id, None, if_match, once).await?;
    call.answer(answered, changed)
}

pub(crate) async fn refund(mut call: Call) -> Answer {
    call.no_query()?;
    let request = call.read(wire::order::refund)?;
    let (id, if_match, once) = (order_id(&call)?, call.if_match()?, call.once(refunded));
    let answered = call.app().refund_order(&call.caller, id, request, if_match, once).await?;
    call.answer(answered, refunded)
}
