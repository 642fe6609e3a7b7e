use crate::limits::STOCK_MOVE_MAX;
use crate::order::ActorName;
use crate::page::PageBody;
use crate::read::{Object, Value};
use crate::scalar::{self, At, MoneyBody, Show};
use app::{BookInput, BookPage, BookView, EditionInput, Facets, HeadingView, StockInput, StockView};
use domain::catalog::{Availability, Edition, Format, Heading, HeadingId, Isbn13, Ratings};
use domain::ids::{BookId, EditionId, Sku};
use domain::limits::{BOOK_AUTHORS_MAX, BOOK_CATEGORIES_MAX, BOOK_EDITIONS_MAX, NAME_MAX, REASON_MAX, WEIGHT_G_MAX};
use domain::money::Money;
use domain::pricing::PriceLine;
use domain::stock::StockLevel;
use domain::text::Text;
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BookBody<'a> {
    id: Show<BookId>,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtitle: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    authors: Vec<NameBody<'a>>,
    categories: Vec<NameBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<NameBody<'a>>,
    language: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    published_year: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    isbn13: Option<Show<Isbn13>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<&'a str>,
    editions: Vec<EditionBody<'a>>,
    ratings: RatingsBody,
    version: u64,
}

impl<'a> From<&'a BookView> for BookBody<'a> {
    fn from(view: &'a BookView) -> Self {
        let book = &*view.book;
        let name = |id: &HeadingId| view.snapshot.heading(*id).map(|h| NameBody::from(&**h));
        Self {
            id: Show(book.id),
            title: book.title.as_str(),
            subtitle: book.subtitle.as_ref().map(Text::as_str),
            description: book.description.as_ref().map(Text::as_str),
            authors: book.authors.iter().filter_map(name).collect(),
            categories: book.categories.iter().filter_map(name).collect(),
            publisher: book.publisher.as_ref().and_then(name),
            language: book.language.as_str(),
            published_year: book.published_year,
            isbn13: book.isbn13.map(Show),
            image_url: book.image_url.as_ref().map(Text::as_str),
            editions: book.editions.iter().zip(&view.levels).map(|(e, level)| EditionBody::of(e, *level)).collect(),
            ratings: book.ratings.into(),
            version: book.version.0,
        }
    }
}

#[derive(Debug, Serialize)]
struct NameBody<'a> {
    id: Show<HeadingId>,
    name: &'a str,
}

impl<'a> From<&'a Heading> for NameBody<'a> {
    fn from(heading: &'a Heading) -> Self {
        Self { id: Show(heading.id), name: heading.name.as_str() }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EditionBody<'a> {
    id: Show<EditionId>,
    sku: &'a str,
    format: &'static str,
    price: MoneyBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    sale_price: Option<MoneyBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_grams: Option<u32>,
    availability: &'static str,
    available_quantity: u32,
}

impl<'a> EditionBody<'a> {
    fn of(edition: &'a Edition, level: StockLevel) -> Self {
        Self {
            id: Show(edition.id),
            sku: edition.sku.as_str(),
            format: edition.format.as_str(),
            price: MoneyBody(edition.price),
            sale_price: edition.sale_price.map(MoneyBody),
            weight_grams: edition.weight_g,
            availability: match Availability::of(level.available()) {
                Availability::InStock => "in_stock",
                Availability::LowStock => "low_stock",
                Availability::OutOfStock => "out_of_stock",
            },
            available_quantity: level.available(),
        }
    }
}

#[derive(Debug, Serialize)]
struct RatingsBody {
    /// For showing only: nothing is computed from it.
    average: f64,
    count: u64,
}

impl From<Ratings> for RatingsBody {
    fn from(ratings: Ratings) -> Self {
        Self { average: f64::from(ratings.average_milli) / 1000.0, count: ratings.count }
    }
}

/// A page of books, with how all that match spread.
#[derive(Debug, Serialize)]
pub struct BookPageBody<'a> {
    #[serde(flatten)]
    page: PageBody<BookBody<'a>>,
    total: usize,
    facets: FacetsBody<'a>,
}

