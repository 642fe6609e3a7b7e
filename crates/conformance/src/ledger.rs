//! The sentences of [`Ledger`].

use crate::Subject;
use crate::fixtures::{
    START, answer, append, at, attempt, checkout, checkout_of, code, commit_checkout, count, customer, give_back, guest, mark, move_stock,
    moved, next, paying, placed, placed_by, race, trace, use_by, use_coupon, uses_of,
};
use app::ports::{Change, Committed, Ledger, OrderFilter, OrderPlace, Overdue, UseChange, UseMove};
use domain::cart::Owner;
use domain::checkout::{AfterUndo, Checkout, CheckoutEvent, PaymentError, State};
use domain::event::{Event, Outgoing};
use domain::ids::{CartId, CheckoutId, EditionId, OrderId, PromotionId, Version};
use domain::order::{Actor, Appended, Number, Order, OrderEvent, PaymentStatus, Status};
use domain::pricing::{Counter, Usage, Who};
use domain::stock::{StockChange, StockLevel};
use domain::time::Timestamp;
use std::sync::Arc;

/// One test for each sentence of [`Ledger`].
#[macro_export]
macro_rules! ledger {
    ($make:expr) => {
        $crate::tests! { ledger, $make,
            a_checkout_is_as_last_committed_in_every_state
            a_checkout_holds_only_while_its_stored_version_is_the_expected_one
            of_two_commits_at_once_of_one_checkout_exactly_one_is_done
            a_cart_has_at_most_one_live_checkout
            of_two_checkouts_started_at_once_for_one_cart_one_is_done_and_the_other_told
            the_checkout_of_a_cart_holds_it_or_is_not_settled
            the_checkout_of_an_owner_is_the_newest
            due_checkouts_come_the_longest_waiting_first
            an_order_is_what_its_events_say
            order_events_hold_only_while_the_stored_version_is_the_one_before_them
            a_checkout_has_at_most_one_order_that_did_not_fail
            no_two_orders_have_one_number
            of_two_appends_at_once_to_one_order_exactly_one_is_done
            orders_come_newest_first
            every_field_of_a_filter_narrows
            a_page_goes_on_after_the_last_order_of_the_page_before
            due_orders_are_those_whose_money_is_moving_and_whose_alarm_has_rung
            what_is_overdue_is_counted_and_dated
            a_notice_is_remembered_once_and_for_a_while
            a_level_is_zero_when_nothing_ever_moved
            a_stock_move_the_level_refuses_is_short_and_changes_nothing
            every_edition_that_is_short_is_told
            moves_of_one_change_add_up
            a_stock_move_is_applied_once_per_cause_and_edition
            of_fifty_reservations_at_once_on_ten_copies_exactly_ten_hold
            every_applied_stock_move_leaves_an_event_whose_sequence_counts_moves
            the_event_of_a_stock_move_is_in_the_trace_of_the_changes_other_events
            a_use_holds_only_while_the_count_stays_within_its_limit
            every_kind_of_counter_counts_for_itself
            a_use_is_applied_once_per_cause_and_counter
            of_twenty_uses_at_once_with_a_limit_of_five_exactly_five_hold
            all_lines_of_a_change_become_true_together
            none_of_a_change_becomes_true_when_one_line_does_not_hold
            an_answer_whose_key_is_answered_gives_the_first_answer_and_changes_nothing
            an_answer_wins_over_every_other_outcome
            of_many_commits_at_once_with_one_key_exactly_one_is_done
            answers_given_before_an_instant_are_forgotten
        }
    };
}

/// What a commit came to, in a form that can be compared.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Done,
    Answered(String),
    CheckoutConflict,
    CartTaken(u128),
    OrderConflict,
    NumberTaken,
    /// Edition, wanted, available.
    StockShort(Vec<(u128, u32, u32)>),
    UsedUp(Counter),
}

async fn commit(ledger: &dyn Ledger, change: Change) -> Outcome {
    match ledger.commit(change, START).await.expect("a store that works") {
        Committed::Done => Outcome::Done,
        Committed::Answered(answer) => Outcome::Answered(String::from_utf8_lossy(&answer.body).into_owned()),
        Committed::CheckoutConflict => Outcome::CheckoutConflict,
        Committed::CartTaken(id) => Outcome::CartTaken(id.0),
        Committed::OrderConflict => Outcome::OrderConflict,
        Committed::NumberTaken => Outcome::NumberTaken,
        Committed::StockShort(short) => Outcome::StockShort(short.iter().map(|s| (s.edition.0, s.wanted, s.available)).collect()),
        Committed::UsedUp(counter) => Outcome::UsedUp(counter),
    }
}

async fn done(ledger: &dyn Ledger, change: Change) {
    let note = format!("{change:?}");
    assert_eq!(commit(ledger, change).await, Outcome::Done, "{note}");
}

async fn receive(ledger: &dyn Ledger, edition: u128, copies: i32) {
    done(ledger, move_stock([moved(edition, StockChange::Receive(copies), "delivery")])).await;
}

/// On hand, reserved, moves.
async fn level(ledger: &dyn Ledger, edition: u128) -> (u32, u32, u64) {
    let StockLevel { on_hand, reserved, moves } = ledger.stock(EditionId(edition)).await.expect("a store that works");
    (on_hand, reserved, moves)
}

async fn uses(ledger: &dyn Ledger, text: &str) -> u64 {
    let counter = uses_of(text);
    ledger.usage(std::slice::from_ref(&counter)).await.expect("a store that works").of(&counter)
}

async fn stored_checkout(ledger: &dyn Ledger, n: u128) -> Option<Checkout> {
    ledger.checkout(CheckoutId(n)).await.expect("a store that works")
}

async fn stored_order(ledger: &dyn Ledger, n: u128) -> Option<Order> {
    ledger.order(OrderId(n)).await.expect("a store that works")
}

