use app::ports::{Authorization, ChargeStatus, DidItHappen, Payments, PortErrorKind, Refund, Taken};
use conformance::fixtures::{authorize, race, usd};
use domain::ids::{AttemptId, RefundId};
use memory::ManualClock;
use memory::simulator::PaymentSimulator;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_millis(5);

mod in_memory {
    use super::*;

    fn provider() -> Arc<dyn Payments> {
        Arc::new(PaymentSimulator::in_memory(TIMEOUT))
    }

    conformance::payments!(provider());
}

mod in_simulation {
    use super::*;

    fn provider() -> Arc<dyn Payments> {
        Arc::new(PaymentSimulator::in_memory(Duration::ZERO))
    }

    conformance::payments!(provider());
}

mod on_a_file {
    use super::*;

    /// The directory goes at once; the open file stays until the provider is dropped.
    fn provider() -> Arc<dyn Payments> {
        let directory = tempfile::tempdir().expect("a directory");
        Arc::new(PaymentSimulator::open(directory.path().join("payments.jsonl"), TIMEOUT).expect("a journal"))
    }

    conformance::payments!(provider());
}

async fn authorized(provider: &PaymentSimulator, n: u128, token: &str) -> Option<Authorization> {
    provider.authorize(AttemptId(n), &authorize(token)).await.ok()
}

fn refund(id: u128, amount: i64) -> Refund {
    Refund { id: RefundId(id), amount: usd(amount) }
}

fn statuses(provider: &PaymentSimulator) -> BTreeMap<u128, ChargeStatus> {
    provider.charges().into_iter().map(|(key, charge)| (key.0, charge.status)).collect()
}

/// One charge in every status; key 6 has failed once, key 7 is closed.
async fn busy(provider: &PaymentSimulator) {
    for (n, token) in
        [(1, "tok_visa"), (2, "tok_mastercard"), (3, "tok_visa"), (4, "tok_visa"), (5, "tok_requires_action"), (6, "tok_flaky")]
    {
        authorized(provider, n, token).await;
    }
    authorized(provider, 8, "tok_declined").await;
    authorized(provider, 9, "tok_timeout_after").await;
    authorized(provider, 10, "tok_capture_fails").await;
    for taken in [
        provider.capture(AttemptId(2)).await,
        provider.capture(AttemptId(3)).await,
        provider.refund(AttemptId(3), &refund(3, 1299)).await,
        provider.void(AttemptId(4)).await,
        provider.void(AttemptId(7)).await,
    ] {
        assert_eq!(taken.expect("an answer"), Taken::Done);
    }
}

#[tokio::test]
async fn a_reopened_provider_knows_what_it_knew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payments.jsonl");
    let before = {
        let provider = PaymentSimulator::open(&path, TIMEOUT).unwrap();
        busy(&provider).await;
        provider.charges()
    };
    assert_eq!(before.len(), 8);
    let provider = PaymentSimulator::open(&path, TIMEOUT).unwrap();
    assert_eq!(provider.charges(), before);
    assert_eq!(authorized(&provider, 4, "tok_visa").await, Some(Authorization::Approved));
    assert_eq!(authorized(&provider, 6, "tok_flaky").await, None);
    assert_eq!(authorized(&provider, 6, "tok_flaky").await, Some(Authorization::Approved));
    assert!(matches!(authorized(&provider, 7, "tok_visa").await, Some(Authorization::Declined(error)) if error.code == "voided"));
    assert!(matches!(provider.capture(AttemptId(10)).await, Ok(Taken::Refused(_))));
    assert_eq!(provider.capture(AttemptId(9)).await.unwrap(), Taken::Done);
}

