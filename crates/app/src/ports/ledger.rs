use super::{Answer, PortError};
use async_trait::async_trait;
use domain::cart::Owner;
use domain::checkout::Checkout;
use domain::event::Outgoing;
use domain::ids::{CartId, CheckoutId, EditionId, OrderId, Version};
use domain::limits::NOTICE_ID_MAX;
use domain::order::{Appended, Order, PaymentStatus, Recorded, Status};
use domain::pricing::{Counter, Usage};
use domain::refusal::Short;
use domain::stock::{StockLevel, StockMove};
use domain::text::Text;
use domain::time::Timestamp;

/// Checkouts, orders, stock, uses of promotions: what must never disagree. An acknowledged change is durable.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Makes every line of the change true, together with its answer and its events, or none.
    ///
    /// - A checkout holds only while its stored version is the expected one (0: not there yet); else `CheckoutConflict`.
    /// - A live checkout whose cart already has another live one: `CartTaken` with the other.
    /// - Order events hold only while the order's stored version is the one before them; else `OrderConflict`.
    /// - An order for a checkout that already has one that did not fail: `OrderConflict`.
    /// - A new order whose number another order has: `NumberTaken`.
    /// - A stock move that the level refuses: `StockShort` with every edition that is short.
    /// - A use holds only while the count stays within its limit; else `UsedUp`.
    /// - A stock move or a use whose cause was already applied to the same edition or counter is passed over.
    /// - Every applied stock move leaves a `stock.*` event whose sequence is the level's count of moves, in the trace of the change's
    ///   other events.
    /// - A notice is remembered by its id from then on; one that is remembered already is passed over.
    /// - An answer whose key is already answered: `Answered` with the first answer.
    async fn commit(&self, change: Change, now: Timestamp) -> Result<Committed, PortError>;

    /// The remembered answer to this idempotency key.
    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError>;

    /// Forgets answers given before `before`, at most `limit`; says how many.
    async fn forget_answers(&self, before: Timestamp, limit: usize) -> Result<usize, PortError>;

    /// Whether a notice with this id is remembered.
    async fn noticed(&self, id: &NoticeId) -> Result<bool, PortError>;

    /// Forgets notices remembered before `before`, at most `limit`; says how many.
    async fn forget_notices(&self, before: Timestamp, limit: usize) -> Result<usize, PortError>;

    async fn checkout(&self, id: CheckoutId) -> Result<Option<Checkout>, PortError>;

    /// The checkout that holds this cart, or was the last to end and is not settled yet.
    async fn checkout_of_cart(&self, cart: CartId) -> Result<Option<Checkout>, PortError>;

    /// The newest checkout of this owner.
    async fn checkout_of_owner(&self, owner: &Owner) -> Result<Option<Checkout>, PortError>;

    /// Checkouts that are not done and whose alarm has rung by `now`, the longest waiting first.
    async fn due_checkouts(&self, now: Timestamp, limit: usize) -> Result<Vec<Checkout>, PortError>;

    async fn order(&self, id: OrderId) -> Result<Option<Order>, PortError>;

    /// Orders that match, newest first; after `filter.after` when given.
    async fn orders(&self, filter: &OrderFilter, limit: usize) -> Result<Vec<Order>, PortError>;

    /// The history of an order, in order.
    async fn order_events(&self, id: OrderId) -> Result<Vec<Recorded>, PortError>;

    /// Orders whose money is moving and whose alarm has rung by `now`, the longest waiting first.
    async fn due_orders(&self, now: Timestamp, limit: usize) -> Result<Vec<Order>, PortError>;

    /// How many [`Ledger::due_checkouts`] and [`Ledger::due_orders`] there are at `now`, and the earliest of their alarms.
    async fn overdue(&self, now: Timestamp) -> Result<Overdue, PortError>;

    /// The level of an edition; zero when nothing ever moved.
    async fn stock(&self, edition: EditionId) -> Result<StockLevel, PortError>;

    /// What orders and checkouts being paid use of each counter; what nothing ever used is left out.
    async fn usage(&self, counters: &[Counter]) -> Result<Usage, PortError>;
}

/// What must become true together. Either every line of this holds afterwards, or none does.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The checkout's next state (its `version` is already the next one) and the version it must have now.
    pub checkout: Option<(Checkout, Version)>,
    pub order: Option<Appended>,
    /// When to look again at an order whose money is moving.
    pub order_alarm: Option<(OrderId, Timestamp)>,
    pub stock: Vec<StockMove>,
    pub uses: Vec<UseMove>,
    /// In order; the events of stock moves are not among them.
    pub outbox: Vec<Outgoing>,
    /// A notice of the payment provider that has been heeded.
    pub notice: Option<NoticeId>,
    pub answer: Option<Answer>,
}

/// The name a payment provider gives a notice, however often it sends it.
pub type NoticeId = Text<NOTICE_ID_MAX>;

/// What waits to be driven on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    pub checkouts: u64,
    pub orders: u64,
    /// The earliest alarm among them.
    pub since: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseMove {
    pub counter: Counter,
    pub change: UseChange,
    /// Unique per `(cause, counter)`.
    pub cause: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseChange {
    /// Holds only while the count is at most `limit` afterwards.
    Use { by: u64, limit: Option<u64> },
    /// At most what is used.
    GiveBack { by: u64 },
}

#[derive(Clone, Debug)]
pub enum Committed {
    Done,
    Answered(Answer),
    CheckoutConflict,
    CartTaken(CheckoutId),
    OrderConflict,
    NumberTaken,
    StockShort(Vec<Short>),
    UsedUp(Counter),
}

/// Which orders; every field narrows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderFilter {
    pub owner: Option<Owner>,
    pub status: Option<Status>,
    pub payment: Option<PaymentStatus>,
    /// Placed at or after.
    pub from: Option<Timestamp>,
    /// Placed before.
    pub to: Option<Timestamp>,
    /// The place of the last order of the page before.
    pub after: Option<OrderPlace>,
}

/// A place in the newest-first list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderPlace {
    pub placed_at: Timestamp,
    pub id: OrderId,
}
