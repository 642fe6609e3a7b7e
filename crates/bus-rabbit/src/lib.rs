//! RabbitMQ as the bus: what was committed goes out with confirms, and what other systems say comes in, once.
//!
//! The client's own recovery is not used. Whoever finds the connection gone drops it, waits a little longer each
//! time, connects to the next broker of the list, and declares anew everything that must be there.

mod endpoints;
mod envelope;
mod inbox;
mod limits;
mod publish;
mod topology;

pub use inbox::consume;
pub use publish::RabbitBus;
pub use topology::Binding;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where the brokers are and what is spoken of there.
#[derive(Clone)]
pub struct RabbitSettings {
    /// The brokers of one cluster, tried in turn: `amqp://user:password@host:5672/vhost`, or `amqps://`.
    pub urls: Vec<String>,
    /// Whom to trust besides the system's certificates, where a URL begins with `amqps://`: a PEM file.
    pub ca_file: Option<PathBuf>,
    /// What the names of the shop's exchanges and queues begin with.
    pub prefix: String,
    /// The CloudEvents `source` of the shop's events. What comes in under it is the shop's own and passed over.
    pub source: String,
    /// Where other systems say `order.placed`. These exchanges are theirs to declare.
    pub orders: Vec<Binding>,
    /// How long one publication may take before it is given up, to be tried again.
    pub publish_within: Duration,
    /// How long a numbered message waits for the one before it.
    pub patience: Duration,
}

impl RabbitSettings {
    /// Everything but the brokers as it usually is.
    pub fn new(urls: impl IntoIterator<Item = String>) -> Self {
        Self {
            urls: urls.into_iter().collect(),
            ca_file: None,
            prefix: "cartwright".to_owned(),
            source: "urn:cartwright".to_owned(),
            orders: Vec::new(),
            publish_within: Duration::from_secs(10),
            patience: Duration::from_secs(5),
        }
    }
}

/// URLs hold passwords.
impl fmt::Debug for RabbitSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prefix, source, orders, .. } = self;
        f.debug_struct("RabbitSettings").field("prefix", prefix).field("source", source).field("orders", orders).finish_non_exhaustive()
    }
}

/// Settings that can never work. A broker that is away is none of these: it is waited for.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("there is no broker to connect to")]
    NoBroker,
    #[error("the URL of broker {n} cannot be read: amqp://user:password@host:5672/vhost is expected")]
    Url { n: usize },
    #[error("the file of trusted certificates cannot be used: {0}")]
    CaFile(String),
}

/// What went wrong between here and the broker.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
