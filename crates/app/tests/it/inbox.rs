//! Messages of other systems have one effect each, however often and in whatever order they come.

use crate::world::{World, add, cart, customer, fresh};
use app::{App, Bought, Incoming, Named, OpenCart, Operation, TakenIn, Wish};
use conformance::fixtures;
use domain::ids::{CustomerId, EditionId, ItemId, Version};
use domain::quantity::Quantity;
use domain::refusal::Refusal;

fn message(id: &str, sequence: Option<u64>, wish: Wish) -> Incoming {
    let customer = CustomerId::parse("alice").expect("an id");
    Incoming { sender: fixtures::text("urn:another"), id: fixtures::text(id), sequence, customer, wish }
}

fn create() -> Wish {
    Wish::Create(OpenCart { currency: None, items: vec![add(1, 1)], coupons: vec![] })
}

fn update(operations: Vec<Operation>) -> Wish {
    Wish::Update { operations, if_match: None }
}

fn plus(book: u128, n: i64) -> Wish {
    update(vec![Operation::Add(add(book, n))])
}

fn set(book: u128, n: i64) -> Wish {
    update(vec![Operation::Set { item: ItemId(book), quantity: Quantity::new(n).ok() }])
}

const DELETE: Wish = Wish::Delete { if_match: None };

fn bought(what: Named, n: i64) -> Wish {
    Wish::GiveUp(vec![Bought { what, quantity: Quantity::new(n).expect("a quantity") }])
}

async fn take(app: &App, message: &Incoming) -> TakenIn {
    app.take_in(message, true).await.expect("ports that work")
}

/// Editions and quantities in Alice's cart, if she has one.
async fn items(app: &App) -> Option<Vec<(u128, u32)>> {
    let cart = app.my_unpriced_cart(&customer("alice"), None).await.ok()?;
    Some(cart.items.iter().map(|i| (i.edition.0, i.quantity.get())).collect())
}

#[tokio::test]
async fn each_wish_comes_true_once() {
    let update_at = |version| Wish::Update { operations: vec![Operation::Clear], if_match: Some(Version(version)) };
    for (before, wish, expected, after) in [
        (None, create(), TakenIn::Done, Some(vec![(1, 1)])),
        (Some(add(2, 2)), create(), TakenIn::Done, Some(vec![(2, 2)])),
        (Some(add(2, 2)), plus(1, 1), TakenIn::Done, Some(vec![(2, 2), (1, 1)])),
        (Some(add(2, 2)), set(2, 1), TakenIn::Done, Some(vec![(2, 1)])),
        (Some(add(2, 2)), set(2, 0), TakenIn::Done, Some(vec![])),
        (Some(add(2, 2)), set(1, 1), TakenIn::Refused(Refusal::ItemNotFound), Some(vec![(2, 2)])),
        (Some(add(2, 2)), update_at(2), TakenIn::Done, Some(vec![])),
        (Some(add(2, 2)), update_at(1), TakenIn::Refused(Refusal::VersionMismatch { current: Version(2) }), Some(vec![(2, 2)])),
        (None, plus(1, 1), TakenIn::Refused(Refusal::CartNotFound), None),
        (Some(add(2, 2)), DELETE, TakenIn::Done, None),
        (None, DELETE, TakenIn::Done, None),
        (Some(add(2, 2)), bought(Named::Edition(EditionId(2)), 1), TakenIn::Done, Some(vec![(2, 1)])),
        (Some(add(2, 2)), bought(Named::Sku(fixtures::sku(2)), 3), TakenIn::Done, Some(vec![])),
        (Some(add(2, 2)), bought(Named::Edition(EditionId(77)), 1), TakenIn::Done, Some(vec![(2, 2)])),
        (None, bought(Named::Edition(EditionId(2)), 1), TakenIn::Done, None),
    ] {
        let world = World::new().await;
        let app = world.app();
        if let Some(item) = before.clone() {
            cart(&app, &customer("alice"), vec![item], None).await.expect("a cart");
        }
        for sequence in [None, Some(1)] {
            let message = message("m1", sequence, wish.clone());
            if sequence.is_none() {
                assert_eq!(take(&app, &message).await, expected, "{before:?} {wish:?}");
                if expected == TakenIn::Done {
                    assert_eq!(take(&app, &message).await, TakenIn::Repeat, "{before:?} {wish:?}");
                }
            } else if matches!(expected, TakenIn::Refused(_)) {
                assert_eq!(take(&app, &message).await, expected, "{before:?} {wish:?}");
                assert_eq!(take(&app, &message).await, TakenIn::Repeat, "{before:?} {wish:?}");
            }
            assert_eq!(items(&app).await, after, "{before:?} {wish:?}");
        }
    }
}

