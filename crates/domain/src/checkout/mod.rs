//! A checkout turns one version of a cart into at most one order.
//!
//! The state *is* the queue of work: a state that waits for the outside world names what has to be done
//! next, so a crash anywhere is just a re-drive. [`TRANSITIONS`] is the whole machine.
//!
//! ```text
//! open ─begin→ authorizing ─authorized→ capturing ─captured→ completed
//!   ↑               │ ├─declined→ open            └─refused→ undoing ─voided→ canceled
//!   │               │ ├─challenge→ challenged, which goes on as authorizing does
//!   │               │ └─given up→ undoing ─voided→ open
//!   └───────────────┘
//! open ─→ canceled | expired
//! ```
//!
//! Where the money is taken on shipment, an authorization completes the checkout.

#[cfg(test)]
mod tests;

use crate::cart::{Cart, OnceMark, Owner};
use crate::event::{Event, Outgoing, Subject};
use crate::ids::{AttemptId, CartId, CheckoutId, CouponCode, OrderId, PaymentToken, ShippingOptionId, Version};
use crate::limits::{ATTEMPTS_KEPT_MAX, URL_MAX};
use crate::money::Money;
use crate::person::{Address, Email};
use crate::pricing::{Assessment, Line, Quote};
use crate::refusal::Refusal;
use crate::text::Text;
use crate::time::Timestamp;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    pub id: CheckoutId,
    pub cart: CartId,
    /// The version of the cart that was frozen.
    pub cart_version: Version,
    pub owner: Owner,
    pub lines: Vec<Line>,
    pub coupons: Vec<CouponCode>,
    pub email: Option<Email>,
    pub shipping_address: Option<Address>,
    /// The shipping address when left out.
    pub billing_address: Option<Address>,
    pub shipping_option: Option<ShippingOptionId>,
    pub quote: Quote,
    /// What a tax provider said of these goods, or what stood in for it: it stands while the same would be asked.
    pub assessment: Option<Assessment>,
    pub state: State,
    /// The last attempt to pay, kept so that a repeated request is recognized.
    pub attempt: Option<Attempt>,
    /// The attempts before it, the latest last: whatever money of theirs turns up is given back.
    pub earlier: Vec<AttemptId>,
    pub last_error: Option<PaymentError>,
    pub version: Version,
    /// Events published so far.
    pub events: u64,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// When somebody must look at it again: the sweeper's alarm clock, and the lease of whoever drives it.
    pub due_at: Timestamp,
}

/// One try to pay. Its id is the idempotency key the provider sees: it never changes, whatever is retried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub id: AttemptId,
    pub token: PaymentToken,
    pub amount: Money,
    /// The order this attempt will place.
    pub order: OrderId,
    pub number: crate::order::Number,
    /// The client's idempotency key, so that its retry gets this attempt's answer.
    pub mark: OnceMark,
    pub started_at: Timestamp,
    /// Until when stock and coupons are held for a customer who has to act.
    pub reserved_until: Timestamp,
    /// Provider calls made for the current effect.
    pub tries: u32,
    /// Where the provider sends the customer when a challenge is over.
    pub return_url: Option<Text<URL_MAX>>,
    /// Where the customer meets the provider's challenge.
    pub challenge: Option<String>,
}

