//! The side of a node that does not hold the catalog.

use crate::copy::Copy;
use crate::follow::Follower;
use crate::generated::catalog::catalog_client::CatalogClient;
use crate::generated::catalog::{PricesRequest, RememberedRequest, SearchRequest};
use crate::limits::{
    CALL_TIME_MAX, CONNECT_MAX, COPY_AGE_MAX, MESSAGE_BYTES_MAX, OWN_SEARCHES_MAX, PING_EVERY, PING_TIME_MAX, REFRESH, SAVE_TIME_MAX,
};
use crate::message::{Nonsense, book_id, read_answer, read_price_line, read_save_response, save_request};
use crate::status::failed;
use crate::token::{Shown, Token};
use app::ports::{Answer, Catalog, CatalogChange, CatalogSaved, DidItHappen, Freshness, PortError, PortErrorKind, SearchIndex};
use app::snapshot::Snapshot;
use async_trait::async_trait;
use domain::ids::{BookId, EditionId};
use domain::pricing::PriceLine;
use domain::stock::StockLevel;
use domain::time::Timestamp;
use outbound::{Calls, Patience, Repeat};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::{Instant, timeout};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

pub type Connection = CatalogClient<InterceptedService<Channel, Shown>>;

const CATALOG: &str = "catalog";
const SEARCH: &str = "search";

/// Where the catalog is, and how patient the shop is with it.
#[derive(Clone, Debug)]
pub struct RemoteCatalogSettings {
    /// `http://HOST:PORT` of the node that holds the catalog, or of what balances between several.
    pub url: String,
    pub token: Token,
    /// How old the copy may be for new decisions.
    pub copy_age_max: Duration,
    /// How often it is asked what has changed.
    pub refresh: Duration,
    /// With questions.
    pub patience: Patience,
    /// How long a save may take.
    pub save_within: Duration,
}

impl RemoteCatalogSettings {
    pub fn new(url: &str, token: Token) -> Self {
        let patience = Patience { timeout: CALL_TIME_MAX, ..Patience::default() };
        let (url, save_within) = (url.to_owned(), SAVE_TIME_MAX);
        Self { url, token, copy_age_max: COPY_AGE_MAX, refresh: REFRESH, patience, save_within }
    }
}

/// Why there is no catalog at this address.
#[derive(Debug, thiserror::Error)]
#[error("a catalog's address is http://HOST:PORT; put what speaks TLS in between")]
pub struct NoAddress;

/// Another node's catalog: a copy in memory for every question a request asks, and calls for the rest. Clones share it; it
/// is no longer kept when the last one is dropped.
#[derive(Clone)]
pub struct RemoteCatalog {
    copy: Arc<Copy>,
    connection: Connection,
    questions: Calls,
    searches: Calls,
    saves: Calls,
    own_searches: Arc<Semaphore>,
    within: Duration,
    _following: Arc<Following>,
}

struct Following(AbortHandle);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl std::fmt::Debug for RemoteCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteCatalog").field("questions", &self.questions).finish_non_exhaustive()
    }
}

impl RemoteCatalog {
    /// Begins to copy the catalog, on a task of its own. Whether anybody is there shows in [`Catalog::freshness`].
    ///
    /// # Errors
    /// The address is not `http://HOST:PORT`.
    pub fn connect(settings: RemoteCatalogSettings) -> Result<Self, NoAddress> {
        let RemoteCatalogSettings { url, token, copy_age_max, refresh, patience, save_within } = settings;
        let connection = CatalogClient::with_interceptor(channel(&url)?, Shown(token))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let copy = Arc::new(Copy::new(copy_age_max));
        let within = patience.timeout;
        let follower = Follower { copy: Arc::clone(&copy), connection: connection.clone(), refresh, part_within: within };
        #[expect(clippy::disallowed_methods, reason = "the copy is kept beside the requests, for as long as anybody has it")]
        let following = tokio::spawn(follower.run()).abort_handle();
        Ok(Self {
            copy,
            connection,
            questions: Calls::new(CATALOG, patience),
            searches: Calls::new(SEARCH, patience),
            saves: Calls::new(CATALOG, Patience { timeout: save_within, ..patience }),
            own_searches: Arc::new(Semaphore::new(OWN_SEARCHES_MAX)),
            within,
            _following: Arc::new(Following(following)),
        })
    }

    /// Waits until all that is so now is in the copy; false when that takes longer than `within`.
    pub async fn caught_up(&self, within: Duration) -> bool {
        self.copy.caught_up(within).await
    }
}

fn channel(url: &str) -> Result<Channel, NoAddress> {
    let endpoint: Endpoint = url.parse().map_err(|_| NoAddress)?;
    let uri = endpoint.uri();
    let plain = uri.scheme_str() == Some("http") && uri.host().is_some_and(|h| !h.is_empty()) && matches!(uri.path(), "" | "/");
    if !plain || uri.query().is_some() || uri.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err(NoAddress);
    }
    let endpoint = endpoint
        .connect_timeout(CONNECT_MAX)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIME_MAX)
        .keep_alive_while_idle(true);
    Ok(endpoint.connect_lazy())
}

