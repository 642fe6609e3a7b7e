//! Checkouts, orders, stock, uses of promotions: one change, one transaction.

use crate::columns::{change, int, limit, many, one, uint, value};
use crate::fault::Fault;
use crate::memory::Memory;
use crate::stock::{self, Levels, Moved};
use crate::writer::{Guard, Turn, Verdict, encode_all};
use crate::{EmbeddedStore, answers, chain};
use app::ports::{Answer, Change, Committed, Ledger, NoticeId, OrderFilter, Overdue, PortError, UseChange, UseMove};
use async_trait::async_trait;
use domain::cart::Owner;
use domain::checkout::Checkout;
use domain::event::Outgoing;
use domain::ids::{CartId, CheckoutId, EditionId, OrderId, Version};
use domain::order::{Order, Recorded, Status};
use domain::pricing::{Counter, Usage};
use domain::refusal::Short;
use domain::stock::{StockLevel, StockMove};
use domain::time::Timestamp;
use domain::trace::TraceContext;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

const PORT: &str = "ledger";

/// A change as the writer needs it, its records made where the caller is.
struct Encoded {
    checkout: Option<CheckoutRow>,
    order: Option<OrderRow>,
    order_alarm: Option<(OrderId, Timestamp)>,
    stock: Vec<StockMove>,
    uses: Vec<UseMove>,
    outbox: Vec<Vec<u8>>,
    /// Of these events.
    trace: Option<TraceContext>,
    notice: Option<NoticeId>,
    answer: Option<Answer>,
    now: Timestamp,
}

struct CheckoutRow {
    checkout: Checkout,
    expected: Version,
    body: Vec<u8>,
}

struct OrderRow {
    order: Order,
    expected: Version,
    body: Vec<u8>,
    events: Vec<(u64, Vec<u8>)>,
}

impl Encoded {
    fn of(change: Change, now: Timestamp) -> Self {
        let checkout =
            change.checkout.map(|(checkout, expected)| CheckoutRow { body: records::encode_checkout(&checkout), checkout, expected });
        let order = change.order.map(|appended| OrderRow {
            expected: appended.expected(),
            body: records::encode_order(&appended.order),
            events: appended.events.iter().map(|e| (e.sequence, records::encode_recorded(e))).collect(),
            order: appended.order,
        });
        Self {
            checkout,
            order,
            order_alarm: change.order_alarm,
            stock: change.stock,
            uses: change.uses,
            outbox: encode_all(&change.outbox),
            trace: Outgoing::trace_of(&change.outbox).cloned(),
            notice: change.notice,
            answer: change.answer,
            now,
        }
    }

    fn commit(&self, turn: &Turn<'_>) -> Result<Verdict<(Committed, Levels)>, Fault> {
        let mut levels = Levels::new();
        Ok(match self.refused(turn, &mut levels)? {
            Some(refused) => Verdict::Undo((refused, Levels::new())),
            None => Verdict::Keep((Committed::Done, levels)),
        })
    }

    /// Writes line by line, until one does not hold.
    fn refused(&self, turn: &Turn<'_>, levels: &mut Levels) -> Result<Option<Committed>, Fault> {
        if let Some(first) = answers::first(turn, &self.answer)? {
            return Ok(Some(Committed::Answered(first)));
        }
        if let Some(refused) = self.checkout.as_ref().map_or(Ok(None), |row| row.put(turn))? {
            return Ok(Some(refused));
        }
        if let Some(refused) = self.order.as_ref().map_or(Ok(None), |row| row.append(turn))? {
            return Ok(Some(refused));
        }
        if let Some((order, at)) = self.order_alarm {
            change(turn, "UPDATE orders SET alarm_at = ?2 WHERE id = ?1", (order.0.to_be_bytes(), at.0))?;
        }
        if let Some(refused) = self.move_stock(turn, levels)? {
            return Ok(Some(refused));
        }
        for step in &self.uses {
            if !count(turn, step, self.now)? {
                return Ok(Some(Committed::UsedUp(step.counter.clone())));
            }
        }
        for event in &self.outbox {
            turn.send(event)?;
        }
        if let Some(id) = &self.notice {
            change(turn, "INSERT INTO notices (id, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING", (id.as_str(), self.now.0))?;
        }
        if let Some(answer) = &self.answer {
            answers::remember(turn, answer)?;
        }
        Ok(None)
    }

