//! Both conversions of every message, side by side.

use crate::generated::catalog as grpc;
use app::ports::{Answer, BookWrite, CatalogChange, CatalogSaved, HeadingWrite};
use domain::cart::OnceMark;
use domain::catalog::HeadingId;
use domain::ids::{BookId, EditionId, Sku, Version};
use domain::pricing::PriceLine;
use domain::stock::{StockChange, StockLevel, StockMove};
use domain::time::Timestamp;
use grpc::save_response::Outcome;
use grpc::stock_move::Change;
use grpc::write::What;
use std::sync::Arc;

/// A message that cannot be understood, or that an older version is not able to.
#[derive(Debug, thiserror::Error)]
pub enum Nonsense {
    #[error(transparent)]
    Record(#[from] records::Damaged),
    #[error("`{0}` is not what it should be")]
    Field(&'static str),
}

fn field<T>(name: &'static str, value: Option<T>) -> Result<T, Nonsense> {
    value.ok_or(Nonsense::Field(name))
}

fn all<A, B>(list: Vec<A>, read: impl Fn(A) -> Result<B, Nonsense>) -> Result<Vec<B>, Nonsense> {
    list.into_iter().map(read).collect()
}

pub fn edition_id(text: &str) -> Result<EditionId, Nonsense> {
    field("edition", EditionId::parse(text))
}

pub fn book_id(text: &str) -> Result<BookId, Nonsense> {
    field("book", BookId::parse(text))
}

pub fn key(bytes: &[u8]) -> Result<[u8; 16], Nonsense> {
    field("key", bytes.try_into().ok())
}

pub fn level(edition: EditionId, level: StockLevel) -> grpc::Level {
    let StockLevel { on_hand, reserved, moves } = level;
    grpc::Level { edition: edition.to_string(), on_hand, reserved, moves }
}

pub fn read_level(level: &grpc::Level) -> Result<(EditionId, StockLevel), Nonsense> {
    let grpc::Level { edition, on_hand, reserved, moves } = level;
    let level = StockLevel { on_hand: *on_hand, reserved: *reserved, moves: *moves };
    field("reserved", Some(level).filter(|l| l.reserved <= l.on_hand))?;
    Ok((edition_id(edition)?, level))
}

pub fn price_line((place, line): &(u64, PriceLine)) -> grpc::prices_response::Line {
    grpc::prices_response::Line { place: *place, record: records::encode_price_line(line) }
}

pub fn read_price_line(line: grpc::prices_response::Line) -> Result<(u64, PriceLine), Nonsense> {
    Ok((line.place, records::decode_price_line(&line.record)?))
}

pub fn answer(answer: Answer) -> grpc::Answer {
    let Answer { mark, body, at } = answer;
    grpc::Answer { key: mark.key.to_vec(), fingerprint: mark.fingerprint.to_vec(), body: body.to_vec(), at_micros: at.micros() }
}

pub fn read_answer(answer: grpc::Answer) -> Result<Answer, Nonsense> {
    let fingerprint = field("fingerprint", answer.fingerprint.as_slice().try_into().ok())?;
    let mark = OnceMark { key: key(&answer.key)?, fingerprint };
    Ok(Answer { mark, body: answer.body.into(), at: Timestamp(answer.at_micros) })
}

fn heading_write(write: &HeadingWrite) -> grpc::Write {
    match write {
        HeadingWrite::Put { heading, expected } => {
            grpc::Write { what: Some(What::Put(records::encode_heading(heading))), expected: expected.0 }
        }
        HeadingWrite::Delete { id, expected } => grpc::Write { what: Some(What::Delete(id.to_string())), expected: expected.0 },
    }
}

fn read_heading_write(write: grpc::Write) -> Result<HeadingWrite, Nonsense> {
    let expected = Version(write.expected);
    Ok(match field("headings", write.what)? {
        What::Put(record) => HeadingWrite::Put { heading: read_heading(&record)?, expected },
        What::Delete(id) => HeadingWrite::Delete { id: field("headings", HeadingId::parse(&id))?, expected },
    })
}

fn book_write(write: &BookWrite) -> grpc::Write {
    match write {
        BookWrite::Put { book, expected } => grpc::Write { what: Some(What::Put(records::encode_book(book))), expected: expected.0 },
        BookWrite::Delete { id, expected } => grpc::Write { what: Some(What::Delete(id.to_string())), expected: expected.0 },
    }
}

fn read_book_write(write: grpc::Write) -> Result<BookWrite, Nonsense> {
    let expected = Version(write.expected);
    Ok(match field("books", write.what)? {
        What::Put(record) => BookWrite::Put { book: Arc::new(records::decode_book(&record)?), expected },
        What::Delete(id) => BookWrite::Delete { id: book_id(&id)?, expected },
    })
}

fn read_heading(record: &[u8]) -> Result<Arc<domain::catalog::Heading>, Nonsense> {
    Ok(Arc::new(records::decode_heading(record)?))
}

fn stock_move(stock: &StockMove) -> grpc::StockMove {
    let change = match stock.change {
        StockChange::Reserve(n) => Change::Reserve(n),
        StockChange::Release(n) => Change::Release(n),
        StockChange::Consume(n) => Change::Consume(n),
        StockChange::Return(n) => Change::Return(n),
        StockChange::Receive(delta) => Change::Receive(delta),
        StockChange::Count(n) => Change::Count(n),
    };
    grpc::StockMove { edition: stock.edition.to_string(), change: Some(change), cause: stock.cause.clone() }
}

fn read_stock_move(stock: grpc::StockMove) -> Result<StockMove, Nonsense> {
    let change = match field("change", stock.change)? {
        Change::Reserve(n) => StockChange::Reserve(n),
        Change::Release(n) => StockChange::Release(n),
        Change::Consume(n) => StockChange::Consume(n),
        Change::Return(n) => StockChange::Return(n),
        Change::Receive(delta) => StockChange::Receive(delta),
        Change::Count(n) => StockChange::Count(n),
    };
    Ok(StockMove { edition: edition_id(&stock.edition)?, change, cause: stock.cause })
}

pub fn save_request(change: &CatalogChange, now: Timestamp) -> grpc::SaveRequest {
    let CatalogChange { headings, books, stock, prices, outbox, answer: remembered } = change;
    grpc::SaveRequest {
        headings: headings.iter().map(heading_write).collect(),
        books: books.iter().map(book_write).collect(),
        stock: stock.iter().map(stock_move).collect(),
        prices: prices.iter().map(records::encode_price_line).collect(),
        outbox: outbox.iter().map(records::encode_outgoing).collect(),
        answer: remembered.clone().map(answer),
        now_micros: now.micros(),
    }
}

pub fn read_save_request(request: grpc::SaveRequest) -> Result<(CatalogChange, Timestamp), Nonsense> {
    let grpc::SaveRequest { headings, books, stock, prices, outbox, answer, now_micros } = request;
    let change = CatalogChange {
        headings: all(headings, read_heading_write)?,
        books: all(books, read_book_write)?,
        stock: all(stock, read_stock_move)?,
        prices: all(prices, |record| Ok(records::decode_price_line(&record)?))?,
        outbox: all(outbox, |record| Ok(records::decode_outgoing(&record)?))?,
        answer: answer.map(read_answer).transpose()?,
    };
    Ok((change, Timestamp(now_micros)))
}

pub fn save_response(saved: CatalogSaved) -> grpc::SaveResponse {
    let outcome = match saved {
        CatalogSaved::Done => Outcome::Done(true),
        CatalogSaved::Conflict => Outcome::Conflict(true),
        CatalogSaved::SkuTaken(sku) => Outcome::SkuTaken(sku.to_string()),
        CatalogSaved::NameTaken => Outcome::NameTaken(true),
        CatalogSaved::Referenced(books) => Outcome::Referenced(books),
        CatalogSaved::StockShort { available } => Outcome::StockShort(available),
        CatalogSaved::Answered(first) => Outcome::Answered(answer(first)),
    };
    grpc::SaveResponse { outcome: Some(outcome) }
}

pub fn read_save_response(response: grpc::SaveResponse) -> Result<CatalogSaved, Nonsense> {
    Ok(match field("outcome", response.outcome)? {
        Outcome::Done(_) => CatalogSaved::Done,
        Outcome::Conflict(_) => CatalogSaved::Conflict,
        Outcome::SkuTaken(sku) => CatalogSaved::SkuTaken(field("sku_taken", Sku::parse(&sku))?),
        Outcome::NameTaken(_) => CatalogSaved::NameTaken,
        Outcome::Referenced(books) => CatalogSaved::Referenced(books),
        Outcome::StockShort(available) => CatalogSaved::StockShort { available },
        Outcome::Answered(first) => CatalogSaved::Answered(read_answer(first)?),
    })
}

/// What a part of an answer says.
#[derive(Default)]
pub struct Heard {
    pub headings: Vec<HeadingWrite>,
    pub books: Vec<BookWrite>,
    pub levels: Vec<(EditionId, StockLevel)>,
}

impl Heard {
    pub fn add(&mut self, part: grpc::Part) -> Result<(), Nonsense> {
        // What a copy is told is so, whatever was there before.
        let expected = Version(0);
        for record in part.headings {
            self.headings.push(HeadingWrite::Put { heading: read_heading(&record)?, expected });
        }
        for record in part.books {
            self.books.push(BookWrite::Put { book: Arc::new(records::decode_book(&record)?), expected });
        }
        for id in part.headings_gone {
            self.headings.push(HeadingWrite::Delete { id: field("headings_gone", HeadingId::parse(&id))?, expected });
        }
        for id in part.books_gone {
            self.books.push(BookWrite::Delete { id: book_id(&id)?, expected });
        }
        for told in &part.levels {
            self.levels.push(read_level(told)?);
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.headings.is_empty() && self.books.is_empty() && self.levels.is_empty()
    }
}
