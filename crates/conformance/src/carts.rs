//! The sentences of [`Carts`].

use crate::Subject;
use crate::fixtures::{
    START, add, answer, at, cart, cart_of, cart_writes, changed, customer, delete_cart, guest, mark, put_cart, race, save_cart, text,
};
use app::ports::{AtLeast, CartChange, Carts, Saved};
use domain::cart::{Cart, CartEvent, Command, Metadata};
use domain::ids::{CartId, CheckoutId, Version};
use domain::time::Timestamp;
use std::sync::Arc;

/// One test for each sentence of [`Carts`].
#[macro_export]
macro_rules! carts {
    ($how:ident, $make:expr) => {
        $crate::$how! { carts, $make,
            a_cart_is_as_last_saved
            a_cart_is_at_least_as_new_as_was_asked_for
            a_cart_that_has_expired_is_not_there_swept_or_not
            an_owner_has_the_one_cart_that_has_not_expired
            a_write_holds_only_while_the_stored_version_is_the_expected_one
            a_conflict_tells_what_is_stored_now
            of_two_writes_at_once_with_one_expected_version_exactly_one_is_done
            a_cart_put_with_expected_version_zero_must_not_be_there
            the_owner_of_a_new_cart_must_have_no_other_live_cart
            of_two_new_carts_of_one_owner_at_once_one_is_done_and_the_other_told
            an_expired_cart_of_the_owner_does_not_count
            an_expired_cart_with_the_same_id_is_replaced
            a_deleted_cart_is_not_there_and_its_owner_may_have_another
            an_expired_cart_can_be_deleted
            all_writes_become_true_or_none
            two_carts_change_together
            an_answer_whose_key_is_answered_gives_the_first_answer_and_changes_nothing
            an_answer_wins_over_a_conflict
            an_answer_is_remembered_with_the_change_it_came_with
            of_many_saves_at_once_with_one_key_exactly_one_is_done
            no_concurrent_add_is_lost
            expired_carts_come_the_longest_expired_first
        }
    };
    ($make:expr) => {
        $crate::carts!(tests, $make);
    };
}

async fn save(carts: &dyn Carts, change: CartChange, now: Timestamp) -> Saved {
    carts.save(change, now).await.expect("a store that works")
}

async fn put(carts: &dyn Carts, cart: &Cart, expected: u64, now: Timestamp) {
    let saved = save(carts, cart_writes([put_cart(cart, expected)]), now).await;
    assert!(matches!(saved, Saved::Done), "{saved:?}");
}

async fn stored(carts: &dyn Carts, n: u128, now: Timestamp) -> Option<Cart> {
    carts.load(CartId(n), AtLeast::Now, now).await.expect("a store that works").map(|cart| (*cart).clone())
}

/// What a save came to, in a form that can be compared.
#[derive(Debug, PartialEq)]
enum Outcome {
    Done,
    Conflict(CartId, Option<Version>),
    OwnerHas(CartId),
    Answered(String),
}

fn outcome(saved: Saved) -> Outcome {
    match saved {
        Saved::Done => Outcome::Done,
        Saved::Conflict { id, current } => Outcome::Conflict(id, current.map(|c| c.version)),
        Saved::OwnerHas(id) => Outcome::OwnerHas(id),
        Saved::Answered(answer) => Outcome::Answered(String::from_utf8_lossy(&answer.body).into_owned()),
    }
}

/// Every field of it is set.
fn rich_cart() -> Cart {
    let source = Box::new(cart(2));
    let commands = [
        add(3, 999),
        Command::Merge { source, strategy: domain::cart::Strategy::Sum },
        Command::Coupons(vec![crate::fixtures::code("TEN"), crate::fixtures::code("WELCOME-5")]),
        Command::Note(Some(text("Gift wrap, please — \"quoted\" 📚"))),
        Command::Metadata(Metadata::from([(text("channel"), text("web")), (text("a"), text("b"))])),
        Command::Hold { checkout: CheckoutId(9) },
    ];
    let mut cart = changed(&cart(1), &commands, at(1)).cart;
    cart.settled = Some(CheckoutId(8));
    cart.remember(mark(1));
    cart.remember(mark(2));
    cart
}

