//! What a shop at scale is made of, as the suites want it: ledger, prices and catalog here, carts and sessions elsewhere.

use crate::servers::Database;
use crate::start::settings;
use app::ports::{Outbox, Pending, PortError, Position};
use async_trait::async_trait;
use bytes::Bytes;
use conformance::Subject;
use domain::time::Timestamp;
use memory::MemoryStore;
use std::sync::Arc;
use store_postgres::PgStore;

/// The events of both stores; a first byte says whose a position is.
struct Both {
    here: PgStore,
    elsewhere: MemoryStore,
}

impl Both {
    fn each(&self) -> [(u8, &dyn Outbox); 2] {
        [(0, &self.here), (1, &self.elsewhere)]
    }
}

#[async_trait]
impl Outbox for Both {
    async fn pending(&self, limit: usize) -> Result<Vec<Pending>, PortError> {
        let mut all = Vec::new();
        for (whose, outbox) in self.each() {
            let mark = |p: Pending| Pending { position: Position(Bytes::from([&[whose], &p.position.0[..]].concat())), ..p };
            all.extend(outbox.pending(limit - all.len()).await?.into_iter().map(mark));
        }
        Ok(all)
    }

    async fn delivered(&self, positions: &[Position], now: Timestamp) -> Result<(), PortError> {
        for (whose, outbox) in self.each() {
            let of = positions.iter().filter(|p| p.0[0] == whose);
            outbox.delivered(&of.map(|p| Position(p.0.slice(1..))).collect::<Vec<_>>(), now).await?;
        }
        Ok(())
    }

    async fn forget_delivered(&self, before: Timestamp, limit: usize) -> Result<usize, PortError> {
        let mut forgotten = 0;
        for (_, outbox) in self.each() {
            forgotten += outbox.forget_delivered(before, limit - forgotten).await?;
        }
        Ok(forgotten)
    }
}

pub async fn subject() -> Subject {
    let database = Database::fresh();
    let here = PgStore::connect(settings(&database)).await.expect("a store");
    let elsewhere = MemoryStore::default();
    Subject {
        ledger: Arc::new(here.clone()),
        catalog: Arc::new(here.clone()),
        prices: Arc::new(here.clone()),
        search: Arc::new(here.clone()),
        outbox: Arc::new(Both { here, elsewhere: elsewhere.clone() }),
        ..Subject::new(elsewhere, database)
    }
}
