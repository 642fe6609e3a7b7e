//! All servers together: a call goes to the one that has its partition, follows what the cluster says about
//! where that is now, and is tried again, with pauses, for as long as the settings' patience lasts.

use crate::copies::Changes;
use crate::library;
use crate::limits::{LAYOUT_PAUSE, PARTITIONS, PAUSE_MAX, PAUSE_MIN, PIPELINE_MAX, REDIRECTS_MAX, REPLICAS_SHARE};
use crate::node::{Address, Dialer, Failed, Node, Replicas, Unreachable, jittered};
use crate::slots::slot;
use crate::{OpenError, RedisSettings};
use app::ports::{DidItHappen, PortError, PortErrorKind};
use arc_swap::ArcSwap;
use domain::ids::Partition;
use futures_util::future::join_all;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value, cmd};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::time::{Duration, Instant};

pub struct Servers {
    pub dialer: Arc<Dialer>,
    seeds: Vec<Address>,
    nodes: Mutex<HashMap<Address, Arc<Node>>>,
    layout: ArcSwap<Layout>,
    learning: tokio::sync::Mutex<Option<Instant>>,
    is_cluster: bool,
    /// How long a call is tried again.
    pub patience: Duration,
    replicas: Option<Replicas>,
}

/// The master of every partition.
#[derive(Clone)]
struct Layout(Vec<Arc<Node>>);

/// What the server answered.
pub struct Reply {
    pub value: Value,
    /// An earlier try went without an answer: it may have been done already.
    pub repeated: bool,
}

/// A call that was given up.
#[derive(Debug)]
pub struct GivenUp {
    kind: PortErrorKind,
    maybe_done: bool,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl GivenUp {
    pub fn of_port(self, port: &'static str) -> PortError {
        let did_it_happen = if self.maybe_done { DidItHappen::Unknown } else { DidItHappen::No };
        PortError { port, kind: self.kind, did_it_happen, source: self.source }
    }

    /// What a server answered, or has stored, makes no sense.
    pub fn nonsense(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind: PortErrorKind::Corrupt, maybe_done: true, source: what.into() }
    }

    /// Nothing was done: others were in the way for too long.
    pub fn busy(what: &'static str) -> Self {
        Self { kind: PortErrorKind::Unavailable, maybe_done: false, source: what.into() }
    }

    /// Nothing was done, and nothing can be.
    pub fn refused(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind: PortErrorKind::Unavailable, maybe_done: false, source: what.into() }
    }

    /// Nobody can tell whether it was done.
    pub fn untold(what: &'static str) -> Self {
        Self { kind: PortErrorKind::Unavailable, maybe_done: true, source: what.into() }
    }
}

impl From<records::Damaged> for GivenUp {
    fn from(damaged: records::Damaged) -> Self {
        Self::nonsense(damaged)
    }
}

/// What to do about a failure.
enum Then {
    /// Ask who has the partition now, and try there after a pause.
    Relearn,
    Moved(Option<Address>),
    Ask(Option<Address>),
    Wait,
    LoadLibrary,
    GiveUp(PortErrorKind),
}

impl Servers {
    pub async fn connect(settings: &RedisSettings, changes: Option<Arc<Changes>>) -> Result<Self, OpenError> {
        let (dialer, seeds) = Dialer::new(settings, changes)?;
        let dialer = Arc::new(dialer);
        let first = seeds.first().cloned().ok_or(OpenError::NoAddress)?;
        let node = Arc::new(Node::new(first.clone(), Arc::clone(&dialer)));
        let mut servers = Self {
            dialer,
            seeds,
            nodes: Mutex::new(HashMap::from([(first, Arc::clone(&node))])),
            layout: ArcSwap::from_pointee(Layout(vec![node; PARTITIONS])),
            learning: tokio::sync::Mutex::new(None),
            is_cluster: false,
            patience: settings.patience,
            replicas: (settings.replicas_acknowledged > 0)
                .then_some(Replicas { count: settings.replicas_acknowledged, timeout: settings.response_timeout / REPLICAS_SHARE }),
        };
        servers.is_cluster = servers.ask_whether_cluster().await?;
        if servers.is_cluster {
            servers.learn(None).await.map_err(OpenError::Unreachable)?;
        }
        for node in servers.masters() {
            node.send(&cmd("PING")).await.map_err(OpenError::from)?;
        }
        Ok(servers)
    }