pub async fn a_cart_is_as_last_saved(on: &Subject) {
    let carts = &*on.carts;
    assert_eq!(stored(carts, 1, START).await, None);
    put(carts, &cart(1), 0, START).await;
    assert_eq!(stored(carts, 1, START).await, Some(cart(1)));
    let rich = rich_cart();
    put(carts, &rich, 2, at(1)).await;
    assert_eq!(stored(carts, 1, at(1)).await.as_ref(), Some(&rich));
    let bare = changed(&rich, &[Command::Clear, Command::Note(None), Command::LetGo { checkout: CheckoutId(9) }], at(2)).cart;
    put(carts, &bare, rich.version.0, at(2)).await;
    assert_eq!(stored(carts, 1, at(2)).await, Some(bare));
    let kept = cart_of(3, customer("auth0|Ada"), START).cart;
    put(carts, &kept, 0, START).await;
    assert_eq!(stored(carts, kept.id.0, START).await, Some(kept));
}

pub async fn a_cart_is_at_least_as_new_as_was_asked_for(on: &Subject) {
    let carts = &*on.carts;
    put(carts, &cart(1), 0, START).await;
    let mut last = cart(1);
    for n in 1..=20 {
        let next = changed(&last, &[add(1, 1)], START).cart;
        put(carts, &next, last.version.0, START).await;
        for fresh in [AtLeast::Copy, AtLeast::Seen(last.version), AtLeast::Seen(next.version), AtLeast::Now] {
            let loaded = carts.load(next.id, fresh, START).await.expect("a store that works");
            assert_eq!(loaded.as_deref(), Some(&next), "{n}: {fresh:?}");
        }
        last = next;
    }
    let gone = save(carts, cart_writes([delete_cart(1, last.version.0)]), START).await;
    assert!(matches!(gone, Saved::Done), "{gone:?}");
    for fresh in [AtLeast::Copy, AtLeast::Seen(last.version), AtLeast::Now] {
        assert_eq!(carts.load(last.id, fresh, START).await.expect("a store that works"), None, "{fresh:?}");
    }
}

pub async fn a_cart_that_has_expired_is_not_there_swept_or_not(on: &Subject) {
    put(&*on.carts, &cart(1), 0, START).await;
    for (now, there) in [(at(99), true), (Timestamp(at(100).0 - 1), true), (at(100), false), (at(1000), false)] {
        assert_eq!(stored(&*on.carts, 1, now).await.is_some(), there, "{now:?}");
        let owned = on.carts.of_owner(&guest(1), now).await.expect("a store that works");
        assert_eq!(owned.is_some(), there, "{now:?}");
    }
}

pub async fn an_owner_has_the_one_cart_that_has_not_expired(on: &Subject) {
    let owners = [guest(1), customer("alice"), customer("bob")];
    let carts: Vec<_> = owners.into_iter().map(|owner| cart_of(1, owner, START).cart).collect();
    for cart in &carts {
        put(&*on.carts, cart, 0, START).await;
    }
    for cart in &carts {
        assert_eq!(on.carts.of_owner(&cart.owner, at(1)).await.expect("a store that works"), Some(cart.id));
    }
    assert_eq!(on.carts.of_owner(&guest(2), at(1)).await.expect("a store that works"), None);
}

pub async fn a_write_holds_only_while_the_stored_version_is_the_expected_one(on: &Subject) {
    let carts = &*on.carts;
    put(carts, &cart(1), 0, START).await;
    let next = changed(&cart(1), &[add(2, 1)], at(1)).cart;
    for (write, outcome_expected) in [
        (put_cart(&next, 0), Outcome::Conflict(CartId(1), Some(Version(2)))),
        (put_cart(&next, 1), Outcome::Conflict(CartId(1), Some(Version(2)))),
        (put_cart(&next, 3), Outcome::Conflict(CartId(1), Some(Version(2)))),
        (delete_cart(1, 1), Outcome::Conflict(CartId(1), Some(Version(2)))),
        (delete_cart(7, 1), Outcome::Conflict(CartId(7), None)),
        (put_cart(&Cart { id: CartId(257), ..next.clone() }, 2), Outcome::Conflict(CartId(257), None)),
        (put_cart(&next, 2), Outcome::Done),
        (put_cart(&next, 2), Outcome::Conflict(CartId(1), Some(Version(3)))),
        (delete_cart(1, 3), Outcome::Done),
        (delete_cart(1, 3), Outcome::Conflict(CartId(1), None)),
    ] {
        let saved = save(carts, cart_writes([write.clone()]), at(1)).await;
        assert_eq!(outcome(saved), outcome_expected, "{write:?}");
    }
}

