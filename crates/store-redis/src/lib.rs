//! Carts and sessions at scale, in Redis or Valkey, alone or as a cluster.

mod gcra;
mod library;
mod limits;
mod node;
mod servers;
mod slots;
mod vet;

pub use gcra::RedisLimits;
pub use vet::Unfit;

use crate::node::{Failed, Unreachable};
use crate::servers::Servers;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How the store is reached and how patient it is.
#[derive(Clone, Debug)]
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
    /// Refuses servers without an append-only file, rather than warning of them.
    pub require_aof: bool,
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
            require_aof: false,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the address of Redis cannot be read: {0}")]
    Url(redis::RedisError),
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
#[derive(Clone, Debug)]
pub struct RedisStore(Arc<Open>);

#[derive(Debug)]
struct Open {
    servers: Servers,
}

impl RedisStore {
    /// Connects to every server, vets it, and loads the functions.
    pub async fn connect(settings: RedisSettings) -> Result<Self, OpenError> {
        let servers = Servers::connect(&settings).await?;
        Ok(Self(Arc::new(Open { servers })))
    }
}
