//! What the application needs from the outside, one trait a consistency domain. Every sentence of their
//! documentation is a test in the `conformance` crate, which every adapter passes.
//!
//! A failed precondition is an outcome (`Saved::Conflict`), never an error. An error says whether it may
//! have happened after all: [`DidItHappen`].

mod bus;
mod carts;
mod catalog;
mod leases;
mod ledger;
mod limits;
mod payments;
mod prices;
mod sessions;
mod taxes;
mod world;

pub use bus::{Bus, Outbox, Pending, Position};
pub use carts::{AtLeast, CartChange, CartWrite, Carts, Saved};
pub use catalog::{BookWrite, Catalog, CatalogChange, CatalogSaved, Freshness, HeadingWrite, SearchIndex};
pub use leases::{Fence, Job, Leases, NodeName};
pub use ledger::{Change, Committed, Ledger, NoticeId, OrderFilter, OrderPlace, Overdue, UseChange, UseMove};
pub use limits::{FailuresMax, Quota, Room, SharedLimits, Spent, Ticket};
pub use payments::{Authorization, Authorize, Charge, ChargeStatus, Payments, Refund, Taken};
pub use prices::{CodeWrite, PriceChange, Prices, PricesSaved, RuleWrite};
pub use sessions::{Sessions, TokenDigest};
pub use taxes::Taxes;
pub use world::{Clock, Entropy, NoExpressions};

use bytes::Bytes;
use domain::cart::OnceMark;
use domain::time::Timestamp;

/// A port that did not do its work. Logged once, where it is turned into an answer.
#[derive(Debug, thiserror::Error)]
#[error("{port}: {kind:?} ({source})")]
pub struct PortError {
    pub port: &'static str,
    pub kind: PortErrorKind,
    pub did_it_happen: DidItHappen,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortErrorKind {
    Unavailable,
    Timeout,
    /// What is stored cannot be read.
    Corrupt,
    /// The store has no room: nothing was written, reads go on.
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DidItHappen {
    No,
    /// Only asking again, with the same idempotency key, can tell.
    Unknown,
}

impl PortError {
    /// An error after which nothing has changed.
    pub fn unavailable(port: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { port, kind: PortErrorKind::Unavailable, did_it_happen: DidItHappen::No, source: source.into() }
    }

    pub fn corrupt(port: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { port, kind: PortErrorKind::Corrupt, did_it_happen: DidItHappen::No, source: source.into() }
    }

    /// Nobody knows whether it happened.
    pub fn unknown(port: &'static str, kind: PortErrorKind, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { port, kind, did_it_happen: DidItHappen::Unknown, source: source.into() }
    }
}

/// The first answer to a request that carried an idempotency key, as the edge rendered it. Opaque inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub mark: OnceMark,
    pub body: Bytes,
    pub at: Timestamp,
}
