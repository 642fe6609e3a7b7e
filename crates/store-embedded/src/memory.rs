//! What is known without asking the disk. The writer changes it after a commit and before anyone hears of the
//! commit, so what was acknowledged is always in it.

use app::ports::{BookWrite, HeadingWrite, RuleWrite, TokenDigest};
use app::snapshot::Snapshot;
use arc_swap::ArcSwap;
use domain::cart::Cart;
use domain::ids::{CartId, EditionId};
use domain::pricing::Pricebook;
use domain::session::Session;
use domain::stock::StockLevel;
use foldhash::HashMap;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

const CARTS: usize = 20_000;
const CARTS_BYTES: u64 = 32 << 20;
const SESSIONS: usize = 20_000;

pub struct Memory {
    /// A reader that misses holds the key's place while it reads the disk; a commit takes the place away, so
    /// an older cart never gets in after a newer one.
    pub carts: Cache<CartId, Arc<Cart>, CartBytes>,
    pub sessions: Cache<TokenDigest, Arc<Session>>,
    levels: RwLock<HashMap<EditionId, StockLevel>>,
    snapshot: ArcSwap<Snapshot>,
    pricebook: ArcSwap<Pricebook>,
    /// Counted after the change is in place: who sees the count sees the change.
    changes: AtomicU64,
    committed: Mutex<CatalogWrites>,
}

#[derive(Default)]
struct CatalogWrites {
    headings: Vec<HeadingWrite>,
    books: Vec<BookWrite>,
}

impl Memory {
    pub fn new(snapshot: Snapshot, levels: HashMap<EditionId, StockLevel>, pricebook: Pricebook) -> Self {
        Self {
            carts: Cache::with_weighter(CARTS, CARTS_BYTES, CartBytes),
            sessions: Cache::new(SESSIONS),
            levels: RwLock::new(levels),
            snapshot: ArcSwap::from_pointee(snapshot),
            pricebook: ArcSwap::from_pointee(pricebook),
            changes: AtomicU64::new(0),
            committed: Mutex::default(),
        }
    }

    pub fn level(&self, edition: EditionId) -> StockLevel {
        self.levels.read().unwrap_or_else(PoisonError::into_inner).get(&edition).copied().unwrap_or_default()
    }

    pub fn set_levels(&self, levels: Vec<(EditionId, StockLevel)>) {
        if !levels.is_empty() {
            self.levels.write().unwrap_or_else(PoisonError::into_inner).extend(levels);
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub fn pricebook(&self) -> Arc<Pricebook> {
        self.pricebook.load_full()
    }

    /// Only the writer's thread changes it.
    pub fn rules_changed(&self, writes: &[RuleWrite]) {
        if writes.is_empty() {
            return;
        }
        let put = writes.iter().filter_map(|write| match write {
            RuleWrite::Put { kept, .. } => Some(Arc::clone(kept)),
            RuleWrite::Delete { .. } => None,
        });
        let removed: Vec<_> = writes.iter().map(RuleWrite::key).collect();
        self.pricebook.store(Arc::new(self.pricebook().with(put, &removed)));
    }

    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn committed(&self) -> MutexGuard<'_, CatalogWrites> {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn catalog_changed(&self, headings: Vec<HeadingWrite>, books: Vec<BookWrite>) {
        let mut committed = self.committed();
        committed.headings.extend(headings);
        committed.books.extend(books);
    }

    /// Takes the catalog changes of a whole group into one new snapshot: making one copies the maps.
    pub fn publish(&self) {
        let CatalogWrites { headings, books } = std::mem::take(&mut *self.committed());
        if !headings.is_empty() || !books.is_empty() {
            self.snapshot.store(Arc::new(self.snapshot().with(&headings, &books)));
            self.changes.fetch_add(1, Ordering::Release);
        }
    }
}

/// About what a cart takes in memory.
#[derive(Clone)]
pub struct CartBytes;

impl Weighter<CartId, Arc<Cart>> for CartBytes {
    fn weight(&self, _: &CartId, cart: &Arc<Cart>) -> u64 {
        let text: usize = cart.metadata.iter().map(|(k, v)| 64 + k.as_str().len() + v.as_str().len()).sum();
        let note = cart.note.as_ref().map_or(0, |n| n.as_str().len());
        let lists = size_of_val(&cart.items[..]) + size_of_val(&cart.marks[..]) + size_of_val(&cart.merged[..]) + 48 * cart.coupons.len();
        (size_of::<Cart>() + 64 + lists + text + note) as u64
    }
}