pub async fn a_checkout_is_as_last_committed_in_every_state(on: &Subject) {
    assert_eq!(stored_checkout(&*on.ledger, 1).await, None);
    let error = PaymentError { code: "card_declined".into(), detail: "The card was declined.".into() };
    let mut current = checkout(1);
    done(&*on.ledger, commit_checkout(&current, 0)).await;
    assert_eq!(stored_checkout(&*on.ledger, 1).await.as_ref(), Some(&current));
    current.attempt = Some(attempt(1, &current));
    current.last_error = Some(error);
    for state in [
        State::Authorizing,
        State::Challenged,
        State::Undoing { then: AfterUndo::Open },
        State::Open,
        State::Authorizing,
        State::Capturing,
        State::Undoing { then: AfterUndo::Canceled },
        State::Canceled { settled: false },
        State::Canceled { settled: true },
        State::Expired { settled: false },
        State::Expired { settled: true },
        State::Completed { settled: false },
        State::Completed { settled: true },
    ] {
        let expected = current.version.0;
        current = next(&current, state, at(5));
        current.announce(CheckoutEvent::Canceled, START);
        done(&*on.ledger, commit_checkout(&current, expected)).await;
        assert_eq!(stored_checkout(&*on.ledger, 1).await.as_ref(), Some(&current), "{state:?}");
    }
}

pub async fn a_checkout_holds_only_while_its_stored_version_is_the_expected_one(on: &Subject) {
    let later = next(&checkout(1), State::Authorizing, at(5));
    for (checkout, expected, outcome) in [
        (&checkout(1), 1, Outcome::CheckoutConflict),
        (&checkout(1), 0, Outcome::Done),
        (&checkout(1), 0, Outcome::CheckoutConflict),
        (&later, 0, Outcome::CheckoutConflict),
        (&later, 2, Outcome::CheckoutConflict),
        (&later, 1, Outcome::Done),
        (&later, 1, Outcome::CheckoutConflict),
    ] {
        assert_eq!(commit(&*on.ledger, commit_checkout(checkout, expected)).await, outcome, "{:?} on {expected}", checkout.version);
    }
    assert_eq!(stored_checkout(&*on.ledger, 1).await, Some(later));
}

pub async fn of_two_commits_at_once_of_one_checkout_exactly_one_is_done(on: &Subject) {
    for round in 1..=10 {
        done(&*on.ledger, commit_checkout(&checkout(round), 0)).await;
        let outcomes = race(2, |racer| {
            let ledger = Arc::clone(&on.ledger);
            let next = next(&checkout(round), State::Authorizing, at(i64::from(racer)));
            async move { commit(&*ledger, commit_checkout(&next, 1)).await }
        })
        .await;
        assert!(outcomes.contains(&Outcome::Done) && outcomes.contains(&Outcome::CheckoutConflict), "{outcomes:?}");
    }
}

/// Checkout `n` of cart 1.
fn of_cart_one(n: u128, state: State) -> Checkout {
    Checkout { id: CheckoutId(n), cart: CartId(1), state, ..checkout(1) }
}

pub async fn a_cart_has_at_most_one_live_checkout(on: &Subject) {
    let first = of_cart_one(1, State::Open);
    done(&*on.ledger, commit_checkout(&first, 0)).await;
    for state in [State::Open, State::Authorizing, State::Challenged, State::Capturing, State::Undoing { then: AfterUndo::Open }] {
        assert_eq!(commit(&*on.ledger, commit_checkout(&of_cart_one(2, state), 0)).await, Outcome::CartTaken(1), "{state:?}");
    }
    done(&*on.ledger, commit_checkout(&of_cart_one(3, State::Expired { settled: true }), 0)).await;
    done(&*on.ledger, commit_checkout(&checkout(4), 0)).await;
    let later = next(&first, State::Authorizing, at(5));
    done(&*on.ledger, commit_checkout(&later, 1)).await;
    done(&*on.ledger, commit_checkout(&next(&later, State::Completed { settled: false }, at(5)), 2)).await;
    done(&*on.ledger, commit_checkout(&of_cart_one(2, State::Open), 0)).await;
    assert_eq!(stored_checkout(&*on.ledger, 2).await, Some(of_cart_one(2, State::Open)));
}

pub async fn of_two_checkouts_started_at_once_for_one_cart_one_is_done_and_the_other_told(on: &Subject) {
    for round in 1..=10_u128 {
        let outcomes = race(2, |racer| {
            let ledger = Arc::clone(&on.ledger);
            let new = Checkout { id: CheckoutId(round * 10 + u128::from(racer)), ..checkout(round) };
            async move { (commit(&*ledger, commit_checkout(&new, 0)).await, new.id.0) }
        })
        .await;
        let winner = outcomes.iter().find(|(o, _)| *o == Outcome::Done).map(|(_, id)| *id).expect("a winner");
        assert!(outcomes.iter().any(|(o, _)| *o == Outcome::CartTaken(winner)), "{outcomes:?}");
    }
}

pub async fn the_checkout_of_a_cart_holds_it_or_is_not_settled(on: &Subject) {
    let of_cart = async || on.ledger.checkout_of_cart(CartId(1)).await.expect("a store that works").map(|c| (c.id.0, c.state));
    assert_eq!(of_cart().await, None);
    done(&*on.ledger, commit_checkout(&checkout(9), 0)).await;
    let mut first = of_cart_one(1, State::Open);
    done(&*on.ledger, commit_checkout(&first, 0)).await;
    for (state, there) in [
        (State::Authorizing, true),
        (State::Capturing, true),
        (State::Completed { settled: false }, true),
        (State::Completed { settled: true }, false),
    ] {
        let expected = first.version.0;
        first = next(&first, state, at(5));
        done(&*on.ledger, commit_checkout(&first, expected)).await;
        assert_eq!(of_cart().await, there.then_some((1, state)), "{state:?}");
    }
    let ended = of_cart_one(2, State::Canceled { settled: false });
    done(&*on.ledger, commit_checkout(&ended, 0)).await;
    assert_eq!(of_cart().await, Some((2, State::Canceled { settled: false })));
    let live = Checkout { created_at: at(1), ..of_cart_one(3, State::Open) };
    done(&*on.ledger, commit_checkout(&live, 0)).await;
    assert_eq!(of_cart().await, Some((3, State::Open)));
}

