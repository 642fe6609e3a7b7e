use crate::call::Call;
use crate::problem::{Answer, Failure};
use crate::reply;
use app::{CheckoutView, Processed, Started};
use bytes::Bytes;
use domain::ids::CheckoutId;
use domain::refusal::Refusal;
use std::sync::Arc;
use wire::checkout::{CheckoutBody, CompletedBody, WaitingBody};

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
        Processed::Declined(error) => reply::declined(error),
    }
}

pub(crate) async fn start(mut call: Call) -> Answer {
    call.no_query()?;
    let start = call.read_or_empty(wire::checkout::start_checkout)?;
    let answered = call.app().start_checkout(&call.caller, start, call.once(started)).await?;
    call.answer(answered, started)
}

pub(crate) async fn show(call: Call) -> Answer {
    call.no_query()?;
    let view = call.app().checkout(&call.caller, checkout_id(&call)?).await?;
    Ok(call.show(view.checkout.version, &CheckoutBody::from(&view)))
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

/// Goes on after a challenge.
pub(crate) async fn resume(mut call: Call) -> Answer {
    call.no_query()?;
    call.read_or_empty(wire::checkout::nothing)?;
    let resumed = call.app().resume_checkout(&call.caller, checkout_id(&call)?).await?;
    call.packed(&processed(&resumed))
}

/// Pays. Whoever waits too long is told where to look; the payment goes on.
pub(crate) async fn process(mut call: Call) -> Answer {
    call.no_query()?;
    let input = call.read(wire::checkout::process)?;
    let once = call.must_once(processed)?;
    let id = call.app().which_checkout(&call.caller, input.checkout).await?;
    let (app, caller, process) = (Arc::clone(&call.edge.app), call.caller.clone(), input.of(id, call.if_match()?));
    let work = call.edge.see_through(async move { app.process(&caller, process, once).await });
    match tokio::time::timeout(call.edge.answer_within, work).await {
        Ok(Ok(answered)) => call.answer(answered?, processed),
        Ok(Err(_)) => Err(Failure::panicked()),
        Err(_) => call.packed(&reply::accepted(&location(id), &WaitingBody::processing(id))),
    }
}
