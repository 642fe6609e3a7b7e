use crate::limits;
use std::path::PathBuf;
use std::time::Duration;

/// Where the database is, and how patient a node is with it.
#[derive(Clone)]
pub struct PgSettings {
    /// `postgres://user:password@host[,host]/database?sslmode=require`. Of several hosts the one that takes writes is used.
    pub url: String,
    /// A replica, for reads that may be stale; while it is away, the primary has them. Decisions never read there.
    pub read_url: Option<String>,
    /// Whom to trust besides the system's certificates: a PEM file.
    pub root_certificates: Option<PathBuf>,
    /// To each of the two servers.
    pub connections_max: usize,
    /// How long a call waits for a connection.
    pub wait_max: Duration,
    pub connect_max: Duration,
    pub statement_max: Duration,
    pub lock_max: Duration,
    /// How long changes that are committed together wait for a row that another holds, before each is committed by itself.
    pub group_lock_max: Duration,
    /// How long a node tries to find out what became of a commit whose connection broke, before it says that nobody knows.
    pub resolve_max: Duration,
    /// Whether catalog and levels of stock are kept in memory, and not only the rules of prices. A store that leaves them out is no catalog.
    pub copies_catalog: bool,
    /// Starts also on a server that may forget what it has acknowledged (`fsync`, `full_page_writes` or
    /// `synchronous_commit` off). For tests.
    pub forgetful_allowed: bool,
}

impl PgSettings {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            read_url: None,
            root_certificates: None,
            connections_max: limits::CONNECTIONS_MAX,
            wait_max: limits::WAIT_MAX,
            connect_max: limits::CONNECT_MAX,
            statement_max: limits::STATEMENT_MAX,
            lock_max: limits::LOCK_MAX,
            group_lock_max: limits::GROUP_LOCK_MAX,
            resolve_max: limits::RESOLVE_MAX,
            copies_catalog: true,
            forgetful_allowed: false,
        }
    }

    /// Nobody waits long for a replica, since the primary has the same.
    pub(crate) fn for_replica(&self) -> Self {
        let short = |own: Duration| own.min(limits::REPLICA_MAX);
        Self { connect_max: short(self.connect_max), statement_max: short(self.statement_max), ..self.clone() }
    }
}

/// Without the urls: there are passwords in them.
impl std::fmt::Debug for PgSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgSettings").field("connections_max", &self.connections_max).finish_non_exhaustive()
    }
}
