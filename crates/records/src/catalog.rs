use crate::stored::{self, mirrored};
use crate::{Damaged, json};
use domain::catalog::{Book, Edition, Format, Heading, HeadingId, Isbn13, Ratings};
use domain::ids::{BookId, EditionId, Sku, Version};
use domain::limits::{DESCRIPTION_MAX, NAME_MAX, TITLE_MAX, URL_MAX};
use domain::money::Money;
use domain::text::Text;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

pub fn encode_book(book: &Book) -> Vec<u8> {
    json::encode(book)
}

pub fn decode_book(bytes: &[u8]) -> Result<Book, Damaged> {
    json::decode("book", bytes)
}

pub fn encode_heading(heading: &Heading) -> Vec<u8> {
    json::encode(heading)
}

pub fn decode_heading(bytes: &[u8]) -> Result<Heading, Damaged> {
    json::decode("heading", bytes)
}

mirrored! {
    Book as BookRecord;
    Edition as EditionRecord;
    Heading as HeadingRecord;
    Ratings as RatingsRecord;
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Book")]
struct BookRecord {
    #[serde(with = "stored")]
    id: BookId,
    #[serde(with = "stored")]
    title: Text<TITLE_MAX>,
    #[serde(with = "stored")]
    subtitle: Option<Text<TITLE_MAX>>,
    #[serde(with = "stored")]
    description: Option<Text<DESCRIPTION_MAX>>,
    #[serde(with = "stored")]
    authors: Vec<HeadingId>,
    #[serde(with = "stored")]
    categories: Vec<HeadingId>,
    #[serde(with = "stored")]
    publisher: Option<HeadingId>,
    #[serde(with = "stored")]
    language: Text<8>,
    published_year: Option<i32>,
    #[serde(with = "stored")]
    isbn13: Option<Isbn13>,
    #[serde(with = "stored")]
    image_url: Option<Text<URL_MAX>>,
    #[serde(with = "stored")]
    editions: Vec<Edition>,
    #[serde(with = "stored")]
    ratings: Ratings,
    #[serde(with = "stored")]
    version: Version,
    #[serde(with = "stored")]
    updated_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Edition")]
struct EditionRecord {
    #[serde(with = "stored")]
    id: EditionId,
    #[serde(with = "stored")]
    sku: Sku,
    #[serde(with = "stored")]
    format: Format,
    #[serde(with = "stored")]
    price: Money,
    #[serde(with = "stored")]
    sale_price: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight_g: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Heading")]
struct HeadingRecord {
    #[serde(with = "stored")]
    id: HeadingId,
    #[serde(with = "stored")]
    name: Text<NAME_MAX>,
    #[serde(with = "stored")]
    version: Version,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Ratings")]
struct RatingsRecord {
    average_milli: u32,
    count: u64,
}
