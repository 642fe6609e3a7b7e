//! The reference adapters do what every adapter must.

mod simulator;
mod world;

use app::ports::{Leases, SharedLimits, Taxes};
use async_trait::async_trait;
use conformance::Subject;
use conformance::bus::{BusSubject, Listener};
use domain::event::Outgoing;
use memory::{ManualClock, MemoryBus, MemoryLeases, MemoryLimits, MemoryStore, MemoryTaxes};
use std::sync::Arc;

fn store() -> Subject {
    Subject::new(MemoryStore::new(), ())
}

conformance::carts!(store());
conformance::ledger!(store());
conformance::catalog!(store());
conformance::prices!(store());
conformance::sessions!(store());
conformance::outbox!(store());
conformance::leases!(leases());
conformance::limits!(limits());
conformance::taxes!(tax_table());
conformance::bus!(bus());

fn bus() -> BusSubject {
    let bus = MemoryBus::new();
    BusSubject { bus: Arc::new(bus.clone()), listener: Arc::new(Heard(bus)), guard: Box::new(()) }
}

struct Heard(MemoryBus);

#[async_trait]
impl Listener for Heard {
    async fn heard(&self, _: usize) -> Vec<String> {
        self.0.published().iter().map(Outgoing::id).collect()
    }

    async fn cut(&self) {
        self.0.break_down();
    }

    async fn mend(&self) {
        self.0.repair();
    }
}

fn leases() -> Arc<dyn Leases> {
    Arc::new(MemoryLeases::default())
}

fn limits() -> Arc<dyn SharedLimits> {
    Arc::new(MemoryLimits::new(Arc::new(ManualClock::new())))
}

fn tax_table() -> Arc<dyn Taxes> {
    Arc::new(MemoryTaxes::new(conformance::fixtures::tax_table(), Arc::new(ManualClock::new())))
}
