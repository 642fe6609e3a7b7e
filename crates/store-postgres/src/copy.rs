//! Catalog, rules of prices and levels of stock in memory, as the database had them a moment ago: what every request
//! asks for and no request waits for. All of it comes from reads of the database (`feed.rs`), whoever has written it, so each
//! read is the truth as of its instant and nothing has to be reconciled. Only the levels that this node's own commits have led
//! to are put in before that; which of two levels is the newer one says its count of moves.

use crate::stock::Levels;
use app::ports::{BookWrite, HeadingWrite};
use app::snapshot::Snapshot;
use arc_swap::ArcSwap;
use domain::catalog::{Book, Heading, HeadingId, HeadingKind};
use domain::ids::{BookId, EditionId, Version};
use domain::pricing::{Kept, Pricebook, RuleKey, RuleKind};
use domain::stock::StockLevel;
use foldhash::HashMap;
use std::collections::HashSet;
use std::mem::replace;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;

pub struct Copy {
    /// And not only the rules.
    pub has_catalog: bool,
    snapshot: ArcSwap<Snapshot>,
    pricebook: ArcSwap<Pricebook>,
    levels: RwLock<Shelf>,
    /// Counted after the change is in place: who sees the count sees the change.
    changes: AtomicU64,
    /// When the last read began that has ended: the copy is no older.
    as_of: Mutex<Instant>,
}

#[derive(Default)]
struct Shelf {
    levels: HashMap<EditionId, StockLevel>,
    /// Where this node's own commits have led while a read is under way, which may not have seen them.
    own: Option<Levels>,
}

/// What a read of the database brought.
#[derive(Debug, Default)]
pub struct News {
    pub headings: Vec<Arc<Heading>>,
    pub books: Vec<Arc<Book>>,
    pub rules: Vec<Arc<Kept>>,
    pub levels: Levels,
    /// Deleted, and perhaps put anew since.
    pub gone_headings: HashSet<HeadingId>,
    pub gone_books: HashSet<BookId>,
    pub gone_rules: HashSet<RuleKey>,
}

/// How much a read was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything: what is not in it is gone.
    Whole,
    /// What has changed since the read before.
    Since,
}

