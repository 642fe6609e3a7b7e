//! The sentences of [`Payments`], told with the scripted tokens of the built-in provider.

use crate::fixtures::{authorize, race, usd};
use app::ports::{self, Authorization, Authorize, Charge, ChargeStatus, DidItHappen, Payments, PortError, PortErrorKind, Taken};
use domain::checkout::PaymentError;
use domain::ids::{AttemptId, RefundId};
use std::sync::Arc;

/// One test for each sentence of [`Payments`]; the expression gives a fresh `Arc<dyn Payments>`.
#[macro_export]
macro_rules! payments {
    ($make:expr) => {
        $crate::tests! { payments, $make,
            an_authorization_sets_money_aside_is_declined_or_wants_a_challenge
            an_authorization_sent_again_has_no_second_effect_and_gives_the_first_answer
            a_key_stands_for_one_amount
            of_many_authorizations_at_once_under_one_key_all_get_one_answer
            a_capture_takes_the_authorized_amount_once
            a_capture_is_refused_when_there_is_no_authorization_to_take_from
            a_capture_the_provider_refuses_leaves_the_authorization_to_be_voided
            a_void_releases_an_authorization_once
            a_void_of_a_captured_charge_is_refused
            a_key_the_provider_has_never_seen_is_closed_by_a_void
            of_a_capture_and_a_void_at_once_exactly_one_is_done
            a_refund_pays_the_captured_amount_back_once
            parts_of_the_captured_amount_are_paid_back_each_once
            of_many_refunds_at_once_no_more_is_paid_back_than_was_captured
            a_refund_is_refused_when_more_would_be_paid_back_than_was_captured
            a_refund_is_refused_when_nothing_was_captured
            nothing_is_known_under_a_key_never_used
            an_error_had_no_effect_or_can_be_reconciled
            an_authorization_that_timed_out_before_charging_left_nothing
            an_authorization_that_timed_out_after_charging_is_found
        }
    };
}

type Provider = Arc<dyn Payments>;

async fn authorized(on: &Provider, n: u128, token: &str) -> Authorization {
    on.authorize(AttemptId(n), &authorize(token)).await.expect("an answer")
}

async fn known(on: &Provider, n: u128) -> Option<ChargeStatus> {
    let charge = on.find(AttemptId(n)).await.expect("an answer");
    assert!(charge.as_ref().is_none_or(|c| c.amount == usd(1299)), "{charge:?}");
    charge.map(|c| c.status)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Capture,
    Void,
    /// Of everything.
    Refund,
}
use Call::{Capture, Refund, Void};

async fn called(on: &Provider, n: u128, call: Call) -> Taken {
    let key = AttemptId(n);
    match call {
        Capture => on.capture(key).await,
        Void => on.void(key).await,
        Refund => on.refund(key, &whole(n)).await,
    }
    .expect("an answer")
}

fn whole(n: u128) -> ports::Refund {
    ports::Refund { id: RefundId(n), amount: usd(1299) }
}

async fn paid_back(on: &Provider, id: u128, amount: i64) -> Taken {
    on.refund(AttemptId(1), &ports::Refund { id: RefundId(id), amount: usd(amount) }).await.expect("an answer")
}

async fn refunded(on: &Provider) -> (i64, ChargeStatus) {
    let charge = on.find(AttemptId(1)).await.expect("an answer").expect("a charge");
    (charge.refunded.minor(), charge.status)
}

async fn done(on: &Provider, n: u128, call: Call) {
    assert_eq!(called(on, n, call).await, Taken::Done, "{call:?}");
}

async fn refused(on: &Provider, n: u128, call: Call) {
    let taken = called(on, n, call).await;
    assert!(matches!(&taken, Taken::Refused(error) if !error.code.is_empty()), "{call:?}: {taken:?}");
}

fn decline_code(authorization: &Authorization) -> Option<&str> {
    match authorization {
        Authorization::Declined(PaymentError { code, .. }) => Some(code),
        Authorization::Approved | Authorization::Challenge { .. } => None,
    }
}

pub async fn an_authorization_sets_money_aside_is_declined_or_wants_a_challenge(on: &Provider) {
    for (n, token) in (1..).zip(["tok_visa", "tok_mastercard", "tok_capture_fails"]) {
        assert_eq!(authorized(on, n, token).await, Authorization::Approved, "{token}");
        assert_eq!(known(on, n).await, Some(ChargeStatus::Authorized), "{token}");
    }
    for (n, (token, code)) in (11..).zip([
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_expired_card", "expired_card"),
        ("tok_of_another_provider", "invalid_token"),
    ]) {
        let authorization = authorized(on, n, token).await;
        assert_eq!(decline_code(&authorization), Some(code), "{token}");
        assert!(matches!(known(on, n).await, Some(ChargeStatus::Declined(error)) if error.code == code), "{token}");
    }
    let Authorization::Challenge { url } = authorized(on, 21, "tok_requires_action").await else { panic!("no challenge") };
    assert!(!url.is_empty());
    assert_eq!(known(on, 21).await, Some(ChargeStatus::Challenged { url }));
}

