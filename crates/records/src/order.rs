//! An order's events, and the projection they lead to.

use crate::Damaged;
use crate::json::{self, Object};
use crate::stored::{self, As, mirrored};
use domain::cart::Owner;
use domain::checkout::PaymentError;
use domain::ids::{AttemptId, CheckoutId, CouponCode, CustomerId, EditionId, OrderId, RefundId, Version};
use domain::limits::REASON_MAX;
use domain::money::Money;
use domain::order::{Actor, Number, Order, OrderEvent, PaymentStatus, Placed, Recorded, Refund, RefundedItem, Status};
use domain::person::{Address, Email};
use domain::pricing::Quote;
use domain::quantity::Quantity;
use domain::text::Text;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

pub fn encode_order(order: &Order) -> Vec<u8> {
    json::encode(order)
}

pub fn decode_order(bytes: &[u8]) -> Result<Order, Damaged> {
    json::decode("order", bytes)
}

/// `{"v":1,"sequence":2,"at":…,"actor":…,"cause":…,"type":"order.shipped","data":{…}}`
pub fn encode_recorded(recorded: &Recorded) -> Vec<u8> {
    let Recorded { sequence, at, actor, cause, event } = recorded;
    let head = Head { sequence: *sequence, at: *at, actor: actor.clone(), cause: cause.clone() };
    Object::new().with(&head).with(&As(event)).into_bytes()
}

pub fn decode_recorded(bytes: &[u8]) -> Result<Recorded, Damaged> {
    const WHAT: &str = "order event";
    json::check_format(WHAT, bytes)?;
    let Head { sequence, at, actor, cause } = json::part(WHAT, bytes)?;
    let As(event) = json::part(WHAT, bytes)?;
    Ok(Recorded { sequence, at, actor, cause, event })
}

/// What the record of an order's event says, from its type on. In front of that are texts, in which the quotes would be escaped.
pub fn said(recorded: &[u8]) -> &[u8] {
    const TYPE: &[u8] = br#","type":""#;
    let at = recorded.windows(TYPE.len()).position(|bytes| bytes == TYPE);
    &recorded[at.expect("invariant: a recorded event has a type")..]
}

#[derive(Serialize, Deserialize)]
struct Head {
    sequence: u64,
    #[serde(with = "stored")]
    at: Timestamp,
    #[serde(with = "stored")]
    actor: Actor,
    cause: String,
}