pub async fn a_conflict_tells_what_is_stored_now(on: &Subject) {
    let rich = rich_cart();
    put(&*on.carts, &rich, 0, START).await;
    match save(&*on.carts, cart_writes([put_cart(&cart(1), 1)]), at(1)).await {
        Saved::Conflict { id, current } => assert_eq!((id, current.as_deref()), (CartId(1), Some(&rich))),
        other => panic!("{other:?}"),
    }
}

pub async fn of_two_writes_at_once_with_one_expected_version_exactly_one_is_done(on: &Subject) {
    for round in 1..=10 {
        put(&*on.carts, &cart(round), 0, START).await;
        let outcomes = race(2, |racer| {
            let carts = Arc::clone(&on.carts);
            let next = changed(&cart(round), &[add(100 + u128::from(racer), 1)], at(1)).cart;
            async move { outcome(save(&*carts, cart_writes([put_cart(&next, 2)]), at(1)).await) }
        })
        .await;
        assert!(outcomes.contains(&Outcome::Done), "{outcomes:?}");
        assert!(outcomes.contains(&Outcome::Conflict(CartId(round), Some(Version(3)))), "{outcomes:?}");
    }
}

pub async fn a_cart_put_with_expected_version_zero_must_not_be_there(on: &Subject) {
    put(&*on.carts, &cart(1), 0, START).await;
    let other = cart_of(1, guest(257), START).cart;
    let saved = save(&*on.carts, cart_writes([put_cart(&other, 0)]), at(99)).await;
    assert_eq!(outcome(saved), Outcome::Conflict(CartId(1), Some(Version(2))));
    assert_eq!(stored(&*on.carts, 1, START).await, Some(cart(1)));
}

pub async fn the_owner_of_a_new_cart_must_have_no_other_live_cart(on: &Subject) {
    put(&*on.carts, &cart(1), 0, START).await;
    let second = cart_of(257, guest(1), at(99)).cart;
    let saved = save(&*on.carts, cart_writes([put_cart(&second, 0)]), at(99)).await;
    assert_eq!(outcome(saved), Outcome::OwnerHas(CartId(1)));
    assert_eq!(stored(&*on.carts, 257, at(99)).await, None);
}

pub async fn of_two_new_carts_of_one_owner_at_once_one_is_done_and_the_other_told(on: &Subject) {
    for round in 1..=10 {
        let outcomes = race(2, |racer| {
            let carts = Arc::clone(&on.carts);
            let new = cart_of(round + 256 * u128::from(racer), guest(round), START).cart;
            async move { (outcome(save(&*carts, cart_writes([put_cart(&new, 0)]), START).await), new.id) }
        })
        .await;
        let winner = outcomes.iter().find(|(o, _)| *o == Outcome::Done).map(|(_, id)| *id).expect("a winner");
        assert!(outcomes.iter().any(|(o, _)| *o == Outcome::OwnerHas(winner)), "{outcomes:?}");
        assert_eq!(on.carts.of_owner(&guest(round), START).await.expect("a store that works"), Some(winner));
    }
}

pub async fn an_expired_cart_of_the_owner_does_not_count(on: &Subject) {
    put(&*on.carts, &cart(1), 0, START).await;
    let second = cart_of(257, guest(1), at(100)).cart;
    put(&*on.carts, &second, 0, at(100)).await;
    assert_eq!(on.carts.of_owner(&guest(1), at(100)).await.expect("a store that works"), Some(CartId(257)));
    put_away_the_expired(on, at(100)).await;
    assert_eq!(on.carts.of_owner(&guest(1), at(100)).await.expect("a store that works"), Some(CartId(257)));
}

async fn put_away_the_expired(on: &Subject, now: Timestamp) {
    for cart in on.carts.expired(now, 10).await.expect("a store that works") {
        let saved = save(&*on.carts, cart_writes([delete_cart(cart.id.0, cart.version.0)]), now).await;
        assert_eq!(outcome(saved), Outcome::Done);
    }
}

