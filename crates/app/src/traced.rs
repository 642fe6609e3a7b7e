//! The trace of whoever asks goes with all that comes of it. It lies beside the use cases and not in their arguments, because
//! nothing is decided by it.

use crate::App;
use crate::ports::{Change, Committed, PortError};
use domain::event::Outgoing;
use domain::time::Timestamp;
use domain::trace::TraceContext;

tokio::task_local! {
    static TRACE: Option<TraceContext>;
}

/// Does work that belongs to a trace, if it belongs to one: the events it causes and the calls it makes carry it.
pub async fn traced<F: Future>(trace: Option<TraceContext>, work: F) -> F::Output {
    TRACE.scope(trace, work).await
}

/// The trace that what is being done belongs to.
pub fn trace() -> Option<TraceContext> {
    TRACE.try_with(Clone::clone).ok().flatten()
}

/// Puts events into the trace of what caused them.
pub(crate) fn mark(events: &mut [Outgoing], trace: Option<&TraceContext>) {
    if trace.is_some() {
        events.iter_mut().for_each(|event| event.trace = trace.cloned());
    }
}

impl App {
    /// Commits what belongs to the present trace.
    pub(crate) fn commit(&self, mut change: Change, now: Timestamp) -> impl Future<Output = Result<Committed, PortError>> + Send {
        mark(&mut change.outbox, trace().as_ref());
        self.ports.ledger.commit(change, now)
    }
}
