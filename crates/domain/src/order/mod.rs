//! An order is a confirmed purchase. It is what its events say: [`Order::evolve`] folds them, and the
//! stored row is a projection that can be rebuilt and compared.

mod refund;
#[cfg(test)]
mod tests;

pub use refund::{Refund, RefundOf, RefundRequest, RefundedItem};

use crate::cart::Owner;
use crate::checkout::{Checkout, PaymentError};
use crate::event::{Event, Outgoing, Subject};
use crate::ids::{AttemptId, CheckoutId, CouponCode, CustomerId, OrderId, RefundId, Version};
use crate::limits::REASON_MAX;
use crate::money::Money;
use crate::person::{Address, Email};
use crate::pricing::Quote;
use crate::refusal::Refusal;
use crate::stock::{StockChange, StockMove};
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
    /// The goods are about to leave: the authorized amount is being taken.
    Capturing,
    Captured,
    /// The authorization is being released.
    Voiding,
    Voided,
    /// Money is being paid back, some or all of it.
    Refunding,
    PartiallyRefunded,
    /// All of it was paid back.
    Refunded,
    Failed,
}

impl PaymentStatus {
    pub const ALL: [Self; 9] = [
        Self::Authorized,
        Self::Capturing,
        Self::Captured,
        Self::Voiding,
        Self::Voided,
        Self::Refunding,
        Self::PartiallyRefunded,
        Self::Refunded,
        Self::Failed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Capturing => "capturing",
            Self::Captured => "captured",
            Self::Voiding => "voiding",
            Self::Voided => "voided",
            Self::Refunding => "refunding",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// Whether an effect at the provider is still owed: see [`Order::owed`].
    pub fn is_moving(self) -> bool {
        matches!(self, Self::Capturing | Self::Voiding | Self::Refunding)
    }
}

/// When the money of an authorized order is taken: a shop's policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaptureWhen {
    #[default]
    AtOnce,
    /// The order is confirmed on the authorization alone; its goods leave when the money is there.
    OnShipment,
}