pub async fn the_checkout_of_an_owner_is_the_newest(on: &Subject) {
    let of = |n, cart, owner: &Owner, seconds| Checkout {
        owner: owner.clone(),
        cart: CartId(cart),
        ..checkout_of(n, &crate::fixtures::cart(1), at(seconds))
    };
    let alice = customer("alice");
    assert_eq!(on.ledger.checkout_of_owner(&alice).await.expect("a store that works"), None);
    for checkout in [of(1, 1, &alice, 10), of(2, 2, &alice, 20), of(3, 3, &alice, 5), of(4, 4, &guest(1), 30)] {
        done(&*on.ledger, commit_checkout(&checkout, 0)).await;
    }
    let newest = on.ledger.checkout_of_owner(&alice).await.expect("a store that works");
    assert_eq!(newest, Some(of(2, 2, &alice, 20)));
}

pub async fn due_checkouts_come_the_longest_waiting_first(on: &Subject) {
    for (n, state, due) in [
        (1, State::Open, 30),
        (2, State::Authorizing, 10),
        (3, State::Completed { settled: false }, 20),
        (4, State::Completed { settled: true }, 5),
        (5, State::Expired { settled: true }, 5),
        (6, State::Canceled { settled: true }, 5),
    ] {
        done(&*on.ledger, commit_checkout(&Checkout { state, due_at: at(due), ..checkout(n) }, 0)).await;
    }
    for (now, limit, due) in
        [(at(9), 10, vec![]), (at(10), 10, vec![2]), (at(29), 10, vec![2, 3]), (at(30), 10, vec![2, 3, 1]), (at(99), 2, vec![2, 3])]
    {
        let got = on.ledger.due_checkouts(now, limit).await.expect("a store that works");
        assert_eq!(got.iter().map(|c| c.id.0).collect::<Vec<_>>(), due, "{now:?}, at most {limit}");
    }
    let later = Checkout { due_at: at(100), ..next(&checkout(2), State::Authorizing, at(100)) };
    done(&*on.ledger, commit_checkout(&later, 1)).await;
    let got = on.ledger.due_checkouts(at(99), 10).await.expect("a store that works");
    assert_eq!(got.iter().map(|c| c.id.0).collect::<Vec<_>>(), vec![3, 1]);
}

pub async fn an_order_is_what_its_events_say(on: &Subject) {
    assert_eq!(stored_order(&*on.ledger, 1).await, None);
    assert_eq!(on.ledger.order_events(OrderId(1)).await.expect("a store that works"), vec![]);
    let first = placed(1, START);
    let captured = vec![OrderEvent::PaymentCaptured { amount: first.order.quote.total }, OrderEvent::Confirmed];
    let second = first.order.append(captured, &Actor::System, "capture", at(1));
    let canceled = OrderEvent::Canceled { reason: Some(crate::fixtures::text("too slow")), payment: PaymentStatus::Refunding };
    let third = second.order.append(vec![canceled], &Actor::Customer(alice_id()), "request", at(2));
    let mut history = Vec::new();
    for appended in [first, second, third] {
        history.extend(appended.events.clone());
        let order = appended.order.clone();
        done(&*on.ledger, append(appended)).await;
        assert_eq!(stored_order(&*on.ledger, 1).await.as_ref(), Some(&order));
        let events = on.ledger.order_events(OrderId(1)).await.expect("a store that works");
        assert_eq!(events, history);
        assert_eq!(events.iter().fold(None, Order::evolve), Some(order));
    }
}

fn alice_id() -> domain::ids::CustomerId {
    domain::ids::CustomerId::parse("alice").expect("a customer's id")
}

pub async fn order_events_hold_only_while_the_stored_version_is_the_one_before_them(on: &Subject) {
    let first = placed(1, START);
    let second = first.order.append(vec![OrderEvent::Confirmed], &Actor::System, "test", at(1));
    let third = second.order.append(vec![OrderEvent::Processing], &Actor::System, "test", at(2));
    for (appended, outcome) in [
        (&second, Outcome::OrderConflict),
        (&first, Outcome::Done),
        (&first, Outcome::OrderConflict),
        (&third, Outcome::OrderConflict),
        (&second, Outcome::Done),
        (&second, Outcome::OrderConflict),
        (&third, Outcome::Done),
    ] {
        assert_eq!(commit(&*on.ledger, append(appended.clone())).await, outcome, "{:?}", appended.order.version);
    }
    assert_eq!(stored_order(&*on.ledger, 1).await, Some(third.order));
}

pub async fn a_checkout_has_at_most_one_order_that_did_not_fail(on: &Subject) {
    let first = placed(1, START);
    let second = || append(placed_by_checkout_one(2));
    done(&*on.ledger, append(first.clone())).await;
    assert_eq!(commit(&*on.ledger, second()).await, Outcome::OrderConflict);
    assert_eq!(stored_order(&*on.ledger, 2).await, None);
    let failed = first.order.append(vec![OrderEvent::Failed { reason: "refused".into() }], &Actor::System, "test", at(1));
    done(&*on.ledger, append(failed)).await;
    done(&*on.ledger, second()).await;
    assert_eq!(stored_order(&*on.ledger, 2).await, Some(placed_by_checkout_one(2).order));
    assert_eq!(commit(&*on.ledger, append(placed_by_checkout_one(3))).await, Outcome::OrderConflict);
}

