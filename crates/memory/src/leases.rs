use app::ports::{Fence, Job, Leases, NodeName, PortError};
use async_trait::async_trait;
use domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Leases of nodes that share a process, which is all there is where the store is embedded.
#[derive(Clone, Debug, Default)]
pub struct MemoryLeases(Arc<Mutex<BTreeMap<Job, Lease>>>);

#[derive(Debug)]
struct Lease {
    holder: Option<NodeName>,
    until: Timestamp,
    fence: Fence,
    last_slot: Option<Timestamp>,
}

impl MemoryLeases {
    fn leases(&self) -> MutexGuard<'_, BTreeMap<Job, Lease>> {
        self.0.lock().expect("invariant: nothing panics while it holds this")
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn take(&self, job: &Job, holder: &NodeName, keep: Duration, now: Timestamp) -> Result<Option<Fence>, PortError> {
        let mut leases = self.leases();
        let lease = leases.entry(job.clone()).or_insert(Lease { holder: None, until: now, fence: Fence(0), last_slot: None });
        let mine = lease.holder.as_ref() == Some(holder);
        if lease.holder.is_some() && now < lease.until && !mine {
            return Ok(None);
        }
        if !mine || now >= lease.until {
            lease.fence = Fence(lease.fence.0 + 1);
        }
        lease.holder = Some(holder.clone());
        lease.until = now.plus(keep);
        Ok(Some(lease.fence))
    }

    async fn give_up(&self, job: &Job, fence: Fence) -> Result<(), PortError> {
        if let Some(lease) = self.leases().get_mut(job).filter(|lease| lease.fence == fence) {
            lease.holder = None;
        }
        Ok(())
    }

    async fn held(&self, now: Timestamp) -> Result<Vec<(Job, NodeName)>, PortError> {
        let leases = self.leases();
        let live = leases.iter().filter(|(_, lease)| now < lease.until);
        Ok(live.filter_map(|(job, lease)| Some((job.clone(), lease.holder.clone()?))).collect())
    }

    async fn begin(&self, job: &Job, slot: Timestamp, fence: Fence, now: Timestamp) -> Result<bool, PortError> {
        let mut leases = self.leases();
        let held = |lease: &&mut Lease| lease.fence == fence && lease.holder.is_some() && now < lease.until;
        let Some(lease) = leases.get_mut(job).filter(held) else { return Ok(false) };
        let fresh = lease.last_slot.is_none_or(|last| last < slot);
        if fresh {
            lease.last_slot = Some(slot);
        }
        Ok(fresh)
    }
}
