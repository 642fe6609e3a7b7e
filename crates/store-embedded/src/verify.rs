//! Whether a store is what it says: the file is sound, every record can be read, and everything that is kept
//! twice agrees.

use crate::columns::{Decode, uint};
use crate::fault::Fault;
use crate::{OpenError, chain, existing, migrate, prices, stock};
use domain::ids::{EditionId, OrderId};
use domain::order::Order;
use records::Damaged;
use records::sound::{Moves, Rules, order_of};
use rusqlite::{Connection, Row};
use std::path::Path;

/// The format from which on uses are counted by more than coupons.
const USES_SINCE: u32 = 3;

/// What a sound store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub carts: u64,
    pub checkouts: u64,
    pub orders: u64,
    pub order_events: u64,
    pub books: u64,
    pub headings: u64,
    pub sessions: u64,
    pub answers: u64,
    /// Events, delivered or not.
    pub events: u64,
    pub stock_moves: u64,
    /// Of prices.
    pub rules: u64,
    /// Named by promotions and issued.
    pub codes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the database cannot be read: {0}")]
    Read(#[from] rusqlite::Error),
    #[error("the store is not sound:\n{}", .0.join("\n"))]
    Unsound(Vec<String>),
}

/// Checks the store of a directory, as of one instant, also while another process serves from it.
///
/// # Errors
/// [`VerifyError::Unsound`] with everything that is wrong.
pub fn verify(dir: &Path) -> Result<Verified, VerifyError> {
    check(dir, |check| check.all())
}

/// Looks at a directory's store as of one instant; what it finds wrong is the error.
pub(crate) fn check<T>(dir: &Path, look: impl FnOnce(&mut Check<'_>) -> rusqlite::Result<T>) -> Result<T, VerifyError> {
    let connection = existing(dir)?;
    connection.execute_batch("BEGIN")?;
    let format = migrate::format(&connection)?;
    let mut check = Check { on: &connection, format, wrong: Vec::new() };
    let found = look(&mut check)?;
    if check.wrong.is_empty() { Ok(found) } else { Err(VerifyError::Unsound(check.wrong)) }
}

pub(crate) struct Check<'a> {
    pub on: &'a Connection,
    /// An older store gets what later formats have when it is opened.
    format: u32,
    pub wrong: Vec<String>,
}

