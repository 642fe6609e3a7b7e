//! Changes that wait at the same time are committed together: one call, one transaction, one statement a table, so that
//! each of them costs the database little more than its rows.
//!
//! A few committers take whatever waits, so nobody waits for company: a change that comes alone is a group of one. A group is done at once or not at
//! all. The database names those of it that may not hold, or that meet somebody else's lock; their callers commit them by themselves, which tells
//! exactly what does not hold, and the others are tried again.

use crate::change::{Encoded, columns, of_group};
use crate::columns::{Id, Parameter, lent, parameters, uint};
use crate::commit::{Write, commit};
use crate::copy::Copy;
use crate::fault::Fault;
use crate::limits::{COMMITTERS, GROUP_MAX, QUEUE_MAX, ROUNDS_MAX};
use crate::pool::Connections;
use crate::stock::Levels;
use crate::{PgSettings, queries};
use domain::ids::EditionId;
use domain::stock::StockLevel;
use futures_util::FutureExt;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// What came of a change that was to be committed with others.
#[derive(Clone)]
pub enum Told {
    Done,
    /// It is done, and nobody said where its stock has got to.
    Unseen,
    /// Nothing was done: it has to be committed by itself.
    Alone,
    Failed(Arc<Fault>),
}

/// Those who wait. The committers end when nobody can wait any more.
pub struct Group {
    queue: mpsc::Sender<Waiting>,
    wait_max: Duration,
}

struct Waiting {
    change: Arc<Encoded>,
    /// From here on it may happen. Not taken when its caller has gone.
    taken: Option<oneshot::Sender<()>>,
    told: oneshot::Sender<Told>,
}

impl Group {
    #[expect(clippy::disallowed_methods, reason = "the committers live as long as the store")]
    pub fn start(settings: &PgSettings, to: &Connections, copy: &Arc<Copy>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..COMMITTERS.min(settings.connections_max) {
            let (waiting, copy) = (Arc::clone(&waiting), Arc::clone(copy));
            let committer = Committer { waiting, to: to.clone(), copy, lock_max: settings.group_lock_max };
            tokio::spawn(committer.run());
        }
        Self { queue, wait_max: settings.wait_max }
    }

    /// Commits a change with whatever else waits.
    pub async fn commit(&self, change: &Arc<Encoded>) -> Told {
        let ((taken, mut begun), (told, outcome)) = (oneshot::channel(), oneshot::channel());
        let waiting = Waiting { change: Arc::clone(change), taken: Some(taken), told };
        let queued = async { self.queue.send(waiting).await.is_ok() && (&mut begun).await.is_ok() };
        let in_time = timeout(self.wait_max, queued).await.unwrap_or(false);
        begun.close();
        // Whoever was taken in the last moment is under way.
        if !in_time && begun.try_recv().is_err() {
            return Told::Failed(Arc::new(Fault::Crowded));
        }
        outcome.await.unwrap_or_else(|_| Told::Failed(Arc::new(Fault::Silent)))
    }
}

struct Committer {
    waiting: Arc<Mutex<mpsc::Receiver<Waiting>>>,
    to: Connections,
    copy: Arc<Copy>,
    lock_max: Duration,
}

impl Committer {
    async fn run(self) {
        while let Some(group) = self.next().await {
            // Those of a group that panicked are told that nobody knows; the others must not wait for a committer that is gone.
            if AssertUnwindSafe(self.commit(apart(group))).catch_unwind().await.is_err() {
                tracing::error!("a group of changes panicked");
            }
        }
    }

    /// Whoever waits, once somebody does.
    async fn next(&self) -> Option<Vec<Waiting>> {
        let mut waiting = self.waiting.lock().await;
        let mut group = vec![waiting.recv().await?];
        // Those who are about to come are let in first.
        tokio::task::yield_now().await;
        while group.len() < GROUP_MAX
            && let Ok(next) = waiting.try_recv()
        {
            group.push(next);
        }
        Some(group)
    }

