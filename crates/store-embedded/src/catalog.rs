//! Books and headings on disk, and the snapshot of them in memory.

use crate::EmbeddedStore;
use crate::columns::{change, int, limit, many, uint, value};
use crate::fault::Fault;
use crate::memory::Memory;
use crate::stock::{self, Levels, Moved};
use crate::writer::{Guard, Turn, Verdict, encode_all};
use crate::{answers, search};
use app::ports::{Answer, BookWrite, Catalog, CatalogChange, CatalogSaved, Freshness, HeadingWrite, PortError};
use app::snapshot::Snapshot;
use async_trait::async_trait;
use domain::catalog::{Book, Heading, HeadingId, HeadingKind};
use domain::event::Outgoing;
use domain::ids::{BookId, EditionId, Version};
use domain::pricing::PriceLine;
use domain::stock::{StockLevel, StockMove};
use domain::time::Timestamp;
use domain::trace::TraceContext;
use rusqlite::Connection;
use std::sync::Arc;

const PORT: &str = "catalog";

/// Everything in the catalog.
pub fn load(on: &Connection) -> Result<Snapshot, Fault> {
    let version = Version(0);
    let headings: Vec<_> = many(on, "SELECT body FROM headings", (), records::decode_heading)?
        .into_iter()
        .map(|heading| HeadingWrite::Put { heading: Arc::new(heading), expected: version })
        .collect();
    let books: Vec<_> = many(on, "SELECT body FROM books ORDER BY number", (), records::decode_book)?
        .into_iter()
        .map(|book| BookWrite::Put { book: Arc::new(book), expected: version })
        .collect();
    Ok(Snapshot::default().with(&headings, &books))
}

/// A change as the writer needs it, its records made where the caller is.
struct Encoded {
    headings: Vec<(HeadingWrite, Vec<u8>)>,
    books: Vec<(BookWrite, Vec<u8>)>,
    stock: Vec<StockMove>,
    prices: Vec<(EditionId, Vec<u8>)>,
    outbox: Vec<Vec<u8>>,
    /// Of these events.
    trace: Option<TraceContext>,
    answer: Option<Answer>,
    now: Timestamp,
}

impl Encoded {
    fn of(change: CatalogChange, now: Timestamp) -> Self {
        let heading = |write: HeadingWrite| {
            let body = match &write {
                HeadingWrite::Put { heading, .. } => records::encode_heading(heading),
                HeadingWrite::Delete { .. } => Vec::new(),
            };
            (write, body)
        };
        let book = |write: BookWrite| {
            let body = match &write {
                BookWrite::Put { book, .. } => records::encode_book(book),
                BookWrite::Delete { .. } => Vec::new(),
            };
            (write, body)
        };
        Self {
            headings: change.headings.into_iter().map(heading).collect(),
            books: change.books.into_iter().map(book).collect(),
            stock: change.stock,
            prices: change.prices.iter().map(|line| (line.edition, records::encode_price_line(line))).collect(),
            outbox: encode_all(&change.outbox),
            trace: Outgoing::trace_of(&change.outbox).cloned(),
            answer: change.answer,
            now,
        }
    }

    fn save(&self, turn: &Turn<'_>) -> Result<Verdict<(CatalogSaved, Levels)>, Fault> {
        let mut levels = Levels::new();
        Ok(match self.refused(turn, &mut levels)? {
            Some(refused) => Verdict::Undo((refused, Levels::new())),
            None => Verdict::Keep((CatalogSaved::Done, levels)),
        })
    }

    /// Writes until something does not hold. New names come before the books that use them, books before the
    /// names they no longer use.
    fn refused(&self, turn: &Turn<'_>, levels: &mut Levels) -> Result<Option<CatalogSaved>, Fault> {
        if let Some(first) = answers::first(turn, &self.answer)? {
            return Ok(Some(CatalogSaved::Answered(first)));
        }
        for (write, body) in &self.headings {
            if let HeadingWrite::Put { heading, expected } = write
                && let Some(refused) = put_heading(turn, heading, *expected, body)?
            {
                return Ok(Some(refused));
            }
        }
        if let Some(refused) = self.write_books(turn)? {
            return Ok(Some(refused));
        }
        for (write, _) in &self.headings {
            if let HeadingWrite::Delete { id, expected } = write
                && let Some(refused) = delete_heading(turn, *id, *expected)?
            {
                return Ok(Some(refused));
            }
        }
        if let Some(refused) = self.move_stock(turn, levels)? {
            return Ok(Some(refused));
        }
        for (edition, line) in &self.prices {
            let sql = "INSERT INTO price_lines (edition, body) VALUES (?1, ?2)";
            change(turn, sql, (edition.0.to_be_bytes(), line))?;
        }
        for event in &self.outbox {
            turn.send(event)?;
        }
        if let Some(answer) = &self.answer {
            answers::remember(turn, answer)?;
        }
        Ok(None)
    }

