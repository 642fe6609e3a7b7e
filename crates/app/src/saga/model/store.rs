//! What is stored, small enough to be told apart by the million, and the one commit that changes it by the
//! rules of the ledger port. Versions are kept as distances: only whether they agree matters.

use super::{ATTEMPTS, Mistake, Settings};
use crate::ports::{Change, UseChange};
use conformance::fixtures;
use domain::checkout::{Attempt, Checkout, State};
use domain::ids::{AttemptId, OrderId, RefundId, Version};
use domain::limits::{AUTHORIZE_TRIES_MAX, RETRY_WAIT_MAX};
use domain::order::{Appended, Number, Order, OrderEvent, PaymentStatus, Status};
use domain::stock::StockLevel;
use domain::time::Timestamp;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// How far the day has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Time {
    Early,
    /// What was reserved early is over.
    Mid,
    /// The checkout is over, and whatever was reserved for it.
    Late,
}

impl Time {
    pub fn now(self) -> Timestamp {
        fixtures::at(match self {
            Self::Early => 1,
            Self::Mid => 30,
            Self::Late => 61,
        })
    }

    pub fn next(self) -> Option<Self> {
        match self {
            Self::Early => Some(Self::Mid),
            Self::Mid => Some(Self::Late),
            Self::Late => None,
        }
    }
}

const RESERVATION: Duration = Duration::from_secs(20);

/// The stored version as everybody sees it; what is older is so many below.
const STORED: Version = Version(10);
/// All but two tries of an authorization have failed before: the earlier ones are all alike.
const TRIES_FIRST: u32 = AUTHORIZE_TRIES_MAX - 2;

/// A checkout: what about it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Paying {
    pub state: State,
    /// The attempts begun; the last one is the current one.
    pub attempts: u8,
    pub is_last_try: bool,
    pub begun: Time,
}

/// An order: what about it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bought {
    pub status: Status,
    pub payment: PaymentStatus,
    pub refund: bool,
}

/// What is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Store {
    pub checkout: Paying,
    pub orders: [Option<Bought>; ATTEMPTS],
    pub on_hand: u8,
    pub reserved: u8,
    pub uses: u8,
    /// Moves that have been made, a bit each.
    causes: u64,
    /// Notices that have been heeded, a bit for each attempt.
    pub heeded: u8,
}

/// Copies at the start; one of them is reserved for somebody else, who also uses the coupon.
pub const ON_HAND: u8 = 3;
pub const OTHERS: u8 = 1;

/// What came of a commit.
#[derive(Debug, PartialEq, Eq)]
pub enum Committed {
    Done,
    Conflict,
    /// A rule that no commit may break.
    Broke(&'static str),
}

impl Store {
    pub fn new() -> Self {
        let checkout = Paying { state: State::Open, attempts: 0, is_last_try: false, begun: Time::Early };
        Self { checkout, orders: [None; ATTEMPTS], on_hand: ON_HAND, reserved: OTHERS, uses: OTHERS, causes: 0, heeded: 0 }
    }

    /// Makes every line of the change true, or none.
    pub fn commit(&mut self, change: &Change, settings: &Settings) -> Committed {
        let mut after = *self;
        let done = after.apply(change, settings);
        if done == Committed::Done {
            *self = after;
        }
        done
    }

    fn apply(&mut self, change: &Change, settings: &Settings) -> Committed {
        if let Some((checkout, expected)) = &change.checkout {
            if *expected != STORED && settings.mistake != Some(Mistake::BlindCommit) {
                return Committed::Conflict;
            }
            let step = (self.checkout.state.kind(), checkout.state.kind());
            if step.0 != step.1 && !domain::checkout::TRANSITIONS.contains(&step) {
                return Committed::Broke("a step that is not listed");
            }
            let latest = checkout.expires_at.max(Time::Late.now()).plus(RETRY_WAIT_MAX);
            if !checkout.state.is_done() && checkout.due_at > latest {
                return Committed::Broke("no alarm is set");
            }
            self.checkout = Paying::of(checkout);
        }
        if let Some(appended) = &change.order
            && !self.append(appended)
        {
            return Committed::Conflict;
        }
        self.move_stock(change).and_then(|()| self.move_coupons(change)).map_or_else(Committed::Broke, |()| Committed::Done)
    }

    fn append(&mut self, appended: &Appended) -> bool {
        let at = index(appended.order.attempt);
        let stored = self.orders[at].map_or(Version(0), |_| STORED);
        let sold = self.orders.iter().flatten().any(|o| o.status != Status::Failed);
        let is_new = stored == Version(0);
        self.orders[at] = Some(Bought::of(&appended.order));
        stored == appended.expected() && !(is_new && sold)
    }

    fn move_stock(&mut self, change: &Change) -> Result<(), &'static str> {
        for step in &change.stock {
            if self.is_first(&step.cause, 0) {
                let level = StockLevel { on_hand: self.on_hand.into(), reserved: self.reserved.into(), moves: 0 };
                let after = level.after(step.change).map_err(|_| "a move of stock that is not possible")?;
                self.on_hand = u8::try_from(after.on_hand).map_err(|_| "more stock than there ever was")?;
                self.reserved = u8::try_from(after.reserved).map_err(|_| "more stock than there ever was")?;
            }
        }
        Ok(())
    }