#[tokio::test]
async fn a_last_line_that_was_not_written_in_full_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payments.jsonl");
    busy(&PaymentSimulator::open(&path, TIMEOUT).unwrap()).await;
    let whole = fs::read(&path).unwrap();
    for torn in [&b"{"[..], b"{\"key\":\"pay_0000000000000000000000000B\",\"change\":\"capt", b"\0\0\0\0"] {
        OpenOptions::new().append(true).open(&path).unwrap().write_all(torn).unwrap();
        drop(PaymentSimulator::open(&path, TIMEOUT).unwrap());
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    let provider = PaymentSimulator::open(&path, TIMEOUT).unwrap();
    authorized(&provider, 11, "tok_visa").await;
    let known = provider.charges();
    drop(provider);
    assert_eq!(PaymentSimulator::open(&path, TIMEOUT).unwrap().charges(), known);
}

#[tokio::test]
async fn every_prefix_of_a_journal_is_a_state_the_provider_was_in() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payments.jsonl");
    busy(&PaymentSimulator::open(&path, TIMEOUT).unwrap()).await;
    let whole = fs::read(&path).unwrap();
    let mut known = 0;
    for length in (0..=whole.len()).step_by(17).chain([whole.len()]) {
        let prefix = directory.path().join("prefix.jsonl");
        fs::write(&prefix, &whole[..length]).unwrap();
        let now = PaymentSimulator::open(&prefix, TIMEOUT).unwrap().charges().len();
        assert!(now >= known, "{length} bytes");
        known = now;
    }
    assert_eq!(known, 8);
}

fn refused(path: &Path) -> Option<ErrorKind> {
    PaymentSimulator::open(path, TIMEOUT).err().map(|error| error.kind())
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_or_is_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payments.jsonl");
    for line in
        ["nonsense", "{}", "{\"key\":\"pay_1\",\"change\":\"captured\"}", "{\"key\":\"pay_00000000000000000000000001\",\"change\":\"?\"}"]
    {
        fs::write(&path, format!("{line}\n")).unwrap();
        assert_eq!(refused(&path), Some(ErrorKind::InvalidData), "{line}");
    }
    fs::remove_file(&path).unwrap();
    let provider = PaymentSimulator::open(&path, TIMEOUT).unwrap();
    assert_eq!(refused(&path), Some(ErrorKind::WouldBlock));
    drop(provider);
    assert_eq!(refused(&path), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_are_all_written_down() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payments.jsonl");
    let provider = PaymentSimulator::open(&path, TIMEOUT).unwrap();
    let taken = race(100, |racer| {
        let provider = provider.clone();
        async move {
            let key = u128::from(racer) / 2;
            authorized(&provider, key, "tok_visa").await;
            provider.capture(AttemptId(key)).await.unwrap()
        }
    })
    .await;
    assert!(taken.iter().all(|t| *t == Taken::Done), "{taken:?}");
    drop(provider);
    let lines = fs::read_to_string(&path).unwrap().lines().count();
    let reopened = PaymentSimulator::open(&path, TIMEOUT).unwrap();
    let captured = (0..50).map(|n| (n, ChargeStatus::Captured)).collect();
    assert_eq!((lines, statuses(&reopened)), (100, captured));
}

#[tokio::test]
async fn a_slow_provider_answers_late_or_is_given_up_on() {
    let [short, long] = [5, 20].map(Duration::from_millis);
    for (slowness, timeout, answers) in [(short, long, true), (long, short, false), (long, Duration::ZERO, false)] {
        let provider = PaymentSimulator::in_memory(timeout).with_slowness(slowness);
        match provider.authorize(AttemptId(1), &authorize("tok_slow")).await {
            Ok(authorization) => assert_eq!((authorization, answers), (Authorization::Approved, true)),
            Err(error) => {
                assert_eq!((error.kind, error.did_it_happen, answers), (PortErrorKind::Timeout, DidItHappen::Unknown, false));
            }
        }
        assert_eq!(statuses(&provider), BTreeMap::from([(1, ChargeStatus::Authorized)]));
        assert_eq!(authorized(&provider, 1, "tok_slow").await, Some(Authorization::Approved));
    }
}

#[tokio::test]
async fn a_call_that_fails_twice_did_nothing() {
    let provider = PaymentSimulator::in_memory(TIMEOUT);
    for _ in 0..2 {
        let error = provider.authorize(AttemptId(1), &authorize("tok_flaky")).await.unwrap_err();
        assert_eq!((error.kind, error.did_it_happen, provider.charges().len()), (PortErrorKind::Unavailable, DidItHappen::No, 0));
    }
    assert_eq!(authorized(&provider, 1, "tok_flaky").await, Some(Authorization::Approved));
}

#[tokio::test]
async fn a_challenge_is_answered_once() {
    for (passed, then) in [(true, "authorized"), (false, "declined")] {
        let provider = PaymentSimulator::in_memory(TIMEOUT).with_challenges_at("http://provider/challenges");
        let key = AttemptId(1);
        assert_eq!(provider.answer_challenge(key, passed).await.unwrap(), None);
        let url = format!("http://provider/challenges/{key}");
        assert_eq!(authorized(&provider, 1, "tok_requires_action").await, Some(Authorization::Challenge { url }));
        for answer in [passed, !passed, passed] {
            let challenge = provider.answer_challenge(key, answer).await.unwrap().unwrap();
            let status = match challenge.charge.status {
                ChargeStatus::Authorized => "authorized",
                ChargeStatus::Declined(error) if error.code == "challenge_failed" => "declined",
                other => panic!("{other:?}"),
            };
            assert_eq!(status, then);
        }
        let captured = provider.capture(key).await.unwrap();
        assert_eq!((captured == Taken::Done, provider.charges().len()), (passed, 1));
    }
}

#[tokio::test]
async fn a_journal_of_before_partial_refunds_and_notices_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payments.jsonl");
    let key = AttemptId(1);
    let lines = ["\"authorized\",\"amount\":[1299,\"USD\"],\"capturable\":true", "\"captured\"", "\"refunded\""];
    let lines: Vec<_> = lines.iter().map(|change| format!("{{\"key\":\"{key}\",\"change\":{change}}}\n")).collect();
    fs::write(&path, lines.concat()).unwrap();
    let provider = PaymentSimulator::open(&path, TIMEOUT).unwrap().with_notices(Arc::new(ManualClock::new()));
    assert_eq!(statuses(&provider), BTreeMap::from([(1, ChargeStatus::Refunded)]));
    assert_eq!(provider.untold(10), []);
    // The refund that line stands for is one of the whole, and known.
    assert_eq!(provider.refund(key, &refund(1, 1299)).await.unwrap(), Taken::Done);
    assert!(matches!(provider.refund(key, &refund(2, 1)).await.unwrap(), Taken::Refused(_)));
}

