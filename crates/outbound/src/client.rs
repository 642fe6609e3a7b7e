use crate::limits::{
    BREAKER_CALLS, BREAKER_FAILED, BREAKER_PAUSE, BREAKER_PROBES, CALLS_MAX, CONNECT_MAX, IDLE_MAX, IDLE_TIME_MAX, QUEUE_SHARE,
    RETRIES_MAX, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN,
};
use app::ports::{DidItHappen, PortError, PortErrorKind};
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use recloser::{AsyncRecloser, Error as Broken, Recloser};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// The header of a call's idempotency key.
pub const KEY: &str = "idempotency-key";

/// How patient the shop is with a provider.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A call that takes longer, with all its tries, is an error.
    pub timeout: Duration,
    pub retries_max: usize,
    /// Calls under way at once.
    pub calls_max: usize,
    /// Calls the breaker looks at before it opens.
    pub breaker_calls: usize,
    /// How long an open breaker refuses.
    pub breaker_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(8),
            retries_max: RETRIES_MAX,
            calls_max: CALLS_MAX,
            breaker_calls: BREAKER_CALLS,
            breaker_pause: BREAKER_PAUSE,
        }
    }
}

/// A service that answers in JSON, over HTTP/1.1.
#[derive(Clone)]
pub struct Client {
    /// Whose errors its failures are.
    port: &'static str,
    http: Http<HttpConnector, Full<Bytes>>,
    /// Without a slash at its end.
    base: Arc<str>,
    /// Bytes of an answer.
    answer_max: usize,
    patience: Patience,
    places: Arc<Semaphore>,
    breaker: AsyncRecloser,
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    pub method: Method,
    /// Behind the address of the service, with a slash at its beginning.
    pub path: &'a str,
    /// The idempotency key, where the call has an effect.
    pub key: Option<&'a str>,
    pub body: Bytes,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base).field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// Why there is no client for this address.
#[derive(Debug, thiserror::Error)]
#[error("a provider's address is http://HOST[:PORT][/PATH]; put what speaks TLS in between")]
pub struct NoAddress;

/// One try that came to nothing.
#[derive(Debug)]
struct Failed {
    kind: PortErrorKind,
    /// The provider surely heard nothing of it.
    unheard: bool,
    /// The same may be sent again, and it counts against the provider.
    passing: bool,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Failed {
    /// Nobody knows what the provider did.
    fn on_the_way(kind: PortErrorKind, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind, unheard: false, passing: true, source: source.into() }
    }

    fn unheard(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { unheard: true, ..Self::on_the_way(PortErrorKind::Unavailable, source) }
    }

    /// It answered, but what it says makes no sense: asking again will not help.
    fn nonsense(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { passing: false, ..Self::on_the_way(PortErrorKind::Corrupt, source) }
    }
}

