use crate::simulator::PaymentSimulator;
use crate::{ManualClock, MemoryBus, SeededEntropy};
use app::Ports;
use app::ports::{Carts, Catalog, Ledger, NoExpressions, Outbox, Prices, SearchIndex, Sessions};
use std::sync::Arc;
use std::time::Duration;

/// The ports of a shop on one store that is all of them, for tests. The rest is in memory and the same each time: payments that are
/// answered at once, a bus that remembers, a clock that stands, chance from a seed.
pub fn ports<S>(store: Arc<S>) -> Ports
where
    S: Carts + Ledger + Catalog + Prices + SearchIndex + Sessions + Outbox + 'static,
{
    Ports {
        carts: store.clone(),
        ledger: store.clone(),
        catalog: store.clone(),
        prices: store.clone(),
        search: store.clone(),
        sessions: store.clone(),
        payments: Arc::new(PaymentSimulator::in_memory(Duration::ZERO)),
        taxes: None,
        bus: Arc::new(MemoryBus::new()),
        outboxes: vec![store],
        clock: Arc::new(ManualClock::new()),
        entropy: Arc::new(SeededEntropy::new(7)),
        expressions: Arc::new(NoExpressions),
    }
}