/// Order `n` of checkout 1.
fn placed_by_checkout_one(n: u128) -> Appended {
    let paying = paying(1);
    let attempt = attempt(n, &paying);
    placed_by(&Checkout { attempt: Some(attempt), ..paying }, START)
}

pub async fn no_two_orders_have_one_number(on: &Subject) {
    let numbered = |n: u128, number: u64| {
        let paying = paying(n);
        let attempt = domain::checkout::Attempt { number: Number::from_random(number), ..attempt(n, &paying) };
        placed_by(&Checkout { attempt: Some(attempt), ..paying }, START)
    };
    let first = numbered(1, 7);
    done(&*on.ledger, append(first.clone())).await;
    let with_stock = Change { stock: vec![moved(1, StockChange::Receive(1), "x")], ..append(numbered(2, 7)) };
    assert_eq!(commit(&*on.ledger, with_stock).await, Outcome::NumberTaken);
    assert_eq!((stored_order(&*on.ledger, 2).await, level(&*on.ledger, 1).await), (None, (0, 0, 0)), "nothing has changed");
    let failed = first.order.append(vec![OrderEvent::Failed { reason: "refused".into() }], &Actor::System, "test", at(1));
    done(&*on.ledger, append(failed)).await;
    assert_eq!(commit(&*on.ledger, append(numbered(2, 7))).await, Outcome::NumberTaken, "also of an order that failed");
    done(&*on.ledger, append(numbered(2, 8))).await;
}

pub async fn of_two_appends_at_once_to_one_order_exactly_one_is_done(on: &Subject) {
    for round in 1..=10 {
        let first = placed(round, START);
        done(&*on.ledger, append(first.clone())).await;
        let outcomes = race(2, |racer| {
            let ledger = Arc::clone(&on.ledger);
            let event = if racer == 0 { OrderEvent::Confirmed } else { OrderEvent::Failed { reason: "test".into() } };
            let appended = first.order.append(vec![event], &Actor::System, "test", at(1));
            async move { commit(&*ledger, append(appended)).await }
        })
        .await;
        assert!(outcomes.contains(&Outcome::Done) && outcomes.contains(&Outcome::OrderConflict), "{outcomes:?}");
    }
}

async fn listed(ledger: &dyn Ledger, filter: &OrderFilter, limit: usize) -> Vec<u128> {
    ledger.orders(filter, limit).await.expect("a store that works").iter().map(|o| o.id.0).collect()
}

/// Orders 1 to 5, placed at 10, 20, 20, 30 and 40 s; 1 to 3 are Alice's, 4 is Bob's, 5 a guest's.
/// Order 2 is confirmed and captured, 4 failed.
async fn five_orders(ledger: &dyn Ledger) {
    let owners = [customer("alice"), customer("alice"), customer("alice"), customer("bob"), guest(5)];
    for (n, (owner, placed_at)) in (1..).zip(owners.into_iter().zip([10, 20, 20, 30, 40])) {
        let first = placed_by(&Checkout { owner, ..paying(n) }, at(placed_at));
        let order = first.order.clone();
        done(ledger, append(first)).await;
        let events = match n {
            2 => vec![OrderEvent::PaymentCaptured { amount: order.quote.total }, OrderEvent::Confirmed],
            4 => vec![OrderEvent::Failed { reason: "refused".into() }],
            _ => continue,
        };
        done(ledger, append(order.append(events, &Actor::System, "test", at(50)))).await;
    }
}

pub async fn orders_come_newest_first(on: &Subject) {
    assert_eq!(listed(&*on.ledger, &OrderFilter::default(), 10).await, Vec::<u128>::new());
    five_orders(&*on.ledger).await;
    assert_eq!(listed(&*on.ledger, &OrderFilter::default(), 10).await, vec![5, 4, 3, 2, 1]);
    assert_eq!(listed(&*on.ledger, &OrderFilter::default(), 2).await, vec![5, 4]);
}

pub async fn every_field_of_a_filter_narrows(on: &Subject) {
    five_orders(&*on.ledger).await;
    let any = OrderFilter::default;
    let alice = || OrderFilter { owner: Some(customer("alice")), ..any() };
    for (filter, ids) in [
        (alice(), vec![3, 2, 1]),
        (OrderFilter { owner: Some(guest(5)), ..any() }, vec![5]),
        (OrderFilter { owner: Some(customer("nobody")), ..any() }, vec![]),
        (OrderFilter { status: Some(Status::Pending), ..any() }, vec![5, 3, 1]),
        (OrderFilter { status: Some(Status::Confirmed), ..any() }, vec![2]),
        (OrderFilter { payment: Some(PaymentStatus::Captured), ..any() }, vec![2]),
        (OrderFilter { payment: Some(PaymentStatus::Failed), ..any() }, vec![4]),
        (OrderFilter { from: Some(at(20)), ..any() }, vec![5, 4, 3, 2]),
        (OrderFilter { to: Some(at(20)), ..any() }, vec![1]),
        (OrderFilter { from: Some(at(20)), to: Some(at(40)), ..any() }, vec![4, 3, 2]),
        (OrderFilter { status: Some(Status::Pending), from: Some(at(11)), ..alice() }, vec![3]),
        (OrderFilter { status: Some(Status::Confirmed), payment: Some(PaymentStatus::Failed), ..any() }, vec![]),
    ] {
        assert_eq!(listed(&*on.ledger, &filter, 10).await, ids, "{filter:?}");
    }
}

pub async fn a_page_goes_on_after_the_last_order_of_the_page_before(on: &Subject) {
    five_orders(&*on.ledger).await;
    for (owner, size, all) in [(None, 1, vec![5, 4, 3, 2, 1]), (None, 2, vec![5, 4, 3, 2, 1]), (Some(customer("alice")), 2, vec![3, 2, 1])]
    {
        let mut filter = OrderFilter { owner, ..OrderFilter::default() };
        let mut seen = Vec::new();
        loop {
            let page = on.ledger.orders(&filter, size).await.expect("a store that works");
            assert!(page.len() <= size);
            let Some(last) = page.last() else { break };
            filter.after = Some(OrderPlace { placed_at: last.placed_at, id: last.id });
            seen.extend(page.iter().map(|o| o.id.0));
        }
        assert_eq!(seen, all, "pages of {size}");
    }
}