    async fn ask_whether_cluster(&self) -> Result<bool, OpenError> {
        let mut last = None;
        for seed in &self.seeds {
            match self.node(seed).send(cmd("INFO").arg("cluster")).await {
                Ok(told) => {
                    let told: String = redis::from_redis_value(told).map_err(|e| OpenError::Unreachable(e.to_string()))?;
                    return Ok(told.contains("cluster_enabled:1"));
                }
                Err(Failed::NotSent(Unreachable::Unfit(unfit))) => return Err(OpenError::Unfit(seed.to_string(), unfit)),
                Err(failed) => last = Some(failed),
            }
        }
        Err(last.map_or(OpenError::NoAddress, OpenError::from))
    }

    fn node(&self, address: &Address) -> Arc<Node> {
        let mut nodes = self.nodes.lock().expect("invariant: nothing panics while it holds the nodes");
        let node = nodes.entry(address.clone()).or_insert_with(|| Arc::new(Node::new(address.clone(), Arc::clone(&self.dialer))));
        Arc::clone(node)
    }

    /// Every server that has partitions, once.
    pub fn masters(&self) -> Vec<Arc<Node>> {
        let mut masters: Vec<Arc<Node>> = Vec::new();
        for node in &self.layout.load().0 {
            if !masters.iter().any(|known| Arc::ptr_eq(known, node)) {
                masters.push(Arc::clone(node));
            }
        }
        masters
    }

    fn master(&self, partition: Partition) -> Arc<Node> {
        Arc::clone(&self.layout.load().0[usize::from(partition.0)])
    }

    /// Whether writes wait for replicas, on connections of their own.
    pub fn wait_for_replicas(&self) -> bool {
        self.replicas.is_some()
    }

    /// Whether the server of a partition was heard of within the last moment.
    pub fn heard_lately(&self, partition: Partition) -> bool {
        self.layout.load().0[usize::from(partition.0)].is_heard()
    }

    /// Asks the server of a partition.
    pub async fn call(&self, partition: Partition, command: &Cmd) -> Result<Reply, GivenUp> {
        self.try_until(Instant::now() + self.patience, partition, command, None).await
    }

    /// Lets the server of a partition write, and as many of its replicas as the settings ask for.
    pub async fn write(&self, partition: Partition, command: &Cmd) -> Result<Reply, GivenUp> {
        self.try_until(Instant::now() + self.patience, partition, command, self.replicas).await
    }

