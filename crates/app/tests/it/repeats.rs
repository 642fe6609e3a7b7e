//! An answered key keeps its answer, whatever happens in between.

use crate::world::{World, add, buy, cart, customer, details, fresh, once, process, start};
use app::{Answered, Caller, Error, OpenCart, Operation, Processed, StartCheckout, StockInput};
use conformance::fixtures;
use domain::ids::{BookId, CustomerId, EditionId};
use domain::order::Status;
use std::fmt::Debug;

/// What somebody was told, as an edge would print it.
fn told<T: Debug>(answer: Result<Answered<T>, Error>) -> String {
    match answer.expect("an answer") {
        Answered::Fresh(value) => format!("{value:?}"),
        Answered::Again(body) => String::from_utf8_lossy(&body).into_owned(),
    }
}

fn root() -> Caller {
    Caller::Admin(CustomerId::parse("root").expect("an id"))
}

#[tokio::test]
async fn opening_a_cart_that_was_there() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let id = cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    let open = || app.open_cart(&alice, OpenCart { currency: None, items: vec![], coupons: vec![] }, Some(once("k", 0)));
    let first = told(open().await);
    fresh(app.change_cart(&alice, id, vec![Operation::Clear], None, None).await.expect("cleared"));
    assert_eq!(told(open().await), first);
}

#[tokio::test]
async fn an_add_whose_cart_is_gone() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let id = cart(&app, &alice, vec![], None).await.expect("a cart");
    let send = || app.change_cart(&alice, id, vec![Operation::Add(add(1, 1))], None, Some(once("k", 0)));
    let first = told(send().await);
    fresh(app.delete_cart(&alice, id, None, None).await.expect("deleted"));
    assert_eq!(told(send().await), first);
}

#[tokio::test]
async fn starting_a_checkout_that_was_being_paid() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    buy(&app, &alice, "tok_timeout_before").await.expect("waits");
    let send = || app.start_checkout(&alice, StartCheckout { cart: None, details: details() }, Some(once("k", 0)));
    let first = told(send().await);
    world.settle(&app).await;
    assert_eq!(told(send().await), first);
}

#[tokio::test]
async fn a_payment_that_was_given_up_by_the_sweeper() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    let checkout = start(&app, &alice).await.expect("started").checkout;
    let pay = |token, key| app.process(&alice, process(checkout.id, token, checkout.quote.total), once(key, 0));
    assert!(matches!(pay("tok_timeout_before", "a").await, Ok(Answered::Fresh(Processed::Waiting(_)))), "nobody knows yet");
    for _ in 0..10 {
        world.clock.advance(std::time::Duration::from_secs(120));
        app.saga_step(app.now(), 10).await.expect("swept");
    }
    let first = told(pay("tok_timeout_before", "a").await);
    assert!(first.contains("payment_timeout"), "{first}");
    assert!(matches!(pay("tok_visa", "b").await, Ok(Answered::Fresh(Processed::Completed(_)))), "another means of payment");
    assert_eq!(told(pay("tok_timeout_before", "a").await), first);
}

#[tokio::test]
async fn a_payment_whose_order_went_on() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    let checkout = start(&app, &alice).await.expect("started").checkout;
    let pay = |key| app.process(&alice, process(checkout.id, "tok_visa", checkout.quote.total), once(key, 0));
    let Ok(Answered::Fresh(Processed::Completed(order))) = pay("a").await else { panic!("paid") };
    // A second tab, which finds it paid.
    let first = told(pay("b").await);
    fresh(app.change_order_status(&root(), order.id, Status::Processing, None, None).await.expect("moved along"));
    assert_eq!(told(pay("b").await), first);
}

#[tokio::test]
async fn a_canceled_order_whose_money_went_back() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let Processed::Completed(order) = buy(&app, &alice, "tok_visa").await.expect("paid") else { panic!("paid") };
    let cancel = || app.cancel_order(&alice, order.id, None, None, Some(once("cancel", 0)));
    let first = told(cancel().await);
    world.settle(&app).await;
    assert_eq!(told(cancel().await), first);
}

#[tokio::test]
async fn a_stock_move_after_a_sale() {
    let world = World::new().await;
    let app = world.app();
    let (root, book, edition) = (root(), BookId(1), EditionId(1));
    let send = || app.move_stock(&root, book, edition, StockInput::Delta(2), fixtures::text("found"), Some(once("stock", 0)));
    let first = told(send().await);
    buy(&app, &customer("alice"), "tok_visa").await.expect("paid");
    assert_eq!(told(send().await), first);
}
