//! The one writer. Jobs wait in a queue; the writer takes whatever waits (never more than `GROUP_MAX`, never
//! by a timer), runs it in one transaction and commits once: callers share the price of one sync to disk, and
//! a lone caller pays for no one.
//!
//! A job that is refused undoes what it wrote behind its own savepoint. When the disk is full the group is
//! rolled back and the store goes on. When nobody can tell whether a commit is on disk (a sync that failed,
//! say) everybody of the group is told so and the store is poisoned: it writes no more, reads go on, and the
//! process is expected to end and start again, because only recovery can tell.

use crate::fault::{Failure, Fault};
use crate::limits::{GROUP_MAX, WAITING_MAX};
use crate::memory::Memory;
use crate::{columns, connection, outbox};
use app::ports::{PortError, PortErrorKind};
use domain::event::Outgoing;
use fail_points::{Side, reach};
use rusqlite::Connection;
use std::cell::Cell;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::{Mutex, mpsc, oneshot, watch};

/// Frames (pages of 4 KiB) in the log between two checkpoints: a page that is changed again meanwhile is moved
/// once. And from where on the log must start over.
const CHECKPOINT_FRAMES: u32 = 8_192;
const RESTART_FRAMES: u32 = 16_384;

/// A job's turn at the database, inside the group's transaction.
pub struct Turn<'a> {
    on: &'a Connection,
    next_position: &'a Cell<i64>,
}

impl Deref for Turn<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.on
    }
}

impl Turn<'_> {
    /// Queues an encoded event behind all earlier ones.
    pub fn send(&self, body: &[u8]) -> rusqlite::Result<()> {
        let position = self.next_position.get();
        self.next_position.set(position + 1);
        columns::change(self.on, "INSERT INTO outbox (position, body) VALUES (?1, ?2)", (position, body)).map(drop)
    }
}

/// Encodes events where the caller is, not in the writer.
pub fn encode_all(events: &[Outgoing]) -> Vec<Vec<u8>> {
    events.iter().map(records::encode_outgoing).collect()
}

/// What becomes of what a job wrote.
pub enum Verdict<T> {
    Keep(T),
    Undo(T),
}

/// Whether a job may have to be undone after it has written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    Savepoint,
    /// It checks everything before it writes.
    None,
}

