//! The accept loop: HTTP/1 and HTTP/2 on one port, with a bound on everything a stranger can do to it.

use crate::edge::Edge;
use crate::limits::{HEAD_MAX, HEADERS_MAX, STREAMS_MAX};
use crate::route::Peer;
use axum::Router;
use axum::http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use prometheus_client::metrics::gauge::Gauge;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout};
use tower::Service;

/// Bounds of the network side. The defaults are what the reliability targets ask for.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// Connections beyond this are closed as they come.
    pub connections_max: u32,
    /// From connecting to the first byte.
    pub first_byte: Duration,
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    /// Between requests.
    pub idle: Duration,
    /// For a client that does not take its answer.
    pub write: Duration,
    /// From the shutdown signal until what is still running is cut off.
    pub drain: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connections_max: 10_000,
            first_byte: seconds(5),
            head: seconds(10),
            idle: seconds(60),
            write: seconds(30),
            drain: seconds(20),
        }
    }
}

/// How long to wait when no connection can be accepted, for lack of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection that is told to end may take to say good-bye.
const GOODBYE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// No new requests; those begun are answered.
    Draining,
    Over,
}

/// Serves until `shutdown`, then answers what was begun, for at most [`ServeLimits::drain`].
#[expect(clippy::disallowed_methods, reason = "the accept loop waits when it cannot accept, and waits for its connections in the end")]
pub async fn serve(listener: TcpListener, edge: &Edge, router: Router, limits: ServeLimits, shutdown: impl Future<Output = ()>) {
    let seats = Arc::new(Semaphore::new(limits.connections_max as usize));
    let phase = watch::Sender::new(Phase::Serving);
    let builder = Arc::new(builder());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match (accepted, Arc::clone(&seats).try_acquire_owned()) {
            (Ok((stream, peer)), Ok(seat)) => {
                let open = Open::new(&edge.metrics.connections, seat);
                let connection =
                    Connection { builder: Arc::clone(&builder), router: router.clone(), peer, limits, phase: phase.subscribe() };
                tokio::spawn(async move {
                    connection.run(stream).await;
                    drop(open);
                });
            }
            (Ok(_), Err(_)) => {
                edge.metrics.connections_refused.inc();
            }
            (Err(error), _) if is_their_fault(&error) => {}
            (Err(error), _) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    phase.send_replace(Phase::Draining);
    if timeout(limits.drain, seats.acquire_many(limits.connections_max)).await.is_err() {
        tracing::warn!(connections = edge.metrics.connections.get(), "not all connections ended in time");
        phase.send_replace(Phase::Over);
        // What is cut off ends at once; nothing more hangs on it.
        drop(timeout(GOODBYE, seats.acquire_many(limits.connections_max)).await);
    }
}

/// A connection that was gone before it was accepted says nothing about the next one.
fn is_their_fault(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Heads are watched by `Pulse`; the timeout here would also end connections that are idle, and cost every
    // request a timer.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_headers(HEADERS_MAX).max_buf_size(HEAD_MAX.into());
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX).max_header_list_size(HEAD_MAX.into());
    builder
}

/// A seat that is taken, and counted.
struct Open {
    gauge: Gauge,
    _seat: OwnedSemaphorePermit,
}

impl Open {
    fn new(gauge: &Gauge, seat: OwnedSemaphorePermit) -> Self {
        gauge.inc();
        Self { gauge: gauge.clone(), _seat: seat }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

struct Connection {
    builder: Arc<Builder<TokioExecutor>>,
    router: Router,
    peer: SocketAddr,
    limits: ServeLimits,
    phase: watch::Receiver<Phase>,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        let Self { builder, router, peer, limits, mut phase } = self;
        // Answers are small and whole: waiting to fill a packet would only delay them.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let pulse = Arc::new(Pulse::new());
        let beat = Arc::clone(&pulse);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let busy = Busy::begin(&beat, request.version());
            request.extensions_mut().insert(Peer(peer));
            let answer = router.clone().call(request);
            async move {
                let answer = answer.await;
                drop(busy);
                answer
            }
        });
        let io = TokioIo::new(Watched { stream, pulse: Arc::clone(&pulse) });
        let mut connection = pin!(builder.serve_connection(io, service));
        tokio::select! {
            // The other side knows best why it ended.
            _ = &mut connection => return,
            () = pulse.stops(&limits) => {}
            _ = phase.wait_for(|p| *p != Phase::Serving) => {}
        }
        let draining = *phase.borrow() == Phase::Draining;
        connection.as_mut().graceful_shutdown();
        if draining {
            tokio::select! {
                _ = &mut connection => {}
                () = pulse.stops(&limits) => {}
                _ = phase.wait_for(|p| *p == Phase::Over) => {}
            }
        } else {
            drop(timeout(GOODBYE, connection).await);
        }
    }
}