    async fn try_until(&self, until: Instant, partition: Partition, command: &Cmd, replicas: Option<Replicas>) -> Result<Reply, GivenUp> {
        let (mut repeated, mut redirects, mut pause) = (false, 0, PAUSE_MIN);
        let mut ask: Option<Arc<Node>> = None;
        loop {
            let (node, sent) = match ask.take() {
                Some(node) => {
                    let sent = asking(&node, command).await;
                    (node, sent)
                }
                None => {
                    let node = self.master(partition);
                    let sent = match replicas {
                        None => node.send(command).await,
                        Some(replicas) => node.send_to_replicas(command, replicas).await,
                    };
                    (node, sent)
                }
            };
            let failed = match sent {
                Ok(value) => return Ok(Reply { value, repeated }),
                Err(failed) => failed,
            };
            repeated |= failed.may_be_done();
            let then = self.then(&node, &failed);
            if let Then::GiveUp(kind) = then {
                return Err(given_up(kind, repeated, failed));
            }
            let at_once = match then {
                Then::Moved(Some(to)) => {
                    self.moved(partition, &to);
                    true
                }
                Then::Ask(Some(to)) => {
                    ask = Some(self.node(&to));
                    true
                }
                Then::LoadLibrary => node.load_library().await.is_ok(),
                Then::Moved(None) | Then::Ask(None) | Then::Relearn => {
                    drop(self.learn(Some(&node)).await);
                    false
                }
                Then::Wait | Then::GiveUp(_) => false,
            };
            redirects += 1;
            if at_once && redirects <= REDIRECTS_MAX {
                continue;
            }
            let wait = jittered(pause);
            if Instant::now() + wait >= until {
                return Err(given_up(PortErrorKind::Unavailable, repeated, failed));
            }
            #[expect(clippy::disallowed_methods, reason = "a bounded pause before the same call is tried again")]
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Calls that may be repeated without harm: some at a time for every server, one by one for what that leaves.
    pub async fn call_all(&self, calls: &[(Partition, Cmd)]) -> Vec<Result<Value, GivenUp>> {
        let until = Instant::now() + self.patience;
        self.try_all_until(until, calls).await
    }

    /// Questions to many partitions that can do without some of the answers, but not without all: nobody waits for a server
    /// that is away.
    pub async fn ask_all(&self, questions: &[(Partition, Cmd)]) -> Result<Vec<Option<Value>>, GivenUp> {
        let mut answers = Vec::with_capacity(questions.len());
        let mut failed = None;
        for answer in self.try_all_until(Instant::now(), questions).await {
            answers.push(answer.map_err(|error| failed = Some(error)).ok());
        }
        match failed {
            Some(failed) if answers.iter().all(Option::is_none) => Err(failed),
            _ => Ok(answers),
        }
    }

    async fn try_all_until(&self, until: Instant, calls: &[(Partition, Cmd)]) -> Vec<Result<Value, GivenUp>> {
        let mut by_node: Vec<(Arc<Node>, Vec<usize>)> = Vec::new();
        for (place, (partition, _)) in calls.iter().enumerate() {
            let node = self.master(*partition);
            match by_node.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &node)) {
                Some((_, places)) => places.push(place),
                None => by_node.push((node, vec![place])),
            }
        }
        let sent = by_node.iter().map(async |(node, places)| {
            let mut replies = Vec::with_capacity(places.len());
            for some in places.chunks(PIPELINE_MAX) {
                let mut pipeline = Pipeline::with_capacity(some.len());
                pipeline.ignore_errors();
                for place in some {
                    pipeline.add_command(calls[*place].1.clone());
                }
                let Ok(values) = node.send_all(&pipeline).await else { break };
                replies.extend(values);
            }
            replies
        });
        let mut answers: Vec<Option<Value>> = vec![None; calls.len()];
        for (replies, (_, places)) in join_all(sent).await.into_iter().zip(&by_node) {
            for (value, place) in replies.into_iter().zip(places) {
                answers[*place] = value.extract_error().ok();
            }
        }
        let left = answers.into_iter().zip(calls).map(async |(answer, (partition, command))| match answer {
            Some(value) => Ok(value),
            None => self.try_until(until, *partition, command, None).await.map(|reply| reply.value),
        });
        join_all(left).await
    }

    fn then(&self, node: &Node, failed: &Failed) -> Then {
        match failed {
            Failed::NotSent(Unreachable::Unfit(_)) => Then::GiveUp(PortErrorKind::Unavailable),
            Failed::NotSent(_) | Failed::Lost(_) => Then::Relearn,
            Failed::Refused(error) => {
                let to = || redirect(error, &node.address);
                match (error.kind(), error.code()) {
                    (ErrorKind::Server(ServerErrorKind::Moved), _) => Then::Moved(to()),
                    (ErrorKind::Server(ServerErrorKind::Ask), _) => Then::Ask(to()),
                    (ErrorKind::Server(ServerErrorKind::TryAgain | ServerErrorKind::BusyLoading), _) => Then::Wait,
                    (ErrorKind::Server(ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown | ServerErrorKind::ReadOnly), _) => {
                        Then::Relearn
                    }
                    // No room in memory, or none on the disk for the append-only file.
                    (_, Some("OOM" | "MISCONF")) => Then::GiveUp(PortErrorKind::Full),
                    (_, Some("BUSY" | "NOREPLICAS")) => Then::Wait,
                    _ if library::is_missing(error) => Then::LoadLibrary,
                    _ => Then::GiveUp(PortErrorKind::Unavailable),
                }
            }
        }
    }

