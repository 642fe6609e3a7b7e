//! What a checkout's state asks for, and what each outcome means: its next state and everything that commits
//! with it. Pure.

use crate::checkout::{Processed, give_back, moves};
use crate::error::Error;
use crate::once::{Once, answer};
use crate::ports::{Authorization, Change, Charge, ChargeStatus, PortError, Refund, Taken, UseMove};
use domain::cart::Owner;
use domain::checkout::{AfterUndo, Attempt, Checkout, CheckoutEvent, PaymentError, State};
use domain::ids::{AttemptId, RefundId};
use domain::limits::{AUTHORIZE_TRIES_MAX, DRIVE_LEASE, REFUSED_WAIT_MAX, RETRY_WAIT_MAX};
use domain::order::{Actor, CaptureWhen, Number, Order, OrderEvent, Owed, Placed};
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

    pub fn after(&self) -> &Checkout {
        &self.change.checkout.as_ref().expect("invariant: every step of a checkout changes it").0
    }

    fn announce(&mut self, event: CheckoutEvent, now: Timestamp) {
        let (after, _) = self.change.checkout.as_mut().expect("invariant: every step of a checkout changes it");
        self.change.outbox.push(after.announce(event, now));
    }
}

/// What a payment effect came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<T> {
    Outcome(T),
    /// Not now; somebody looks again when the alarm rings.
    Later,
}

/// What a state asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Authorize,
    AskAboutChallenge,
    Capture,
    Void { then: AfterUndo },
    Expire,
    Settle,
    Nothing,
}

pub fn due(checkout: &Checkout, now: Timestamp) -> Due {
    match checkout.state {
        State::Authorizing => Due::Authorize,
        State::Challenged => Due::AskAboutChallenge,
        State::Capturing => Due::Capture,
        State::Undoing { then } => Due::Void { then },
        State::Open if now >= checkout.expires_at => Due::Expire,
        State::Completed { settled: false } | State::Canceled { settled: false } | State::Expired { settled: false } => Due::Settle,
        State::Open | State::Completed { .. } | State::Canceled { .. } | State::Expired { .. } => Due::Nothing,
    }
}

/// Whether a provider that failed has been given time which is not over. A request that is sent again is no news of it, and no try: else whoever
/// sends it again every second would use up all tries while the provider is away for five.
pub fn is_given_time(checkout: &Checkout, now: Timestamp) -> bool {
    matches!(checkout.state, State::Authorizing) && checkout.current().tries > 0 && now < checkout.due_at
}

/// Goods and coupons are held for an attempt before anything is asked of the provider.
pub fn begun(checkout: &Checkout, attempt: Attempt, uses: Vec<UseMove>, now: Timestamp) -> Result<Step, Error> {
    let processing = CheckoutEvent::Processing { attempt: attempt.id, amount: attempt.amount };
    let stock = moves(checkout, &attempt, "reserve", StockChange::Reserve);
    let mut step = Step::new(checkout, |c| {
        c.attempt(attempt);
        c.last_error = None;
        c.go(State::Authorizing, now.plus(DRIVE_LEASE))
    })?;
    step.announce(processing, now);
    step.change.stock = stock;
    step.change.uses = uses;
    Ok(step)
}

/// What the provider knows of an attempt, as the answer to its authorization. Not knowing it is no answer: the
/// request may still be under way.
pub fn known(attempt: &Attempt, charge: Option<Charge>) -> Effect<Authorization> {
    match charge {
        Some(charge) if charge.amount == attempt.amount => Effect::Outcome(match charge.status {
            ChargeStatus::Authorized | ChargeStatus::Captured => Authorization::Approved,
            ChargeStatus::Challenged { url } => Authorization::Challenge { url },
            ChargeStatus::Declined(error) => Authorization::Declined(error),
            ChargeStatus::Voided | ChargeStatus::Refunded => Authorization::Declined(timed_out()),
        }),
        Some(_) | None => Effect::Later,
    }
}

/// The authorization's outcome; after the last try the attempt is given up.
pub fn authorized(
    checkout: &Checkout,
    effect: Effect<Authorization>,
    number: Option<Number>,
    capture: CaptureWhen,
    once: Option<&Once<Processed>>,
    now: Timestamp,
) -> Result<Step, Error> {
    match effect {
        Effect::Outcome(Authorization::Approved) => placed(checkout, number, capture, once, now),
        Effect::Outcome(Authorization::Declined(error)) => declined(checkout, error, once, now),
        Effect::Outcome(Authorization::Challenge { url }) => challenged(checkout, url),
        Effect::Later if is_last_try(checkout) => undo(checkout, AfterUndo::Open, timed_out(), now),
        Effect::Later => later(checkout, now),
    }
}

