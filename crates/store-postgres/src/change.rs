//! A change as the database's functions take it, its records made where the caller is; and what comes of it.
//!
//! Changes are given as columns of lists: those of one change to `commit_change`, those of a group to `commit_group`.

use crate::columns::{Id, Parameter, Record, int, lent, parameters};
use crate::commit::Write;
use crate::fault::Fault;
use crate::outgoing::Entry;
use crate::stock::{Levels, Moves};
use crate::{answers, queries};
use app::ports::{Answer, Change, Committed, UseChange, UseMove};
use domain::checkout::Checkout;
use domain::ids::{CheckoutId, Version};
use domain::order::Appended;
use domain::time::Timestamp;
use sha2::{Digest, Sha256};
use std::borrow::Borrow;
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// What only one change of a group may be about.
#[derive(PartialEq, Eq, Hash)]
pub enum Touched {
    Answer([u8; 16]),
    Checkout(u128),
    Order(u128),
}

pub struct Encoded {
    pub now: Timestamp,
    answer: Option<Answer>,
    checkout: Option<(Checkout, Version, Record)>,
    order: Option<(Appended, Record)>,
    /// Of the order.
    events: Vec<Record>,
    alarm: Option<(Id, i64)>,
    stock: Moves,
    uses: Vec<UseMove>,
    notice: Option<String>,
    outbox: Vec<Entry>,
}

impl Encoded {
    pub fn of(change: Change, now: Timestamp) -> Self {
        let Change { checkout, order, order_alarm, stock, uses, outbox, notice, answer } = change;
        Self {
            now,
            answer,
            checkout: checkout.map(|(checkout, expected)| {
                let body = records::encode_checkout(&checkout);
                (checkout, expected, body.into())
            }),
            outbox: outbox.iter().map(|event| Entry::of(event, order.as_ref())).collect(),
            events: order.iter().flat_map(|order| &order.events).map(|event| records::encode_recorded(event).into()).collect(),
            order: order.map(|order| {
                let body = records::encode_order(&order.order);
                (order, body.into())
            }),
            alarm: order_alarm.map(|(order, at)| (Id(order.0), at.0)),
            stock: Moves::of(stock),
            uses: by_counter(uses),
            notice: notice.map(|id| id.as_str().to_owned()),
        }
    }

    /// Whether it may be done at once with others.
    pub fn is_usual(&self) -> bool {
        self.stock.are_differences()
    }

    pub fn touches(&self) -> impl Iterator<Item = Touched> {
        let answer = self.answer.as_ref().map(|answer| Touched::Answer(answer.mark.key));
        let checkout = self.checkout.as_ref().map(|(checkout, ..)| Touched::Checkout(checkout.id.0));
        let order = self.order_id().map(Touched::Order);
        let alarm = self.alarm.map(|(order, _)| Touched::Order(order.0));
        [answer, checkout, order, alarm].into_iter().flatten()
    }

    /// Changes of a group come by order.
    pub fn order_id(&self) -> Option<u128> {
        self.order.as_ref().map(|(order, _)| order.order.id.0)
    }

    fn alarm_of_its_order(&self) -> Option<i64> {
        self.alarm.filter(|(order, _)| self.order_id() == Some(order.0)).map(|(_, at)| at)
    }

    /// Order and sequence of each event, and of an order that is placed their links: each is SHA-256 over the one before and the event.
    fn linked(&self) -> impl Iterator<Item = (Id, i64, Option<Record>)> {
        let order = self.order.as_ref().map(|(order, _)| order);
        let mut link = order.filter(|order| order.expected().0 == 0).map(|_| [0; 32]);
        order
            .into_iter()
            .flat_map(|order| order.events.iter().map(|event| (Id(order.order.id.0), int(event.sequence))))
            .zip(&self.events)
            .map(move |((order, sequence), event)| {
                link = link.map(|before| Sha256::new().chain_update(before).chain_update(event.bytes()).finalize().into());
                (order, sequence, link.map(|link| link.to_vec().into()))
            })
    }

