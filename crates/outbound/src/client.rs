use crate::calls::{Calls, Failed, Patience, Repeat};
use crate::limits::{CONNECT_MAX, IDLE_MAX, IDLE_TIME_MAX};
use app::ports::{PortError, PortErrorKind};
use app::trace;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The header of a call's idempotency key.
pub const KEY: &str = "idempotency-key";

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
    calls: Calls,
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
        f.debug_struct("Client").field("base", &self.base).field("calls", &self.calls).finish_non_exhaustive()
    }
}

/// Why there is no client for this address.
#[derive(Debug, thiserror::Error)]
#[error("a provider's address is http://HOST[:PORT][/PATH]; put what speaks TLS in between")]
pub struct NoAddress;

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
        Ok(Self { port, http: http(), base: url.trim_end_matches('/').into(), answer_max, calls: Calls::new(port, patience) })
    }

    /// One call: tried again while there is time, so it must be one that may be sent again.
    ///
    /// # Errors
    /// Of the port, and whether the service may have heard the call.
    pub async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, PortError> {
        let answer = self.calls.call(Repeat::Harmless, |_| self.send(&call)).await?;
        serde_json::from_slice(&answer).map_err(|error| PortError::unknown(self.port, PortErrorKind::Corrupt, error))
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
        let request = trace().iter().flat_map(|trace| trace.fields()).fold(request, |request, (name, value)| request.header(name, value));
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