pub async fn an_authorization_sent_again_has_no_second_effect_and_gives_the_first_answer(on: &Provider) {
    for (n, token) in (1..).zip(["tok_visa", "tok_declined", "tok_requires_action"]) {
        let first = authorized(on, n, token).await;
        let status = known(on, n).await;
        for other in [token, "tok_visa", "tok_declined"] {
            let again = Authorize { reference: "CW-OTHER".to_owned(), ..authorize(other) };
            assert_eq!(on.authorize(AttemptId(n), &again).await.expect("an answer"), first, "{token}, then {other}");
            assert_eq!(known(on, n).await, status, "{token}, then {other}");
        }
    }
    done(on, 1, Capture).await;
    assert_eq!(authorized(on, 1, "tok_visa").await, Authorization::Approved);
    assert_eq!(known(on, 1).await, Some(ChargeStatus::Captured));
}

pub async fn a_key_stands_for_one_amount(on: &Provider) {
    for (n, token) in (1..).zip(["tok_visa", "tok_declined", "tok_requires_action"]) {
        authorized(on, n, token).await;
        let status = known(on, n).await;
        for amount in [1, 1298, 1300] {
            let other = Authorize { amount: usd(amount), ..authorize(token) };
            let error = on.authorize(AttemptId(n), &other).await.expect_err("an error");
            assert_eq!(error.kind, PortErrorKind::Corrupt, "{token}, {amount}");
            assert_eq!(known(on, n).await, status, "{token}, {amount}");
        }
    }
}

pub async fn of_many_authorizations_at_once_under_one_key_all_get_one_answer(on: &Provider) {
    let answers = race(20, |racer| {
        let on = Arc::clone(on);
        async move { authorized(&on, 1, if racer % 2 == 0 { "tok_visa" } else { "tok_declined" }).await }
    })
    .await;
    assert!(answers.iter().all(|a| *a == answers[0]), "{answers:?}");
}

pub async fn a_capture_takes_the_authorized_amount_once(on: &Provider) {
    authorized(on, 1, "tok_visa").await;
    for _ in 0..3 {
        done(on, 1, Capture).await;
        assert_eq!(known(on, 1).await, Some(ChargeStatus::Captured));
    }
    done(on, 1, Refund).await;
    done(on, 1, Capture).await;
    assert_eq!(known(on, 1).await, Some(ChargeStatus::Refunded));
}

pub async fn a_capture_is_refused_when_there_is_no_authorization_to_take_from(on: &Provider) {
    refused(on, 1, Capture).await;
    for (n, token) in (2..).zip(["tok_declined", "tok_requires_action"]) {
        authorized(on, n, token).await;
        refused(on, n, Capture).await;
    }
    authorized(on, 4, "tok_visa").await;
    done(on, 4, Void).await;
    refused(on, 4, Capture).await;
    assert_eq!(known(on, 4).await, Some(ChargeStatus::Voided));
}

pub async fn a_capture_the_provider_refuses_leaves_the_authorization_to_be_voided(on: &Provider) {
    authorized(on, 1, "tok_capture_fails").await;
    for _ in 0..2 {
        refused(on, 1, Capture).await;
        assert_eq!(known(on, 1).await, Some(ChargeStatus::Authorized));
    }
    done(on, 1, Void).await;
    assert_eq!(known(on, 1).await, Some(ChargeStatus::Voided));
}

pub async fn a_void_releases_an_authorization_once(on: &Provider) {
    for (n, token) in (1..).zip(["tok_visa", "tok_requires_action"]) {
        authorized(on, n, token).await;
        for _ in 0..3 {
            done(on, n, Void).await;
            assert_eq!(known(on, n).await, Some(ChargeStatus::Voided), "{token}");
        }
        refused(on, n, Refund).await;
    }
}

pub async fn a_void_of_a_captured_charge_is_refused(on: &Provider) {
    authorized(on, 1, "tok_visa").await;
    done(on, 1, Capture).await;
    refused(on, 1, Void).await;
    assert_eq!(known(on, 1).await, Some(ChargeStatus::Captured));
    done(on, 1, Refund).await;
    refused(on, 1, Void).await;
    assert_eq!(known(on, 1).await, Some(ChargeStatus::Refunded));
}

pub async fn a_key_the_provider_has_never_seen_is_closed_by_a_void(on: &Provider) {
    for (n, token) in (1..).zip(["tok_visa", "tok_timeout_before", "tok_timeout_after", "tok_flaky", "tok_requires_action"]) {
        done(on, n, Void).await;
        done(on, n, Void).await;
        let late = authorized(on, n, token).await;
        assert_eq!(decline_code(&late), Some("voided"), "{token}");
        refused(on, n, Capture).await;
        done(on, n, Void).await;
    }
}

pub async fn of_a_capture_and_a_void_at_once_exactly_one_is_done(on: &Provider) {
    for n in 1..=20 {
        authorized(on, n, "tok_visa").await;
        let taken = race(2, |racer| {
            let on = Arc::clone(on);
            async move { called(&on, n, if racer == 0 { Capture } else { Void }).await }
        })
        .await;
        assert_eq!(taken.iter().filter(|t| **t == Taken::Done).count(), 1, "{taken:?}");
    }
}

