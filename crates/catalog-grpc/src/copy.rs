//! The copy a node keeps of another node's catalog.

use crate::message::Heard;
use app::ports::Freshness;
use app::snapshot::Snapshot;
use arc_swap::ArcSwap;
use domain::ids::EditionId;
use domain::stock::StockLevel;
use foldhash::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

pub struct Copy {
    snapshot: ArcSwap<Snapshot>,
    levels: RwLock<HashMap<EditionId, StockLevel>>,
    /// Counted after the change is in place: who sees the count sees the change.
    changes: AtomicU64,
    born: Instant,
    /// As of when all is known: microseconds after `born`, and zero while nothing is.
    as_of: AtomicU64,
    age_max: Duration,
    /// Asks sent so far, counted before they are.
    sent: AtomicU64,
    /// The last ask that was answered and whose answer is in the copy.
    answered: watch::Sender<u64>,
    /// Somebody does not want to wait for the next ask.
    pub hurry: Notify,
}

impl Copy {
    pub fn new(age_max: Duration) -> Self {
        Self {
            snapshot: ArcSwap::default(),
            levels: RwLock::default(),
            changes: AtomicU64::new(0),
            born: Instant::now(),
            as_of: AtomicU64::new(0),
            age_max,
            sent: AtomicU64::new(0),
            answered: watch::Sender::new(0),
            hurry: Notify::new(),
        }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub fn level(&self, edition: EditionId) -> StockLevel {
        self.levels.read().unwrap_or_else(PoisonError::into_inner).get(&edition).copied().unwrap_or_default()
    }

    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub fn freshness(&self) -> Freshness {
        match self.as_of.load(Ordering::Acquire) {
            0 => Freshness::Unknown,
            as_of if self.born.elapsed().saturating_sub(Duration::from_micros(as_of)) <= self.age_max => Freshness::Fresh,
            _ => Freshness::Stale,
        }
    }

    pub fn next_ask(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Takes over the answer to an ask that was sent at `sent`: everything, or what has changed.
    pub fn take(&self, heard: Heard, whole: bool, ask: u64, sent: Instant) {
        if whole || !heard.is_empty() {
            let old = if whole { Arc::default() } else { self.snapshot() };
            if whole || !heard.headings.is_empty() || !heard.books.is_empty() {
                self.snapshot.store(Arc::new(old.with(&heard.headings, &heard.books)));
            }
            let mut levels = self.levels.write().unwrap_or_else(PoisonError::into_inner);
            if whole || !heard.books.is_empty() {
                let now = self.snapshot();
                levels.retain(|edition, _| !whole && now.book_of(*edition).is_some());
            }
            levels.extend(heard.levels);
            drop(levels);
            self.changes.fetch_add(1, Ordering::Release);
        }
        let as_of = u64::try_from(sent.duration_since(self.born).as_micros()).unwrap_or(u64::MAX);
        self.as_of.store(as_of.max(1), Ordering::Release);
        self.answered.send_replace(ask);
    }

    /// Waits until all that is so now is in the copy; false when that takes too long.
    pub async fn caught_up(&self, within: Duration) -> bool {
        let wanted = self.sent.load(Ordering::Acquire) + 1;
        let mut answered = self.answered.subscribe();
        self.hurry.notify_one();
        matches!(timeout(within, answered.wait_for(|ask| *ask >= wanted)).await, Ok(Ok(_)))
    }
}