impl<'a> BookPageBody<'a> {
    pub fn of(page: &'a BookPage, next_cursor: Option<String>) -> Self {
        Self {
            page: PageBody { items: page.items.iter().map(BookBody::from).collect(), next_cursor },
            total: page.total,
            facets: (&page.facets).into(),
        }
    }
}

#[derive(Debug, Serialize)]
struct FacetsBody<'a> {
    categories: Vec<CountBody<Show<HeadingId>, &'a str>>,
    authors: Vec<CountBody<Show<HeadingId>, &'a str>>,
    languages: Vec<CountBody<&'a str, &'a str>>,
    formats: Vec<CountBody<&'a str, &'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<RangeBody>,
}

#[derive(Debug, Serialize)]
struct CountBody<I, N> {
    id: I,
    name: N,
    count: u64,
}

#[derive(Debug, Serialize)]
struct RangeBody {
    min: MoneyBody,
    max: MoneyBody,
}

impl<'a> From<&'a Facets> for FacetsBody<'a> {
    fn from(facets: &'a Facets) -> Self {
        let word = |name: &'a str, count: u64| CountBody { id: name, name, count };
        let headings = |counted: &'a [(std::sync::Arc<Heading>, u64)]| {
            counted.iter().map(|(h, n)| CountBody { id: Show(h.id), name: h.name.as_str(), count: *n }).collect()
        };
        Self {
            categories: headings(&facets.categories),
            authors: headings(&facets.authors),
            languages: facets.languages.iter().map(|(l, n)| word(l.as_str(), *n)).collect(),
            formats: facets.formats.iter().map(|(f, n)| word(f.as_str(), *n)).collect(),
            price: facets.price.map(|(min, max)| RangeBody { min: MoneyBody(min), max: MoneyBody(max) }),
        }
    }
}

/// An author, a category or a publisher.
#[derive(Debug, Serialize)]
pub struct HeadingBody<'a> {
    #[serde(flatten)]
    name: NameBody<'a>,
    version: u64,
}

impl<'a> From<&'a HeadingView> for HeadingBody<'a> {
    fn from(view: &'a HeadingView) -> Self {
        Self { name: (&*view.heading).into(), version: view.heading.version.0 }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StockBody<'a> {
    sku: &'a str,
    on_hand: u32,
    reserved: u32,
    available: u32,
}

impl<'a> From<&'a StockView> for StockBody<'a> {
    fn from(view: &'a StockView) -> Self {
        let StockLevel { on_hand, reserved, .. } = view.level;
        Self { sku: view.sku.as_str(), on_hand, reserved, available: view.level.available() }
    }
}

/// What an edition was sold at from an instant on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PriceBody<'a> {
    at: At,
    price: MoneyBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    sale_price: Option<MoneyBody>,
    actor: Show<ActorName<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> From<&'a PriceLine> for PriceBody<'a> {
    fn from(line: &'a PriceLine) -> Self {
        Self {
            at: At(line.at),
            price: MoneyBody(line.list),
            sale_price: line.sale.map(MoneyBody),
            actor: Show(ActorName(&line.why.actor)),
            reason: line.why.reason.as_ref().map(Text::as_str),
        }
    }
}

/// `POST /books` and `PUT /books/{id}`.
pub fn book(o: &mut Object<'_, '_>) -> Option<BookInput> {
    let title = o.required("title", scalar::line);
    let subtitle = o.optional("subtitle", scalar::line);
    let description = o.optional("description", scalar::block);
    let authors = o.required("authors", |v| v.some().and_then(|v| names(v, BOOK_AUTHORS_MAX)));
    let categories = o.required("categories", |v| names(v, BOOK_CATEGORIES_MAX));
    let publisher = o.optional("publisher", scalar::line);
    let language = o.required("language", |v| v.parsed(language, "an ISO 639-1 code such as en"));
    let published_year = o.optional("publishedYear", year);
    let isbn13 = o.optional("isbn13", |v| v.parsed(Isbn13::parse, "an ISBN-13 whose check digit holds"));
    let image_url = o.optional("imageUrl", scalar::line);
    let reason = o.optional("reason", scalar::line);
    let editions = o.required("editions", |v| v.some().and_then(|v| v.list(BOOK_EDITIONS_MAX, "TOO_MANY", |v| v.object(edition))))?;
    if has_twins(&editions) {
        return o.wrong("editions", "INVALID", "Every edition needs a SKU of its own, and one currency for all.");
    }
    Some(BookInput {
        reason,
        title: title?,
        subtitle,
        description,
        authors: authors?,
        categories: categories?,
        publisher,
        language: language?,
        published_year,
        isbn13,
        image_url,
        editions,
        ratings: None,
    })
}

