//! An order is a confirmed purchase. It is what its events say: [`Order::evolve`] folds them, and the
//! stored row is a projection that can be rebuilt and compared.

#[cfg(test)]
mod tests;

use crate::cart::Owner;
use crate::checkout::Checkout;
use crate::event::{Event, Outgoing, Subject};
use crate::ids::{AttemptId, CheckoutId, CouponCode, CustomerId, OrderId, Version};
use crate::limits::REASON_MAX;
use crate::money::Money;
use crate::person::{Address, Email};
use crate::pricing::Quote;
use crate::refusal::Refusal;
use crate::text::Text;
use crate::time::Timestamp;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    Pending,
    Confirmed,
    Processing,
    Shipped,
    Delivered,
    Canceled,
    Refunded,
    Failed,
}

/// Every allowed change of status; canceled, refunded and failed are final.
pub const TRANSITIONS: &[(Status, Status)] = &[
    (Status::Pending, Status::Confirmed),
    (Status::Pending, Status::Failed),
    (Status::Pending, Status::Canceled),
    (Status::Confirmed, Status::Processing),
    (Status::Confirmed, Status::Canceled),
    (Status::Processing, Status::Shipped),
    (Status::Processing, Status::Canceled),
    (Status::Shipped, Status::Delivered),
    (Status::Delivered, Status::Refunded),
];

impl Status {
    pub const ALL: [Self; 8] =
        [Self::Pending, Self::Confirmed, Self::Processing, Self::Shipped, Self::Delivered, Self::Canceled, Self::Refunded, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Processing => "processing",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Canceled => "canceled",
            Self::Refunded => "refunded",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }

    pub fn can_become(self, to: Self) -> bool {
        TRANSITIONS.contains(&(self, to))
    }
}

/// Where the money is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PaymentStatus {
    Authorized,
    Captured,
    /// The authorization is being released.
    Voiding,
    Voided,
    /// The captured amount is being paid back.
    Refunding,
    Refunded,
    Failed,
}

impl PaymentStatus {
    pub const ALL: [Self; 7] =
        [Self::Authorized, Self::Captured, Self::Voiding, Self::Voided, Self::Refunding, Self::Refunded, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Captured => "captured",
            Self::Voiding => "voiding",
            Self::Voided => "voided",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// Whether an effect at the provider is still owed.
    pub fn is_moving(self) -> bool {
        matches!(self, Self::Voiding | Self::Refunding)
    }
}

/// What is printed on the invoice: unguessable, 60 bits of chance in the alphabet of ids.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(u64);

impl Number {
    /// From chance handed in; only the low 60 bits count.
    pub fn from_random(random: u64) -> Self {
        Self(random & ((1 << 60) - 1))
    }

    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("CW-")?.replace('-', "");
        let bits = ulid::Ulid::from_string(&format!("{digits:0>26}")).ok()?.0;
        let number = Self(u64::try_from(bits).ok().filter(|b| *b < 1 << 60)?);
        (number.to_string() == text).then_some(number)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = ulid::Ulid(u128::from(self.0)).to_string();
        write!(f, "CW-{}-{}-{}", &digits[14..18], &digits[18..22], &digits[22..26])
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: OrderId,
    pub number: Number,
    pub owner: Owner,
    pub checkout: CheckoutId,
    /// The provider's key for this order's money.
    pub attempt: AttemptId,
    pub email: Email,
    pub shipping_address: Address,
    pub billing_address: Address,
    pub quote: Quote,
    pub coupons: Vec<CouponCode>,
    pub status: Status,
    pub payment: PaymentStatus,
    pub placed_at: Timestamp,
    pub updated_at: Timestamp,
    /// Events so far.
    pub version: Version,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderEvent {
    Placed(Box<Placed>),
    PaymentAuthorized {
        amount: Money,
    },
    PaymentCaptured {
        amount: Money,
    },
    Confirmed,
    Processing,
    Shipped,
    Delivered,
    Canceled {
        reason: Option<Text<REASON_MAX>>,
        payment: PaymentStatus,
    },
    /// The money is to be paid back.
    RefundRequested,
    PaymentVoided {
        amount: Money,
    },
    PaymentRefunded {
        amount: Money,
    },
    Refunded,
    Failed {
        reason: String,
    },
    AddressChanged {
        from: Box<Address>,
        to: Box<Address>,
    },
}

/// Everything an order starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub id: OrderId,
    pub number: Number,
    pub owner: Owner,
    pub checkout: CheckoutId,
    pub attempt: AttemptId,
    pub email: Email,
    pub shipping_address: Address,
    pub billing_address: Address,
    pub quote: Quote,
    pub coupons: Vec<CouponCode>,
}

impl OrderEvent {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Placed(_) => "order.placed",
            Self::PaymentAuthorized { .. } => "payment.authorized",
            Self::PaymentCaptured { .. } => "payment.captured",
            Self::Confirmed => "order.confirmed",
            Self::Processing => "order.processing",
            Self::Shipped => "order.shipped",
            Self::Delivered => "order.delivered",
            Self::Canceled { .. } => "order.canceled",
            Self::RefundRequested => "payment.refund_requested",
            Self::PaymentVoided { .. } => "payment.voided",
            Self::PaymentRefunded { .. } => "payment.refunded",
            Self::Refunded => "order.refunded",
            Self::Failed { .. } => "order.failed",
            Self::AddressChanged { .. } => "order.address_changed",
        }
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    Guest,
    Customer(CustomerId),
    Admin(CustomerId),
    System,
}

