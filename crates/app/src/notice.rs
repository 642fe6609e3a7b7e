//! What a payment provider says unasked: that something has changed.

use crate::App;
use crate::error::Error;
use domain::ids::{AttemptId, CheckoutId};
use domain::text::Text;
use domain::time::Timestamp;

/// Somebody who is known to be the provider says: look at this charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub id: Text<255>,
    pub checkout: CheckoutId,
    pub attempt: AttemptId,
    /// When the provider says it happened.
    pub at: Timestamp,
}

impl App {
    /// Heeds a notice: goes on with what it is about.
    ///
    /// # Errors
    /// It could not be heeded now; the provider should send it again.
    pub async fn payment_notice(&self, notice: Notice) -> Result<(), Error> {
        self.drive_by_id(notice.checkout).await
    }
}
