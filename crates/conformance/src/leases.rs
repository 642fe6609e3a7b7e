//! The sentences of [`Leases`].

use crate::fixtures::{at, race, text};
use app::ports::{Fence, Job, Leases, NodeName};
use domain::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// One test for each sentence of [`Leases`]; the expression gives an `Arc<dyn Leases>`.
#[macro_export]
macro_rules! leases {
    ($make:expr) => {
        $crate::tests! { leases, $make,
            a_job_that_nobody_holds_goes_to_whoever_asks
            a_job_whose_time_has_run_out_goes_to_the_next_with_a_greater_fence
            the_holder_renews_with_the_fence_it_has
            of_many_who_ask_at_once_one_holds_the_job
            jobs_are_held_apart
            a_job_given_up_can_be_had_at_once
            giving_up_with_an_old_fence_changes_nothing
            what_is_held_is_told_and_what_has_run_out_or_was_given_up_is_not
            a_slot_begins_once
            a_slot_does_not_begin_under_an_old_fence
        }
    };
}

const KEEP: Duration = Duration::from_secs(10);

fn job(name: &str) -> Job {
    text(name)
}

fn node(name: &str) -> NodeName {
    text(name)
}

async fn take(on: &Arc<dyn Leases>, holder: &str, now: Timestamp) -> Option<Fence> {
    on.take(&job("relay"), &node(holder), KEEP, now).await.expect("a store that works")
}

async fn give_up(on: &Arc<dyn Leases>, fence: Fence) {
    on.give_up(&job("relay"), fence).await.expect("a store that works");
}

async fn begin(on: &Arc<dyn Leases>, slot: i64, fence: Fence, now: Timestamp) -> bool {
    on.begin(&job("relay"), at(slot), fence, now).await.expect("a store that works")
}

pub async fn a_job_that_nobody_holds_goes_to_whoever_asks(on: &Arc<dyn Leases>) {
    assert!(take(on, "a", at(0)).await.is_some());
    assert_eq!(take(on, "b", at(1)).await, None);
}

pub async fn a_job_whose_time_has_run_out_goes_to_the_next_with_a_greater_fence(on: &Arc<dyn Leases>) {
    let first = take(on, "a", at(0)).await.expect("the job");
    assert_eq!(take(on, "b", at(9)).await, None);
    let second = take(on, "b", at(10)).await.expect("the job");
    assert!(second > first);
    assert_eq!(take(on, "a", at(11)).await, None);
    // Its own, but lost in between: somebody may have held it, so it is a new one.
    assert!(take(on, "b", at(30)).await.expect("the job") > second);
}

pub async fn the_holder_renews_with_the_fence_it_has(on: &Arc<dyn Leases>) {
    let fence = take(on, "a", at(0)).await;
    for second in [5, 12, 20] {
        assert_eq!(take(on, "a", at(second)).await, fence);
        assert_eq!(take(on, "b", at(second + 1)).await, None);
    }
}

pub async fn of_many_who_ask_at_once_one_holds_the_job(on: &Arc<dyn Leases>) {
    let got = race(8, |racer| {
        let on = Arc::clone(on);
        async move { take(&on, &format!("node {racer}"), at(0)).await }
    })
    .await;
    assert_eq!(got.iter().flatten().count(), 1, "{got:?}");
}

pub async fn jobs_are_held_apart(on: &Arc<dyn Leases>) {
    assert!(take(on, "a", at(0)).await.is_some());
    assert!(on.take(&job("saga"), &node("b"), KEEP, at(0)).await.expect("a store that works").is_some());
}

pub async fn a_job_given_up_can_be_had_at_once(on: &Arc<dyn Leases>) {
    let first = take(on, "a", at(0)).await.expect("the job");
    give_up(on, first).await;
    assert!(take(on, "b", at(1)).await.expect("the job") > first);
}

pub async fn giving_up_with_an_old_fence_changes_nothing(on: &Arc<dyn Leases>) {
    let first = take(on, "a", at(0)).await.expect("the job");
    assert!(take(on, "b", at(10)).await.is_some());
    give_up(on, first).await;
    assert_eq!(take(on, "a", at(11)).await, None);
}

pub async fn what_is_held_is_told_and_what_has_run_out_or_was_given_up_is_not(on: &Arc<dyn Leases>) {
    let held = async |now| {
        let mut held = on.held(now).await.expect("a store that works");
        held.sort_unstable();
        held
    };
    assert_eq!(held(at(0)).await, []);
    let relay = take(on, "a", at(0)).await.expect("the job");
    assert!(on.take(&job("saga"), &node("b"), KEEP, at(5)).await.expect("a store that works").is_some());
    assert_eq!(held(at(6)).await, [(job("relay"), node("a")), (job("saga"), node("b"))]);
    assert_eq!(held(at(10)).await, [(job("saga"), node("b"))]);
    assert!(take(on, "a", at(11)).await.is_some_and(|fence| fence > relay));
    give_up(on, take(on, "a", at(12)).await.expect("the job")).await;
    assert_eq!(held(at(12)).await, [(job("saga"), node("b"))]);
}

pub async fn a_slot_begins_once(on: &Arc<dyn Leases>) {
    let first = take(on, "a", at(0)).await.expect("the job");
    assert!(begin(on, 100, first, at(1)).await);
    assert!(!begin(on, 100, first, at(1)).await);
    assert!(begin(on, 200, first, at(1)).await);
    assert!(!begin(on, 100, first, at(1)).await, "a slot before the last one is over");
    let second = take(on, "b", at(10)).await.expect("the job");
    assert!(!begin(on, 200, second, at(11)).await);
    assert!(begin(on, 300, second, at(11)).await);
}

pub async fn a_slot_does_not_begin_under_an_old_fence(on: &Arc<dyn Leases>) {
    let first = take(on, "a", at(0)).await.expect("the job");
    assert!(!begin(on, 100, first, at(10)).await, "its time has run out");
    let second = take(on, "b", at(10)).await.expect("the job");
    assert!(!begin(on, 100, first, at(11)).await);
    assert!(begin(on, 100, second, at(11)).await);
    give_up(on, second).await;
    assert!(!begin(on, 200, second, at(12)).await);
}
