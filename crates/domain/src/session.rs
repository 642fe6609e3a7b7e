//! A shopper's device session: a guest's right to a cart.

use crate::ids::{CustomerId, SessionId, Version};
use crate::limits::DEVICE_MAX;
use crate::text::Text;
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    /// Set when a customer opened it; a guest's session has none.
    pub customer: Option<CustomerId>,
    pub device: Option<Text<DEVICE_MAX>>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub version: Version,
}

impl Session {
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    Started,
    Updated,
    Ended,
}
