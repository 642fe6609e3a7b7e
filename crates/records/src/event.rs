//! Events on their way out, tagged by their public name so that a person can read the outbox:
//! `{"v":1,"id":"cart_….3","subject":"cart_…","sequence":3,"time":…,"type":"cart.item_added","data":{…}}`, and with
//! `"traceparent"` and `"tracestate"` before the type where the cause belongs to a trace.

use crate::Damaged;
use crate::json::{self, Object};
use crate::stored::{self, As, Stored, mirrored};
use domain::cart::{CartEvent, Strategy};
use domain::checkout::{CheckoutEvent, PaymentError};
use domain::event::{BookEvent, Event, Outgoing, StockEvent, Subject};
use domain::ids::{AttemptId, BookId, CartId, CheckoutId, EditionId, OrderId, SessionId, Version};
use domain::money::{Currency, Money};
use domain::quantity::Quantity;
use domain::session::SessionEvent;
use domain::stock::{StockChange, StockLevel};
use domain::time::Timestamp;
use domain::trace::TraceContext;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;

const WHAT: &str = "event";

pub fn encode_outgoing(outgoing: &Outgoing) -> Vec<u8> {
    let object = head(outgoing);
    match &outgoing.event {
        Event::Cart(event) => object.with(&As(event)),
        Event::Checkout(event) => object.with(&As(event)),
        Event::Order(event) => object.with(&As(event)),
        Event::Stock(event) => object.with(&As(event)),
        Event::Book(event) => object.with(&As(event)),
        Event::Session(event) => object.with(&As(event)),
    }
    .into_bytes()
}

/// The beginning of what [`encode_outgoing`] gives, up to its type: with [`said`](crate::said) of an order's event, it is whole.
pub fn encode_outgoing_head(outgoing: &Outgoing) -> Vec<u8> {
    let mut record = head(outgoing).into_bytes();
    record.pop();
    record
}

/// An object that has yet to be told what happened.
fn head(outgoing: &Outgoing) -> Object {
    let Outgoing { subject, sequence, at, trace, .. } = outgoing;
    let (traceparent, tracestate) = (trace.as_ref().map(|t| t.parent().into()), trace.as_ref().and_then(|t| t.state()).map(Into::into));
    let head = Head { subject: *subject, sequence: *sequence, time: *at, traceparent, tracestate };
    Object::new().with(&Id { id: outgoing.id() }).with(&head)
}

/// What an event says beside its name: the `data` of its record, and `{}` where the name says everything.
pub fn encode_said(outgoing: &Outgoing) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    let record = encode_outgoing(outgoing);
    let Said { data } = serde_json::from_slice(&record).expect("invariant: a record is JSON");
    data.map_or("{}", RawValue::get).as_bytes().to_vec()
}

pub fn decode_outgoing(bytes: &[u8]) -> Result<Outgoing, Damaged> {
    json::check_format(WHAT, bytes)?;
    let Head { subject, sequence, time, traceparent, tracestate } = json::part(WHAT, bytes)?;
    let event = match subject {
        Subject::Cart(_) => Event::Cart(read(bytes)?),
        Subject::Checkout(_) => Event::Checkout(read(bytes)?),
        Subject::Order(_) => Event::Order(read(bytes)?),
        Subject::Stock(_) => Event::Stock(read(bytes)?),
        Subject::Book(_) => Event::Book(read(bytes)?),
        Subject::Session(_) => Event::Session(read(bytes)?),
    };
    let trace = traceparent.and_then(|parent| TraceContext::parse(&parent, tracestate.as_deref()));
    Ok(Outgoing { trace, ..Outgoing::new(subject, sequence, time, event) })
}

fn read<T: Stored>(bytes: &[u8]) -> Result<T, Damaged> {
    json::part(WHAT, bytes).map(|As(event)| event)
}

/// Written for readers; it follows from the subject and the sequence.
#[derive(Serialize)]
struct Id {
    id: String,
}

#[derive(Serialize, Deserialize)]
struct Head<'a> {
    #[serde(with = "stored")]
    subject: Subject,
    sequence: u64,
    #[serde(with = "stored")]
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<Cow<'a, str>>,
}

impl Stored for Subject {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(from)?;
        let subject = match text.split('_').next() {
            Some(CartId::PREFIX) => CartId::parse(text).map(Self::Cart),
            Some(CheckoutId::PREFIX) => CheckoutId::parse(text).map(Self::Checkout),
            Some(OrderId::PREFIX) => OrderId::parse(text).map(Self::Order),
            Some(EditionId::PREFIX) => EditionId::parse(text).map(Self::Stock),
            Some(BookId::PREFIX) => BookId::parse(text).map(Self::Book),
            Some(SessionId::PREFIX) => SessionId::parse(text).map(Self::Session),
            _ => None,
        };
        subject.ok_or_else(|| D::Error::custom("this is no subject"))
    }
}