#[tokio::test]
async fn what_the_shop_has_not_heard_is_told_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payments.jsonl");
    let kinds = |provider: &PaymentSimulator| provider.untold(100).iter().map(|n| (n.key.0, n.number, n.kind)).collect::<Vec<_>>();
    let told = {
        let provider = PaymentSimulator::open(&path, TIMEOUT).unwrap().with_notices(Arc::new(ManualClock::new()));
        for (n, token) in [(1, "tok_visa"), (2, "tok_declined"), (3, "tok_requires_action"), (4, "tok_flaky"), (1, "tok_visa")] {
            authorized(&provider, n, token).await;
        }
        provider.capture(AttemptId(1)).await.unwrap();
        provider.refund(AttemptId(1), &refund(1, 99)).await.unwrap();
        provider.answer_challenge(AttemptId(3), true).await.unwrap();
        provider.void(AttemptId(3)).await.unwrap();
        provider.void(AttemptId(5)).await.unwrap();
        provider.news().await;
        let captured = &provider.untold(2)[1];
        assert_eq!((captured.kind, captured.at), ("payment.captured", ManualClock::START));
        provider.told(captured).await.unwrap();
        provider.told(captured).await.unwrap();
        kinds(&provider)
    };
    assert_eq!(
        told,
        [
            (1, 1, "payment.authorized"),
            (1, 3, "payment.refunded"),
            (2, 1, "payment.declined"),
            (3, 1, "payment.challenge_required"),
            (3, 2, "payment.authorized"),
            (3, 3, "payment.voided"),
        ]
    );
    assert_eq!(kinds(&PaymentSimulator::open(&path, TIMEOUT).unwrap()), told);
}