pub async fn due_orders_are_those_whose_money_is_moving_and_whose_alarm_has_rung(on: &Subject) {
    let canceled = |payment| vec![OrderEvent::Canceled { reason: None, payment }];
    for (n, payment, alarm) in [
        (1, PaymentStatus::Voiding, 30),
        (2, PaymentStatus::Refunding, 10),
        (3, PaymentStatus::Voided, 5),
        (4, PaymentStatus::Capturing, 20),
    ] {
        let first = placed(n, START);
        let order = first.order.clone();
        done(&*on.ledger, append(first)).await;
        let appended = order.append(canceled(payment), &Actor::System, "test", at(1));
        done(&*on.ledger, Change { order_alarm: Some((OrderId(n), at(alarm))), ..append(appended) }).await;
    }
    let due =
        async |now, limit| on.ledger.due_orders(now, limit).await.expect("a store that works").iter().map(|o| o.id.0).collect::<Vec<_>>();
    for (now, limit, ids) in [(at(9), 9, vec![]), (at(10), 9, vec![2]), (at(30), 9, vec![2, 4, 1]), (at(30), 1, vec![2])] {
        assert_eq!(due(now, limit).await, ids, "{now:?}, at most {limit}");
    }
    done(&*on.ledger, Change { order_alarm: Some((OrderId(2), at(60))), ..Change::default() }).await;
    assert_eq!(due(at(59), 9).await, vec![4, 1]);
    let moving = stored_order(&*on.ledger, 4).await.expect("the order");
    let voided = vec![OrderEvent::PaymentVoided { amount: moving.quote.total }];
    done(&*on.ledger, append(moving.append(voided, &Actor::System, "test", at(31)))).await;
    assert_eq!(due(at(99), 9).await, vec![1, 2]);
}

pub async fn what_is_overdue_is_counted_and_dated(on: &Subject) {
    for (n, state, due) in [
        (1, State::Open, 30),
        (2, State::Authorizing, 10),
        (3, State::Completed { settled: false }, 20),
        (4, State::Completed { settled: true }, 5),
    ] {
        done(&*on.ledger, commit_checkout(&Checkout { state, due_at: at(due), ..checkout(n) }, 0)).await;
    }
    for (n, payment, alarm) in [(1, PaymentStatus::Voiding, 8), (2, PaymentStatus::Refunding, 25), (3, PaymentStatus::Voided, 5)] {
        let first = placed(n, START);
        let canceled = OrderEvent::Canceled { reason: None, payment };
        let appended = first.order.append(vec![canceled], &Actor::System, "test", at(1));
        done(&*on.ledger, append(first)).await;
        done(&*on.ledger, Change { order_alarm: Some((OrderId(n), at(alarm))), ..append(appended) }).await;
    }
    for (now, checkouts, orders, since) in
        [(7, 0, 0, None), (8, 0, 1, Some(8)), (10, 1, 1, Some(8)), (20, 2, 1, Some(8)), (30, 3, 2, Some(8))]
    {
        let overdue = on.ledger.overdue(at(now)).await.expect("a store that works");
        assert_eq!(overdue, Overdue { checkouts, orders, since: since.map(at) }, "at {now} s");
    }
}

pub async fn a_notice_is_remembered_once_and_for_a_while(on: &Subject) {
    let (one, two) = (crate::fixtures::text("evt_1"), crate::fixtures::text("evt_2"));
    let known = async |id| on.ledger.noticed(id).await.expect("a store that works");
    assert!(!known(&one).await);
    for (id, now) in [(&one, at(1)), (&two, at(5)), (&one, at(9))] {
        let change = Change { notice: Some(id.clone()), ..Change::default() };
        assert!(matches!(on.ledger.commit(change, now).await, Ok(Committed::Done)), "{id:?} at {now:?}");
        assert!(known(id).await);
    }
    let forget = async |before, limit| on.ledger.forget_notices(before, limit).await.expect("a store that works");
    assert_eq!((forget(at(1), 9).await, known(&one).await), (0, true));
    assert_eq!((forget(at(2), 9).await, known(&one).await, known(&two).await), (1, false, true));
    assert_eq!((forget(at(6), 0).await, forget(at(6), 9).await), (0, 1));
}

pub async fn a_level_is_zero_when_nothing_ever_moved(on: &Subject) {
    assert_eq!(level(&*on.ledger, 1).await, (0, 0, 0));
    receive(&*on.ledger, 1, 3).await;
    assert_eq!(level(&*on.ledger, 1).await, (3, 0, 1));
    assert_eq!(level(&*on.ledger, 2).await, (0, 0, 0));
}

pub async fn a_stock_move_the_level_refuses_is_short_and_changes_nothing(on: &Subject) {
    receive(&*on.ledger, 1, 5).await;
    let short = |wanted, available| Outcome::StockShort(vec![(1, wanted, available)]);
    for (n, (change, outcome, after)) in [
        (StockChange::Reserve(6), short(6, 5), (5, 0, 1)),
        (StockChange::Reserve(5), Outcome::Done, (5, 5, 2)),
        (StockChange::Reserve(1), short(1, 0), (5, 5, 2)),
        (StockChange::Release(2), Outcome::Done, (5, 3, 3)),
        (StockChange::Reserve(3), short(3, 2), (5, 3, 3)),
        (StockChange::Consume(3), Outcome::Done, (2, 0, 4)),
        (StockChange::Return(1), Outcome::Done, (3, 0, 5)),
        (StockChange::Count(7), Outcome::Done, (7, 0, 6)),
        (StockChange::Receive(-7), Outcome::Done, (0, 0, 7)),
        (StockChange::Reserve(1), short(1, 0), (0, 0, 7)),
    ]
    .into_iter()
    .enumerate()
    {
        let change = move_stock([moved(1, change, &format!("move {n}"))]);
        assert_eq!(commit(&*on.ledger, change.clone()).await, outcome, "{change:?}");
        assert_eq!(level(&*on.ledger, 1).await, after, "{change:?}");
    }
}