/// What a connection is doing, in milliseconds since it began; 0 stands for "not".
///
/// hyper has one timeout for a head and for the silence before it, and none for the choice between HTTP/1 and
/// HTTP/2 or for a client that does not read. This watches the bytes themselves, so it holds for all of them.
#[derive(Debug)]
struct Pulse {
    began: Instant,
    requests: AtomicU64,
    /// A first request was seen whole.
    known: AtomicBool,
    /// One connection carries many requests at once: bytes between them are not the head of the next one.
    many: AtomicBool,
    head_since: AtomicU64,
    idle_since: AtomicU64,
    write_since: AtomicU64,
}

impl Pulse {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            requests: AtomicU64::new(0),
            known: AtomicBool::new(false),
            many: AtomicBool::new(false),
            head_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            write_since: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn read(&self) {
        if self.requests.load(Relaxed) == 0 && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.now(), Relaxed);
        }
    }

    /// An answer may still be on its way when its request is long done: as long as it moves, nobody is idle.
    fn wrote(&self, pending: bool) {
        match (pending, self.write_since.load(Relaxed)) {
            (true, 0) => self.write_since.store(self.now(), Relaxed),
            (true, 1..) => {}
            (false, _) => {
                self.write_since.store(0, Relaxed);
                self.idle_since.store(self.now(), Relaxed);
            }
        }
    }

    /// When patience ends if nothing changes, in milliseconds; never while a request is being answered.
    fn end(&self, limits: &ServeLimits) -> u64 {
        let after = |since: u64, limit: Duration| since.saturating_add(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let (head, write) = (self.head_since.load(Relaxed), self.write_since.load(Relaxed));
        let known = self.known.load(Relaxed);
        let waiting = match self.requests.load(Relaxed) {
            0 if head > 0 && !(known && self.many.load(Relaxed)) => after(head, limits.head),
            0 if !known => after(0, limits.first_byte),
            0 => after(self.idle_since.load(Relaxed), limits.idle),
            _ => u64::MAX,
        };
        if write > 0 { waiting.min(after(write, limits.write)) } else { waiting }
    }

    /// Returns when the connection has tried our patience. Whatever begins while this sleeps has at least the
    /// shortest limit ahead of it, so sleeping that long misses nothing.
    #[expect(clippy::disallowed_methods, reason = "a connection's own alarm clock")]
    async fn stops(&self, limits: &ServeLimits) {
        let shortest = limits.first_byte.min(limits.head).min(limits.idle).min(limits.write);
        loop {
            let left = Duration::from_millis(self.end(limits).saturating_sub(self.now()));
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(shortest)).await;
        }
    }
}

/// A request being answered.
struct Busy(Arc<Pulse>);

impl Busy {
    fn begin(pulse: &Arc<Pulse>, version: Version) -> Self {
        pulse.requests.fetch_add(1, Relaxed);
        pulse.known.store(true, Relaxed);
        pulse.many.store(version == Version::HTTP_2, Relaxed);
        pulse.head_since.store(0, Relaxed);
        Self(Arc::clone(pulse))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Relaxed);
        self.0.requests.fetch_sub(1, Relaxed);
    }
}

/// A stream whose bytes are watched.
struct Watched {
    stream: TcpStream,
    pulse: Arc<Pulse>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pulse.read();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.pulse.wrote(polled.is_pending());
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.pulse.wrote(polled.is_pending());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
