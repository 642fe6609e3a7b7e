//! The catalog in memory, as of one instant: what a request looks up without asking a store.

use crate::catalog::Facets;
use crate::ports::{BookWrite, HeadingWrite};
use domain::catalog::{Book, Heading, HeadingId, HeadingKind, Offer};
use domain::ids::{BookId, EditionId, Sku};
use foldhash::HashMap;
use std::sync::{Arc, OnceLock};

#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    books: HashMap<BookId, Arc<Book>>,
    headings: HashMap<HeadingId, Arc<Heading>>,
    editions: HashMap<EditionId, Placed>,
    skus: HashMap<Sku, EditionId>,
    names: HashMap<(HeadingKind, String), HeadingId>,
    /// How many books name a heading.
    uses: HashMap<HeadingId, u64>,
    found: Found,
}

/// Where an edition belongs: its book, and what that is under (authors, categories, publisher).
#[derive(Clone, Debug)]
struct Placed {
    book: Arc<Book>,
    under: Arc<[HeadingId]>,
}

/// What is found out about a snapshot when first asked for, and then kept: it does not change.
#[derive(Clone, Debug, Default)]
struct Found {
    by_title: OnceLock<Vec<Arc<Book>>>,
    by_price: OnceLock<Vec<Arc<Book>>>,
    by_year: OnceLock<Vec<Arc<Book>>>,
    facets: OnceLock<Facets>,
}

impl Snapshot {
    pub fn book(&self, id: BookId) -> Option<&Arc<Book>> {
        self.books.get(&id)
    }

    pub fn books(&self) -> impl Iterator<Item = &Arc<Book>> {
        self.books.values()
    }

    pub fn len(&self) -> usize {
        self.books.len()
    }

    pub fn is_empty(&self) -> bool {
        self.books.is_empty()
    }

    /// All books by title, then id.
    pub fn by_title(&self) -> &[Arc<Book>] {
        self.found.by_title.get_or_init(|| self.sorted(|b| b.title.as_str().to_lowercase()))
    }

    /// All books by their lowest price, then id.
    pub fn by_price(&self) -> &[Arc<Book>] {
        self.found.by_price.get_or_init(|| self.sorted(|b| b.editions.iter().map(|e| e.unit_price().minor()).min()))
    }

    /// All books by year, then id; those without one first.
    pub fn by_year(&self) -> &[Arc<Book>] {
        self.found.by_year.get_or_init(|| self.sorted(|b| b.published_year))
    }

    fn sorted<K: Ord>(&self, key: impl Fn(&Book) -> K) -> Vec<Arc<Book>> {
        let mut books: Vec<_> = self.books.values().cloned().collect();
        books.sort_by_cached_key(|b| (key(b), b.id));
        books
    }

    /// How all books spread.
    pub fn facets(&self) -> &Facets {
        self.found.facets.get_or_init(|| Facets::of(self.books.values(), self))
    }

    pub fn book_of(&self, edition: EditionId) -> Option<&Arc<Book>> {
        self.editions.get(&edition).map(|placed| &placed.book)
    }

    /// What is offered of an edition, so many copies of which are to be had.
    pub fn offer(&self, edition: EditionId, available: impl FnOnce() -> u32) -> Option<Offer> {
        let Placed { book, under } = self.editions.get(&edition)?;
        Some(Offer::of(book, book.edition(edition)?, available(), Arc::clone(under)))
    }

    pub fn edition_by_sku(&self, sku: &Sku) -> Option<EditionId> {
        self.skus.get(sku).copied()
    }

    pub fn heading(&self, id: HeadingId) -> Option<&Arc<Heading>> {
        self.headings.get(&id)
    }

    pub fn heading_by_name(&self, kind: HeadingKind, name: &str) -> Option<&Arc<Heading>> {
        self.names.get(&(kind, name.to_lowercase())).and_then(|id| self.headings.get(id))
    }

    /// Headings of every kind, in no order.
    pub fn every_heading(&self) -> impl Iterator<Item = &Arc<Heading>> {
        self.headings.values()
    }

    /// Headings of a kind by name.
    pub fn headings(&self, kind: HeadingKind) -> Vec<&Arc<Heading>> {
        let mut headings: Vec<_> = self.headings.values().filter(|h| h.id.kind == kind).collect();
        headings.sort_by_cached_key(|h| (h.name.as_str().to_lowercase(), h.id));
        headings
    }

    pub fn uses(&self, heading: HeadingId) -> u64 {
        self.uses.get(&heading).copied().unwrap_or(0)
    }

    /// The snapshot after writes that were committed.
    pub fn with(&self, headings: &[HeadingWrite], books: &[BookWrite]) -> Self {
        let mut next = Self { found: Found::default(), ..self.clone() };
        for write in headings {
            match write {
                HeadingWrite::Put { heading, .. } => next.put_heading(Arc::clone(heading)),
                HeadingWrite::Delete { id, .. } => next.remove_heading(*id),
            }
        }
        for write in books {
            match write {
                BookWrite::Put { book, .. } => next.put_book(Arc::clone(book)),
                BookWrite::Delete { id, .. } => next.remove_book(*id),
            }
        }
        next
    }

    fn put_heading(&mut self, heading: Arc<Heading>) {
        self.remove_heading(heading.id);
        self.names.insert((heading.id.kind, heading.name.as_str().to_lowercase()), heading.id);
        self.headings.insert(heading.id, heading);
    }

    fn remove_heading(&mut self, id: HeadingId) {
        if let Some(old) = self.headings.remove(&id) {
            // The name may have gone to another heading in the same change.
            let key = (id.kind, old.name.as_str().to_lowercase());
            if self.names.get(&key) == Some(&id) {
                self.names.remove(&key);
            }
        }
    }

    fn put_book(&mut self, book: Arc<Book>) {
        self.remove_book(book.id);
        let under: Arc<[HeadingId]> = book.headings().collect();
        for edition in &book.editions {
            self.editions.insert(edition.id, Placed { book: Arc::clone(&book), under: Arc::clone(&under) });
            self.skus.insert(edition.sku.clone(), edition.id);
        }
        for heading in book.headings() {
            *self.uses.entry(heading).or_default() += 1;
        }
        self.books.insert(book.id, book);
    }

    fn remove_book(&mut self, id: BookId) {
        let Some(old) = self.books.remove(&id) else { return };
        for edition in &old.editions {
            self.editions.remove(&edition.id);
            if self.skus.get(&edition.sku) == Some(&edition.id) {
                self.skus.remove(&edition.sku);
            }
        }
        for heading in old.headings() {
            if let Some(uses) = self.uses.get_mut(&heading) {
                *uses -= 1;
            }
        }
    }
}