pub async fn every_edition_that_is_short_is_told(on: &Subject) {
    receive(&*on.ledger, 1, 1).await;
    receive(&*on.ledger, 2, 5).await;
    let reserve = |edition, n| moved(edition, StockChange::Reserve(n), "order");
    let outcome = commit(&*on.ledger, move_stock([reserve(1, 2), reserve(2, 5), reserve(3, 1)])).await;
    assert_eq!(outcome, Outcome::StockShort(vec![(1, 2, 1), (3, 1, 0)]));
    assert_eq!(level(&*on.ledger, 2).await, (5, 0, 1));
}

pub async fn moves_of_one_change_add_up(on: &Subject) {
    receive(&*on.ledger, 1, 5).await;
    let reserve = |n, cause| moved(1, StockChange::Reserve(n), cause);
    assert_eq!(commit(&*on.ledger, move_stock([reserve(3, "a"), reserve(3, "b")])).await, Outcome::StockShort(vec![(1, 3, 2)]));
    assert_eq!(level(&*on.ledger, 1).await, (5, 0, 1));
    done(&*on.ledger, move_stock([reserve(3, "a"), reserve(2, "b"), moved(1, StockChange::Consume(5), "c")])).await;
    assert_eq!(level(&*on.ledger, 1).await, (0, 0, 4));
}

pub async fn a_stock_move_is_applied_once_per_cause_and_edition(on: &Subject) {
    receive(&*on.ledger, 1, 5).await;
    receive(&*on.ledger, 2, 5).await;
    let reserve = |edition, cause| moved(edition, StockChange::Reserve(4), cause);
    done(&*on.ledger, move_stock([reserve(1, "a")])).await;
    done(&*on.ledger, move_stock([reserve(1, "a")])).await;
    assert_eq!(level(&*on.ledger, 1).await, (5, 4, 2));
    done(&*on.ledger, move_stock([reserve(1, "a"), reserve(2, "a"), reserve(2, "a")])).await;
    assert_eq!(level(&*on.ledger, 2).await, (5, 4, 2));
    done(&*on.ledger, move_stock([moved(1, StockChange::Release(4), "b")])).await;
    done(&*on.ledger, move_stock([moved(1, StockChange::Release(4), "b")])).await;
    assert_eq!(level(&*on.ledger, 1).await, (5, 0, 3));
    assert_eq!(on.outbox.pending(100).await.expect("a store that works").len(), 5);
}

pub async fn of_fifty_reservations_at_once_on_ten_copies_exactly_ten_hold(on: &Subject) {
    receive(&*on.ledger, 1, 10).await;
    let outcomes = race(50, |racer| {
        let ledger = Arc::clone(&on.ledger);
        async move { commit(&*ledger, move_stock([moved(1, StockChange::Reserve(1), &format!("buyer {racer}"))])).await }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|o| **o == Outcome::Done).count(), 10);
    assert_eq!(outcomes.iter().filter(|o| **o == Outcome::StockShort(vec![(1, 1, 0)])).count(), 40);
    assert_eq!(level(&*on.ledger, 1).await, (10, 10, 11));
}

pub async fn the_event_of_a_stock_move_is_in_the_trace_of_the_changes_other_events(on: &Subject) {
    receive(&*on.ledger, 1, 5).await;
    for (n, trace) in [(1, None), (2, trace(Some("a=1"))), (3, None), (4, trace(None))] {
        let placed = placed(n, START);
        let outbox = placed.outgoing().map(|event| Outgoing { trace: trace.clone(), ..event }).collect();
        let stock = vec![moved(1, StockChange::Reserve(1), &format!("order {n}"))];
        done(&*on.ledger, Change { outbox, stock, ..append(placed) }).await;
    }
    let pending = on.outbox.pending(100).await.expect("a store that works");
    let told = pending.into_iter().filter(|p| p.event.subject == domain::event::Subject::Stock(EditionId(1)));
    let traces: Vec<_> = told.map(|p| p.event.trace).collect();
    assert_eq!(traces, [None, None, trace(Some("a=1")), None, trace(None)]);
}

pub async fn every_applied_stock_move_leaves_an_event_whose_sequence_counts_moves(on: &Subject) {
    receive(&*on.ledger, 1, 5).await;
    receive(&*on.ledger, 2, 9).await;
    for (change, cause) in [
        (StockChange::Reserve(2), "a"),
        (StockChange::Reserve(2), "a"),
        (StockChange::Reserve(4), "too many"),
        (StockChange::Release(1), "b"),
        (StockChange::Consume(1), "c"),
        (StockChange::Return(1), "d"),
        (StockChange::Count(3), "e"),
    ] {
        commit(&*on.ledger, move_stock([moved(1, change, cause)])).await;
    }
    let pending = on.outbox.pending(100).await.expect("a store that works");
    let told: Vec<_> = pending
        .iter()
        .filter(|p| p.event.subject == domain::event::Subject::Stock(EditionId(1)))
        .map(|p| (p.event.sequence, p.event.event.name(), p.event.at))
        .collect();
    let names = ["stock.received", "stock.reserved", "stock.released", "stock.consumed", "stock.returned", "stock.counted"];
    let expected: Vec<_> = (1..).zip(names).map(|(n, name)| (n, name, START)).collect();
    assert_eq!(told, expected);
    let Some(Event::Stock(last)) = pending.last().map(|p| &p.event.event) else { panic!("{pending:?}") };
    assert_eq!((last.change, last.cause.as_str()), (StockChange::Count(3), "e"));
    assert_eq!(last.after, on.ledger.stock(EditionId(1)).await.expect("a store that works"));
}