#[tokio::test]
async fn what_was_added_after_the_purchase_stays() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let id = cart(&app, &alice, vec![add(1, 2), add(2, 1)], None).await.expect("a cart");
    fresh(app.change_cart(&alice, id, vec![Operation::Add(add(1, 1)), Operation::Add(add(3, 1))], None, None).await.expect("added"));
    let line = |n, copies| Bought { what: Named::Edition(EditionId(n)), quantity: fixtures::copies(copies) };
    let message = message("order-7", None, Wish::GiveUp(vec![line(1, 2), line(2, 1)]));
    for expected in [TakenIn::Done, TakenIn::Repeat] {
        assert_eq!(take(&app, &message).await, expected);
        assert_eq!(items(&app).await, Some(vec![(1, 1), (3, 1)]));
    }
}

#[tokio::test]
async fn a_late_message_does_not_undo_what_came_after_it() {
    for (late, later, after) in [
        (plus(1, 1), DELETE, None),
        (set(2, 9), set(2, 3), Some(vec![(2, 3)])),
        (update(vec![Operation::Clear]), plus(1, 1), Some(vec![(2, 2), (1, 1)])),
        (DELETE, create(), Some(vec![(2, 2)])),
        (create(), DELETE, None),
    ] {
        let world = World::new().await;
        let app = world.app();
        cart(&app, &customer("alice"), vec![add(2, 2)], None).await.expect("a cart");
        let (late, later) = (message("a", Some(1), late), message("b", Some(2), later));
        assert_eq!(take(&app, &later).await, TakenIn::TooEarly, "{later:?}");
        assert_eq!(items(&app).await, Some(vec![(2, 2)]), "{later:?}");
        assert_eq!(app.take_in(&later, false).await.expect("ports that work"), TakenIn::Done, "{later:?}");
        for _ in 0..2 {
            assert_eq!(take(&app, &late).await, TakenIn::TooLate, "{late:?} {:?}", late.wish);
            assert_eq!(items(&app).await, after, "{:?} after {:?}", late.wish, later.wish);
        }
    }
}

#[tokio::test]
async fn a_refused_message_does_not_keep_those_after_it_waiting() {
    let world = World::new().await;
    let app = world.app();
    let refused = TakenIn::Refused(Refusal::CartNotFound);
    assert_eq!(take(&app, &message("a", Some(1), plus(1, 1))).await, refused);
    assert_eq!(take(&app, &message("b", Some(2), create())).await, TakenIn::Done);
    // Without a number it may come true when it is sent again.
    assert_eq!(take(&app, &message("c", None, set(2, 1))).await, TakenIn::Refused(Refusal::ItemNotFound));
    assert_eq!(take(&app, &message("d", None, plus(2, 5))).await, TakenIn::Done);
    assert_eq!(take(&app, &message("c", None, set(2, 1))).await, TakenIn::Done);
}

/// Every order of five messages, each of which comes twice: what is too early comes again, as a broker would bring it.
#[tokio::test]
async fn in_every_order_the_cart_ends_as_if_each_had_come_once_in_its_turn() {
    let wishes = [create(), plus(2, 3), set(2, 1), DELETE, create()];
    let mut orders = vec![vec![]];
    for n in 0..wishes.len() {
        orders = orders.into_iter().flat_map(|o: Vec<usize>| (0..=o.len()).map(move |at| [&o[..at], &[n], &o[at..]].concat())).collect();
    }
    assert_eq!(orders.len(), 120);
    let world = World::new().await;
    let app = world.app();
    for (n, order) in orders.iter().enumerate() {
        let customer = CustomerId::parse(&format!("c{n}")).expect("an id");
        let mut queue: std::collections::VecDeque<usize> = order.iter().chain(order).copied().collect();
        while let Some(at) = queue.pop_front() {
            let sequence = Some(at as u64 + 1);
            let message = Incoming { customer: customer.clone(), ..message(&format!("m{at}"), sequence, wishes[at].clone()) };
            match take(&app, &message).await {
                TakenIn::TooEarly => queue.push_back(at),
                TakenIn::Done | TakenIn::Repeat => {}
                other => panic!("{order:?}: {other:?}"),
            }
        }
        let cart = app.my_unpriced_cart(&app::Caller::Customer(customer, Default::default()), None).await.expect("a cart");
        assert_eq!(cart.lines(), [domain::pricing::Line { edition: EditionId(1), quantity: Quantity::ONE }], "{order:?}");
    }
    while app.outbox_step(app.now(), 500).await.expect("published") > 0 {}
    let added = world.bus.published().iter().filter(|e| e.event.name() == "cart.item_added").count();
    assert_eq!(added, 3 * orders.len(), "nothing was added twice on the way");
}
