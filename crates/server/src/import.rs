//! Importing a catalog: JSON lines or CSV, plain or zstd, streamed. Rows with editions are taken as they
//! are; rows without (lists of books) become one paperback, priced by a prices file or their own column.
//! A bad row is reported by its line and passed over; repeating an import changes nothing.

use app::{App, BookInput, EditionInput, Imported};
use domain::catalog::{Format, Isbn13, Ratings};
use domain::ids::Sku;
use domain::limits::{BOOK_AUTHORS_MAX, BOOK_CATEGORIES_MAX, BOOK_EDITIONS_MAX, IMPORT_LINE_MAX};
use domain::money::{Currency, Money};
use domain::text::Text;
use serde::Deserialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use unicode_normalization::UnicodeNormalization;

/// Rows written down together.
const BATCH: usize = 1000;

pub struct Options<'a> {
    pub prices: Option<&'a Path>,
    /// Copies of a new edition whose row says nothing.
    pub stock: u32,
    pub currency: Currency,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub imported: Imported,
    /// What was wrong, by line.
    pub bad: Vec<(usize, String)>,
}

/// A row of any of the formats; what is not listed is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: Option<serde_json::Value>,
    title: String,
    subtitle: Option<String>,
    description: Option<String>,
    #[serde(default)]
    authors: Names,
    #[serde(default, alias = "genres")]
    categories: Names,
    publisher: Option<String>,
    language: Option<String>,
    #[serde(alias = "year")]
    published_year: Option<i32>,
    isbn13: Option<String>,
    image_url: Option<String>,
    /// A list of editions; in lists of books, how many there are in the world, which is passed over.
    editions: Option<serde_json::Value>,
    #[serde(alias = "avg_rating")]
    average_rating: Option<f64>,
    #[serde(alias = "ratings_count")]
    ratings_count: Option<u64>,
    sku: Option<String>,
    format: Option<String>,
    #[serde(rename = "weightGrams")]
    weight_g: Option<u32>,
    price: Option<i64>,
    currency: Option<String>,
    stock: Option<u32>,
}

/// A list, or in CSV one cell with semicolons.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Names {
    #[default]
    None,
    List(Vec<String>),
    Cell(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EditionRow {
    sku: String,
    format: String,
    price: i64,
    sale_price: Option<i64>,
    #[serde(rename = "weightGrams")]
    weight_g: Option<u32>,
    currency: Option<String>,
    stock: Option<u32>,
}

/// Imports a file, calling `progress` with the rows read so far.
///
/// # Errors
/// What kept the file from being read or the store from being written; bad rows are in the summary.
pub async fn file(app: &App, path: &Path, options: &Options<'_>, progress: impl Fn(usize)) -> Result<Summary, String> {
    let prices = options.prices.map(prices).transpose()?.unwrap_or_default();
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let at = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let reader = open(path).map_err(|e| at(&e))?;
    if name.trim_end_matches(".zst").ends_with(".csv") {
        let mut csv = csv::ReaderBuilder::new().flexible(false).from_reader(reader);
        let rows = csv.deserialize::<Row>().zip(2..).map(|(row, line)| (line, row.map_err(|e| e.to_string())));
        return import(app, rows, &prices, options, progress).await;
    }
    import(app, lines(reader), &prices, options, progress).await
}

/// Imports JSON lines that are in memory.
///
/// # Errors
/// As [`file`].
pub async fn text(app: &App, text: &'static str, options: &Options<'_>) -> Result<Summary, String> {
    import(app, lines(Box::new(text.as_bytes())), &HashMap::new(), options, |_| ()).await
}

fn open(path: &Path) -> std::io::Result<Box<dyn Read + Send>> {
    let file = File::open(path)?;
    if path.extension().is_some_and(|e| e == "zst") {
        let decoder = ruzstd::decoding::StreamingDecoder::new(BufReader::new(file)).map_err(std::io::Error::other)?;
        return Ok(Box::new(decoder));
    }
    Ok(Box::new(file))
}

fn lines(reader: Box<dyn Read + Send>) -> impl Iterator<Item = (usize, Result<Row, String>)> {
    let mut reader = BufReader::new(reader);
    let mut failed = false;
    let next = move || -> Option<Result<Row, String>> {
        if failed {
            return None;
        }
        let mut line = Vec::new();
        match (&mut reader).take(IMPORT_LINE_MAX as u64).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_slice(&line).map_err(|e| e.to_string())),
            Err(e) => {
                failed = true;
                Some(Err(e.to_string()))
            }
        }
    };
    std::iter::from_fn(next).zip(1..).map(|(row, line)| (line, row))
}