impl Check<'_> {
    fn all(&mut self) -> rusqlite::Result<Verified> {
        self.file()?;
        let mut verified = Verified {
            carts: self.records("carts", records::decode_cart)?,
            checkouts: self.records("checkouts", records::decode_checkout)?,
            orders: self.records("orders", records::decode_order)?,
            order_events: self.records("order_events", records::decode_recorded)?,
            books: self.records("books", records::decode_book)?,
            headings: self.records("headings", records::decode_heading)?,
            sessions: self.records("sessions", records::decode_session)?,
            answers: self.count("answers")?,
            events: self.records("outbox", records::decode_outgoing)?,
            stock_moves: self.count("stock_moves")?,
            ..Verified::default()
        };
        self.orders()?;
        self.levels()?;
        self.counters()?;
        if self.format >= prices::SINCE {
            self.prices(&mut verified)?;
        }
        Ok(verified)
    }

    fn file(&mut self) -> rusqlite::Result<()> {
        let mut statement = self.on.prepare("PRAGMA integrity_check")?;
        for line in statement.query_map((), |row| row.get::<_, String>(0))? {
            let line = line?;
            if line != "ok" {
                self.wrong.push(line);
            }
        }
        Ok(())
    }

    fn count(&self, table: &str) -> rusqlite::Result<u64> {
        self.on.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0)).map(uint)
    }

    /// Every record of a table can be read; how many there are.
    fn records<T>(&mut self, table: &str, decode: Decode<T>) -> rusqlite::Result<u64> {
        let mut count = 0;
        let mut statement = self.on.prepare(&format!("SELECT body FROM {table}"))?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            count += 1;
            if let Err(damaged) = decoded(row, 0, decode) {
                self.wrong.push(format!("{table}: {damaged}"));
            }
        }
        Ok(count)
    }

    /// An order is what its events say, and these are what was written.
    pub fn orders(&mut self) -> rusqlite::Result<()> {
        let mut statement = self.on.prepare("SELECT id, body FROM orders")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let id: [u8; 16] = row.get(0)?;
            if self.format >= chain::SINCE {
                self.chain(id)?;
            }
            // A record that cannot be read was told before.
            let Ok(order) = decoded(row, 1, records::decode_order) else { continue };
            if self.folded(id)?.as_ref() != Some(&order) {
                self.wrong.push(format!("{} is not what its events say", order.id));
            }
        }
        let mut orphans = self.on.prepare("SELECT DISTINCT order_id FROM order_events WHERE order_id NOT IN (SELECT id FROM orders)")?;
        for id in orphans.query_map((), |row| row.get(0))? {
            self.wrong.push(format!("{} has events and is not there", OrderId(u128::from_be_bytes(id?))));
        }
        Ok(())
    }

    /// Each event of an order is linked to the one before it: the first that is not has been changed since.
    fn chain(&mut self, order: [u8; 16]) -> rusqlite::Result<()> {
        let mut statement =
            self.on.prepare_cached("SELECT sequence, body, link FROM order_events WHERE order_id = ?1 ORDER BY sequence")?;
        let mut rows = statement.query([order])?;
        let mut last = chain::START;
        while let Some(row) = rows.next()? {
            last = chain::link(&last, row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?);
            if row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)? != last {
                let (id, sequence) = (OrderId(u128::from_be_bytes(order)), row.get::<_, i64>(0)?);
                self.wrong.push(format!("{id}: event {sequence} is not what was written"));
                break;
            }
        }
        Ok(())
    }

    /// What an order's events lead to.
    pub fn folded(&self, order: [u8; 16]) -> rusqlite::Result<Option<Order>> {
        let mut statement = self.on.prepare_cached("SELECT body FROM order_events WHERE order_id = ?1 ORDER BY sequence")?;
        let mut history = statement.query([order])?;
        let mut events: Vec<Vec<u8>> = Vec::new();
        while let Some(row) = history.next()? {
            events.push(row.get(0)?);
        }
        Ok(order_of(events.iter().map(Vec::as_slice)))
    }

    /// A level is what its moves say, so what is reserved is what moves have reserved and not given back.
    pub fn levels(&mut self) -> rusqlite::Result<()> {
        let mut moves = Moves::default();
        let mut statement = self.on.prepare("SELECT edition, kind, n, sequence, cause FROM stock_moves ORDER BY edition, sequence")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let (kind, cause): (String, String) = (row.get(1)?, row.get(4)?);
            moves.moved(EditionId(u128::from_be_bytes(row.get(0)?)), (&kind, row.get(2)?), uint(row.get(3)?), &cause);
        }
        self.wrong.extend(moves.compare(stock::levels(self.on)?));
        Ok(())
    }

    fn counters(&mut self) -> rusqlite::Result<()> {
        if self.format < USES_SINCE {
            return Ok(());
        }
        let sql = "SELECT name, used, (SELECT coalesce(sum(n), 0) FROM uses u WHERE u.counter = c.name) AS moved FROM counters c
                   WHERE used <> moved";
        let mut statement = self.on.prepare(sql)?;
        let rows = statement.query_map((), |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))?;
        for row in rows {
            let (name, used, moved) = row?;
            self.wrong.push(format!("{name} stands at {used}, its uses lead to {moved}"));
        }
        Ok(())
    }
}

/// Rules, and what is kept of them elsewhere.
impl Check<'_> {
    fn prices(&mut self, verified: &mut Verified) -> rusqlite::Result<()> {
        verified.rules = self.records("rules", records::decode_kept)?;
        verified.codes = self.count("codes")?;
        self.records("rule_audit", records::decode_audited)?;
        self.records("price_lines", records::decode_price_line)?;
        self.rules()?;
        self.batches()
    }

    fn rules(&mut self) -> rusqlite::Result<()> {
        let mut rules = Rules::default();
        let mut statement = self.on.prepare("SELECT body, kind, id, version FROM rules")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let body = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
            rules.kept((row.get(1)?, row.get(2)?, uint(row.get(3)?)), body);
        }
        let mut statement = self.on.prepare("SELECT body FROM rule_audit ORDER BY sequence")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            rules.audited(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
        }
        let mut statement = self.on.prepare("SELECT code, promotion FROM codes WHERE batch IS NULL")?;
        let codes = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        self.wrong.extend(rules.compare(&codes));
        Ok(())
    }

    fn batches(&mut self) -> rusqlite::Result<()> {
        let sql = "SELECT hex(b.id), b.issued, coalesce(c.n, 0) FROM batches b
                   LEFT JOIN (SELECT batch, count(*) AS n FROM codes WHERE batch IS NOT NULL GROUP BY batch) c ON c.batch = b.id
                   WHERE b.issued <> coalesce(c.n, 0)";
        let mut statement = self.on.prepare(sql)?;
        let rows = statement.query_map((), |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))?;
        for row in rows {
            let (batch, issued, there) = row?;
            self.wrong.push(format!("batch {batch} has {issued} codes, {there} are there"));
        }
        Ok(())
    }
}

pub(crate) fn decoded<T>(row: &Row<'_>, column: usize, decode: fn(&[u8]) -> Result<T, Damaged>) -> Result<T, Fault> {
    Ok(decode(row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from)?)?)
}
