//! What is sold. A book has editions; an edition has a SKU, a price and stock. What an edition may be
//! sold at, as of an instant, is its [`Offer`].

use crate::ids::{self, BookId, EditionId, Sku, Version};
use crate::limits::{DESCRIPTION_MAX, LOW_STOCK, NAME_MAX, TITLE_MAX, URL_MAX};
use crate::money::Money;
use crate::text::Text;
use crate::time::Timestamp;
use std::fmt;
use std::sync::Arc;

/// A name books are gathered under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HeadingKind {
    Author,
    Category,
    Publisher,
}

impl HeadingKind {
    pub const ALL: [Self; 3] = [Self::Author, Self::Category, Self::Publisher];

    pub fn prefix(self) -> &'static str {
        match self {
            Self::Author => "aut",
            Self::Category => "cat",
            Self::Publisher => "pub",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeadingId {
    pub kind: HeadingKind,
    pub bits: u128,
}

impl HeadingId {
    pub fn parse(text: &str) -> Option<Self> {
        HeadingKind::ALL.into_iter().find_map(|kind| ids::parse_bits(kind.prefix(), text).map(|bits| Self { kind, bits }))
    }
}

impl fmt::Display for HeadingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ids::write_id(f, self.kind.prefix(), self.bits)
    }
}

impl fmt::Debug for HeadingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An author, a category or a publisher. Names are unique within a kind, compared without case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    pub id: HeadingId,
    pub name: Text<NAME_MAX>,
    pub version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    Hardcover,
    Paperback,
    Ebook,
    Audiobook,
}

impl Format {
    pub const ALL: [Self; 4] = [Self::Hardcover, Self::Paperback, Self::Ebook, Self::Audiobook];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hardcover => "hardcover",
            Self::Paperback => "paperback",
            Self::Ebook => "ebook",
            Self::Audiobook => "audiobook",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.as_str() == text)
    }

    /// Digital formats are not shipped.
    pub fn ships(self) -> bool {
        matches!(self, Self::Hardcover | Self::Paperback)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edition {
    pub id: EditionId,
    pub sku: Sku,
    pub format: Format,
    pub price: Money,
    /// Lower than `price`, in the same currency.
    pub sale_price: Option<Money>,
    /// Of one copy, with its packing.
    pub weight_g: Option<u32>,
}

impl Edition {
    /// What one copy costs now.
    pub fn unit_price(&self) -> Money {
        self.sale_price.unwrap_or(self.price)
    }
}

/// Stars as the shop shows them: the average in thousandths, and how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ratings {
    pub average_milli: u32,
    pub count: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    pub id: BookId,
    pub title: Text<TITLE_MAX>,
    pub subtitle: Option<Text<TITLE_MAX>>,
    pub description: Option<Text<DESCRIPTION_MAX>>,
    pub authors: Vec<HeadingId>,
    pub categories: Vec<HeadingId>,
    pub publisher: Option<HeadingId>,
    /// ISO 639-1.
    pub language: Text<8>,
    /// Year of first publication; negative before the common era.
    pub published_year: Option<i32>,
    pub isbn13: Option<Isbn13>,
    pub image_url: Option<Text<URL_MAX>>,
    pub editions: Vec<Edition>,
    pub ratings: Ratings,
    pub version: Version,
    pub updated_at: Timestamp,
}

impl Book {
    pub fn headings(&self) -> impl Iterator<Item = HeadingId> + '_ {
        self.authors.iter().chain(&self.categories).chain(&self.publisher).copied()
    }

    pub fn edition(&self, id: EditionId) -> Option<&Edition> {
        self.editions.iter().find(|e| e.id == id)
    }
}

/// Thirteen digits whose check digit holds (ISO 2108).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Isbn13(pub u64);

impl Isbn13 {
    /// Hyphens and spaces are passed over.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u64> = text.chars().filter(|c| !" -".contains(*c)).map(|c| c.to_digit(10).map(u64::from)).collect::<Option<_>>()?;
        let sum: u64 = digits.iter().zip([1, 3].into_iter().cycle()).map(|(d, weight)| d * weight).sum();
        (digits.len() == 13 && sum.is_multiple_of(10)).then(|| Self(digits.iter().fold(0, |n, d| n * 10 + d)))
    }
}

impl fmt::Display for Isbn13 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:013}", self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Availability {
    InStock,
    LowStock,
    OutOfStock,
}

impl Availability {
    pub fn of(available: u32) -> Self {
        match available {
            0 => Self::OutOfStock,
            n if n < LOW_STOCK => Self::LowStock,
            _ => Self::InStock,
        }
    }
}

/// What an edition may be sold at, as of an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub edition: EditionId,
    pub book: BookId,
    pub sku: Sku,
    pub title: Text<TITLE_MAX>,
    pub image_url: Option<Text<URL_MAX>>,
    pub format: Format,
    pub list_price: Money,
    pub unit_price: Money,
    /// Copies that can be bought now.
    pub available: u32,
    /// Of one copy.
    pub weight_g: u32,
    /// What the book is under.
    pub headings: Arc<[HeadingId]>,
}

impl Offer {
    pub fn of(book: &Book, edition: &Edition, available: u32, headings: Arc<[HeadingId]>) -> Self {
        Self {
            edition: edition.id,
            book: book.id,
            sku: edition.sku.clone(),
            title: book.title.clone(),
            image_url: book.image_url.clone(),
            format: edition.format,
            list_price: edition.price,
            unit_price: edition.unit_price(),
            available,
            weight_g: edition.weight_g.unwrap_or(0),
            headings,
        }
    }
}

/// Offers by edition, as of one instant: what a decision about a cart may look up.
pub trait Offers {
    fn offer(&self, edition: EditionId) -> Option<Offer>;
}

impl Offers for std::collections::BTreeMap<EditionId, Offer> {
    fn offer(&self, edition: EditionId) -> Option<Offer> {
        self.get(&edition).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_isbn_is_checked() {
        for (text, valid) in [
            ("9780441172719", true),
            ("978-0-441-17271-9", true),
            ("9780441172718", false),
            ("978044117271", false),
            ("97804411727190", false),
            ("978044117271X", false),
            ("", false),
        ] {
            assert_eq!(Isbn13::parse(text).is_some(), valid, "{text}");
        }
    }
}
