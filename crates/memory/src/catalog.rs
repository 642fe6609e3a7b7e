use crate::MemoryStore;
use crate::store::State;
use app::ports::{Answer, BookWrite, Catalog, CatalogChange, CatalogSaved, Freshness, HeadingWrite, PortError};
use app::snapshot::Snapshot;
use async_trait::async_trait;
use domain::catalog::{Book, Edition, Heading};
use domain::ids::{EditionId, Version};
use domain::pricing::PriceLine;
use domain::stock::StockLevel;
use domain::time::Timestamp;
use std::sync::Arc;

#[async_trait]
impl Catalog for MemoryStore {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.state().snapshot)
    }

    fn level(&self, edition: EditionId) -> StockLevel {
        self.state().level_of(edition)
    }

    fn changes(&self) -> u64 {
        self.state().changes
    }

    fn freshness(&self) -> Freshness {
        Freshness::Fresh
    }

    async fn save(&self, change: CatalogChange, now: Timestamp) -> Result<CatalogSaved, PortError> {
        let mut state = self.state();
        Ok(state.save_catalog(change, now).err().unwrap_or(CatalogSaved::Done))
    }

    async fn prices(&self, edition: EditionId, before: Option<u64>, limit: usize) -> Result<Vec<(u64, PriceLine)>, PortError> {
        let state = self.state();
        let lines = state.price_lines.iter().enumerate().map(|(n, line)| (n as u64 + 1, line)).rev();
        let asked = lines.filter(|(place, line)| line.edition == edition && before.is_none_or(|before| *place < before));
        Ok(asked.take(limit).map(|(place, line)| (place, line.clone())).collect())
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        Ok(self.state().answers.get(&key).cloned())
    }
}

impl State {
    /// # Errors
    /// The first precondition that does not hold; nothing has changed then.
    fn save_catalog(&mut self, change: CatalogChange, now: Timestamp) -> Result<(), CatalogSaved> {
        if let Some(first) = self.answered(&change.answer) {
            return Err(CatalogSaved::Answered(first));
        }
        ensure_expected(&self.snapshot, &change)?;
        let next = self.snapshot.with(&change.headings, &change.books);
        ensure_consistent(&self.snapshot, &next, &change)?;
        let stock = self.plan_stock(&change.stock, &change.outbox, now);
        let stock = stock.map_err(|short| CatalogSaved::StockShort { available: short[0].available })?;

        self.snapshot = Arc::new(next);
        self.changes += 1;
        self.price_lines.extend(change.prices);
        self.outbox.push(change.outbox);
        self.apply_stock(stock);
        self.remember(change.answer);
        Ok(())
    }
}

fn ensure_expected(now: &Snapshot, change: &CatalogChange) -> Result<(), CatalogSaved> {
    let book_holds = |write: &BookWrite| {
        let (id, expected) = match write {
            BookWrite::Put { book, expected } => (book.id, expected),
            BookWrite::Delete { id, expected } => (*id, expected),
        };
        now.book(id).map_or(Version(0), |b| b.version) == *expected
    };
    let heading_holds = |write: &HeadingWrite| {
        let (id, expected) = match write {
            HeadingWrite::Put { heading, expected } => (heading.id, expected),
            HeadingWrite::Delete { id, expected } => (*id, expected),
        };
        now.heading(id).map_or(Version(0), |h| h.version) == *expected
    };
    let holds = change.books.iter().all(book_holds) && change.headings.iter().all(heading_holds);
    if holds { Ok(()) } else { Err(CatalogSaved::Conflict) }
}

/// What is unique stays unique, and nothing names what is gone.
fn ensure_consistent(now: &Snapshot, next: &Snapshot, change: &CatalogChange) -> Result<(), CatalogSaved> {
    for write in &change.headings {
        match write {
            HeadingWrite::Put { heading, .. } if name_is_taken(now, next, heading) => return Err(CatalogSaved::NameTaken),
            HeadingWrite::Delete { id, .. } if next.uses(*id) > 0 => return Err(CatalogSaved::Referenced(next.uses(*id))),
            HeadingWrite::Put { .. } | HeadingWrite::Delete { .. } => {}
        }
    }
    let put = change.books.iter().filter_map(|write| match write {
        BookWrite::Put { book, .. } => Some(book),
        BookWrite::Delete { .. } => None,
    });
    let taken = put.flat_map(|book| book.editions.iter().map(|e| (&**book, e))).find(|(book, e)| sku_is_taken(now, next, book, e));
    taken.map_or(Ok(()), |(_, edition)| Err(CatalogSaved::SkuTaken(edition.sku.clone())))
}

/// Whether another heading had this name before, or has it after, and keeps it.
fn name_is_taken(now: &Snapshot, next: &Snapshot, heading: &Heading) -> bool {
    let name = heading.name.as_str().to_lowercase();
    [now, next].into_iter().filter_map(|s| s.heading_by_name(heading.id.kind, &name)).any(|holder| {
        let keeps = |h: &Arc<Heading>| h.name.as_str().to_lowercase() == name;
        holder.id != heading.id && next.heading(holder.id).is_some_and(keeps)
    })
}

/// Whether another edition had this SKU before, or has it after, and keeps it.
fn sku_is_taken(now: &Snapshot, next: &Snapshot, book: &Book, edition: &Edition) -> bool {
    let twice = book.editions.iter().any(|e| e.id != edition.id && e.sku == edition.sku);
    let keeps = |holder: EditionId| next.book_of(holder).and_then(|b| b.edition(holder)).is_some_and(|e| e.sku == edition.sku);
    twice || [now, next].into_iter().filter_map(|s| s.edition_by_sku(&edition.sku)).any(|holder| holder != edition.id && keeps(holder))
}
