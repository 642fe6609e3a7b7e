//! Driving a checkout, and an order whose money is moving, to the end. An effect is recorded before it is
//! performed (the state names it), performed at least once (under one key), and its outcome is committed as
//! an event: a crash anywhere is just a re-drive.

use crate::App;
use crate::checkout::{Processed, give_back, moves};
use crate::error::Error;
use crate::once::{Once, answer};
use crate::ports::{Authorization, Authorize, Change, ChargeStatus, Committed, DidItHappen, PortError, PortErrorKind, Taken};
use domain::cart::Command;
use domain::checkout::{AfterUndo, Attempt, Checkout, CheckoutEvent, PaymentError, State};
use domain::ids::{AttemptId, CheckoutId};
use domain::limits::{AUTHORIZE_TRIES_MAX, DRIVE_LEASE, RETRY_WAIT_MAX};
use domain::order::{Actor, Order, OrderEvent, PaymentStatus};
use domain::planted;
use domain::refusal::Refusal;
use domain::stock::StockChange;
use domain::time::Timestamp;
use futures_util::future::{join, join_all};
use std::time::Duration;

/// What a payment effect came to.
enum Effect<T> {
    Outcome(T),
    /// Not now; somebody looks again when the alarm rings.
    Later,
}

impl App {
    /// Drives checkouts and orders whose alarm has rung; says how many.
    ///
    /// # Errors
    /// The first error, after the others have been tried too.
    pub async fn saga_step(&self, now: Timestamp, limit: usize) -> Result<usize, Error> {
        let checkouts = self.ports.ledger.due_checkouts(now, limit).await?;
        let orders = self.ports.ledger.due_orders(now, limit).await?;
        let done = checkouts.len() + orders.len();
        // Together, so that one slow provider call does not hold up the others.
        let checkouts = join_all(checkouts.iter().map(|c| self.drive_by_id(c.id)));
        let orders = join_all(orders.into_iter().map(async |order| self.drive_order(order).await.map(drop)));
        let (checkouts, orders) = join(checkouts, orders).await;
        checkouts.into_iter().chain(orders).collect::<Result<(), _>>().map(|()| done)
    }

    /// Takes the checkout's turn and drives it as far as it goes.
    pub(crate) async fn drive_by_id(&self, id: CheckoutId) -> Result<(), Error> {
        let Some(_turn) = self.checkouts.turn(id, ()).await else { return Ok(()) };
        let Some(checkout) = self.ports.ledger.checkout(id).await? else { return Ok(()) };
        self.drive(checkout, None).await.map(drop)
    }

    /// Does what the state asks for until it asks for nothing more or has to wait. The caller holds the
    /// checkout's turn.
    pub(crate) async fn drive(&self, mut checkout: Checkout, once: Option<&Once<Processed>>) -> Result<Checkout, Error> {
        loop {
            let now = self.now();
            let next = match checkout.state {
                State::Authorizing if planted("expiry-ignores-payment") && once.is_none() => Some(expire_anyway(&checkout)?),
                State::Authorizing => self.authorize(&checkout, once).await?,
                State::Challenged if now >= checkout.current().reserved_until => Some(undo(&checkout, AfterUndo::Open, timed_out(), now)?),
                State::Capturing => self.capture(&checkout, once).await?,
                State::Undoing { then } => self.void(&checkout, then, once).await?,
                State::Open if now >= checkout.expires_at => Some(expire(&checkout, now)?),
                State::Completed { settled: false } | State::Canceled { settled: false } | State::Expired { settled: false } => {
                    Some(self.settle(&checkout).await?)
                }
                State::Open | State::Challenged | State::Completed { .. } | State::Canceled { .. } | State::Expired { .. } => None,
            };
            let Some(mut change) = next else { return Ok(checkout) };
            let waits = change.waits;
            let (after, _) = change.change.checkout.clone().expect("invariant: every step of a checkout changes it");
            let apart = if planted("outbox-apart") { std::mem::take(&mut change.change.outbox) } else { vec![] };
            let committed = self.ports.ledger.commit(change.change, now).await?;
            if !apart.is_empty() {
                self.ports.ledger.commit(Change { outbox: apart, ..Change::default() }, now).await?;
            }
            match committed {
                Committed::Done if waits => return Ok(after),
                Committed::Done => checkout = after,
                // Somebody else took this step: go on from where they are.
                Committed::CheckoutConflict | Committed::OrderConflict | Committed::Answered(_) => {
                    checkout = self.ports.ledger.checkout(checkout.id).await?.ok_or(Refusal::CheckoutNotFound)?;
                    if !matches!(checkout.state, State::Completed { .. } | State::Canceled { .. } | State::Expired { .. }) {
                        return Ok(checkout);
                    }
                }
                refused @ (Committed::CartTaken(_) | Committed::StockShort(_) | Committed::CouponGone(_)) => {
                    let what = format!("{}: a step that only gives back was refused: {refused:?}", checkout.id);
                    return Err(PortError::corrupt("ledger", what).into());
                }
            }
        }
    }