async fn import(
    app: &App,
    rows: impl Iterator<Item = (usize, Result<Row, String>)>,
    prices: &HashMap<String, Money>,
    options: &Options<'_>,
    progress: impl Fn(usize),
) -> Result<Summary, String> {
    let mut summary = Summary::default();
    let mut batch: Vec<(usize, BookInput)> = Vec::with_capacity(BATCH);
    for (line, row) in rows {
        match row.and_then(|row| book(row, prices, options)) {
            Ok(book) => batch.push((line, book)),
            Err(reason) => summary.bad.push((line, reason)),
        }
        if batch.len() == BATCH {
            write(app, &mut batch, &mut summary).await?;
            progress(line);
        }
    }
    write(app, &mut batch, &mut summary).await?;
    summary.bad.sort();
    Ok(summary)
}

async fn write(app: &App, batch: &mut Vec<(usize, BookInput)>, summary: &mut Summary) -> Result<(), String> {
    let (lines, books): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
    if books.is_empty() {
        return Ok(());
    }
    let (imported, refused) = app.import(&books).await.map_err(|e| e.to_string())?;
    summary.imported.created += imported.created;
    summary.imported.updated += imported.updated;
    summary.imported.unchanged += imported.unchanged;
    summary.bad.extend(refused.into_iter().map(|(n, refusal)| (lines[n], refusal.to_string())));
    Ok(())
}

fn book(row: Row, prices: &HashMap<String, Money>, options: &Options<'_>) -> Result<BookInput, String> {
    let id = match &row.id {
        Some(serde_json::Value::String(id)) => Some(id.clone()),
        Some(serde_json::Value::Number(id)) => Some(id.to_string()),
        _ => None,
    };
    let editions: Vec<EditionInput> = match &row.editions {
        Some(list @ serde_json::Value::Array(_)) => {
            let rows = Vec::<EditionRow>::deserialize(list).map_err(|e| format!("editions: {e}"))?;
            rows.iter().map(|e| edition(e, options)).collect::<Result<_, _>>()?
        }
        _ => vec![only_edition(&row, id.as_deref(), prices, options)?],
    };
    if editions.is_empty() {
        return Err("editions: none".into());
    }
    if editions.len() > BOOK_EDITIONS_MAX {
        return Err("editions: too many".into());
    }
    let isbn13 = optional("isbn13", row.isbn13.as_deref(), Isbn13::parse)?;
    Ok(BookInput {
        reason: None,
        title: text_of("title", &row.title)?,
        subtitle: optional("subtitle", row.subtitle.as_deref(), parse)?,
        description: optional("description", row.description.as_deref(), |t| Text::parse_block(&nfc(t)))?,
        authors: names("authors", row.authors, BOOK_AUTHORS_MAX)?,
        categories: names("categories", row.categories, BOOK_CATEGORIES_MAX)?,
        publisher: optional("publisher", row.publisher.as_deref(), parse)?,
        language: text_of("language", row.language.as_deref().filter(|l| !l.is_empty()).unwrap_or("und"))?,
        published_year: row.published_year,
        isbn13,
        image_url: optional("imageUrl", row.image_url.as_deref(), parse)?,
        editions,
        ratings: row.average_rating.zip(row.ratings_count).map(|(average, count)| Ratings { average_milli: milli(average), count }),
    })
}