pub async fn an_expired_cart_with_the_same_id_is_replaced(on: &Subject) {
    put(&*on.carts, &rich_cart(), 0, START).await;
    let again = cart_of(1, guest(257), at(101)).cart;
    put(&*on.carts, &again, 0, at(101)).await;
    assert_eq!(stored(&*on.carts, 1, at(101)).await, Some(again));
    assert_eq!(on.carts.of_owner(&guest(257), at(101)).await.expect("a store that works"), Some(CartId(1)));
    assert_eq!(on.carts.of_owner(&guest(1), at(1)).await.expect("a store that works"), None);
}

pub async fn a_deleted_cart_is_not_there_and_its_owner_may_have_another(on: &Subject) {
    put(&*on.carts, &cart(1), 0, START).await;
    assert_eq!(outcome(save(&*on.carts, cart_writes([delete_cart(1, 2)]), at(1)).await), Outcome::Done);
    assert_eq!(stored(&*on.carts, 1, at(1)).await, None);
    assert_eq!(on.carts.of_owner(&guest(1), at(1)).await.expect("a store that works"), None);
    put(&*on.carts, &cart_of(257, guest(1), at(1)).cart, 0, at(1)).await;
    assert_eq!(on.carts.of_owner(&guest(1), at(1)).await.expect("a store that works"), Some(CartId(257)));
}

pub async fn an_expired_cart_can_be_deleted(on: &Subject) {
    put(&*on.carts, &cart(1), 0, START).await;
    let gone = CartChange { outbox: vec![cart(1).end(CartEvent::Expired, at(200))], ..cart_writes([delete_cart(1, 2)]) };
    assert_eq!(outcome(save(&*on.carts, gone, at(200)).await), Outcome::Done);
    assert_eq!(on.carts.expired(at(200), 10).await.expect("a store that works").len(), 0);
}

pub async fn all_writes_become_true_or_none(on: &Subject) {
    put(&*on.carts, &cart(1), 0, START).await;
    put(&*on.carts, &cart(2), 0, START).await;
    let next = changed(&cart(1), &[add(5, 1)], at(1));
    let half = CartChange {
        writes: vec![put_cart(&next.cart, 2), put_cart(&cart(3), 0), delete_cart(2, 9)],
        outbox: next.events,
        answers: vec![answer(1, "never", at(1))],
    };
    assert_eq!(outcome(save(&*on.carts, half, at(1)).await), Outcome::Conflict(CartId(2), Some(Version(2))));
    assert_eq!(stored(&*on.carts, 1, at(1)).await, Some(cart(1)));
    assert_eq!(stored(&*on.carts, 2, at(1)).await, Some(cart(2)));
    assert_eq!(stored(&*on.carts, 3, at(1)).await, None);
    assert_eq!(on.carts.of_owner(&guest(3), at(1)).await.expect("a store that works"), None);
    assert_eq!(on.carts.answer(mark(1).key).await.expect("a store that works"), None);
    assert_eq!(on.outbox.pending(10).await.expect("a store that works"), vec![]);
}

pub async fn two_carts_change_together(on: &Subject) {
    let target = cart_of(1, customer("alice"), START).cart;
    put(&*on.carts, &target, 0, START).await;
    put(&*on.carts, &cart(2), 0, START).await;
    let merge = Command::Merge { source: Box::new(cart(2)), strategy: domain::cart::Strategy::Sum };
    let merged = changed(&target, &[merge], at(1));
    let change = CartChange { outbox: merged.events, ..cart_writes([put_cart(&merged.cart, 2), delete_cart(2, 2)]) };
    assert_eq!(outcome(save(&*on.carts, change, at(1)).await), Outcome::Done);
    assert_eq!(stored(&*on.carts, target.id.0, at(1)).await, Some(merged.cart));
    assert_eq!(stored(&*on.carts, 2, at(1)).await, None);
}

pub async fn an_answer_whose_key_is_answered_gives_the_first_answer_and_changes_nothing(on: &Subject) {
    let first = CartChange { answers: vec![answer(1, "first", START)], ..save_cart(&cart_of(1, guest(1), START), 0) };
    assert_eq!(outcome(save(&*on.carts, first, START).await), Outcome::Done);
    let second = CartChange {
        answers: vec![answer(2, "other", at(1)), answer(1, "second", at(1))],
        ..save_cart(&cart_of(257, guest(257), at(1)), 0)
    };
    match save(&*on.carts, second, at(1)).await {
        Saved::Answered(got) => assert_eq!(got, answer(1, "first", START)),
        other => panic!("{other:?}"),
    }
    assert_eq!(stored(&*on.carts, 257, at(1)).await, None);
    assert_eq!(on.carts.answer(mark(2).key).await.expect("a store that works"), None);
    assert_eq!(on.outbox.pending(10).await.expect("a store that works").len(), 2);
}

