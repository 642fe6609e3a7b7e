//! Driving a checkout, and an order whose money is moving, to the end. An effect is recorded before it is
//! performed (the state names it), performed at least once (under one key), and its outcome is committed as
//! an event: a crash anywhere is just a re-drive. What is asked of the provider is here and in `saga/order.rs`,
//! what its answers mean in `saga/steps.rs`.

mod order;
mod steps;

use crate::App;
use crate::checkout::Processed;
use crate::error::Error;
use crate::once::Once;
use crate::ports::{
    Authorization, Authorize, Change, ChargeStatus, Committed, DidItHappen, Overdue, PortError, PortErrorKind, Refund, Taken,
};
use domain::cart::Command;
use domain::checkout::{AfterUndo, Attempt, Checkout, State};
use domain::ids::{AttemptId, CheckoutId, RefundId};
use domain::limits::AUTHORIZE_TRIES_MAX;
use domain::order::Number;
use domain::planted;
use domain::refusal::Refusal;
use domain::text::Text;
use domain::time::Timestamp;
use futures_util::future::{join, join_all};
use steps::{Step, capture_refused, captured, challenged, declined, expire, expire_anyway, later, placed, timed_out, undo, undone};

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

    /// What waits for the next [`App::saga_step`].
    pub async fn overdue(&self, now: Timestamp) -> Result<Overdue, Error> {
        Ok(self.ports.ledger.overdue(now).await?)
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
        // Another one only when the attempt's own is taken.
        let mut number = checkout.attempt.as_ref().map(|a| a.number);
        loop {
            let now = self.now();
            let next = match checkout.state {
                State::Authorizing if planted("expiry-ignores-payment") && once.is_none() => Some(expire_anyway(&checkout)?),
                State::Authorizing => self.authorize(&checkout, number, once).await?,
                State::Challenged => self.ask_about_challenge(&checkout, number, once).await?,
                State::Capturing => self.capture(&checkout, once).await?,
                State::Undoing { then } => self.void(&checkout, then, once).await?,
                State::Open if now >= checkout.expires_at => Some(expire(&checkout, now)?),
                State::Completed { settled: false } | State::Canceled { settled: false } | State::Expired { settled: false } => {
                    Some(self.settle(&checkout).await?)
                }
                State::Open | State::Completed { .. } | State::Canceled { .. } | State::Expired { .. } => None,
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
                Committed::NumberTaken => number = Some(Number::from_random(self.ports.entropy.bits64())),
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

    async fn authorize(&self, checkout: &Checkout, number: Option<Number>, once: Option<&Once<Processed>>) -> Result<Option<Step>, Error> {
        let attempt = checkout.current();
        let effect =
            if attempt.amount.is_zero() { Effect::Outcome(Authorization::Approved) } else { self.ask_to_authorize(checkout).await };
        if planted("captured-before-recorded") && matches!(effect, Effect::Outcome(Authorization::Approved)) {
            self.ports.payments.capture(attempt.id).await?;
        }
        let now = self.now();
        Ok(Some(match effect {
            Effect::Outcome(authorization) => self.authorized(checkout, authorization, number, once, now)?,
            Effect::Later if attempt.tries + 1 >= AUTHORIZE_TRIES_MAX => undo(checkout, AfterUndo::Open, timed_out(), now)?,
            Effect::Later => later(checkout, now)?,
        }))
    }

    /// Looks what became of a challenge: that, and not what anybody says, decides. When its time is up it is
    /// taken back, unless it was met in the last moment.
    async fn ask_about_challenge(
        &self,
        checkout: &Checkout,
        number: Option<Number>,
        once: Option<&Once<Processed>>,
    ) -> Result<Option<Step>, Error> {
        let attempt = checkout.current();
        let effect = self.ask_what_happened(attempt).await;
        let now = self.now();
        let is_over = now >= attempt.reserved_until;
        Ok(match effect {
            Effect::Outcome(Authorization::Challenge { .. }) | Effect::Later if !is_over => None,
            Effect::Later if attempt.tries + 1 < AUTHORIZE_TRIES_MAX => Some(later(checkout, now)?),
            Effect::Outcome(Authorization::Challenge { .. }) | Effect::Later => Some(undo(checkout, AfterUndo::Open, timed_out(), now)?),
            Effect::Outcome(authorization) => Some(self.authorized(checkout, authorization, number, once, now)?),
        })
    }

    fn authorized(
        &self,
        checkout: &Checkout,
        authorization: Authorization,
        number: Option<Number>,
        once: Option<&Once<Processed>>,
        now: Timestamp,
    ) -> Result<Step, Error> {
        match authorization {
            Authorization::Approved => placed(checkout, number, self.policy.capture, once, now),
            Authorization::Declined(error) => declined(checkout, error, once, now),
            Authorization::Challenge { url } => challenged(checkout, url),
        }
    }

    /// Sends the authorization, a few times when the provider surely did nothing, and reconciles an unknown
    /// outcome by asking.
    async fn ask_to_authorize(&self, checkout: &Checkout) -> Effect<Authorization> {
        let attempt = checkout.current();
        let request = Authorize {
            token: attempt.token.clone(),
            amount: attempt.amount,
            reference: attempt.number.to_string(),
            checkout: checkout.id,
            return_url: attempt.return_url.as_ref().map(Text::to_string),
        };
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
                ChargeStatus::Challenged { url } => Authorization::Challenge { url },
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
        let done = if nothing { Ok(Taken::Done) } else { self.take_back(attempt.id).await };
        let now = self.now();
        match done {
            Ok(Taken::Done) => undone(checkout, then, once, now).map(Some),
            Ok(Taken::Refused(error)) => {
                tracing::error!(checkout = %checkout.id, code = %error.code, "the provider refused to release an authorization");
                later(checkout, now).map(Some)
            }
            Err(error) => {
                log(&error);
                later(checkout, now).map(Some)
            }
        }
    }

    /// Leaves no money of an attempt at the provider: releases it, or pays it back where it was taken already.
    pub(crate) async fn take_back(&self, key: AttemptId) -> Result<Taken, PortError> {
        let Taken::Refused(error) = self.ports.payments.void(key).await? else { return Ok(Taken::Done) };
        let Some(charge) = self.ports.payments.find(key).await? else { return Ok(Taken::Done) };
        match charge.status {
            ChargeStatus::Captured => {
                let left = charge.amount.minus(charge.refunded).map_err(|e| PortError::corrupt("payments", e))?;
                self.ports.payments.refund(key, &Refund { id: RefundId(key.0), amount: left }).await
            }
            ChargeStatus::Authorized | ChargeStatus::Challenged { .. } => Ok(Taken::Refused(error)),
            ChargeStatus::Declined(_) | ChargeStatus::Voided | ChargeStatus::Refunded => Ok(Taken::Done),
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
}

fn log(error: &PortError) {
    match error.kind {
        PortErrorKind::Corrupt => tracing::error!(%error, "payment provider"),
        PortErrorKind::Unavailable | PortErrorKind::Timeout | PortErrorKind::Full => tracing::warn!(%error, "payment provider"),
    }
}
