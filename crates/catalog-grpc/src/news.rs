//! What has changed in a catalog since somebody was last told, and how it is told.

use crate::generated::catalog as grpc;
use crate::limits::PART_BYTES;
use crate::message::level;
use app::ports::Catalog;
use app::snapshot::Snapshot;
use domain::catalog::{Book, Heading, HeadingId};
use domain::ids::{BookId, EditionId};
use domain::stock::StockLevel;
use foldhash::HashMap;
use std::sync::Arc;

/// What one follower knows.
#[derive(Default)]
pub struct Told {
    changes: Option<u64>,
    snapshot: Arc<Snapshot>,
    levels: HashMap<EditionId, StockLevel>,
}

/// One line of news.
pub enum Line {
    Heading(Arc<Heading>),
    Book(Arc<Book>),
    Level(EditionId, StockLevel),
    HeadingGone(HeadingId),
    BookGone(BookId),
}

impl Told {
    /// Everything that is other than it was told; from then on it has been told. A heading comes before the books under it.
    pub fn news(&mut self, catalog: &dyn Catalog) -> Vec<Line> {
        // Counted before anything is looked at: a change in between is told next time.
        let changes = catalog.changes();
        if self.changes.replace(changes) == Some(changes) {
            return Vec::new();
        }
        let snapshot = catalog.snapshot();
        let mut news = Vec::new();
        if !Arc::ptr_eq(&self.snapshot, &snapshot) {
            news = differences(&self.snapshot, &snapshot);
            self.levels.retain(|edition, _| snapshot.book_of(*edition).is_some());
        }
        for edition in snapshot.books().flat_map(|b| &b.editions) {
            let level = catalog.level(edition.id);
            if self.levels.insert(edition.id, level).unwrap_or_default() != level {
                news.push(Line::Level(edition.id, level));
            }
        }
        self.snapshot = snapshot;
        news
    }
}

fn differences(old: &Snapshot, new: &Snapshot) -> Vec<Line> {
    fn same<T>(old: Option<&Arc<T>>, new: &Arc<T>) -> bool {
        old.is_some_and(|old| Arc::ptr_eq(old, new))
    }
    let headings = new.every_heading().filter(|h| !same(old.heading(h.id), h)).map(|h| Line::Heading(Arc::clone(h)));
    let books = new.books().filter(|b| !same(old.book(b.id), b)).map(|b| Line::Book(Arc::clone(b)));
    let books_gone = old.books().filter(|b| new.book(b.id).is_none()).map(|b| Line::BookGone(b.id));
    let headings_gone = old.every_heading().filter(|h| new.heading(h.id).is_none()).map(|h| Line::HeadingGone(h.id));
    headings.chain(books).chain(books_gone).chain(headings_gone).collect()
}

/// The parts of an answer, each made when it is wanted.
pub struct Parts {
    news: std::vec::IntoIter<Line>,
    /// The ask that is answered, until it is.
    answers: Option<u64>,
}

impl Parts {
    pub fn none() -> Self {
        Self { news: Vec::new().into_iter(), answers: None }
    }

    pub fn of(news: Vec<Line>, answers: u64) -> Self {
        Self { news: news.into_iter(), answers: Some(answers) }
    }
}

impl Iterator for Parts {
    type Item = grpc::Part;

    fn next(&mut self) -> Option<grpc::Part> {
        self.answers?;
        let (mut part, mut bytes) = (grpc::Part::default(), 0);
        while bytes < PART_BYTES {
            let Some(line) = self.news.next() else {
                part.answers = self.answers.take();
                break;
            };
            bytes += put(&mut part, &line);
        }
        Some(part)
    }
}

/// Adds a line; says about how many bytes it takes.
fn put(part: &mut grpc::Part, line: &Line) -> usize {
    const ID_BYTES: usize = 32;
    match line {
        Line::Heading(heading) => {
            part.headings.push(records::encode_heading(heading));
            part.headings.last().map_or(0, Vec::len)
        }
        Line::Book(book) => {
            part.books.push(records::encode_book(book));
            part.books.last().map_or(0, Vec::len)
        }
        Line::Level(edition, now) => {
            part.levels.push(level(*edition, *now));
            2 * ID_BYTES
        }
        Line::HeadingGone(id) => {
            part.headings_gone.push(id.to_string());
            ID_BYTES
        }
        Line::BookGone(id) => {
            part.books_gone.push(id.to_string());
            ID_BYTES
        }
    }
}
