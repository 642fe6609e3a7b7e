//! The leases of a store, with its database.

use crate::servers::Database;
use crate::start::settings;
use app::ports::{Fence, Job, Leases, NodeName, PortError};
use async_trait::async_trait;
use domain::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use store_postgres::PgStore;

struct Kept {
    store: PgStore,
    _database: Database,
}

pub async fn leases() -> Arc<dyn Leases> {
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    Arc::new(Kept { store, _database: database })
}

#[async_trait]
impl Leases for Kept {
    async fn take(&self, job: &Job, holder: &NodeName, keep: Duration, now: Timestamp) -> Result<Option<Fence>, PortError> {
        self.store.take(job, holder, keep, now).await
    }

    async fn give_up(&self, job: &Job, fence: Fence) -> Result<(), PortError> {
        self.store.give_up(job, fence).await
    }

    async fn held(&self, now: Timestamp) -> Result<Vec<(Job, NodeName)>, PortError> {
        self.store.held(now).await
    }

    async fn begin(&self, job: &Job, slot: Timestamp, fence: Fence, now: Timestamp) -> Result<bool, PortError> {
        self.store.begin(job, slot, fence, now).await
    }
}
