//! Carts and sessions at scale, in Redis or Valkey, alone or as a cluster.

mod carts;
mod commit;
mod hash;
mod keys;
mod library;
mod limits;
mod node;
mod outbox;
mod part;
mod servers;
mod sessions;
mod slots;
mod transaction;
mod vet;

pub use vet::Unfit;

use crate::hash::Stored;
use crate::keys::Keys;
use crate::library::Library;
use crate::limits::{KNOWN_CARTS_BYTES, KNOWN_TOKENS, PREFIX_MAX};
use crate::node::{Failed, Unreachable};
use crate::servers::Servers;
use domain::ids::{CartId, SessionId};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How the store is reached and how patient it is.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://user:password@host:port` or `rediss://…`. Of a cluster, one or several of its servers.
    pub urls: Vec<String>,
    /// What every key starts with.
    pub prefix: String,
    /// Certificates to trust, in PEM; else those of the system.
    pub ca_file: Option<PathBuf>,
    /// Connections to each server.
    pub connections: usize,
    pub connect_timeout: Duration,
    /// How long one try waits for its answer.
    pub response_timeout: Duration,
    /// How long a call is tried again before it is given up.
    pub patience: Duration,
    /// So many replicas must have a write before it is acknowledged. With none, a failover loses what had not reached one.
    pub replicas_acknowledged: u32,
    /// Refuses servers without an append-only file, rather than warning of them.
    pub require_aof: bool,
}

/// Addresses hold passwords.
impl std::fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSettings").field("servers", &self.urls.len()).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            urls: vec!["redis://127.0.0.1:6379".to_owned()],
            prefix: "cw:".to_owned(),
            ca_file: None,
            connections: 2,
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
            patience: Duration::from_secs(4),
            replicas_acknowledged: 0,
            require_aof: false,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the address of Redis cannot be read: {0}")]
    Url(redis::RedisError),
    #[error("a prefix of keys is at most 32 bytes without braces, which {0:?} is not")]
    Prefix(String),
    #[error("no address of Redis is given")]
    NoAddress,
    #[error("the file of trusted certificates cannot be read: {0}")]
    CaFile(std::io::Error),
    #[error("Redis cannot be reached: {0}")]
    Unreachable(String),
    #[error("the Redis server {0} will not do: {1}")]
    Unfit(String, Unfit),
}

impl From<Failed> for OpenError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::NotSent(Unreachable::Unfit(unfit)) => Self::Unfit("at the address given".to_owned(), unfit),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

/// Carts and sessions in Redis. Clones are the same store.
#[derive(Clone)]
pub struct RedisStore(Arc<Open>);

struct Open {
    servers: Servers,
    keys: Keys,
    /// Carts as they were last seen: what a change is told apart from. Never believed without asking.
    known_carts: Cache<CartId, Arc<Stored>, Weight>,
    known_tokens: Cache<[u8; 32], SessionId>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<CartId, Arc<Stored>> for Weight {
    fn weight(&self, _: &CartId, stored: &Arc<Stored>) -> u64 {
        stored.weight()
    }
}

impl RedisStore {
    /// Connects to every server, vets it, and loads the functions.
    pub async fn connect(settings: RedisSettings) -> Result<Self, OpenError> {
        let prefix = settings.prefix.clone();
        if prefix.len() > PREFIX_MAX || prefix.contains(['{', '}']) {
            return Err(OpenError::Prefix(prefix));
        }
        let servers = Servers::connect(&settings).await?;
        let known_carts = Cache::with_weighter(10_000, KNOWN_CARTS_BYTES, Weight);
        Ok(Self(Arc::new(Open { servers, keys: Keys::new(prefix), known_carts, known_tokens: Cache::new(KNOWN_TOKENS) })))
    }

    fn servers(&self) -> &Servers {
        &self.0.servers
    }

    fn library(&self) -> &Library {
        &self.0.servers.dialer.library
    }

    fn keys(&self) -> &Keys {
        &self.0.keys
    }

    fn known_carts(&self) -> &Cache<CartId, Arc<Stored>, Weight> {
        &self.0.known_carts
    }

    fn known_tokens(&self) -> &Cache<[u8; 32], SessionId> {
        &self.0.known_tokens
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("servers", &self.0.servers).finish_non_exhaustive()
    }
}