mirrored! {
    CartEvent as CartEventRecord;
    CheckoutEvent as CheckoutEventRecord;
    BookEvent as BookEventRecord;
    SessionEvent as SessionEventRecord;
    Strategy as StrategyRecord;
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "CartEvent", tag = "type", content = "data")]
enum CartEventRecord {
    #[serde(rename = "cart.created")]
    Created {
        #[serde(with = "stored")]
        currency: Currency,
    },
    #[serde(rename = "cart.item_added")]
    ItemAdded {
        #[serde(with = "stored")]
        edition: EditionId,
        #[serde(with = "stored")]
        added: Quantity,
        #[serde(with = "stored")]
        quantity: Quantity,
        #[serde(with = "stored")]
        unit_price: Money,
    },
    #[serde(rename = "cart.item_removed")]
    ItemRemoved {
        #[serde(with = "stored")]
        edition: EditionId,
        #[serde(with = "stored")]
        quantity: Quantity,
    },
    #[serde(rename = "cart.item_quantity_updated")]
    ItemQuantityUpdated {
        #[serde(with = "stored")]
        edition: EditionId,
        #[serde(with = "stored")]
        from: Quantity,
        #[serde(with = "stored")]
        to: Quantity,
    },
    #[serde(rename = "cart.cleared")]
    Cleared,
    #[serde(rename = "cart.updated")]
    Updated,
    #[serde(rename = "cart.merged")]
    Merged {
        #[serde(with = "stored")]
        source: CartId,
        #[serde(with = "stored")]
        strategy: Strategy,
    },
    #[serde(rename = "cart.converted")]
    Converted {
        #[serde(with = "stored")]
        checkout: CheckoutId,
        #[serde(with = "stored")]
        order: OrderId,
    },
    #[serde(rename = "cart.deleted")]
    Deleted {
        #[serde(with = "stored")]
        merged_into: Option<CartId>,
    },
    #[serde(rename = "cart.expired")]
    Expired,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Strategy", rename_all = "snake_case")]
enum StrategyRecord {
    Sum,
    Max,
    Source,
    Target,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "CheckoutEvent", tag = "type", content = "data")]
enum CheckoutEventRecord {
    #[serde(rename = "checkout.started")]
    Started {
        #[serde(with = "stored")]
        cart: CartId,
        #[serde(with = "stored")]
        cart_version: Version,
    },
    #[serde(rename = "checkout.processing")]
    Processing {
        #[serde(with = "stored")]
        attempt: AttemptId,
        #[serde(with = "stored")]
        amount: Money,
    },
    #[serde(rename = "checkout.completed")]
    Completed {
        #[serde(with = "stored")]
        order: OrderId,
    },
    #[serde(rename = "payment.declined")]
    PaymentDeclined {
        #[serde(with = "stored")]
        attempt: AttemptId,
        #[serde(with = "stored")]
        error: PaymentError,
    },
    #[serde(rename = "checkout.failed")]
    Failed {
        #[serde(with = "stored")]
        attempt: AttemptId,
        #[serde(with = "stored")]
        error: PaymentError,
    },
    #[serde(rename = "checkout.canceled")]
    Canceled,
    #[serde(rename = "checkout.expired")]
    Expired,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BookEvent", tag = "type", content = "data")]
enum BookEventRecord {
    #[serde(rename = "book.created")]
    Created,
    #[serde(rename = "book.updated")]
    Updated,
    #[serde(rename = "book.deleted")]
    Deleted,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SessionEvent", tag = "type", content = "data")]
enum SessionEventRecord {
    #[serde(rename = "session.started")]
    Started,
    #[serde(rename = "session.updated")]
    Updated,
    #[serde(rename = "session.ended")]
    Ended,
}

/// The public name says what moved, so the tag is the change.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
enum StockEventRecord {
    #[serde(rename = "stock.reserved")]
    Reserved(Moved<u32>),
    #[serde(rename = "stock.released")]
    Released(Moved<u32>),
    #[serde(rename = "stock.consumed")]
    Consumed(Moved<u32>),
    #[serde(rename = "stock.returned")]
    Returned(Moved<u32>),
    #[serde(rename = "stock.received")]
    Received(Moved<i32>),
    #[serde(rename = "stock.counted")]
    Counted(Moved<u32>),
}

#[derive(Serialize, Deserialize)]
struct Moved<N> {
    n: N,
    cause: String,
    on_hand: u32,
    reserved: u32,
    moves: u64,
}

impl<N> Moved<N> {
    fn of(event: &StockEvent, n: N) -> Self {
        let StockLevel { on_hand, reserved, moves } = event.after;
        Self { n, cause: event.cause.clone(), on_hand, reserved, moves }
    }

    fn into_event(self, change: fn(N) -> StockChange) -> StockEvent {
        let Self { n, cause, on_hand, reserved, moves } = self;
        StockEvent { change: change(n), cause, after: StockLevel { on_hand, reserved, moves } }
    }
}

impl Stored for StockEvent {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.change {
            StockChange::Reserve(n) => StockEventRecord::Reserved(Moved::of(self, n)),
            StockChange::Release(n) => StockEventRecord::Released(Moved::of(self, n)),
            StockChange::Consume(n) => StockEventRecord::Consumed(Moved::of(self, n)),
            StockChange::Return(n) => StockEventRecord::Returned(Moved::of(self, n)),
            StockChange::Receive(n) => StockEventRecord::Received(Moved::of(self, n)),
            StockChange::Count(n) => StockEventRecord::Counted(Moved::of(self, n)),
        }
        .serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match StockEventRecord::deserialize(from)? {
            StockEventRecord::Reserved(moved) => moved.into_event(StockChange::Reserve),
            StockEventRecord::Released(moved) => moved.into_event(StockChange::Release),
            StockEventRecord::Consumed(moved) => moved.into_event(StockChange::Consume),
            StockEventRecord::Returned(moved) => moved.into_event(StockChange::Return),
            StockEventRecord::Received(moved) => moved.into_event(StockChange::Receive),
            StockEventRecord::Counted(moved) => moved.into_event(StockChange::Count),
        })
    }
}
