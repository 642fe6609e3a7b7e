//! The catalog: finding books, and the shopkeeper's changes to them.

mod browse;
mod draft;

pub use browse::{BookPage, BookQuery, BookSort, Facets};

use crate::App;
use crate::caller::Caller;
use crate::error::Error;
use crate::lane::Leader;
use crate::once::{Answered, Once, answer, before};
use crate::ports::{BookWrite, CatalogChange, CatalogSaved, HeadingWrite, PortError, PortErrorKind};
use crate::snapshot::Snapshot;
use crate::traced::{mark, trace};
use domain::catalog::{Book, Edition, Format, Heading, HeadingId, HeadingKind, Isbn13, Ratings};
use domain::event::{BookEvent, Event, Outgoing, Subject};
use domain::ids::{BookId, EditionId, Sku, Version};
use domain::limits::{DESCRIPTION_MAX, NAME_MAX, REASON_MAX, TITLE_MAX, URL_MAX};
use domain::money::Money;
use domain::order::Actor;
use domain::pricing::{PriceLine, Why};
use domain::refusal::Refusal;
use domain::stock::{StockChange, StockLevel, StockMove};
use domain::text::Text;
use domain::time::Timestamp;
use draft::{Draft, derived, same};
use std::sync::Arc;

/// A book as a shopkeeper writes it down; authors, categories and publisher by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookInput {
    pub title: Text<TITLE_MAX>,
    pub subtitle: Option<Text<TITLE_MAX>>,
    pub description: Option<Text<DESCRIPTION_MAX>>,
    pub authors: Vec<Text<NAME_MAX>>,
    pub categories: Vec<Text<NAME_MAX>>,
    pub publisher: Option<Text<NAME_MAX>>,
    pub language: Text<8>,
    pub published_year: Option<i32>,
    pub isbn13: Option<Isbn13>,
    pub image_url: Option<Text<URL_MAX>>,
    pub editions: Vec<EditionInput>,
    /// Left as they are when `None`.
    pub ratings: Option<Ratings>,
    /// Why prices change, for their history.
    pub reason: Option<Text<REASON_MAX>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditionInput {
    pub sku: Sku,
    pub format: Format,
    pub price: Money,
    pub sale_price: Option<Money>,
    /// Of one copy, with its packing.
    pub weight_g: Option<u32>,
    /// Copies a new edition starts with. An edition that is there already keeps its stock.
    pub stock: Option<u32>,
}

/// A book with what is needed to show it.
#[derive(Clone, Debug)]
pub struct BookView {
    pub book: Arc<Book>,
    pub snapshot: Arc<Snapshot>,
    /// In the order of the book's editions.
    pub levels: Vec<StockLevel>,
}

#[derive(Clone, Debug)]
pub struct HeadingView {
    pub heading: Arc<Heading>,
    pub books: u64,
}

#[derive(Clone, Copy, Debug)]
pub enum StockInput {
    Delta(i32),
    Set(u32),
}

#[derive(Clone, Debug)]
pub struct StockView {
    pub sku: Sku,
    pub level: StockLevel,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    pub created: usize,
    pub updated: usize,
    pub unchanged: usize,
}

impl App {
    pub async fn create_book(&self, caller: &Caller, input: BookInput, once: Option<Once<BookView>>) -> Result<Answered<BookView>, Error> {
        caller.ensure_admin()?;
        let _turn = self.catalog_turn().await?;
        let now = self.now();
        let mut draft = self.draft(Why { actor: caller.actor(), reason: input.reason.clone() })?;
        let book = draft.book(&input, None, self.fresh_bits(now), now);
        self.save_book(draft, book, once, now).await
    }

    pub async fn replace_book(
        &self,
        caller: &Caller,
        id: BookId,
        input: BookInput,
        if_match: Option<Version>,
        once: Option<Once<BookView>>,
    ) -> Result<Answered<BookView>, Error> {
        caller.ensure_admin()?;
        let _turn = self.catalog_turn().await?;
        let now = self.now();
        let mut draft = self.draft(Why { actor: caller.actor(), reason: input.reason.clone() })?;
        let old = draft.snapshot.book(id).cloned().ok_or(Refusal::ProductNotFound)?;
        crate::cart::ensure_version(if_match, old.version)?;
        let book = draft.book(&input, Some(&old), 0, now);
        self.save_book(draft, book, once, now).await
    }

    async fn save_book(
        &self,
        draft: Draft,
        book: Result<Arc<Book>, Refusal>,
        once: Option<Once<BookView>>,
        now: Timestamp,
    ) -> Result<Answered<BookView>, Error> {
        if let Some(again) = before(once.as_ref(), |key| self.ports.catalog.answer(key)).await? {
            return Ok(again);
        }
        let book = book?;
        let snapshot = Arc::new(draft.snapshot.with(&draft.change.headings, &draft.change.books));
        let level = |e: &Edition| draft.starting.get(&e.id).copied().unwrap_or_else(|| self.ports.catalog.level(e.id));
        let levels = book.editions.iter().map(level).collect();
        let view = BookView { book, snapshot, levels };
        let change = CatalogChange { answer: answer(once.as_ref(), &view, now), ..draft.change };
        match self.save_catalog(change, once.as_ref(), now).await? {
            Some(again) => Ok(again),
            None => Ok(Answered::Fresh(view)),
        }
    }

