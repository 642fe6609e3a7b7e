use crate::auth::Keys;
use crate::declines::Declines;
use crate::limit::{Limits, RateLimits};
use crate::metrics::Metrics;
use crate::rendered::RenderedCarts;
use app::ports::{PortError, PortErrorKind};
use app::{App, Notice};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use webhook::Secret;

#[derive(Clone, Debug)]
pub struct EdgeConfig {
    pub rate_limits: RateLimits,
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
    /// Work in progress holds a receiver each.
    work: watch::Sender<()>,
}

impl Edge {
    pub fn new(app: Arc<App>, keys: Arc<Keys>, metrics: Metrics, config: &EdgeConfig) -> Arc<Self> {
        Arc::new(Self {
            app,
            keys,
            limits: Limits::new(&config.rate_limits),
            declines: Declines::new(config.rate_limits.enabled, &config.rate_limits.declines),
            webhook_secrets: config.webhook_secrets.clone(),
            metrics,
            answer_within: config.answer_within,
            body_timeout: config.body_timeout,
            rendered: RenderedCarts::new(),
            ready: AtomicBool::new(false),
            work: watch::Sender::new(()),
        })
    }

    /// Says whether requests should be sent here; not before everything is up, and not while it goes down.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
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
        match self.see_through(async move { app.payment_notice(notice).await }).await {
            Ok(heeded) => heeded,
            Err(_) => Err(PortError::unknown("payments", PortErrorKind::Unavailable, "heeding a notice panicked").into()),
        }
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
    #[expect(clippy::disallowed_methods, reason = "`idle` waits for these tasks at shutdown")]
    pub(crate) fn see_through<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let busy = self.work.subscribe();
        tokio::spawn(async move {
            let output = work.await;
            drop(busy);
            output
        })
    }
}
