//! Calls as BookWorm's services make them, with messages written down here once more from its field numbers.

use crate::served::{Node, of};
use app::ports::Catalog;
use conformance::fixtures::{START, book, moved, new_books, usd};
use domain::catalog::Book;
use domain::ids::BookId;
use domain::stock::StockChange;
use memory::MemoryStore;
use prost::Message;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

#[derive(Clone, PartialEq, Message)]
struct OneBook {
    #[prost(string, tag = "1")]
    book_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct ManyBooks {
    #[prost(string, repeated, tag = "1")]
    book_ids: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct FoundBooks {
    #[prost(message, repeated, tag = "1")]
    books: Vec<FoundBook>,
}

#[derive(Clone, PartialEq, Message)]
struct FoundBook {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, optional, tag = "3")]
    price: Option<Decimal>,
    #[prost(message, optional, tag = "4")]
    price_sale: Option<Decimal>,
    #[prost(int32, tag = "5")]
    status: i32,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Decimal {
    #[prost(int64, tag = "1")]
    units: i64,
    #[prost(sfixed32, tag = "2")]
    nanos: i32,
}

/// Book 1 has three copies and is on sale, book 2 has none.
async fn node() -> (Node, Channel) {
    let store = MemoryStore::new();
    let mut on_sale = book(1);
    on_sale.editions[0].price = usd(1999);
    on_sale.editions[0].sale_price = Some(usd(1550));
    let mut plain = book(2);
    plain.editions[0].price = usd(700);
    let mut change = new_books([Book { ..on_sale }, plain]);
    change.stock = vec![moved(1, StockChange::Count(3), "first")];
    Catalog::save(&store, change, START).await.expect("saved");
    let node = Node::start(of(&store)).await;
    let channel = Endpoint::try_from(format!("http://{}", node.address)).expect("an address").connect().await.expect("a connection");
    (node, channel)
}

async fn call<Q: Message + 'static, R: Message + Default + 'static>(
    channel: &Channel,
    path: &'static str,
    request: Q,
) -> Result<R, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("a connection");
    let path = PathAndQuery::from_static(path);
    client.unary(Request::new(request), path, ProstCodec::<Q, R>::default()).await.map(tonic::Response::into_inner)
}

const GET_BOOK: &str = "/book.v1.BookGrpcService/GetBook";
const GET_BOOKS: &str = "/book.v1.BookGrpcService/GetBooks";

/// A GUID, as BookWorm's ids are.
fn guid(n: u128) -> String {
    let digits = format!("{n:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[tokio::test]
async fn a_book_is_told_by_either_id() {
    let (_node, channel) = node().await;
    for id in [guid(1), BookId(1).to_string()] {
        let found: FoundBook = call(&channel, GET_BOOK, OneBook { book_id: id.clone() }).await.expect("found");
        let expected = FoundBook {
            id,
            name: book(1).title.as_str().to_owned(),
            price: Some(Decimal { units: 19, nanos: 990_000_000 }),
            price_sale: Some(Decimal { units: 15, nanos: 500_000_000 }),
            status: 1,
        };
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn books_that_are_not_there_are_left_out_and_nothing_is_not_everything() {
    let (_node, channel) = node().await;
    for (asked, found) in [(vec![1, 9, 2], vec![(guid(1), 1), (guid(2), 2)]), (vec![9], vec![]), (vec![], vec![])] {
        let book_ids = asked.iter().map(|n| guid(*n)).collect();
        let books: FoundBooks = call(&channel, GET_BOOKS, ManyBooks { book_ids }).await.expect("found");
        let told: Vec<_> = books.books.into_iter().map(|b| (b.id, b.status)).collect();
        assert_eq!(told, found, "{asked:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_told_has_its_code() {
    let (_node, channel) = node().await;
    for (book_id, code) in [(guid(9), Code::NotFound), ("nine".to_owned(), Code::InvalidArgument), (String::new(), Code::InvalidArgument)] {
        let error = call::<_, FoundBook>(&channel, GET_BOOK, OneBook { book_id: book_id.clone() }).await.expect_err("no book");
        assert_eq!(error.code(), code, "{book_id}");
    }
    let error = call::<_, FoundBooks>(&channel, GET_BOOKS, ManyBooks { book_ids: vec![guid(1); 501] }).await.expect_err("too many");
    assert_eq!(error.code(), Code::InvalidArgument);
    let error = call::<_, FoundBook>(&channel, "/book.v1.BookGrpcService/Burn", OneBook::default()).await.expect_err("no such call");
    assert_eq!(error.code(), Code::Unimplemented);
}

#[tokio::test]
async fn health_and_reflection_are_served() {
    let (_node, channel) = node().await;
    for service in ["", "book.v1.BookGrpcService", "cartwright.catalog.v1.Catalog"] {
        let asked = HealthCheckRequest { service: service.to_owned() };
        let told = HealthClient::new(channel.clone()).check(asked).await.expect("known").into_inner();
        assert_eq!(told.status, 1, "{service}");
    }
    let list = ServerReflectionRequest { host: String::new(), message_request: Some(MessageRequest::ListServices(String::new())) };
    let asks = futures_util::stream::iter([list]);
    let mut told = ServerReflectionClient::new(channel).server_reflection_info(asks).await.expect("served").into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = told.message().await.expect("told").and_then(|m| m.message_response) else {
        panic!("a list was expected")
    };
    let names: Vec<_> = list.service.iter().map(|s| s.name.as_str()).collect();
    assert!(names.contains(&"book.v1.BookGrpcService") && names.contains(&"cartwright.catalog.v1.Catalog"), "{names:?}");
}
