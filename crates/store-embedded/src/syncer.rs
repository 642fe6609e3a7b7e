//! What makes commits last. One thread syncs the log to disk, brings memory up to date, and answers: whatever
//! was committed meanwhile shares the next sync.

use crate::connection;
use crate::fault::Failure;
use crate::memory::Memory;
use crate::progress::Progress;
use crate::writer::{Job, Others};
use fail_points::{Side, reach};
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tokio::sync::watch;

/// A group after its commit, or after the try.
pub struct Committed {
    pub number: u64,
    pub jobs: Vec<Box<dyn Job>>,
    pub failed: Option<Failure>,
}

pub struct Syncer {
    log: File,
    memory: Arc<Memory>,
    progress: Arc<Progress>,
    poison: Arc<watch::Sender<bool>>,
    /// A sync has failed.
    lost: bool,
}

impl Syncer {
    /// The writer's connection must have been used, so that there is a log. What it wrote so far is synced.
    pub fn open(dir: &Path, memory: Arc<Memory>, progress: Arc<Progress>, poison: Arc<watch::Sender<bool>>) -> io::Result<Self> {
        let log = File::open(connection::log(dir))?;
        log.sync_all()?;
        File::open(dir)?.sync_all()?;
        Ok(Self { log, memory, progress, poison, lost: false })
    }

    /// Until the writer has ended.
    pub fn run(mut self, committed: &Receiver<Committed>) {
        let synced = catch_unwind(AssertUnwindSafe(|| {
            while let Ok(first) = committed.recv() {
                let groups: Vec<Committed> = std::iter::once(first).chain(committed.try_iter()).collect();
                let failed = self.sync(&groups).err();
                groups.into_iter().for_each(|group| self.answer(group, failed.as_ref()));
            }
        }));
        if synced.is_err() {
            tracing::error!("the syncer panicked: the store writes no more");
            self.lose();
        }
    }

    fn lose(&mut self) {
        self.lost = true;
        self.poison.send_replace(true);
        self.progress.lose();
    }

    /// After a failed sync nobody knows what is on disk, and a sync that succeeds later says nothing about it: the
    /// kernel may have dropped what it could not write.
    fn sync(&mut self, groups: &[Committed]) -> Result<(), Failure> {
        if self.lost {
            return Err(Failure::Unknown("an earlier sync failed".to_owned()));
        }
        if groups.iter().all(|group| group.failed.is_some()) {
            return Ok(());
        }
        match self.log.sync_data() {
            Ok(()) => {
                let jobs = || groups.iter().flat_map(|group| group.jobs.iter().map(|job| job.port()));
                reach("store", Side::After, jobs);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "a sync failed: the store writes no more");
                self.lose();
                Err(Failure::Unknown(error.to_string()))
            }
        }
    }

    /// Brings memory up to date and answers everybody of the group.
    fn answer(&self, group: Committed, unsynced: Option<&Failure>) {
        let Committed { number, mut jobs, failed } = group;
        if failed.is_none() && unsynced.is_none() {
            jobs.iter_mut().for_each(|job| job.apply(&self.memory));
            self.memory.publish();
        }
        if !self.lost {
            // On disk, or failed: then it cannot be read.
            self.progress.reach(number);
        }
        let failed = failed.or_else(|| unsynced.cloned());
        if let Some(first) = jobs.pop() {
            first.answer(failed.clone(), Others { jobs, failed });
        }
    }
}