    /// All moves are tried, so that every edition that is short is told.
    fn move_stock(&self, turn: &Turn<'_>, levels: &mut Levels) -> Result<Option<Committed>, Fault> {
        let mut short = Vec::new();
        for stock_move in &self.stock {
            match stock::apply(turn, stock_move, self.trace.as_ref(), self.now)? {
                Moved::To(level) => levels.push((stock_move.edition, level)),
                Moved::Before => {}
                Moved::Short { available } => {
                    let wanted = u32::try_from(records::encode_stock_change(stock_move.change).1.unsigned_abs()).unwrap_or(u32::MAX);
                    short.push(Short { edition: stock_move.edition, sku: None, wanted, available });
                }
            }
        }
        Ok((!short.is_empty()).then_some(Committed::StockShort(short)))
    }
}

impl CheckoutRow {
    fn put(&self, on: &Connection) -> Result<Option<Committed>, Fault> {
        let id = self.checkout.id.0.to_be_bytes();
        let stored = value::<i64>(on, "SELECT version FROM checkouts WHERE id = ?1", [id])?.unwrap_or(0);
        if stored != int(self.expected.0) {
            return Ok(Some(Committed::CheckoutConflict));
        }
        let cart = self.checkout.cart.0.to_be_bytes();
        let live = self.checkout.state.is_live();
        let other = "SELECT id FROM checkouts WHERE cart = ?1 AND live AND id <> ?2";
        if live && let Some(other) = value(on, other, (cart, id))? {
            return Ok(Some(Committed::CartTaken(CheckoutId(u128::from_be_bytes(other)))));
        }
        let sql = "INSERT INTO checkouts (id, version, cart, owner, created_at, live, done, due_at, body)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                   ON CONFLICT (id) DO UPDATE SET version = ?2, cart = ?3, owner = ?4, live = ?6, done = ?7, due_at = ?8, body = ?9";
        let Checkout { version, created_at, state, due_at, .. } = &self.checkout;
        let owner = records::owner_key(&self.checkout.owner);
        change(on, sql, (id, int(version.0), cart, owner, created_at.0, live, state.is_done(), due_at.0, &self.body))?;
        Ok(None)
    }
}

impl OrderRow {
    fn append(&self, on: &Connection) -> Result<Option<Committed>, Fault> {
        let id = self.order.id.0.to_be_bytes();
        let stored = value::<i64>(on, "SELECT version FROM orders WHERE id = ?1", [id])?.unwrap_or(0);
        if stored != int(self.expected.0) {
            return Ok(Some(Committed::OrderConflict));
        }
        if stored == 0 {
            if let Some(refused) = self.taken(on)? {
                return Ok(Some(refused));
            }
            self.insert(on)?;
        } else {
            self.update(on)?;
        }
        self.append_events(on, id)?;
        Ok(None)
    }

    /// Each linked to the one before it.
    fn append_events(&self, on: &Connection, id: [u8; 16]) -> Result<(), Fault> {
        let before = "SELECT link FROM order_events WHERE order_id = ?1 AND sequence = ?2";
        let mut last = value(on, before, (id, int(self.expected.0)))?.unwrap_or(chain::START);
        let sql = "INSERT INTO order_events (order_id, sequence, body, link) VALUES (?1, ?2, ?3, ?4)";
        for (sequence, body) in &self.events {
            last = chain::link(&last, body);
            change(on, sql, (id, int(*sequence), body, last))?;
        }
        Ok(())
    }

    /// Whether the checkout already has an order that did not fail, or another order the number.
    fn taken(&self, on: &Connection) -> Result<Option<Committed>, Fault> {
        let sold = "SELECT 1 FROM orders WHERE checkout = ?1 AND status <> 'failed'";
        if value::<i64>(on, sold, [self.order.checkout.0.to_be_bytes()])?.is_some() {
            return Ok(Some(Committed::OrderConflict));
        }
        let numbered = "SELECT 1 FROM orders WHERE number = ?1";
        Ok(value::<i64>(on, numbered, [self.order.number.to_string()])?.map(|_| Committed::NumberTaken))
    }

    fn insert(&self, on: &Connection) -> rusqlite::Result<usize> {
        let sql = "INSERT INTO orders (id, version, number, checkout, owner, placed_at, status, payment, body)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let Order { id, version, number, checkout, owner, placed_at, status, payment, .. } = &self.order;
        let (id, checkout, version) = (id.0.to_be_bytes(), checkout.0.to_be_bytes(), int(version.0));
        let (number, owner, status, payment) = (number.to_string(), records::owner_key(owner), status.as_str(), payment.as_str());
        change(on, sql, (id, version, number, checkout, owner, placed_at.0, status, payment, &self.body))
    }