trait Job: Send {
    fn port(&self) -> &'static str;
    fn guard(&self) -> Guard;
    /// Whether what it wrote stays.
    fn run(&mut self, turn: &Turn<'_>) -> Result<bool, Fault>;
    /// Alone with a fault of its own.
    fn fail(&mut self, fault: Fault);
    /// After the commit, before anyone is answered.
    fn apply(&mut self, memory: &Memory);
    /// Wakes whoever asked, and has them wake the others.
    fn answer(self: Box<Self>, failed: Option<Failure>, others: Others);
}

/// The rest of a group, to be answered by whoever is answered first: waking a task from inside the runtime
/// costs next to nothing, from out here a system call and a switch of threads each. Dropped in whatever way,
/// it answers them.
struct Others {
    jobs: Vec<Box<dyn Job>>,
    failed: Option<Failure>,
}

impl Drop for Others {
    fn drop(&mut self) {
        for job in self.jobs.drain(..) {
            job.answer(self.failed.clone(), Self { jobs: Vec::new(), failed: None });
        }
    }
}

struct Ask<T, R, A> {
    port: &'static str,
    guard: Guard,
    run: Option<R>,
    apply: Option<A>,
    outcome: Option<Result<T, PortError>>,
    reply: oneshot::Sender<(Result<T, PortError>, Others)>,
}

impl<T, R, A> Job for Ask<T, R, A>
where
    T: Send,
    R: FnOnce(&Turn<'_>) -> Result<Verdict<T>, Fault> + Send,
    A: FnOnce(&Memory, &T) + Send,
{
    fn port(&self) -> &'static str {
        self.port
    }

    fn guard(&self) -> Guard {
        self.guard
    }

    fn run(&mut self, turn: &Turn<'_>) -> Result<bool, Fault> {
        let run = self.run.take().expect("invariant: a job runs once");
        let (outcome, keep) = match run(turn)? {
            Verdict::Keep(outcome) => (outcome, true),
            Verdict::Undo(outcome) => (outcome, false),
        };
        self.outcome = Some(Ok(outcome));
        Ok(keep)
    }

    fn fail(&mut self, fault: Fault) {
        self.outcome = Some(Err(fault.without_effect(self.port)));
    }

    fn apply(&mut self, memory: &Memory) {
        if let (Some(Ok(outcome)), Some(apply)) = (&self.outcome, self.apply.take()) {
            apply(memory, outcome);
        }
    }

    fn answer(self: Box<Self>, failed: Option<Failure>, others: Others) {
        let answer = match (failed, self.outcome) {
            (Some(failure), _) => Err(failure.on(self.port)),
            (None, Some(outcome)) => outcome,
            (None, None) => Err(Failure::Unknown("the job did not run".into()).on(self.port)),
        };
        // Whoever asked may have gone away; the others are answered all the same.
        drop(self.reply.send((answer, others)));
    }
}

/// The writer's handle: closing it ends its threads after the jobs that wait.
pub struct Writer {
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    poisoned: watch::Receiver<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Writer {
    pub fn start(dir: &Path, connection: Connection, memory: Arc<Memory>) -> Result<Self, crate::OpenError> {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let (poison, poisoned) = watch::channel(false);
        let poison = Arc::new(poison);
        let (log_grew, grown) = sync_channel(1);
        let turn = Arc::new(Mutex::new(()));
        let checkpointer =
            Checkpointer { connection: connection::checkpointing(dir)?, poison: Arc::clone(&poison), turn: Arc::clone(&turn) };
        let group = Group::new(connection, memory, log_grew)?;
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| std::thread::Builder::new().name(name.into()).spawn(work);
        let threads = vec![
            spawn("store-writer", Box::new(move || write(group, waiting, &turn, &poison)))?,
            spawn("store-checkpoint", Box::new(move || checkpointer.run(&grown)))?,
        ];
        Ok(Self { jobs: Some(jobs), poisoned, threads })
    }

    pub fn poisoned(&self) -> watch::Receiver<bool> {
        self.poisoned.clone()
    }

    /// Runs a job in the next group; returns when it is durable, refused or failed. `apply` brings memory up to date.
    pub async fn submit<T: Send + 'static>(
        &self,
        port: &'static str,
        guard: Guard,
        run: impl FnOnce(&Turn<'_>) -> Result<Verdict<T>, Fault> + Send + 'static,
        apply: impl FnOnce(&Memory, &T) + Send + 'static,
    ) -> Result<T, PortError> {
        if *self.poisoned.borrow() {
            return Err(Failure::Poisoned.on(port));
        }
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Ask { port, guard, run: Some(run), apply: Some(apply), outcome: None, reply });
        let jobs = self.jobs.as_ref().expect("invariant: open until dropped");
        jobs.send(job).await.map_err(|_| Failure::Poisoned.on(port))?;
        match answer.await {
            Ok((answer, others)) => {
                drop(others);
                answer
            }
            Err(lost) => Err(PortError::unknown(port, PortErrorKind::Unavailable, lost)),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A writer that panicked has poisoned the store and said so.
            drop(thread.join());
        }
    }
}

/// The writer's thread.
fn write(mut group: Group, mut waiting: mpsc::Receiver<Box<dyn Job>>, turn: &Mutex<()>, poison: &watch::Sender<bool>) {
    let written = catch_unwind(AssertUnwindSafe(|| {
        let mut jobs = Vec::with_capacity(GROUP_MAX);
        while !*poison.borrow() && waiting.blocking_recv_many(&mut jobs, GROUP_MAX) > 0 {
            let _turn = turn.blocking_lock();
            if let Err(why) = group.write(&mut jobs) {
                tracing::error!(%why, "a write failed with unknown outcome: the store writes no more");
                poison.send_replace(true);
            }
        }
        waiting.close();
        while let Some(job) = waiting.blocking_recv() {
            drop(Others { jobs: vec![job], failed: Some(Failure::Poisoned) });
        }
    }));
    if written.is_err() {
        tracing::error!("the writer panicked: the store writes no more");
        poison.send_replace(true);
    }
}

struct Group {
    connection: Connection,
    memory: Arc<Memory>,
    next_position: Cell<i64>,
    /// Frames in the log after the last commit.
    frames: Arc<AtomicU32>,
    announced: u32,
    log_grew: SyncSender<()>,
}

impl Group {
    fn new(mut connection: Connection, memory: Arc<Memory>, log_grew: SyncSender<()>) -> rusqlite::Result<Self> {
        let next_position = Cell::new(outbox::last_position(&connection)? + 1);
        let frames = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&frames);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            seen.store(pages.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { connection, memory, next_position, frames, announced: 0, log_grew })
    }

    fn execute(&self, sql: &str) -> Result<(), Fault> {
        columns::change(&self.connection, sql, ())?;
        Ok(())
    }

    /// Commits the jobs and answers them. An error poisons the store.
    fn write(&mut self, jobs: &mut Vec<Box<dyn Job>>) -> Result<(), String> {
        let failed = self.commit(jobs).err();
        if failed.is_none() {
            jobs.iter_mut().for_each(|job| job.apply(&self.memory));
            self.memory.publish();
            self.announce_growth();
        }
        if matches!(failed, Some(Failure::Full)) {
            // A log that starts over makes room by itself.
            self.ask_for_checkpoint();
        }
        if let Some(first) = jobs.pop() {
            let others = Others { jobs: std::mem::replace(jobs, Vec::with_capacity(GROUP_MAX)), failed: failed.clone() };
            first.answer(failed.clone(), others);
        }
        match failed {
            Some(Failure::Unknown(why)) => Err(why),
            _ => Ok(()),
        }
    }