pub async fn a_use_holds_only_while_the_count_stays_within_its_limit(on: &Subject) {
    let gone = || Outcome::UsedUp(uses_of("TEN"));
    for (moves, outcome, used) in [
        (vec![use_coupon("TEN", 0, "none")], gone(), 0),
        (vec![use_coupon("TEN", 2, "a")], Outcome::Done, 1),
        (vec![use_coupon("TEN", 2, "b"), use_coupon("TEN", 2, "c")], gone(), 1),
        (vec![use_coupon("TEN", 2, "d"), use_coupon("OTHER", 1, "d")], Outcome::Done, 2),
        (vec![use_coupon("TEN", 2, "e")], gone(), 2),
        (vec![use_by("TEN", 1, None, "f")], Outcome::Done, 3),
        (vec![give_back("TEN", 1, "g"), give_back("TEN", 1, "h")], Outcome::Done, 1),
        (vec![use_coupon("TEN", 2, "i")], Outcome::Done, 2),
        (vec![use_by("TEN", 99, Some(100), "j")], gone(), 2),
        (vec![use_by("TEN", 98, Some(100), "k")], Outcome::Done, 100),
        (vec![give_back("TEN", 97, "l")], Outcome::Done, 3),
        (vec![give_back("TEN", 4, "m")], Outcome::Done, 0),
    ] {
        let note = format!("{moves:?}");
        assert_eq!(commit(&*on.ledger, count(moves)).await, outcome, "{note}");
        assert_eq!(uses(&*on.ledger, "TEN").await, used, "{note}");
    }
    assert_eq!((uses(&*on.ledger, "OTHER").await, uses(&*on.ledger, "NEVER").await), (1, 0));
}

pub async fn every_kind_of_counter_counts_for_itself(on: &Subject) {
    let promotion = || PromotionId::parse("TEN").expect("an id");
    let (ada, bob) = (Who([1; 16]), Who([2; 16]));
    let counters = [
        Counter::Uses(promotion()),
        Counter::UsesBy(promotion(), ada),
        Counter::UsesBy(promotion(), bob),
        Counter::Spent(promotion()),
        Counter::Code(code("TEN")),
        Counter::Orders(ada),
    ];
    let moves = (1..).zip(&counters).map(|(n, counter)| UseMove {
        counter: counter.clone(),
        change: UseChange::Use { by: n, limit: Some(n) },
        cause: "a".to_owned(),
    });
    assert_eq!(commit(&*on.ledger, count(moves)).await, Outcome::Done);
    let usage = on.ledger.usage(&counters).await.expect("a store that works");
    assert_eq!(usage, Usage(counters.into_iter().zip(1..).collect()));
    assert_eq!(on.ledger.usage(&[Counter::Orders(bob)]).await.expect("a store that works"), Usage::default());
}

pub async fn a_use_is_applied_once_per_cause_and_counter(on: &Subject) {
    for (moves, used) in [
        (vec![use_coupon("TEN", 1, "a")], 1),
        (vec![use_coupon("TEN", 1, "a")], 1),
        (vec![use_coupon("TEN", 1, "a"), use_coupon("OTHER", 1, "a")], 1),
        (vec![give_back("TEN", 1, "b"), give_back("TEN", 1, "b")], 0),
        (vec![give_back("TEN", 1, "b")], 0),
    ] {
        let note = format!("{moves:?}");
        assert_eq!(commit(&*on.ledger, count(moves)).await, Outcome::Done, "{note}");
        assert_eq!(uses(&*on.ledger, "TEN").await, used, "{note}");
    }
    assert_eq!(uses(&*on.ledger, "OTHER").await, 1);
}

pub async fn of_twenty_uses_at_once_with_a_limit_of_five_exactly_five_hold(on: &Subject) {
    let outcomes = race(20, |racer| {
        let ledger = Arc::clone(&on.ledger);
        async move { commit(&*ledger, count([use_coupon("TEN", 5, &format!("buyer {racer}"))])).await }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|o| **o == Outcome::Done).count(), 5);
    assert_eq!(outcomes.iter().filter(|o| **o == Outcome::UsedUp(uses_of("TEN"))).count(), 15);
    assert_eq!(uses(&*on.ledger, "TEN").await, 5);
}

/// A change with something in every line: checkout 1 goes to the provider and places order 1.
fn everything() -> Change {
    let (mut paying, placed) = (paying(1), placed(1, at(1)));
    let told = paying.announce(CheckoutEvent::Completed { order: OrderId(1) }, at(1));
    Change {
        checkout: Some((paying, Version(1))),
        outbox: [told].into_iter().chain(placed.outgoing()).collect(),
        order: Some(placed),
        order_alarm: Some((OrderId(1), at(5))),
        stock: vec![moved(1, StockChange::Reserve(1), "pay"), moved(2, StockChange::Reserve(2), "pay")],
        uses: vec![use_coupon("TEN", 1, "pay")],
        notice: Some(crate::fixtures::text("evt_1")),
        answer: Some(answer(1, "placed", at(1))),
    }
}

/// What can be seen of [`everything`].
#[derive(Debug, PartialEq)]
struct Seen {
    checkout: Option<Checkout>,
    order: Option<Order>,
    history: usize,
    levels: [(u32, u32, u64); 2],
    uses: u64,
    pending: Vec<String>,
    noticed: bool,
    answer: Option<app::ports::Answer>,
}

async fn see(on: &Subject) -> Seen {
    let ledger = &*on.ledger;
    Seen {
        checkout: stored_checkout(ledger, 1).await,
        order: stored_order(ledger, 1).await,
        history: ledger.order_events(OrderId(1)).await.expect("a store that works").len(),
        levels: [level(ledger, 1).await, level(ledger, 2).await],
        uses: uses(ledger, "TEN").await,
        pending: on.outbox.pending(100).await.expect("a store that works").iter().map(|p| p.event.id()).collect(),
        noticed: ledger.noticed(&crate::fixtures::text("evt_1")).await.expect("a store that works"),
        answer: ledger.answer(mark(1).key).await.expect("a store that works"),
    }
}