    /// The rest of the layout is asked for when something else does not fit.
    fn moved(&self, partition: Partition, to: &Address) {
        self.dialer.lost_touch();
        let node = self.node(to);
        self.layout.rcu(|layout| {
            let mut layout = Layout::clone(layout);
            layout.0[usize::from(partition.0)] = Arc::clone(&node);
            layout
        });
    }

    /// Asks any server for the layout, the doubtful one last; whoever comes while it is asked for waits and goes by the
    /// same answer.
    async fn learn(&self, doubtful: Option<&Arc<Node>>) -> Result<(), String> {
        if !self.is_cluster {
            return Ok(());
        }
        let asked_at = Instant::now();
        let mut last = self.learning.lock().await;
        if last.is_some_and(|at| at >= asked_at || at.elapsed() < LAYOUT_PAUSE) {
            return Ok(());
        }
        let mut candidates = self.masters();
        candidates.extend(self.seeds.iter().map(|seed| self.node(seed)));
        candidates.sort_by_key(|node| doubtful.is_some_and(|doubtful| Arc::ptr_eq(doubtful, node)));
        let mut why = String::from("there is no server to ask");
        for node in candidates {
            match node.send(cmd("CLUSTER").arg("SLOTS")).await {
                Ok(told) => match self.layout_of(&told, &node.address) {
                    Some(layout) => {
                        self.layout.store(Arc::new(layout));
                        self.dialer.lost_touch();
                        *last = Some(Instant::now());
                        return Ok(());
                    }
                    None => why = format!("{} does not know every partition's server", node.address),
                },
                Err(failed) => why = failed.to_string(),
            }
        }
        *last = Some(Instant::now());
        Err(why)
    }

    /// From `CLUSTER SLOTS`: ranges, each with its master first. What it leaves out stays where it was.
    fn layout_of(&self, told: &Value, told_by: &Address) -> Option<Layout> {
        let Value::Array(ranges) = told else { return None };
        let mut layout = Layout::clone(&self.layout.load());
        let mut found = 0;
        for range in ranges {
            let Value::Array(range) = range else { return None };
            let [Value::Int(from), Value::Int(to), Value::Array(master), ..] = range.as_slice() else { return None };
            let [host, Value::Int(port), ..] = master.as_slice() else { return None };
            let host = match host {
                Value::BulkString(host) if !host.is_empty() => String::from_utf8_lossy(host).into_owned(),
                Value::SimpleString(host) if !host.is_empty() => host.clone(),
                // "Where you asked", as the protocol has it.
                _ => told_by.host.clone(),
            };
            let node = self.node(&Address { host, port: u16::try_from(*port).ok()? });
            for partition in 0..=u8::MAX {
                if (*from..=*to).contains(&i64::from(slot(partition))) {
                    layout.0[usize::from(partition)] = Arc::clone(&node);
                    found += 1;
                }
            }
        }
        (found > 0).then_some(layout)
    }
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Servers").field("masters", &self.masters()).finish_non_exhaustive()
    }
}

/// Sends a command to the server that a partition is moving to.
async fn asking(node: &Node, command: &Cmd) -> Result<Value, Failed> {
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.ignore_errors();
    pipeline.cmd("ASKING").add_command(command.clone());
    let replies = node.send_all(&pipeline).await?;
    let answer = replies.into_iter().nth(1).unwrap_or(Value::Nil);
    answer.extract_error().map_err(Failed::Refused)
}

/// Where an error of `from` says to go.
fn redirect(error: &RedisError, from: &Address) -> Option<Address> {
    let (to, _) = error.redirect_node()?;
    let (host, port) = to.rsplit_once(':')?;
    let host = if host.is_empty() { &from.host } else { host };
    Some(Address { host: host.to_owned(), port: port.parse().ok()? })
}

fn given_up(kind: PortErrorKind, maybe_done: bool, failed: Failed) -> GivenUp {
    let kind = match &failed {
        Failed::Lost(error) if error.is_timeout() => PortErrorKind::Timeout,
        _ => kind,
    };
    GivenUp { kind, maybe_done, source: failed.into() }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(error) => error.fmt(f),
            Self::Refused(error) | Self::Lost(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failed {}
