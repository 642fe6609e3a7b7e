//! The way to a broker.

use crate::limits::{CONNECT_WITHIN, HEARTBEAT_SECONDS, RETRY_WAIT_MAX, RETRY_WAIT_MIN};
use crate::{Error, OpenError, RabbitSettings};
use lapin::runtime::default_runtime;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use std::fmt::Display;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// Brokers that serve the same queues.
pub struct Endpoints {
    uris: Vec<AMQPUri>,
    /// For those that are spoken to over TLS, which is always checked.
    tls: OwnedTLSConfig,
    /// The one to try first: it worked last time, or the one before it did not.
    next: AtomicUsize,
}

impl Endpoints {
    /// # Errors
    /// Settings that can never work.
    pub fn of(settings: &RabbitSettings) -> Result<Self, OpenError> {
        let uri = |(n, url): (usize, &String)| {
            let mut uri: AMQPUri = url.parse().map_err(|_| OpenError::Url { n: n + 1 })?;
            uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
            Ok(uri)
        };
        let uris = settings.urls.iter().enumerate().map(uri).collect::<Result<Vec<_>, _>>()?;
        let cert_chain = settings.ca_file.as_deref().map(certificates).transpose()?;
        let tls = OwnedTLSConfig { cert_chain, ..OwnedTLSConfig::default() };
        if uris.is_empty() { Err(OpenError::NoBroker) } else { Ok(Self { uris, tls, next: AtomicUsize::new(0) }) }
    }

    /// A connection to the first broker that answers; each is asked once.
    ///
    /// # Errors
    /// Why the last one did not.
    pub async fn connect(&self, name: &str) -> Result<Connection, Error> {
        let next = self.next.load(Ordering::Relaxed);
        let mut why = Error::from("no broker was asked");
        for n in (0..self.uris.len()).map(|n| (next + n) % self.uris.len()) {
            // Whoever runs out of patience here goes on with the next one.
            self.next.store(n + 1, Ordering::Relaxed);
            let uri = self.uris[n].clone();
            let (host, port) = (uri.authority.host.clone(), uri.authority.port);
            let properties = ConnectionProperties::default().with_connection_name(format!("cartwright {name}").into());
            let (tls, runtime) = (self.tls.clone(), default_runtime()?);
            match timeout(CONNECT_WITHIN, Connection::connect_uri_with_config(uri, properties, tls, runtime)).await {
                Ok(Ok(connection)) => {
                    self.next.store(n, Ordering::Relaxed);
                    return Ok(connection);
                }
                Ok(Err(error)) => why = format!("{host}:{port}: {error}").into(),
                Err(_) => why = format!("{host}:{port} does not answer").into(),
            }
        }
        Err(why)
    }
}

/// What a file of certificates holds.
fn certificates(path: &Path) -> Result<String, OpenError> {
    let unusable = |why: &dyn Display| OpenError::CaFile(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| unusable(&error))?;
    if text.contains("-----BEGIN CERTIFICATE-----") { Ok(text) } else { Err(unusable(&"there is no certificate in it")) }
}

/// How long to wait after so many failures in a row: twice as long each time, up to a bound, and never all nodes at once.
pub fn retry_wait(failures: u32) -> Duration {
    let longest = RETRY_WAIT_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(RETRY_WAIT_MAX);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound() {
        for (failures, least, most) in [(1, 50, 100), (2, 100, 200), (5, 800, 1600), (8, 5000, 10_000), (1000, 5000, 10_000)] {
            let wait = retry_wait(failures);
            assert!((Duration::from_millis(least)..=Duration::from_millis(most)).contains(&wait), "{failures}: {wait:?}");
        }
    }

    #[test]
    fn settings_that_can_never_work_are_refused() {
        let unreadable = "the URL of broker 2 cannot be read: amqp://user:password@host:5672/vhost is expected";
        for (urls, expected) in [
            (vec![], "there is no broker to connect to"),
            (vec!["amqp://guest:secret@127.0.0.1/%2f", "http://:secret@x"], unreadable),
            (vec!["amqps://guest:secret@127.0.0.1/%2f"], ""),
            (vec!["amqp://guest:secret@127.0.0.1/%2f", "amqp://[::1]:5673"], ""),
        ] {
            let settings = RabbitSettings::new(urls.into_iter().map(str::to_owned));
            let told = Endpoints::of(&settings).err().map(|e| e.to_string()).unwrap_or_default();
            assert_eq!(told, expected, "{:?}", settings.urls);
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        for (file, why) in [("Cargo.toml", "there is no certificate in it"), ("no-such-file", "No such file or directory (os error 2)")] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            let settings = RabbitSettings { ca_file: Some(path.clone()), ..RabbitSettings::new(["amqps://a".to_owned()]) };
            let told = Endpoints::of(&settings).err().map(|e| e.to_string()).unwrap_or_default();
            assert_eq!(told, format!("the file of trusted certificates cannot be used: {}: {why}", path.display()));
        }
    }
}
