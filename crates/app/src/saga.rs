//! Driving a checkout, and an order whose money is moving, to the end. An effect is recorded before it is
//! performed (the state names it), performed at least once (under one key), and its outcome is committed as
//! an event: a crash anywhere is just a re-drive. The provider is asked here and in `saga/order.rs`; what is due
//! and what the answers mean is in `saga/steps.rs`, which `saga/model.rs` explores exhaustively.

pub(crate) mod failures;
#[cfg(test)]
mod model;
mod order;
pub(crate) mod steps;

use crate::App;
use crate::checkout::Processed;
use crate::error::Error;
use crate::once::Once;
use crate::ports::{Authorization, Authorize, Change, Committed, DidItHappen, Overdue, PortError, Taken};
use domain::cart::Command;
use domain::checkout::{Attempt, Checkout, State};
use domain::ids::{AttemptId, CheckoutId};
use domain::limits::AUTHORIZE_TRIES_MAX;
use domain::order::Number;
use domain::planted;
use domain::refusal::Refusal;
use domain::text::Text;
use domain::time::Timestamp;
use futures_util::future::{join, join_all};
use steps::{Due, Effect, Left, Step, asked_about, authorized, due, expire, expire_anyway, known, left, settled, taken, timed_out, voided};

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
            let next = match due(&checkout, now) {
                Due::Authorize if planted("expiry-ignores-payment") && once.is_none() => Some(expire_anyway(&checkout)?),
                Due::Authorize => Some(self.authorize(&checkout, number, once).await?),
                Due::AskAboutChallenge => self.ask_about_challenge(&checkout, number, once).await?,
                Due::Capture => Some(self.capture(&checkout, once).await?),
                Due::Void { then } => Some(voided(&checkout, then, self.void(&checkout).await, once, self.now())?),
                Due::Expire => Some(expire(&checkout, now)?),
                Due::Settle => Some(self.settle(&checkout).await?),
                Due::Nothing => None,
            };
            let Some(mut step) = next else { return Ok(checkout) };
            let (after, waits) = (step.after().clone(), step.waits);
            let apart = if planted("outbox-apart") { std::mem::take(&mut step.change.outbox) } else { vec![] };
            let committed = self.commit(step.change, now).await?;
            if !apart.is_empty() {
                self.commit(Change { outbox: apart, ..Change::default() }, now).await?;
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
                refused @ (Committed::CartTaken(_) | Committed::StockShort(_) | Committed::UsedUp(_)) => {
                    let what = format!("{}: a step that only gives back was refused: {refused:?}", checkout.id);
                    return Err(PortError::corrupt("ledger", what).into());
                }
            }
        }
    }

    async fn authorize(&self, checkout: &Checkout, number: Option<Number>, once: Option<&Once<Processed>>) -> Result<Step, Error> {
        let free = checkout.current().amount.is_zero();
        let effect = if free { Effect::Outcome(Authorization::Approved) } else { self.ask_to_authorize(checkout).await };
        if planted("captured-before-recorded") && effect == Effect::Outcome(Authorization::Approved) {
            self.ports.payments.capture(checkout.current().id).await?;
        }
        authorized(checkout, effect, number, self.policy.capture, once, self.now())
    }

    /// Looks what became of a challenge: that, and not what anybody says, decides.
    async fn ask_about_challenge(
        &self,
        checkout: &Checkout,
        number: Option<Number>,
        once: Option<&Once<Processed>>,
    ) -> Result<Option<Step>, Error> {
        let effect = self.ask_what_happened(checkout.current()).await;
        asked_about(checkout, effect, number, self.policy.capture, once, self.now())
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
                Err(error) if error.did_it_happen == DidItHappen::No => self.provider_failures.tell(&error, self.now()),
                Err(_) if planted("unknown-is-declined") => return Effect::Outcome(Authorization::Declined(timed_out())),
                Err(error) => {
                    self.provider_failures.tell(&error, self.now());
                    return self.ask_what_happened(attempt).await;
                }
            }
        }
        Effect::Later
    }

    async fn ask_what_happened(&self, attempt: &Attempt) -> Effect<Authorization> {
        match self.effect(self.ports.payments.find(attempt.id).await) {
            Effect::Outcome(charge) => known(attempt, charge),
            Effect::Later => Effect::Later,
        }
    }

    async fn capture(&self, checkout: &Checkout, once: Option<&Once<Processed>>) -> Result<Step, Error> {
        let attempt = checkout.current();
        let done = if attempt.amount.is_zero() { Ok(Taken::Done) } else { self.ports.payments.capture(attempt.id).await };
        let now = self.now();
        let order = self.ports.ledger.order(attempt.order).await?.ok_or(Refusal::OrderNotFound)?;
        taken(checkout, &order, self.effect(done), once, now)
    }

    async fn void(&self, checkout: &Checkout) -> Effect<Taken> {
        let attempt = checkout.current();
        let nothing = attempt.amount.is_zero() || planted("authorization-kept");
        self.effect(if nothing { Ok(Taken::Done) } else { self.take_back(attempt.id).await })
    }

    /// Leaves no money of an attempt at the provider: releases it, or pays it back where it was taken already.
    pub(crate) async fn take_back(&self, key: AttemptId) -> Result<Taken, PortError> {
        let Taken::Refused(error) = self.ports.payments.void(key).await? else { return Ok(Taken::Done) };
        match left(key, self.ports.payments.find(key).await?)? {
            Left::Nothing => Ok(Taken::Done),
            Left::Authorized => Ok(Taken::Refused(error)),
            Left::Captured(rest) => self.ports.payments.refund(key, &rest).await,
        }
    }

    /// A provider that failed is asked again later.
    fn effect<T>(&self, done: Result<T, PortError>) -> Effect<T> {
        match done {
            Ok(outcome) => Effect::Outcome(outcome),
            Err(error) => {
                self.provider_failures.tell(&error, self.now());
                Effect::Later
            }
        }
    }

    /// Lets the cart know: it gives up exactly what was bought, or is free again.
    async fn settle(&self, checkout: &Checkout) -> Result<Step, Error> {
        let id = checkout.id;
        let command = match checkout.state {
            State::Completed { .. } => {
                let order = checkout.current().order;
                let (bought, coupons) = (checkout.lines.clone(), checkout.coupons.clone());
                Command::Settle { checkout: id, order, bought, coupons }
            }
            _ => Command::LetGo { checkout: id },
        };
        self.command_cart(&checkout.owner, checkout.cart, vec![command]).await?;
        settled(checkout)
    }
}
