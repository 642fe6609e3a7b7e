use super::{Answer, PortError};
use crate::snapshot::Snapshot;
use async_trait::async_trait;
use domain::catalog::{Book, Heading, HeadingId};
use domain::event::Outgoing;
use domain::ids::{BookId, EditionId, Sku, Version};
use domain::pricing::PriceLine;
use domain::stock::{StockLevel, StockMove};
use domain::time::Timestamp;
use std::sync::Arc;

/// Books and the headings they are gathered under.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// The whole catalog as of now, in memory. A saved change is in every snapshot taken after its answer.
    fn snapshot(&self) -> Arc<Snapshot>;

    /// A recent stock level, for showing and for early checks; what counts is decided by `Ledger::commit`.
    /// An acknowledged move of this node is in it.
    fn level(&self, edition: EditionId) -> StockLevel;

    /// A count that grows whenever the snapshot or a level has changed: while it stands still, so do they.
    fn changes(&self) -> u64;

    /// How far the snapshot and the levels may be relied on just now. Who holds the catalog itself is always `Fresh`.
    fn freshness(&self) -> Freshness;

    /// Makes every line true, with its stock moves, events and answer, or none.
    ///
    /// - A write with an expected version holds only while the stored version is that one; else `Conflict`.
    /// - SKUs are unique: `SkuTaken`. Names of headings are unique within their kind, without case: `NameTaken`.
    /// - A heading that a book still names cannot be deleted: `Referenced` with how many do.
    /// - A stock move the level refuses: `StockShort`.
    /// - An answer whose key is already answered: `Answered` with the first answer.
    async fn save(&self, change: CatalogChange, now: Timestamp) -> Result<CatalogSaved, PortError>;

    /// What an edition was sold at, newest first, each with its place in the list; before a place when given.
    async fn prices(&self, edition: EditionId, before: Option<u64>, limit: usize) -> Result<Vec<(u64, PriceLine)>, PortError>;

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError>;
}

/// How old what is known of the catalog may be, where another node holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// Nothing was heard of it yet: an empty snapshot says nothing about what there is.
    Unknown,
    /// Older than the bound: good for showing, and for what was chosen before.
    Stale,
    /// Not older than the bound: good for new decisions.
    Fresh,
}

impl Freshness {
    /// # Errors
    /// The catalog is unavailable for what needs it to be `wanted`.
    pub fn ensure(self, wanted: Self) -> Result<(), PortError> {
        if self >= wanted {
            return Ok(());
        }
        Err(PortError::unavailable("catalog", format!("what is known of the catalog is {self:?}, and has to be {wanted:?}").to_lowercase()))
    }
}

#[derive(Clone, Debug, Default)]
pub struct CatalogChange {
    pub headings: Vec<HeadingWrite>,
    pub books: Vec<BookWrite>,
    pub stock: Vec<StockMove>,
    /// Kept as they come: the price history of editions.
    pub prices: Vec<PriceLine>,
    /// In order; the events of stock moves are not among them.
    pub outbox: Vec<Outgoing>,
    pub answer: Option<Answer>,
}

#[derive(Clone, Debug)]
pub enum BookWrite {
    /// Expected version 0: not there yet. The book carries its next version.
    Put {
        book: Arc<Book>,
        expected: Version,
    },
    Delete {
        id: BookId,
        expected: Version,
    },
}

#[derive(Clone, Debug)]
pub enum HeadingWrite {
    Put { heading: Arc<Heading>, expected: Version },
    Delete { id: HeadingId, expected: Version },
}

#[derive(Clone, Debug)]
pub enum CatalogSaved {
    Done,
    Conflict,
    SkuTaken(Sku),
    NameTaken,
    Referenced(u64),
    StockShort { available: u32 },
    Answered(Answer),
}

/// Full text over title, authors and description.
#[async_trait]
pub trait SearchIndex: Send + Sync {
    /// The books that match every word (the last one by its beginning), the most relevant first. Any text is
    /// a valid query: what is not a word is passed over. A saved book is found at once.
    async fn matches(&self, text: &str, limit: usize) -> Result<Vec<BookId>, PortError>;
}
