//! A shop on the reference adapters.

use app::ports::{Bus, Carts, Catalog, NoExpressions};
use app::{AddItem, App, Caller, OpenCart, Policy, Ports, TaxFallback, TimeZone};
use conformance::fixtures;
use domain::cart::Lifetimes;
use domain::ids::{BookId, CustomerId, EditionId};
use domain::order::CaptureWhen;
use domain::stock::{StockChange, StockMove};
use memory::simulator::PaymentSimulator;
use memory::{ManualClock, MemoryStore, SeededEntropy};
use std::sync::Arc;
use std::time::Duration;

/// Books 1 to 3, a thousand copies each.
pub async fn app(store: &MemoryStore, carts: Arc<dyn Carts>, bus: Arc<dyn Bus>) -> Arc<App> {
    let mut change = fixtures::new_books((1..=3).map(fixtures::book));
    let first = |n| StockMove { edition: EditionId(n), change: StockChange::Count(1000), cause: format!("first/{n}") };
    change.stock = (1..=3).map(first).collect();
    let store = Arc::new(store.clone());
    Catalog::save(&*store, change, fixtures::START).await.expect("saved");
    let ports = Ports {
        carts,
        ledger: store.clone(),
        catalog: store.clone(),
        prices: store.clone(),
        search: store.clone(),
        sessions: store.clone(),
        payments: Arc::new(PaymentSimulator::in_memory(Duration::ZERO)),
        taxes: None,
        bus,
        outboxes: vec![store],
        clock: Arc::new(ManualClock::new()),
        entropy: Arc::new(SeededEntropy::new(7)),
        expressions: Arc::new(NoExpressions),
    };
    let day = Duration::from_secs(86_400);
    let policy = Policy {
        currency: fixtures::dollars(),
        time_zone: TimeZone::UTC,
        carts: Lifetimes { guest: day, customer: day, empty: day },
        checkout_ttl: day,
        reservation_ttl: day,
        capture: CaptureWhen::AtOnce,
        tax_fallback: TaxFallback::Refuse,
        session_ttl: day,
        events_keep: day,
    };
    Arc::new(App::new(ports, policy))
}

pub fn customer(name: &str) -> Caller {
    Caller::Customer(CustomerId::parse(name).expect("an id"), Arc::default())
}

pub fn add(book: u128, n: u32) -> AddItem {
    AddItem { product: BookId(book), variant: None, quantity: fixtures::copies(n) }
}

pub async fn open(app: &App, name: &str, items: Vec<AddItem>) {
    app.open_cart(&customer(name), OpenCart { currency: None, items, coupons: vec![] }, None).await.expect("a cart");
}

/// Editions and quantities in the customer's cart, if there is one.
pub async fn items(app: &App, name: &str) -> Option<Vec<(u128, u32)>> {
    let cart = app.my_unpriced_cart(&customer(name), None).await.ok()?;
    Some(cart.items.iter().map(|i| (i.edition.0, i.quantity.get())).collect())
}
