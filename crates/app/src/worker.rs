//! Who does what goes on beside the requests. Each job is one worker's at a time, by a lease; workers share jobs out by looking
//! at who else holds leases. A worker that is silent loses its jobs to the others within [`LEASE_KEEP`] and a [`TEND_PAUSE`].
//! What two do at once after all, because one of them slept through its lease, is harmless: commits name versions, events are
//! told apart by their ids, and a slot begins only under the present fence.

use crate::App;
use crate::error::Error;
use crate::ports::{Fence, Job, Leases, NodeName};
use domain::limits::{JOB_NAME_MAX, LEASE_KEEP};
use domain::text::Text;
use domain::time::Timestamp;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a worker looks after its jobs: it may fail to once, and still holds them.
pub const TEND_PAUSE: Duration = Duration::from_secs(LEASE_KEEP.as_secs() / 3);

/// What is left of a job's name after `worker `.
const PRESENCE_CHARS: usize = JOB_NAME_MAX - 7;

/// What one worker at a time does for all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Publishing what waits in one of the outboxes.
    Relay(usize),
    /// Driving on checkouts, and orders whose money is moving.
    Drive,
    /// Sweeping away carts and sessions that have expired.
    Expire,
    /// Forgetting old answers, notices and events.
    Forget,
}

impl Work {
    /// All there is to do where events wait in so many outboxes.
    pub fn all(outboxes: usize) -> Vec<Self> {
        (0..outboxes).map(Self::Relay).chain([Self::Drive, Self::Expire, Self::Forget]).collect()
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Relay(_) => "relay",
            Self::Drive => "drive",
            Self::Expire => "expire",
            Self::Forget => "forget",
        }
    }

    fn job(self) -> Job {
        let name = match self {
            Self::Relay(n) => format!("relay {n}"),
            Self::Drive | Self::Expire | Self::Forget => self.name().to_owned(),
        };
        Text::parse(&name).expect("invariant: names of jobs are short")
    }

    /// For work that is done once a slot: how long those are. All else goes on while it is held.
    pub fn slot(self) -> Option<Duration> {
        match self {
            Self::Relay(_) | Self::Drive => None,
            Self::Expire => Some(Duration::from_secs(5)),
            Self::Forget => Some(Duration::from_secs(60)),
        }
    }
}

impl App {
    /// One step of the work; how much was done of at most `limit`.
    ///
    /// # Errors
    /// The first error, after what else could be done.
    pub async fn step(&self, work: Work, now: Timestamp, limit: usize) -> Result<usize, Error> {
        match work {
            Work::Relay(n) => self.relay_step(n, now, limit).await,
            Work::Drive => self.saga_step(now, limit).await,
            Work::Expire => self.expiry_step(now, limit).await,
            Work::Forget => self.forget_step(now, limit).await,
        }
    }

    /// Asks the store of checkouts and orders for something small.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn reach_ledger(&self) -> Result<(), Error> {
        Ok(self.ports.ledger.answer([0; 16]).await.map(drop)?)
    }

    /// Asks the store of carts for something small, in a few of its parts: it is there when one of them is.
    ///
    /// # Errors
    /// No part can be reached.
    pub async fn reach_carts(&self) -> Result<(), Error> {
        let mut last = Ok(());
        for partition in [0, 85, 170] {
            let mut key = [0; 16];
            key[0] = partition;
            last = self.ports.carts.answer(key).await.map(drop);
            if last.is_ok() {
                break;
            }
        }
        Ok(last?)
    }
}

/// One node's part of the work.
pub struct Worker {
    leases: Arc<dyn Leases>,
    name: NodeName,
    all: Vec<Work>,
    /// By holding this job a worker counts, also when nothing is left for it to do.
    presence: Job,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    present: Option<Fence>,
    held: Vec<Held>,
}

