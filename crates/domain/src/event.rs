//! What happened, for others to hear: committed with the change that caused it, published at least once,
//! in order per subject. An event's id is its subject and sequence number, so a repeat is recognized.

use crate::cart::CartEvent;
use crate::checkout::CheckoutEvent;
use crate::ids::{BookId, CartId, CheckoutId, EditionId, OrderId, SessionId};
use crate::order::OrderEvent;
use crate::session::SessionEvent;
use crate::stock::{StockChange, StockLevel};
use crate::time::Timestamp;
use crate::trace::TraceContext;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    Cart(CartId),
    Checkout(CheckoutId),
    Order(OrderId),
    Stock(EditionId),
    Book(BookId),
    Session(SessionId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cart(id) => id.fmt(f),
            Self::Checkout(id) => id.fmt(f),
            Self::Order(id) => id.fmt(f),
            Self::Stock(id) => id.fmt(f),
            Self::Book(id) => id.fmt(f),
            Self::Session(id) => id.fmt(f),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Cart(CartEvent),
    Checkout(CheckoutEvent),
    Order(OrderEvent),
    Stock(StockEvent),
    Book(BookEvent),
    Session(SessionEvent),
}

/// One move of an edition's stock and the level after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockEvent {
    pub change: StockChange,
    pub cause: String,
    pub after: StockLevel,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BookEvent {
    Created,
    Updated,
    Deleted,
}

/// An event on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub subject: Subject,
    /// Counts a subject's events from 1, without gaps.
    pub sequence: u64,
    pub at: Timestamp,
    pub event: Event,
    /// Of the request or message that caused it, where that had one.
    pub trace: Option<TraceContext>,
}

impl Outgoing {
    pub fn new(subject: Subject, sequence: u64, at: Timestamp, event: Event) -> Self {
        Self { subject, sequence, at, event, trace: None }
    }

    /// Of events with one cause.
    pub fn trace_of(events: &[Self]) -> Option<&TraceContext> {
        events.iter().find_map(|event| event.trace.as_ref())
    }

    /// Unique for ever: the CloudEvents `id`.
    pub fn id(&self) -> String {
        format!("{}.{}", self.subject, self.sequence)
    }
}

impl Event {
    /// The CloudEvents `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cart(event) => event.name(),
            Self::Checkout(event) => event.name(),
            Self::Order(event) => event.name(),
            Self::Stock(event) => match event.change {
                StockChange::Reserve(_) => "stock.reserved",
                StockChange::Release(_) => "stock.released",
                StockChange::Consume(_) => "stock.consumed",
                StockChange::Return(_) => "stock.returned",
                StockChange::Receive(_) => "stock.received",
                StockChange::Count(_) => "stock.counted",
            },
            Self::Book(event) => match event {
                BookEvent::Created => "book.created",
                BookEvent::Updated => "book.updated",
                BookEvent::Deleted => "book.deleted",
            },
            Self::Session(event) => match event {
                SessionEvent::Started => "session.started",
                SessionEvent::Updated => "session.updated",
                SessionEvent::Ended => "session.ended",
            },
        }
    }
}
