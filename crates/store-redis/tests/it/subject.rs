//! A store whose carts and sessions are in Redis, and whose other things are in memory: its outbox is both of theirs.

use app::ports::{Outbox, Pending, PortError, Position};
use async_trait::async_trait;
use conformance::Subject;
use domain::time::Timestamp;
use memory::MemoryStore;
use std::any::Any;
use std::sync::Arc;
use store_redis::RedisStore;

pub fn of(redis: RedisStore, guard: impl Any + Send) -> Subject {
    let memory = Arc::new(MemoryStore::new());
    let outbox = Both { redis: redis.clone(), memory: Arc::clone(&memory) };
    let redis = Arc::new(redis);
    Subject {
        carts: redis.clone(),
        ledger: memory.clone(),
        catalog: memory.clone(),
        prices: memory.clone(),
        search: memory,
        sessions: redis,
        outbox: Arc::new(outbox),
        guard: Box::new(guard),
    }
}

struct Both {
    redis: RedisStore,
    memory: Arc<MemoryStore>,
}

#[async_trait]
impl Outbox for Both {
    async fn pending(&self, limit: usize) -> Result<Vec<Pending>, PortError> {
        let mut pending = self.redis.pending(limit).await?;
        pending.extend(self.memory.pending(limit - pending.len()).await?);
        Ok(pending)
    }

    async fn delivered(&self, positions: &[Position], now: Timestamp) -> Result<(), PortError> {
        let (memory, redis): (Vec<_>, Vec<_>) = positions.iter().cloned().partition(|position| position.number().is_some());
        self.memory.delivered(&memory, now).await?;
        self.redis.delivered(&redis, now).await
    }

    async fn forget_delivered(&self, before: Timestamp, limit: usize) -> Result<usize, PortError> {
        Ok(self.redis.forget_delivered(before, limit).await? + self.memory.forget_delivered(before, limit).await?)
    }
}