impl RemoteCatalog {
    /// One call under the deadline, which the other node is told.
    async fn call<Q, R, F>(
        &self,
        calls: &Calls,
        repeat: Repeat,
        request: &Q,
        send: impl Fn(Connection, Request<Q>) -> F,
    ) -> Result<R, PortError>
    where
        Q: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let once = |deadline: Instant| {
            let mut timed = Request::new(request.clone());
            timed.set_timeout(deadline.saturating_duration_since(Instant::now()));
            // On the heap: a call of tonic's is large, and every future that awaits it would be as large.
            let answer = Box::pin(send(self.connection.clone(), timed));
            async move { answer.await.map(Response::into_inner).map_err(failed) }
        };
        calls.call(repeat, once).await
    }

    /// A question, which changes nothing, heard or not.
    async fn ask<Q, R, F>(&self, calls: &Calls, request: &Q, send: impl Fn(Connection, Request<Q>) -> F) -> Result<R, PortError>
    where
        Q: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let harmless = |error| PortError { did_it_happen: DidItHappen::No, ..error };
        self.call(calls, Repeat::Harmless, request, send).await.map_err(harmless)
    }

    async fn found(&self, text: &str, limit: usize) -> Result<Vec<BookId>, PortError> {
        let request = SearchRequest { text: text.to_owned(), limit: u32::try_from(limit).unwrap_or(u32::MAX) };
        let found = self.ask(&self.searches, &request, |mut to, request| async move { to.search(request).await }).await?;
        let ids: Result<Vec<_>, Nonsense> = found.books.iter().map(|id| book_id(id)).collect();
        ids.map_err(|nonsense| PortError::corrupt(SEARCH, nonsense))
    }
}

impl RemoteCatalog {
    /// On a thread of its own, a few at a time.
    async fn found_here(&self, text: String, limit: usize) -> Result<Vec<BookId>, PortError> {
        let crowded = || PortError::unavailable(SEARCH, "too many searches are done on the copy");
        let Ok(Ok(_place)) = timeout(self.within, self.own_searches.acquire()).await else { return Err(crowded()) };
        let snapshot = self.snapshot();
        spawn_blocking(move || memory::search(&snapshot, &text, limit)).await.map_err(|ended| PortError::unavailable(SEARCH, ended))
    }
}

fn unreadable(nonsense: Nonsense) -> PortError {
    PortError::corrupt(CATALOG, nonsense)
}

#[async_trait]
impl Catalog for RemoteCatalog {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.copy.snapshot()
    }

    fn level(&self, edition: EditionId) -> StockLevel {
        self.copy.level(edition)
    }

    fn changes(&self) -> u64 {
        self.copy.changes()
    }

    fn freshness(&self) -> Freshness {
        self.copy.freshness()
    }

    /// Done there, and then waited for here: whoever saved something finds it. Should the copy be cut off just then, it is
    /// found when that is over.
    async fn save(&self, change: CatalogChange, now: Timestamp) -> Result<CatalogSaved, PortError> {
        let request = save_request(&change, now);
        let send = |mut to: Connection, request| async move { to.save(request).await };
        let response = self.call(&self.saves, Repeat::IfUnheard, &request, send).await?;
        let saved = read_save_response(response).map_err(|nonsense| PortError::unknown(CATALOG, PortErrorKind::Corrupt, nonsense))?;
        if matches!(saved, CatalogSaved::Done) {
            self.copy.caught_up(self.within).await;
        }
        Ok(saved)
    }

    async fn prices(&self, edition: EditionId, before: Option<u64>, limit: usize) -> Result<Vec<(u64, PriceLine)>, PortError> {
        let request = PricesRequest { edition: edition.to_string(), before, limit: u32::try_from(limit).unwrap_or(u32::MAX) };
        let prices = self.ask(&self.questions, &request, |mut to, request| async move { to.prices(request).await }).await?;
        prices.lines.into_iter().map(|line| read_price_line(line).map_err(unreadable)).collect()
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        let request = RememberedRequest { key: key.to_vec() };
        let remembered = self.ask(&self.questions, &request, |mut to, request| async move { to.remembered(request).await }).await?;
        remembered.answer.map(read_answer).transpose().map_err(unreadable)
    }
}

#[async_trait]
impl SearchIndex for RemoteCatalog {
    /// Where the other node cannot say, by looking at every book of the copy.
    async fn matches(&self, text: &str, limit: usize) -> Result<Vec<BookId>, PortError> {
        if self.freshness() == Freshness::Fresh {
            match self.found(text, limit).await {
                Ok(found) => return Ok(found),
                Err(error) => tracing::debug!(%error, "a search is done on the copy"),
            }
        }
        self.freshness().ensure(Freshness::Stale)?;
        self.found_here(text.to_owned(), limit).await
    }
}