async fn before_everything(on: &Subject) {
    receive(&*on.ledger, 1, 1).await;
    receive(&*on.ledger, 2, 2).await;
    done(&*on.ledger, commit_checkout(&checkout(1), 0)).await;
}

pub async fn all_lines_of_a_change_become_true_together(on: &Subject) {
    before_everything(on).await;
    let before = see(on).await;
    let change = everything();
    done(&*on.ledger, change.clone()).await;
    let mut seen = see(on).await;
    let mut news = seen.pending.split_off(before.pending.len());
    news.sort();
    let [one, two] = [1, 2].map(|n| format!("{}.2", EditionId(n)));
    let mut expected: Vec<_> = change.outbox.iter().map(Outgoing::id).chain([one, two]).collect();
    expected.sort();
    assert_eq!(news, expected);
    let order = change.order.expect("placed");
    assert_eq!(
        seen,
        Seen {
            checkout: change.checkout.map(|(c, _)| c),
            history: order.events.len(),
            order: Some(order.order),
            levels: [(1, 1, 2), (2, 2, 2)],
            uses: 1,
            pending: before.pending,
            noticed: true,
            answer: change.answer,
        }
    );
}

pub async fn none_of_a_change_becomes_true_when_one_line_does_not_hold(on: &Subject) {
    before_everything(on).await;
    done(&*on.ledger, commit_checkout(&checkout(3), 0)).await;
    done(&*on.ledger, append(placed(5, START))).await;
    let before = see(on).await;
    let change = everything();
    let taken = Checkout { cart: CartId(3), ..paying(1) };
    for (change, outcome) in [
        (Change { checkout: Some((paying(1), Version(2))), ..change.clone() }, Outcome::CheckoutConflict),
        (Change { checkout: Some((taken, Version(1))), ..change.clone() }, Outcome::CartTaken(3)),
        (Change { order: Some(placed(5, START)), ..change.clone() }, Outcome::OrderConflict),
        (
            Change { stock: vec![moved(1, StockChange::Reserve(1), "pay"), moved(2, StockChange::Reserve(3), "pay")], ..change.clone() },
            Outcome::StockShort(vec![(2, 3, 2)]),
        ),
        (
            Change { uses: vec![use_coupon("TEN", 1, "pay"), use_coupon("NONE", 0, "pay")], ..change.clone() },
            Outcome::UsedUp(uses_of("NONE")),
        ),
    ] {
        assert_eq!(commit(&*on.ledger, change).await, outcome);
        assert_eq!(see(on).await, before, "after {outcome:?}");
    }
    done(&*on.ledger, change).await;
}

pub async fn an_answer_whose_key_is_answered_gives_the_first_answer_and_changes_nothing(on: &Subject) {
    assert_eq!(on.ledger.answer(mark(1).key).await.expect("a store that works"), None);
    done(&*on.ledger, Change { answer: Some(answer(1, "first", START)), ..Change::default() }).await;
    before_everything(on).await;
    let before = see(on).await;
    assert_eq!(commit(&*on.ledger, everything()).await, Outcome::Answered("first".to_owned()));
    assert_eq!(see(on).await, before);
    assert_eq!(before.answer, Some(answer(1, "first", START)));
}

pub async fn an_answer_wins_over_every_other_outcome(on: &Subject) {
    before_everything(on).await;
    done(&*on.ledger, everything()).await;
    assert_eq!(commit(&*on.ledger, everything()).await, Outcome::Answered("placed".to_owned()));
}

pub async fn of_many_commits_at_once_with_one_key_exactly_one_is_done(on: &Subject) {
    receive(&*on.ledger, 1, 100).await;
    let outcomes = race(10, |racer| {
        let ledger = Arc::clone(&on.ledger);
        let reserve = moved(1, StockChange::Reserve(1), &format!("racer {racer}"));
        let change = Change { answer: Some(answer(1, &format!("racer {racer}"), START)), ..move_stock([reserve]) };
        async move { commit(&*ledger, change).await }
    })
    .await;
    let first = on.ledger.answer(mark(1).key).await.expect("a store that works").expect("an answer");
    let first = Outcome::Answered(String::from_utf8_lossy(&first.body).into_owned());
    assert_eq!(outcomes.iter().filter(|o| **o == Outcome::Done).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|o| **o == first).count(), 9, "{outcomes:?}");
    assert_eq!(level(&*on.ledger, 1).await, (100, 1, 2));
}

pub async fn answers_given_before_an_instant_are_forgotten(on: &Subject) {
    for (n, given) in [(1, 10), (2, 20), (3, 30), (4, 40)] {
        done(&*on.ledger, Change { answer: Some(answer(n, "an answer", at(given))), ..Change::default() }).await;
    }
    let forget = async |before: Timestamp, limit| on.ledger.forget_answers(before, limit).await.expect("a store that works");
    let left = async || {
        let mut left = Vec::new();
        for n in 1..=4 {
            if on.ledger.answer(mark(n).key).await.expect("a store that works").is_some() {
                left.push(n);
            }
        }
        left
    };
    assert_eq!((forget(at(10), 10).await, left().await), (0, vec![1, 2, 3, 4]));
    assert_eq!((forget(at(11), 10).await, left().await), (1, vec![2, 3, 4]));
    assert_eq!(forget(at(40), 1).await, 1);
    assert_eq!((forget(at(40), 10).await, left().await), (1, vec![4]));
    done(&*on.ledger, Change { answer: Some(answer(1, "again", at(50))), ..Change::default() }).await;
    assert_eq!(left().await, vec![1, 4]);
}