/// What became of a challenge. When its time is up it is taken back, unless it was met in the last moment.
pub fn asked_about(
    checkout: &Checkout,
    effect: Effect<Authorization>,
    number: Option<Number>,
    capture: CaptureWhen,
    once: Option<&Once<Processed>>,
    now: Timestamp,
) -> Result<Option<Step>, Error> {
    let is_over = now >= checkout.current().reserved_until;
    match effect {
        Effect::Outcome(Authorization::Challenge { .. }) | Effect::Later if !is_over => Ok(None),
        Effect::Later if !is_last_try(checkout) => later(checkout, now).map(Some),
        Effect::Outcome(Authorization::Challenge { .. }) | Effect::Later => undo(checkout, AfterUndo::Open, timed_out(), now).map(Some),
        effect @ Effect::Outcome(Authorization::Approved | Authorization::Declined(_)) => {
            authorized(checkout, effect, number, capture, once, now).map(Some)
        }
    }
}

fn is_last_try(checkout: &Checkout) -> bool {
    checkout.current().tries + 1 >= AUTHORIZE_TRIES_MAX
}

/// The capture's outcome.
pub fn taken(
    checkout: &Checkout,
    order: &Order,
    effect: Effect<Taken>,
    once: Option<&Once<Processed>>,
    now: Timestamp,
) -> Result<Step, Error> {
    match effect {
        Effect::Outcome(Taken::Done) => captured(checkout, order, once, now),
        Effect::Outcome(Taken::Refused(error)) => capture_refused(checkout, order, error, now),
        Effect::Later => later(checkout, now),
    }
}

/// The outcome of taking an attempt's money back.
pub fn voided(
    checkout: &Checkout,
    then: AfterUndo,
    effect: Effect<Taken>,
    once: Option<&Once<Processed>>,
    now: Timestamp,
) -> Result<Step, Error> {
    match effect {
        Effect::Outcome(Taken::Done) => undone(checkout, then, once, now),
        Effect::Outcome(Taken::Refused(error)) => {
            tracing::error!(checkout = %checkout.id, code = %error.code, "the provider refused to release an authorization");
            later_within(checkout, REFUSED_WAIT_MAX, now)
        }
        Effect::Later => later(checkout, now),
    }
}

/// What the provider still holds of an attempt it would not void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Nothing,
    Authorized,
    /// To be paid back.
    Captured(Refund),
}

pub fn left(key: AttemptId, charge: Option<Charge>) -> Result<Left, PortError> {
    let Some(charge) = charge else { return Ok(Left::Nothing) };
    Ok(match charge.status {
        ChargeStatus::Captured => {
            let amount = charge.amount.minus(charge.refunded).map_err(|e| PortError::corrupt("payments", e))?;
            Left::Captured(Refund { id: RefundId(key.0), amount })
        }
        ChargeStatus::Authorized | ChargeStatus::Challenged { .. } => Left::Authorized,
        ChargeStatus::Declined(_) | ChargeStatus::Voided | ChargeStatus::Refunded => Left::Nothing,
    })
}

/// What it means for an order that what it owed was asked of the provider; nothing when it has to be asked again.
pub fn performed(order: &Order, owed: Owed, effect: Effect<Taken>) -> Option<Vec<OrderEvent>> {
    match (effect, owed) {
        (Effect::Outcome(Taken::Done), _) => Some(order.taken(owed)),
        (Effect::Outcome(Taken::Refused(error)), Owed::Capture) => Some(vec![OrderEvent::CaptureRefused { error }]),
        (Effect::Outcome(Taken::Refused(error)), Owed::Refund { id, .. }) => {
            tracing::error!(order = %order.id, refund = %id, code = %error.code, "the provider refused to pay money back");
            Some(order.refused(id, error))
        }
        (Effect::Outcome(Taken::Refused(error)), Owed::Void) => {
            tracing::error!(order = %order.id, code = %error.code, "the provider refused to release an authorization");
            None
        }
        (Effect::Later, _) => None,
    }
}

