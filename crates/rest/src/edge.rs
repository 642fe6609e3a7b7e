use crate::auth::Keys;
use crate::declines::Declines;
use crate::limit::{Limits, RateLimits};
use crate::metrics::Metrics;
use crate::rendered::RenderedCarts;
use crate::shared::Shared;
use app::ports::SharedLimits;
use app::{App, Notice};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use webhook::Secret;

#[derive(Clone, Debug)]
pub struct EdgeConfig {
    pub rate_limits: RateLimits,
    /// Counts that other nodes spend from too; without them this node's own are all there are.
    pub shared_limits: Option<Arc<dyn SharedLimits>>,
    /// How long a request to pay waits for its outcome before it is told to come back.
    pub answer_within: Duration,
    /// How long a client may take to send a body.
    pub body_timeout: Duration,
    /// Any of which may have signed what the payment provider says; none, and it is not listened to.
    pub webhook_secrets: Vec<Secret>,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            rate_limits: RateLimits::default(),
            shared_limits: None,
            answer_within: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            webhook_secrets: Vec::new(),
        }
    }
}

/// Everything the handlers share.
#[derive(Debug)]
pub struct Edge {
    pub(crate) app: Arc<App>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) limits: Limits,
    pub(crate) declines: Declines,
    pub(crate) webhook_secrets: Vec<Secret>,
    pub(crate) metrics: Metrics,
    pub(crate) answer_within: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) rendered: RenderedCarts,
    ready: AtomicBool,
    /// What this node needs of others, and whether it answered when it was last asked.
    engines: Mutex<BTreeMap<&'static str, bool>>,
    /// Work in progress holds a receiver each.
    work: watch::Sender<()>,
}

impl Edge {
    pub fn new(app: Arc<App>, keys: Arc<Keys>, metrics: Metrics, config: &EdgeConfig) -> Arc<Self> {
        let shared = config.shared_limits.as_ref().map(|limits| Shared::new(Arc::clone(limits), metrics.limits_alone.clone()));
        Arc::new(Self {
            app,
            keys,
            limits: Limits::new(&config.rate_limits, shared.clone()),
            declines: Declines::new(config.rate_limits.enabled, &config.rate_limits.declines, shared),
            webhook_secrets: config.webhook_secrets.clone(),
            metrics,
            answer_within: config.answer_within,
            body_timeout: config.body_timeout,
            rendered: RenderedCarts::new(),
            ready: AtomicBool::new(false),
            engines: Mutex::default(),
            work: watch::Sender::new(()),
        })
    }

    /// Says whether requests should be sent here; not before everything is up, and not while it goes down.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Says whether something that requests need can be reached from here. To be called every second or so.
    pub fn set_reached(&self, engine: &'static str, reached: bool) {
        let before = self.engines().insert(engine, reached);
        match (before, reached) {
            (None | Some(true), false) => tracing::warn!(engine, "is out of reach"),
            (Some(false), true) => tracing::info!(engine, "is back"),
            _ => {}
        }
        self.metrics.reached(engine, reached);
    }

    /// What was said of each.
    pub(crate) fn engines(&self) -> MutexGuard<'_, BTreeMap<&'static str, bool>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && self.engines().values().all(|reached| *reached)
    }

    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Forgets rate limits of callers who are long gone. To be called every minute or so.
    pub fn forget_idle_callers(&self) {
        self.limits.forget_idle();
        self.declines.forget_old();
    }

    /// Looks how much waits to be driven on, for the metrics. To be called every few seconds.
    ///
    /// # Errors
    /// The store did not tell.
    pub async fn measure_overdue(&self) -> Result<(), app::Error> {
        let now = self.app.now();
        self.metrics.overdue(&self.app.overdue(now).await?, now);
        Ok(())
    }

    /// Heeds what the built-in payment provider says, which needs no signature: it is in this process.
    ///
    /// # Errors
    /// It could not be heeded now; the sweeper sees to it.
    pub async fn heed(&self, notice: Notice) -> Result<(), app::Error> {
        let app = Arc::clone(&self.app);
        self.see_through(async move { app.payment_notice(notice).await }).await
    }

    /// Waits until everything that was begun is done, also what nobody waits for any more. To be called after
    /// the last connection has ended.
    pub async fn idle(&self) {
        self.work.closed().await;
    }

    /// Work that goes on to its end when the client hangs up.
    ///
    /// A write may hold the lane of its cart, or stand between a payment and its record: dropped at an await, it
    /// would leave others waiting and the next try guessing. The client's patience must not decide where it stops.
    pub(crate) fn see_through<F>(&self, work: F) -> SeenThrough<F>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        SeenThrough { work: Some(Box::pin(work)), busy: Some(self.work.subscribe()) }
    }
}

/// Runs where it is awaited, which costs no task; dropped before its end, it becomes a task of its own.
pub(crate) struct SeenThrough<F: Future<Output: Send> + Send + 'static> {
    /// Gone once it has ended, or has panicked.
    work: Option<Pin<Box<F>>>,
    busy: Option<watch::Receiver<()>>,
}

impl<F: Future<Output: Send> + Send + 'static> Future for SeenThrough<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut work = self.work.take().expect("invariant: nobody polls what has ended");
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for SeenThrough<F> {
    fn drop(&mut self) {
        let (Some(work), busy) = (self.work.take(), self.busy.take()) else { return };
        // `Edge::idle` waits for this task. Without a runtime the process is ending, and everything stops where it
        // is, as in a crash.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                drop(work.await);
                drop(busy);
            });
        }
    }
}
