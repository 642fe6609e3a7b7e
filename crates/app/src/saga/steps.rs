//! What each outcome means: the next state of a checkout and everything that commits with it. Pure.

use crate::checkout::{Processed, give_back, moves};
use crate::error::Error;
use crate::once::{Once, answer};
use crate::ports::Change;
use domain::cart::Owner;
use domain::checkout::{AfterUndo, Attempt, Checkout, CheckoutEvent, PaymentError, State};
use domain::limits::{DRIVE_LEASE, RETRY_WAIT_MAX};
use domain::order::{Actor, CaptureWhen, Number, Order, OrderEvent, Placed};
use domain::planted;
use domain::refusal::Refusal;
use domain::stock::StockChange;
use domain::time::Timestamp;
use std::time::Duration;

/// A committed step of a checkout, and whether driving stops after it.
pub struct Step {
    pub change: Change,
    pub waits: bool,
}

impl Step {
    pub fn new(checkout: &Checkout, edit: impl FnOnce(&mut Checkout) -> Result<(), Refusal>) -> Result<Self, Error> {
        let mut after = checkout.clone();
        edit(&mut after)?;
        after.version = checkout.version.next();
        Ok(Self { change: Change { checkout: Some((after, checkout.version)), ..Change::default() }, waits: false })
    }

    fn waiting(mut self) -> Self {
        self.waits = true;
        self
    }

    fn after(&self) -> &Checkout {
        &self.change.checkout.as_ref().expect("invariant: every step of a checkout changes it").0
    }

    fn announce(&mut self, event: CheckoutEvent, now: Timestamp) {
        let (after, _) = self.change.checkout.as_mut().expect("invariant: every step of a checkout changes it");
        self.change.outbox.push(after.announce(event, now));
    }
}

/// Authorized: the order is placed and the held goods are sold. Where the money is taken on shipment, that is
/// all: the order is confirmed and the checkout complete.
pub fn placed(
    checkout: &Checkout,
    number: Option<Number>,
    capture: CaptureWhen,
    once: Option<&Once<Processed>>,
    now: Timestamp,
) -> Result<Step, Error> {
    let attempt = checkout.current();
    let placed = Order::placed_by(checkout).ok_or(Refusal::CheckoutIncomplete { missing: checkout.missing() })?;
    let placed = Placed { number: number.unwrap_or(attempt.number), ..placed };
    let cause = attempt.id.to_string();
    let appended = Order::place(placed, actor(checkout), &cause, now);
    let (to, due_at, appended) = match capture {
        CaptureWhen::AtOnce => (State::Capturing, now.plus(DRIVE_LEASE), appended),
        CaptureWhen::OnShipment => {
            (State::Completed { settled: false }, now, appended.then(vec![OrderEvent::Confirmed], &Actor::System, &cause, now))
        }
    };
    let mut step = Step::new(checkout, |c| {
        c.attempt.as_mut().expect("invariant: a checkout that is being paid has an attempt").tries = 0;
        c.go(to, due_at)
    })?;
    if capture == CaptureWhen::OnShipment {
        step.announce(CheckoutEvent::Completed { order: appended.order.id }, now);
        step.change.answer = answer(once, &Processed::Completed(Box::new(appended.order.clone())), now);
    }
    step.change.stock = moves(checkout, attempt, "consume", StockChange::Consume);
    step.change.outbox.extend(appended.outgoing());
    step.change.order = Some(appended);
    Ok(step)
}

/// The customer has something to do at the provider first.
pub fn challenged(checkout: &Checkout, url: String) -> Result<Step, Error> {
    let step = Step::new(checkout, |c| {
        let attempt = c.attempt.as_mut().expect("invariant: a checkout that is being paid has an attempt");
        attempt.challenge = Some(url);
        attempt.tries = 0;
        let until = attempt.reserved_until;
        c.go(State::Challenged, until)
    })?;
    Ok(step.waiting())
}

/// Declined: everything held is given back and the checkout is open for another try.
pub fn declined(checkout: &Checkout, error: PaymentError, once: Option<&Once<Processed>>, now: Timestamp) -> Result<Step, Error> {
    let attempt = checkout.current();
    let mut step = Step::new(checkout, |c| {
        c.last_error = Some(error.clone());
        let until = c.expires_at;
        c.go(State::Open, until)
    })?;
    release(&mut step, checkout, attempt);
    step.announce(CheckoutEvent::PaymentDeclined { attempt: attempt.id, error: error.clone() }, now);
    step.announce(CheckoutEvent::Failed { attempt: attempt.id, error: error.clone() }, now);
    step.change.answer = answer(once, &Processed::Declined(error), now);
    Ok(step.waiting())
}

