//! The sentences of [`SharedLimits`]. The clock is the adapter's own and need not move: spans are hours.

use crate::fixtures::race;
use app::ports::{FailuresMax, Quota, Room, SharedLimits, Spent, Ticket};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// One test for each sentence of [`SharedLimits`]; the expression gives an `Arc<dyn SharedLimits>`.
#[macro_export]
macro_rules! limits {
    ($make:expr) => {
        $crate::tests! { limits, $make,
            a_whole_budget_can_be_spent_at_once
            what_is_refused_costs_nothing
            budgets_are_held_apart
            of_many_who_spend_at_once_as_many_may_as_the_budget_has
            what_is_under_way_counts_as_if_it_were_going_to_fail
            what_has_failed_leaves_no_room_for_its_window
            a_ticket_that_is_let_in_twice_counts_once
            one_whose_end_is_not_told_is_over_in_the_end
            a_failure_counts_once_however_often_it_is_told
            of_many_who_are_let_in_at_once_as_many_are_as_may_fail
        }
    };
}

const HOUR: Duration = Duration::from_secs(3600);

fn quota(amount: u32) -> Quota {
    Quota { amount: NonZeroU32::new(amount).expect("an amount"), span: HOUR }
}

fn max(amount: u32) -> FailuresMax {
    FailuresMax { amount, window: HOUR }
}

fn ticket(n: u8) -> Ticket {
    [n; 16]
}

async fn spend(on: &Arc<dyn SharedLimits>, key: &str, amount: u32) -> Spent {
    on.spend(key, quota(amount)).await.expect("limits that work")
}

async fn admit(on: &Arc<dyn SharedLimits>, n: u8, amount: u32) -> Room {
    on.admit("a", ticket(n), max(amount), HOUR).await.expect("limits that work")
}

async fn settle(on: &Arc<dyn SharedLimits>, under_way: Option<u8>, failed: Option<u8>) {
    on.settle("a", under_way.map(ticket), failed.map(ticket), HOUR).await.expect("limits that work");
}

pub async fn a_whole_budget_can_be_spent_at_once(on: &Arc<dyn SharedLimits>) {
    for amount in [1, 7, 100] {
        let key = format!("{amount} an hour");
        for left in (0..amount).rev() {
            assert_eq!(spend(on, &key, amount).await, Spent { left, wait: None }, "{amount}");
        }
        let over = spend(on, &key, amount).await;
        assert!(over.left == 0 && over.wait.is_some_and(|wait| wait <= HOUR / amount && !wait.is_zero()), "{amount}: {over:?}");
    }
}

pub async fn what_is_refused_costs_nothing(on: &Arc<dyn SharedLimits>) {
    spend(on, "a", 1).await;
    for _ in 0..50 {
        let over = spend(on, "a", 1).await;
        assert!(over.wait.is_some_and(|wait| wait <= HOUR), "{over:?}");
    }
}

pub async fn budgets_are_held_apart(on: &Arc<dyn SharedLimits>) {
    for key in ["cart:a", "cart:b", "checkout:a", "", "ä"] {
        assert_eq!(spend(on, key, 1).await.wait, None, "{key}");
    }
}

pub async fn of_many_who_spend_at_once_as_many_may_as_the_budget_has(on: &Arc<dyn SharedLimits>) {
    let spent = race(40, |_| {
        let on = Arc::clone(on);
        async move { spend(&on, "a", 25).await }
    })
    .await;
    assert_eq!(spent.iter().filter(|spent| spent.wait.is_none()).count(), 25);
}

pub async fn what_is_under_way_counts_as_if_it_were_going_to_fail(on: &Arc<dyn SharedLimits>) {
    assert_eq!((admit(on, 1, 2).await, admit(on, 2, 2).await), (Room::There, Room::There));
    assert_eq!(admit(on, 3, 2).await, Room::Perhaps);
    settle(on, Some(1), None).await;
    assert_eq!(admit(on, 3, 2).await, Room::There);
}

pub async fn what_has_failed_leaves_no_room_for_its_window(on: &Arc<dyn SharedLimits>) {
    assert_eq!(admit(on, 1, 2).await, Room::There);
    settle(on, Some(1), Some(101)).await;
    settle(on, None, Some(102)).await;
    let full = admit(on, 2, 2).await;
    assert!(matches!(full, Room::None(wait) if wait <= HOUR && !wait.is_zero()), "{full:?}");
    assert_eq!(admit(on, 2, 3).await, Room::There);
}

pub async fn a_ticket_that_is_let_in_twice_counts_once(on: &Arc<dyn SharedLimits>) {
    assert_eq!((admit(on, 1, 2).await, admit(on, 1, 2).await, admit(on, 2, 2).await), (Room::There, Room::There, Room::There));
    assert_eq!((admit(on, 1, 2).await, admit(on, 3, 2).await), (Room::There, Room::Perhaps));
}

pub async fn one_whose_end_is_not_told_is_over_in_the_end(on: &Arc<dyn SharedLimits>) {
    let none = Duration::ZERO;
    assert_eq!(on.admit("a", ticket(1), max(1), none).await.expect("limits that work"), Room::There);
    assert_eq!(admit(on, 2, 1).await, Room::There);
}

pub async fn a_failure_counts_once_however_often_it_is_told(on: &Arc<dyn SharedLimits>) {
    for _ in 0..3 {
        settle(on, None, Some(101)).await;
    }
    assert_eq!(admit(on, 1, 2).await, Room::There);
    assert_eq!(admit(on, 2, 2).await, Room::Perhaps);
}

pub async fn of_many_who_are_let_in_at_once_as_many_are_as_may_fail(on: &Arc<dyn SharedLimits>) {
    let rooms = race(12, |racer| {
        let on = Arc::clone(on);
        async move { admit(&on, u8::try_from(racer).expect("few"), 5).await }
    })
    .await;
    assert_eq!(rooms.iter().filter(|room| **room == Room::There).count(), 5, "{rooms:?}");
}
