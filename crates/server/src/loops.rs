//! What goes on beside the requests: the jobs of a worker, each in a loop of its own, and what a node looks after for itself.

use app::ports::{Catalog, Freshness};
use app::{App, Error, TEND_PAUSE, Work, Worker};
use bus_rabbit::RabbitSettings;
use catalog_grpc::Served;
use rest::Edge;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// How much one step of a loop takes on at most.
const STEP: usize = 500;
/// The same of a relay: an outbox in many parts is asked for all of them at each step, however few events each has. Few enough to be
/// published within the patience with a slow broker.
const RELAY_STEP: usize = 1000;

/// The loops, each with its pause when there is nothing to do.
const RELAY_PAUSE: Duration = Duration::from_millis(25);
const DRIVE_PAUSE: Duration = Duration::from_millis(250);
const CALLERS_PAUSE: Duration = Duration::from_secs(60);
const OVERDUE_PAUSE: Duration = Duration::from_secs(5);
const ENGINES_PAUSE: Duration = Duration::from_secs(1);
/// An engine that takes longer over one small read is out of reach.
const ENGINE_PATIENCE: Duration = Duration::from_secs(2);
/// A loop whose steps fail waits longer from step to step, up to this or its own pause.
const FAILING_PAUSE: Duration = Duration::from_secs(1);
/// How often it is told that steps of one loop fail.
const TELL_EVERY: Duration = Duration::from_secs(30);
/// Leases that cannot be given up in this time run out by themselves.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

pub struct Loops {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    worker: Option<Arc<Worker>>,
}

impl Loops {
    pub fn new() -> Self {
        Self { stop: watch::Sender::new(false), tasks: JoinSet::new(), worker: None }
    }

    /// What every node looks after for itself.
    pub fn look_after(&mut self, edge: &Arc<Edge>) {
        let (e, mut turns) = (Arc::clone(edge), self.every("callers", CALLERS_PAUSE));
        self.tasks.spawn(async move {
            while turns.next(Ok(0)).await {
                e.forget_idle_callers();
            }
        });
    }

    /// Whether what the store is kept in can be reached from here.
    pub fn watch_engines(&mut self, app: &Arc<App>, edge: &Arc<Edge>) {
        let (a, e, mut turns) = (Arc::clone(app), Arc::clone(edge), self.every("engines", ENGINES_PAUSE));
        self.tasks.spawn(async move {
            loop {
                let reached = |answered: Result<Result<(), Error>, _>| matches!(answered, Ok(Ok(())));
                let (ledger, carts) = tokio::join!(timeout(ENGINE_PATIENCE, a.reach_ledger()), timeout(ENGINE_PATIENCE, a.reach_carts()));
                e.set_reached("ledger", reached(ledger));
                e.set_reached("carts", reached(carts));
                if !turns.next(Ok(0)).await {
                    return;
                }
            }
        });
    }

    /// Whether anything is known of a catalog that another node holds. That it grows old is no reason to send requests elsewhere.
    pub fn watch_catalog(&mut self, catalog: &Arc<dyn Catalog>, edge: &Arc<Edge>) {
        let (catalog, edge, mut turns) = (Arc::clone(catalog), Arc::clone(edge), self.every("catalog", ENGINES_PAUSE));
        // At once, so that this node is not ready before.
        let look = move || edge.set_reached("catalog", catalog.freshness() > Freshness::Unknown);
        look();
        self.tasks.spawn(async move {
            while turns.next(Ok(0)).await {
                look();
            }
        });
    }

    /// Serves the catalog to other nodes.
    pub fn serve_catalog(&mut self, listener: TcpListener, served: Served) {
        let stop = self.stop.subscribe();
        self.tasks.spawn(async move {
            if let Err(error) = catalog_grpc::serve(listener, served, stop).await {
                tracing::error!(%error, "the catalog is no longer served to other nodes");
            }
        });
    }

    /// The jobs that all workers share out.
    pub async fn work(&mut self, app: &Arc<App>, edge: &Arc<Edge>, worker: Worker) {
        let worker = Arc::new(worker);
        // Before the first turns, so that they need not wait for the second ones.
        let mut tended = worker.tend(app.now()).await;
        let (a, w, mut turns) = (Arc::clone(app), Arc::clone(&worker), self.every("leases", TEND_PAUSE));
        self.tasks.spawn(async move {
            while turns.next(tended.map(|()| 0)).await {
                tended = w.tend(a.now()).await;
            }
        });
        for work in worker.all().iter().copied() {
            let (a, w) = (Arc::clone(app), Arc::clone(&worker));
            let mut turns = Turns { full: most(work), ..self.every(work.name(), pause(work)) };
            self.tasks.spawn(async move { while turns.next(turn(&a, &w, work).await).await {} });
        }
        let (e, mut turns) = (Arc::clone(edge), self.every("overdue", OVERDUE_PAUSE));
        self.tasks.spawn(async move { while turns.next(e.measure_overdue().await.map(|()| 0)).await {} });
        self.worker = Some(worker);
    }