fn has_twins(editions: &[EditionInput]) -> bool {
    let twin = |(n, e): (usize, &EditionInput)| editions[..n].iter().any(|o| o.sku == e.sku || o.price.currency() != e.price.currency());
    editions.iter().enumerate().any(twin)
}

fn names(value: Value<'_, '_>, max: usize) -> Option<Vec<Text<NAME_MAX>>> {
    value.list(max, "TOO_MANY", scalar::line)
}

fn language(text: &str) -> Option<Text<8>> {
    let plain = (2..=8).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphabetic() || c == '-');
    plain.then(|| Text::parse(text)).flatten()
}

fn year(value: Value<'_, '_>) -> Option<i32> {
    let year = i32::try_from(value.int()?).ok().filter(|y| (-9999..=9999).contains(y));
    year.or_else(|| value.wrong("INVALID", "Must be between -9999 and 9999."))
}

fn edition(o: &mut Object<'_, '_>) -> Option<EditionInput> {
    let sku = o.required("sku", |v| v.parsed(Sku::parse, "1 to 64 letters, digits, dots, dashes or underscores"));
    let format = o.required("format", |v| v.parsed(Format::parse, "hardcover, paperback, ebook or audiobook"));
    let price = o.required("price", scalar::price);
    let sale_price = o.optional("salePrice", scalar::price);
    let weight_g = o.optional("weightGrams", grams);
    let stock = o.optional("stock", copies);
    let (price, lower) = (price?, |price: Money, sale: Money| sale.currency() == price.currency() && sale.minor() < price.minor());
    if sale_price.is_some_and(|sale| !lower(price, sale)) {
        return o.wrong("salePrice", "INVALID", "Must be lower than the price, in the same currency.");
    }
    Some(EditionInput { sku: sku?, format: format?, price, sale_price, weight_g, stock })
}

fn grams(value: Value<'_, '_>) -> Option<u32> {
    let grams = u32::try_from(value.int()?).ok().filter(|n| (1..=WEIGHT_G_MAX).contains(n));
    grams.or_else(|| value.wrong("INVALID", format!("Must be between 1 and {WEIGHT_G_MAX}.")))
}

fn copies(value: Value<'_, '_>) -> Option<u32> {
    let copies = u32::try_from(value.int()?).ok().filter(|n| i64::from(*n) <= STOCK_MOVE_MAX);
    copies.or_else(|| value.wrong("INVALID", format!("Must be between 0 and {STOCK_MOVE_MAX}.")))
}

fn delta(value: Value<'_, '_>) -> Option<i32> {
    let delta = i32::try_from(value.int()?).ok().filter(|n| i64::from(n.unsigned_abs()) <= STOCK_MOVE_MAX);
    delta.or_else(|| value.wrong("INVALID", format!("Must be between -{STOCK_MOVE_MAX} and {STOCK_MOVE_MAX}.")))
}

/// `POST /books/{id}/editions/{editionId}/stock`.
pub fn move_stock(o: &mut Object<'_, '_>) -> Option<(StockInput, Text<REASON_MAX>)> {
    let one = o.has("delta") != o.has("set");
    let delta = o.optional("delta", delta).map(StockInput::Delta);
    let set = o.optional("set", copies).map(StockInput::Set);
    let reason = o.required("reason", scalar::line);
    if !one {
        return o.wrong("delta", "REQUIRED", "Give either `delta` or `set`.");
    }
    Some((delta.or(set)?, reason?))
}

/// `POST /authors` and its like.
pub fn name(o: &mut Object<'_, '_>) -> Option<Text<NAME_MAX>> {
    o.required("name", scalar::line)
}
