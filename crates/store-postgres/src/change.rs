//! A change as the database's `commit_change` takes it, its records made where the caller is; and what comes of it.

use crate::columns::{Id, Parameter, int, lent, parameters};
use crate::commit::Write;
use crate::fault::Fault;
use crate::stock::{Levels, Moves};
use crate::{answers, queries};
use app::ports::{Answer, Change, Committed, UseChange, UseMove};
use domain::ids::CheckoutId;
use domain::time::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

pub struct Encoded {
    /// All but the first two: the id of the commit, and whether it is done carefully.
    parameters: Vec<Parameter>,
    stock: Moves,
    uses: Vec<UseMove>,
    answer: Option<Answer>,
}

impl Encoded {
    pub fn of(change: Change, now: Timestamp) -> Self {
        let Change { checkout, order, order_alarm, stock, uses, outbox, notice, answer } = change;
        let stock = Moves::of(stock);
        let uses = by_counter(uses);
        let outbox: Vec<_> = outbox.iter().map(records::encode_outgoing).collect();
        let (a, c, o) = (answer.as_ref(), checkout.as_ref(), order.as_ref());
        let next = o.map(|o| &o.order);
        let parameters = parameters![
            now.0,
            a.map(|a| Id::from(a.mark.key)),
            a.map(|a| Id::from(a.mark.fingerprint)),
            a.map(|a| a.at.0),
            a.map(|a| a.body.to_vec()),
            c.map(|(c, _)| Id(c.id.0)),
            c.map(|(_, expected)| int(expected.0)),
            c.map(|(c, _)| int(c.version.0)),
            c.map(|(c, _)| Id(c.cart.0)),
            c.map(|(c, _)| records::owner_key(&c.owner)),
            c.map(|(c, _)| c.created_at.0),
            c.map(|(c, _)| c.state.is_live()),
            c.map(|(c, _)| c.state.is_done()),
            c.map(|(c, _)| c.due_at.0),
            c.map(|(c, _)| records::encode_checkout(c)),
            next.map(|o| Id(o.id.0)),
            o.map(|o| int(o.expected().0)),
            next.map(|o| int(o.version.0)),
            next.map(|o| o.number.to_string()),
            next.map(|o| Id(o.checkout.0)),
            next.map(|o| records::owner_key(&o.owner)),
            next.map(|o| o.placed_at.0),
            next.map(|o| o.status.as_str()),
            next.map(|o| o.payment.as_str()),
            next.map(records::encode_order),
            o.map(|o| o.events.iter().map(records::encode_recorded).collect::<Vec<_>>()),
            order_alarm.map(|(order, _)| Id(order.0)),
            order_alarm.map(|(_, at)| at.0),
            stock.editions.clone(),
            stock.subjects.clone(),
            stock.kinds.clone(),
            stock.ns.clone(),
            stock.causes.clone(),
            stock.on_hand.clone(),
            stock.reserved.clone(),
            uses.iter().map(|step| step.counter.to_string()).collect::<Vec<_>>(),
            uses.iter().map(|step| by(step.change)).collect::<Vec<_>>(),
            uses.iter().map(|step| most(step.change)).collect::<Vec<_>>(),
            uses.iter().map(|step| step.cause.clone()).collect::<Vec<_>>(),
            notice.map(|id| id.as_str().to_owned()),
            outbox,
        ];
        Self { parameters, stock, uses, answer }
    }

    fn used_up(&self, number: i32) -> &UseMove {
        let place = usize::try_from(number - 1).ok();
        place.and_then(|place| self.uses.get(place)).expect("invariant: it is one of those that were given")
    }
}

impl Write for Encoded {
    const QUERY: &str = queries::ledger::commit;
    /// And the levels it left, unless nobody said.
    type Outcome = (Committed, Option<Levels>);

    fn is_usual(&self) -> bool {
        self.stock.are_differences()
    }

    fn parameters<'a>(&'a self, carefully: &'a bool) -> Vec<&'a (dyn ToSql + Sync)> {
        [carefully as &(dyn ToSql + Sync)].into_iter().chain(lent(&self.parameters)).collect()
    }

    fn happened(&self) -> Self::Outcome {
        (Committed::Done, self.stock.is_empty().then(Levels::new))
    }

    fn outcome(&self, row: &Row) -> Result<Option<Self::Outcome>, Fault> {
        let committed = match row.try_get::<_, Option<&str>>("outcome")? {
            None => {
                let levels: Option<Vec<i64>> = row.try_get("levels")?;
                return Ok(Some((Committed::Done, Some(self.stock.levels(&levels.unwrap_or_default())))));
            }
            Some("carefully") => return Ok(None),
            Some("answered") => Committed::Answered(answers::first(self.answer.as_ref(), row)?),
            Some("checkout conflict") => Committed::CheckoutConflict,
            Some("cart taken") => Committed::CartTaken(CheckoutId(row.try_get::<_, Id>("taken")?.0)),
            Some("order conflict") => Committed::OrderConflict,
            Some("number taken") => Committed::NumberTaken,
            Some("stock short") => Committed::StockShort(self.stock.short(&row.try_get::<_, Vec<i64>>("short")?)),
            Some("used up") => Committed::UsedUp(self.used_up(row.try_get("used_up")?).counter.clone()),
            Some(other) => return Err(Fault::Unheard(other.to_owned())),
        };
        Ok(Some((committed, None)))
    }
}

/// In the order in which every transaction locks them; moves of one counter as they were given.
fn by_counter(mut uses: Vec<UseMove>) -> Vec<UseMove> {
    uses.sort_by_cached_key(|step| step.counter.to_string());
    uses
}

fn by(change: UseChange) -> i64 {
    match change {
        UseChange::Use { by, .. } => int(by),
        UseChange::GiveBack { by } => -int(by),
    }
}

fn most(change: UseChange) -> Option<i64> {
    match change {
        UseChange::Use { limit, .. } => limit.map(int),
        UseChange::GiveBack { .. } => None,
    }
}
