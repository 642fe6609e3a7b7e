//! Many futures on one thread, polled in an order that chance decides, and a clock that moves only when
//! they do. The same seed polls in the same order: there is no other source of order in here.

use app::ports::Clock;
use domain::time::Timestamp;
use fastrand::Rng;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use memory::ManualClock;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Where a task runs: on a node of the application, which may crash, or outside of all.
pub type Place = Option<usize>;

/// Virtual time. Clones share it.
#[derive(Clone, Default)]
pub struct Time {
    clock: ManualClock,
    alarms: Arc<Mutex<Alarms>>,
}

/// Who sleeps, by when and in which order they fell asleep.
#[derive(Default)]
struct Alarms {
    last: u64,
    sleeping: BTreeMap<(Timestamp, u64), Waker>,
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Time {
    pub fn sleep(&self, span: Duration) -> Sleep {
        Sleep { time: self.clone(), until: self.now().plus(span) }
    }

    pub fn advance(&self, span: Duration) {
        self.clock.advance(span);
        self.ring();
    }

    /// Jumps to the next alarm; says whether there was one.
    fn advance_to_next(&self) -> bool {
        let next = lock(&self.alarms).sleeping.keys().next().map(|(at, _)| *at);
        let Some(at) = next else { return false };
        self.advance(self.now().until(at));
        true
    }

    fn ring(&self) {
        let now = self.now();
        let mut alarms = lock(&self.alarms);
        let later = alarms.sleeping.split_off(&(Timestamp(now.0 + 1), 0));
        let rung = std::mem::replace(&mut alarms.sleeping, later);
        drop(alarms);
        rung.into_values().for_each(Waker::wake);
    }
}

pub struct Sleep {
    time: Time,
    until: Timestamp,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.time.now() >= self.until {
            return Poll::Ready(());
        }
        let mut alarms = lock(&self.time.alarms);
        alarms.last += 1;
        let key = (self.until, alarms.last);
        alarms.sleeping.insert(key, context.waker().clone());
        Poll::Pending
    }
}

/// A way to start tasks from within tasks, also from those that believe they are on many threads.
#[derive(Clone, Default)]
pub struct Spawner(Arc<Mutex<Vec<Started>>>);

type Started = (Place, BoxFuture<'static, ()>);

impl Spawner {
    pub fn spawn(&self, place: Place, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.0).push((place, Box::pin(task)));
    }
}

struct Task {
    place: Place,
    future: LocalBoxFuture<'static, ()>,
    waker: Waker,
}

/// Tells the executor that a task can go on.
struct Bell {
    task: u64,
    ready: Arc<Mutex<BTreeSet<u64>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        lock(&self.ready).insert(self.task);
    }
}

pub struct Executor {
    time: Time,
    order: Rng,
    spawner: Spawner,
    last: u64,
    tasks: BTreeMap<u64, Task>,
    ready: Arc<Mutex<BTreeSet<u64>>>,
}

impl Executor {
    pub fn new(time: Time, order: Rng) -> Self {
        Self { time, order, spawner: Spawner::default(), last: 0, tasks: BTreeMap::new(), ready: Arc::default() }
    }

    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    pub fn start(&mut self, place: Place, future: LocalBoxFuture<'static, ()>) {
        self.last += 1;
        let bell = Bell { task: self.last, ready: Arc::clone(&self.ready) };
        lock(&self.ready).insert(self.last);
        self.tasks.insert(self.last, Task { place, future, waker: Arc::new(bell).into() });
    }

    /// Polls one task that can go on, when need be after time has passed; false when nothing ever will.
    pub fn step(&mut self) -> bool {
        let Some(id) = self.next() else { return self.time.advance_to_next() };
        // Time passes while the work is done, though sometimes too little for a clock to tell.
        self.time.advance(Duration::from_micros(self.order.u64(..200).saturating_sub(40)));
        if let Some(mut task) = self.tasks.remove(&id) {
            let waker = task.waker.clone();
            if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.tasks.insert(id, task);
            }
        }
        let spawned = std::mem::take(&mut *lock(&self.spawner.0));
        for (place, task) in spawned {
            self.start(place, task);
        }
        true
    }

    fn next(&mut self) -> Option<u64> {
        let mut ready = lock(&self.ready);
        let at = if ready.is_empty() { return None } else { self.order.usize(..ready.len()) };
        let id = ready.iter().nth(at).copied()?;
        ready.remove(&id).then_some(id)
    }

    /// Drops every task of a node, wherever it stands.
    pub fn crash(&mut self, node: usize) {
        let dead: Vec<_> = self.tasks.extract_if(.., |_, task| task.place == Some(node)).collect();
        drop(dead);
    }

    /// Whether a task outside of all nodes is left.
    pub fn has_work_outside(&self) -> bool {
        self.tasks.values().any(|task| task.place.is_none())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
