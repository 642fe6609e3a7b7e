//! One Redis server: a few multiplexed connections that are opened when they are needed, vetted before they
//! are used, and opened again, with growing pauses, when they break.

use crate::copies::{Changes, Heard};
use crate::library::Library;
use crate::limits::{PAUSE_MIN, RECONNECT_PAUSE_MAX};
use crate::vet;
use crate::{OpenError, RedisSettings};
use arc_swap::ArcSwapOption;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisError, TlsCertificates, Value,
};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// How servers are connected to: all alike, but for their address.
pub struct Dialer {
    info: ConnectionInfo,
    tls: Option<TlsCertificates>,
    config: AsyncConnectionConfig,
    connections: usize,
    require_aof: bool,
    pub library: Library,
    /// Of what others change, to be told on every connection.
    changes: Option<Arc<Changes>>,
}

impl Dialer {
    /// The dialer, and the addresses that the settings name.
    pub fn new(settings: &RedisSettings, changes: Option<Arc<Changes>>) -> Result<(Self, Vec<Address>), OpenError> {
        let infos: Vec<ConnectionInfo> =
            settings.urls.iter().map(|url| url.as_str().into_connection_info()).collect::<Result<_, _>>().map_err(OpenError::Url)?;
        let addresses = infos.iter().map(|info| address(info.addr())).collect::<Option<Vec<_>>>().ok_or(OpenError::NoAddress)?;
        let info = infos.into_iter().next().ok_or(OpenError::NoAddress)?;
        let redis = info.redis_settings().clone().set_protocol(redis::ProtocolVersion::RESP3).set_skip_set_lib_name();
        let ca = settings.ca_file.as_ref().map(std::fs::read).transpose().map_err(OpenError::CaFile)?;
        let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        if is_tls {
            // One provider for the process; whoever comes first chooses the same.
            drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        }
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(settings.connect_timeout))
            .set_response_timeout(Some(settings.response_timeout));
        if let Some(changes) = changes.clone() {
            config = config.set_push_sender(move |news| {
                changes.told(&news);
                Ok::<_, Infallible>(())
            });
        }
        let dialer = Self {
            info: info.set_redis_settings(redis),
            tls: is_tls.then_some(TlsCertificates { client_tls: None, root_cert: ca }),
            config,
            connections: settings.connections.max(1),
            require_aof: settings.require_aof,
            library: Library::new(),
            changes,
        };
        Ok((dialer, addresses))
    }

    fn client(&self, to: &Address) -> Result<Client, RedisError> {
        let host = to.host.clone();
        match &self.tls {
            None => Client::open(self.info.clone().set_addr(ConnectionAddr::Tcp(host, to.port))),
            Some(tls) => {
                let addr = ConnectionAddr::TcpTls { host, port: to.port, insecure: false, tls_params: None };
                Client::build_with_tls(self.info.clone().set_addr(addr), tls.clone())
            }
        }
    }

    /// A connection that is ready: the server has been vetted and has the functions.
    async fn dial(&self, to: &Address) -> Result<MultiplexedConnection, Unreachable> {
        let client = self.client(to)?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&self.config).await?;
        vet::vet(&mut connection, self.require_aof).await?;
        self.library.load(&mut connection).await?;
        if self.changes.is_some() {
            Changes::tracking().exec_async(&mut connection).await?;
        }
        Ok(connection)
    }

    /// A connection is gone, or the servers have changed places: what was not told is not known.
    pub fn lost_touch(&self) {
        if let Some(changes) = &self.changes {
            changes.lost_touch();
        }
    }
}

fn address(addr: &ConnectionAddr) -> Option<Address> {
    match addr {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Some(Address { host: host.clone(), port: *port }),
        _ => None,
    }
}

/// Why there is no connection: nothing was sent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unreachable {
    #[error(transparent)]
    Broken(#[from] RedisError),
    #[error(transparent)]
    Unfit(#[from] vet::Unfit),
    #[error("{0} failed a moment ago")]
    Resting(Address),
}

pub struct Node {
    pub address: Address,
    dialer: Arc<Dialer>,
    lines: Vec<Line>,
    /// For writes that wait for replicas: whatever comes behind one of them on its connection waits, too.
    waiting: Vec<Line>,
    turn: AtomicUsize,
}

#[derive(Default)]
struct Line {
    open: ArcSwapOption<Open>,
    dialing: Mutex<Failures>,
    heard: Heard,
}

struct Open {
    connection: MultiplexedConnection,
}

#[derive(Default)]
struct Failures {
    count: u32,
    not_before: Option<Instant>,
}

impl Failures {
    fn another(&mut self) {
        let pause = PAUSE_MIN.saturating_mul(1 << self.count.min(12)).min(RECONNECT_PAUSE_MAX);
        self.count += 1;
        self.not_before = Some(Instant::now() + jittered(pause));
    }
}

/// Between half of it and all of it, so that many who wait do not come back together.
pub fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}

impl Node {
    pub fn new(address: Address, dialer: Arc<Dialer>) -> Self {
        let lines = || (0..dialer.connections).map(|_| Line::default()).collect();
        let (lines, waiting) = (lines(), lines());
        Self { address, dialer, lines, waiting, turn: AtomicUsize::new(0) }
    }

