//! Two nodes of one shop: one holds the catalog, the other sells from a copy. Ledger and carts are the same for both.

use crate::served::{Node, PATIENCE, of, until, until_it_is};
use app::ports::{Catalog, CatalogChange, Freshness, PortErrorKind, SearchIndex};
use app::{AddItem, Answered, App, BookQuery, Caller, Error, OpenCart, Operation, Ports};
use catalog_grpc::{RemoteCatalog, RemoteCatalogSettings};
use conformance::fixtures::{START, book, heading, move_stock, moved, new_books, policy, put_book, put_heading, rules, text, three_books};
use domain::catalog::{Book, HeadingKind};
use domain::ids::{BookId, CustomerId, EditionId, Version};
use domain::quantity::Quantity;
use domain::stock::StockChange;
use memory::MemoryStore;
use std::sync::Arc;
use std::time::Duration;

/// Three books with three copies each.
pub async fn stocked() -> MemoryStore {
    let store = MemoryStore::new().with_rules(rules());
    Catalog::save(&store, three_books(3), START).await.expect("saved");
    store
}

/// The node without the catalog.
pub fn shop(store: &MemoryStore, remote: &RemoteCatalog) -> App {
    let remote = Arc::new(remote.clone());
    let ports = Ports { catalog: remote.clone(), search: remote, ..memory::ports(Arc::new(store.clone())) };
    App::new(ports, policy())
}

fn alice() -> Caller {
    Caller::Customer(CustomerId::parse("alice").expect("an id"), Arc::default())
}

fn add(n: u128) -> AddItem {
    AddItem { product: BookId(n), variant: None, quantity: Quantity::ONE }
}

fn is_unavailable<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Port(e)) if (e.port, e.kind) == ("catalog", PortErrorKind::Unavailable))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_catalogs_node_nothing_is_added_all_else_goes_on_and_it_heals() {
    let store = stocked().await;
    let node = Node::start(of(&store)).await;
    let settings = RemoteCatalogSettings { copy_age_max: Duration::from_millis(300), ..node.settings() };
    let remote = RemoteCatalog::connect(settings).expect("an address");
    assert!(remote.caught_up(PATIENCE).await);
    let (app, alice) = (shop(&store, &remote), alice());
    let open = OpenCart { currency: None, items: vec![add(1)], coupons: vec![] };
    let Answered::Fresh(opened) = app.open_cart(&alice, open, None).await.expect("opened") else { panic!("a fresh answer") };
    let id = opened.view.cart.id;
    let adds = async || app.change_cart(&alice, id, vec![Operation::Add(add(2))], None, None).await;

    let address = node.address;
    node.stop().await;
    until_it_is(Freshness::Stale, &remote).await;
    assert!(is_unavailable(&adds().await));
    let shown = app.cart(&alice, id).await.expect("shown");
    assert_eq!((shown.quote.lines.len(), shown.quote.unavailable.len()), (1, 0));
    assert_eq!(app.book(BookId(2)).await.expect("shown").levels[0].on_hand, 3);
    let title = book(2).title.as_str().to_owned();
    let found = app.books(&BookQuery { search: Some(title), limit: 10, ..BookQuery::default() }).await.expect("searched");
    assert!(found.items.iter().any(|b| b.book.id == BookId(2)));
    app.change_cart(&alice, id, vec![Operation::Clear], None, None).await.expect("cleared");

    let renamed = Book { title: text("Meanwhile"), version: Version(2), ..book(3) };
    Catalog::save(&store, CatalogChange { books: vec![put_book(renamed, 1)], ..CatalogChange::default() }, START).await.expect("saved");
    let _node = Node::start_at(address, of(&store)).await;
    until_it_is(Freshness::Fresh, &remote).await;
    adds().await.expect("added");
    assert_eq!(app.book(BookId(3)).await.expect("shown").book.title.as_str(), "Meanwhile");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_before_the_catalogs_waits_for_it() {
    let store = stocked().await;
    let node = Node::start(of(&store)).await;
    let (settings, address) = (node.settings(), node.address);
    node.stop().await;
    let remote = RemoteCatalog::connect(settings).expect("an address");
    let app = shop(&store, &remote);
    assert_eq!(remote.freshness(), Freshness::Unknown);
    assert!(is_unavailable(&app.book(BookId(1)).await), "nobody knows yet whether there is such a book");
    assert!(remote.matches("book", 10).await.is_err());
    let _node = Node::start_at(address, of(&store)).await;
    until_it_is(Freshness::Fresh, &remote).await;
    assert!(app.book(BookId(1)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_at_one_node_is_seen_at_the_other() {
    let store = stocked().await;
    let node = Node::start(of(&store)).await;
    let remote = node.copied().await;
    let author = heading(HeadingKind::Author, 1, "Stanisław Lem");
    let by_lem = Book { authors: vec![author.id], version: Version(2), ..book(1) };
    let change = CatalogChange {
        headings: vec![put_heading(author.clone(), 0)],
        books: vec![put_book(by_lem, 1), app::ports::BookWrite::Delete { id: BookId(2), expected: Version(1) }],
        ..CatalogChange::default()
    };
    Catalog::save(&store, change, START).await.expect("saved");
    until(|| remote.snapshot().book(BookId(2)).is_none()).await;
    assert_eq!(remote.snapshot().uses(author.id), 1);
    let reserve = move_stock([moved(3, StockChange::Reserve(2), "order")]);
    app::ports::Ledger::commit(&store, reserve, START).await.expect("committed");
    until(|| remote.level(EditionId(3)).reserved == 2).await;

    let quiet = remote.changes();
    assert!(remote.caught_up(PATIENCE).await);
    assert_eq!(remote.changes(), quiet, "no news is no change");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_of_many_parts_is_copied_whole() {
    let store = MemoryStore::new();
    let thousands = (1..=3000).map(|n| Book { description: domain::text::Text::parse_block(&"word ".repeat(200)), ..book(n) });
    Catalog::save(&store, new_books(thousands), START).await.expect("saved");
    let node = Node::start(of(&store)).await;
    let remote = node.copied().await;
    assert_eq!(remote.snapshot().len(), 3000);
    assert_eq!(remote.snapshot().book(BookId(2999)), store.snapshot().book(BookId(2999)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_only_an_old_copy_has_no_news_for_others() {
    let store = stocked().await;
    let node = Node::start(of(&store)).await;
    let settings = RemoteCatalogSettings { copy_age_max: Duration::from_millis(300), ..node.settings() };
    let middle = RemoteCatalog::connect(settings).expect("an address");
    assert!(middle.caught_up(PATIENCE).await);
    let shared = Arc::new(middle.clone());
    let second = Node::start(catalog_grpc::Served { catalog: shared.clone(), search: shared, token: crate::served::token() }).await;
    let settings = RemoteCatalogSettings { copy_age_max: Duration::from_millis(300), ..second.settings() };
    let far = RemoteCatalog::connect(settings).expect("an address");
    assert!(far.caught_up(PATIENCE).await);
    assert_eq!(far.snapshot().len(), 3);
    node.stop().await;
    until_it_is(Freshness::Stale, &middle).await;
    until_it_is(Freshness::Stale, &far).await;
}
