//! The reference adapters do what every adapter must.

mod simulator;
mod world;

use conformance::Subject;
use memory::MemoryStore;

fn store() -> Subject {
    Subject::new(MemoryStore::new(), ())
}

conformance::carts!(store());
conformance::ledger!(store());
conformance::catalog!(store());
conformance::prices!(store());
conformance::sessions!(store());
conformance::outbox!(store());