impl Attempt {
    /// The cause of this attempt's stock and coupon moves of one kind: each happens once.
    pub fn cause(&self, what: &str) -> String {
        format!("{}/{what}", self.id)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Being filled in.
    Open,
    /// Stock and coupons are held; the provider is asked to authorize.
    Authorizing,
    /// The provider wants the customer to do something.
    Challenged,
    /// The order is placed; the provider is asked to capture.
    Capturing,
    /// What the attempt began is being taken back at the provider; then the checkout is open again or over.
    Undoing {
        then: AfterUndo,
    },
    /// Paid. `settled` once the cart has given up what was bought.
    Completed {
        settled: bool,
    },
    /// `settled` once the cart is let go.
    Canceled {
        settled: bool,
    },
    Expired {
        settled: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AfterUndo {
    /// Open for another try; what was held is given back.
    Open,
    /// Over; what was held is given back.
    Canceled,
    /// Over: the order was placed and has failed, and its goods are back already.
    Failed,
}

/// The name of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Open,
    Authorizing,
    Challenged,
    Capturing,
    Undoing,
    Completed,
    Canceled,
    Expired,
}

/// Every allowed step.
pub const TRANSITIONS: &[(Kind, Kind)] = &[
    (Kind::Open, Kind::Authorizing),
    (Kind::Open, Kind::Canceled),
    (Kind::Open, Kind::Expired),
    (Kind::Authorizing, Kind::Open),
    (Kind::Authorizing, Kind::Challenged),
    (Kind::Authorizing, Kind::Capturing),
    (Kind::Authorizing, Kind::Completed),
    (Kind::Authorizing, Kind::Undoing),
    (Kind::Challenged, Kind::Open),
    (Kind::Challenged, Kind::Capturing),
    (Kind::Challenged, Kind::Completed),
    (Kind::Challenged, Kind::Undoing),
    (Kind::Capturing, Kind::Completed),
    (Kind::Capturing, Kind::Undoing),
    (Kind::Undoing, Kind::Open),
    (Kind::Undoing, Kind::Canceled),
];

impl State {
    pub fn kind(self) -> Kind {
        match self {
            Self::Open => Kind::Open,
            Self::Authorizing => Kind::Authorizing,
            Self::Challenged => Kind::Challenged,
            Self::Capturing => Kind::Capturing,
            Self::Undoing { .. } => Kind::Undoing,
            Self::Completed { .. } => Kind::Completed,
            Self::Canceled { .. } => Kind::Canceled,
            Self::Expired { .. } => Kind::Expired,
        }
    }

    /// Whether it still holds its cart: at most one such checkout a cart.
    pub fn is_live(self) -> bool {
        !matches!(self, Self::Completed { .. } | Self::Canceled { .. } | Self::Expired { .. })
    }

    /// Whether the sweeper has nothing left to do with it.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Completed { settled: true } | Self::Canceled { settled: true } | Self::Expired { settled: true })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Email,
    ShippingAddress,
    ShippingOption,
}

impl Missing {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::ShippingAddress => "shippingAddress",
            Self::ShippingOption => "shippingOptionId",
        }
    }
}

/// What becomes of money that turns up at the provider under an attempt's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneyOf {
    /// The attempt is being driven, or has bought an order.
    Use,
    /// The attempt is over: whatever there is goes back.
    Nothing,
    /// This checkout never made such an attempt.
    Another,
}

/// Why a payment did not go through, in the provider's terms: `card_declined`, `insufficient_funds`, …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentError {
    pub code: String,
    pub detail: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckoutEvent {
    Started { cart: CartId, cart_version: Version },
    Processing { attempt: AttemptId, amount: Money },
    Completed { order: OrderId },
    PaymentDeclined { attempt: AttemptId, error: PaymentError },
    Failed { attempt: AttemptId, error: PaymentError },
    Canceled,
    Expired,
}

impl CheckoutEvent {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "checkout.started",
            Self::Processing { .. } => "checkout.processing",
            Self::Completed { .. } => "checkout.completed",
            Self::PaymentDeclined { .. } => "payment.declined",
            Self::Failed { .. } => "checkout.failed",
            Self::Canceled => "checkout.canceled",
            Self::Expired => "checkout.expired",
        }
    }
}

/// What the client fills in. `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    pub email: Option<Email>,
    pub shipping_address: Option<Address>,
    pub billing_address: Option<Address>,
    pub shipping_option: Option<ShippingOptionId>,
}

impl Checkout {
    /// A checkout of `cart` as it is now. The caller prices it next ([`Checkout::reprice`]).
    pub fn start(id: CheckoutId, cart: &Cart, quote: Quote, ttl: Duration, now: Timestamp) -> (Self, Outgoing) {
        let mut checkout = Self {
            id,
            cart: cart.id,
            cart_version: cart.version,
            owner: cart.owner.clone(),
            lines: cart.lines(),
            coupons: cart.coupons.clone(),
            email: None,
            shipping_address: None,
            billing_address: None,
            shipping_option: None,
            quote,
            assessment: None,
            state: State::Open,
            attempt: None,
            earlier: Vec::new(),
            last_error: None,
            version: Version(0),
            events: 0,
            created_at: now,
            expires_at: now.plus(ttl),
            due_at: now.plus(ttl),
        };
        let started = CheckoutEvent::Started { cart: cart.id, cart_version: cart.version };
        let event = checkout.announce(started, now);
        (checkout, event)
    }

