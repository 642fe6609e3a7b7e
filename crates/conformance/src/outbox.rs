//! The sentences of [`Outbox`](app::ports::Outbox).

use crate::Subject;
use crate::fixtures::{
    START, add, append, at, cart, cart_of, changed, digest, guest, move_stock, moved, placed, race, save_cart, session, session_event,
};
use app::ports::{CartChange, Change, Pending, Saved};
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
    ($make:expr) => {
        $crate::tests! { outbox, $make,
            events_committed_with_their_cause_are_pending_as_they_were_given
            the_oldest_events_come_first
            delivered_events_are_not_pending_any_more
            events_delivered_before_an_instant_are_forgotten
            events_of_one_subject_come_in_their_sequence_whoever_wrote_them
        }
    };
}

async fn pending(on: &Subject, limit: usize) -> Vec<Pending> {
    on.outbox.pending(limit).await.expect("a store that works")
}

async fn delivered(on: &Subject, pending: &[Pending], now: Timestamp) {
    let positions: Vec<_> = pending.iter().map(|p| p.position).collect();
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
    pending.iter().map(|p| p.event.clone()).collect()
}

pub async fn events_committed_with_their_cause_are_pending_as_they_were_given(on: &Subject) {
    let decided = changed(&Cart { version: domain::ids::Version(0), ..cart(1) }, &[add(2, 3), Command::Clear], at(1));
    save(on, save_cart(&decided, 0)).await;
    let placed = placed(1, at(2));
    let mut expected = decided.events;
    expected.extend(placed.outgoing());
    on.ledger.commit(Change { outbox: placed.outgoing().collect(), ..append(placed) }, START).await.expect("a store that works");
    let started = session_event(1, 1, SessionEvent::Started);
    on.sessions.create(session(1), digest(1), started.clone()).await.expect("a store that works");
    expected.push(started);
    assert_eq!(events(&pending(on, 100).await), expected);
}

pub async fn the_oldest_events_come_first(on: &Subject) {
    assert_eq!(pending(on, 10).await, vec![]);
    let all = ten_events(on).await;
    let got = pending(on, 100).await;
    assert_eq!(events(&got), all);
    assert!(got.windows(2).all(|pair| pair[0].position < pair[1].position), "{got:?}");
    assert_eq!(pending(on, 3).await, got[..3]);
}

pub async fn delivered_events_are_not_pending_any_more(on: &Subject) {
    ten_events(on).await;
    let all = pending(on, 100).await;
    delivered(on, &all[..4], START).await;
    assert_eq!(pending(on, 100).await, all[4..]);
    delivered(on, &[all[0].clone(), all[5].clone()], START).await;
    assert_eq!(pending(on, 2).await, [all[4].clone(), all[6].clone()]);
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
    assert_eq!(forget(at(10), 10).await, 0);
    assert_eq!(forget(at(20), 2).await, 2);
    assert_eq!(forget(at(20), 10).await, 1);
    assert_eq!(forget(at(1000), 10).await, 2);
    assert_eq!(forget(at(1000), 10).await, 0);
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
                let mut current = carts.load(CartId(n), START).await.expect("a store that works").expect("the cart");
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
