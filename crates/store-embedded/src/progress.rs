//! How far commits have come on their way to the disk.

use crate::fault::Failure;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// Commits are numbered. A commit can be read as soon as it is made, a little before it is on disk: who reads
/// waits here, so that nobody is told of what a power cut may still undo.
#[derive(Debug)]
pub struct Progress {
    begun: AtomicU64,
    on_disk: watch::Sender<OnDisk>,
}

#[derive(Clone, Copy, Debug)]
struct OnDisk {
    through: u64,
    /// Nobody knows about what comes after.
    lost: bool,
}

impl Progress {
    pub fn new() -> Self {
        Self { begun: AtomicU64::new(0), on_disk: watch::Sender::new(OnDisk { through: 0, lost: false }) }
    }

    /// The number of a commit that is about to be made.
    pub fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Everything up to a commit is on disk, or was never made.
    pub fn reach(&self, through: u64) {
        self.on_disk.send_modify(|on_disk| on_disk.through = through);
    }

    /// What is not on disk by now may never be.
    pub fn lose(&self) {
        self.on_disk.send_modify(|on_disk| on_disk.lost = true);
    }

    /// Whether everything that can be read is on disk.
    pub fn is_settled(&self) -> bool {
        self.on_disk.borrow().through >= self.begun.load(Ordering::SeqCst)
    }

    /// Waits until everything that could be read before this call is on disk.
    pub async fn settled(&self) -> Result<(), Failure> {
        if self.is_settled() {
            return Ok(());
        }
        let begun = self.begun.load(Ordering::SeqCst);
        let mut on_disk = self.on_disk.subscribe();
        match on_disk.wait_for(|d| d.through >= begun || d.lost).await {
            Ok(d) if d.through >= begun => Ok(()),
            Ok(_) | Err(_) => Err(Failure::Poisoned),
        }
    }
}
