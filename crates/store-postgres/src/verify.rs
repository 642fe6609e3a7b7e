//! Whether a store is what it says: every record can be read, and everything that is kept twice agrees.

use crate::columns::{Decode, Id, uint};
use crate::fault::Fault;
use crate::{PgStore, feed};
use domain::ids::{EditionId, OrderId};
use futures_util::TryStreamExt;
use records::sound::{Moves, Rules, order_of};
use std::collections::BTreeSet;
use std::pin::pin;
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row, Transaction};

/// Asked seldom, of everything there is, so not among the [`queries`](crate::queries) that are prepared everywhere.
const ORDERS: &str = include_str!("../queries/check/orders.sql");
const MOVES: &str = include_str!("../queries/check/moves.sql");
const WRONG: &str = include_str!("../queries/check/wrong.sql");

/// What a sound store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub checkouts: u64,
    pub orders: u64,
    pub order_events: u64,
    pub books: u64,
    pub headings: u64,
    pub answers: u64,
    /// Events that are not delivered.
    pub events: u64,
    pub stock_moves: u64,
    /// Of prices.
    pub rules: u64,
    /// Named by promotions and issued.
    pub codes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("the database cannot be read: {0}")]
    Read(#[from] Fault),
    #[error("the store is not sound:\n{}", .0.join("\n"))]
    Unsound(Vec<String>),
}

impl From<tokio_postgres::Error> for VerifyError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Read(error.into())
    }
}

impl PgStore {
    /// Checks the whole store, as of one instant, beside those who use it.
    ///
    /// # Errors
    /// [`VerifyError::Unsound`] with everything that is wrong.
    pub async fn verify(&self) -> Result<Verified, VerifyError> {
        let mut client = self.primary().get().await?;
        let transaction = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?;
        transaction.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0").await?;
        let mut check = Check { on: &transaction, wrong: Vec::new() };
        let verified = check.all().await?;
        if check.wrong.is_empty() { Ok(verified) } else { Err(VerifyError::Unsound(check.wrong)) }
    }
}

struct Check<'a> {
    on: &'a Transaction<'a>,
    wrong: Vec<String>,
}

