//! A shop on the reference adapters: three books, a coupon with two uses, a payment provider with a ledger.

use app::ports::{Carts, Ledger, OrderFilter, Payments, Taxes};
use app::{
    AddItem, Answered, App, Caller, CheckoutView, Error, Once, OpenCart, Policy, Ports, Process, Processed, StartCheckout, Started,
    TaxFallback,
};
use bytes::Bytes;
use conformance::fixtures;
use domain::cart::OnceMark;
use domain::checkout::Details;
use domain::ids::{BookId, CartId, CheckoutId, CustomerId, EditionId, PaymentToken};
use domain::money::{Currency, Money, Ppm};
use domain::order::{CaptureWhen, Order};
use domain::person::Email;
use domain::pricing::{Benefit, Budget, Off, Promotion, Rule, Target};
use domain::quantity::Quantity;
use memory::simulator::PaymentSimulator;
use memory::{ManualClock, MemoryBus, MemoryStore, SeededEntropy};
use std::sync::Arc;
use std::time::Duration;

/// What outlives the application.
#[derive(Clone)]
pub struct World {
    pub store: MemoryStore,
    pub payments: Arc<PaymentSimulator>,
    pub bus: MemoryBus,
    pub clock: ManualClock,
    pub entropy: SeededEntropy,
    pub capture: CaptureWhen,
    pub taxes: Option<Arc<dyn Taxes>>,
    pub tax_fallback: TaxFallback,
}

/// Copies of each book at the start.
pub const STOCK: u32 = 3;

impl World {
    pub async fn new() -> Self {
        let world = Self {
            store: MemoryStore::new().with_rules(rules()),
            payments: Arc::new(PaymentSimulator::in_memory(Duration::ZERO)),
            bus: MemoryBus::new(),
            clock: ManualClock::new(),
            entropy: SeededEntropy::new(7),
            capture: CaptureWhen::AtOnce,
            taxes: None,
            tax_fallback: TaxFallback::Refuse,
        };
        let app = world.app();
        let catalog: &dyn app::ports::Catalog = &world.store;
        catalog.save(fixtures::three_books(STOCK), app.now()).await.expect("saved");
        world
    }

    pub fn app(&self) -> App {
        self.app_over(|carts, ledger, payments| (carts, ledger, payments))
    }

    /// An application whose ports are wrapped.
    pub fn app_over(
        &self,
        wrap: impl FnOnce(Arc<dyn Carts>, Arc<dyn Ledger>, Arc<dyn Payments>) -> (Arc<dyn Carts>, Arc<dyn Ledger>, Arc<dyn Payments>),
    ) -> App {
        let Ports { carts, ledger, payments, .. } = self.ports();
        let (carts, ledger, payments) = wrap(carts, ledger, payments);
        App::new(Ports { carts, ledger, payments, ..self.ports() }, self.policy())
    }

    pub fn ports(&self) -> Ports {
        Ports {
            payments: self.payments.clone(),
            taxes: self.taxes.clone(),
            bus: Arc::new(self.bus.clone()),
            clock: Arc::new(self.clock.clone()),
            entropy: Arc::new(self.entropy.clone()),
            ..memory::ports(Arc::new(self.store.clone()))
        }
    }

    pub fn policy(&self) -> Policy {
        Policy {
            checkout_ttl: Duration::from_secs(1800),
            reservation_ttl: Duration::from_secs(600),
            capture: self.capture,
            tax_fallback: self.tax_fallback,
            ..fixtures::policy()
        }
    }

    pub async fn guest(&self, app: &App) -> Caller {
        Caller::Guest(app.open_session(None).await.expect("a session").session)
    }

    pub async fn orders(&self) -> Vec<Order> {
        let ledger: &dyn Ledger = &self.store;
        ledger.orders(&OrderFilter::default(), 100).await.expect("read")
    }