    pub fn moves_stock(&self) -> bool {
        !self.stock.is_empty()
    }

    fn used_up(&self, number: i32) -> &UseMove {
        let place = usize::try_from(number - 1).ok();
        place.and_then(|place| self.uses.get(place)).expect("invariant: it is one of those that were given")
    }
}

/// One value of each row.
macro_rules! column {
    ($rows:expr, $row:pat => $value:expr) => {
        $rows.iter().map(|$row| $value).collect::<Vec<_>>()
    };
}

/// What these changes bring, list by list, in the order in which locks are taken; but for the outbox, which comes last.
pub fn columns<E: Borrow<Encoded>>(changes: &[E]) -> Vec<Parameter> {
    let each = || changes.iter().map(Borrow::borrow);
    let answers: Vec<_> = each().filter_map(|one| one.answer.as_ref()).collect();
    let checkouts: Vec<_> = each().filter_map(|one| one.checkout.as_ref()).collect();
    let orders: Vec<_> = each().filter_map(|one| one.order.as_ref()).collect();
    let events: Vec<_> = each().flat_map(|one| &one.events).collect();
    let alarms: Vec<_> = each().filter_map(|one| one.alarm).collect();
    let stock: Vec<_> = each().map(|one| &one.stock).collect();
    let uses: Vec<_> = uses(changes).into_iter().map(|(_, step)| step).collect();
    parameters![
        each().map(|one| one.now.0).collect::<Vec<_>>(),
        column!(answers, a => Id::from(a.mark.key)),
        column!(answers, a => Id::from(a.mark.fingerprint)),
        column!(answers, a => a.at.0),
        column!(answers, a => a.body.to_vec()),
        column!(checkouts, (c, ..) => Id(c.id.0)),
        column!(checkouts, (_, expected, _) => int(expected.0)),
        column!(checkouts, (c, ..) => int(c.version.0)),
        column!(checkouts, (c, ..) => Id(c.cart.0)),
        column!(checkouts, (c, ..) => records::owner_key(&c.owner)),
        column!(checkouts, (c, ..) => c.created_at.0),
        column!(checkouts, (c, ..) => c.state.is_live()),
        column!(checkouts, (c, ..) => c.state.is_done()),
        column!(checkouts, (c, ..) => c.due_at.0),
        column!(checkouts, (.., body) => body.clone()),
        column!(orders, (o, _) => Id(o.order.id.0)),
        column!(orders, (o, _) => int(o.expected().0)),
        column!(orders, (o, _) => int(o.order.version.0)),
        column!(orders, (o, _) => o.order.number.to_string()),
        column!(orders, (o, _) => Id(o.order.checkout.0)),
        column!(orders, (o, _) => records::owner_key(&o.order.owner)),
        column!(orders, (o, _) => o.order.placed_at.0),
        column!(orders, (o, _) => o.order.status.as_str()),
        column!(orders, (o, _) => o.order.payment.as_str()),
        column!(orders, (_, body) => body.clone()),
        column!(events, body => (*body).clone()),
        column!(alarms, (order, _) => *order),
        column!(alarms, (_, at) => *at),
        stock.iter().flat_map(|one| one.editions.clone()).collect::<Vec<_>>(),
        stock.iter().flat_map(|one| one.subjects.clone()).collect::<Vec<_>>(),
        stock.iter().flat_map(|one| one.kinds.clone()).collect::<Vec<_>>(),
        stock.iter().flat_map(|one| one.ns.clone()).collect::<Vec<_>>(),
        stock.iter().flat_map(|one| one.causes.clone()).collect::<Vec<_>>(),
        stock.iter().flat_map(|one| one.on_hand.clone()).collect::<Vec<_>>(),
        stock.iter().flat_map(|one| one.reserved.clone()).collect::<Vec<_>>(),
        column!(uses, step => step.counter.to_string()),
        column!(uses, step => by(step.change)),
        column!(uses, step => most(step.change)),
        column!(uses, step => step.cause.clone()),
        each().filter_map(|one| one.notice.clone()).collect::<Vec<_>>(),
    ]
}

