//! How the shop deals with a provider that is slow, busy or gone.

use crate::hostile::{Answer, Hostile};
use crate::{honest, payments, simulator};
use app::ports::{Authorization, DidItHappen, Payments, PortErrorKind};
use conformance::fixtures::{authorize, race};
use domain::ids::AttemptId;
use payments_http::{HttpPayments, Patience};
use std::time::Duration;

#[test]
fn an_address_is_plain_http() {
    for (url, good) in [
        ("http://127.0.0.1:8090", true),
        ("http://payments.internal/simulator/", true),
        ("http://[::1]:1/", true),
        ("https://127.0.0.1", false),
        ("http://user:password@127.0.0.1", false),
        ("http://127.0.0.1/?a=b", false),
        ("127.0.0.1:8090", false),
        ("", false),
    ] {
        assert_eq!(HttpPayments::new(url, Patience::default()).is_ok(), good, "{url}");
    }
}

/// Many calls one after the other; what each came to.
async fn calls(shop: &HttpPayments, keys: std::ops::Range<u128>) -> Vec<Result<Authorization, (PortErrorKind, DidItHappen)>> {
    let mut answers = Vec::new();
    for n in keys {
        let answer = shop.authorize(AttemptId(n), &authorize("tok_visa")).await;
        answers.push(answer.map_err(|error| (error.kind, error.did_it_happen)));
    }
    answers
}

#[tokio::test]
async fn a_provider_that_keeps_failing_is_left_alone_for_a_while() {
    let provider = Hostile::start(false, Answer::Status(500)).await;
    let patience = Patience { retries_max: 0, breaker_calls: 4, breaker_pause: Duration::from_secs(3600), ..Patience::default() };
    let shop = payments(provider.address, patience);
    let answers = calls(&shop, 0..20).await;
    let asked = provider.asked();
    assert!((4..=5).contains(&asked), "{asked} calls reached it");
    for (n, answer) in answers.into_iter().enumerate() {
        let did_it_happen = if n < asked { DidItHappen::Unknown } else { DidItHappen::No };
        assert_eq!(answer, Err((PortErrorKind::Unavailable, did_it_happen)), "{n}");
    }
}

#[tokio::test]
async fn a_provider_that_hangs_is_left_alone_for_a_while() {
    let provider = Hostile::start(false, Answer::Hang).await;
    let patience =
        Patience { timeout: Duration::from_millis(50), breaker_calls: 3, breaker_pause: Duration::from_secs(3600), ..Patience::default() };
    let shop = payments(provider.address, patience);
    let answers = calls(&shop, 0..20).await;
    let asked = provider.asked();
    assert!((3..=4).contains(&asked), "{asked} calls reached it");
    assert!(answers[asked..].iter().all(|a| *a == Err((PortErrorKind::Unavailable, DidItHappen::No))), "{answers:?}");
}

#[tokio::test]
async fn a_provider_that_came_back_is_asked_again() {
    let provider = Hostile::start(false, Answer::Status(503)).await;
    let patience = Patience { retries_max: 0, breaker_calls: 2, breaker_pause: Duration::from_millis(1), ..Patience::default() };
    let shop = payments(provider.address, patience);
    calls(&shop, 0..10).await;
    provider.becomes(Answer::Honest);
    for _ in 0..1000 {
        if calls(&shop, 100..101).await == [Ok(Authorization::Approved)] {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the breaker stays open");
}

#[tokio::test]
async fn answers_that_make_no_sense_do_not_open_the_breaker() {
    let provider = Hostile::start(false, Answer::Json("{}")).await;
    let shop = payments(provider.address, Patience { breaker_calls: 2, ..Patience::default() });
    let answers = calls(&shop, 0..10).await;
    assert_eq!((answers, provider.asked()), (vec![Err((PortErrorKind::Corrupt, DidItHappen::Unknown)); 10], 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_so_many_calls_are_under_way_and_the_rest_surely_did_not_happen() {
    let provider = Hostile::start(false, Answer::Hang).await;
    let patience = Patience { timeout: Duration::from_millis(500), calls_max: 2, ..Patience::default() };
    let shop = payments(provider.address, patience);
    let ends = race(8, |racer| {
        let shop = shop.clone();
        async move { shop.authorize(AttemptId(racer.into()), &authorize("tok_visa")).await.expect_err("an error") }
    })
    .await;
    let refused = ends.iter().filter(|e| (e.kind, e.did_it_happen) == (PortErrorKind::Unavailable, DidItHappen::No)).count();
    let hung = ends.iter().filter(|e| (e.kind, e.did_it_happen) == (PortErrorKind::Timeout, DidItHappen::Unknown)).count();
    assert_eq!((refused, hung, provider.asked()), (6, 2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_places_take_their_turns() {
    let simulator = simulator();
    let shop = payments(honest(&simulator).await, Patience { calls_max: 2, ..Patience::default() });
    let answers = race(50, |racer| {
        let shop = shop.clone();
        async move { shop.authorize(AttemptId(racer.into()), &authorize("tok_visa")).await.ok() }
    })
    .await;
    assert!(answers.iter().all(|a| *a == Some(Authorization::Approved)), "{answers:?}");
    assert_eq!(simulator.charges().len(), 50);
}