    fn update(&self, on: &Connection) -> rusqlite::Result<usize> {
        let sql = "UPDATE orders SET version = ?2, status = ?3, payment = ?4, body = ?5 WHERE id = ?1";
        let Order { id, version, status, payment, .. } = &self.order;
        change(on, sql, (id.0.to_be_bytes(), int(version.0), status.as_str(), payment.as_str(), &self.body))
    }
}

fn used(on: &Connection, counter: &str) -> Result<Option<u64>, Fault> {
    Ok(value::<i64>(on, "SELECT used FROM counters WHERE name = ?1", [counter])?.map(uint))
}

/// Whether it holds.
fn count(turn: &Turn<'_>, step: &UseMove, now: Timestamp) -> Result<bool, Fault> {
    let name = step.counter.to_string();
    let before = used(turn, &name)?.unwrap_or(0);
    let (after, limit) = match step.change {
        UseChange::Use { by, limit } => (before.saturating_add(by), limit),
        UseChange::GiveBack { by } => (before.saturating_sub(by), None),
    };
    let line = "INSERT INTO uses (cause, counter, n, at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    if change(turn, line, (&step.cause, &name, int(after) - int(before), now.0))? == 0 {
        return Ok(true);
    }
    if limit.is_some_and(|limit| after > limit) {
        return Ok(false);
    }
    let sql = "INSERT INTO counters (name, used) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET used = ?2";
    change(turn, sql, (name, int(after)))?;
    Ok(true)
}

/// The query of a filter: only the conditions it has, so that each shape finds its index.
fn orders_query(filter: &OrderFilter, most: usize) -> (String, Vec<Value>) {
    let (mut conditions, mut values) = (Vec::new(), Vec::new());
    let mut narrow = |condition: &'static str, value: Option<Value>| {
        if let Some(value) = value {
            conditions.push(condition);
            values.push(value);
        }
    };
    narrow("owner = ?", filter.owner.as_ref().map(|o| Value::Blob(records::owner_key(o))));
    narrow("status = ?", filter.status.map(|s: Status| Value::Text(s.as_str().into())));
    narrow("payment = ?", filter.payment.map(|p| Value::Text(p.as_str().into())));
    narrow("placed_at >= ?", filter.from.map(|t| Value::Integer(t.0)));
    narrow("placed_at < ?", filter.to.map(|t| Value::Integer(t.0)));
    if let Some(after) = filter.after {
        conditions.push("(placed_at, id) < (?, ?)");
        values.extend([Value::Integer(after.placed_at.0), Value::Blob(after.id.0.to_be_bytes().into())]);
    }
    let narrowed = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    values.push(Value::Integer(limit(most)));
    (format!("SELECT body FROM orders{narrowed} ORDER BY placed_at DESC, id DESC LIMIT ?"), values)
}

impl EmbeddedStore {
    /// The names the shop knows the editions by.
    fn with_skus(&self, committed: Committed) -> Committed {
        let Committed::StockShort(mut short) = committed else { return committed };
        let snapshot = self.memory().snapshot();
        for line in &mut short {
            line.sku = snapshot.book_of(line.edition).and_then(|b| b.edition(line.edition)).map(|e| e.sku.clone());
        }
        Committed::StockShort(short)
    }
}

#[async_trait]
impl Ledger for EmbeddedStore {
    async fn commit(&self, change: Change, now: Timestamp) -> Result<Committed, PortError> {
        let encoded = Encoded::of(change, now);
        let apply = |memory: &Memory, (_, levels): &(Committed, Levels)| memory.set_levels(levels.clone());
        let (committed, _) = self.writer(PORT)?.submit(PORT, Guard::Savepoint, move |turn| encoded.commit(turn), apply).await?;
        Ok(self.with_skus(committed))
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.readers().point(PORT, |on| answers::find(on, key))
    }

    async fn forget_answers(&self, before: Timestamp, limit: usize) -> Result<usize, PortError> {
        let forget = move |turn: &Turn<'_>| Ok(Verdict::Keep(answers::forget(turn, before, limit)?));
        self.writer(PORT)?.submit(PORT, Guard::None, forget, |_, _| ()).await
    }

    async fn noticed(&self, id: &NoticeId) -> Result<bool, PortError> {
        let sql = "SELECT 1 FROM notices WHERE id = ?1";
        self.readers().point(PORT, |on| Ok(value::<i64>(on, sql, [id.as_str()])?.is_some()))
    }

