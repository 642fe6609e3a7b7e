//! `book.v1`: what BookWorm's services ask their catalog.

use crate::generated::book::book_grpc_service_server::BookGrpcService;
use crate::generated::book::{BookStatus, DecimalValue, GetBookRequest, GetBookResponse, GetBooksRequest, GetBooksResponse};
use crate::limits::BOOKS_ASKED_MAX;
use crate::status::status;
use app::ports::{Catalog, Freshness};
use app::snapshot::Snapshot;
use domain::ids::BookId;
use domain::money::Money;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Answers from the node's own catalog.
pub struct Books(pub Arc<dyn Catalog>);

#[tonic::async_trait]
impl BookGrpcService for Books {
    async fn get_book(&self, request: Request<GetBookRequest>) -> Result<Response<GetBookResponse>, Status> {
        let book = self.find(&*self.snapshot()?, &request.into_inner().book_id.unwrap_or_default())?;
        book.map(Response::new).ok_or_else(|| Status::not_found("there is no such book"))
    }

    async fn get_books(&self, request: Request<GetBooksRequest>) -> Result<Response<GetBooksResponse>, Status> {
        let ids = request.into_inner().book_ids;
        if ids.len() > BOOKS_ASKED_MAX {
            return Err(Status::invalid_argument(format!("at most {BOOKS_ASKED_MAX} books at once")));
        }
        let snapshot = self.snapshot()?;
        let books: Result<Vec<_>, _> = ids.iter().filter_map(|id| self.find(&snapshot, id).transpose()).collect();
        Ok(Response::new(GetBooksResponse { books: books? }))
    }
}

impl Books {
    fn snapshot(&self) -> Result<Arc<Snapshot>, Status> {
        self.0.freshness().ensure(Freshness::Fresh).map_err(|error| status(&error))?;
        Ok(self.0.snapshot())
    }

    fn find(&self, snapshot: &Snapshot, id: &str) -> Result<Option<GetBookResponse>, Status> {
        let book = book_id(id).ok_or_else(|| Status::invalid_argument("not the id of a book"))?;
        let Some(book) = snapshot.book(book) else { return Ok(None) };
        let Some(edition) = book.editions.iter().min_by_key(|e| e.unit_price().minor()) else { return Ok(None) };
        let available = book.editions.iter().any(|e| self.0.level(e.id).available() > 0);
        Ok(Some(GetBookResponse {
            id: Some(id.to_owned()),
            name: Some(book.title.as_str().to_owned()),
            price: Some(decimal(edition.price)),
            price_sale: edition.sale_price.map(decimal),
            status: Some(if available { BookStatus::InStock } else { BookStatus::OutOfStock }.into()),
        }))
    }
}

/// As this shop writes ids, or as BookWorm does: a UUID of the same 128 bits.
fn book_id(text: &str) -> Option<BookId> {
    let uuid = || {
        let dashes = text.char_indices().filter(|(_, c)| *c == '-').map(|(at, _)| at);
        let digits = text.replace('-', "");
        let sound = dashes.eq([8, 13, 18, 23]) && digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        u128::from_str_radix(&digits, 16).ok().filter(|_| sound).map(BookId)
    };
    BookId::parse(text).or_else(uuid)
}

/// Units and billionths.
fn decimal(money: Money) -> DecimalValue {
    let exponent = u32::from(money.currency().exponent());
    let (one, billionths) = (10_i64.pow(exponent), 10_i32.pow(9 - exponent));
    let part = i32::try_from(money.minor() % one).expect("invariant: a currency has at most nine digits");
    DecimalValue { units: Some(money.minor() / one), nanos: Some(part * billionths) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::money::Currency;
    use prost::Message;

    #[test]
    fn an_id_is_read_in_both_spellings() {
        let id = BookId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        for (text, read) in [
            (id.to_string(), Some(id)),
            ("01234567-89ab-cdef-0123-456789abcdef".into(), Some(id)),
            ("01234567-89AB-CDEF-0123-456789ABCDEF".into(), Some(id)),
            ("0123456789abcdef0123456789abcdef".into(), None),
            ("0123456-789ab-cdef-0123-456789abcdef".into(), None),
            ("+1234567-89ab-cdef-0123-456789abcdef".into(), None),
            (String::new(), None),
        ] {
            assert_eq!(book_id(&text), read, "{text}");
        }
    }

    #[test]
    fn money_is_units_and_billionths() {
        for (minor, currency, units, nanos) in [
            (1999, "USD", 19, 990_000_000),
            (5, "USD", 0, 50_000_000),
            (700, "JPY", 700, 0),
            (1_234, "KWD", 1, 234_000_000),
            (-150, "USD", -1, -500_000_000),
        ] {
            let money = Money::new(minor, Currency::parse(currency).expect("a currency")).expect("money");
            assert_eq!(decimal(money), DecimalValue { units: Some(units), nanos: Some(nanos) }, "{minor} {currency}");
        }
    }

    /// Field numbers and kinds as BookWorm's clients have them, byte by byte.
    #[test]
    fn messages_are_the_bytes_of_bookworm() {
        let book = GetBookResponse {
            id: Some("b".into()),
            name: Some("Dune".into()),
            price: Some(DecimalValue { units: Some(19), nanos: Some(990_000_000) }),
            price_sale: None,
            status: Some(BookStatus::InStock.into()),
        };
        let bytes = [
            &[0x0a, 1, b'b', 0x12, 4][..],
            b"Dune",
            // units: varint; nanos: four bytes, the lowest first.
            &[0x1a, 7, 0x08, 19, 0x15],
            &990_000_000_i32.to_le_bytes(),
            &[0x28, 1],
        ]
        .concat();
        assert_eq!(book.encode_to_vec(), bytes);
        let on_sale = GetBookResponse { price_sale: Some(DecimalValue { units: Some(0), nanos: Some(0) }), ..GetBookResponse::default() };
        assert_eq!(on_sale.encode_to_vec(), [0x22, 7, 0x08, 0, 0x15, 0, 0, 0, 0], "what is there is said, also when it is zero");
        let books = GetBooksResponse { books: vec![GetBookResponse::default()] };
        assert_eq!(books.encode_to_vec(), [0x0a, 0]);
        assert_eq!(GetBooksRequest::decode(&[0x0a, 1, b'a', 0x0a, 1, b'b'][..]).expect("read").book_ids, ["a", "b"]);
        assert_eq!(GetBookRequest::decode(&[0x0a, 1, b'a'][..]).expect("read").book_id.as_deref(), Some("a"));
        assert_eq!(i32::from(BookStatus::OutOfStock), 2);
    }
}