/// An event in its place in the order's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub sequence: u64,
    pub at: Timestamp,
    pub actor: Actor,
    /// What led to it: a request, an attempt, the sweeper.
    pub cause: String,
    pub event: OrderEvent,
}

/// Events to append to an order, with the state they lead to.
#[derive(Clone, Debug)]
pub struct Appended {
    pub order: Order,
    pub events: Vec<Recorded>,
}

impl Appended {
    pub fn outgoing(&self) -> impl Iterator<Item = Outgoing> + '_ {
        self.events.iter().map(|e| Outgoing {
            subject: Subject::Order(self.order.id),
            sequence: e.sequence,
            at: e.at,
            event: Event::Order(e.event.clone()),
        })
    }

    /// The version the order had before these events.
    pub fn expected(&self) -> Version {
        Version(self.order.version.0 - self.events.len() as u64)
    }
}

impl Order {
    /// The first event of the order a paid checkout leads to; `None` while the checkout is incomplete.
    pub fn placed_by(checkout: &Checkout) -> Option<Placed> {
        let attempt = checkout.attempt.as_ref()?;
        Some(Placed {
            id: attempt.order,
            number: attempt.number,
            owner: checkout.owner.clone(),
            checkout: checkout.id,
            attempt: attempt.id,
            email: checkout.email.clone()?,
            shipping_address: checkout.shipping_address.clone()?,
            billing_address: checkout.billing()?.clone(),
            quote: checkout.quote.clone(),
            coupons: checkout
                .quote
                .adjustments
                .iter()
                .filter_map(|a| CouponCode::parse(&a.code))
                .filter(|c| checkout.coupons.contains(c))
                .collect(),
        })
    }

    /// Starts the history of an order whose payment is authorized.
    pub fn place(placed: Placed, actor: Actor, cause: &str, now: Timestamp) -> Appended {
        let amount = placed.quote.total;
        let first =
            Recorded { sequence: 1, at: now, actor: actor.clone(), cause: cause.to_owned(), event: OrderEvent::Placed(Box::new(placed)) };
        let order = Self::evolve(None, &first).expect("invariant: placing starts an order");
        let Appended { order, mut events } = order.append(vec![OrderEvent::PaymentAuthorized { amount }], &actor, cause, now);
        events.insert(0, first);
        Appended { order, events }
    }

    /// What the order is after one more event; `None` when the history does not begin with `Placed`.
    pub fn evolve(before: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let mut order = match (&recorded.event, before) {
            (OrderEvent::Placed(placed), None) => Self::from_placed(placed, recorded.at),
            (_, before) => before?,
        };
        match &recorded.event {
            OrderEvent::Placed(_) | OrderEvent::PaymentAuthorized { .. } => {}
            OrderEvent::PaymentCaptured { .. } => order.payment = PaymentStatus::Captured,
            OrderEvent::Confirmed => order.status = Status::Confirmed,
            OrderEvent::Processing => order.status = Status::Processing,
            OrderEvent::Shipped => order.status = Status::Shipped,
            OrderEvent::Delivered => order.status = Status::Delivered,
            OrderEvent::Canceled { payment, .. } => {
                order.status = Status::Canceled;
                order.payment = *payment;
            }
            OrderEvent::RefundRequested => order.payment = PaymentStatus::Refunding,
            OrderEvent::PaymentVoided { .. } => order.payment = PaymentStatus::Voided,
            OrderEvent::PaymentRefunded { .. } => order.payment = PaymentStatus::Refunded,
            OrderEvent::Refunded => order.status = Status::Refunded,
            OrderEvent::Failed { .. } => {
                order.status = Status::Failed;
                order.payment = PaymentStatus::Failed;
            }
            OrderEvent::AddressChanged { to, .. } => order.shipping_address = (**to).clone(),
        }
        order.version = Version(recorded.sequence);
        order.updated_at = recorded.at;
        Some(order)
    }

