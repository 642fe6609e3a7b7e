//! A shop whose process dies: every call that changes something fails, before or after it has happened, once each, in the middle of a
//! purchase. The application is thrown away and built anew over the same stores, the sweeper runs, and money, stock and coupons must
//! balance. It runs on any stores that [`Stand`] gives.

use crate::fixtures;
use crate::shopper::{STOCK, add, admin, cart, customer, details, fresh, once, process, rules};
use app::ports::{
    Answer, AtLeast, Authorization, Authorize, CartChange, Carts, Change, Charge, ChargeStatus, Committed, Ledger, NoticeId, OrderFilter,
    Overdue, Payments, PortError, PortErrorKind, Refund, Saved, Taken,
};
use app::{Answered, App, Caller, Error, Notice, OrderQuery, Policy, Ports, Processed, StartCheckout};
use async_trait::async_trait;
use domain::cart::{Cart, Owner};
use domain::checkout::Checkout;
use domain::event::Outgoing;
use domain::ids::{AttemptId, CartId, CheckoutId, EditionId, OrderId};
use domain::order::{CaptureWhen, Order, PaymentStatus, Recorded, RefundOf, RefundRequest, Status};
use domain::pricing::Line;
use domain::pricing::{Counter, Usage};
use domain::stock::StockLevel;
use domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A shop on stores that were empty, and the world around it: a clock that stands, payments that are simulated, a bus that remembers.
#[async_trait]
pub trait Stand: Send + Sync {
    /// The same stores each time.
    fn ports(&self) -> Ports;
    /// Lets time pass.
    fn advance(&self, by: Duration);
    /// The customer meets the challenge of an attempt at the provider.
    async fn meet_challenge(&self, attempt: AttemptId);
    /// Every charge the provider knows.
    fn charges(&self) -> BTreeMap<AttemptId, Charge>;
    /// What was published, in order.
    fn published(&self) -> Vec<Outgoing>;
}

/// A stand that is open for business: three books, a coupon with two uses.
struct World<S> {
    stand: S,
    capture: CaptureWhen,
}

impl<S: Stand> World<S> {
    async fn open(stand: S, capture: CaptureWhen) -> Self {
        let world = Self { stand, capture };
        let app = world.app();
        let catalog = world.stand.ports().catalog;
        catalog.save(fixtures::three_books(STOCK), app.now()).await.expect("saved");
        app.first_rules(rules(), fixtures::text("first start")).await.expect("saved");
        world
    }

    fn app(&self) -> App {
        App::new(self.stand.ports(), self.policy())
    }

    /// An application that dies at a call.
    fn app_with(&self, fault: &Fault) -> App {
        let Ports { carts, ledger, payments, .. } = self.stand.ports();
        let f = || fault.clone();
        let carts = Arc::new(Faulty { port: carts, fault: f() });
        let ledger = Arc::new(Faulty { port: ledger, fault: f() });
        let payments = Arc::new(Faulty { port: payments, fault: f() });
        App::new(Ports { carts, ledger, payments, ..self.stand.ports() }, self.policy())
    }

    fn policy(&self) -> Policy {
        Policy {
            checkout_ttl: Duration::from_secs(1800),
            reservation_ttl: Duration::from_secs(600),
            capture: self.capture,
            ..fixtures::policy()
        }
    }

    async fn stock(&self, edition: u128) -> (u32, u32) {
        let level = self.stand.ports().ledger.stock(EditionId(edition)).await.expect("read");
        (level.on_hand, level.reserved)
    }

    /// Sweeps until nothing is due any more, letting time pass.
    async fn settle(&self, app: &App) {
        for _ in 0..40 {
            self.stand.advance(Duration::from_secs(60));
            app.saga_step(app.now(), 100).await.expect("swept");
        }
        while app.outbox_step(app.now(), 100).await.expect("published") > 0 {}
    }
}