mirrored! {
    Order as OrderRecord;
    OrderEvent as OrderEventRecord;
    Placed as PlacedRecord;
    Refund as RefundRecord;
    RefundedItem as RefundedItemRecord;
    Actor as ActorRecord;
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Order")]
struct OrderRecord {
    #[serde(with = "stored")]
    id: OrderId,
    #[serde(with = "stored")]
    number: Number,
    #[serde(with = "stored")]
    owner: Owner,
    #[serde(with = "stored")]
    checkout: CheckoutId,
    #[serde(with = "stored")]
    attempt: AttemptId,
    #[serde(with = "stored")]
    email: Email,
    #[serde(with = "stored")]
    shipping_address: Address,
    #[serde(with = "stored")]
    billing_address: Address,
    #[serde(with = "stored")]
    quote: Quote,
    #[serde(with = "stored")]
    coupons: Vec<CouponCode>,
    #[serde(with = "stored")]
    status: Status,
    #[serde(with = "stored")]
    payment: PaymentStatus,
    #[serde(with = "stored", default, skip_serializing_if = "Vec::is_empty")]
    refunds: Vec<Refund>,
    #[serde(with = "stored")]
    placed_at: Timestamp,
    #[serde(with = "stored")]
    updated_at: Timestamp,
    #[serde(with = "stored")]
    version: Version,
}

/// The tag of a variant is its public name: see `OrderEvent::name`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "OrderEvent", tag = "type", content = "data")]
enum OrderEventRecord {
    #[serde(rename = "order.placed", with = "stored")]
    Placed(Box<Placed>),
    #[serde(rename = "payment.authorized")]
    PaymentAuthorized {
        #[serde(with = "stored")]
        amount: Money,
    },
    #[serde(rename = "payment.capture_requested")]
    CaptureRequested,
    #[serde(rename = "payment.captured")]
    PaymentCaptured {
        #[serde(with = "stored")]
        amount: Money,
    },
    #[serde(rename = "payment.capture_refused")]
    CaptureRefused {
        #[serde(with = "stored")]
        error: PaymentError,
    },
    #[serde(rename = "order.confirmed")]
    Confirmed,
    #[serde(rename = "order.processing")]
    Processing,
    #[serde(rename = "order.shipped")]
    Shipped,
    #[serde(rename = "order.delivered")]
    Delivered,
    #[serde(rename = "order.canceled")]
    Canceled {
        #[serde(with = "stored")]
        reason: Option<Text<REASON_MAX>>,
        #[serde(with = "stored")]
        payment: PaymentStatus,
    },
    #[serde(rename = "payment.refund_requested")]
    RefundOfAllRequested,
    #[serde(rename = "refund.requested", with = "stored")]
    RefundRequested(Box<Refund>),
    #[serde(rename = "payment.voided")]
    PaymentVoided {
        #[serde(with = "stored")]
        amount: Money,
    },
    #[serde(rename = "payment.refunded")]
    PaymentRefunded {
        #[serde(with = "stored")]
        amount: Money,
        #[serde(with = "stored", default, skip_serializing_if = "Option::is_none")]
        refund: Option<RefundId>,
    },
    #[serde(rename = "payment.refund_refused")]
    RefundRefused {
        #[serde(with = "stored", default, skip_serializing_if = "Option::is_none")]
        refund: Option<RefundId>,
        #[serde(with = "stored")]
        error: PaymentError,
    },
    #[serde(rename = "order.refunded")]
    Refunded,
    #[serde(rename = "order.failed")]
    Failed { reason: String },
    #[serde(rename = "order.address_changed")]
    AddressChanged {
        #[serde(with = "stored")]
        from: Box<Address>,
        #[serde(with = "stored")]
        to: Box<Address>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Placed")]
struct PlacedRecord {
    #[serde(with = "stored")]
    id: OrderId,
    #[serde(with = "stored")]
    number: Number,
    #[serde(with = "stored")]
    owner: Owner,
    #[serde(with = "stored")]
    checkout: CheckoutId,
    #[serde(with = "stored")]
    attempt: AttemptId,
    #[serde(with = "stored")]
    email: Email,
    #[serde(with = "stored")]
    shipping_address: Address,
    #[serde(with = "stored")]
    billing_address: Address,
    #[serde(with = "stored")]
    quote: Quote,
    #[serde(with = "stored")]
    coupons: Vec<CouponCode>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Actor", rename_all = "snake_case")]
enum ActorRecord {
    Guest,
    Customer(#[serde(with = "stored")] CustomerId),
    Admin(#[serde(with = "stored")] CustomerId),
    System,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Refund")]
struct RefundRecord {
    #[serde(with = "stored")]
    id: RefundId,
    #[serde(with = "stored")]
    amount: Money,
    #[serde(with = "stored")]
    items: Vec<RefundedItem>,
    restock: bool,
    #[serde(with = "stored")]
    reason: Option<Text<REASON_MAX>>,
    #[serde(with = "stored")]
    requested_at: Timestamp,
    #[serde(with = "stored")]
    paid_at: Option<Timestamp>,
    #[serde(with = "stored", default, skip_serializing_if = "Option::is_none")]
    refused: Option<PaymentError>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RefundedItem")]
struct RefundedItemRecord {
    #[serde(with = "stored")]
    edition: EditionId,
    #[serde(with = "stored")]
    quantity: Quantity,
    #[serde(with = "stored")]
    amount: Money,
}
