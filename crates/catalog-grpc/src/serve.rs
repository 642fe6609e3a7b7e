//! The side of the node that holds the catalog.

use crate::books::Books;
use crate::generated::DESCRIPTORS;
use crate::generated::book::book_grpc_service_server::BookGrpcServiceServer;
use crate::generated::catalog as grpc;
use crate::generated::catalog::catalog_server::CatalogServer;
use crate::limits::{FOLLOWERS_MAX, MESSAGE_BYTES_MAX, PING_EVERY, PING_TIME_MAX, PRICES_MAX, STREAMS_MAX};
use crate::message::{Nonsense, answer, edition_id, key, price_line, read_save_request, save_response};
use crate::news::{Parts, Told};
use crate::status::status;
use crate::token::{Token, Wanted};
use app::ports::{Catalog, Freshness, PortError, SearchIndex};
use domain::limits::{SEARCH_MATCHES_MAX, SEARCH_MAX};
use futures_util::stream::{BoxStream, StreamExt, try_unfold};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Error, Server};
use tonic::{Request, Response, Status, Streaming};

/// What a node serves.
#[derive(Clone)]
pub struct Served {
    pub catalog: Arc<dyn Catalog>,
    pub search: Arc<dyn SearchIndex>,
    /// What the other nodes of the shop show. `book.v1` asks for nothing, as BookWorm's does not.
    pub token: Token,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Served")
    }
}

/// Serves the catalog, with health and reflection, until told to stop.
///
/// # Errors
/// The listener does not work.
pub async fn serve(listener: TcpListener, served: Served, mut stop: watch::Receiver<bool>) -> Result<(), Error> {
    let node =
        Node { catalog: served.catalog, search: served.search, followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)), stop: stop.clone() };
    let books = BookGrpcServiceServer::new(Books(Arc::clone(&node.catalog)));
    let catalog = CatalogServer::new(node).max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX);
    let catalog = InterceptedService::new(catalog, Wanted(served.token));
    let (health, health_server) = tonic_health::server::health_reporter();
    health.set_serving::<BookGrpcServiceServer<Books>>().await;
    health.set_serving::<CatalogServer<Node>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("invariant: what was generated can be read");
    Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_TIME_MAX))
        .add_service(catalog)
        .add_service(books)
        .add_service(health_server)
        .add_service(reflection)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async move {
            // Nobody is left to tell it, which is the same.
            drop(stop.wait_for(|stop| *stop).await);
        })
        .await
}

struct Node {
    catalog: Arc<dyn Catalog>,
    search: Arc<dyn SearchIndex>,
    followers: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

fn not_understood(nonsense: Nonsense) -> Status {
    Status::invalid_argument(nonsense.to_string())
}

/// A failure is logged where it is turned into an answer.
fn not_done(error: PortError) -> Status {
    tracing::warn!(%error, "a call of another node was not done");
    status(&error)
}

/// One follower and what it was told.
struct Follower {
    asks: Streaming<grpc::Ask>,
    parts: Parts,
    told: Told,
    catalog: Arc<dyn Catalog>,
    stop: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    /// The next part of the answer under way, or of the next one; none when the stream is over.
    async fn next(&mut self) -> Result<Option<grpc::Part>, Status> {
        if let Some(part) = self.parts.next() {
            return Ok(Some(part));
        }
        let ask = tokio::select! {
            ask = self.asks.message() => ask?,
            _ = self.stop.wait_for(|stop| *stop) => return Err(Status::unavailable("this node is stopping")),
        };
        let Some(ask) = ask else { return Ok(None) };
        // Who has only an old copy itself has no news.
        self.catalog.freshness().ensure(Freshness::Fresh).map_err(not_done)?;
        self.parts = Parts::of(self.told.news(&*self.catalog), ask.number);
        Ok(self.parts.next())
    }
}

#[tonic::async_trait]
impl grpc::catalog_server::Catalog for Node {
    type FollowStream = BoxStream<'static, Result<grpc::Part, Status>>;

    async fn follow(&self, request: Request<Streaming<grpc::Ask>>) -> Result<Response<Self::FollowStream>, Status> {
        let place = Arc::clone(&self.followers).try_acquire_owned();
        let follower = Follower {
            asks: request.into_inner(),
            parts: Parts::none(),
            told: Told::default(),
            catalog: Arc::clone(&self.catalog),
            stop: self.stop.clone(),
            _place: place.map_err(|_| Status::unavailable("too many nodes follow already"))?,
        };
        let parts = try_unfold(follower, |mut follower| async move { Ok(follower.next().await?.map(|part| (part, follower))) });
        Ok(Response::new(parts.boxed()))
    }

    async fn search(&self, request: Request<grpc::SearchRequest>) -> Result<Response<grpc::SearchResponse>, Status> {
        let grpc::SearchRequest { text, limit } = request.into_inner();
        if text.chars().count() > SEARCH_MAX {
            return Err(Status::invalid_argument("too long a text"));
        }
        let found = self.search.matches(&text, at_most(limit, SEARCH_MATCHES_MAX)).await.map_err(not_done)?;
        Ok(Response::new(grpc::SearchResponse { books: found.iter().map(ToString::to_string).collect() }))
    }

    async fn prices(&self, request: Request<grpc::PricesRequest>) -> Result<Response<grpc::PricesResponse>, Status> {
        let grpc::PricesRequest { edition, before, limit } = request.into_inner();
        let edition = edition_id(&edition).map_err(not_understood)?;
        let lines = self.catalog.prices(edition, before, at_most(limit, PRICES_MAX)).await.map_err(not_done)?;
        Ok(Response::new(grpc::PricesResponse { lines: lines.iter().map(price_line).collect() }))
    }

    async fn remembered(&self, request: Request<grpc::RememberedRequest>) -> Result<Response<grpc::RememberedResponse>, Status> {
        let key = key(&request.into_inner().key).map_err(not_understood)?;
        let found = self.catalog.answer(key).await.map_err(not_done)?;
        Ok(Response::new(grpc::RememberedResponse { answer: found.map(answer) }))
    }

    async fn save(&self, request: Request<grpc::SaveRequest>) -> Result<Response<grpc::SaveResponse>, Status> {
        let (change, now) = read_save_request(request.into_inner()).map_err(not_understood)?;
        // What was begun runs to its end, also when the other node hangs up.
        let catalog = Arc::clone(&self.catalog);
        #[expect(clippy::disallowed_methods, reason = "a write once begun is not given up halfway")]
        let saving = tokio::spawn(async move { catalog.save(change, now).await });
        let saved = saving.await.map_err(|_| Status::unknown("the task that saved ended early"))?;
        Ok(Response::new(save_response(saved.map_err(not_done)?)))
    }
}

fn at_most(asked: u32, limit: usize) -> usize {
    usize::try_from(asked).unwrap_or(limit).min(limit)
}
