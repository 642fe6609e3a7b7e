//! The servers of one database, and the way to the one that is wanted: after a failover that is another one than before.

use crate::limits::{ANSWER_SLACK, IDLE_IN_TRANSACTION_MAX, KEEPALIVE_IDLE};
use crate::{OpenError, PgSettings, tls};
use deadpool_postgres::Connect;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

pub type Wire = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

pub struct Hosts {
    each: Vec<Config>,
    tls: MakeRustlsConnect,
    /// How long one may take before the next is asked.
    patience: Duration,
    /// The one to ask first: it was the right one last time, or the one before it was not.
    next: AtomicUsize,
}

impl Hosts {
    /// # Errors
    /// A url or certificates that can never work.
    pub fn new(url: &str, settings: &PgSettings, attrs: TargetSessionAttrs) -> Result<Self, OpenError> {
        let each = urls(url).iter().map(|url| config(url, settings, attrs)).collect::<Result<Vec<_>, _>>()?;
        let patience = settings.connect_max / u32::try_from(each.len()).expect("invariant: a url is short");
        Ok(Self { each, tls: tls::connector(settings.root_certificates.as_deref())?, patience, next: AtomicUsize::new(0) })
    }

    /// What connections are called at the server.
    pub fn named(mut self, name: &str) -> Self {
        for config in &mut self.each {
            config.application_name(name);
        }
        self
    }

    /// What connections to all of them have in common.
    pub fn any(&self) -> &Config {
        &self.each[0]
    }

    /// A connection to the first that has what is wanted; one that hangs does not stand in the way of the next.
    ///
    /// # Errors
    /// Why the last one was not it.
    pub async fn connect(&self) -> Result<(Client, Wire), Error> {
        let first = self.next.load(Ordering::Relaxed);
        let last = first + self.each.len() - 1;
        for n in first..last {
            if let Ok(Ok(connected)) = timeout(self.patience, self.ask(n)).await {
                return Ok(connected);
            }
        }
        self.ask(last).await
    }

    async fn ask(&self, n: usize) -> Result<(Client, Wire), Error> {
        let n = n % self.each.len();
        // Whoever runs out of patience here goes on with the next one.
        self.next.store(n + 1, Ordering::Relaxed);
        let connected = self.each[n].connect(self.tls.clone()).await?;
        self.next.store(n, Ordering::Relaxed);
        Ok(connected)
    }
}

impl Connect for Hosts {
    #[expect(clippy::disallowed_methods, reason = "it ends with its client")]
    fn connect(&self, _: &Config) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(async {
            let (client, wire) = Self::connect(self).await?;
            // Whoever uses the client is told why it ends.
            Ok((client, tokio::spawn(async { drop(wire.await) })))
        })
    }
}

/// One for each host of `postgres://user@a:1,b:2/database`.
fn urls(url: &str) -> Vec<String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let (authority, database) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    hosts.split(',').map(|host| format!("{scheme}://{user}{host}{database}")).collect()
}

/// What every connection has: its name, its patience, a way to find out that nobody is there any more.
fn config(url: &str, settings: &PgSettings, attrs: TargetSessionAttrs) -> Result<Config, OpenError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_several_hosts_is_one_for_each() {
        for (url, expected) in [
            ("postgres://shop@db/shop", vec!["postgres://shop@db/shop"]),
            (
                "postgres://shop:a%2Cb@one:1,two:2/shop?sslmode=require",
                vec!["postgres://shop:a%2Cb@one:1/shop?sslmode=require", "postgres://shop:a%2Cb@two:2/shop?sslmode=require"],
            ),
            ("postgresql://one,two?user=a@b", vec!["postgresql://one?user=a@b", "postgresql://two?user=a@b"]),
        ] {
            assert_eq!(urls(url), expected);
        }
    }
}