    /// Takes in what other systems say. Every worker offers to; the broker gives it to one at a time.
    pub fn listen(&mut self, app: &Arc<App>, rabbit: RabbitSettings) {
        let (app, stop) = (Arc::clone(app), self.stop.subscribe());
        self.tasks.spawn(async move {
            if let Err(error) = bus_rabbit::consume(app, rabbit, stop).await {
                tracing::error!(%error, "nobody takes in what other systems say");
            }
        });
    }

    /// Ends the loops after the step they are at, and lets others have the jobs.
    pub async fn end(self) {
        self.stop.send_replace(true);
        self.tasks.join_all().await;
        let Some(worker) = self.worker else { return };
        match timeout(LEAVE_PATIENCE, worker.leave()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "jobs were not given up; others have them in a few seconds"),
            Err(_) => tracing::warn!("jobs were not given up in time; others have them in a few seconds"),
        }
    }

    fn every(&self, what: &'static str, pause: Duration) -> Turns {
        Turns { what, pause, full: STEP, stop: self.stop.subscribe(), trouble: Trouble::default() }
    }
}

fn pause(work: Work) -> Duration {
    match (work, work.slot()) {
        (_, Some(slot)) => slot,
        (Work::Relay(_), None) => RELAY_PAUSE,
        (_, None) => DRIVE_PAUSE,
    }
}

/// How much one step takes on.
fn most(work: Work) -> usize {
    if matches!(work, Work::Relay(_)) { RELAY_STEP } else { STEP }
}

/// One step of a job if it is this worker's now; how much was done.
async fn turn(app: &App, worker: &Worker, work: Work) -> Result<usize, Error> {
    let now = app.now();
    if worker.may(work, now).await? { app.step(work, now, most(work)).await } else { Ok(0) }
}

/// When a loop has its next turn.
struct Turns {
    what: &'static str,
    pause: Duration,
    /// A step that did so much may have left something.
    full: usize,
    stop: watch::Receiver<bool>,
    trouble: Trouble,
}

impl Turns {
    /// After a step that did so much: waits, unless there is more to do at once; false when the loop is to end.
    async fn next(&mut self, step: Result<usize, Error>) -> bool {
        let (told, what) = (self.trouble.heard(step.is_err(), Instant::now()), self.what);
        match (&step, told) {
            (Err(error), Some(times)) => tracing::error!(%error, times, "{what}"),
            (Ok(_), Some(_)) => tracing::info!("{what}: works again"),
            _ => {}
        }
        if step.is_ok_and(|done| done >= self.full) {
            return !*self.stop.borrow();
        }
        self.wait(self.trouble.pause(self.pause)).await
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the server's loops wait")]
    async fn wait(&mut self, pause: Duration) -> bool {
        tokio::select! {
            _ = self.stop.wait_for(|stop| *stop) => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}

/// Steps that fail: what is told of them, so that the log does not fill, and how long to wait.
#[derive(Default)]
struct Trouble {
    /// In a row.
    failures: u32,
    untold: u32,
    told_at: Option<Instant>,
    /// It was told that steps fail, and not yet that they work again.
    is_known: bool,
}

impl Trouble {
    /// Whether to tell of this step, and how many have failed since that was told: the first, and then now and then.
    fn heard(&mut self, failed: bool, now: Instant) -> Option<u32> {
        if !failed {
            self.failures = 0;
            return std::mem::take(&mut self.is_known).then_some(0);
        }
        self.failures = self.failures.saturating_add(1);
        self.untold = self.untold.saturating_add(1);
        if self.told_at.is_some_and(|at| now < at + TELL_EVERY) {
            return None;
        }
        (self.told_at, self.is_known) = (Some(now), true);
        Some(std::mem::take(&mut self.untold))
    }

    /// Twice as long after each failure.
    fn pause(&self, usual: Duration) -> Duration {
        usual.max(usual.saturating_mul(1 << self.failures.min(16)).min(FAILING_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_keeps_failing_is_told_of_now_and_then_and_waits_longer() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        for (second, failed, told, pause) in [
            (0, false, None, 25),
            (1, true, Some(1), 50),
            (2, true, None, 100),
            (3, true, None, 200),
            (31, true, Some(3), 400),
            (32, true, None, 800),
            (33, true, None, 1000),
            (34, false, Some(0), 25),
            // Comes and goes: no more of it than before.
            (35, true, None, 50),
            (36, false, None, 25),
            (37, true, None, 50),
            (61, true, Some(5), 100),
        ] {
            assert_eq!(trouble.heard(failed, start + Duration::from_secs(second)), told, "at {second} s");
            assert_eq!(trouble.pause(RELAY_PAUSE), Duration::from_millis(pause), "at {second} s");
        }
        assert_eq!(trouble.pause(OVERDUE_PAUSE), OVERDUE_PAUSE);
    }
}
