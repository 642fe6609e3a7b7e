//! The sentences of [`Outbox`](app::ports::Outbox).

use crate::Subject;
use crate::fixtures::{
    START, add, append, at, cart, cart_of, changed, digest, guest, move_stock, moved, placed, race, save_cart, session, session_event,
    trace,
};
use app::ports::{AtLeast, CartChange, Change, Pending, Saved};
use domain::cart::{Cart, Command};
use domain::event::Outgoing;
use domain::ids::{CartId, EditionId};
use domain::session::SessionEvent;
use domain::stock::StockChange;
use domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One test for each sentence of [`Outbox`](app::ports::Outbox).
#[macro_export]
macro_rules! outbox {
    ($how:ident, $make:expr) => {
        $crate::$how! { outbox, $make,
            events_committed_with_their_cause_are_pending_as_they_were_given
            events_are_pending_as_many_as_are_asked_for
            delivered_events_are_not_pending_any_more
            events_delivered_before_an_instant_are_forgotten
            events_of_one_subject_come_in_their_sequence_whoever_wrote_them
        }
    };
    ($make:expr) => {
        $crate::outbox!(tests, $make);
    };
}

async fn pending(on: &Subject, limit: usize) -> Vec<Pending> {
    on.outbox.pending(limit).await.expect("a store that works")
}

async fn delivered(on: &Subject, pending: &[Pending], now: Timestamp) {
    let positions: Vec<_> = pending.iter().map(|p| p.position.clone()).collect();
    on.outbox.delivered(&positions, now).await.expect("a store that works");
}

async fn save(on: &Subject, change: CartChange) {
    let saved = on.carts.save(change, START).await.expect("a store that works");
    assert!(matches!(saved, Saved::Done), "{saved:?}");
}

/// Five carts with their two events each.
async fn ten_events(on: &Subject) -> Vec<Outgoing> {
    let mut events = Vec::new();
    for n in 1..=5 {
        let decided = cart_of(n, guest(n), START);
        events.extend(decided.events.clone());
        save(on, save_cart(&decided, 0)).await;
    }
    events
}

fn events(pending: &[Pending]) -> Vec<Outgoing> {
    by_subject(pending.iter().map(|p| p.event.clone()).collect())
}

/// A store that is spread over several places has one order for each subject, not one for all.
fn by_subject(mut events: Vec<Outgoing>) -> Vec<Outgoing> {
    events.sort_by_key(|event| event.subject);
    events
}

pub async fn events_committed_with_their_cause_are_pending_as_they_were_given(on: &Subject) {
    let mut decided = changed(&Cart { version: domain::ids::Version(0), ..cart(1) }, &[add(2, 3), Command::Clear], at(1));
    decided.events[1].trace = trace(Some("a=\"1\",b=2"));
    save(on, save_cart(&decided, 0)).await;
    let placed = placed(1, at(2));
    let mut expected = decided.events;
    expected.extend(placed.outgoing());
    on.ledger.commit(Change { outbox: placed.outgoing().collect(), ..append(placed) }, START).await.expect("a store that works");
    let started = Outgoing { trace: trace(None), ..session_event(1, 1, SessionEvent::Started) };
    on.sessions.create(session(1), digest(1), started.clone()).await.expect("a store that works");
    expected.push(started);
    assert_eq!(events(&pending(on, 100).await), by_subject(expected));
}

pub async fn events_are_pending_as_many_as_are_asked_for(on: &Subject) {
    assert_eq!(pending(on, 10).await, vec![]);
    let all = ten_events(on).await;
    let got = pending(on, 100).await;
    assert_eq!(events(&got), by_subject(all));
    let few = pending(on, 3).await;
    assert_eq!(few.len(), 3);
    assert!(few.iter().all(|one| got.contains(one)), "{few:?}");
}

pub async fn delivered_events_are_not_pending_any_more(on: &Subject) {
    ten_events(on).await;
    let all = pending(on, 100).await;
    delivered(on, &all[..4], START).await;
    assert_eq!(pending(on, 100).await, all[4..]);
    delivered(on, &[all[0].clone(), all[5].clone()], START).await;
    assert_eq!(pending(on, 100).await, [&all[4..5], &all[6..]].concat());
    delivered(on, &all, START).await;
    assert_eq!(pending(on, 100).await, vec![]);
    delivered(on, &[], START).await;
    save(on, save_cart(&cart_of(6, guest(6), START), 0)).await;
    assert_eq!(pending(on, 100).await.len(), 2);
}

pub async fn events_delivered_before_an_instant_are_forgotten(on: &Subject) {
    ten_events(on).await;
    let all = pending(on, 100).await;
    delivered(on, &all[..3], at(10)).await;
    delivered(on, &all[3..5], at(20)).await;
    let forget = async |before, limit| on.outbox.forget_delivered(before, limit).await.expect("a store that works");
    let mut forgotten = Vec::new();
    for (before, limit) in [(10, 10), (20, 2), (20, 10), (1000, 10), (1000, 10)] {
        forgotten.push(forget(at(before), limit).await);
    }
    assert!([[0, 2, 1, 2, 0], [0; 5]].iter().any(|may_be| forgotten == may_be), "{forgotten:?}");
    assert_eq!(pending(on, 100).await, all[5..]);
}

pub async fn events_of_one_subject_come_in_their_sequence_whoever_wrote_them(on: &Subject) {
    for n in 1..=4 {
        save(on, save_cart(&cart_of(n, guest(n), START), 0)).await;
    }
    race(8, |racer| {
        let (carts, ledger) = (Arc::clone(&on.carts), Arc::clone(&on.ledger));
        async move {
            for n in 1..=4 {
                let receive = moved(n, StockChange::Receive(1), &format!("racer {racer}"));
                ledger.commit(move_stock([receive]), START).await.expect("a store that works");
                let mut current = carts.load(CartId(n), AtLeast::Now, START).await.expect("a store that works").expect("the cart");
                loop {
                    let next = changed(&current, &[add(9, 1)], at(1));
                    match carts.save(save_cart(&next, current.version.0), START).await.expect("a store that works") {
                        Saved::Done => break,
                        Saved::Conflict { current: Some(newer), .. } => current = newer,
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    })
    .await;
    let mut sequences: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    loop {
        let batch = pending(on, 7).await;
        if batch.is_empty() {
            break;
        }
        for Pending { event, .. } in &batch {
            sequences.entry(event.subject.to_string()).or_default().push(event.sequence);
        }
        delivered(on, &batch, START).await;
    }
    let expected: BTreeMap<_, _> =
        (1..=4).flat_map(|n| [(EditionId(n).to_string(), (1..=8).collect()), (CartId(n).to_string(), (1..=10).collect())]).collect();
    assert_eq!(sequences, expected);
}
