//! What the shop hears.

use crate::{served, simulator};
use app::ports::{Clock, Payments};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use conformance::fixtures::authorize;
use domain::ids::AttemptId;
use memory::ManualClock;
use memory::simulator::PaymentSimulator;
use payments_http::Notices;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use webhook::{Claims, Secret, verify};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

type Heard = Arc<Mutex<Vec<String>>>;

fn secret() -> Secret {
    Secret::parse(SECRET).expect("a secret")
}

/// A shop that refuses the first notices; the ids of what it accepted are kept.
fn shop(heard: Heard, refused: usize, now: domain::time::Timestamp) -> Router {
    let left = Arc::new(Mutex::new(refused));
    let hear = move |headers: HeaderMap, body: Bytes| async move {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let claims = Claims { id: header(webhook::ID), timestamp: header(webhook::TIMESTAMP), signature: header(webhook::SIGNATURE) };
        if let Err(forged) = verify(&[secret()], claims, &body, now) {
            panic!("{forged}: {claims:?}");
        }
        let mut left = left.lock().expect("a lock");
        if *left > 0 {
            *left -= 1;
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        heard.lock().expect("a lock").push(claims.id.to_owned());
        StatusCode::NO_CONTENT
    };
    Router::new().route("/webhook", post(hear))
}

async fn purchases(simulator: &PaymentSimulator) {
    for n in 1..=5 {
        simulator.authorize(AttemptId(n), &authorize("tok_visa")).await.expect("an answer");
        simulator.capture(AttemptId(n)).await.expect("an answer");
    }
}

async fn told(refused: usize, unruly: bool) -> Vec<String> {
    let clock = Arc::new(ManualClock::new());
    let simulator = simulator().with_notices(clock.clone());
    let heard = Heard::default();
    let address = served(shop(Arc::clone(&heard), refused, clock.now())).await;
    let notices = Notices {
        simulator: simulator.clone(),
        url: format!("http://{address}/webhook").parse().expect("an address"),
        secret: secret(),
        clock,
        pause: Duration::from_millis(1),
        unruly,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(notices.run());
    purchases(&simulator).await;
    while !simulator.untold(1).is_empty() {
        tokio::task::yield_now().await;
    }
    heard.lock().expect("a lock").clone()
}

fn all() -> BTreeSet<String> {
    (1..=5).flat_map(|n| [format!("{}.1", AttemptId(n)), format!("{}.2", AttemptId(n))]).collect()
}

#[tokio::test]
async fn every_notice_is_heard_once_in_its_order_also_when_the_shop_refused_it_at_first() {
    for refused in [0, 1, 20] {
        let ids = told(refused, false).await;
        assert_eq!((ids.len(), ids.iter().cloned().collect::<BTreeSet<_>>()), (10, all()), "{refused} refused");
        for n in 1..=5 {
            let of: Vec<_> = ids.iter().filter(|id| id.starts_with(&AttemptId(n).to_string())).collect();
            assert!(of[0].ends_with(".1") && of[1].ends_with(".2"), "{of:?}");
        }
    }
}

#[tokio::test]
async fn an_unruly_network_tells_everything_twice() {
    let ids = told(3, true).await;
    assert_eq!(ids.iter().cloned().collect::<BTreeSet<_>>(), all());
    assert!(ids.len() > 10, "{ids:?}");
}