    pub async fn delete_book(
        &self,
        caller: &Caller,
        id: BookId,
        if_match: Option<Version>,
        once: Option<Once<()>>,
    ) -> Result<Answered<()>, Error> {
        caller.ensure_admin()?;
        let _turn = self.catalog_turn().await?;
        if let Some(again) = before(once.as_ref(), |key| self.ports.catalog.answer(key)).await? {
            return Ok(again);
        }
        let now = self.now();
        let snapshot = self.known_catalog()?;
        let book = snapshot.book(id).ok_or(Refusal::ProductNotFound)?;
        crate::cart::ensure_version(if_match, book.version)?;
        let held = book.editions.iter().filter(|e| self.ports.catalog.level(e.id).reserved > 0).count();
        if held > 0 {
            return Err(Refusal::Referenced { count: held as u64 }.into());
        }
        let event = Outgoing::new(Subject::Book(id), book.version.0 + 1, now, Event::Book(BookEvent::Deleted));
        let change = CatalogChange {
            books: vec![BookWrite::Delete { id, expected: book.version }],
            outbox: vec![event],
            answer: answer(once.as_ref(), &(), now),
            ..CatalogChange::default()
        };
        Ok(self.save_catalog(change, once.as_ref(), now).await?.unwrap_or(Answered::Fresh(())))
    }

    pub async fn create_heading(
        &self,
        caller: &Caller,
        kind: HeadingKind,
        name: Text<NAME_MAX>,
        once: Option<Once<HeadingView>>,
    ) -> Result<Answered<HeadingView>, Error> {
        caller.ensure_admin()?;
        let _turn = self.catalog_turn().await?;
        let snapshot = self.known_catalog()?;
        let bits = derived(&snapshot, kind, name.as_str()).unwrap_or_else(|| self.fresh_bits(self.now()));
        let heading = Heading { id: HeadingId { kind, bits }, name, version: Version(1) };
        self.put_heading(heading, Version(0), 0, once).await
    }

    pub async fn rename_heading(
        &self,
        caller: &Caller,
        id: HeadingId,
        name: Text<NAME_MAX>,
        if_match: Option<Version>,
        once: Option<Once<HeadingView>>,
    ) -> Result<Answered<HeadingView>, Error> {
        caller.ensure_admin()?;
        let _turn = self.catalog_turn().await?;
        let snapshot = self.known_catalog()?;
        let old = snapshot.heading(id).ok_or(not_found(id.kind))?;
        crate::cart::ensure_version(if_match, old.version)?;
        self.put_heading(Heading { id, name, version: old.version.next() }, old.version, snapshot.uses(id), once).await
    }

    async fn put_heading(
        &self,
        heading: Heading,
        expected: Version,
        books: u64,
        once: Option<Once<HeadingView>>,
    ) -> Result<Answered<HeadingView>, Error> {
        if let Some(again) = before(once.as_ref(), |key| self.ports.catalog.answer(key)).await? {
            return Ok(again);
        }
        let now = self.now();
        let view = HeadingView { heading: Arc::new(heading), books };
        let change = CatalogChange {
            headings: vec![HeadingWrite::Put { heading: Arc::clone(&view.heading), expected }],
            answer: answer(once.as_ref(), &view, now),
            ..CatalogChange::default()
        };
        Ok(self.save_catalog(change, once.as_ref(), now).await?.unwrap_or(Answered::Fresh(view)))
    }

    pub async fn delete_heading(
        &self,
        caller: &Caller,
        id: HeadingId,
        if_match: Option<Version>,
        once: Option<Once<()>>,
    ) -> Result<Answered<()>, Error> {
        caller.ensure_admin()?;
        let _turn = self.catalog_turn().await?;
        if let Some(again) = before(once.as_ref(), |key| self.ports.catalog.answer(key)).await? {
            return Ok(again);
        }
        let snapshot = self.known_catalog()?;
        let old = snapshot.heading(id).ok_or(not_found(id.kind))?;
        crate::cart::ensure_version(if_match, old.version)?;
        let now = self.now();
        let change = CatalogChange {
            headings: vec![HeadingWrite::Delete { id, expected: old.version }],
            answer: answer(once.as_ref(), &(), now),
            ..CatalogChange::default()
        };
        Ok(self.save_catalog(change, once.as_ref(), now).await?.unwrap_or(Answered::Fresh(())))
    }

