use super::{Answer, PortError};
use async_trait::async_trait;
use domain::cart::{Cart, Owner};
use domain::event::Outgoing;
use domain::ids::{CartId, Version};
use domain::time::Timestamp;
use std::sync::Arc;

/// Carts at rest. An acknowledged change is durable.
///
/// A cart, its owner and the keys of its answers are of one partition. A change of carts of several partitions (a
/// merge) is rare and may cost more than one of a single partition.
#[async_trait]
pub trait Carts: Send + Sync {
    /// The cart as last saved, or a copy of it as fresh as was asked for. A cart that has expired by `now` is not
    /// there, swept or not.
    async fn load(&self, id: CartId, fresh: AtLeast, now: Timestamp) -> Result<Option<Arc<Cart>>, PortError>;

    /// The one cart this owner has that has not expired by `now`.
    async fn of_owner(&self, owner: &Owner, now: Timestamp) -> Result<Option<CartId>, PortError>;

    /// Makes all writes, events and answers true, or none of them.
    ///
    /// - A write holds only while the stored version is the expected one; else `Conflict` with what is stored now.
    /// - A cart that is put with expected version 0 must not be there, and its owner must have no other cart
    ///   that is live at `now`; else `Conflict`, or `OwnerHas` with the owner's cart.
    /// - An expired cart of the owner does not count, and one with the same id is replaced.
    /// - An answer whose key is already answered makes it `Answered` with the first answer.
    async fn save(&self, change: CartChange, now: Timestamp) -> Result<Saved, PortError>;

    /// The remembered answer to this idempotency key.
    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError>;

    /// Carts that have expired by `now` and are still stored, the longest expired first.
    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<Arc<Cart>>, PortError>;
}

/// How new a cart has to be that is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtLeast {
    /// A copy that may be a moment old: to be shown, or to decide on when the decision is saved at its version.
    Copy,
    /// At least as new as this version, which somebody has seen already, whichever node it was shown by.
    Seen(Version),
    /// What is stored now.
    Now,
}

impl AtLeast {
    /// As new as what the client has seen, if it says so.
    pub fn since(seen: Option<Version>) -> Self {
        seen.map_or(Self::Copy, Self::Seen)
    }
}

#[derive(Clone, Debug, Default)]
pub struct CartChange {
    pub writes: Vec<CartWrite>,
    /// In order.
    pub outbox: Vec<Outgoing>,
    pub answers: Vec<Answer>,
}

#[derive(Clone, Debug)]
pub enum CartWrite {
    Put { cart: Arc<Cart>, expected: Version },
    Delete { id: CartId, expected: Version },
}

#[derive(Clone, Debug)]
pub enum Saved {
    Done,
    Conflict { id: CartId, current: Option<Arc<Cart>> },
    OwnerHas(CartId),
    Answered(Answer),
}
