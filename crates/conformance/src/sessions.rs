//! The sentences of [`Sessions`].

use crate::Subject;
use crate::fixtures::{START, answer, at, digest, mark, race, session, session_event, text};
use app::ports::Sessions;
use domain::ids::{CustomerId, SessionId, Version};
use domain::session::{Session, SessionEvent};
use domain::time::Timestamp;
use std::sync::Arc;

/// One test for each sentence of [`Sessions`].
#[macro_export]
macro_rules! sessions {
    ($how:ident, $make:expr) => {
        $crate::$how! { sessions, $make,
            a_new_session_is_there_under_its_token_and_its_id
            an_expired_session_is_not_there
            an_ended_session_is_not_there
            a_session_is_replaced_while_its_stored_version_is_the_expected_one
            of_two_saves_at_once_with_one_expected_version_exactly_one_is_done
            an_answer_is_remembered_with_the_session_it_came_with
            every_change_leaves_its_event_and_a_refused_one_none
            sessions_that_have_expired_are_removed
        }
    };
    ($make:expr) => {
        $crate::sessions!(tests, $make);
    };
}

async fn create(on: &Subject, n: u8, session: Session) {
    let event = session_event(session.id.0, 1, SessionEvent::Started);
    on.sessions.create(session, digest(n), event).await.expect("a store that works");
}

async fn loaded(on: &Subject, n: u128, now: Timestamp) -> Option<Session> {
    on.sessions.load(SessionId(n), now).await.expect("a store that works").map(|s| (*s).clone())
}

async fn by_token(on: &Subject, n: u8, now: Timestamp) -> Option<Session> {
    on.sessions.by_token(digest(n), now).await.expect("a store that works").map(|s| (*s).clone())
}

async fn save(sessions: &dyn Sessions, session: Session, expected: u64) -> bool {
    let event = session_event(session.id.0, session.version.0, SessionEvent::Updated);
    sessions.save(session, Version(expected), event, None).await.expect("a store that works")
}

async fn end(on: &Subject, n: u128) -> bool {
    on.sessions.end(SessionId(n), session_event(n, 2, SessionEvent::Ended)).await.expect("a store that works")
}

/// Session 1, opened by a customer without a device.
fn customers() -> Session {
    Session { customer: CustomerId::parse("alice"), device: None, ..session(1) }
}

pub async fn a_new_session_is_there_under_its_token_and_its_id(on: &Subject) {
    assert_eq!((loaded(on, 1, START).await, by_token(on, 1, START).await), (None, None));
    for (n, session) in [(1, customers()), (2, session(2))] {
        create(on, n, session.clone()).await;
        assert_eq!(loaded(on, u128::from(n), START).await, Some(session.clone()));
        assert_eq!(by_token(on, n, START).await, Some(session));
    }
    assert_eq!(by_token(on, 3, START).await, None);
}

pub async fn an_expired_session_is_not_there(on: &Subject) {
    create(on, 1, session(1)).await;
    for (now, there) in [(at(99), true), (at(100), false), (at(1000), false)] {
        assert_eq!((loaded(on, 1, now).await.is_some(), by_token(on, 1, now).await.is_some()), (there, there), "{now:?}");
    }
}

pub async fn an_ended_session_is_not_there(on: &Subject) {
    create(on, 1, session(1)).await;
    assert!(end(on, 1).await);
    assert_eq!((loaded(on, 1, START).await, by_token(on, 1, START).await), (None, None));
    assert!(!end(on, 1).await);
    assert!(!end(on, 2).await);
}

pub async fn a_session_is_replaced_while_its_stored_version_is_the_expected_one(on: &Subject) {
    create(on, 1, session(1)).await;
    let at_version = |version| Session { expires_at: at(500), device: Some(text("A phone")), version: Version(version), ..session(1) };
    for (session, expected, saved) in [
        (at_version(1), 0, false),
        (at_version(3), 2, false),
        (at_version(2), 1, true),
        (at_version(2), 1, false),
        (at_version(3), 2, true),
        (session(7), 1, false),
    ] {
        assert_eq!(save(&*on.sessions, session.clone(), expected).await, saved, "{:?} on {expected}", session.version);
    }
    assert_eq!((loaded(on, 1, at(499)).await, by_token(on, 1, at(499)).await), (Some(at_version(3)), Some(at_version(3))));
    assert_eq!(loaded(on, 7, START).await, None);
}

pub async fn of_two_saves_at_once_with_one_expected_version_exactly_one_is_done(on: &Subject) {
    for round in 1..=10_u8 {
        let n = u128::from(round);
        create(on, round, session(n)).await;
        let outcomes = race(2, |racer| {
            let sessions = Arc::clone(&on.sessions);
            let next = Session { version: Version(2), expires_at: at(200 + i64::from(racer)), ..session(n) };
            async move { save(&*sessions, next, 1).await }
        })
        .await;
        assert!(outcomes.contains(&true) && outcomes.contains(&false), "{outcomes:?}");
    }
}

pub async fn an_answer_is_remembered_with_the_session_it_came_with(on: &Subject) {
    create(on, 1, session(1)).await;
    let save = async |expected, n| {
        let next = Session { version: Version(2), ..session(1) };
        let event = session_event(1, 2, SessionEvent::Updated);
        on.sessions.save(next, Version(expected), event, Some(answer(n, "saved", START))).await.expect("a store that works")
    };
    assert_eq!((save(9, 1).await, save(1, 2).await), (false, true));
    let remembered = async |n| on.sessions.answer(mark(n).key).await.expect("a store that works");
    assert_eq!((remembered(1).await, remembered(2).await), (None, Some(answer(2, "saved", START))));
}

pub async fn every_change_leaves_its_event_and_a_refused_one_none(on: &Subject) {
    create(on, 1, session(1)).await;
    let next = Session { version: Version(2), ..session(1) };
    assert!(save(&*on.sessions, next.clone(), 1).await);
    assert!(!save(&*on.sessions, next, 1).await);
    let ended = session_event(1, 3, SessionEvent::Ended);
    for there in [true, false] {
        assert_eq!(on.sessions.end(SessionId(1), ended.clone()).await.expect("a store that works"), there);
    }
    let pending = on.outbox.pending(10).await.expect("a store that works");
    let told: Vec<_> = pending.iter().map(|p| (p.event.sequence, p.event.event.name())).collect();
    assert_eq!(told, vec![(1, "session.started"), (2, "session.updated"), (3, "session.ended")]);
}

pub async fn sessions_that_have_expired_are_removed(on: &Subject) {
    for (n, expires) in [(1, 10), (2, 20), (3, 30), (4, 40)] {
        create(on, n, Session { expires_at: at(expires), ..session(u128::from(n)) }).await;
    }
    let sweep = async |now, limit| on.sessions.sweep(now, limit).await.expect("a store that works");
    assert_eq!(sweep(at(9), 10).await, 0);
    assert_eq!(sweep(at(30), 2).await, 2);
    assert_eq!(sweep(at(30), 10).await, 1);
    assert_eq!(sweep(at(30), 10).await, 0);
    for (n, there) in [(1, false), (2, false), (3, false), (4, true)] {
        assert_eq!(loaded(on, n, START).await.is_some(), there, "session {n}");
    }
}
