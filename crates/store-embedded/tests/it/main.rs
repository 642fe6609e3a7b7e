//! Every sentence of the ports, on a real directory; and what only a store on disk has to do.

mod codes;
mod disk;
mod torn;

use conformance::Subject;
use store_embedded::EmbeddedStore;
use tempfile::TempDir;

fn subject() -> Subject {
    let dir = TempDir::new().expect("a temporary directory");
    Subject::new(EmbeddedStore::open(dir.path()).expect("a fresh store"), dir)
}

conformance::carts!(subject());
conformance::catalog!(subject());
conformance::ledger!(subject());
conformance::outbox!(subject());
conformance::prices!(subject());
conformance::sessions!(subject());