    fn commit(&self, jobs: &mut [Box<dyn Job>]) -> Result<(), Failure> {
        self.execute("BEGIN IMMEDIATE").map_err(|fault| match fault {
            // Somebody else's hands are in the file; ours are not.
            fault if fault.is_busy() => Failure::Undone(fault.to_string()),
            fault => Failure::Unknown(fault.to_string()),
        })?;
        let turn = Turn { on: &self.connection, next_position: &self.next_position };
        match jobs.iter_mut().try_for_each(|job| self.run(job.as_mut(), &turn)) {
            Ok(()) => {
                reach("store", Side::Before, || jobs.iter().map(|job| job.port()));
                self.execute("COMMIT").map_err(|fault| self.roll_back(&fault, false))?;
                reach("store", Side::After, || jobs.iter().map(|job| job.port()));
                Ok(())
            }
            Err(fault) => Err(self.roll_back(&fault, fault.is_local())),
        }
    }

    /// An error is the whole group's.
    fn run(&self, job: &mut dyn Job, turn: &Turn<'_>) -> Result<(), Fault> {
        if job.guard() == Guard::None {
            return job.run(turn).map(drop);
        }
        self.execute("SAVEPOINT job")?;
        match job.run(turn) {
            Ok(true) => return self.execute("RELEASE job"),
            Ok(false) => {}
            Err(fault) if fault.is_local() => job.fail(fault),
            Err(fault) => return Err(fault),
        }
        self.execute("ROLLBACK TO job")?;
        self.execute("RELEASE job")
    }

    fn roll_back(&self, fault: &Fault, harmless: bool) -> Failure {
        // SQLite rolls back by itself after some errors.
        if !self.connection.is_autocommit()
            && let Err(worse) = self.execute("ROLLBACK")
        {
            return Failure::Unknown(format!("{fault}; then the rollback failed: {worse}"));
        }
        match fault {
            fault if fault.is_full() => Failure::Full,
            fault if harmless => Failure::Undone(fault.to_string()),
            fault => Failure::Unknown(fault.to_string()),
        }
    }

    fn announce_growth(&mut self) {
        let frames = self.frames.load(Ordering::Relaxed);
        // The log has started over.
        self.announced = self.announced.min(frames);
        if frames - self.announced >= CHECKPOINT_FRAMES {
            self.announced = frames;
            self.ask_for_checkpoint();
        }
    }

    /// One request waits at most: a checkpoint takes all there is.
    fn ask_for_checkpoint(&self) {
        let _already_asked = self.log_grew.try_send(());
    }
}

/// Moves the log into the database file, beside the writer.
struct Checkpointer {
    connection: Connection,
    poison: Arc<watch::Sender<bool>>,
    /// Whoever has it may write. Given to those who wait for it one after the other, or a busy writer would never let
    /// the log start over.
    turn: Arc<Mutex<()>>,
}

impl Checkpointer {
    /// Until the writer has ended; then the file is left without a log.
    fn run(&self, grown: &Receiver<()>) {
        while grown.recv().is_ok() {
            self.checked(self.checkpoint());
        }
        if !*self.poison.borrow() {
            self.checked(self.pragma("PRAGMA wal_checkpoint(TRUNCATE)").map(drop));
        }
    }

    fn checked(&self, checkpoint: Result<(), Fault>) {
        match checkpoint {
            Ok(()) => {}
            Err(fault) if fault.is_full() || fault.is_busy() => tracing::warn!(%fault, "a checkpoint has to wait"),
            // After a failed sync the file may not hold what was written to it. The log does: recovery heals.
            Err(fault) => {
                tracing::error!(%fault, "a checkpoint failed: the store writes no more");
                self.poison.send_replace(true);
            }
        }
    }

    fn checkpoint(&self) -> Result<(), Fault> {
        let frames = self.pragma("PRAGMA wal_checkpoint(PASSIVE)")?;
        if frames > RESTART_FRAMES {
            // Nearly everything is moved by now: the writer waits for the rest only. While somebody reads from
            // the log (a backup, say) this gives up soon and is tried again when the log has grown.
            let _turn = self.turn.blocking_lock();
            self.pragma("PRAGMA wal_checkpoint(RESTART)")?;
        }
        Ok(())
    }

    /// Frames in the log.
    fn pragma(&self, sql: &str) -> Result<u32, Fault> {
        reach("store", Side::Before, || ["checkpoint"]);
        let frames: i64 = self.connection.query_row(sql, (), |row| row.get(1))?;
        reach("store", Side::After, || ["checkpoint"]);
        Ok(u32::try_from(frames).unwrap_or(0))
    }
}
