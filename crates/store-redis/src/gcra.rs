//! Limits that all nodes share, each in one call (`limits.lua`). A budget is one number, as in the generic cell rate
//! algorithm: when it will be whole again. Keys run out when they say nothing any more.
//!
//! A limit must not slow down what it limits: an answer that does not come soon is an error, and after a few of them
//! nobody asks any more until a probe in the background is answered in time again.

use crate::limits::{LIMITS_FAILURES_MAX, LIMITS_PROBE_PAUSE, LIMITS_PROBE_TIME_MAX};
use crate::servers::{GivenUp, Servers};
use crate::{OpenError, RedisSettings};
use app::ports::{FailuresMax, PortError, PortErrorKind, Quota, Room, SharedLimits, Spent, Ticket};
use async_trait::async_trait;
use domain::ids::Partition;
use redis::{Cmd, Value};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::timeout;

const PORT: &str = "limits";

/// Limits in Redis, over connections of their own. Clones are the same.
#[derive(Clone, Debug)]
pub struct RedisLimits(Arc<Limits>);

#[derive(Debug)]
struct Limits {
    servers: Servers,
    prefix: String,
    /// How long an answer is waited for.
    within: Duration,
    /// Answers that did not come in time, in a row.
    failures: AtomicU32,
    /// Nobody asks until a probe is answered.
    resting: AtomicBool,
}

impl RedisLimits {
    /// Connects; an answer that takes longer than `within` is none.
    ///
    /// # Errors
    /// No server that will do can be reached.
    pub async fn connect(settings: RedisSettings, within: Duration) -> Result<Self, OpenError> {
        let servers = Servers::connect(&settings, None).await?;
        let limits = Limits { servers, prefix: settings.prefix, within, failures: AtomicU32::new(0), resting: AtomicBool::new(false) };
        Ok(Self(Arc::new(limits)))
    }
}

impl Limits {
    /// A call about a name, with the keys that are kept for it.
    fn call(&self, function: &str, kinds: &[&str], name: &str) -> (Partition, Cmd) {
        // Names hold addresses of people and may be long: a digest is neither.
        let digest = Sha256::digest(name);
        let partition = Partition(digest[0]);
        let short: String = digest[1..17].iter().map(|byte| format!("{byte:02x}")).collect();
        let keys: Vec<String> = kinds.iter().map(|kind| format!("{}{kind}:{{{}}}{short}", self.prefix, partition.0)).collect();
        (partition, self.servers.dialer.library.call(function, &keys))
    }

    async fn ask(self: &Arc<Self>, (partition, call): (Partition, Cmd)) -> Result<Value, PortError> {
        if self.resting.load(Ordering::Relaxed) {
            return Err(PortError::unavailable(PORT, "they did not answer in time, and are left alone for a moment"));
        }
        let failed = match timeout(self.within, self.servers.call(partition, &call)).await {
            Ok(Ok(reply)) => {
                self.failures.store(0, Ordering::Relaxed);
                return Ok(reply.value);
            }
            Ok(Err(given_up)) => given_up.of_port(PORT),
            Err(late) => PortError::unknown(PORT, PortErrorKind::Timeout, late),
        };
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= LIMITS_FAILURES_MAX && !self.resting.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %failed, "shared limits do not answer in time; this node goes by its own");
            #[expect(clippy::disallowed_methods, reason = "no request should wait for the probe; it ends with the limits")]
            tokio::spawn(probe(Arc::downgrade(self), partition));
        }
        Err(failed)
    }

    /// Whether the server of a partition answers in time. It may first have to be connected to.
    async fn answers(&self, partition: Partition) -> bool {
        let ping = || redis::cmd("PING");
        let connected = timeout(LIMITS_PROBE_TIME_MAX, self.servers.call(partition, &ping())).await;
        matches!(connected, Ok(Ok(_))) && matches!(timeout(self.within, self.servers.call(partition, &ping())).await, Ok(Ok(_)))
    }
}

/// Ends the rest of the limits when they are well again.
async fn probe(limits: Weak<Limits>, partition: Partition) {
    loop {
        #[expect(clippy::disallowed_methods, reason = "what has failed is left alone for a moment")]
        tokio::time::sleep(LIMITS_PROBE_PAUSE).await;
        let Some(limits) = limits.upgrade() else { return };
        if limits.answers(partition).await {
            tracing::info!("shared limits answer again");
            limits.failures.store(0, Ordering::Relaxed);
            limits.resting.store(false, Ordering::Relaxed);
            return;
        }
    }
}

#[async_trait]
impl SharedLimits for RedisLimits {
    async fn spend(&self, key: &str, quota: Quota) -> Result<Spent, PortError> {
        let share = (quota.span / quota.amount.get()).max(Duration::from_micros(1));
        let (partition, mut call) = self.0.call("spend", &["limit"], key);
        call.arg(micros(share)).arg(quota.amount.get());
        let (left, wait) = two(&self.0.ask((partition, call)).await?)?;
        let left = u32::try_from(left).map_err(|_| nonsense())?;
        Ok(Spent { left, wait: Some(wait).filter(|wait| !wait.is_zero()) })
    }

    async fn admit(&self, key: &str, ticket: Ticket, max: FailuresMax, keep: Duration) -> Result<Room, PortError> {
        let (partition, mut call) = self.0.call("admit", &["failed", "trying"], key);
        call.arg(&ticket).arg(max.amount).arg(micros(keep));
        match two(&self.0.ask((partition, call)).await?)? {
            (0, _) => Ok(Room::There),
            (1, _) => Ok(Room::Perhaps),
            (2, wait) => Ok(Room::None(wait)),
            _ => Err(nonsense()),
        }
    }

    async fn settle(&self, key: &str, ticket: Option<Ticket>, failed: Option<Ticket>, window: Duration) -> Result<(), PortError> {
        let (partition, mut call) = self.0.call("settle", &["failed", "trying"], key);
        let text = |id: Option<Ticket>| id.map_or(Vec::new(), |id| id.to_vec());
        call.arg(text(ticket)).arg(text(failed)).arg(micros(window));
        self.0.ask((partition, call)).await.map(drop)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// A number, and a time in microseconds.
fn two(value: &Value) -> Result<(i64, Duration), PortError> {
    match value {
        Value::Array(values) => match values.as_slice() {
            [Value::Int(number), Value::Int(time)] => Ok((*number, Duration::from_micros(u64::try_from(*time).unwrap_or(0)))),
            _ => Err(nonsense()),
        },
        _ => Err(nonsense()),
    }
}

fn nonsense() -> PortError {
    GivenUp::nonsense("an answer of another shape").of_port(PORT)
}