#[derive(Clone, Copy)]
struct Held {
    work: Work,
    fence: Fence,
    /// By this node's clock, counted from before it asked: never later than others believe.
    until: Timestamp,
    /// The last slot that was begun here.
    slot: Option<Timestamp>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("name", &self.name).field("all", &self.all).finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker by a name that no other process has or had.
    pub fn new(leases: Arc<dyn Leases>, name: NodeName, all: Vec<Work>) -> Self {
        let skipped = name.as_str().chars().count().saturating_sub(PRESENCE_CHARS);
        let end: String = name.as_str().chars().skip(skipped).collect();
        let presence = Text::parse(&format!("worker {end}")).expect("invariant: cut to what fits");
        Self { leases, name, all, presence, state: Mutex::default() }
    }

    /// All there is to do, here or on other nodes.
    pub fn all(&self) -> &[Work] {
        &self.all
    }

    /// What this worker holds now.
    pub fn holds(&self, now: Timestamp) -> Vec<Work> {
        self.state().held.iter().filter(|held| now < held.until).map(|held| held.work).collect()
    }

    /// Renews what is held, lets go of what is more than this worker's part, and takes what nobody holds up to that part.
    ///
    /// # Errors
    /// The leases are out of reach. What is held stays so until its time has run out.
    pub async fn tend(&self, now: Timestamp) -> Result<(), Error> {
        let present = self.leases.take(&self.presence, &self.name, LEASE_KEEP, now).await?;
        self.state().present = present;
        let leases = self.leases.held(now).await?;
        let workers: BTreeSet<_> = leases.iter().map(|(_, holder)| holder).chain([&self.name]).collect();
        let part = self.all.len().div_ceil(workers.len());
        for (n, work) in self.mine().into_iter().enumerate() {
            if n < part { self.take(work, now).await? } else { self.let_go(work).await? }
        }
        let free = |work: &Work| leases.iter().all(|(job, _)| *job != work.job());
        for work in self.all.iter().copied().filter(free) {
            let mine = self.mine();
            if mine.len() < part && !mine.contains(&work) {
                self.take(work, now).await?;
            }
        }
        Ok(())
    }

    /// Whether this worker may do a turn of the work now: it holds the job, and the slot is its to do.
    ///
    /// # Errors
    /// The leases are out of reach.
    pub async fn may(&self, work: Work, now: Timestamp) -> Result<bool, Error> {
        let held = self.state().held.iter().find(|held| held.work == work && now < held.until).copied();
        let (Some(held), Some(length)) = (held, work.slot()) else { return Ok(held.is_some()) };
        let length = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
        let slot = Timestamp(now.0 - now.0.rem_euclid(length));
        if held.slot == Some(slot) {
            return Ok(true);
        }
        let begun = self.leases.begin(&work.job(), slot, held.fence, now).await?;
        if begun && let Some(held) = self.state().held.iter_mut().find(|h| h.work == work && h.fence == held.fence) {
            held.slot = Some(slot);
        }
        Ok(begun)
    }

    /// Gives everything up, so that others need not wait until its time has run out.
    ///
    /// # Errors
    /// The leases are out of reach: others wait.
    pub async fn leave(&self) -> Result<(), Error> {
        for work in self.mine() {
            self.let_go(work).await?;
        }
        let present = self.state().present.take();
        if let Some(fence) = present {
            self.leases.give_up(&self.presence, fence).await?;
        }
        Ok(())
    }

    fn mine(&self) -> Vec<Work> {
        self.state().held.iter().map(|held| held.work).collect()
    }

    /// Takes or renews; forgets what has gone to another.
    async fn take(&self, work: Work, now: Timestamp) -> Result<(), Error> {
        let taken = self.leases.take(&work.job(), &self.name, LEASE_KEEP, now).await?;
        let mut state = self.state();
        let before = state.held.iter().position(|held| held.work == work).map(|n| state.held.remove(n));
        if let Some(fence) = taken {
            let slot = before.filter(|held| held.fence == fence).and_then(|held| held.slot);
            state.held.push(Held { work, fence, until: now.plus(LEASE_KEEP), slot });
        }
        Ok(())
    }

    async fn let_go(&self, work: Work) -> Result<(), Error> {
        let gone = {
            let mut state = self.state();
            state.held.iter().position(|held| held.work == work).map(|n| state.held.remove(n))
        };
        match gone {
            Some(held) => Ok(self.leases.give_up(&work.job(), held.fence).await?),
            None => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