pub async fn an_answer_wins_over_a_conflict(on: &Subject) {
    let change = CartChange { answers: vec![answer(1, "first", START)], ..save_cart(&cart_of(1, guest(1), START), 0) };
    assert_eq!(outcome(save(&*on.carts, change.clone(), START).await), Outcome::Done);
    assert_eq!(outcome(save(&*on.carts, change, START).await), Outcome::Answered("first".to_owned()));
}

pub async fn an_answer_is_remembered_with_the_change_it_came_with(on: &Subject) {
    assert_eq!(on.carts.answer(mark(1).key).await.expect("a store that works"), None);
    let answers = vec![answer(1, "{\"one\": 1}", START), answer(2, "", at(1))];
    let change = CartChange { answers: answers.clone(), ..cart_writes([put_cart(&cart(1), 0)]) };
    assert_eq!(outcome(save(&*on.carts, change, START).await), Outcome::Done);
    for answer in answers {
        assert_eq!(on.carts.answer(answer.mark.key).await.expect("a store that works"), Some(answer));
    }
}

pub async fn of_many_saves_at_once_with_one_key_exactly_one_is_done(on: &Subject) {
    let outcomes = race(10, |racer| {
        let carts = Arc::clone(&on.carts);
        let n = 1 + 256 * u128::from(racer);
        let change = CartChange { answers: vec![answer(1, &format!("racer {racer}"), START)], ..cart_writes([put_cart(&cart(n), 0)]) };
        async move { outcome(save(&*carts, change, START).await) }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|o| **o == Outcome::Done).count(), 1, "{outcomes:?}");
    let first = on.carts.answer(mark(1).key).await.expect("a store that works").expect("an answer");
    let first = Outcome::Answered(String::from_utf8_lossy(&first.body).into_owned());
    assert_eq!(outcomes.iter().filter(|o| **o == first).count(), 9, "{outcomes:?}");
}

pub async fn no_concurrent_add_is_lost(on: &Subject) {
    put(&*on.carts, &cart(1), 0, START).await;
    race(8, |_| {
        let carts = Arc::clone(&on.carts);
        async move {
            for _ in 0..5 {
                add_until_done(&*carts).await;
            }
        }
    })
    .await;
    let cart = stored(&*on.carts, 1, at(1)).await.expect("the cart");
    assert_eq!((cart.items[0].quantity.get(), cart.version), (41, Version(42)));
}

async fn add_until_done(carts: &dyn Carts) {
    let mut current = stored(carts, 1, at(1)).await.expect("the cart");
    loop {
        let next = changed(&current, &[add(1, 1)], at(1));
        match save(carts, save_cart(&next, current.version.0), at(1)).await {
            Saved::Done => return,
            Saved::Conflict { current: Some(newer), .. } => current = (*newer).clone(),
            other => panic!("{other:?}"),
        }
    }
}

pub async fn expired_carts_come_the_longest_expired_first(on: &Subject) {
    for (n, created) in [(1, 20), (2, 0), (3, 10), (4, 50)] {
        put(&*on.carts, &cart_of(n, guest(n), at(created)).cart, 0, at(created)).await;
    }
    for (now, limit, expired) in [
        (at(99), 10, vec![]),
        (at(100), 10, vec![2]),
        (at(120), 10, vec![2, 3, 1]),
        (at(120), 2, vec![2, 3]),
        (at(1000), 10, vec![2, 3, 1, 4]),
    ] {
        let got = on.carts.expired(now, limit).await.expect("a store that works");
        assert_eq!(got.iter().map(|c| c.id.0).collect::<Vec<_>>(), expired, "{now:?}, at most {limit}");
    }
    let oldest = on.carts.expired(at(100), 1).await.expect("a store that works");
    assert_eq!(oldest.first().map(|c| (**c).clone()), Some(cart(2)));
}
