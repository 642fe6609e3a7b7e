//! One lane a key: work for one cart is done by one task at a time, in order of arrival, without a lock
//! that anybody could hold for too long.
//!
//! Whoever finds a lane empty leads it. A leader may take what others have queued, do it together with its
//! own work (one load, one commit), and answer them; then the next one waiting leads. Serializing by queueing
//! rather than by trying a lock is what keeps contention from becoming refusals (lesson P6, P8).

use domain::limits::LANE_WAITING_MAX;
use foldhash::HashMap;
use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::oneshot;

/// Work, and where its answer goes.
pub type Queued<K, W, A> = (W, oneshot::Sender<Turn<K, W, A>>);
type Waiting<K, W, A> = VecDeque<Queued<K, W, A>>;
type Shared<K, W, A> = Arc<Mutex<HashMap<K, Waiting<K, W, A>>>>;

/// Lanes by key; `W` is work to be done, `A` its answer.
pub struct Lanes<K: Key, W, A> {
    lanes: Shared<K, W, A>,
}

pub trait Key: Clone + Eq + Hash {}
impl<K: Clone + Eq + Hash> Key for K {}

impl<K: Key, W, A> Default for Lanes<K, W, A> {
    fn default() -> Self {
        Self { lanes: Arc::default() }
    }
}

/// What becomes of queued work.
pub enum Turn<K: Key, W, A> {
    /// A leader did it.
    Done(A),
    /// It is yours to do: you lead now.
    Lead(W, Leader<K, W, A>),
}

pub enum Entered<K: Key, W, A> {
    Lead(W, Leader<K, W, A>),
    Wait(oneshot::Receiver<Turn<K, W, A>>),
    /// Too much is waiting already.
    Full,
}

impl<K: Key, W, A> Lanes<K, W, A> {
    /// Queues work, or makes the caller the leader when nobody is in the lane.
    pub fn enter(&self, key: K, work: W) -> Entered<K, W, A> {
        let mut lanes = lock(&self.lanes);
        let Some(waiting) = lanes.get_mut(&key) else {
            lanes.insert(key.clone(), VecDeque::new());
            return Entered::Lead(work, Leader { lanes: Arc::clone(&self.lanes), key });
        };
        if waiting.len() >= LANE_WAITING_MAX {
            return Entered::Full;
        }
        let (sender, receiver) = oneshot::channel();
        waiting.push_back((work, sender));
        Entered::Wait(receiver)
    }
}

impl<K: Key, W> Lanes<K, W, ()> {
    /// Waits for one's turn, where work is not shared: the lane is held until the leader is dropped.
    pub async fn turn(&self, key: K, work: W) -> Option<Leader<K, W, ()>> {
        match self.enter(key, work) {
            Entered::Lead(_, leader) => Some(leader),
            Entered::Wait(turn) => match turn.await {
                Ok(Turn::Lead(_, leader)) => Some(leader),
                Ok(Turn::Done(())) | Err(_) => None,
            },
            Entered::Full => None,
        }
    }
}

/// Leadership of a lane: dropped in whatever way, also by a panic, it goes to the next one waiting.
pub struct Leader<K: Key, W, A> {
    lanes: Shared<K, W, A>,
    key: K,
}

impl<K: Key, W, A> Leader<K, W, A> {
    /// Takes over up to `max` pieces of queued work. Whoever waits for a piece whose sender is dropped
    /// without an answer is told that its outcome is unknown.
    pub fn take(&mut self, max: usize) -> Vec<Queued<K, W, A>> {
        let mut lanes = lock(&self.lanes);
        let Some(waiting) = lanes.get_mut(&self.key) else { return Vec::new() };
        let n = waiting.len().min(max);
        waiting.drain(..n).collect()
    }
}

impl<K: Key, W, A> Drop for Leader<K, W, A> {
    fn drop(&mut self) {
        loop {
            let next = {
                let mut lanes = lock(&self.lanes);
                let next = lanes.get_mut(&self.key).and_then(VecDeque::pop_front);
                if next.is_none() {
                    lanes.remove(&self.key);
                }
                next
            };
            let Some((work, sender)) = next else { return };
            let leader = Self { lanes: Arc::clone(&self.lanes), key: self.key.clone() };
            match sender.send(Turn::Lead(work, leader)) {
                // Nobody waits for it any more: leadership stays here and goes to the next.
                Err(Turn::Lead(_, leader)) => std::mem::forget(leader),
                Ok(()) | Err(Turn::Done(_)) => return,
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