/// The outbox of a group, and what the lists say for a group only: of which change, counted from 1, each line is; the alarm of each order that
/// is changed; and whose each event is, with its link where it is known.
pub fn of_group<E: Borrow<Encoded>>(changes: &[E]) -> Vec<Parameter> {
    let each = || changes.iter().map(Borrow::borrow);
    let of = |lines: &dyn Fn(&Encoded) -> usize| -> Vec<i32> {
        (1..).zip(each()).flat_map(|(n, one)| std::iter::repeat_n(n, lines(one))).collect()
    };
    let events: Vec<_> = each().flat_map(Encoded::linked).collect();
    let outbox: Vec<_> = each().flat_map(|one| &one.outbox).collect();
    parameters![
        column!(outbox, entry => entry.written()),
        of(&|one| one.answer.iter().len()),
        of(&|one| one.checkout.iter().len()),
        of(&|one| one.order.iter().len()),
        of(&|one| one.stock.editions.len()),
        uses(changes).into_iter().map(|(n, _)| n).collect::<Vec<i32>>(),
        of(&|one| one.notice.iter().len()),
        of(&|one| one.outbox.len()),
        each().filter(|one| one.order.is_some()).map(Encoded::alarm_of_its_order).collect::<Vec<_>>(),
        column!(events, (order, ..) => *order),
        column!(events, (_, sequence, _) => *sequence),
        column!(events, (.., link) => link.clone()),
        column!(outbox, entry => entry.names().map(|(order, _)| order)),
        column!(outbox, entry => entry.names().map(|(_, sequence)| sequence)),
    ]
}

/// In the order in which every transaction locks them, each with its change.
fn uses<E: Borrow<Encoded>>(changes: &[E]) -> Vec<(i32, &UseMove)> {
    let mut uses: Vec<_> = (1..).zip(changes).flat_map(|(n, one)| one.borrow().uses.iter().map(move |step| (n, step))).collect();
    uses.sort_by_cached_key(|(_, step)| step.counter.to_string());
    uses
}

/// A change by itself, with a look at whatever is in its way.
pub struct Alone {
    change: Arc<Encoded>,
    parameters: Vec<Parameter>,
}

impl Alone {
    pub fn of(change: Arc<Encoded>) -> Self {
        let mut parameters = columns(&[&*change]);
        parameters.extend(parameters![change.outbox.iter().map(|entry| entry.whole(&change.events)).collect::<Vec<_>>()]);
        Self { parameters, change }
    }
}

impl Write for Alone {
    const QUERY: &str = queries::ledger::commit_alone;
    /// And the levels it left, unless nobody said.
    type Outcome = (Committed, Option<Levels>);

    fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        lent(&self.parameters).collect()
    }

    fn happened(&self) -> Self::Outcome {
        (Committed::Done, (!self.change.moves_stock()).then(Levels::new))
    }

    fn outcome(&self, row: &Row) -> Result<Self::Outcome, Fault> {
        let change = &self.change;
        let committed = match row.try_get::<_, Option<&str>>("outcome")? {
            None => {
                let levels: Option<Vec<i64>> = row.try_get("levels")?;
                return Ok((Committed::Done, Some(change.stock.levels(&levels.unwrap_or_default()))));
            }
            Some("answered") => Committed::Answered(answers::first(change.answer.as_ref(), row)?),
            Some("checkout conflict") => Committed::CheckoutConflict,
            Some("cart taken") => Committed::CartTaken(CheckoutId(row.try_get::<_, Id>("taken")?.0)),
            Some("order conflict") => Committed::OrderConflict,
            Some("number taken") => Committed::NumberTaken,
            Some("stock short") => Committed::StockShort(change.stock.short(&row.try_get::<_, Vec<i64>>("short")?)),
            Some("used up") => Committed::UsedUp(change.used_up(row.try_get("used_up")?).counter.clone()),
            Some(other) => return Err(Fault::Unheard(other.to_owned())),
        };
        Ok((committed, None))
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
