//! An order whose money is moving.

use super::steps::{Effect, performed};
use crate::App;
use crate::error::Error;
use crate::ports::{Change, Committed, PortError, Refund, Taken};
use domain::ids::RefundId;
use domain::limits::{REFUSED_WAIT_MAX, RETRY_WAIT_MAX};
use domain::order::{Actor, Order, Owed};
use domain::planted;
use domain::refusal::Refusal;
use domain::time::Timestamp;
use std::time::Duration;

impl App {
    /// Performs what an order owes and commits what came of it: takes, releases or pays back its money.
    pub(crate) async fn drive_order(&self, order: Order) -> Result<Order, Error> {
        let Some(owed) = order.owed() else { return Ok(order) };
        let effect = self.effect(self.perform(&order, owed).await);
        let now = self.now();
        let longest = if effect == Effect::Later { RETRY_WAIT_MAX } else { REFUSED_WAIT_MAX };
        let Some(events) = performed(&order, owed, effect) else { return self.wait_for_order(order, longest, now).await };
        let cause = match owed {
            Owed::Capture | Owed::Void => order.attempt.to_string(),
            Owed::Refund { id, .. } => id.to_string(),
        };
        let appended = order.append(events, &Actor::System, &cause, now);
        let after = appended.order.clone();
        let change = Change { outbox: appended.outgoing().collect(), order: Some(appended), ..Change::default() };
        match self.commit(change, now).await? {
            Committed::Done => Ok(after),
            _ => Ok(self.ports.ledger.order(order.id).await?.ok_or(Refusal::OrderNotFound)?),
        }
    }

    /// What is worth nothing is settled without the provider.
    async fn perform(&self, order: &Order, owed: Owed) -> Result<Taken, PortError> {
        let payments = &self.ports.payments;
        match owed {
            _ if order.quote.total.is_zero() => Ok(Taken::Done),
            Owed::Refund { amount, .. } if amount.is_zero() => Ok(Taken::Done),
            Owed::Capture => payments.capture(order.attempt).await,
            Owed::Void => self.take_back(order.attempt).await,
            Owed::Refund { id, amount } if planted("refunded-twice") => {
                let again = Refund { id: RefundId(id.0 ^ u128::from(self.ports.entropy.bits64())), amount };
                payments.refund(order.attempt, &again).await
            }
            Owed::Refund { id, amount } => payments.refund(order.attempt, &Refund { id, amount }).await,
        }
    }

    /// Waits about twice as long after every try.
    async fn wait_for_order(&self, order: Order, longest: Duration, now: Timestamp) -> Result<Order, Error> {
        let wait = order.updated_at.until(now).clamp(Duration::from_secs(1), longest);
        let change = Change { order_alarm: Some((order.id, now.plus(wait))), ..Change::default() };
        self.commit(change, now).await?;
        Ok(order)
    }
}