    /// First all old editions go, then the new ones come: within one change books may swap SKUs.
    fn write_books(&self, turn: &Turn<'_>) -> Result<Option<CatalogSaved>, Fault> {
        for (write, _) in &self.books {
            let (id, expected) = match write {
                BookWrite::Put { book, expected } => (book.id, *expected),
                BookWrite::Delete { id, expected } => (*id, *expected),
            };
            if !clear_book(turn, id, expected, matches!(write, BookWrite::Delete { .. }))? {
                return Ok(Some(CatalogSaved::Conflict));
            }
        }
        for (write, body) in &self.books {
            if let BookWrite::Put { book, .. } = write
                && let Some(refused) = put_book(turn, book, body)?
            {
                return Ok(Some(refused));
            }
        }
        Ok(None)
    }

    fn move_stock(&self, turn: &Turn<'_>, levels: &mut Levels) -> Result<Option<CatalogSaved>, Fault> {
        for stock_move in &self.stock {
            match stock::apply(turn, stock_move, self.trace.as_ref(), self.now)? {
                Moved::To(level) => levels.push((stock_move.edition, level)),
                Moved::Before => {}
                Moved::Short { available } => return Ok(Some(CatalogSaved::StockShort { available })),
            }
        }
        Ok(None)
    }
}

fn heading_version(on: &Connection, id: HeadingId) -> rusqlite::Result<i64> {
    let sql = "SELECT version FROM headings WHERE kind = ?1 AND id = ?2";
    Ok(value(on, sql, (id.kind.prefix(), id.bits.to_be_bytes()))?.unwrap_or(0))
}

fn put_heading(on: &Connection, heading: &Heading, expected: Version, body: &[u8]) -> Result<Option<CatalogSaved>, Fault> {
    let (kind, id) = (heading.id.kind.prefix(), heading.id.bits.to_be_bytes());
    if heading_version(on, heading.id)? != int(expected.0) {
        return Ok(Some(CatalogSaved::Conflict));
    }
    let name_key = heading.name.as_str().to_lowercase();
    let taken = "SELECT 1 FROM headings WHERE kind = ?1 AND name_key = ?2 AND id <> ?3";
    if value::<i64>(on, taken, (kind, &name_key, id))?.is_some() {
        return Ok(Some(CatalogSaved::NameTaken));
    }
    let sql = "INSERT INTO headings (kind, id, version, name, name_key, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (kind, id) DO UPDATE SET version = ?3, name = ?4, name_key = ?5, body = ?6";
    change(on, sql, (kind, id, int(heading.version.0), heading.name.as_str(), name_key, body))?;
    if expected != Version(0) && heading.id.kind == HeadingKind::Author {
        index_books_of(on, heading.id)?;
    }
    Ok(None)
}

/// A renamed author is found by the new name.
fn index_books_of(on: &Connection, author: HeadingId) -> Result<(), Fault> {
    let sql = "SELECT b.body FROM book_headings h JOIN books b ON b.id = h.book WHERE h.kind = ?1 AND h.id = ?2";
    for book in many(on, sql, (author.kind.prefix(), author.bits.to_be_bytes()), records::decode_book)? {
        if let Some((number, _)) = row_of(on, book.id)? {
            search::index(on, number, &book)?;
        }
    }
    Ok(())
}

fn delete_heading(on: &Connection, id: HeadingId, expected: Version) -> Result<Option<CatalogSaved>, Fault> {
    if expected == Version(0) || heading_version(on, id)? != int(expected.0) {
        return Ok(Some(CatalogSaved::Conflict));
    }
    let key = (id.kind.prefix(), id.bits.to_be_bytes());
    let books = value::<i64>(on, "SELECT count(*) FROM book_headings WHERE kind = ?1 AND id = ?2", key)?.unwrap_or(0);
    if books > 0 {
        return Ok(Some(CatalogSaved::Referenced(books.unsigned_abs())));
    }
    change(on, "DELETE FROM headings WHERE kind = ?1 AND id = ?2", key)?;
    Ok(None)
}

