//! The catalog: finding books, and the shopkeeper's changes to them.

use crate::App;
use crate::caller::Caller;
use crate::error::Error;
use crate::lane::Leader;
use crate::once::{Answered, Once, answer};
use crate::ports::{BookWrite, Catalog, CatalogChange, CatalogSaved, HeadingWrite, PortError, PortErrorKind};
use crate::snapshot::Snapshot;
use domain::catalog::{Book, Edition, Format, Heading, HeadingId, HeadingKind, Isbn13, Ratings};
use domain::event::{BookEvent, Event, Outgoing, Subject};
use domain::ids::{BookId, EditionId, Sku, Version};
use domain::limits::{DESCRIPTION_MAX, FACET_VALUES_MAX, NAME_MAX, PAGE_MAX, REASON_MAX, TITLE_MAX, URL_MAX};
use domain::money::Money;
use domain::refusal::Refusal;
use domain::stock::{StockChange, StockLevel, StockMove};
use domain::text::Text;
use domain::time::Timestamp;
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::collections::HashMap;
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
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditionInput {
    pub sku: Sku,
    pub format: Format,
    pub price: Money,
    pub sale_price: Option<Money>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookSort {
    Relevance,
    Title,
    TitleDown,
    Price,
    PriceDown,
    Year,
    YearDown,
}

#[derive(Clone, Debug, Default)]
pub struct BookQuery {
    pub search: Option<String>,
    /// Books under every one of these.
    pub headings: Vec<HeadingId>,
    pub min_price: Option<i64>,
    pub max_price: Option<i64>,
    /// Only books with (or without) a copy to be had.
    pub in_stock: Option<bool>,
    /// By relevance with a search, else by title, when left out.
    pub sort: Option<BookSort>,
    pub limit: usize,
    /// The last book of the page before and its position.
    pub after: Option<(BookId, usize)>,
}

#[derive(Clone, Debug)]
pub struct BookPage {
    pub items: Vec<BookView>,
    pub total: usize,
    pub facets: Facets,
    pub next: Option<(BookId, usize)>,
}

/// How the matching books spread.
#[derive(Clone, Debug, Default)]
pub struct Facets {
    pub categories: Vec<(Arc<Heading>, u64)>,
    pub authors: Vec<(Arc<Heading>, u64)>,
    pub languages: Vec<(Text<8>, u64)>,
    pub formats: Vec<(Format, u64)>,
    pub price: Option<(Money, Money)>,
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
    pub async fn books(&self, query: &BookQuery) -> Result<BookPage, Error> {
        let snapshot = self.ports.catalog.snapshot();
        let matched = self.matching(query, &snapshot).await?;
        let facets = facets(&matched, &snapshot);
        let total = matched.len();
        let start = match query.after {
            // The book may have moved since, or be gone: then its old position has to do.
            Some((id, position)) if matched.get(position).is_some_and(|b| b.id == id) => position + 1,
            Some((id, position)) => matched.iter().position(|b| b.id == id).map_or(position, |p| p + 1),
            None => 0,
        };
        let limit = query.limit.clamp(1, PAGE_MAX);
        let page: Vec<&Arc<Book>> = matched.iter().skip(start).take(limit).copied().collect();
        let end = start + page.len();
        let next = page.last().filter(|_| end < total).map(|b| (b.id, end - 1));
        let items = page.into_iter().map(|b| self.book_view(Arc::clone(b), Arc::clone(&snapshot))).collect();
        Ok(BookPage { items, total, facets, next })
    }

    /// The books a query means, in its order.
    async fn matching<'s>(&self, query: &BookQuery, snapshot: &'s Snapshot) -> Result<Vec<&'s Arc<Book>>, Error> {
        let sort = query.sort.unwrap_or(if query.search.is_some() { BookSort::Relevance } else { BookSort::Title });
        let found: Vec<&Arc<Book>> = match &query.search {
            Some(text) => {
                let ids = self.ports.search.matches(text, snapshot.len()).await?;
                ids.into_iter().filter_map(|id| snapshot.book(id)).collect()
            }
            None => snapshot.by_title().iter().collect(),
        };
        let mut books: Vec<&Arc<Book>> = found.into_iter().filter(|b| self.fits(b, query)).collect();
        match (sort, &query.search) {
            (BookSort::Relevance, _) | (BookSort::Title, None) => {}
            (BookSort::Title, Some(_)) => books.sort_by_cached_key(|b| (b.title.as_str().to_lowercase(), b.id)),
            (BookSort::TitleDown, _) => books.sort_by_cached_key(|b| Reverse((b.title.as_str().to_lowercase(), b.id))),
            (BookSort::Price, _) => books.sort_by_key(|b| (lowest(b), b.id)),
            (BookSort::PriceDown, _) => books.sort_by_key(|b| Reverse((lowest(b), b.id))),
            (BookSort::Year, _) => books.sort_by_key(|b| (b.published_year, b.id)),
            (BookSort::YearDown, _) => books.sort_by_key(|b| Reverse((b.published_year, b.id))),
        }
        Ok(books)
    }

    fn fits(&self, book: &Book, query: &BookQuery) -> bool {
        let under = |wanted: &HeadingId| book.headings().any(|h| h == *wanted);
        let priced = |e: &Edition| {
            let price = e.unit_price().minor();
            query.min_price.is_none_or(|min| price >= min) && query.max_price.is_none_or(|max| price <= max)
        };
        let stocked = || book.editions.iter().any(|e| self.ports.catalog.level(e.id).available() > 0);
        query.headings.iter().all(under)
            && ((query.min_price.is_none() && query.max_price.is_none()) || book.editions.iter().any(priced))
            && query.in_stock.is_none_or(|wanted| stocked() == wanted)
    }

    fn book_view(&self, book: Arc<Book>, snapshot: Arc<Snapshot>) -> BookView {
        let levels = book.editions.iter().map(|e| self.ports.catalog.level(e.id)).collect();
        BookView { book, snapshot, levels }
    }

    pub async fn book(&self, id: BookId) -> Result<BookView, Error> {
        let snapshot = self.ports.catalog.snapshot();
        let book = snapshot.book(id).cloned().ok_or(Refusal::ProductNotFound)?;
        Ok(self.book_view(book, snapshot))
    }

    /// Headings of a kind by name, after a heading.
    pub async fn headings(&self, kind: HeadingKind, after: Option<HeadingId>, limit: usize) -> Result<Vec<HeadingView>, Error> {
        let snapshot = self.ports.catalog.snapshot();
        let all = snapshot.headings(kind);
        let start = after.and_then(|id| all.iter().position(|h| h.id == id)).map_or(0, |p| p + 1);
        let page = all.into_iter().skip(start).take(limit);
        Ok(page.map(|h| HeadingView { heading: Arc::clone(h), books: snapshot.uses(h.id) }).collect())
    }

    pub async fn heading(&self, id: HeadingId) -> Result<HeadingView, Error> {
        let snapshot = self.ports.catalog.snapshot();
        let heading = snapshot.heading(id).cloned().ok_or(not_found(id.kind))?;
        Ok(HeadingView { heading, books: snapshot.uses(id) })
    }

    pub async fn create_book(&self, caller: &Caller, input: BookInput, once: Option<Once<BookView>>) -> Result<Answered<BookView>, Error> {
        caller.ensure_admin()?;
        let _turn = self.catalog_turn().await?;
        let now = self.now();
        let mut draft = self.draft();
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
        let mut draft = self.draft();
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
        if let Some(once) = &once
            && let Some(first) = self.ports.catalog.answer(once.mark.key).await?
        {
            return once.again(first);
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
        if let Some(once) = &once
            && let Some(first) = self.ports.catalog.answer(once.mark.key).await?
        {
            return once.again(first);
        }
        let now = self.now();
        let snapshot = self.ports.catalog.snapshot();
        let book = snapshot.book(id).ok_or(Refusal::ProductNotFound)?;
        crate::cart::ensure_version(if_match, book.version)?;
        let held = book.editions.iter().filter(|e| self.ports.catalog.level(e.id).reserved > 0).count();
        if held > 0 {
            return Err(Refusal::Referenced { count: held as u64 }.into());
        }
        let event = Outgoing { subject: Subject::Book(id), sequence: book.version.0 + 1, at: now, event: Event::Book(BookEvent::Deleted) };
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
        let snapshot = self.ports.catalog.snapshot();
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
        let snapshot = self.ports.catalog.snapshot();
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
        if let Some(once) = &once
            && let Some(first) = self.ports.catalog.answer(once.mark.key).await?
        {
            return once.again(first);
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
        if let Some(once) = &once
            && let Some(first) = self.ports.catalog.answer(once.mark.key).await?
        {
            return once.again(first);
        }
        let snapshot = self.ports.catalog.snapshot();
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
        if let Some(once) = &once
            && let Some(first) = self.ports.catalog.answer(once.mark.key).await?
        {
            return once.again(first);
        }
        let now = self.now();
        let snapshot = self.ports.catalog.snapshot();
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
            None => Ok(Answered::Fresh(StockView { level: self.ports.ledger.stock(edition).await?, ..view })),
        }
    }

    /// Writes books down: new ones are created, known ones (by their first SKU) replaced where they differ.
    /// Repeating an import changes nothing. Stock is set for new editions only.
    pub async fn import(&self, inputs: &[BookInput]) -> Result<(Imported, Vec<(usize, Refusal)>), Error> {
        let _turn = self.catalog_turn().await?;
        let now = self.now();
        let mut draft = self.draft();
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

    async fn save_catalog<T>(&self, change: CatalogChange, once: Option<&Once<T>>, now: Timestamp) -> Result<Option<Answered<T>>, Error> {
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

    fn draft(&self) -> Draft {
        Draft {
            snapshot: self.ports.catalog.snapshot(),
            catalog: Arc::clone(&self.ports.catalog),
            change: CatalogChange::default(),
            starting: HashMap::new(),
            new_headings: HashMap::new(),
            new_skus: HashMap::new(),
        }
    }
}

/// Catalog changes in the making: what earlier ones of the same batch wrote counts.
struct Draft {
    snapshot: Arc<Snapshot>,
    catalog: Arc<dyn Catalog>,
    change: CatalogChange,
    /// Levels that new editions start with.
    starting: HashMap<EditionId, StockLevel>,
    new_headings: HashMap<(HeadingKind, String), HeadingId>,
    new_skus: HashMap<Sku, Arc<Book>>,
}

impl Draft {
    fn by_sku(&self, sku: &Sku) -> Option<Arc<Book>> {
        let stored = || self.snapshot.edition_by_sku(sku).and_then(|e| self.snapshot.book_of(e)).cloned();
        self.new_skus.get(sku).cloned().or_else(stored)
    }

    /// The book an input describes, in place of `old` or as a new one. Ids of new things are derived from
    /// their SKU or name, so that the same catalog has the same ids in every store; `spare` serves when the
    /// derived one is taken.
    fn book(&mut self, input: &BookInput, old: Option<&Arc<Book>>, spare: u128, now: Timestamp) -> Result<Arc<Book>, Refusal> {
        let first = input.editions.first().ok_or(Refusal::VariantRequired)?;
        let id = match old {
            Some(old) => old.id,
            None => Some(BookId(bits("book", first.sku.as_str()))).filter(|id| self.snapshot.book(*id).is_none()).unwrap_or(BookId(spare)),
        };
        let mut editions = Vec::with_capacity(input.editions.len());
        for edition in &input.editions {
            editions.push(self.edition(edition, id, old)?);
        }
        let version = old.map_or(Version(1), |old| old.version.next());
        let book = Arc::new(Book {
            id,
            title: input.title.clone(),
            subtitle: input.subtitle.clone(),
            description: input.description.clone(),
            authors: input.authors.iter().map(|n| self.heading(HeadingKind::Author, n)).collect(),
            categories: input.categories.iter().map(|n| self.heading(HeadingKind::Category, n)).collect(),
            publisher: input.publisher.as_ref().map(|n| self.heading(HeadingKind::Publisher, n)),
            language: input.language.clone(),
            published_year: input.published_year,
            isbn13: input.isbn13,
            image_url: input.image_url.clone(),
            editions,
            ratings: input.ratings.or(old.map(|o| o.ratings)).unwrap_or_default(),
            version,
            updated_at: now,
        });
        for (edition, stock) in book.editions.iter().zip(input.editions.iter().map(|e| e.stock)) {
            self.start_stock(edition, stock, old);
            self.new_skus.insert(edition.sku.clone(), Arc::clone(&book));
        }
        let event = if old.is_some() { BookEvent::Updated } else { BookEvent::Created };
        self.change.outbox.push(Outgoing { subject: Subject::Book(id), sequence: version.0, at: now, event: Event::Book(event) });
        let expected = old.map_or(Version(0), |o| o.version);
        self.change.books.push(BookWrite::Put { book: Arc::clone(&book), expected });
        Ok(book)
    }

    fn edition(&self, input: &EditionInput, book: BookId, old: Option<&Arc<Book>>) -> Result<Edition, Refusal> {
        let kept = old.and_then(|o| o.editions.iter().find(|e| e.sku == input.sku));
        if kept.is_none() && self.by_sku(&input.sku).is_some_and(|other| other.id != book || old.is_none()) {
            return Err(Refusal::SkuTaken { sku: input.sku.clone() });
        }
        let id = kept.map_or(EditionId(bits("edition", input.sku.as_str())), |e| e.id);
        Ok(Edition { id, sku: input.sku.clone(), format: input.format, price: input.price, sale_price: input.sale_price })
    }

    fn start_stock(&mut self, edition: &Edition, stock: Option<u32>, old: Option<&Arc<Book>>) {
        let is_new = old.is_none_or(|o| o.edition(edition.id).is_none()) && self.catalog.level(edition.id).moves == 0;
        if let Some(n) = stock.filter(|n| is_new && *n > 0) {
            self.change.stock.push(StockMove {
                edition: edition.id,
                change: StockChange::Count(n),
                cause: format!("{}/first", edition.id),
            });
            self.starting.insert(edition.id, StockLevel { on_hand: n, reserved: 0, moves: 1 });
        }
    }

    fn heading(&mut self, kind: HeadingKind, name: &Text<NAME_MAX>) -> HeadingId {
        let key = (kind, name.as_str().to_lowercase());
        if let Some(known) = self.snapshot.heading_by_name(kind, name.as_str()) {
            return known.id;
        }
        if let Some(new) = self.new_headings.get(&key) {
            return *new;
        }
        let bits = derived(&self.snapshot, kind, name.as_str()).unwrap_or_else(|| bits("heading again", &key.1));
        let heading = Heading { id: HeadingId { kind, bits }, name: name.clone(), version: Version(1) };
        self.new_headings.insert(key, heading.id);
        let id = heading.id;
        self.change.headings.push(HeadingWrite::Put { heading: Arc::new(heading), expected: Version(0) });
        id
    }

    fn undo_last_book(&mut self) {
        self.change.books.pop();
        self.change.outbox.pop();
    }
}

/// Whether a book says the same as before; version and time aside.
fn same(old: &Book, new: &Book) -> bool {
    *old == Book { version: old.version, updated_at: old.updated_at, ..new.clone() }
}

fn lowest(book: &Book) -> Option<i64> {
    book.editions.iter().map(|e| e.unit_price().minor()).min()
}

fn not_found(kind: HeadingKind) -> Refusal {
    match kind {
        HeadingKind::Author => Refusal::AuthorNotFound,
        HeadingKind::Category => Refusal::CategoryNotFound,
        HeadingKind::Publisher => Refusal::PublisherNotFound,
    }
}

fn bits(what: &str, name: &str) -> u128 {
    let digest = Sha256::new_with_prefix(what).chain_update([0]).chain_update(name).finalize();
    u128::from_be_bytes(digest[..16].try_into().expect("invariant: a digest has 32 bytes"))
}

/// The id a heading's name gives, unless another heading has it.
fn derived(snapshot: &Snapshot, kind: HeadingKind, name: &str) -> Option<u128> {
    let bits = bits(kind.prefix(), &name.to_lowercase());
    snapshot.heading(HeadingId { kind, bits }).is_none().then_some(bits)
}

fn facets(books: &[&Arc<Book>], snapshot: &Snapshot) -> Facets {
    let mut headings: HashMap<HeadingId, u64> = HashMap::new();
    let mut languages: HashMap<&Text<8>, u64> = HashMap::new();
    let mut formats: HashMap<Format, u64> = HashMap::new();
    let mut price: Option<(Money, Money)> = None;
    for book in books {
        for heading in book.authors.iter().chain(&book.categories) {
            *headings.entry(*heading).or_default() += 1;
        }
        *languages.entry(&book.language).or_default() += 1;
        for edition in &book.editions {
            *formats.entry(edition.format).or_default() += 1;
            let unit = edition.unit_price();
            let (low, high) = price.unwrap_or((unit, unit));
            price = Some((if unit.minor() < low.minor() { unit } else { low }, if unit.minor() > high.minor() { unit } else { high }));
        }
    }
    let of = |kind: HeadingKind| {
        let counted = headings.iter().filter(|(id, _)| id.kind == kind);
        top(counted.filter_map(|(id, n)| snapshot.heading(*id).map(|h| (Arc::clone(h), *n))), |h| h.name.clone())
    };
    Facets {
        categories: of(HeadingKind::Category),
        authors: of(HeadingKind::Author),
        languages: top(languages.into_iter().map(|(l, n)| (l.clone(), n)), Clone::clone),
        formats: top(formats, |f| *f),
        price,
    }
}

/// The most frequent values; ties by key.
fn top<T, K: Ord>(counted: impl IntoIterator<Item = (T, u64)>, key: impl Fn(&T) -> K) -> Vec<(T, u64)> {
    let mut counted: Vec<_> = counted.into_iter().collect();
    counted.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| key(a).cmp(&key(b))));
    counted.truncate(FACET_VALUES_MAX);
    counted
}
