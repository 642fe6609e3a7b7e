//! Finding books: full text, filters, facets, pages.

use super::{BookView, HeadingView, not_found};
use crate::App;
use crate::error::Error;
use crate::snapshot::Snapshot;
use domain::catalog::{Book, Edition, Format, Heading, HeadingId, HeadingKind};
use domain::ids::BookId;
use domain::limits::{FACET_VALUES_MAX, PAGE_MAX, SEARCH_MATCHES_MAX};
use domain::money::Money;
use domain::refusal::Refusal;
use domain::text::Text;
use foldhash::HashMap;
use std::cmp::Reverse;
use std::sync::Arc;

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

impl App {
    pub async fn books(&self, query: &BookQuery) -> Result<BookPage, Error> {
        let snapshot = self.known_catalog()?;
        let matched = self.matching(query, &snapshot).await?;
        let facets = if query.is_everything() { snapshot.facets().clone() } else { Facets::of(matched.iter().copied(), &snapshot) };
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
        use BookSort::{Price, PriceDown, Relevance, Title, TitleDown, Year, YearDown};
        let Some(text) = &query.search else {
            let fits = |b: &&Arc<Book>| self.fits(b, query);
            return Ok(match query.sort.unwrap_or(Title) {
                Relevance | Title => snapshot.by_title().iter().filter(fits).collect(),
                TitleDown => snapshot.by_title().iter().rev().filter(fits).collect(),
                Price => snapshot.by_price().iter().filter(fits).collect(),
                PriceDown => snapshot.by_price().iter().rev().filter(fits).collect(),
                Year => snapshot.by_year().iter().filter(fits).collect(),
                YearDown => snapshot.by_year().iter().rev().filter(fits).collect(),
            });
        };
        let ids = self.ports.search.matches(text, SEARCH_MATCHES_MAX).await?;
        let mut books: Vec<&Arc<Book>> = ids.into_iter().filter_map(|id| snapshot.book(id)).filter(|b| self.fits(b, query)).collect();
        match query.sort.unwrap_or(Relevance) {
            // A book named just so comes before the ones the index finds more telling.
            Relevance => books.sort_by_key(|b| !is_title(b.title.as_str(), text)),
            Title => books.sort_by_cached_key(|b| (b.title.as_str().to_lowercase(), b.id)),
            TitleDown => books.sort_by_cached_key(|b| Reverse((b.title.as_str().to_lowercase(), b.id))),
            Price => books.sort_by_key(|b| (lowest(b), b.id)),
            PriceDown => books.sort_by_key(|b| Reverse((lowest(b), b.id))),
            Year => books.sort_by_key(|b| (b.published_year, b.id)),
            YearDown => books.sort_by_key(|b| Reverse((b.published_year, b.id))),
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
        let snapshot = self.known_catalog()?;
        let book = snapshot.book(id).cloned().ok_or(Refusal::ProductNotFound)?;
        Ok(self.book_view(book, snapshot))
    }

    /// Headings of a kind whose name holds `search`, by name, after a heading.
    pub async fn headings(
        &self,
        kind: HeadingKind,
        search: Option<&str>,
        after: Option<HeadingId>,
        limit: usize,
    ) -> Result<Vec<HeadingView>, Error> {
        let snapshot = self.known_catalog()?;
        let search = search.unwrap_or_default().to_lowercase();
        let mut all = snapshot.headings(kind);
        all.retain(|h| h.name.as_str().to_lowercase().contains(&search));
        let start = after.and_then(|id| all.iter().position(|h| h.id == id)).map_or(0, |p| p + 1);
        let page = all.into_iter().skip(start).take(limit);
        Ok(page.map(|h| HeadingView { heading: Arc::clone(h), books: snapshot.uses(h.id) }).collect())
    }

    pub async fn heading(&self, id: HeadingId) -> Result<HeadingView, Error> {
        let snapshot = self.known_catalog()?;
        let heading = snapshot.heading(id).cloned().ok_or(not_found(id.kind))?;
        Ok(HeadingView { heading, books: snapshot.uses(id) })
    }
}

/// Whether a search is a book's whole title, but for case and an article.
fn is_title(title: &str, search: &str) -> bool {
    let bare = |text: &str| {
        let text = text.trim().to_lowercase();
        let article = ["the ", "a ", "an "].into_iter().find(|a| text.starts_with(a));
        text[article.map_or(0, str::len)..].to_owned()
    };
    bare(title) == bare(search)
}

fn lowest(book: &Book) -> Option<i64> {
    book.editions.iter().map(|e| e.unit_price().minor()).min()
}

impl BookQuery {
    /// Whether it leaves no book out.
    fn is_everything(&self) -> bool {
        self.search.is_none() && self.headings.is_empty() && self.min_price.is_none() && self.max_price.is_none() && self.in_stock.is_none()
    }
}

impl Facets {
    pub(crate) fn of<'b>(books: impl Iterator<Item = &'b Arc<Book>>, snapshot: &Snapshot) -> Self {
        let mut headings: HashMap<HeadingId, u64> = HashMap::default();
        let mut languages: HashMap<&Text<8>, u64> = HashMap::default();
        let mut formats: HashMap<Format, u64> = HashMap::default();
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
            top(counted.filter_map(|(id, n)| snapshot.heading(*id).map(|h| (h, *n))), |h| h.name.as_str())
                .into_iter()
                .map(|(h, n)| (Arc::clone(h), n))
                .collect()
        };
        Self {
            categories: of(HeadingKind::Category),
            authors: of(HeadingKind::Author),
            languages: top(languages, |l| l.as_str()).into_iter().map(|(l, n)| (l.clone(), n)).collect(),
            formats: top(formats, |f| f.as_str()),
            price,
        }
    }
}

/// The most frequent values; ties by name. Only these are put in order: there may be thousands of others.
fn top<'n, T: Copy>(counted: impl IntoIterator<Item = (T, u64)>, name: impl Fn(T) -> &'n str) -> Vec<(T, u64)> {
    let mut counted: Vec<_> = counted.into_iter().collect();
    let order = |(a, n): &(T, u64), (b, m): &(T, u64)| m.cmp(n).then_with(|| name(*a).cmp(name(*b)));
    if counted.len() > FACET_VALUES_MAX {
        counted.select_nth_unstable_by(FACET_VALUES_MAX, order);
        counted.truncate(FACET_VALUES_MAX);
    }
    counted.sort_unstable_by(order);
    counted
}
