use crate::MemoryStore;
use app::ports::{PortError, SearchIndex};
use app::snapshot::Snapshot;
use async_trait::async_trait;
use domain::catalog::Book;
use domain::ids::BookId;
use std::cmp::Reverse;

#[async_trait]
impl SearchIndex for MemoryStore {
    async fn matches(&self, text: &str, limit: usize) -> Result<Vec<BookId>, PortError> {
        let snapshot = self.state().snapshot.clone();
        Ok(search(&snapshot, text, limit))
    }
}

/// What an index would find, by looking at every book.
pub fn search(snapshot: &Snapshot, text: &str, limit: usize) -> Vec<BookId> {
    let query = Wanted::parse(text);
    let mut found: Vec<_> = snapshot.books().filter_map(|b| Some((Reverse(relevance(&query, b, snapshot)?), b.id))).collect();
    found.sort_unstable();
    found.into_iter().take(limit).map(|(_, id)| id).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect()
}

/// A word of a query.
enum Wanted {
    Whole(String),
    Beginning(String),
}

impl Wanted {
    /// The words of a query; the last one may still be being typed.
    fn parse(text: &str) -> Vec<Self> {
        let mut words = words(text);
        let last = words.pop().map(Self::Beginning);
        words.into_iter().map(Self::Whole).chain(last).collect()
    }

    fn is_in(&self, place: &[String]) -> bool {
        place.iter().any(|word| match self {
            Self::Whole(wanted) => word == wanted,
            Self::Beginning(wanted) => word.starts_with(wanted),
        })
    }
}

/// How often the query meets the title, then the authors; `None` when one of its words is nowhere.
fn relevance(query: &[Wanted], book: &Book, snapshot: &Snapshot) -> Option<(usize, usize)> {
    let title = words(book.title.as_str());
    let authors: Vec<_> = book.authors.iter().filter_map(|id| snapshot.heading(*id)).flat_map(|h| words(h.name.as_str())).collect();
    let description = book.description.as_ref().map(|d| words(d.as_str())).unwrap_or_default();
    let everywhere = query.iter().all(|w| [&title, &authors, &description].into_iter().any(|place| w.is_in(place)));
    let hits = |place: &[String]| query.iter().filter(|w| w.is_in(place)).count();
    (everywhere && !query.is_empty()).then(|| (hits(&title), hits(&authors)))
}
