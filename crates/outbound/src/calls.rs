//! Patience that has an end, whatever the protocol.

use crate::limits::{
    BREAKER_CALLS, BREAKER_FAILED, BREAKER_PAUSE, BREAKER_PROBES, CALLS_MAX, QUEUE_SHARE, RETRIES_MAX, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN,
};
use app::ports::{DidItHappen, PortError, PortErrorKind};
use backon::{ExponentialBuilder, Retryable};
use recloser::{AsyncRecloser, Error as Broken, Recloser};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

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

/// One try that came to nothing.
#[derive(Debug)]
pub struct Failed {
    kind: PortErrorKind,
    /// The provider surely did nothing of it.
    unheard: bool,
    /// The same may be sent again, and it counts against the provider.
    passing: bool,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Failed {
    /// Nobody knows what the provider did.
    pub fn on_the_way(kind: PortErrorKind, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind, unheard: false, passing: true, source: source.into() }
    }

    /// The provider did nothing of it, for now.
    pub fn unheard(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { unheard: true, ..Self::on_the_way(PortErrorKind::Unavailable, source) }
    }

    /// It answered, but what it says makes no sense: asking again will not help.
    pub fn nonsense(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { passing: false, ..Self::on_the_way(PortErrorKind::Corrupt, source) }
    }

    /// It answered that it will not: asking again will not help.
    pub fn refused(kind: PortErrorKind, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { passing: false, unheard: true, ..Self::on_the_way(kind, source) }
    }
}

/// Whether a call may be sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It has one effect, or none, however often it is heard.
    Harmless,
    /// Only while the provider surely did nothing of it.
    IfUnheard,
}

/// Calls of one provider.
#[derive(Clone)]
pub struct Calls {
    /// Whose errors its failures are.
    port: &'static str,
    patience: Patience,
    places: Arc<Semaphore>,
    breaker: AsyncRecloser,
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls").field("port", &self.port).field("patience", &self.patience).finish_non_exhaustive()
    }
}

impl Calls {
    pub fn new(port: &'static str, patience: Patience) -> Self {
        let breaker = Recloser::custom()
            .closed_len(patience.breaker_calls)
            .half_open_len(BREAKER_PROBES)
            .error_rate(BREAKER_FAILED)
            .open_wait(patience.breaker_pause)
            .build();
        Self { port, patience, places: Arc::new(Semaphore::new(patience.calls_max)), breaker: breaker.into() }
    }

    /// One call, which `send` does one try of by an instant: tried again while there is time and it may be.
    ///
    /// # Errors
    /// Of the port, and whether the provider may have heard the call.
    pub async fn call<T, F>(&self, repeat: Repeat, send: impl Fn(Instant) -> F) -> Result<T, PortError>
    where
        F: Future<Output = Result<T, Failed>>,
    {
        let deadline = Instant::now() + self.patience.timeout;
        let patience = deadline - self.patience.timeout / QUEUE_SHARE;
        let full = || PortError::unavailable(self.port, "too many calls to the provider are under way");
        let Ok(Ok(_place)) = timeout_at(patience, self.places.acquire()).await else { return Err(full()) };
        let heard = AtomicBool::new(false);
        let once = || async {
            let answer = self.guarded(send(deadline), deadline).await;
            heard.fetch_or(answer.as_ref().is_err_and(|failed| !failed.unheard), Ordering::Relaxed);
            answer
        };
        let longest = RETRY_PAUSE_MAX.min(self.patience.timeout / 8);
        let pauses = ExponentialBuilder::default()
            .with_min_delay(RETRY_PAUSE_MIN.min(longest))
            .with_max_delay(longest)
            .with_max_times(self.patience.retries_max)
            .with_jitter();
        let may_be = |failed: &Failed| failed.passing && (repeat == Repeat::Harmless || failed.unheard);
        // Chance adds up to as much again.
        let in_time = |failed: &Failed| may_be(failed) && Instant::now() + 2 * longest < deadline;
        once.retry(pauses).when(in_time).await.map_err(|Failed { kind, source, .. }| {
            let did_it_happen = if heard.load(Ordering::Relaxed) { DidItHappen::Unknown } else { DidItHappen::No };
            PortError { port: self.port, kind, did_it_happen, source }
        })
    }

    /// One try, unless the breaker is open. What it takes too long for counts against the provider.
    async fn guarded<T>(&self, send: impl Future<Output = Result<T, Failed>>, deadline: Instant) -> Result<T, Failed> {
        let in_time = async {
            let late = |_| Failed::on_the_way(PortErrorKind::Timeout, "the provider did not answer in time");
            timeout_at(deadline, send).await.map_err(late)?
        };
        match self.breaker.call_with(|failed: &Failed| failed.passing, in_time).await {
            Ok(answer) => Ok(answer),
            Err(Broken::Inner(failed)) => Err(failed),
            Err(Broken::Rejected) => {
                Err(Failed { passing: false, ..Failed::unheard("the provider has failed too often; it is left alone for a while") })
            }
        }
    }
}
