//! A shop on the reference adapters: three books, a coupon with two uses, a payment provider with a ledger.

use app::ports::{Carts, Ledger, OrderFilter, Payments, Taxes};
use app::{App, Caller, CheckoutView, Error, Policy, Ports, Processed, StartCheckout, Started, TaxFallback};
use conformance::fixtures;
use conformance::shopper::rules;
pub use conformance::shopper::{STOCK, add, admin, cart, customer, details, fresh, once, process};
use domain::ids::EditionId;
use domain::money::Currency;
use domain::order::{CaptureWhen, Order};
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

pub fn order(processed: Processed) -> Order {
    match processed {
        Processed::Completed(order) => *order,
        other => panic!("an order was expected: {other:?}"),
    }
}

pub async fn start(app: &App, caller: &Caller) -> Result<CheckoutView, Error> {
    let started: Started = fresh(app.start_checkout(caller, StartCheckout { cart: None, details: details() }, None).await?);
    Ok(started.view)
}

/// A cart of one copy of book 1, checked out and paid with `token`.
pub async fn buy(app: &App, caller: &Caller, token: &str) -> Result<Processed, Error> {
    cart(app, caller, vec![add(1, 1)], None).await?;
    let CheckoutView { checkout, .. } = start(app, caller).await?;
    let key = format!("{:x}", checkout.id.0 & 0xffff_ffff);
    Ok(fresh(app.process(caller, process(checkout.id, token, checkout.quote.total), once(&key, 0)).await?))
}
