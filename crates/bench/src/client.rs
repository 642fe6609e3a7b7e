//! One client: one keep-alive connection, one request at a time, everything it sees counted.

use crate::Failure;
use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// An answer that takes longer counts as none.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
const CONNECT_TRIES: u32 = 50;
const CONNECT_WAIT: Duration = Duration::from_millis(20);
/// The pause before a request is sent again, when the answer does not say.
const RETRY_WAIT: Duration = Duration::from_millis(250);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);
/// The status of a request that got no answer.
pub const NO_ANSWER: u16 = 0;

/// A session's token as it is sent. Made once, so that what is measured is the server and not the making of
/// requests.
pub struct Token(HeaderValue);

impl Token {
    pub fn new(token: &str) -> Result<Self, Failure> {
        Ok(Self(HeaderValue::try_from(format!("Bearer {token}"))?))
    }
}

/// One request. `label` is the line of the report it counts for.
#[derive(Clone)]
pub struct Ask<'a> {
    pub label: &'static str,
    pub method: Method,
    pub path: &'a str,
    pub token: Option<&'a Token>,
    pub key: Option<String>,
    pub body: Option<Bytes>,
}

impl<'a> Ask<'a> {
    pub fn get(label: &'static str, path: &'a str, token: Option<&'a Token>) -> Self {
        Self { label, method: Method::GET, path, token, key: None, body: None }
    }

    pub fn post(label: &'static str, path: &'a str, token: Option<&'a Token>, body: &serde_json::Value) -> Self {
        Self { label, method: Method::POST, path, token, key: None, body: Some(body.to_string().into()) }
    }

    fn request(self, host: &HeaderValue) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut request = Request::builder().method(self.method).uri(self.path).header(HOST, host.clone());
        if let Some(token) = self.token {
            request = request.header(AUTHORIZATION, token.0.clone());
        }
        if let Some(key) = self.key {
            request = request.header("idempotency-key", key);
        }
        if self.body.is_some() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        request.body(Full::new(self.body.unwrap_or_default()))
    }
}

pub struct Reply {
    pub status: u16,
    pub body: Bytes,
    /// When to come back, if it said so.
    pub retry_after: Option<Duration>,
}

impl Reply {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the request may have happened without saying so.
    pub fn is_unknown(&self) -> bool {
        self.status == NO_ANSWER || self.status >= 500
    }

    pub fn json(&self) -> Result<serde_json::Value, Failure> {
        if !self.is_success() {
            return Err(format!("{}: {}", self.status, String::from_utf8_lossy(&self.body)).into());
        }
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// What was seen: latencies in microseconds by label, and everything that was not a success.
#[derive(Default)]
pub struct Tally {
    pub latencies: BTreeMap<&'static str, Latencies>,
    pub requests: u64,
    pub writes: u64,
    pub bytes: u64,
    pub errors: BTreeMap<u16, u64>,
    /// Requests that were sent again.
    pub retried: u64,
}

pub type Latencies = Histogram<u64>;

pub fn latencies() -> Latencies {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("invariant: fixed bounds that fit")
}

impl Tally {
    pub fn count(&mut self, label: &'static str, wrote: bool, took: Duration, reply: &Reply) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latencies.entry(label).or_insert_with(latencies).saturating_record(micros);
        self.requests += 1;
        self.writes += u64::from(wrote);
        self.bytes += reply.body.len() as u64;
        if !reply.is_success() {
            *self.errors.entry(reply.status).or_default() += 1;
        }
    }

    pub fn add(&mut self, other: &Self) {
        for (label, theirs) in &other.latencies {
            let ours = self.latencies.entry(label).or_insert_with(latencies);
            ours.add(theirs).expect("invariant: the same bounds everywhere");
        }
        self.requests += other.requests;
        self.writes += other.writes;
        self.bytes += other.bytes;
        self.retried += other.retried;
        for (status, n) in &other.errors {
            *self.errors.entry(*status).or_default() += n;
        }
    }
}

pub struct Client {
    host: String,
    host_header: HeaderValue,
    sender: SendRequest<Full<Bytes>>,
    pub tally: Tally,
    /// Names its requests when it sends them again if they may have failed.
    again: Option<Keys>,
}

/// Idempotency keys of one client, which no other has.
struct Keys {
    client: String,
    next: u64,
}

impl Client {
    pub async fn connect(url: &str) -> Result<Self, Failure> {
        let host = url.strip_prefix("http://").ok_or("only http:// is spoken here")?.trim_end_matches('/').to_owned();
        let sender = open(&host).await?;
        let host_header = HeaderValue::try_from(&host)?;
        Ok(Self { host, host_header, sender, tally: Tally::default(), again: None })
    }

    /// Sends what may have failed once more, under the same key.
    pub fn again(self) -> Self {
        static CLIENTS: AtomicU64 = AtomicU64::new(0);
        let client = format!("{}-{}", std::process::id(), CLIENTS.fetch_add(1, Relaxed));
        Self { again: Some(Keys { client, next: 0 }), ..self }
    }

    /// Sends and waits. A broken connection is an answer of its own ([`NO_ANSWER`]) and is opened again;
    /// an error means the server is gone.
    pub async fn send(&mut self, mut ask: Ask<'_>) -> Result<Reply, Failure> {
        let (label, wrote) = (ask.label, ask.body.is_some());
        let start = Instant::now();
        if let (Some(keys), true, None) = (&mut self.again, wrote, &ask.key) {
            keys.next += 1;
            ask.key = Some(format!("{}-{}", keys.client, keys.next));
        }
        let mut reply = self.try_once(ask.clone()).await?;
        if self.again.is_some() && reply.is_unknown() {
            self.tally.retried += 1;
            tokio::time::sleep(reply.retry_after.unwrap_or(RETRY_WAIT).min(RETRY_WAIT_MAX)).await;
            reply = self.try_once(ask).await?;
        }
        self.tally.count(label, wrote, start.elapsed(), &reply);
        Ok(reply)
    }

    async fn try_once(&mut self, ask: Ask<'_>) -> Result<Reply, Failure> {
        let request = ask.request(&self.host_header)?;
        let reply = match tokio::time::timeout(ANSWER_WAIT, exchange(&mut self.sender, request)).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) | Err(_) => Reply { status: NO_ANSWER, body: Bytes::new(), retry_after: None },
        };
        if reply.status == NO_ANSWER || self.sender.is_closed() {
            self.sender = open(&self.host).await?;
        }
        Ok(reply)
    }
}

async fn exchange(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Result<Reply, hyper::Error> {
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = response.into_body().collect().await?.to_bytes();
    Ok(Reply { status, body, retry_after: seconds.map(Duration::from_secs) })
}

async fn open(host: &str) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let mut tries = 0;
    let stream = loop {
        match TcpStream::connect(host).await {
            Ok(stream) => break stream,
            Err(error) if tries == CONNECT_TRIES => return Err(format!("{host}: {error}").into()),
            Err(_) => tokio::time::sleep(CONNECT_WAIT).await,
        }
        tries += 1;
    };
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its error reaches whoever waits for an answer; it ends when the sender is dropped.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