    async fn authorize(&self, checkout: &Checkout, once: Option<&Once<Processed>>) -> Result<Option<Step>, Error> {
        let attempt = checkout.current();
        let effect = if attempt.amount.is_zero() { Effect::Outcome(Authorization::Approved) } else { self.ask_to_authorize(attempt).await };
        let now = self.now();
        Ok(Some(match effect {
            Effect::Outcome(Authorization::Approved) => {
                if planted("captured-before-recorded") {
                    self.ports.payments.capture(attempt.id).await?;
                }
                placed(checkout, now)?
            }
            Effect::Outcome(Authorization::Declined(error)) => declined(checkout, error, once, now)?,
            Effect::Outcome(Authorization::Challenge) => {
                let until = attempt.reserved_until;
                Step::new(checkout, |c| c.go(State::Challenged, until))?.waiting()
            }
            Effect::Later if attempt.tries + 1 >= AUTHORIZE_TRIES_MAX => undo(checkout, AfterUndo::Open, timed_out(), now)?,
            Effect::Later => later(checkout, now)?,
        }))
    }

    /// Sends the authorization, a few times when the provider surely did nothing, and reconciles an unknown
    /// outcome by asking.
    async fn ask_to_authorize(&self, attempt: &Attempt) -> Effect<Authorization> {
        let request = Authorize { token: attempt.token.clone(), amount: attempt.amount, reference: attempt.number.to_string() };
        for n in 0..AUTHORIZE_TRIES_MAX {
            let key = if planted("new-key-on-retry") { AttemptId(attempt.id.0 + u128::from(attempt.tries + n)) } else { attempt.id };
            match self.ports.payments.authorize(key, &request).await {
                Ok(authorization) => return Effect::Outcome(authorization),
                Err(error) if error.did_it_happen == DidItHappen::No => log(&error),
                Err(_) if planted("unknown-is-declined") => return Effect::Outcome(Authorization::Declined(timed_out())),
                Err(error) => {
                    log(&error);
                    return self.ask_what_happened(attempt).await;
                }
            }
        }
        Effect::Later
    }

    async fn ask_what_happened(&self, attempt: &Attempt) -> Effect<Authorization> {
        match self.ports.payments.find(attempt.id).await {
            Ok(Some(charge)) if charge.amount == attempt.amount => Effect::Outcome(match charge.status {
                ChargeStatus::Authorized | ChargeStatus::Captured => Authorization::Approved,
                ChargeStatus::Challenged => Authorization::Challenge,
                ChargeStatus::Declined(error) => Authorization::Declined(error),
                ChargeStatus::Voided | ChargeStatus::Refunded => Authorization::Declined(timed_out()),
            }),
            Ok(Some(_) | None) => Effect::Later,
            Err(error) => {
                log(&error);
                Effect::Later
            }
        }
    }

    async fn capture(&self, checkout: &Checkout, once: Option<&Once<Processed>>) -> Result<Option<Step>, Error> {
        let attempt = checkout.current();
        let taken = if attempt.amount.is_zero() { Ok(Taken::Done) } else { self.ports.payments.capture(attempt.id).await };
        let now = self.now();
        let order = self.ports.ledger.order(attempt.order).await?.ok_or(Refusal::OrderNotFound)?;
        Ok(Some(match taken {
            Ok(Taken::Done) => captured(checkout, &order, once, now)?,
            Ok(Taken::Refused(error)) => capture_refused(checkout, &order, error, now)?,
            Err(error) => {
                log(&error);
                later(checkout, now)?
            }
        }))
    }

    async fn void(&self, checkout: &Checkout, then: AfterUndo, once: Option<&Once<Processed>>) -> Result<Option<Step>, Error> {
        let attempt = checkout.current();
        let nothing = attempt.amount.is_zero() || planted("authorization-kept");
        let done = if nothing { Ok(Taken::Done) } else { self.ports.payments.void(attempt.id).await };
        let now = self.now();
        match done {
            Ok(Taken::Done | Taken::Refused(_)) => undone(checkout, then, once, now).map(Some),
            Err(error) => {
                log(&error);
                later(checkout, now).map(Some)
            }
        }
    }

    /// Lets the cart know: it gives up exactly what was bought, or is free again.
    async fn settle(&self, checkout: &Checkout) -> Result<Step, Error> {
        let id = checkout.id;
        let (command, settled) = match checkout.state {
            State::Completed { .. } => {
                let order = checkout.current().order;
                let (bought, coupons) = (checkout.lines.clone(), checkout.coupons.clone());
                (Command::Settle { checkout: id, order, bought, coupons }, State::Completed { settled: true })
            }
            State::Canceled { .. } => (Command::LetGo { checkout: id }, State::Canceled { settled: true }),
            _ => (Command::LetGo { checkout: id }, State::Expired { settled: true }),
        };
        self.command_cart(&checkout.owner, checkout.cart, vec![command]).await?;
        Step::new(checkout, |c| {
            c.state = settled;
            Ok(())
        })
    }