impl Copy {
    pub fn new(has_catalog: bool) -> Self {
        Self {
            has_catalog,
            snapshot: ArcSwap::default(),
            pricebook: ArcSwap::default(),
            levels: RwLock::default(),
            changes: AtomicU64::new(0),
            as_of: Mutex::new(Instant::now()),
        }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub fn pricebook(&self) -> Arc<Pricebook> {
        self.pricebook.load_full()
    }

    pub fn level(&self, edition: EditionId) -> StockLevel {
        self.levels.read().unwrap_or_else(PoisonError::into_inner).levels.get(&edition).copied().unwrap_or_default()
    }

    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// How long ago the copy was known to be the same as the database.
    pub fn age(&self) -> Duration {
        self.as_of.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Where this node's own moves of stock, once they are committed, have led.
    pub fn moved(&self, levels: &[(EditionId, StockLevel)]) {
        if levels.is_empty() || !self.has_catalog {
            return;
        }
        let mut shelf = self.levels.write().unwrap_or_else(PoisonError::into_inner);
        let changed = shelf.put(levels);
        if let Some(own) = &mut shelf.own {
            own.extend_from_slice(levels);
        }
        drop(shelf);
        self.count(changed);
    }

    /// A read begins.
    pub fn reading(&self) -> Instant {
        self.levels.write().unwrap_or_else(PoisonError::into_inner).own = Some(Levels::new());
        Instant::now()
    }

    /// The read that began then has ended. One read after the other: nobody else changes catalog and rules.
    pub fn read(&self, began: Instant, extent: Extent, mut news: News) {
        if extent == Extent::Whole {
            self.find_gone(&mut news);
        }
        let mut changed = self.read_catalog(&news) | self.read_rules(&news);
        changed |= self.levels.write().unwrap_or_else(PoisonError::into_inner).read(extent, news.levels);
        self.count(changed);
        *self.as_of.lock().unwrap_or_else(PoisonError::into_inner) = began;
    }

    fn count(&self, changed: bool) {
        self.changes.fetch_add(u64::from(changed), Ordering::Release);
    }

    /// Whatever is here is gone, unless it is in everything there is.
    fn find_gone(&self, everything: &mut News) {
        let snapshot = self.snapshot();
        everything.gone_books = snapshot.books().map(|book| book.id).collect();
        everything.gone_headings =
            HeadingKind::ALL.into_iter().flat_map(|kind| snapshot.headings(kind)).map(|heading| heading.id).collect();
        everything.gone_rules = rules(&self.pricebook()).map(|kept| kept.rule.key()).collect();
    }

    fn read_catalog(&self, news: &News) -> bool {
        let (snapshot, expected) = (self.snapshot(), Version(0));
        let mut gone = news.gone_headings.clone();
        let mut headings = Vec::new();
        for heading in &news.headings {
            gone.remove(&heading.id);
            if snapshot.heading(heading.id) != Some(heading) {
                headings.push(HeadingWrite::Put { heading: Arc::clone(heading), expected });
            }
        }
        headings.extend(gone.into_iter().filter(|id| snapshot.heading(*id).is_some()).map(|id| HeadingWrite::Delete { id, expected }));
        let mut gone = news.gone_books.clone();
        let mut books = Vec::new();
        for book in &news.books {
            gone.remove(&book.id);
            if snapshot.book(book.id) != Some(book) {
                books.push(BookWrite::Put { book: Arc::clone(book), expected });
            }
        }
        books.extend(gone.into_iter().filter(|id| snapshot.book(*id).is_some()).map(|id| BookWrite::Delete { id, expected }));
        let changed = !headings.is_empty() || !books.is_empty();
        if changed {
            self.snapshot.store(Arc::new(snapshot.with(&headings, &books)));
        }
        changed
    }

    fn read_rules(&self, news: &News) -> bool {
        let pricebook = self.pricebook();
        let put: HashSet<_> = news.rules.iter().map(|kept| kept.rule.key()).collect();
        let stays = |kept: &&Arc<Kept>| {
            let key = kept.rule.key();
            !put.contains(&key) && !news.gone_rules.contains(&key)
        };
        let is_new = news.rules.iter().any(|kept| pricebook.get(&kept.rule.key()) != Some(kept));
        let goes = news.gone_rules.iter().any(|key| !put.contains(key) && pricebook.get(key).is_some());
        if is_new || goes {
            let next = rules(&pricebook).filter(stays).chain(&news.rules).cloned();
            self.pricebook.store(Arc::new(Pricebook::new(next)));
        }
        is_new || goes
    }
}

impl Shelf {
    /// A level that has seen more moves is the newer one.
    fn put(&mut self, levels: &[(EditionId, StockLevel)]) -> bool {
        let mut changed = false;
        for (edition, level) in levels {
            let known = self.levels.entry(*edition).or_default();
            if known.moves < level.moves {
                *known = *level;
                changed = true;
            }
        }
        changed
    }

    fn read(&mut self, extent: Extent, levels: Levels) -> bool {
        let own = self.own.take().unwrap_or_default();
        let changed = match extent {
            Extent::Since => self.put(&levels),
            // A server that took over may have lost moves.
            Extent::Whole => {
                let before = replace(&mut self.levels, levels.into_iter().collect());
                before != self.levels
            }
        };
        self.put(&own) || changed
    }
}

fn rules(pricebook: &Pricebook) -> impl Iterator<Item = &Arc<Kept>> {
    RuleKind::ALL.into_iter().flat_map(|kind| pricebook.of(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use conformance::fixtures::book;
    use domain::pricing::Rule;
    use domain::time::Timestamp;

    fn level(n: u32, moves: u64) -> (EditionId, StockLevel) {
        (EditionId(n.into()), StockLevel { on_hand: 9, reserved: 0, moves })
    }

    fn books(there: &[(u32, u64)], gone: &[u128]) -> News {
        let put = |(n, version): &(u32, u64)| Arc::new(Book { version: Version(*version), ..book(*n) });
        News { books: there.iter().map(put).collect(), gone_books: gone.iter().copied().map(BookId).collect(), ..News::default() }
    }

    fn stacking(most: u32, version: u64) -> Arc<Kept> {
        Arc::new(Kept { rule: Rule::Stacking { most: Some(most) }, version: Version(version), updated_at: Timestamp(0) })
    }

    /// Which books there are, at which version.
    fn there(copy: &Copy) -> Vec<(u128, u64)> {
        let mut there: Vec<_> = copy.snapshot().books().map(|b| (b.id.0, b.version.0)).collect();
        there.sort_unstable();
        there
    }

    #[test]
    fn a_read_is_the_truth_as_of_its_instant() {
        for (extent, news, expected) in [
            (Extent::Since, books(&[(1, 3)], &[]), vec![(1, 3), (2, 1)]),
            (Extent::Since, books(&[(3, 1)], &[2]), vec![(1, 2), (3, 1)]),
            (Extent::Since, books(&[(1, 1)], &[1]), vec![(1, 1), (2, 1)]),
            (Extent::Since, books(&[], &[7]), vec![(1, 2), (2, 1)]),
            (Extent::Whole, books(&[(1, 1)], &[]), vec![(1, 1)]),
            (Extent::Whole, books(&[], &[]), vec![]),
        ] {
            let copy = Copy::new(true);
            copy.read(copy.reading(), Extent::Whole, books(&[(1, 2), (2, 1)], &[]));
            let note = format!("{extent:?} {news:?}");
            copy.read(copy.reading(), extent, news);
            assert_eq!(there(&copy), expected, "{note}");
        }
    }

    #[test]
    fn a_rule_that_was_deleted_and_put_anew_is_the_new_one() {
        let copy = Copy::new(true);
        let key = stacking(1, 1).rule.key();
        copy.read(copy.reading(), Extent::Whole, News { rules: vec![stacking(1, 3)], ..News::default() });
        let gone_rules = HashSet::from([key.clone()]);
        copy.read(copy.reading(), Extent::Since, News { rules: vec![stacking(2, 1)], gone_rules: gone_rules.clone(), ..News::default() });
        assert_eq!(copy.pricebook().get(&key), Some(&stacking(2, 1)));
        copy.read(copy.reading(), Extent::Since, News { gone_rules, ..News::default() });
        assert!(copy.pricebook().is_empty());
    }

    #[test]
    fn own_moves_are_in_a_level_whatever_a_read_has_seen() {
        for (extent, read, expected) in [
            (Extent::Since, vec![level(1, 1)], [3, 4]),
            (Extent::Since, vec![level(1, 5)], [5, 4]),
            (Extent::Whole, vec![level(1, 1), level(2, 4)], [3, 4]),
            (Extent::Whole, vec![level(1, 1), level(2, 2)], [3, 2]),
        ] {
            let copy = Copy::new(true);
            copy.moved(&[level(1, 2), level(2, 4)]);
            let began = copy.reading();
            copy.moved(&[level(1, 3)]);
            copy.read(began, extent, News { levels: read.clone(), ..News::default() });
            assert_eq!([1, 2].map(|n| copy.level(EditionId(n)).moves), expected, "{extent:?} {read:?}");
        }
    }

    #[test]
    fn a_read_that_brings_nothing_new_changes_nothing() {
        let copy = Copy::new(true);
        let news = || News { rules: vec![stacking(1, 1)], levels: vec![level(1, 7)], ..books(&[(1, 2)], &[]) };
        copy.read(copy.reading(), Extent::Whole, news());
        let (snapshot, pricebook, changes) = (copy.snapshot(), copy.pricebook(), copy.changes());
        for extent in [Extent::Since, Extent::Whole] {
            copy.read(copy.reading(), extent, news());
        }
        assert!(Arc::ptr_eq(&snapshot, &copy.snapshot()) && Arc::ptr_eq(&pricebook, &copy.pricebook()));
        assert_eq!(copy.changes(), changes);
    }
}