    fn move_coupons(&mut self, change: &Change) -> Result<(), &'static str> {
        for step in &change.uses {
            if self.is_first(&step.cause, 18) {
                self.uses = match step.change {
                    UseChange::Use { .. } => Some(self.uses + 1),
                    UseChange::GiveBack { .. } => self.uses.checked_sub(1),
                }
                .ok_or("a coupon given back that was not used")?;
            }
        }
        Ok(())
    }

    /// Whether no move of this cause was made before; remembers it.
    fn is_first(&mut self, cause: &str, from: usize) -> bool {
        let (of, what) = cause.split_once('/').expect("a cause is of something");
        let of = AttemptId::parse(of).map_or(ATTEMPTS, index);
        let what = ["reserve", "consume", "release", "return", "use", "give-back"].iter().position(|w| *w == what);
        let bit = 1_u64 << (from + of * 6 + what.expect("a move has a name"));
        let first = self.causes & bit == 0;
        self.causes |= bit;
        first
    }

    pub fn order(&self, attempt: usize) -> Option<Order> {
        self.orders[attempt].map(|o| o.order(attempt, 0))
    }
}

impl Paying {
    pub fn of(checkout: &Checkout) -> Self {
        let attempt = checkout.attempt.as_ref();
        let begun = attempt.map_or(Time::Early, |a| [Time::Early, Time::Mid][usize::from(a.started_at >= Time::Mid.now())]);
        let attempts = attempt.map_or(0, |a| index(a.id) + 1);
        // Only an authorization counts its tries.
        let counts = matches!(checkout.state, State::Authorizing | State::Challenged);
        Self {
            state: checkout.state,
            attempts: u8::try_from(attempts).expect("few attempts"),
            is_last_try: counts && attempt.is_some_and(|a| a.tries > TRIES_FIRST),
            begun: if counts { begun } else { Time::Early },
        }
    }

    /// The checkout as somebody sees it who read it so many commits ago; there are few, and each is made once.
    pub fn checkout(self, behind: u8) -> Rc<Checkout> {
        CHECKOUTS.with_borrow_mut(|made| made.entry((self, behind)).or_insert_with(|| Rc::new(self.made(behind))).clone())
    }

    fn made(self, behind: u8) -> Checkout {
        let mut checkout = TEMPLATE.with(Checkout::clone);
        for n in 0..self.attempts {
            let mut attempt = attempt(&checkout, usize::from(n), self.begun.now());
            attempt.tries = if self.is_last_try { TRIES_FIRST + 1 } else { TRIES_FIRST };
            checkout.attempt(attempt);
        }
        checkout.state = self.state;
        checkout.version = Version(STORED.0 - u64::from(behind));
        checkout
    }

    pub fn current(self) -> usize {
        usize::from(self.attempts) - 1
    }
}

impl Bought {
    fn of(order: &Order) -> Self {
        Self { status: order.status, payment: order.payment, refund: !order.refunds.is_empty() }
    }

    pub fn order(self, attempt: usize, behind: u8) -> Order {
        let mut order = ORDERS.with(|o| o[attempt].clone());
        if self.refund {
            let asked = order.change_status(Status::Canceled, None, REFUND, order.updated_at).expect("a paid order can be canceled");
            order = order.append(asked, &domain::order::Actor::System, "", order.updated_at).order;
            let paid = (self.payment != PaymentStatus::Refunding).then_some(order.updated_at);
            order.refunds.iter_mut().for_each(|r| r.paid_at = paid);
        } else {
            order.refunds.clear();
        }
        Order { status: self.status, payment: self.payment, version: Version(STORED.0 - u64::from(behind)), ..order }
    }
}

pub const REFUND: RefundId = RefundId(77);

thread_local! {
    static CHECKOUTS: RefCell<BTreeMap<(Paying, u8), Rc<Checkout>>> = RefCell::default();
    static TEMPLATE: Checkout = fixtures::checkout(1);
    static ORDERS: [Order; ATTEMPTS] = std::array::from_fn(paid);
}

/// The order of an attempt, paid.
fn paid(attempt_at: usize) -> Order {
    let open = fixtures::checkout(1);
    let paying = Checkout { attempt: Some(attempt(&open, attempt_at, fixtures::START)), ..open };
    let placed = Order::place(Order::placed_by(&paying).expect("complete"), domain::order::Actor::System, "", fixtures::START);
    let amount = paying.quote.total;
    placed
        .then(vec![OrderEvent::PaymentCaptured { amount }, OrderEvent::Confirmed], &domain::order::Actor::System, "", fixtures::START)
        .order
}

/// Attempt `n` as it begins.
pub fn attempt(checkout: &Checkout, n: usize, now: Timestamp) -> Attempt {
    let id = n as u64 + 1;
    Attempt {
        id: AttemptId(id.into()),
        order: OrderId(id.into()),
        number: Number::from_random(id),
        started_at: now,
        reserved_until: now.plus(RESERVATION),
        tries: TRIES_FIRST,
        ..fixtures::attempt(id.into(), checkout)
    }
}

pub fn key(attempt: usize) -> AttemptId {
    AttemptId(attempt as u128 + 1)
}

pub fn index(key: AttemptId) -> usize {
    usize::try_from(key.0).expect("few attempts") - 1
}