impl Check<'_> {
    async fn all(&mut self) -> Result<Verified, Fault> {
        let verified = Verified {
            checkouts: self.records("checkouts", "body", records::decode_checkout).await?,
            orders: self.records("orders", "body", records::decode_order).await?,
            order_events: self.records("order_events", "body", records::decode_recorded).await?,
            books: self.records("books", "body", records::decode_book).await?,
            headings: self.records("headings", "body", records::decode_heading).await?,
            answers: self.count("answers").await?,
            events: self.records("outbox", "unnest(events)", records::decode_outgoing).await?,
            stock_moves: self.count("stock_moves").await?,
            rules: self.records("rules", "body", records::decode_kept).await?,
            codes: self.count("codes").await?,
        };
        self.records("rule_audit", "body", records::decode_audited).await?;
        self.records("price_lines", "body", records::decode_price_line).await?;
        self.orders().await?;
        self.levels().await?;
        self.rules().await?;
        self.editions().await?;
        let mut wrong = Vec::new();
        let look = |row: &Row| {
            wrong.push(row.try_get("line")?);
            Ok(())
        };
        self.each(WRONG, look).await?;
        self.wrong.extend(wrong);
        Ok(verified)
    }

    /// Shows every row that a query finds, as it comes: there may be more of them than fit into memory.
    async fn each(&self, query: &str, mut look: impl FnMut(&Row) -> Result<(), Fault>) -> Result<(), Fault> {
        let no_parameters: [&(dyn ToSql + Sync); 0] = [];
        let mut rows = pin!(self.on.query_raw(query, no_parameters).await?);
        while let Some(row) = rows.try_next().await? {
            look(&row)?;
        }
        Ok(())
    }

    async fn count(&self, table: &str) -> Result<u64, Fault> {
        Ok(uint(self.on.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?.try_get(0)?))
    }

    /// Every record of a table can be read; how many there are.
    async fn records<T>(&mut self, table: &str, body: &str, decode: Decode<T>) -> Result<u64, Fault> {
        let (mut count, mut wrong) = (0, Vec::new());
        let look = |row: &Row| {
            count += 1;
            wrong.extend(decode(row.try_get(0)?).err().map(|damaged| format!("{table}: {damaged}")));
            Ok(())
        };
        self.each(&format!("SELECT {body} FROM {table}"), look).await?;
        self.wrong.extend(wrong);
        Ok(count)
    }

    /// An order is what its events say.
    async fn orders(&mut self) -> Result<(), Fault> {
        let (mut wrong, mut history) = (Vec::new(), History::default());
        let look = |row: &Row| {
            let id: Id = row.try_get("id")?;
            if history.id != Some(id) {
                wrong.extend(std::mem::take(&mut history).wrong());
                history = History { id: Some(id), body: row.try_get("body")?, events: Vec::new() };
            }
            history.events.extend(row.try_get::<_, Option<Vec<u8>>>("event")?);
            Ok(())
        };
        self.each(ORDERS, look).await?;
        wrong.extend(history.wrong());
        self.wrong.extend(wrong);
        Ok(())
    }

    async fn levels(&mut self) -> Result<(), Fault> {
        let (mut moves, mut stored) = (Moves::default(), Vec::new());
        let look = |row: &Row| {
            let (edition, kept): (Id, (&str, i64)) = (row.try_get("edition")?, (row.try_get("kind")?, row.try_get("n")?));
            moves.moved(EditionId(edition.0), kept, uint(row.try_get("sequence")?), row.try_get("cause")?);
            Ok(())
        };
        self.each(MOVES, look).await?;
        let look = |row: &Row| {
            stored.push((EditionId(row.try_get::<_, Id>("edition")?.0), feed::level(row)?));
            Ok(())
        };
        self.each("SELECT edition, on_hand, reserved, moves FROM stock", look).await?;
        self.wrong.extend(moves.compare(stored));
        Ok(())
    }

    async fn rules(&mut self) -> Result<(), Fault> {
        let (mut rules, mut codes) = (Rules::default(), BTreeSet::new());
        let look = |row: &Row| {
            rules.kept((row.try_get(0)?, row.try_get(1)?, uint(row.try_get(2)?)), row.try_get(3)?);
            Ok(())
        };
        self.each("SELECT kind, id, version, body FROM rules", look).await?;
        let look = |row: &Row| {
            rules.audited(row.try_get(0)?);
            Ok(())
        };
        self.each("SELECT body FROM rule_audit ORDER BY sequence", look).await?;
        let look = |row: &Row| {
            codes.insert((row.try_get(0)?, row.try_get(1)?));
            Ok(())
        };
        self.each("SELECT code, promotion FROM codes WHERE batch IS NULL", look).await?;
        self.wrong.extend(rules.compare(&codes));
        Ok(())
    }

    /// Editions and headings beside a book are the ones it names.
    async fn editions(&mut self) -> Result<(), Fault> {
        let mut wrong = Vec::new();
        let beside = "SELECT body, ARRAY(SELECT id FROM editions WHERE book = b.id ORDER BY id) AS editions,
                             ARRAY(SELECT DISTINCT id FROM book_headings WHERE book = b.id ORDER BY id) AS headings FROM books b";
        let look = |row: &Row| {
            let Ok(book) = records::decode_book(row.try_get("body")?) else { return Ok(()) };
            let editions: BTreeSet<u128> = book.editions.iter().map(|edition| edition.id.0).collect();
            let headings: BTreeSet<u128> = book.headings().map(|heading| heading.bits).collect();
            if ids(row, "editions")? != editions || ids(row, "headings")? != headings {
                wrong.push(format!("{}: editions and headings are not the ones it names", book.id));
            }
            Ok(())
        };
        self.each(beside, look).await?;
        self.wrong.extend(wrong);
        Ok(())
    }
}

fn ids(row: &Row, column: &str) -> Result<BTreeSet<u128>, Fault> {
    Ok(row.try_get::<_, Vec<Id>>(column)?.into_iter().map(|id| id.0).collect())
}

/// An order and its events as they are read.
#[derive(Default)]
struct History {
    id: Option<Id>,
    body: Vec<u8>,
    events: Vec<Vec<u8>>,
}

impl History {
    /// That a record cannot be read is told elsewhere.
    fn wrong(self) -> Option<String> {
        let (id, order) = (self.id?, records::decode_order(&self.body).ok()?);
        let told = order_of(self.events.iter().map(Vec::as_slice));
        (told.as_ref() != Some(&order)).then(|| format!("{} is not what its events say", OrderId(id.0)))
    }
}
