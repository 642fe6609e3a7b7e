//! Carts and sessions at scale, in Redis, alone or as a cluster.

mod carts;
mod commit;
mod copies;
mod gcra;
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

pub use copies::{Level, Looked};
pub use gcra::RedisLimits;
pub use vet::Unfit;

use crate::copies::Copies;
use crate::keys::Keys;
use crate::library::Library;
use crate::limits::{KNOWN_TOKENS, PREFIX_MAX};
use crate::node::{Failed, Unreachable};
use crate::servers::Servers;
use domain::ids::SessionId;
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
    /// Connections to each server. One carries many calls at a time; and with more than one, each tells of what this node
    /// wrote by another as if it were news, so that copies of it are not believed.
    pub connections: usize,
    /// Bytes of copies kept in this process; with 0, every read asks Redis.
    pub copies_bytes: u64,
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
            connections: 1,
            copies_bytes: 64 << 20,
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
    copies: Copies,
    known_tokens: Cache<[u8; 32], SessionId>,
}

impl RedisStore {
    /// Connects to every server, vets it, and loads the functions.
    pub async fn connect(settings: RedisSettings) -> Result<Self, OpenError> {
        let prefix = settings.prefix.clone();
        if prefix.len() > PREFIX_MAX || prefix.contains(['{', '}']) {
            return Err(OpenError::Prefix(prefix));
        }
        let keys = Keys::new(prefix);
        let copies = Copies::of(&keys, settings.copies_bytes);
        let servers = Servers::connect(&settings, copies.changes()).await?;
        Ok(Self(Arc::new(Open { servers, keys, copies, known_tokens: Cache::new(KNOWN_TOKENS) })))
    }

    /// How often carts and sessions were looked for and found, at each level.
    pub fn looked(&self) -> [Level; 4] {
        self.0.copies.looked()
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

    fn copies(&self) -> &Copies {
        &self.0.copies
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
