//! What a payment provider says unasked: that something has changed. What it is, is found out by asking; so
//! notices may come twice, late, or in any order, and one that lies changes nothing.

use crate::App;
use crate::checkout::crowded;
use crate::error::Error;
use crate::ports::{Change, NoticeId, PortError, Taken};
use domain::checkout::{Checkout, MoneyOf, State};
use domain::ids::{AttemptId, CheckoutId};
use domain::time::Timestamp;

/// Somebody who is known to be the provider says: look at this charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub id: NoticeId,
    pub checkout: CheckoutId,
    pub attempt: AttemptId,
    /// When the provider says it happened.
    pub at: Timestamp,
}

impl App {
    /// Heeds a notice: goes on with what it is about, or gives back money that is for nothing any more. Its id
    /// is remembered once that is done, and a repeated one does nothing.
    ///
    /// # Errors
    /// It could not be heeded now; the provider should send it again.
    pub async fn payment_notice(&self, notice: Notice) -> Result<(), Error> {
        if self.ports.ledger.noticed(&notice.id).await? {
            return Ok(());
        }
        let _turn = self.checkouts.turn(notice.checkout, ()).await.ok_or_else(crowded)?;
        match self.ports.ledger.checkout(notice.checkout).await? {
            Some(checkout) => self.heed(checkout, notice.attempt).await?,
            None => {
                tracing::warn!(notice = %notice.id, checkout = %notice.checkout, at = notice.at.micros(), "a notice of an unknown checkout");
            }
        }
        self.commit(Change { notice: Some(notice.id), ..Change::default() }, self.now()).await?;
        Ok(())
    }

    /// The caller holds the checkout's turn.
    async fn heed(&self, checkout: Checkout, key: AttemptId) -> Result<(), Error> {
        match checkout.money_of(key) {
            MoneyOf::Use => {
                let driven = self.drive(checkout, None).await?;
                let bought = driven.attempt.as_ref().filter(|_| matches!(driven.state, State::Completed { .. }));
                if let Some(order) = match bought {
                    Some(attempt) => self.ports.ledger.order(attempt.order).await?,
                    None => None,
                } {
                    self.drive_order(order).await?;
                }
                Ok(())
            }
            MoneyOf::Nothing => match self.take_back(key).await? {
                Taken::Done => Ok(()),
                Taken::Refused(error) => {
                    tracing::error!(attempt = %key, code = %error.code, "the provider refused to give back money that is for nothing");
                    Err(PortError::unavailable("payments", error.code).into())
                }
            },
            MoneyOf::Another => {
                tracing::warn!(checkout = %checkout.id, attempt = %key, "a notice of an attempt this checkout never made");
                Ok(())
            }
        }
    }
}