fn edition(row: &EditionRow, options: &Options<'_>) -> Result<EditionInput, String> {
    let currency = currency(row.currency.as_deref(), options)?;
    let price = money("price", row.price, currency)?;
    let sale_price = row.sale_price.map(|p| money("salePrice", p, currency)).transpose()?;
    if sale_price.is_some_and(|sale| sale.minor() >= price.minor()) {
        return Err("salePrice: not lower than price".into());
    }
    Ok(EditionInput {
        sku: Sku::parse(&row.sku).ok_or("sku: 1 to 64 letters, digits, - _ .")?,
        format: Format::parse(&row.format).ok_or("format: hardcover, paperback, ebook or audiobook")?,
        price,
        sale_price,
        weight_g: row.weight_g,
        stock: Some(row.stock.unwrap_or(options.stock)),
    })
}

/// The one edition of a row that lists none.
fn only_edition(row: &Row, id: Option<&str>, prices: &HashMap<String, Money>, options: &Options<'_>) -> Result<EditionInput, String> {
    let sku = match (&row.sku, id, &row.isbn13) {
        (Some(sku), _, _) => sku.clone(),
        (None, Some(id), _) => format!("BOOK-{id}"),
        (None, None, Some(isbn)) => isbn.clone(),
        (None, None, None) => return Err("needs a sku, an id or an isbn13".into()),
    };
    let price = match row.price {
        Some(price) => money("price", price, currency(row.currency.as_deref(), options)?)?,
        None => id.and_then(|id| prices.get(id)).copied().ok_or("price: neither in the row nor in the prices file")?,
    };
    Ok(EditionInput {
        sku: Sku::parse(&sku).ok_or("sku: 1 to 64 letters, digits, - _ .")?,
        format: row.format.as_deref().map_or(Some(Format::Paperback), Format::parse).ok_or("format: unknown")?,
        price,
        sale_price: None,
        weight_g: row.weight_g,
        stock: Some(row.stock.unwrap_or(options.stock)),
    })
}

/// `book_id,list_price_cents,currency` by id.
fn prices(path: &Path) -> Result<HashMap<String, Money>, String> {
    #[derive(Deserialize)]
    struct Price {
        book_id: String,
        list_price_cents: i64,
        currency: String,
    }
    let at = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let mut csv = csv::Reader::from_reader(open(path).map_err(|e| at(&e))?);
    let mut prices = HashMap::new();
    for row in csv.deserialize::<Price>() {
        let row = row.map_err(|e| at(&e))?;
        let currency = Currency::parse(&row.currency).ok_or_else(|| at(&format!("unknown currency {}", row.currency)))?;
        prices.insert(row.book_id, money("list_price_cents", row.list_price_cents, currency).map_err(|e| at(&e))?);
    }
    Ok(prices)
}

fn money(field: &str, minor: i64, currency: Currency) -> Result<Money, String> {
    Money::new(minor, currency).ok().filter(|m| m.minor() >= 0).ok_or_else(|| format!("{field}: out of range"))
}

fn currency(code: Option<&str>, options: &Options<'_>) -> Result<Currency, String> {
    code.map_or(Some(options.currency), Currency::parse).ok_or_else(|| "currency: unknown".into())
}

fn names<const N: usize>(field: &str, names: Names, max: usize) -> Result<Vec<Text<N>>, String> {
    let list = match names {
        Names::None => Vec::new(),
        Names::List(list) => list,
        Names::Cell(cell) => cell.split(';').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect(),
    };
    if list.len() > max {
        return Err(format!("{field}: more than {max}"));
    }
    let mut unique: Vec<Text<N>> = Vec::with_capacity(list.len());
    for name in &list {
        let name = text_of(field, name)?;
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    Ok(unique)
}

fn nfc(text: &str) -> String {
    text.nfc().collect()
}

fn parse<const N: usize>(text: &str) -> Option<Text<N>> {
    Text::parse(&nfc(text))
}

fn text_of<const N: usize>(field: &str, text: &str) -> Result<Text<N>, String> {
    parse(text).ok_or_else(|| format!("{field}: empty, longer than {N} characters, or with control characters"))
}

/// An empty cell is a missing value.
fn optional<T>(field: &str, text: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, String> {
    match text.filter(|t| !t.is_empty()) {
        Some(text) => parse(text).map(Some).ok_or_else(|| format!("{field}: not valid")),
        None => Ok(None),
    }
}

/// Stars in thousandths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0–5 stars before")]
fn milli(average: f64) -> u32 {
    (average.clamp(0.0, 5.0) * 1000.0).round() as u32
}