impl Client {
    /// A client for the service at `url`, whose answers have at most `answer_max` bytes.
    ///
    /// # Errors
    /// The address is not `http://HOST[:PORT][/PATH]`.
    pub fn new(port: &'static str, url: &str, answer_max: usize, patience: Patience) -> Result<Self, NoAddress> {
        let uri: Uri = url.parse().map_err(|_| NoAddress)?;
        let plain = uri.scheme_str() == Some("http") && uri.host().is_some_and(|h| !h.is_empty()) && uri.query().is_none();
        if !plain || uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(NoAddress);
        }
        let breaker = Recloser::custom()
            .closed_len(patience.breaker_calls)
            .half_open_len(BREAKER_PROBES)
            .error_rate(BREAKER_FAILED)
            .open_wait(patience.breaker_pause)
            .build();
        Ok(Self {
            port,
            http: http(),
            base: url.trim_end_matches('/').into(),
            answer_max,
            patience,
            places: Arc::new(Semaphore::new(patience.calls_max)),
            breaker: breaker.into(),
        })
    }

    /// One call: tried again while there is time, so it must be one that may be sent again.
    ///
    /// # Errors
    /// Of the port, and whether the service may have heard the call.
    pub async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, PortError> {
        let deadline = Instant::now() + self.patience.timeout;
        let patience = deadline - self.patience.timeout / QUEUE_SHARE;
        let full = || PortError::unavailable(self.port, "too many calls to the provider are under way");
        let Ok(Ok(_place)) = timeout_at(patience, self.places.acquire()).await else { return Err(full()) };
        let heard = AtomicBool::new(false);
        let once = || async {
            let answer = self.guarded(&call, deadline).await;
            heard.fetch_or(answer.as_ref().is_err_and(|failed| !failed.unheard), Ordering::Relaxed);
            answer
        };
        let longest = RETRY_PAUSE_MAX.min(self.patience.timeout / 8);
        let pauses = ExponentialBuilder::default()
            .with_min_delay(RETRY_PAUSE_MIN.min(longest))
            .with_max_delay(longest)
            .with_max_times(self.patience.retries_max)
            .with_jitter();
        // Chance adds up to as much again.
        let in_time = |failed: &Failed| failed.passing && Instant::now() + 2 * longest < deadline;
        match once.retry(pauses).when(in_time).await {
            Ok(answer) => serde_json::from_slice(&answer).map_err(|error| PortError::unknown(self.port, PortErrorKind::Corrupt, error)),
            Err(Failed { kind, source, .. }) => {
                let did_it_happen = if heard.into_inner() { DidItHappen::Unknown } else { DidItHappen::No };
                Err(PortError { port: self.port, kind, did_it_happen, source })
            }
        }
    }

    /// One try, unless the breaker is open. What it takes too long for counts against the provider.
    async fn guarded(&self, call: &Call<'_>, deadline: Instant) -> Result<Bytes, Failed> {
        let in_time = async {
            let late = |_| Failed::on_the_way(PortErrorKind::Timeout, "the provider did not answer in time");
            timeout_at(deadline, self.send(call)).await.map_err(late)?
        };
        match self.breaker.call_with(|failed: &Failed| failed.passing, in_time).await {
            Ok(answer) => Ok(answer),
            Err(Broken::Inner(failed)) => Err(failed),
            Err(Broken::Rejected) => {
                Err(Failed { passing: false, ..Failed::unheard("the provider has failed too often; it is left alone for a while") })
            }
        }
    }

    async fn send(&self, call: &Call<'_>) -> Result<Bytes, Failed> {
        let request = Request::builder()
            .method(&call.method)
            .uri(format!("{}{}", self.base, call.path))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let request = match call.key {
            Some(key) => request.header(KEY, key),
            None => request,
        };
        let request = request.body(Full::new(call.body.clone())).map_err(Failed::nonsense)?;
        let response = self.http.request(request).await.map_err(|error| {
            if error.is_connect() { Failed::unheard(error) } else { Failed::on_the_way(PortErrorKind::Unavailable, error) }
        })?;
        let (head, body) = response.into_parts();
        let unavailable = |status: StatusCode| Failed::on_the_way(PortErrorKind::Unavailable, format!("the provider answered {status}"));
        match head.status {
            StatusCode::OK => {}
            status @ (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => return Err(unavailable(status)),
            StatusCode::GATEWAY_TIMEOUT => return Err(Failed::on_the_way(PortErrorKind::Timeout, "the provider gave up")),
            status if status.is_server_error() => return Err(unavailable(status)),
            status => return Err(Failed::nonsense(format!("the provider answered {status}"))),
        }
        match Limited::new(body, self.answer_max).collect().await {
            Ok(whole) => Ok(whole.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Failed::nonsense(error)),
            Err(error) => Err(Failed::on_the_way(PortErrorKind::Unavailable, error)),
        }
    }
}

fn http() -> Http<HttpConnector, Full<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_MAX));
    connector.set_nodelay(true);
    Http::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_MAX)
        .pool_idle_timeout(IDLE_TIME_MAX)
        .build(connector)
}
