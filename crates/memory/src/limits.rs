use app::ports::{Clock, FailuresMax, PortError, Quota, Room, SharedLimits, Spent, Ticket};
use async_trait::async_trait;
use domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Limits of edges that share a process. Clones share their counts.
#[derive(Clone)]
pub struct MemoryLimits {
    clock: Arc<dyn Clock>,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    /// When each budget will be whole again.
    whole_at: BTreeMap<String, Timestamp>,
    tries: BTreeMap<String, Tries>,
}

/// Each until it counts no more.
#[derive(Default)]
struct Tries {
    under_way: BTreeMap<Ticket, Timestamp>,
    failed: BTreeMap<Ticket, Timestamp>,
}

impl MemoryLimits {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, counts: Arc::default() }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("invariant: nothing panics while it holds this")
    }
}

impl std::fmt::Debug for MemoryLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryLimits")
    }
}

#[async_trait]
impl SharedLimits for MemoryLimits {
    async fn spend(&self, key: &str, quota: Quota) -> Result<Spent, PortError> {
        let now = self.clock.now();
        let share = (quota.span / quota.amount.get()).max(Duration::from_micros(1));
        let whole = share * quota.amount.get();
        let mut counts = self.counts();
        let whole_at = counts.whole_at.entry(key.to_owned()).or_insert(now);
        let next = (*whole_at).max(now).plus(share);
        let debt = now.until(next);
        if debt > whole {
            return Ok(Spent { left: 0, wait: Some(debt - whole) });
        }
        *whole_at = next;
        let left = (whole - debt).as_micros() / share.as_micros();
        Ok(Spent { left: u32::try_from(left).unwrap_or(u32::MAX), wait: None })
    }

    async fn admit(&self, key: &str, ticket: Ticket, max: FailuresMax, keep: Duration) -> Result<Room, PortError> {
        let now = self.clock.now();
        let mut counts = self.counts();
        let tries = counts.tries.entry(key.to_owned()).or_default();
        tries.under_way.retain(|_, until| *until > now);
        tries.failed.retain(|_, until| *until > now);
        let amount = usize::try_from(max.amount).unwrap_or(usize::MAX);
        if tries.failed.len() >= amount {
            let first = tries.failed.values().min().copied().unwrap_or(now);
            return Ok(Room::None(now.until(first)));
        }
        if tries.failed.len() + tries.under_way.len() >= amount && !tries.under_way.contains_key(&ticket) {
            return Ok(Room::Perhaps);
        }
        tries.under_way.insert(ticket, now.plus(keep));
        Ok(Room::There)
    }

    async fn settle(&self, key: &str, ticket: Option<Ticket>, failed: Option<Ticket>, window: Duration) -> Result<(), PortError> {
        let until = self.clock.now().plus(window);
        let mut counts = self.counts();
        let tries = counts.tries.entry(key.to_owned()).or_default();
        if let Some(ticket) = ticket {
            tries.under_way.remove(&ticket);
        }
        if let Some(failed) = failed {
            tries.failed.entry(failed).or_insert(until);
        }
        Ok(())
    }
}