    /// The event with its place in this checkout's sequence.
    pub fn announce(&mut self, event: CheckoutEvent, now: Timestamp) -> Outgoing {
        self.events += 1;
        Outgoing::new(Subject::Checkout(self.id), self.events, now, Event::Checkout(event))
    }

    /// The only way to another state.
    ///
    /// # Errors
    /// [`Refusal::CheckoutState`] when [`TRANSITIONS`] does not list the step.
    pub fn go(&mut self, to: State, due_at: Timestamp) -> Result<(), Refusal> {
        let step = (self.state.kind(), to.kind());
        if !TRANSITIONS.contains(&step) {
            return Err(Refusal::CheckoutState { state: step.0 });
        }
        self.state = to;
        self.due_at = due_at;
        Ok(())
    }

    /// Refuses unless the client may still change it.
    pub fn ensure_open(&self, now: Timestamp) -> Result<(), Refusal> {
        match self.state {
            State::Open if now < self.expires_at => Ok(()),
            State::Open | State::Expired { .. } => Err(Refusal::CheckoutExpired),
            State::Authorizing
            | State::Challenged
            | State::Capturing
            | State::Undoing { .. }
            | State::Completed { .. }
            | State::Canceled { .. } => Err(Refusal::CheckoutState { state: self.state.kind() }),
        }
    }

    /// Begins another attempt; the one before it is remembered as one of this checkout's own.
    pub fn attempt(&mut self, attempt: Attempt) {
        self.earlier.extend(self.attempt.replace(attempt).map(|before| before.id));
        let forgotten = self.earlier.len().saturating_sub(ATTEMPTS_KEPT_MAX);
        self.earlier.drain(..forgotten);
    }

    /// What money under this key is for.
    pub fn money_of(&self, key: AttemptId) -> MoneyOf {
        match (&self.attempt, self.state) {
            (Some(current), State::Open | State::Canceled { .. } | State::Expired { .. }) if current.id == key => MoneyOf::Nothing,
            (
                Some(current),
                State::Authorizing | State::Challenged | State::Capturing | State::Undoing { .. } | State::Completed { .. },
            ) if current.id == key => MoneyOf::Use,
            _ if self.earlier.contains(&key) => MoneyOf::Nothing,
            _ => MoneyOf::Another,
        }
    }

    /// Holds the goods longer for a customer who is active, but not beyond the checkout's end. None while more
    /// than half of `ttl` is left, so that asking often changes nothing.
    pub fn held_longer(&self, ttl: Duration, now: Timestamp) -> Option<Timestamp> {
        let held = self.attempt.as_ref().filter(|_| self.state == State::Challenged)?.reserved_until;
        let until = now.plus(ttl).min(self.expires_at);
        (now.until(held) < ttl / 2 && until > held).then_some(until)
    }

    pub fn fill_in(&mut self, details: Details) {
        let Details { email, shipping_address, billing_address, shipping_option } = details;
        self.email = email.or(self.email.take());
        self.shipping_address = shipping_address.or(self.shipping_address.take());
        self.billing_address = billing_address.or(self.billing_address.take());
        self.shipping_option = shipping_option.or(self.shipping_option.take());
    }

    /// Takes over what the cart holds now.
    pub fn freeze(&mut self, cart: &Cart) {
        self.cart_version = cart.version;
        self.lines = cart.lines();
        self.coupons = cart.coupons.clone();
    }

    /// Whether the cart still holds what was frozen. Changes to its note do not count.
    pub fn agrees_with(&self, cart: &Cart) -> bool {
        self.lines == cart.lines() && self.coupons == cart.coupons
    }

    pub fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        if self.email.is_none() {
            missing.push(Missing::Email);
        }
        if self.shipping_address.is_none() {
            missing.push(Missing::ShippingAddress);
        } else if !self.quote.settled {
            missing.push(Missing::ShippingOption);
        }
        missing
    }

    pub fn is_ready(&self) -> bool {
        self.missing().is_empty()
    }

    pub fn billing(&self) -> Option<&Address> {
        self.billing_address.as_ref().or(self.shipping_address.as_ref())
    }

    /// The attempt a state that needs one must have.
    pub fn current(&self) -> &Attempt {
        self.attempt.as_ref().expect("invariant: a checkout that is being paid has an attempt")
    }
}
