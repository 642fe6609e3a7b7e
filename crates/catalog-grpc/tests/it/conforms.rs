//! A copy does what every catalog must, once it has caught up; what is saved through it is in it at once.

use crate::served::{Node, PATIENCE, of};
use app::ports::{Answer, Catalog, CatalogChange, CatalogSaved, Freshness, PortError};
use app::snapshot::Snapshot;
use async_trait::async_trait;
use catalog_grpc::RemoteCatalog;
use conformance::Subject;
use domain::ids::EditionId;
use domain::pricing::PriceLine;
use domain::stock::StockLevel;
use domain::time::Timestamp;
use memory::MemoryStore;
use std::sync::Arc;
use tokio::runtime::Handle;

conformance::catalog!(subject().await);

async fn subject() -> Subject {
    let store = MemoryStore::new();
    let node = Node::start(of(&store)).await;
    let remote = node.copied().await;
    Subject { catalog: Arc::new(Waited(remote.clone())), search: Arc::new(remote), ..Subject::new(store, node) }
}

/// Levels and counts that also have what was committed at the ledger, which a copy hears of a moment later.
struct Waited(RemoteCatalog);

impl Waited {
    fn caught_up(&self) -> &RemoteCatalog {
        let caught_up = tokio::task::block_in_place(|| Handle::current().block_on(self.0.caught_up(PATIENCE)));
        assert!(caught_up);
        &self.0
    }
}

#[async_trait]
impl Catalog for Waited {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot()
    }

    fn level(&self, edition: EditionId) -> StockLevel {
        self.caught_up().level(edition)
    }

    fn changes(&self) -> u64 {
        self.caught_up().changes()
    }

    fn freshness(&self) -> Freshness {
        self.0.freshness()
    }

    async fn save(&self, change: CatalogChange, now: Timestamp) -> Result<CatalogSaved, PortError> {
        self.0.save(change, now).await
    }

    async fn prices(&self, edition: EditionId, before: Option<u64>, limit: usize) -> Result<Vec<(u64, PriceLine)>, PortError> {
        self.0.prices(edition, before, limit).await
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.0.answer(key).await
    }
}
