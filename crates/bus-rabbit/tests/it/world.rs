//! A shop on the reference adapters.

use app::ports::{Bus, Carts, Catalog};
use app::{AddItem, App, Caller, OpenCart, Ports};
use conformance::fixtures;
use domain::ids::{BookId, CustomerId};
use memory::MemoryStore;
use std::sync::Arc;

/// Books 1 to 3, a thousand copies each.
pub async fn app(store: &MemoryStore, carts: Arc<dyn Carts>, bus: Arc<dyn Bus>) -> Arc<App> {
    Catalog::save(store, fixtures::three_books(1000), fixtures::START).await.expect("saved");
    let ports = Ports { carts, bus, ..memory::ports(Arc::new(store.clone())) };
    Arc::new(App::new(ports, fixtures::policy()))
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