/// What an order still has to have done at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    Capture,
    Void,
    Refund { id: RefundId, amount: Money },
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
    /// In the order they were asked for.
    pub refunds: Vec<Refund>,
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
    /// The goods are about to leave: the money is to be taken first.
    CaptureRequested,
    PaymentCaptured {
        amount: Money,
    },
    /// The money could not be taken: the goods stay.
    CaptureRefused {
        error: PaymentError,
    },
    Confirmed,
    Processing,
    Shipped,
    Delivered,
    Canceled {
        reason: Option<Text<REASON_MAX>>,
        payment: PaymentStatus,
    },
    /// Everything is to be paid back. Written by versions before there were refunds in part.
    RefundOfAllRequested,
    RefundRequested(Box<Refund>),
    PaymentVoided {
        amount: Money,
    },
    PaymentRefunded {
        amount: Money,
        /// None where everything was paid back by a version before there were refunds in part.
        refund: Option<RefundId>,
    },
    /// The provider will not pay a refund back: the money stays, until another refund is asked for.
    RefundRefused {
        /// None where it is all of an order of before there were refunds in part.
        refund: Option<RefundId>,
        error: PaymentError,
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
            Self::CaptureRequested => "payment.capture_requested",
            Self::CaptureRefused { .. } => "payment.capture_refused",
            Self::PaymentCaptured { .. } => "payment.captured",
            Self::Confirmed => "order.confirmed",
            Self::Processing => "order.processing",
            Self::Shipped => "order.shipped",
            Self::Delivered => "order.delivered",
            Self::Canceled { .. } => "order.canceled",
            Self::RefundOfAllRequested => "payment.refund_requested",
            Self::RefundRequested(_) => "refund.requested",
            Self::PaymentVoided { .. } => "payment.voided",
            Self::PaymentRefunded { .. } => "payment.refunded",
            Self::RefundRefused { .. } => "payment.refund_refused",
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
        let subject = Subject::Order(self.order.id);
        self.events.iter().map(move |e| Outgoing::new(subject, e.sequence, e.at, Event::Order(e.event.clone())))
    }

    /// More events in the same commit.
    #[must_use]
    pub fn then(mut self, events: Vec<OrderEvent>, actor: &Actor, cause: &str, now: Timestamp) -> Self {
        let more = self.order.append(events, actor, cause, now);
        self.events.extend(more.events);
        Self { order: more.order, ..self }
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
        Appended { order, events: vec![first] }.then(vec![OrderEvent::PaymentAuthorized { amount }], &actor, cause, now)
    }

    /// What the order is after one more event; `None` when the history does not begin with `Placed`.
    pub fn evolve(before: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let mut order = match (&recorded.event, before) {
            (OrderEvent::Placed(placed), None) => Self::from_placed(placed, recorded.at),
            (_, before) => before?,
        };
        match &recorded.event {
            OrderEvent::Placed(_) | OrderEvent::PaymentAuthorized { .. } => {}
            OrderEvent::CaptureRequested => order.payment = PaymentStatus::Capturing,
            OrderEvent::CaptureRefused { .. } => order.payment = PaymentStatus::Authorized,
            OrderEvent::PaymentCaptured { .. } => order.payment = PaymentStatus::Captured,
            OrderEvent::Confirmed => order.status = Status::Confirmed,
            OrderEvent::Processing => order.status = Status::Processing,
            OrderEvent::Shipped => order.status = Status::Shipped,
            OrderEvent::Delivered => order.status = Status::Delivered,
            OrderEvent::Canceled { payment, .. } => {
                order.status = Status::Canceled;
                order.payment = *payment;
            }
            OrderEvent::RefundOfAllRequested => order.payment = PaymentStatus::Refunding,
            OrderEvent::RefundRequested(refund) => {
                order.payment = PaymentStatus::Refunding;
                order.refunds.push((**refund).clone());
            }
            OrderEvent::PaymentVoided { .. } => order.payment = PaymentStatus::Voided,
            OrderEvent::PaymentRefunded { refund, .. } => order.paid_back(*refund, recorded.at),
            OrderEvent::RefundRefused { refund, error } => order.refund_refused(*refund, error),
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
            refunds: Vec::new(),
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

    fn paid_back(&mut self, refund: Option<RefundId>, at: Timestamp) {
        for done in self.refunds.iter_mut().filter(|r| Some(r.id) == refund) {
            done.paid_at = Some(at);
        }
        let left = self.left_to_refund().unwrap_or(self.quote.total);
        self.payment = match refund {
            Some(_) if left == self.quote.total && !left.is_zero() => PaymentStatus::Captured,
            Some(_) if !left.is_zero() => PaymentStatus::PartiallyRefunded,
            Some(_) | None => PaymentStatus::Refunded,
        };
    }

    fn refund_refused(&mut self, refund: Option<RefundId>, error: &PaymentError) {
        for refused in self.refunds.iter_mut().filter(|r| Some(r.id) == refund) {
            refused.refused = Some(error.clone());
        }
        let is_whole = self.left_to_refund().is_ok_and(|left| left == self.quote.total);
        self.payment = if is_whole { PaymentStatus::Captured } else { PaymentStatus::PartiallyRefunded };
    }

    /// What a change of status along [`TRANSITIONS`] means. Goods whose money is not taken yet leave once it
    /// is: see [`Order::taken`]. `refund` names the refund this may lead to.
    ///
    /// # Errors
    /// [`Refusal::OrderTransitionInvalid`] for a jump; [`Refusal::OrderPaymentPending`] while the
    /// payment of a placed order is still being settled.
    pub fn change_status(
        &self,
        to: Status,
        reason: Option<Text<REASON_MAX>>,
        refund: RefundId,
        now: Timestamp,
    ) -> Result<Vec<OrderEvent>, Refusal> {
        let jump = || Refusal::OrderTransitionInvalid { from: self.status, to };
        if !self.status.can_become(to) {
            return Err(jump());
        }
        if self.status == Status::Pending || self.payment.is_moving() {
            return Err(Refusal::OrderPaymentPending);
        }
        Ok(match to {
            Status::Confirmed => vec![OrderEvent::Confirmed],
            Status::Processing => vec![OrderEvent::Processing],
            Status::Shipped if self.payment == PaymentStatus::Authorized => vec![OrderEvent::CaptureRequested],
            Status::Shipped => vec![OrderEvent::Shipped],
            Status::Delivered => vec![OrderEvent::Delivered],
            Status::Canceled => self.cancel(reason, refund, now)?,
            Status::Refunded => {
                let rest = self.has_captured().then(|| self.refund_of_the_rest(refund, false, now)).transpose()?.flatten();
                [OrderEvent::Refunded].into_iter().chain(rest).collect()
            }
            Status::Pending | Status::Failed => return Err(jump()),
        })
    }

    /// Gives the authorization back, or what is left of the captured money.
    fn cancel(&self, reason: Option<Text<REASON_MAX>>, refund: RefundId, now: Timestamp) -> Result<Vec<OrderEvent>, Refusal> {
        let payment = if self.payment == PaymentStatus::Authorized { PaymentStatus::Voiding } else { self.payment };
        let rest = if self.has_captured() { self.refund_of_the_rest(refund, true, now)? } else { None };
        Ok([OrderEvent::Canceled { reason, payment }].into_iter().chain(rest).collect())
    }

    /// Whether money of this order is with the shop.
    fn has_captured(&self) -> bool {
        matches!(self.payment, PaymentStatus::Captured | PaymentStatus::PartiallyRefunded)
    }

    /// What has to be done at the provider.
    pub fn owed(&self) -> Option<Owed> {
        match self.payment {
            PaymentStatus::Capturing => Some(Owed::Capture),
            PaymentStatus::Voiding => Some(Owed::Void),
            PaymentStatus::Refunding => {
                let open = self.refunds.iter().find(|r| r.is_open());
                // Before there were refunds in part, there was one of all of it, and it had no name.
                let all = Owed::Refund { id: RefundId(self.attempt.0), amount: self.quote.total };
                Some(open.map_or(all, |r| Owed::Refund { id: r.id, amount: r.amount }))
            }
            PaymentStatus::Authorized
            | PaymentStatus::Captured
            | PaymentStatus::Voided
            | PaymentStatus::PartiallyRefunded
            | PaymentStatus::Refunded
            | PaymentStatus::Failed => None,
        }
    }

    /// What it means that the provider did what was owed.
    pub fn taken(&self, owed: Owed) -> Vec<OrderEvent> {
        let total = self.quote.total;
        match owed {
            Owed::Capture => vec![OrderEvent::PaymentCaptured { amount: total }, OrderEvent::Shipped],
            Owed::Void => vec![OrderEvent::PaymentVoided { amount: total }],
            Owed::Refund { id, amount } => {
                let refund = self.named(id);
                let all = self.status == Status::Delivered && self.left_to_refund().is_ok_and(Money::is_zero);
                let refunded = OrderEvent::PaymentRefunded { amount, refund };
                [refunded].into_iter().chain(all.then_some(OrderEvent::Refunded)).collect()
            }
        }
    }

    /// What it means that the provider will not pay a refund back.
    pub fn refused(&self, refund: RefundId, error: PaymentError) -> Vec<OrderEvent> {
        vec![OrderEvent::RefundRefused { refund: self.named(refund), error }]
    }

    /// None for the refund of all of it from before refunds had names.
    fn named(&self, id: RefundId) -> Option<RefundId> {
        self.refunds.iter().any(|r| r.id == id).then_some(id)
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

    /// The moves that bring the goods of these events back on the shelf, each once per cause. `self` is the
    /// order before them.
    pub fn returns(&self, events: &[OrderEvent]) -> Vec<StockMove> {
        let refunded = |e: &OrderEvent| if let OrderEvent::RefundRequested(refund) = e { self.restocked_by(refund) } else { Vec::new() };
        let canceled = events.iter().any(|e| matches!(e, OrderEvent::Canceled { .. }));
        let paid_back = events.iter().any(|e| matches!(e, OrderEvent::RefundRequested(_)));
        if !canceled || paid_back {
            return events.iter().flat_map(refunded).collect();
        }
        let back = self.copies_left().into_iter();
        back.map(|l| StockMove { edition: l.edition, change: StockChange::Return(l.quantity.get()), cause: self.return_cause() }).collect()
    }

    /// The cause of the moves that give back what a canceled order held.
    pub fn return_cause(&self) -> String {
        format!("{}/return", self.attempt)
    }
}