    /// Whether every connection that is read by has brought an answer within the last moment: each brings its own news.
    pub fn is_heard(&self) -> bool {
        self.lines.iter().all(|line| line.heard.lately())
    }

    /// Sends a command on one of the connections.
    pub async fn send(&self, command: &Cmd) -> Result<Value, Failed> {
        let (line, open) = self.open(&self.lines).await.map_err(Failed::NotSent)?;
        let asked = Instant::now();
        let sent = open.connection.clone().req_packed_command(command).await;
        let answered = sent.inspect(|_| line.heard.answered(asked)).and_then(Value::extract_error);
        answered.map_err(|error| self.failed(line, &open, error))
    }

    /// Sends a command that writes, and waits until so many replicas have it.
    pub async fn send_to_replicas(&self, command: &Cmd, replicas: Replicas) -> Result<Value, Failed> {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.ignore_errors();
        pipeline.add_command(command.clone());
        pipeline.cmd("WAIT").arg(replicas.count).arg(u64::try_from(replicas.timeout.as_millis()).unwrap_or(u64::MAX));
        let replies = self.send_on(&self.waiting, &pipeline).await?;
        let [value, Value::Int(have)] = <[Value; 2]>::try_from(replies).map_err(|_| Failed::Lost(too_few(0, replicas)))? else {
            return Err(Failed::Lost(too_few(0, replicas)));
        };
        let value = value.extract_error().map_err(Failed::Refused)?;
        if have < i64::from(replicas.count) { Err(Failed::Lost(too_few(have, replicas))) } else { Ok(value) }
    }

    /// Sends commands together; one that the server refuses is among the replies.
    pub async fn send_all(&self, commands: &Pipeline) -> Result<Vec<Value>, Failed> {
        self.send_on(&self.lines, commands).await
    }

    async fn send_on(&self, lines: &[Line], commands: &Pipeline) -> Result<Vec<Value>, Failed> {
        let (line, open) = self.open(lines).await.map_err(Failed::NotSent)?;
        let sent = open.connection.clone().req_packed_commands(commands, 0, commands.len()).await;
        sent.map_err(|error| self.failed(line, &open, error))
    }

    /// Loads the functions again.
    pub async fn load_library(&self) -> Result<(), Unreachable> {
        let (_, open) = self.open(&self.lines).await?;
        Ok(self.dialer.library.load(&mut open.connection.clone()).await?)
    }

    fn failed(&self, line: &Line, open: &Arc<Open>, error: RedisError) -> Failed {
        let refused = is_refusal(&error);
        // The next one to come opens another: a name may lead to another server by now. Whoever is slower than that leaves
        // the new one alone.
        let of_no_use = if refused { is_read_only(&error) } else { !error.is_timeout() };
        if of_no_use {
            self.dialer.lost_touch();
            line.open.rcu(|current| current.as_ref().filter(|now| !Arc::ptr_eq(now, open)).cloned());
        }
        if refused { Failed::Refused(error) } else { Failed::Lost(error) }
    }

    async fn open<'a>(&self, lines: &'a [Line]) -> Result<(&'a Line, Arc<Open>), Unreachable> {
        let line = &lines[self.turn.fetch_add(1, Ordering::Relaxed) % lines.len()];
        if let Some(open) = line.open.load_full() {
            return Ok((line, open));
        }
        let mut failures = line.dialing.lock().await;
        if let Some(open) = line.open.load_full() {
            return Ok((line, open));
        }
        if failures.not_before.is_some_and(|at| Instant::now() < at) {
            return Err(Unreachable::Resting(self.address.clone()));
        }
        match self.dialer.dial(&self.address).await {
            Ok(connection) => {
                *failures = Failures::default();
                let open = Arc::new(Open { connection });
                line.open.store(Some(Arc::clone(&open)));
                Ok((line, open))
            }
            Err(error) => {
                failures.another();
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.address)
    }
}

/// How many replicas must have a write before it is acknowledged, and how long that may take.
#[derive(Clone, Copy, Debug)]
pub struct Replicas {
    pub count: u32,
    pub timeout: Duration,
}

fn too_few(have: i64, replicas: Replicas) -> RedisError {
    let said = format!("{have} of {} replicas have it", replicas.count);
    std::io::Error::new(std::io::ErrorKind::TimedOut, said).into()
}

/// How a command came to nothing.
#[derive(Debug)]
pub enum Failed {
    NotSent(Unreachable),
    /// The server says no: it did nothing.
    Refused(RedisError),
    /// No answer: nobody knows whether it was done.
    Lost(RedisError),
}

impl Failed {
    /// No answer, or a function that broke off: it never does, but if it did, nobody would know how far it came.
    pub fn may_be_done(&self) -> bool {
        match self {
            Self::NotSent(_) => false,
            Self::Refused(error) => error.code() == Some("ERR") && !crate::library::is_missing(error),
            Self::Lost(_) => true,
        }
    }
}

fn is_read_only(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::ReadOnly)
}

/// The server has answered, with an error.
fn is_refusal(error: &RedisError) -> bool {
    matches!(error.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension)
}