fn release(step: &mut Step, checkout: &Checkout, attempt: &Attempt) {
    if !planted("stock-kept-on-decline") {
        step.change.stock = moves(checkout, attempt, "release", StockChange::Release);
    }
    if planted("released-twice") {
        step.change.stock.extend(moves(checkout, attempt, "release again", StockChange::Release));
    }
    if !planted("coupon-kept") {
        step.change.coupons = give_back(&checkout.quote, &attempt.cause("give-back"));
    }
}

/// Captured: the order is confirmed.
pub fn captured(checkout: &Checkout, order: &Order, once: Option<&Once<Processed>>, now: Timestamp) -> Result<Step, Error> {
    let attempt = checkout.current();
    let events = vec![OrderEvent::PaymentCaptured { amount: attempt.amount }, OrderEvent::Confirmed];
    let appended = order.append(events, &Actor::System, &attempt.id.to_string(), now);
    let mut step = Step::new(checkout, |c| c.go(State::Completed { settled: false }, now))?;
    step.announce(CheckoutEvent::Completed { order: order.id }, now);
    step.change.outbox.extend(appended.outgoing());
    step.change.answer = answer(once, &Processed::Completed(Box::new(appended.order.clone())), now);
    step.change.order = Some(appended);
    Ok(step)
}

/// The money could not be taken: the order failed, its goods come back, the authorization is released.
pub fn capture_refused(checkout: &Checkout, order: &Order, error: PaymentError, now: Timestamp) -> Result<Step, Error> {
    let attempt = checkout.current();
    let failed = OrderEvent::Failed { reason: error.code.clone() };
    let appended = order.append(vec![failed], &Actor::System, &attempt.id.to_string(), now);
    let mut step = undo(checkout, AfterUndo::Failed, error, now)?;
    step.change.stock = moves(checkout, attempt, "return", StockChange::Return);
    step.change.coupons = give_back(&checkout.quote, &attempt.cause("give-back"));
    step.change.outbox.extend(appended.outgoing());
    step.change.order = Some(appended);
    Ok(step)
}

pub fn undo(checkout: &Checkout, then: AfterUndo, error: PaymentError, now: Timestamp) -> Result<Step, Error> {
    Step::new(checkout, |c| {
        c.last_error = Some(error);
        c.go(State::Undoing { then }, now.plus(DRIVE_LEASE))
    })
}

/// The provider holds nothing of this attempt any more.
pub fn undone(checkout: &Checkout, then: AfterUndo, once: Option<&Once<Processed>>, now: Timestamp) -> Result<Step, Error> {
    let attempt = checkout.current();
    let error = checkout.last_error.clone().unwrap_or_else(timed_out);
    let to = match then {
        AfterUndo::Open => (State::Open, checkout.expires_at),
        AfterUndo::Canceled | AfterUndo::Failed => (State::Canceled { settled: false }, now),
    };
    let mut step = Step::new(checkout, |c| c.go(to.0, to.1))?;
    // The goods of a placed order came back when it failed.
    if then != AfterUndo::Failed {
        release(&mut step, checkout, attempt);
    }
    step.announce(CheckoutEvent::Failed { attempt: attempt.id, error: error.clone() }, now);
    if then != AfterUndo::Open {
        step.announce(CheckoutEvent::Canceled, now);
    }
    step.change.answer = answer(once, &Processed::Declined(error), now);
    Ok(if then == AfterUndo::Open { step.waiting() } else { step })
}

/// What the planted `expiry-ignores-payment` does.
pub fn expire_anyway(checkout: &Checkout) -> Result<Step, Error> {
    Step::new(checkout, |c| {
        c.state = State::Expired { settled: false };
        Ok(())
    })
}

pub fn expire(checkout: &Checkout, now: Timestamp) -> Result<Step, Error> {
    let mut step = Step::new(checkout, |c| c.go(State::Expired { settled: false }, now))?;
    step.announce(CheckoutEvent::Expired, now);
    Ok(step)
}

/// Waits twice as long after every try.
pub fn later(checkout: &Checkout, now: Timestamp) -> Result<Step, Error> {
    let step = Step::new(checkout, |c| {
        let attempt = c.attempt.as_mut().expect("invariant: a checkout that is being paid has an attempt");
        attempt.tries += 1;
        let wait = Duration::from_secs(1 << attempt.tries.min(9)).min(RETRY_WAIT_MAX);
        c.due_at = now.plus(wait);
        Ok(())
    })?;
    tracing::warn!(checkout = %checkout.id, tries = step.after().current().tries, "a payment effect is tried again later");
    Ok(step.waiting())
}

fn actor(checkout: &Checkout) -> Actor {
    match &checkout.owner {
        Owner::Guest(_) => Actor::Guest,
        Owner::Customer(id) => Actor::Customer(id.clone()),
    }
}

pub fn timed_out() -> PaymentError {
    PaymentError { code: "payment_timeout".into(), detail: "The payment provider did not answer in time; nothing was charged.".into() }
}
