//! The sentences of [`Bus`].

use crate::fixtures::{START, add, at, cart_of, changed, guest};
use app::ports::Bus;
use async_trait::async_trait;
use domain::event::{Outgoing, Subject};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A bus under test, and somebody who listens to everything on it.
pub struct BusSubject {
    pub bus: Arc<dyn Bus>,
    pub listener: Arc<dyn Listener>,
    /// What must outlive the bus.
    pub guard: Box<dyn Any + Send>,
}

impl std::fmt::Debug for BusSubject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BusSubject")
    }
}

#[async_trait]
pub trait Listener: Send + Sync {
    /// The ids of all events heard so far, repeats too, as soon as there are so many.
    async fn heard(&self, at_least: usize) -> Vec<String>;

    /// From here on publishing fails.
    async fn cut(&self);

    /// What was cut works again, though perhaps not at once.
    async fn mend(&self);
}

/// One test for each sentence of [`Bus`].
#[macro_export]
macro_rules! bus {
    ($make:expr) => {
        $crate::tests! { bus, $make,
            events_are_handed_over_in_order
            ok_means_that_all_of_them_are_in_safe_hands
            after_an_error_they_are_sent_again_and_a_repeat_is_known_by_its_id
        }
    };
}

/// The events of five carts, three each, as they are committed: of several carts in turn.
fn events() -> Vec<Outgoing> {
    let carts: Vec<_> = (1..=5).map(|n| cart_of(n, guest(n), START)).collect();
    let firsts = carts.iter().flat_map(|c| c.events.clone());
    let seconds = carts.iter().flat_map(|c| changed(&c.cart, &[add(9, 1)], at(1)).events);
    firsts.chain(seconds).collect()
}

fn ids(events: &[Outgoing]) -> Vec<String> {
    events.iter().map(Outgoing::id).collect()
}

/// Publishes as the relay does: again and again until it works.
#[expect(clippy::disallowed_methods, reason = "what was mended may need a moment")]
async fn until_published(on: &BusSubject, events: &[Outgoing]) {
    for _ in 0..600 {
        if on.bus.publish(events).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a bus that works again");
}

pub async fn events_are_handed_over_in_order(on: &BusSubject) {
    let events = events();
    on.bus.publish(&events[..8]).await.expect("a bus that works");
    on.bus.publish(&[]).await.expect("nothing to publish");
    on.bus.publish(&events[8..]).await.expect("a bus that works");
    assert_eq!(on.listener.heard(events.len()).await, ids(&events));
}

pub async fn ok_means_that_all_of_them_are_in_safe_hands(on: &BusSubject) {
    let events = events();
    on.bus.publish(&events).await.expect("a bus that works");
    on.listener.cut().await;
    on.listener.mend().await;
    assert_eq!(on.listener.heard(events.len()).await, ids(&events));
}

pub async fn after_an_error_they_are_sent_again_and_a_repeat_is_known_by_its_id(on: &BusSubject) {
    let events = events();
    until_published(on, &events[..5]).await;
    on.listener.cut().await;
    for _ in 0..3 {
        on.bus.publish(&events[5..]).await.expect_err("a bus that is cut");
    }
    on.listener.mend().await;
    until_published(on, &events[5..]).await;
    let mut known = Vec::new();
    for id in on.listener.heard(events.len()).await {
        if !known.contains(&id) {
            known.push(id);
        }
    }
    let of = |subject: Subject, ids: &[String]| ids.iter().filter(|id| id.starts_with(&subject.to_string())).cloned().collect::<Vec<_>>();
    let subjects: BTreeMap<_, _> = events.iter().map(|e| (e.subject, ())).collect();
    for subject in subjects.into_keys() {
        assert_eq!(of(subject, &known), of(subject, &ids(&events)), "{subject}");
    }
}
