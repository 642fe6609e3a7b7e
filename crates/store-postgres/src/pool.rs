//! The connections to one server: few, and each with every query prepared.

use crate::fault::Fault;
use crate::hosts::Hosts;
use crate::limits::{ANSWER_SLACK, READ_TRIES_MAX, RETRY_AFTER, TRIES_MAX};
use crate::{PgSettings, queries};
use backon::{ExponentialBuilder, Retryable};
use deadpool_postgres::{ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use futures_util::future::try_join_all;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Clones are the same pool.
#[derive(Clone)]
pub struct Connections {
    pool: Pool,
    /// How long an answer may take.
    patience: Duration,
    /// How long it may take to find out what became of a write.
    pub resolve_max: Duration,
}

impl Connections {
    pub fn new(hosts: Hosts, settings: &PgSettings) -> Self {
        let fast = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(hosts.any().clone(), hosts, fast);
        let timeouts = Timeouts { wait: Some(settings.wait_max), create: Some(settings.connect_max), recycle: Some(settings.connect_max) };
        let prepare = Hook::async_fn(|client: &mut ClientWrapper, _| Box::pin(prepare(client)));
        let pool = Pool::builder(manager)
            .max_size(settings.connections_max)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .post_create(prepare)
            .build()
            .expect("invariant: there is a runtime for the timeouts");
        Self { pool, patience: settings.statement_max + ANSWER_SLACK, resolve_max: settings.resolve_max }
    }

    pub async fn get(&self) -> Result<Object, Fault> {
        Ok(self.pool.get().await?)
    }

    /// The rows of one of the [`queries`]: one round trip, one transaction. One that lost to another is tried again.
    pub async fn rows(&self, query: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let once = || self.on_one(async |client| Ok(client.query(&client.prepare_cached(query).await?, params).await?));
        once.retry(tries(TRIES_MAX)).when(Fault::is_lost_race).await
    }

    /// The first row of a query, if it finds one.
    pub async fn row(&self, query: &str, params: Params<'_>) -> Result<Option<Row>, Fault> {
        Ok(self.rows(query, params).await?.into_iter().next())
    }

    /// How many rows a statement has changed.
    pub async fn execute(&self, query: &str, params: Params<'_>) -> Result<u64, Fault> {
        let once = || self.on_one(async |client| Ok(client.execute(&client.prepare_cached(query).await?, params).await?));
        once.retry(tries(TRIES_MAX)).when(Fault::is_lost_race).await
    }

    /// The rows of a query that changes nothing: also tried again when a connection breaks.
    pub async fn read(&self, query: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let once = || self.on_one(async |client| Ok(client.query(&client.prepare_cached(query).await?, params).await?));
        once.retry(tries(READ_TRIES_MAX)).when(|fault| fault.is_broken() && !matches!(fault, Fault::Silent)).await
    }

    /// The rows of several queries, one after the other on one connection, in one round trip.
    pub async fn in_order<const N: usize>(&self, asked: [(&str, Params<'_>); N]) -> Result<[Vec<Row>; N], Fault> {
        let all = async |client: &ClientWrapper| {
            let each = asked.iter().map(async |(query, params)| client.query(&client.prepare_cached(query).await?, params).await);
            Ok(try_join_all(each).await?)
        };
        let rows = self.on_one(all).await?;
        Ok(rows.try_into().expect("invariant: as many answers as questions"))
    }

    /// Asks on one connection, which nobody else gets any more when it is of no use.
    async fn on_one<T>(&self, ask: impl AsyncFnOnce(&ClientWrapper) -> Result<T, Fault>) -> Result<T, Fault> {
        let client = self.get().await?;
        let answer = self.answer(ask(&client)).await;
        if answer.as_ref().is_err_and(|fault| fault.is_broken() || fault.is_read_only()) {
            drop(Object::take(client));
        }
        answer
    }

    /// What the server answers, unless it stays silent.
    pub async fn answer<T>(&self, asked: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        tokio::time::timeout(self.patience, asked).await.unwrap_or(Err(Fault::Silent))
    }
}

fn tries(max: usize) -> ExponentialBuilder {
    ExponentialBuilder::new().with_min_delay(RETRY_AFTER).with_max_times(max - 1).with_jitter()
}

/// Every query at once: one round trip.
async fn prepare(client: &ClientWrapper) -> Result<(), HookError> {
    let prepared = try_join_all(queries::all().map(|query| client.prepare_cached(query))).await;
    prepared.map(drop).map_err(HookError::Backend)
}
