//! Webhooks: the built-in provider tells the shop what changed, signed, again and again until it is heard.

use crate::limits::{NOTICE_PAUSE_MAX, NOTICE_TIME_MAX, NOTICES_AT_ONCE_MAX, NOTICES_MAX};
use app::ports::{ChargeStatus, Clock};
use bytes::Bytes;
use domain::ids::AttemptId;
use futures_util::StreamExt;
use futures_util::stream;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use memory::simulator::{Notice, PaymentSimulator};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use webhook::Secret;
use wire::payment::{PaymentNotice, PaymentNoticeBody};

/// Tells a shop about the changes of a simulator's charges.
pub struct Notices {
    pub simulator: PaymentSimulator,
    /// Where the shop listens.
    pub url: Uri,
    pub secret: Secret,
    pub clock: Arc<dyn Clock>,
    /// The pause after a notice was not heard, the first time.
    pub pause: Duration,
    /// Tells everything twice and the newest first, as real networks may.
    pub unruly: bool,
}

impl std::fmt::Debug for Notices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notices").field("url", &self.url).field("unruly", &self.unruly).finish_non_exhaustive()
    }
}

/// A notice that was not heard: how often, and when it is tried again.
type Unheard = BTreeMap<(AttemptId, u32), (u32, Instant)>;

impl Notices {
    /// Goes on until it is dropped.
    pub async fn run(self) {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut unheard = Unheard::new();
        loop {
            let due = self.due(&unheard);
            if due.is_empty() {
                self.wait(&unheard).await;
                continue;
            }
            let (me, client) = (&self, &client);
            let tell = |notice: Notice| async move { (me.tell(client, &notice).await, notice) };
            let told: Vec<_> = stream::iter(due).map(tell).buffer_unordered(NOTICES_AT_ONCE_MAX).collect().await;
            for (heard, notice) in told {
                self.note(&mut unheard, &notice, heard).await;
            }
        }
    }

    /// Of each charge its oldest notice, unless that has to wait: a later one is told after it.
    fn due(&self, unheard: &Unheard) -> Vec<Notice> {
        let now = Instant::now();
        let mut untold = self.simulator.untold(NOTICES_MAX);
        if !self.unruly {
            let mut seen = BTreeSet::new();
            untold.retain(|notice| seen.insert(notice.key));
        }
        untold.retain(|notice| unheard.get(&(notice.key, notice.number)).is_none_or(|(_, at)| *at <= now));
        if self.unruly {
            untold.reverse();
            untold = untold.into_iter().flat_map(|notice| [notice.clone(), notice]).collect();
        }
        untold
    }

    /// Until there is news, or one that was not heard is due.
    async fn wait(&self, unheard: &Unheard) {
        match unheard.values().map(|(_, at)| *at).min() {
            Some(at) => drop(tokio::time::timeout_at(at, self.simulator.news()).await),
            None => self.simulator.news().await,
        }
    }

    async fn note(&self, unheard: &mut Unheard, notice: &Notice, heard: bool) {
        let place = (notice.key, notice.number);
        if !heard {
            let tries = unheard.get(&place).map_or(0, |(tries, _)| *tries);
            let pause = self.pause.saturating_mul(1 << tries.min(16)).min(NOTICE_PAUSE_MAX);
            unheard.insert(place, (tries + 1, Instant::now() + pause));
            return;
        }
        unheard.remove(&place);
        if let Err(error) = self.simulator.told(notice).await {
            tracing::warn!(%error, "a notice will be told again");
        }
    }

    /// Whether the shop has heard it.
    async fn tell(&self, client: &Client<HttpConnector, Full<Bytes>>, notice: &Notice) -> bool {
        let id = format!("{}.{}", notice.key, notice.number);
        let seconds = self.clock.now().micros().div_euclid(1_000_000);
        let body = serde_json::to_vec(&body(notice)).expect("invariant: notices are plain structs with text keys");
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(webhook::ID, &id)
            .header(webhook::TIMESTAMP, seconds)
            .header(webhook::SIGNATURE, self.secret.sign(&id, seconds, &body))
            .body(Full::new(Bytes::from(body)))
            .expect("invariant: the address was read, and the headers are digits and letters");
        match timeout(NOTICE_TIME_MAX, client.request(request)).await {
            Ok(Ok(answer)) if answer.status().is_success() => true,
            Ok(Ok(answer)) => {
                tracing::warn!(%id, status = %answer.status(), "a notice was refused");
                false
            }
            Ok(Err(error)) => {
                tracing::warn!(%id, %error, "a notice was not heard");
                false
            }
            Err(_) => {
                tracing::warn!(%id, "a notice was not heard in time");
                false
            }
        }
    }
}

fn body(notice: &Notice) -> PaymentNoticeBody<'_> {
    let charge = &notice.charge;
    let status = match charge.status {
        ChargeStatus::Authorized => "authorized",
        ChargeStatus::Challenged { .. } => "challenged",
        ChargeStatus::Declined(_) => "declined",
        ChargeStatus::Captured => "captured",
        ChargeStatus::Voided => "voided",
        ChargeStatus::Refunded => "refunded",
    };
    PaymentNoticeBody::from(PaymentNotice {
        kind: notice.kind,
        at: notice.at,
        attempt: notice.key,
        checkout: notice.checkout,
        status,
        amount: charge.amount,
        refunded: charge.refunded,
    })
}