/// Every story with every kind of payment that makes a difference to it.
const STORIES: [(Story, &[&str]); 4] = [
    (
        Story::Cancel,
        &["tok_visa", "tok_declined", "tok_flaky", "tok_timeout_after", "tok_timeout_before", "tok_capture_fails", "tok_requires_action"],
    ),
    (Story::Ship, &["tok_visa", "tok_capture_fails", "tok_timeout_after"]),
    (Story::RefundAndCancel, &["tok_visa"]),
    (Story::Challenge, &["tok_requires_action"]),
];

/// Dies at every so-many-th call that changes something, of all stories one after the other, on a new stand each time; how many of
/// these calls there were.
pub async fn a_crash_at_any_call_leaves_money_stock_and_coupons_balanced<S: Stand>(stand: impl AsyncFn() -> S, every: usize) -> usize {
    let mut points = 0;
    for (story, tokens) in STORIES {
        for (token, when) in tokens.iter().flat_map(|token| [(token, When::Before), (token, When::After)]) {
            // Goes on counting where the last story ended.
            let mut at = (every - points % every) % every;
            let calls = loop {
                match Box::pin(crash(&stand, token, Fault { calls: Arc::default(), at, when }, story)).await {
                    Some(calls) => break calls,
                    None => at += every,
                }
            };
            points += calls;
        }
    }
    points
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Before,
    After,
}

/// Fails the `at`-th call that changes something, and every one after it: the process is as good as dead.
#[derive(Clone)]
struct Fault {
    calls: Arc<AtomicUsize>,
    at: usize,
    when: When,
}

impl Fault {
    async fn around<T>(&self, call: impl Future<Output = Result<T, PortError>>) -> Result<T, PortError> {
        let n = self.calls.fetch_add(1, Ordering::SeqCst);
        let crash = || Err(PortError::unknown("test", PortErrorKind::Timeout, "crashed"));
        match n.cmp(&self.at) {
            std::cmp::Ordering::Less => call.await,
            std::cmp::Ordering::Equal if self.when == When::After => {
                call.await?;
                crash()
            }
            _ => crash(),
        }
    }
}

struct Faulty<P: ?Sized> {
    port: Arc<P>,
    fault: Fault,
}

#[async_trait]
impl Carts for Faulty<dyn Carts> {
    async fn load(&self, id: CartId, fresh: AtLeast, now: Timestamp) -> Result<Option<Arc<Cart>>, PortError> {
        self.port.load(id, fresh, now).await
    }
    async fn of_owner(&self, owner: &Owner, now: Timestamp) -> Result<Option<CartId>, PortError> {
        self.port.of_owner(owner, now).await
    }
    async fn save(&self, change: CartChange, now: Timestamp) -> Result<Saved, PortError> {
        self.fault.around(self.port.save(change, now)).await
    }
    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.port.answer(key).await
    }
    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<Arc<Cart>>, PortError> {
        self.port.expired(now, limit).await
    }
}

#[async_trait]
impl Ledger for Faulty<dyn Ledger> {
    async fn commit(&self, change: Change, now: Timestamp) -> Result<Committed, PortError> {
        self.fault.around(self.port.commit(change, now)).await
    }
    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.port.answer(key).await
    }
    async fn forget_answers(&self, before: Timestamp, limit: usize) -> Result<usize, PortError> {
        self.port.forget_answers(before, limit).await
    }
    async fn noticed(&self, id: &NoticeId) -> Result<bool, PortError> {
        self.port.noticed(id).await
    }
    async fn forget_notices(&self, before: Timestamp, limit: usize) -> Result<usize, PortError> {
        self.port.forget_notices(before, limit).await
    }
    async fn overdue(&self, now: Timestamp) -> Result<Overdue, PortError> {
        self.port.overdue(now).await
    }
    async fn checkout(&self, id: CheckoutId) -> Result<Option<Checkout>, PortError> {
        self.port.checkout(id).await
    }
    async fn checkout_of_cart(&self, cart: CartId) -> Result<Option<Checkout>, PortError> {
        self.port.checkout_of_cart(cart).await
    }
    async fn checkout_of_owner(&self, owner: &Owner) -> Result<Option<Checkout>, PortError> {
        self.port.checkout_of_owner(owner).await
    }
    async fn due_checkouts(&self, now: Timestamp, limit: usize) -> Result<Vec<Checkout>, PortError> {
        self.port.due_checkouts(now, limit).await
    }
    async fn order(&self, id: OrderId) -> Result<Option<Order>, PortError> {
        self.port.order(id).await
    }
    async fn orders(&self, filter: &OrderFilter, limit: usize) -> Result<Vec<Order>, PortError> {
        self.port.orders(filter, limit).await
    }
    async fn order_events(&self, id: OrderId) -> Result<Vec<Recorded>, PortError> {
        self.port.order_events(id).await
    }
    async fn due_orders(&self, now: Timestamp, limit: usize) -> Result<Vec<Order>, PortError> {
        self.port.due_orders(now, limit).await
    }
    async fn stock(&self, edition: EditionId) -> Result<StockLevel, PortError> {
        self.port.stock(edition).await
    }
    async fn usage(&self, counters: &[Counter]) -> Result<Usage, PortError> {
        self.port.usage(counters).await
    }
}