/// What an edition was sold at, newest first.
fn price_lines(on: &Connection, edition: EditionId, before: Option<u64>, most: usize) -> Result<Vec<(u64, PriceLine)>, Fault> {
    let sql = "SELECT place, body FROM price_lines WHERE edition = ?1 AND place < ?2 ORDER BY place DESC LIMIT ?3";
    let mut statement = on.prepare_cached(sql)?;
    let mut rows = statement.query((edition.0.to_be_bytes(), before.map_or(i64::MAX, int), limit(most)))?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let line = records::decode_price_line(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
        lines.push((uint(row.get(0)?), line));
    }
    Ok(lines)
}

/// A book's row number and version.
fn row_of(on: &Connection, id: BookId) -> rusqlite::Result<Option<(i64, i64)>> {
    let mut statement = on.prepare_cached("SELECT number, version FROM books WHERE id = ?1")?;
    let mut rows = statement.query([id.0.to_be_bytes()])?;
    rows.next()?.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
}

/// Takes out what hangs on a book that is as expected, and the book itself when it is to be deleted.
fn clear_book(on: &Connection, id: BookId, expected: Version, delete: bool) -> Result<bool, Fault> {
    let stored = row_of(on, id)?;
    if stored.map_or(0, |(_, version)| version) != int(expected.0) {
        return Ok(false);
    }
    let Some((number, _)) = stored else { return Ok(!delete) };
    let key = [id.0.to_be_bytes()];
    change(on, "DELETE FROM editions WHERE book = ?1", key)?;
    change(on, "DELETE FROM book_headings WHERE book = ?1", key)?;
    if delete {
        search::remove(on, number)?;
        change(on, "DELETE FROM books WHERE id = ?1", key)?;
    }
    Ok(true)
}

fn put_book(on: &Connection, book: &Book, body: &[u8]) -> Result<Option<CatalogSaved>, Fault> {
    let id = book.id.0.to_be_bytes();
    let sql = "INSERT INTO books (id, version, body) VALUES (?1, ?2, ?3)
               ON CONFLICT (id) DO UPDATE SET version = ?2, body = ?3 RETURNING number";
    let number = value(on, sql, (id, int(book.version.0), body))?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    for edition in &book.editions {
        let taken = "SELECT 1 FROM editions WHERE sku = ?1";
        if value::<i64>(on, taken, [edition.sku.as_str()])?.is_some() {
            return Ok(Some(CatalogSaved::SkuTaken(edition.sku.clone())));
        }
        let sql = "INSERT INTO editions (id, book, sku) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        if change(on, sql, (edition.id.0.to_be_bytes(), id, edition.sku.as_str()))? == 0 {
            return Ok(Some(CatalogSaved::Conflict));
        }
    }
    for heading in book.headings() {
        let sql = "INSERT OR IGNORE INTO book_headings (book, kind, id) VALUES (?1, ?2, ?3)";
        change(on, sql, (id, heading.kind.prefix(), heading.bits.to_be_bytes()))?;
    }
    search::index(on, number, book)?;
    Ok(None)
}

#[async_trait]
impl Catalog for EmbeddedStore {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.memory().snapshot()
    }

    fn level(&self, edition: EditionId) -> StockLevel {
        self.memory().level(edition)
    }

    fn changes(&self) -> u64 {
        self.memory().changes()
    }

    fn freshness(&self) -> Freshness {
        Freshness::Fresh
    }

    async fn save(&self, change: CatalogChange, now: Timestamp) -> Result<CatalogSaved, PortError> {
        let (headings, books) = (change.headings.clone(), change.books.clone());
        let encoded = Encoded::of(change, now);
        let apply = move |memory: &Memory, (saved, levels): &(CatalogSaved, Levels)| {
            if matches!(saved, CatalogSaved::Done) {
                memory.catalog_changed(headings, books);
                memory.set_levels(levels.clone());
            }
        };
        let (saved, _) = self.writer(PORT)?.submit(PORT, Guard::Savepoint, move |turn| encoded.save(turn), apply).await?;
        Ok(saved)
    }

    async fn prices(&self, edition: EditionId, before: Option<u64>, limit: usize) -> Result<Vec<(u64, PriceLine)>, PortError> {
        self.readers().range(PORT, move |on| price_lines(on, edition, before, limit)).await
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.readers().point(PORT, |on| answers::find(on, key))
    }
}
