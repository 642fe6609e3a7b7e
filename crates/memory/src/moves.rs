//! Stock moves and uses: planned against the state, then applied as a whole.

use crate::store::State;
use app::ports::{UseChange, UseMove};
use domain::event::{Event, Outgoing, StockEvent, Subject};
use domain::ids::EditionId;
use domain::planted;
use domain::pricing::{Counter, Usage};
use domain::refusal::Short;
use domain::stock::{StockChange, StockLevel, StockMove};
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What stock moves lead to when all of them hold.
#[derive(Default)]
pub(crate) struct StockPlan {
    levels: BTreeMap<EditionId, StockLevel>,
    causes: BTreeSet<(String, EditionId)>,
    events: Vec<Outgoing>,
}

#[derive(Default)]
pub(crate) struct UsePlan {
    uses: BTreeMap<Counter, u64>,
    causes: BTreeSet<(String, Counter)>,
}

impl State {
    pub fn level_of(&self, edition: EditionId) -> StockLevel {
        self.levels.get(&edition).copied().unwrap_or_default()
    }

    pub fn usage(&self, counters: &[Counter]) -> Usage {
        Usage(counters.iter().filter_map(|c| Some((c.clone(), *self.uses.get(c)?))).collect())
    }

    /// Moves beside the other events of a change, in whose trace they are.
    ///
    /// # Errors
    /// Every edition that is short, once.
    pub fn plan_stock(&self, moves: &[StockMove], beside: &[Outgoing], now: Timestamp) -> Result<StockPlan, Vec<Short>> {
        let mut plan = StockPlan::default();
        let mut short: Vec<Short> = Vec::new();
        for StockMove { edition, change, cause } in moves {
            let cause_here = (cause.clone(), *edition);
            if self.stock_causes.contains(&cause_here) || plan.causes.contains(&cause_here) {
                continue;
            }
            let before = plan.levels.get(edition).copied().unwrap_or_else(|| self.level_of(*edition));
            match before.after(*change) {
                Ok(after) => {
                    plan.levels.insert(*edition, after);
                    plan.causes.insert(cause_here);
                    let event = stock_event(*edition, *change, cause, after, now);
                    plan.events.push(Outgoing { trace: Outgoing::trace_of(beside).cloned(), ..event });
                }
                Err(refused) if short.iter().all(|s| s.edition != *edition) => {
                    short.push(Short {
                        edition: *edition,
                        sku: self.sku_of(*edition),
                        wanted: wanted(*change),
                        available: refused.available,
                    });
                }
                Err(_) => {}
            }
        }
        if short.is_empty() { Ok(plan) } else { Err(short) }
    }

    fn sku_of(&self, edition: EditionId) -> Option<domain::ids::Sku> {
        self.snapshot.book_of(edition)?.edition(edition).map(|e| e.sku.clone())
    }

    pub fn apply_stock(&mut self, plan: StockPlan) {
        self.changes += u64::from(!plan.levels.is_empty());
        self.levels.extend(plan.levels);
        self.stock_causes.extend(plan.causes);
        self.outbox.push(plan.events);
    }

    /// # Errors
    /// The first counter that would exceed its limit.
    pub fn plan_uses(&self, moves: &[UseMove]) -> Result<UsePlan, Counter> {
        let mut plan = UsePlan::default();
        for UseMove { counter, change, cause } in moves {
            let cause_here = (cause.clone(), counter.clone());
            if self.use_causes.contains(&cause_here) || plan.causes.contains(&cause_here) {
                continue;
            }
            let before = plan.uses.get(counter).or_else(|| self.uses.get(counter)).copied().unwrap_or(0);
            let after = match *change {
                UseChange::Use { by, limit } => {
                    let after = before.saturating_add(by);
                    let unheeded = match counter {
                        Counter::Spent(_) => planted("budget-not-checked"),
                        Counter::UsesBy(..) => planted("person-limit-ignored"),
                        Counter::Uses(_) | Counter::Code(_) | Counter::Orders(_) => false,
                    };
                    let over = limit.is_some_and(|limit| after > limit + u64::from(planted("coupon-limit-off-by-one")));
                    if over && !unheeded {
                        return Err(counter.clone());
                    }
                    after
                }
                UseChange::GiveBack { by } => before.saturating_sub(by),
            };
            plan.uses.insert(counter.clone(), after);
            plan.causes.insert(cause_here);
        }
        Ok(plan)
    }

    pub fn apply_uses(&mut self, plan: UsePlan) {
        self.uses.extend(plan.uses);
        self.use_causes.extend(plan.causes);
    }
}

fn stock_event(edition: EditionId, change: StockChange, cause: &str, after: StockLevel, now: Timestamp) -> Outgoing {
    let event = StockEvent { change, cause: cause.to_owned(), after };
    Outgoing::new(Subject::Stock(edition), after.moves, now, Event::Stock(event))
}

/// How many copies a refused move was about.
fn wanted(change: StockChange) -> u32 {
    match change {
        StockChange::Reserve(n) | StockChange::Release(n) | StockChange::Consume(n) | StockChange::Return(n) | StockChange::Count(n) => n,
        StockChange::Receive(delta) => delta.unsigned_abs(),
    }
}