pub async fn a_refund_pays_the_captured_amount_back_once(on: &Provider) {
    authorized(on, 1, "tok_visa").await;
    done(on, 1, Capture).await;
    for _ in 0..3 {
        done(on, 1, Refund).await;
        assert_eq!(known(on, 1).await, Some(ChargeStatus::Refunded));
    }
}

pub async fn parts_of_the_captured_amount_are_paid_back_each_once(on: &Provider) {
    authorized(on, 1, "tok_visa").await;
    done(on, 1, Capture).await;
    for (id, amount, sum, status) in [
        (7, 300, 300, ChargeStatus::Captured),
        (7, 300, 300, ChargeStatus::Captured),
        (8, 300, 600, ChargeStatus::Captured),
        (9, 699, 1299, ChargeStatus::Refunded),
        (8, 300, 1299, ChargeStatus::Refunded),
    ] {
        assert_eq!(paid_back(on, id, amount).await, Taken::Done, "{id}");
        assert_eq!(refunded(on).await, (sum, status), "{id}");
    }
}

pub async fn of_many_refunds_at_once_no_more_is_paid_back_than_was_captured(on: &Provider) {
    authorized(on, 1, "tok_visa").await;
    done(on, 1, Capture).await;
    let taken = race(10, |racer| {
        let on = Arc::clone(on);
        async move { paid_back(&on, racer.into(), 400).await }
    })
    .await;
    assert_eq!(taken.iter().filter(|t| **t == Taken::Done).count(), 3, "{taken:?}");
    assert_eq!(refunded(on).await, (1200, ChargeStatus::Captured));
}

pub async fn a_refund_is_refused_when_more_would_be_paid_back_than_was_captured(on: &Provider) {
    authorized(on, 1, "tok_visa").await;
    done(on, 1, Capture).await;
    for (id, amount, sum, fits) in [
        (1, 1300, 0, false),
        (1, 0, 0, false),
        (2, 1000, 1000, true),
        (3, 300, 1000, false),
        (4, -1, 1000, false),
        (5, 299, 1299, true),
        (6, 1, 1299, false),
    ] {
        let taken = paid_back(on, id, amount).await;
        assert_eq!(taken == Taken::Done, fits, "{amount}: {taken:?}");
        assert_eq!(refunded(on).await.0, sum, "{amount}");
    }
}

pub async fn a_refund_is_refused_when_nothing_was_captured(on: &Provider) {
    refused(on, 1, Refund).await;
    for (n, token) in (2..).zip(["tok_visa", "tok_declined", "tok_requires_action"]) {
        authorized(on, n, token).await;
        refused(on, n, Refund).await;
    }
    done(on, 2, Capture).await;
    done(on, 2, Refund).await;
}

pub async fn nothing_is_known_under_a_key_never_used(on: &Provider) {
    assert_eq!(on.find(AttemptId(1)).await.expect("an answer"), None);
    authorized(on, 2, "tok_visa").await;
    assert_eq!(on.find(AttemptId(1)).await.expect("an answer"), None);
    let charge = Charge { amount: usd(1299), status: ChargeStatus::Authorized, refunded: usd(0) };
    assert_eq!(on.find(AttemptId(2)).await.expect("an answer"), Some(charge));
}

async fn failure(on: &Provider, n: u128, token: &str) -> (PortErrorKind, DidItHappen) {
    let PortError { kind, did_it_happen, .. } = on.authorize(AttemptId(n), &authorize(token)).await.expect_err("an error");
    (kind, did_it_happen)
}

pub async fn an_error_had_no_effect_or_can_be_reconciled(on: &Provider) {
    for n in 1..=2 {
        // It fails twice; an adapter may try again by itself before it gives up.
        let mut answer = on.authorize(AttemptId(n), &authorize("tok_flaky")).await;
        for _ in 0..2 {
            let Err(error) = answer else { break };
            assert_eq!((error.kind, known(on, n).await), (PortErrorKind::Unavailable, None));
            answer = on.authorize(AttemptId(n), &authorize("tok_flaky")).await;
        }
        assert_eq!(answer.expect("an answer"), Authorization::Approved);
        assert_eq!(authorized(on, n, "tok_flaky").await, Authorization::Approved);
        assert_eq!(known(on, n).await, Some(ChargeStatus::Authorized));
    }
}

pub async fn an_authorization_that_timed_out_before_charging_left_nothing(on: &Provider) {
    for _ in 0..2 {
        assert_eq!(failure(on, 1, "tok_timeout_before").await, (PortErrorKind::Timeout, DidItHappen::Unknown));
        assert_eq!(known(on, 1).await, None);
    }
}

pub async fn an_authorization_that_timed_out_after_charging_is_found(on: &Provider) {
    for _ in 0..2 {
        assert_eq!(failure(on, 1, "tok_timeout_after").await, (PortErrorKind::Timeout, DidItHappen::Unknown));
        assert_eq!(known(on, 1).await, Some(ChargeStatus::Authorized));
    }
    done(on, 1, Capture).await;
    assert_eq!(known(on, 1).await, Some(ChargeStatus::Captured));
}
