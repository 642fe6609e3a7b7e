//! The reference adapters do what every adapter must.

mod simulator;
mod world;

use app::ports::{Leases, Taxes};
use conformance::Subject;
use memory::{ManualClock, MemoryLeases, MemoryStore, MemoryTaxes};
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
conformance::taxes!(tax_table());

fn leases() -> Arc<dyn Leases> {
    Arc::new(MemoryLeases::default())
}

fn tax_table() -> Arc<dyn Taxes> {
    Arc::new(MemoryTaxes::new(conformance::fixtures::tax_table(), Arc::new(ManualClock::new())))
}