    /// Performs what an order owes: releases or pays back its money.
    pub(crate) async fn drive_order(&self, order: Order) -> Result<Order, Error> {
        let (amount, taken) = match order.payment {
            _ if order.quote.total.is_zero() => (order.quote.total, Ok(Taken::Done)),
            PaymentStatus::Voiding => (order.quote.total, self.ports.payments.void(order.attempt).await),
            PaymentStatus::Refunding => (order.quote.total, self.ports.payments.refund(order.attempt).await),
            PaymentStatus::Authorized
            | PaymentStatus::Captured
            | PaymentStatus::Voided
            | PaymentStatus::Refunded
            | PaymentStatus::Failed => {
                return Ok(order);
            }
        };
        let now = self.now();
        let event = match (taken, order.payment) {
            (Ok(Taken::Done), PaymentStatus::Voiding) => OrderEvent::PaymentVoided { amount },
            (Ok(Taken::Done), _) => OrderEvent::PaymentRefunded { amount },
            (Ok(Taken::Refused(error)), _) => {
                tracing::error!(order = %order.id, code = %error.code, "the provider refused to give money back");
                return self.wait_for_order(order, now).await;
            }
            (Err(error), _) => {
                log(&error);
                return self.wait_for_order(order, now).await;
            }
        };
        let appended = order.append(vec![event], &Actor::System, "saga", now);
        let after = appended.order.clone();
        let change = Change { outbox: appended.outgoing().collect(), order: Some(appended), ..Change::default() };
        match self.ports.ledger.commit(change, now).await? {
            Committed::Done => Ok(after),
            _ => Ok(self.ports.ledger.order(order.id).await?.ok_or(Refusal::OrderNotFound)?),
        }
    }

    async fn wait_for_order(&self, order: Order, now: Timestamp) -> Result<Order, Error> {
        let wait = order.updated_at.until(now).clamp(Duration::from_secs(1), RETRY_WAIT_MAX);
        let change = Change { order_alarm: Some((order.id, now.plus(wait))), ..Change::default() };
        self.ports.ledger.commit(change, now).await?;
        Ok(order)
    }
}

/// A committed step of a checkout, and whether driving stops after it.
struct Step {
    change: Change,
    waits: bool,
}

impl Step {
    fn new(checkout: &Checkout, edit: impl FnOnce(&mut Checkout) -> Result<(), Refusal>) -> Result<Self, Error> {
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

/// Authorized: the order is placed and the held goods are sold.
fn placed(checkout: &Checkout, now: Timestamp) -> Result<Step, Error> {
    let attempt = checkout.current();
    let placed = Order::placed_by(checkout).ok_or(Refusal::CheckoutIncomplete { missing: checkout.missing() })?;
    let appended = Order::place(placed, actor(checkout), &attempt.id.to_string(), now);
    let mut step = Step::new(checkout, |c| {
        c.attempt.as_mut().expect("invariant: a checkout that is being paid has an attempt").tries = 0;
        c.go(State::Capturing, now.plus(DRIVE_LEASE))
    })?;
    step.change.stock = moves(checkout, attempt, "consume", StockChange::Consume);
    step.change.outbox.extend(appended.outgoing());
    step.change.order = Some(appended);
    Ok(step)
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
    step.change.coupons = give_back(&checkout.quote, &attempt.cause("give-back"));
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
    step.change.answer = answer(once, &Processed::Declined(error), now);
    Ok(if then == AfterUndo::Open { step.waiting() } else { step })
}

/// What the planted `expiry-ignores-payment` does.
fn expire_anyway(checkout: &Checkout) -> Result<Step, Error> {
    Step::new(checkout, |c| {
        c.state = State::Expired { settled: false };
        Ok(())
    })
}

fn expire(checkout: &Checkout, now: Timestamp) -> Result<Step, Error> {
    let mut step = Step::new(checkout, |c| c.go(State::Expired { settled: false }, now))?;
    step.announce(CheckoutEvent::Expired, now);
    Ok(step)
}

/// Waits twice as long after every try.
fn later(checkout: &Checkout, now: Timestamp) -> Result<Step, Error> {
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
        domain::cart::Owner::Guest(_) => Actor::Guest,
        domain::cart::Owner::Customer(id) => Actor::Customer(id.clone()),
    }
}

fn timed_out() -> PaymentError {
    PaymentError { code: "payment_timeout".into(), detail: "The payment provider did not answer in time; nothing was charged.".into() }
}

fn log(error: &PortError) {
    match error.kind {
        PortErrorKind::Corrupt => tracing::error!(%error, "payment provider"),
        PortErrorKind::Unavailable | PortErrorKind::Timeout | PortErrorKind::Full => tracing::warn!(%error, "payment provider"),
    }
}