#[async_trait]
impl Payments for Faulty<dyn Payments> {
    async fn authorize(&self, key: AttemptId, request: &Authorize) -> Result<Authorization, PortError> {
        self.fault.around(self.port.authorize(key, request)).await
    }
    async fn capture(&self, key: AttemptId) -> Result<Taken, PortError> {
        self.fault.around(self.port.capture(key)).await
    }
    async fn void(&self, key: AttemptId) -> Result<Taken, PortError> {
        self.fault.around(self.port.void(key)).await
    }
    async fn refund(&self, key: AttemptId, refund: &Refund) -> Result<Taken, PortError> {
        self.fault.around(self.port.refund(key, refund)).await
    }
    async fn find(&self, key: AttemptId) -> Result<Option<Charge>, PortError> {
        self.fault.around(self.port.find(key)).await
    }
}

/// What happens after a purchase with a limited coupon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    Cancel,
    /// The money is taken on shipment.
    Ship,
    /// One copy is paid back, then the rest.
    RefundAndCancel,
    /// The customer meets a challenge, and a notice says so before they are back.
    Challenge,
}

async fn purchase<S: Stand>(world: &World<S>, app: &App, caller: &Caller, token: &str, story: Story) -> Result<(), Error> {
    cart(app, caller, vec![add(1, 1), add(2, 2)], Some("TWICE")).await?;
    let started = fresh(app.start_checkout(caller, StartCheckout { cart: None, details: details() }, None).await?).view.checkout;
    let paid = app.process(caller, process(started.id, token, started.quote.total), once("key", 0)).await?;
    match paid {
        Answered::Fresh(Processed::Completed(order)) => follow(app, caller, &order, story).await,
        Answered::Fresh(Processed::Waiting(checkout)) if story == Story::Challenge => {
            let key = checkout.current().id;
            world.stand.meet_challenge(key).await;
            let id = fixtures::text("evt_1");
            app.payment_notice(Notice { id, checkout: checkout.id, attempt: key, at: app.now() }).await?;
            app.resume_checkout(caller, checkout.id).await.map(drop)
        }
        _ => Ok(()),
    }
}

async fn follow(app: &App, caller: &Caller, order: &Order, story: Story) -> Result<(), Error> {
    let to = async |status| app.change_order_status(&admin(), order.id, status, None, None).await.map(drop);
    match story {
        Story::Cancel => app.cancel_order(caller, order.id, None, None, None).await.map(drop),
        Story::Ship => {
            to(Status::Processing).await?;
            to(Status::Shipped).await
        }
        Story::RefundAndCancel => {
            let what = RefundOf::Items(vec![Line { edition: EditionId(2), quantity: fixtures::copies(1) }]);
            app.refund_order(&admin(), order.id, RefundRequest { what, restock: None, reason: None }, None, None).await?;
            app.cancel_order(caller, order.id, None, None, None).await.map(drop)
        }
        Story::Challenge => Ok(()),
    }
}

async fn all_orders(app: &App) -> Vec<Order> {
    app.orders(&admin(), OrderQuery { limit: 100, ..Default::default() }).await.expect("listed").items
}

