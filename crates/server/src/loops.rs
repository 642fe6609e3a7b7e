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
use tokio::time::timeout;

/// How much one step of a loop takes on.
const STEP: usize = 500;

/// The loops, each with its pause when there is nothing to do.
const RELAY_PAUSE: Duration = Duration::from_millis(25);
const DRIVE_PAUSE: Duration = Duration::from_millis(250);
const CALLERS_PAUSE: Duration = Duration::from_secs(60);
const OVERDUE_PAUSE: Duration = Duration::from_secs(5);
const ENGINES_PAUSE: Duration = Duration::from_secs(1);
/// An engine that takes longer over one small read is out of reach.
const ENGINE_PATIENCE: Duration = Duration::from_secs(2);
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
        let (e, mut ticks) = (Arc::clone(edge), self.every(CALLERS_PAUSE));
        self.tasks.spawn(async move {
            while ticks.next(false).await {
                e.forget_idle_callers();
            }
        });
    }

    /// Whether what the store is kept in can be reached from here.
    pub fn watch_engines(&mut self, app: &Arc<App>, edge: &Arc<Edge>) {
        let (a, e, mut ticks) = (Arc::clone(app), Arc::clone(edge), self.every(ENGINES_PAUSE));
        self.tasks.spawn(async move {
            loop {
                let reached = |answered: Result<Result<(), Error>, _>| matches!(answered, Ok(Ok(())));
                let (ledger, carts) = tokio::join!(timeout(ENGINE_PATIENCE, a.reach_ledger()), timeout(ENGINE_PATIENCE, a.reach_carts()));
                e.set_reached("ledger", reached(ledger));
                e.set_reached("carts", reached(carts));
                if !ticks.next(false).await {
                    return;
                }
            }
        });
    }

    /// Whether anything is known of a catalog that another node holds. That it grows old is no reason to send requests elsewhere.
    pub fn watch_catalog(&mut self, catalog: &Arc<dyn Catalog>, edge: &Arc<Edge>) {
        let (catalog, edge, mut ticks) = (Arc::clone(catalog), Arc::clone(edge), self.every(ENGINES_PAUSE));
        // At once, so that this node is not ready before.
        let look = move || edge.set_reached("catalog", catalog.freshness() > Freshness::Unknown);
        look();
        self.tasks.spawn(async move {
            while ticks.next(false).await {
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
        report("leases", worker.tend(app.now()).await.map(|()| 0));
        let (a, w, mut ticks) = (Arc::clone(app), Arc::clone(&worker), self.every(TEND_PAUSE));
        self.tasks.spawn(async move {
            while ticks.next(false).await {
                report("leases", w.tend(a.now()).await.map(|()| 0));
            }
        });
        for work in worker.all().iter().copied() {
            let (a, w, mut ticks) = (Arc::clone(app), Arc::clone(&worker), self.every(pause(work)));
            self.tasks.spawn(async move { while ticks.next(turn(&a, &w, work).await).await {} });
        }
        let (e, mut ticks) = (Arc::clone(edge), self.every(OVERDUE_PAUSE));
        self.tasks.spawn(async move { while ticks.next(report("overdue", e.measure_overdue().await.map(|()| 0))).await {} });
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

    fn every(&self, pause: Duration) -> Ticks {
        Ticks { pause, stop: self.stop.subscribe() }
    }
}

fn pause(work: Work) -> Duration {
    match (work, work.slot()) {
        (_, Some(slot)) => slot,
        (Work::Relay(_), None) => RELAY_PAUSE,
        (_, None) => DRIVE_PAUSE,
    }
}

/// One step of a job if it is this worker's now; whether there is more to do at once.
async fn turn(app: &App, worker: &Worker, work: Work) -> bool {
    let now = app.now();
    match worker.may(work, now).await {
        Ok(true) => report(work.name(), app.step(work, now, STEP).await),
        Ok(false) => false,
        Err(error) => report("leases", Err(error)),
    }
}

/// Whether there is more to do at once.
fn report(what: &str, step: Result<usize, Error>) -> bool {
    match step {
        Ok(n) => n >= STEP,
        Err(error) => {
            tracing::error!(%error, "{what}");
            false
        }
    }
}

struct Ticks {
    pause: Duration,
    stop: watch::Receiver<bool>,
}

impl Ticks {
    /// Waits, unless there is more to do; false when the loop is to end.
    #[expect(clippy::disallowed_methods, reason = "this is where the server's loops wait")]
    async fn next(&mut self, more: bool) -> bool {
        if more {
            return !*self.stop.borrow();
        }
        tokio::select! {
            _ = self.stop.wait_for(|stop| *stop) => false,
            () = tokio::time::sleep(self.pause) => true,
        }
    }
}