    async fn forget_notices(&self, before: Timestamp, most: usize) -> Result<usize, PortError> {
        let sql = "DELETE FROM notices WHERE id IN (SELECT id FROM notices WHERE at < ?1 ORDER BY at LIMIT ?2)";
        let forget = move |turn: &Turn<'_>| Ok(Verdict::Keep(change(turn, sql, (before.0, limit(most)))?));
        self.writer(PORT)?.submit(PORT, Guard::None, forget, |_, _| ()).await
    }

    async fn checkout(&self, id: CheckoutId) -> Result<Option<Checkout>, PortError> {
        let sql = "SELECT body FROM checkouts WHERE id = ?1";
        self.readers().point(PORT, |on| one(on, sql, [id.0.to_be_bytes()], records::decode_checkout))
    }

    async fn checkout_of_cart(&self, cart: CartId) -> Result<Option<Checkout>, PortError> {
        // A cart has one live checkout at a time, so the last created is the last to have ended.
        let sql = "SELECT body FROM checkouts WHERE cart = ?1 AND NOT done ORDER BY live DESC, created_at DESC, id DESC LIMIT 1";
        self.readers().point(PORT, |on| one(on, sql, [cart.0.to_be_bytes()], records::decode_checkout))
    }

    async fn checkout_of_owner(&self, owner: &Owner) -> Result<Option<Checkout>, PortError> {
        let sql = "SELECT body FROM checkouts WHERE owner = ?1 ORDER BY created_at DESC, id DESC LIMIT 1";
        self.readers().point(PORT, |on| one(on, sql, [records::owner_key(owner)], records::decode_checkout))
    }

    async fn due_checkouts(&self, now: Timestamp, most: usize) -> Result<Vec<Checkout>, PortError> {
        let sql = "SELECT body FROM checkouts WHERE NOT done AND due_at <= ?1 ORDER BY due_at, id LIMIT ?2";
        self.readers().range(PORT, move |on| many(on, sql, (now.0, limit(most)), records::decode_checkout)).await
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, PortError> {
        let sql = "SELECT body FROM orders WHERE id = ?1";
        self.readers().point(PORT, |on| one(on, sql, [id.0.to_be_bytes()], records::decode_order))
    }

    async fn orders(&self, filter: &OrderFilter, limit: usize) -> Result<Vec<Order>, PortError> {
        let (sql, values) = orders_query(filter, limit);
        self.readers().range(PORT, move |on| many(on, &sql, params_from_iter(values), records::decode_order)).await
    }

    async fn order_events(&self, id: OrderId) -> Result<Vec<Recorded>, PortError> {
        let sql = "SELECT body FROM order_events WHERE order_id = ?1 ORDER BY sequence";
        self.readers().range(PORT, move |on| many(on, sql, [id.0.to_be_bytes()], records::decode_recorded)).await
    }

    async fn due_orders(&self, now: Timestamp, most: usize) -> Result<Vec<Order>, PortError> {
        let sql = "SELECT body FROM orders WHERE payment IN ('capturing', 'voiding', 'refunding') AND alarm_at <= ?1
                   ORDER BY alarm_at, id LIMIT ?2";
        self.readers().range(PORT, move |on| many(on, sql, (now.0, limit(most)), records::decode_order)).await
    }

    async fn overdue(&self, now: Timestamp) -> Result<Overdue, PortError> {
        let checkouts = "SELECT count(*), min(due_at) FROM checkouts WHERE NOT done AND due_at <= ?1";
        let orders = "SELECT count(*), min(alarm_at) FROM orders
                      WHERE payment IN ('capturing', 'voiding', 'refunding') AND alarm_at <= ?1";
        let read = move |on: &Connection| {
            let count = |sql| on.prepare_cached(sql)?.query_row([now.0], |row| Ok((uint(row.get(0)?), row.get::<_, Option<i64>>(1)?)));
            let ((checkouts, first), (orders, second)) = (count(checkouts)?, count(orders)?);
            let since = first.into_iter().chain(second).min().map(Timestamp);
            Ok(Overdue { checkouts, orders, since })
        };
        self.readers().range(PORT, read).await
    }

    async fn stock(&self, edition: EditionId) -> Result<StockLevel, PortError> {
        self.readers().point(PORT, |on| stock::level(on, edition))
    }

    async fn usage(&self, counters: &[Counter]) -> Result<Usage, PortError> {
        if counters.is_empty() {
            return Ok(Usage::default());
        }
        self.readers().point(PORT, |on| {
            let known = counters.iter().filter_map(|c| used(on, &c.to_string()).map(|n| Some((c.clone(), n?))).transpose());
            Ok(Usage(known.collect::<Result<_, Fault>>()?))
        })
    }
}
