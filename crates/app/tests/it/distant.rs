//! The catalog is another node, which may not be heard for a while.

use crate::world::{World, add, cart, customer, details, fresh, once, order, process};
use app::ports::{Answer, Catalog, CatalogChange, CatalogSaved, Freshness, PortError, PortErrorKind};
use app::snapshot::Snapshot;
use app::{App, BookQuery, Calculate, Caller, Error, Operation, Ports, StartCheckout};
use async_trait::async_trait;
use domain::ids::{BookId, EditionId, ItemId};
use domain::pricing::PriceLine;
use domain::quantity::Quantity;
use domain::stock::StockLevel;
use domain::time::Timestamp;
use memory::MemoryStore;
use std::sync::{Arc, Mutex};

/// As fresh as a test says.
struct ScriptedCatalog {
    store: MemoryStore,
    freshness: Mutex<Freshness>,
}

impl ScriptedCatalog {
    fn becomes(&self, freshness: Freshness) {
        *self.freshness.lock().expect("a lock") = freshness;
    }
}

#[async_trait]
impl Catalog for ScriptedCatalog {
    fn snapshot(&self) -> Arc<Snapshot> {
        if self.freshness() == Freshness::Unknown { Arc::default() } else { self.store.snapshot() }
    }

    fn level(&self, edition: EditionId) -> StockLevel {
        self.store.level(edition)
    }

    fn changes(&self) -> u64 {
        self.store.changes()
    }

    fn freshness(&self) -> Freshness {
        *self.freshness.lock().expect("a lock")
    }

    async fn save(&self, change: CatalogChange, now: Timestamp) -> Result<CatalogSaved, PortError> {
        Catalog::save(&self.store, change, now).await
    }

    async fn prices(&self, edition: EditionId, before: Option<u64>, limit: usize) -> Result<Vec<(u64, PriceLine)>, PortError> {
        self.store.prices(edition, before, limit).await
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        Catalog::answer(&self.store, key).await
    }
}

async fn shop() -> (App, Arc<ScriptedCatalog>, Caller) {
    let world = World::new().await;
    let catalog = Arc::new(ScriptedCatalog { store: world.store.clone(), freshness: Mutex::new(Freshness::Fresh) });
    let app = App::new(Ports { catalog: catalog.clone(), ..world.ports() }, world.policy());
    (app, catalog, customer("alice"))
}

fn is_away<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Port(e)) if (e.port, e.kind) == ("catalog", PortErrorKind::Unavailable))
}

fn calculate() -> Calculate {
    Calculate { items: vec![add(1, 1)], coupons: vec![], destination: None, shipping: None, currency: None }
}

#[tokio::test]
async fn nothing_new_is_sold_from_an_old_copy_and_what_was_chosen_before_is() {
    let (app, catalog, alice) = shop().await;
    let id = cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    let change = |operation| app.change_cart(&alice, id, vec![operation], None, None);
    catalog.becomes(Freshness::Stale);

    assert!(is_away(&change(Operation::Add(add(1, 1))).await), "more of the same");
    assert!(is_away(&change(Operation::Add(add(99, 1))).await), "nobody knows whether there is such a book by now");
    assert!(is_away(&cart(&app, &customer("bob"), vec![add(2, 1)], None).await), "a new cart of it");
    assert!(is_away(&app.calculate(&alice, calculate()).await), "a price for anybody");

    assert_eq!(app.cart(&alice, id).await.expect("shown").quote.lines.len(), 1);
    assert!(app.book(BookId(1)).await.is_ok());
    assert!(app.books(&BookQuery { limit: 1, ..BookQuery::default() }).await.is_ok());
    cart(&app, &customer("bob"), vec![], None).await.expect("an empty cart");
    let item = ItemId::from(EditionId(1));
    fresh(change(Operation::Set { item, quantity: Some(Quantity::new(2).expect("a quantity")) }).await.expect("set"));
    let started = fresh(app.start_checkout(&alice, StartCheckout { cart: None, details: details() }, None).await.expect("a checkout"));
    let checkout = started.view.checkout;
    let pay = process(checkout.id, "tok_visa", checkout.quote.total);
    order(fresh(app.process(&alice, pay, once("pay", 0)).await.expect("paid")));

    catalog.becomes(Freshness::Fresh);
    fresh(change(Operation::Add(add(1, 1))).await.expect("added"));
}

#[tokio::test]
async fn a_catalog_nobody_has_heard_of_yet_is_not_an_empty_one() {
    let (app, catalog, alice) = shop().await;
    let id = cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    catalog.becomes(Freshness::Unknown);

    assert!(is_away(&app.cart(&alice, id).await), "its items are not sold out");
    assert!(is_away(&app.book(BookId(1)).await), "the book may well be there");
    assert!(is_away(&app.books(&BookQuery::default()).await));
    assert!(is_away(&app.start_checkout(&alice, StartCheckout { cart: None, details: details() }, None).await));
    assert!(is_away(&app.change_cart(&alice, id, vec![Operation::Add(add(1, 1))], None, None).await));

    let bob = customer("bob");
    let empty = cart(&app, &bob, vec![], None).await.expect("an empty cart");
    assert!(app.cart(&bob, empty).await.is_ok());
}