async fn balances<S: Stand>(world: &World<S>, app: &App, what: &str) {
    let orders = all_orders(app).await;
    let live: Vec<_> = orders.iter().filter(|o| !matches!(o.status, Status::Canceled | Status::Failed)).collect();
    for edition in [1, 2] {
        let sold = live.iter().flat_map(|o| o.copies_left()).filter(|l| l.edition.0 == edition).map(|l| l.quantity.get()).sum::<u32>();
        assert_eq!(world.stock(edition).await, (STOCK - sold, 0), "{what}: stock of book {edition}");
    }
    let left = app.discounts().await.expect("listed").iter().find_map(|d| d.uses_left.filter(|_| d.code.as_str() == "TWICE"));
    assert_eq!(left, Some(2 - u32::try_from(live.len()).expect("few")), "{what}: coupon uses");
    for order in &orders {
        money_agrees(world, order, what).await;
        let history = app.order_events(&admin(), order.id).await.expect("a history");
        assert_eq!(history.iter().fold(None, Order::evolve).as_ref(), Some(order), "{what}: the order is what its events say");
    }
    let charged = world.stand.charges().into_iter().filter(|(_, c)| matches!(c.status, ChargeStatus::Authorized | ChargeStatus::Captured));
    assert_eq!(charged.count(), live.len(), "{what}: money without an order");
    let mut next = BTreeMap::new();
    for event in world.stand.published() {
        let last = next.entry(event.subject).or_insert(0);
        assert!(event.sequence == *last + 1 || event.sequence <= *last, "{what}: {} skips after {last}", event.id());
        *last = event.sequence.max(*last);
    }
}

/// Order and provider tell the same of the money, to the minor unit.
async fn money_agrees<S: Stand>(world: &World<S>, order: &Order, what: &str) {
    let charge = world.stand.ports().payments.find(order.attempt).await.expect("an answer").expect("a charge");
    let (told, paid_back) = match order.payment {
        PaymentStatus::Authorized => (ChargeStatus::Authorized, false),
        PaymentStatus::Captured | PaymentStatus::PartiallyRefunded => (ChargeStatus::Captured, true),
        PaymentStatus::Refunded => (ChargeStatus::Refunded, true),
        PaymentStatus::Failed | PaymentStatus::Voided => (ChargeStatus::Voided, false),
        moving @ (PaymentStatus::Capturing | PaymentStatus::Voiding | PaymentStatus::Refunding) => {
            panic!("{what}: money still moves: {moving:?}")
        }
    };
    assert_eq!(charge.status, told, "{what}: the order says {:?}", order.payment);
    let left = charge.amount.minus(charge.refunded).expect("in range");
    assert!(!paid_back || order.left_to_refund().ok() == Some(left), "{what}: {left} is left at the provider, {:?}", order.refunds);
}

/// Dies at one call of a story. If the story has not so many calls: how many it has.
async fn crash<S: Stand>(stand: &impl AsyncFn() -> S, token: &str, fault: Fault, story: Story) -> Option<usize> {
    let capture = if story == Story::Ship { CaptureWhen::OnShipment } else { CaptureWhen::AtOnce };
    let world = World::open(stand().await, capture).await;
    let app = world.app_with(&fault);
    let alice = customer("alice");
    // Whatever the shopper was told, nothing may be lost or doubled.
    drop(purchase(&world, &app, &alice, token, story).await);
    drop(app);
    let app = world.app();
    let what = format!("{story:?}, {token}, {:?} call {}", fault.when, fault.at);
    world.settle(&app).await;
    balances(&world, &app, &what).await;
    // The shopper's retry, with the same key, finds the same purchase or makes it; the story goes on.
    drop(purchase(&world, &app, &alice, token, story).await);
    for order in all_orders(&app).await {
        drop(follow(&app, &alice, &order, story).await);
    }
    world.settle(&app).await;
    balances(&world, &app, &format!("{what}, retried")).await;
    let calls = fault.calls.load(Ordering::SeqCst);
    (calls <= fault.at).then_some(calls)
}