    fn from_placed(placed: &Placed, at: Timestamp) -> Self {
        let p = placed.clone();
        Self {
            id: p.id,
            number: p.number,
            owner: p.owner,
            checkout: p.checkout,
            attempt: p.attempt,
            email: p.email,
            shipping_address: p.shipping_address,
            billing_address: p.billing_address,
            quote: p.quote,
            coupons: p.coupons,
            status: Status::Pending,
            payment: PaymentStatus::Authorized,
            placed_at: at,
            updated_at: at,
            version: Version(1),
        }
    }

    /// Appends events in order.
    pub fn append(&self, events: Vec<OrderEvent>, actor: &Actor, cause: &str, now: Timestamp) -> Appended {
        let mut appended = Appended { order: self.clone(), events: Vec::new() };
        for event in events {
            let sequence = appended.order.version.0 + 1;
            let recorded = Recorded { sequence, at: now, actor: actor.clone(), cause: cause.to_owned(), event };
            appended.order = Self::evolve(Some(appended.order), &recorded).expect("invariant: an order goes on");
            appended.events.push(recorded);
        }
        appended
    }

    /// What a change of status along [`TRANSITIONS`] means.
    ///
    /// # Errors
    /// [`Refusal::OrderTransitionInvalid`] for a jump; [`Refusal::OrderPaymentPending`] while the
    /// payment of a placed order is still being settled.
    pub fn change_status(&self, to: Status, reason: Option<Text<REASON_MAX>>) -> Result<Vec<OrderEvent>, Refusal> {
        if !self.status.can_become(to) {
            return Err(Refusal::OrderTransitionInvalid { from: self.status, to });
        }
        if self.status == Status::Pending || self.payment.is_moving() {
            return Err(Refusal::OrderPaymentPending);
        }
        Ok(match to {
            Status::Confirmed => vec![OrderEvent::Confirmed],
            Status::Processing => vec![OrderEvent::Processing],
            Status::Shipped => vec![OrderEvent::Shipped],
            Status::Delivered => vec![OrderEvent::Delivered],
            Status::Canceled => vec![OrderEvent::Canceled { reason, payment: self.undone() }],
            Status::Refunded => vec![OrderEvent::Refunded, OrderEvent::RefundRequested],
            Status::Pending | Status::Failed => return Err(Refusal::OrderTransitionInvalid { from: self.status, to }),
        })
    }

    /// How the payment is taken back.
    fn undone(&self) -> PaymentStatus {
        match self.payment {
            PaymentStatus::Authorized => PaymentStatus::Voiding,
            PaymentStatus::Captured => PaymentStatus::Refunding,
            other @ (PaymentStatus::Voiding
            | PaymentStatus::Voided
            | PaymentStatus::Refunding
            | PaymentStatus::Refunded
            | PaymentStatus::Failed) => other,
        }
    }

    pub fn change_address(&self, to: Address) -> Result<Vec<OrderEvent>, Refusal> {
        match self.status {
            Status::Pending | Status::Confirmed | Status::Processing if to == self.shipping_address => Ok(Vec::new()),
            Status::Pending | Status::Confirmed | Status::Processing => {
                Ok(vec![OrderEvent::AddressChanged { from: Box::new(self.shipping_address.clone()), to: Box::new(to) }])
            }
            status @ (Status::Shipped | Status::Delivered | Status::Canceled | Status::Refunded | Status::Failed) => {
                Err(Refusal::AddressLocked { status })
            }
        }
    }

    /// The cause of the moves that bring a canceled order's goods back.
    pub fn return_cause(&self) -> String {
        format!("{}/return", self.attempt)
    }
}
