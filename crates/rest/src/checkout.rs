use crate::call::Call;
use crate::edge::Edge;
use crate::problem::{Answer, Failure};
use crate::reply;
use app::{Answered, Caller, CheckoutView, Once, Process, Processed, Started};
use bytes::Bytes;
use domain::checkout::{Checkout, State};
use domain::ids::{AttemptId, CheckoutId};
use domain::refusal::Refusal;
use std::net::IpAddr;
use std::sync::Arc;
use wire::checkout::{CheckoutBody, CompletedBody, WaitingBody};
use wire::explain::Explained;

/// The provider did not answer, which is nobody's card.
const TIMED_OUT: &str = "payment_timeout";

fn checkout_id(call: &Call) -> Result<CheckoutId, Failure> {
    call.id("id", CheckoutId::parse, Refusal::CheckoutNotFound)
}

fn location(id: CheckoutId) -> String {
    format!("/api/v1/checkout/session/{id}")
}

fn changed(view: &CheckoutView) -> Bytes {
    reply::ok(view.checkout.version, &CheckoutBody::from(view))
}

fn started(started: &Started) -> Bytes {
    let checkout = &started.view.checkout;
    match started.created {
        true => reply::created(checkout.version, &location(checkout.id), &CheckoutBody::from(&started.view)),
        false => changed(&started.view),
    }
}

fn processed(processed: &Processed) -> Bytes {
    match processed {
        Processed::Completed(order) => reply::plain(&CompletedBody::from(&**order)),
        Processed::Waiting(checkout) => reply::accepted(&location(checkout.id), &WaitingBody::from(&**checkout)),
        Processed::Declined { error, .. } => reply::declined(error),
    }
}

pub(crate) async fn start(mut call: Call) -> Answer {
    call.no_query()?;
    let start = call.read_or_empty(wire::checkout::start_checkout)?;
    let answered = call.app().start_checkout(&call.caller, start, call.once(started)).await?;
    call.answer(answered, started)
}

pub(crate) async fn show(call: Call) -> Answer {
    let explain = call.explain()?;
    let view = call.app().checkout(&call.caller, checkout_id(&call)?).await?;
    Ok(call.show(view.checkout.version, &Explained::of(CheckoutBody::from(&view), &view.checkout.quote, explain)))
}

pub(crate) async fn patch(mut call: Call) -> Answer {
    call.no_query()?;
    let details = call.read(wire::checkout::details)?;
    let (id, if_match, once) = (checkout_id(&call)?, call.if_match()?, call.once(changed));
    let answered = call.app().update_checkout(&call.caller, id, details, if_match, once).await?;
    call.answer(answered, changed)
}

pub(crate) async fn cancel(call: Call) -> Answer {
    call.no_query()?;
    let (id, if_match, once) = (checkout_id(&call)?, call.if_match()?, call.once(changed));
    let answered = call.app().cancel_checkout(&call.caller, id, if_match, once).await?;
    call.answer(answered, changed)
}

/// Goes on after a challenge. One that was not met is a declined payment like any other.
pub(crate) async fn resume(mut call: Call) -> Answer {
    call.no_query()?;
    call.read_or_empty(wire::checkout::nothing)?;
    let id = checkout_id(&call)?;
    let resumed = call.app().resume_checkout(&call.caller, id).await?;
    if let Some(attempt) = declined(&resumed)
        && let Ok(view) = call.app().checkout(&call.caller, id).await
    {
        call.edge.declines.declined(view.checkout.cart, call.address, attempt).await;
    }
    call.packed(&processed(&resumed))
}

/// The attempt that was declined, if one was.
fn declined(processed: &Processed) -> Option<AttemptId> {
    match processed {
        Processed::Declined { attempt, error } if error.code != TIMED_OUT => Some(*attempt),
        Processed::Declined { .. } | Processed::Completed(_) | Processed::Waiting(_) => None,
    }
}

/// Pays. Whoever waits too long is told where to look; the payment goes on.
pub(crate) async fn process(mut call: Call) -> Answer {
    call.no_query()?;
    let input = call.read(wire::checkout::process)?;
    let once = call.must_once(processed)?;
    let id = call.app().which_checkout(&call.caller, input.checkout).await?;
    let (edge, caller, address) = (Arc::clone(&call.edge), call.caller.clone(), call.address);
    let process = input.of(id, call.if_match()?);
    let work = call.edge.see_through(async move { pay(&edge, &caller, address, process, once).await });
    match tokio::time::timeout(call.edge.answer_within, work).await {
        Ok(answered) => call.answer(answered?, processed),
        Err(_) => call.packed(&reply::accepted(&location(id), &WaitingBody::processing(id))),
    }
}

/// Pays, unless too many payments were declined lately; a repeat gets its first answer all the same.
async fn pay(
    edge: &Edge,
    caller: &Caller,
    address: IpAddr,
    process: Process,
    once: Once<Processed>,
) -> Result<Answered<Processed>, Failure> {
    // A checkout that cannot be read is not paid for either; `process` says why.
    let checkout = edge.app.checkout(caller, process.checkout).await.ok().map(|view| view.checkout);
    if let Some(checkout) = &checkout
        && let Some(attempt) = given_up(checkout, &once)
    {
        edge.declines.declined(checkout.cart, address, attempt).await;
    }
    let payment = match edge.declines.admit(checkout.map(|c| c.cart), address, once.mark.key).await {
        Ok(payment) => payment,
        Err(too_many) => return edge.app.answered(&once).await?.ok_or(too_many),
    };
    let answered = edge.app.process(caller, process, once).await;
    let declined = match &answered {
        Ok(Answered::Fresh(processed)) => declined(processed),
        Ok(Answered::Again(_)) | Err(_) => None,
    };
    edge.declines.over(payment, declined).await;
    Ok(answered?)
}

/// A challenge that another payment takes the place of counts as declined, or nobody who fails one would come back
/// to say so.
fn given_up(checkout: &Checkout, once: &Once<Processed>) -> Option<AttemptId> {
    let challenged = checkout.attempt.as_ref().filter(|a| a.challenge.is_some() && a.mark.key != once.mark.key)?;
    matches!(checkout.state, State::Open | State::Challenged).then_some(challenged.id)
}
