//! A place before and after every call of a port.

use crate::Side;
use crate::plan::{late, reach};
use app::Ports;
use app::ports::{
    Answer, AtLeast, Authorization, Authorize, Bus, CartChange, Carts, Catalog, CatalogChange, CatalogSaved, Change, Charge, Clock,
    Committed, Freshness, Ledger, NoticeId, OrderFilter, Outbox, Overdue, Payments, Pending, PortError, Position, PriceChange, Prices,
    PricesSaved, Refund, Saved, SearchIndex, Sessions, Taken, Taxes, TokenDigest,
};
use app::snapshot::Snapshot;
use async_trait::async_trait;
use domain::cart::{Cart, Owner};
use domain::checkout::Checkout;
use domain::event::Outgoing;
use domain::ids::{AttemptId, BookId, CartId, CheckoutId, CouponCode, EditionId, OrderId, PromotionId, SessionId, Version};
use domain::order::{Order, Recorded};
use domain::pricing::{Assessed, Audited, Counter, Issued, PriceLine, Pricebook, RuleKey, Taxable, Usage};
use domain::session::Session;
use domain::stock::StockLevel;
use domain::time::Timestamp;
use std::sync::Arc;

struct Around<P: ?Sized>(Arc<P>);

pub fn all(ports: Ports) -> Ports {
    Ports {
        carts: Arc::new(Around(ports.carts)),
        ledger: Arc::new(Around(ports.ledger)),
        catalog: Arc::new(Around(ports.catalog)),
        prices: Arc::new(Around(ports.prices)),
        search: Arc::new(Around(ports.search)),
        sessions: Arc::new(Around(ports.sessions)),
        payments: Arc::new(Around(ports.payments)),
        taxes: ports.taxes.map(|taxes| Arc::new(Around(taxes)) as Arc<dyn Taxes>),
        bus: Arc::new(Around(ports.bus)),
        outboxes: ports.outboxes.into_iter().map(|outbox| Arc::new(Around(outbox)) as Arc<dyn Outbox>).collect(),
        clock: Arc::new(Around(ports.clock)),
        entropy: ports.entropy,
        expressions: ports.expressions,
    }
}

impl Clock for Around<dyn Clock> {
    fn now(&self) -> Timestamp {
        self.0.now().plus(late())
    }
}

/// The calls of a port: `"?"` marks those that only read. What is not async is passed on as it is.
macro_rules! around {
    ($port:ident, $place:literal, [$($mark:literal $call:ident($($name:ident: $type:ty),*) -> $answer:ty;)*] $($rest:item)*) => {
        #[async_trait]
        impl $port for Around<dyn $port> {
            $(async fn $call(&self, $($name: $type),*) -> Result<$answer, PortError> {
                let place = concat!($place, ".", stringify!($call), $mark);
                reach(place, Side::Before);
                let answer = self.0.$call($($name),*).await;
                reach(place, Side::After);
                answer
            })*
            $($rest)*
        }
    };
}

around!(Carts, "carts", [
    "?" load(id: CartId, fresh: AtLeast, now: Timestamp) -> Option<Arc<Cart>>;
    "?" of_owner(owner: &Owner, now: Timestamp) -> Option<CartId>;
    "" save(change: CartChange, now: Timestamp) -> Saved;
    "?" answer(key: [u8; 16]) -> Option<Answer>;
    "?" expired(now: Timestamp, limit: usize) -> Vec<Arc<Cart>>;
]);

around!(Ledger, "ledger", [
    "" commit(change: Change, now: Timestamp) -> Committed;
    "?" answer(key: [u8; 16]) -> Option<Answer>;
    "" forget_answers(before: Timestamp, limit: usize) -> usize;
    "?" noticed(id: &NoticeId) -> bool;
    "" forget_notices(before: Timestamp, limit: usize) -> usize;
    "?" checkout(id: CheckoutId) -> Option<Checkout>;
    "?" checkout_of_cart(cart: CartId) -> Option<Checkout>;
    "?" checkout_of_owner(owner: &Owner) -> Option<Checkout>;
    "?" due_checkouts(now: Timestamp, limit: usize) -> Vec<Checkout>;
    "?" order(id: OrderId) -> Option<Order>;
    "?" orders(filter: &OrderFilter, limit: usize) -> Vec<Order>;
    "?" order_events(id: OrderId) -> Vec<Recorded>;
    "?" due_orders(now: Timestamp, limit: usize) -> Vec<Order>;
    "?" overdue(now: Timestamp) -> Overdue;
    "?" stock(edition: EditionId) -> StockLevel;
    "?" usage(counters: &[Counter]) -> Usage;
]);

around!(Catalog, "catalog", [
    "" save(change: CatalogChange, now: Timestamp) -> CatalogSaved;
    "?" prices(edition: EditionId, before: Option<u64>, limit: usize) -> Vec<(u64, PriceLine)>;
    "?" answer(key: [u8; 16]) -> Option<Answer>;
]
    fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot()
    }

    fn level(&self, edition: EditionId) -> StockLevel {
        self.0.level(edition)
    }

    fn changes(&self) -> u64 {
        self.0.changes()
    }

    fn freshness(&self) -> Freshness {
        self.0.freshness()
    }
);

around!(Prices, "prices", [
    "" save(change: PriceChange, now: Timestamp) -> PricesSaved;
    "?" issued(code: &CouponCode) -> Option<Issued>;
    "?" codes(promotion: &PromotionId, after: Option<&CouponCode>, limit: usize) -> Vec<Issued>;
    "?" batch(id: u128) -> u32;
    "?" audit(of: Option<&RuleKey>, before: Option<u64>, limit: usize) -> Vec<Audited>;
    "?" answer(key: [u8; 16]) -> Option<Answer>;
]
    fn book(&self) -> Arc<Pricebook> {
        self.0.book()
    }
);

around!(SearchIndex, "search", [
    "?" matches(text: &str, limit: usize) -> Vec<BookId>;
]);

around!(Sessions, "sessions", [
    "" create(session: Session, token: TokenDigest, event: Outgoing) -> ();
    "?" by_token(token: TokenDigest, now: Timestamp) -> Option<Arc<Session>>;
    "?" load(id: SessionId, now: Timestamp) -> Option<Arc<Session>>;
    "" save(session: Session, expected: Version, event: Outgoing, answer: Option<Answer>) -> bool;
    "?" answer(key: [u8; 16]) -> Option<Answer>;
    "" end(id: SessionId, event: Outgoing) -> bool;
    "" sweep(now: Timestamp, limit: usize) -> usize;
]);

around!(Payments, "payments", [
    "" authorize(key: AttemptId, request: &Authorize) -> Authorization;
    "" capture(key: AttemptId) -> Taken;
    "" void(key: AttemptId) -> Taken;
    "" refund(key: AttemptId, refund: &Refund) -> Taken;
    "?" find(key: AttemptId) -> Option<Charge>;
]);

around!(Taxes, "taxes", [
    "?" assess(goods: &Taxable) -> Assessed;
]);

around!(Bus, "bus", [
    "" publish(events: &[Outgoing]) -> ();
]);

around!(Outbox, "outbox", [
    "?" pending(limit: usize) -> Vec<Pending>;
    "" delivered(positions: &[Position], now: Timestamp) -> ();
    "" forget_delivered(before: Timestamp, limit: usize) -> usize;
]);