/// Authorized: the order is placed and the held goods are sold. Where the money is taken on shipment, that is
/// all: the order is confirmed and the checkout complete.
fn placed(
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
fn challenged(checkout: &Checkout, url: String) -> Result<Step, Error> {
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
fn declined(checkout: &Checkout, error: PaymentError, once: Option<&Once<Processed>>, now: Timestamp) -> Result<Step, Error> {
    let attempt = checkout.current();
    let mut step = Step::new(checkout, |c| {
        c.last_error = Some(error.clone());
        let until = c.expires_at;
        c.go(State::Open, until)
    })?;
    release(&mut step, checkout, attempt);
    step.announce(CheckoutEvent::PaymentDeclined { attempt: attempt.id, error: error.clone() }, now);
    step.announce(CheckoutEvent::Failed { attempt: attempt.id, error: error.clone() }, now);
    step.change.answer = answer(once, &Processed::Declined { attempt: attempt.id, error }, now);
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
        step.change.uses = give_back(&checkout.quote, &attempt.cause("give-back"));
    }
}

/// Captured: the order is confirmed.
fn captured(checkout: &Checkout, order: &Order, once: Option<&Once<Processed>>, now: Timestamp) -> Result<Step, Error> {
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
fn capture_refused(checkout: &Checkout, order: &Order, error: PaymentError, now: Timestamp) -> Result<Step, Error> {
    let attempt = checkout.current();
    let failed = OrderEvent::Failed { reason: error.code.clone() };
    let appended = order.append(vec![failed], &Actor::System, &attempt.id.to_string(), now);
    let mut step = undo(checkout, AfterUndo::Failed, error, now)?;
    step.change.stock = moves(checkout, attempt, "return", StockChange::Return);
    step.change.uses = give_back(&checkout.quote, &attempt.cause("give-back"));
    step.change.outbox.extend(appended.outgoing());
    step.change.order = Some(appended);
    Ok(step)
}

fn undo(checkout: &Checkout, then: AfterUndo, error: PaymentError, now: Timestamp) -> Result<Step, Error> {
    Step::new(checkout, |c| {
        c.last_error = Some(error);
        c.go(State::Undoing { then }, now.plus(DRIVE_LEASE))
    })
}

/// The provider holds nothing of this attempt any more.
fn undone(checkout: &Checkout, then: AfterUndo, once: Option<&Once<Processed>>, now: Timestamp) -> Result<Step, Error> {
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
    step.change.answer = answer(once, &Processed::Declined { attempt: attempt.id, error }, now);
    Ok(if then == AfterUndo::Open { step.waiting() } else { step })
}

/// What the planted `expiry-ignores-payment` does.
pub fn expire_anyway(checkout: &Checkout) -> Result<Step, Error> {
    Step::new(checkout, |c| {
        c.state = State::Expired { settled: false };
        Ok(())
    })
}

/// Another means of payment takes the place of a challenge.
pub fn challenge_undone(challenged: &Checkout, now: Timestamp) -> Result<Step, Error> {
    Step::new(challenged, |c| c.go(State::Undoing { then: AfterUndo::Open }, now.plus(DRIVE_LEASE)))
}

/// The cart knows how its checkout ended.
pub fn settled(checkout: &Checkout) -> Result<Step, Error> {
    let to = match checkout.state {
        State::Completed { .. } => State::Completed { settled: true },
        State::Canceled { .. } => State::Canceled { settled: true },
        _ => State::Expired { settled: true },
    };
    Step::new(checkout, |c| {
        c.state = to;
        Ok(())
    })
}

pub fn expire(checkout: &Checkout, now: Timestamp) -> Result<Step, Error> {
    let mut step = Step::new(checkout, |c| c.go(State::Expired { settled: false }, now))?;
    step.announce(CheckoutEvent::Expired, now);
    Ok(step)
}

fn later(checkout: &Checkout, now: Timestamp) -> Result<Step, Error> {
    later_within(checkout, RETRY_WAIT_MAX, now)
}

/// Waits twice as long after every try.
fn later_within(checkout: &Checkout, longest: Duration, now: Timestamp) -> Result<Step, Error> {
    let step = Step::new(checkout, |c| {
        let attempt = c.attempt.as_mut().expect("invariant: a checkout that is being paid has an attempt");
        attempt.tries += 1;
        let wait = Duration::from_secs(1 << attempt.tries.min(20)).min(longest);
        c.due_at = now.plus(wait);
        Ok(())
    })?;
    // Why was told where it failed.
    tracing::debug!(checkout = %checkout.id, tries = step.after().current().tries, "a payment effect is tried again later");
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