    pub async fn stock(&self, edition: u128) -> (u32, u32) {
        let ledger: &dyn Ledger = &self.store;
        let level = ledger.stock(EditionId(edition)).await.expect("read");
        (level.on_hand, level.reserved)
    }

    /// Sweeps until nothing is due any more, letting time pass.
    pub async fn settle(&self, app: &App) {
        for _ in 0..40 {
            self.clock.advance(Duration::from_secs(60));
            app.saga_step(app.now(), 100).await.expect("swept");
        }
        while app.outbox_step(app.now(), 100).await.expect("published") > 0 {}
    }
}

pub fn usd() -> Currency {
    fixtures::dollars()
}

fn rules() -> Vec<Rule> {
    let coupon = |name: &str, label: &str, rate, uses| Promotion {
        budget: Budget { uses, ..Budget::default() },
        ..Promotion::coupon(fixtures::code(name), fixtures::text(label), Benefit::Goods { of: Target::default(), off: Off::Rate(rate) })
    };
    let twice = coupon("TWICE", "Half off, twice", Ppm(500_000), Some(2));
    let free = coupon("FREE", "All off", Ppm::ONE, None);
    fixtures::rules().into_iter().chain([twice.into(), free.into()]).collect()
}

pub fn customer(name: &str) -> Caller {
    Caller::Customer(CustomerId::parse(name).expect("an id"), Arc::default())
}

pub fn admin() -> Caller {
    Caller::Admin(CustomerId::parse("root").expect("an id"))
}

pub fn order(processed: Processed) -> Order {
    match processed {
        Processed::Completed(order) => *order,
        other => panic!("an order was expected: {other:?}"),
    }
}

pub fn add(book: u128, n: i64) -> AddItem {
    AddItem { product: BookId(book), variant: None, quantity: Quantity::new(n).expect("a quantity") }
}

/// An idempotency key whose answer is rendered with `{:?}`.
pub fn once<T: std::fmt::Debug>(key: &str, body: u8) -> Once<T> {
    let mut digest = [0; 16];
    digest[..key.len()].copy_from_slice(key.as_bytes());
    Once { mark: OnceMark { key: digest, fingerprint: [body; 16] }, render: |value| Bytes::from(format!("{value:?}")) }
}

pub fn fresh<T>(answered: Answered<T>) -> T {
    match answered {
        Answered::Fresh(value) => value,
        Answered::Again(_) => panic!("a fresh answer was expected"),
    }
}

pub async fn cart(app: &App, caller: &Caller, items: Vec<AddItem>, coupon: Option<&str>) -> Result<CartId, Error> {
    let open = OpenCart { currency: None, items, coupons: coupon.map(fixtures::code).into_iter().collect() };
    Ok(fresh(app.open_cart(caller, open, None).await?).view.cart.id)
}

pub fn details() -> Details {
    Details { email: Email::parse("ada@example.com"), shipping_address: Some(fixtures::address()), ..Details::default() }
}

pub async fn start(app: &App, caller: &Caller) -> Result<CheckoutView, Error> {
    let started: Started = fresh(app.start_checkout(caller, StartCheckout { cart: None, details: details() }, None).await?);
    Ok(started.view)
}

pub fn process(checkout: CheckoutId, token: &str, expected_total: Money) -> Process {
    Process { checkout, token: PaymentToken::parse(token).expect("a token"), expected_total, return_url: None, if_match: None }
}

/// A cart of one copy of book 1, checked out and paid with `token`.
pub async fn buy(app: &App, caller: &Caller, token: &str) -> Result<Processed, Error> {
    cart(app, caller, vec![add(1, 1)], None).await?;
    let CheckoutView { checkout, .. } = start(app, caller).await?;
    let key = format!("{:x}", checkout.id.0 & 0xffff_ffff);
    Ok(fresh(app.process(caller, process(checkout.id, token, checkout.quote.total), once(&key, 0)).await?))
}