    /// Moves an edition's stock: one line in the stock ledger.
    pub async fn move_stock(
        &self,
        caller: &Caller,
        book: BookId,
        edition: EditionId,
        input: StockInput,
        reason: Text<REASON_MAX>,
        once: Option<Once<StockView>>,
    ) -> Result<Answered<StockView>, Error> {
        caller.ensure_admin()?;
        let _turn = self.catalog_turn().await?;
        if let Some(again) = before(once.as_ref(), |key| self.ports.catalog.answer(key)).await? {
            return Ok(again);
        }
        let now = self.now();
        let snapshot = self.known_catalog()?;
        let sku = snapshot.book(book).and_then(|b| b.edition(edition)).ok_or(Refusal::ProductNotFound)?.sku.clone();
        let change = match input {
            StockInput::Delta(delta) => StockChange::Receive(delta),
            StockInput::Set(n) => StockChange::Count(n),
        };
        let before = self.ports.ledger.stock(edition).await?;
        let level = before.after(change).map_err(|short| Refusal::StockShort { available: short.available })?;
        let view = StockView { sku, level };
        let cause = format!("{:032x}/{reason}", self.fresh_bits(now));
        let change = CatalogChange {
            stock: vec![StockMove { edition, change, cause }],
            answer: answer(once.as_ref(), &view, now),
            ..CatalogChange::default()
        };
        match self.save_catalog(change, once.as_ref(), now).await? {
            Some(again) => Ok(again),
            // As it was decided, which is what a repeat will be told.
            None => Ok(Answered::Fresh(view)),
        }
    }

    /// What an edition was sold at, newest first, each with its place in the list; before a place when given.
    pub async fn price_history(
        &self,
        caller: &Caller,
        book: BookId,
        edition: EditionId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, PriceLine)>, Error> {
        caller.ensure_admin()?;
        let snapshot = self.known_catalog()?;
        snapshot.book(book).and_then(|b| b.edition(edition)).ok_or(Refusal::ProductNotFound)?;
        Ok(self.ports.catalog.prices(edition, before, limit).await?)
    }

    /// Writes books down: new ones are created, known ones (by their first SKU) replaced where they differ.
    /// Repeating an import changes nothing. Stock is set for new editions only.
    pub async fn import(&self, inputs: &[BookInput]) -> Result<(Imported, Vec<(usize, Refusal)>), Error> {
        let _turn = self.catalog_turn().await?;
        let now = self.now();
        let mut draft = self.draft(Why { actor: Actor::System, reason: Text::parse("import") })?;
        let (mut imported, mut refused) = (Imported::default(), Vec::new());
        for (n, input) in inputs.iter().enumerate() {
            let old = input.editions.first().and_then(|e| draft.by_sku(&e.sku));
            match draft.book(input, old.as_ref(), self.fresh_bits(now), now) {
                Ok(book) if old.as_ref().is_some_and(|old| same(old, &book)) => {
                    draft.undo_last_book();
                    imported.unchanged += 1;
                }
                Ok(_) if old.is_some() => imported.updated += 1,
                Ok(_) => imported.created += 1,
                Err(refusal) => refused.push((n, refusal)),
            }
        }
        self.save_catalog::<()>(draft.change, None, now).await?;
        Ok((imported, refused))
    }

    async fn save_catalog<T>(
        &self,
        mut change: CatalogChange,
        once: Option<&Once<T>>,
        now: Timestamp,
    ) -> Result<Option<Answered<T>>, Error> {
        mark(&mut change.outbox, trace().as_ref());
        match (self.ports.catalog.save(change, now).await?, once) {
            (CatalogSaved::Done, _) => Ok(None),
            (CatalogSaved::Answered(first), Some(once)) => once.again(first).map(Some),
            (CatalogSaved::Conflict | CatalogSaved::Answered(_), _) => Err(Refusal::IdempotencyInFlight.into()),
            (CatalogSaved::SkuTaken(sku), _) => Err(Refusal::SkuTaken { sku }.into()),
            (CatalogSaved::NameTaken, _) => Err(Refusal::NameTaken.into()),
            (CatalogSaved::Referenced(count), _) => Err(Refusal::Referenced { count }.into()),
            (CatalogSaved::StockShort { available }, _) => Err(Refusal::StockShort { available }.into()),
        }
    }

    async fn catalog_turn(&self) -> Result<Leader<(), (), ()>, Error> {
        let lost = || PortError::unknown("catalog", PortErrorKind::Unavailable, "too many catalog changes wait");
        Ok(self.catalog.turn((), ()).await.ok_or_else(lost)?)
    }
}

fn not_found(kind: HeadingKind) -> Refusal {
    match kind {
        HeadingKind::Author => Refusal::AuthorNotFound,
        HeadingKind::Category => Refusal::CategoryNotFound,
        HeadingKind::Publisher => Refusal::PublisherNotFound,
    }
}