    async fn commit(&self, mut group: Vec<Waiting>) {
        for _ in 0..ROUNDS_MAX {
            let Some(now) = group.iter().map(|one| one.change.now).max() else { return };
            match commit(&self.to, &Together::of(&group, self.lock_max), now).await {
                Ok(Outcome::Done(levels)) => {
                    self.copy.moved(levels.as_deref().unwrap_or_default());
                    let seen = levels.is_some();
                    return tell(group, |change| if seen || !change.moves_stock() { Told::Done } else { Told::Unseen });
                }
                Ok(Outcome::Apart(None)) => break,
                Ok(Outcome::Apart(Some(numbers))) => {
                    let (apart, together) = (1..).zip(group).partition::<Vec<_>, _>(|(n, _)| numbers.contains(n));
                    tell(apart.into_iter().map(|(_, one)| one), |_| Told::Alone);
                    group = together.into_iter().map(|(_, one)| one).collect();
                }
                Err(fault) if fault.may_have_happened() || matches!(fault, Fault::Pool(_)) => {
                    let fault = Arc::new(fault);
                    return tell(group, |_| Told::Failed(Arc::clone(&fault)));
                }
                // Whatever it is, it is perhaps about one of them.
                Err(_) => break,
            }
        }
        tell(group, |_| Told::Alone);
    }
}

/// A group of changes that are about different things, all of whose callers are there; by order, as every group takes its locks.
fn apart(group: Vec<Waiting>) -> Vec<Waiting> {
    let mut touched = HashSet::new();
    let mut together = Vec::new();
    for mut one in group {
        let there = one.taken.take().is_some_and(|taken| taken.send(()).is_ok());
        if !there {
            continue;
        }
        let touches: Vec<_> = one.change.touches().collect();
        if touches.iter().any(|touch| touched.contains(touch)) {
            tell([one], |_| Told::Alone);
        } else {
            touched.extend(touches);
            together.push(one);
        }
    }
    together.sort_by_key(|one| one.change.order_id());
    together
}

fn tell(group: impl IntoIterator<Item = Waiting>, what: impl Fn(&Encoded) -> Told) {
    for one in group {
        // Whoever waited may have gone.
        one.told.send(what(&one.change)).ok();
    }
}

struct Together {
    parameters: Vec<Parameter>,
}

enum Outcome {
    /// With the levels it left, unless nobody said.
    Done(Option<Levels>),
    /// Nothing was done, because of these, counted from 1; or of any of them.
    Apart(Option<Vec<i32>>),
}

impl Together {
    fn of(group: &[Waiting], lock_max: Duration) -> Self {
        let changes: Vec<&Encoded> = group.iter().map(|one| &*one.change).collect();
        let mut parameters = parameters![i64::try_from(lock_max.as_millis()).unwrap_or(i64::MAX)];
        parameters.extend(columns(&changes));
        parameters.extend(of_group(&changes));
        Self { parameters }
    }
}

impl Write for Together {
    const QUERY: &str = queries::ledger::commit_group;
    type Outcome = Outcome;

    fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        lent(&self.parameters).collect()
    }

    fn happened(&self) -> Outcome {
        Outcome::Done(None)
    }

    fn outcome(&self, row: &Row) -> Result<Outcome, Fault> {
        if !row.try_get::<_, bool>("together")? {
            return Ok(Outcome::Apart(row.try_get("alone")?));
        }
        let editions: Option<Vec<Id>> = row.try_get("level_editions")?;
        let numbers = |name| Ok::<_, Fault>(row.try_get::<_, Option<Vec<i64>>>(name)?.unwrap_or_default());
        let count = |n: i64| u32::try_from(n).expect("invariant: the table has no other counts");
        let levels = numbers("level_on_hand")?.into_iter().zip(numbers("level_reserved")?).zip(numbers("level_moves")?);
        let levels = levels.map(|((on_hand, reserved), moves)| StockLevel {
            on_hand: count(on_hand),
            reserved: count(reserved),
            moves: uint(moves),
        });
        Ok(Outcome::Done(Some(editions.into_iter().flatten().map(|id| EditionId(id.0)).zip(levels).collect())))
    }
}
