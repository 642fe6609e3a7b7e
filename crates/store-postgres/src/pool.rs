//! The connections to one server: few, each with its patience set and every query prepared.

use crate::fault::Fault;
use crate::limits::{ANSWER_SLACK, IDLE_IN_TRANSACTION_MAX, KEEPALIVE_IDLE};
use crate::{OpenError, PgSettings, queries, tls};
use deadpool_postgres::{ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use futures_util::future::try_join_all;
use std::time::Duration;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Clones are the same pool.
#[derive(Clone)]
pub struct Connections {
    pool: Pool,
    /// How long an answer may take.
    patience: Duration,
}

/// What every connection has: its name, its patience, a way to find out that nobody is there any more.
pub fn config(url: &str, settings: &PgSettings, attrs: TargetSessionAttrs) -> Result<Config, OpenError> {
    let mut config: Config = url.parse()?;
    let patience = [
        ("statement_timeout", settings.statement_max),
        ("lock_timeout", settings.lock_max),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MAX),
    ];
    let patience = patience.map(|(name, max)| format!("-c {name}={}", max.as_millis())).join(" ");
    let options = config.get_options().map_or_else(|| patience.clone(), |own| format!("{patience} {own}"));
    if config.get_application_name().is_none() {
        config.application_name("cartwright");
    }
    config
        .options(options)
        .connect_timeout(settings.connect_max)
        .keepalives_idle(KEEPALIVE_IDLE)
        .tcp_user_timeout(settings.statement_max + ANSWER_SLACK)
        .target_session_attrs(attrs);
    Ok(config)
}

impl Connections {
    pub fn new(config: Config, settings: &PgSettings) -> Result<Self, OpenError> {
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(config, connector(settings)?, manager);
        let timeouts = Timeouts { wait: Some(settings.wait_max), create: Some(settings.connect_max), recycle: Some(settings.connect_max) };
        let prepare = Hook::async_fn(|client: &mut ClientWrapper, _| Box::pin(prepare(client)));
        let pool = Pool::builder(manager)
            .max_size(settings.connections_max)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .post_create(prepare)
            .build()
            .expect("invariant: there is a runtime for the timeouts");
        Ok(Self { pool, patience: settings.statement_max + ANSWER_SLACK })
    }

    pub async fn get(&self) -> Result<Object, Fault> {
        Ok(self.pool.get().await?)
    }

    /// The rows of one of the [`queries`].
    pub async fn rows(&self, query: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let client = self.get().await?;
        let answer = self.answer(async { Ok(client.query(&client.prepare_cached(query).await?, params).await?) }).await;
        if answer.as_ref().is_err_and(|fault| fault.is_read_only() || matches!(fault, Fault::Silent)) {
            // Whoever comes next shall find the server that does answer.
            drop(Object::take(client));
        }
        answer
    }

    /// The one row of a query, if it finds one.
    pub async fn row(&self, query: &str, params: Params<'_>) -> Result<Option<Row>, Fault> {
        Ok(self.rows(query, params).await?.pop())
    }

    /// What the server answers, unless it stays silent.
    pub async fn answer<T>(&self, asked: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        tokio::time::timeout(self.patience, asked).await.unwrap_or(Err(Fault::Silent))
    }
}

pub fn connector(settings: &PgSettings) -> Result<MakeRustlsConnect, OpenError> {
    tls::connector(settings.root_certificates.as_deref())
}

/// Every query at once: one round trip.
async fn prepare(client: &ClientWrapper) -> Result<(), HookError> {
    let prepared = try_join_all(queries::ALL.iter().map(|query| client.prepare_cached(query))).await;
    prepared.map(drop).map_err(HookError::Backend)
}
