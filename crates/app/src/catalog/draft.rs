//! Writing books down: names are matched or created, ids derived.

use super::{BookInput, EditionInput};
use crate::App;
use crate::digest::first_half;
use crate::ports::{BookWrite, Catalog, CatalogChange, HeadingWrite, PortError};
use crate::snapshot::Snapshot;
use domain::catalog::{Book, Edition, Heading, HeadingId, HeadingKind};
use domain::event::{BookEvent, Event, Outgoing, Subject};
use domain::ids::{BookId, EditionId, Sku, Version};
use domain::limits::NAME_MAX;
use domain::pricing::{PriceLine, Why};
use domain::refusal::Refusal;
use domain::stock::{StockChange, StockLevel, StockMove};
use domain::text::Text;
use domain::time::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

impl App {
    /// `why` goes with every price that changes.
    pub(super) fn draft(&self, why: Why) -> Result<Draft, PortError> {
        Ok(Draft {
            why,
            snapshot: self.known_catalog()?,
            catalog: Arc::clone(&self.ports.catalog),
            change: CatalogChange::default(),
            starting: HashMap::new(),
            new_headings: HashMap::new(),
            new_skus: HashMap::new(),
        })
    }
}

/// Catalog changes in the making: what earlier ones of the same batch wrote counts.
pub(super) struct Draft {
    why: Why,
    pub snapshot: Arc<Snapshot>,
    catalog: Arc<dyn Catalog>,
    pub change: CatalogChange,
    /// Levels that new editions start with.
    pub starting: HashMap<EditionId, StockLevel>,
    new_headings: HashMap<(HeadingKind, String), HeadingId>,
    new_skus: HashMap<Sku, Arc<Book>>,
}

impl Draft {
    pub fn by_sku(&self, sku: &Sku) -> Option<Arc<Book>> {
        let stored = || self.snapshot.edition_by_sku(sku).and_then(|e| self.snapshot.book_of(e)).cloned();
        self.new_skus.get(sku).cloned().or_else(stored)
    }

    /// The book an input describes, in place of `old` or as a new one. Ids of new things are derived from
    /// their SKU or name, so that the same catalog has the same ids in every store; `spare` serves when the
    /// derived one is taken.
    pub fn book(&mut self, input: &BookInput, old: Option<&Arc<Book>>, spare: u128, now: Timestamp) -> Result<Arc<Book>, Refusal> {
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
            self.tell_price(edition, old, now);
            self.new_skus.insert(edition.sku.clone(), Arc::clone(&book));
        }
        let event = if old.is_some() { BookEvent::Updated } else { BookEvent::Created };
        self.change.outbox.push(Outgoing::new(Subject::Book(id), version.0, now, Event::Book(event)));
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
        let EditionInput { format, price, sale_price, weight_g, .. } = *input;
        Ok(Edition { id, sku: input.sku.clone(), format, price, sale_price, weight_g })
    }

    /// A price that is not the one before is told in the edition's price history.
    fn tell_price(&mut self, edition: &Edition, old: Option<&Arc<Book>>, now: Timestamp) {
        let Edition { id, price, sale_price, .. } = *edition;
        let kept = old.and_then(|o| o.edition(id));
        if kept.is_none_or(|k| (k.price, k.sale_price) != (price, sale_price)) {
            self.change.prices.push(PriceLine { edition: id, at: now, list: price, sale: sale_price, why: self.why.clone() });
        }
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

    pub fn undo_last_book(&mut self) {
        self.change.books.pop();
        self.change.outbox.pop();
    }
}

/// Whether a book says the same as before; version and time aside.
pub(super) fn same(old: &Book, new: &Book) -> bool {
    *old == Book { version: old.version, updated_at: old.updated_at, ..new.clone() }
}

fn bits(what: &str, name: &str) -> u128 {
    u128::from_be_bytes(first_half(Sha256::new_with_prefix(what).chain_update([0]).chain_update(name)))
}

/// The id a heading's name gives, unless another heading has it.
pub(super) fn derived(snapshot: &Snapshot, kind: HeadingKind, name: &str) -> Option<u128> {
    let bits = bits(kind.prefix(), &name.to_lowercase());
    snapshot.heading(HeadingId { kind, bits }).is_none().then_some(bits)
}
