//! Where things are kept, how they are told, and what a node does of it.

use super::{Provider, Settings};
use bus_rabbit::{Binding, RabbitSettings};
use serde::{Deserialize, Serialize, Serializer};
use std::path::{Path, PathBuf};
use store_postgres::PgSettings;
use store_redis::RedisSettings;

/// What a node does of what nodes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Answers requests.
    Edge,
    /// Does what goes on beside them.
    Worker,
    /// Serves the catalog to other nodes.
    Catalog,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    pub postgres_url: Address,
    pub postgres_read_url: Address,
    pub postgres_connections_max: usize,
    pub redis_urls: Vec<Address>,
    pub redis_prefix: String,
    pub redis_copies_bytes: u64,
    pub redis_replicas_acknowledged: u32,
    pub redis_require_aof: bool,
    pub ca_file: PathBuf,
}

impl Store {
    /// Other processes have it too.
    pub fn is_shared(&self) -> bool {
        self.postgres_url.told().is_some()
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BusAt {
    pub urls: Vec<Address>,
    pub prefix: String,
    pub source: String,
    pub orders: Vec<String>,
    pub ca_file: PathBuf,
}

/// An address that may have a password in it, which is not shown; empty when there is none.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    pub fn told(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.is_empty())
    }

    /// The address with `***` for what is secret: the password of `user:password@`, and parameters named like one.
    fn shown(&self) -> String {
        let (plain, parameters) = self.0.split_once('?').map_or((self.0.as_str(), None), |(plain, p)| (plain, Some(p)));
        let mut shown = match (plain.find("://"), plain.rfind('@')) {
            (Some(scheme), Some(at)) if scheme + 3 <= at => {
                let user = plain[scheme + 3..at].split_once(':').map(|(user, _)| user);
                user.map_or_else(|| plain.to_owned(), |user| format!("{}{user}:***{}", &plain[..scheme + 3], &plain[at..]))
            }
            _ => plain.to_owned(),
        };
        for (n, parameter) in parameters.iter().flat_map(|p| p.split('&')).enumerate() {
            shown.push(if n == 0 { '?' } else { '&' });
            match parameter.split_once('=') {
                Some((name, _)) if name.contains("pass") => shown.extend([name, "=***"]),
                _ => shown.push_str(parameter),
            }
        }
        shown
    }

    fn check(&self, key: &str, schemes: &[&str]) -> Result<(), String> {
        match self.told() {
            Some(url) if !schemes.iter().any(|scheme| url.starts_with(&format!("{scheme}://"))) => {
                Err(format!("configuration: {key}: an address starts with {}://", schemes.join(":// or ")))
            }
            _ => Ok(()),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.shown())
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Store {
    /// The shared ledger and catalog, if there is one.
    pub fn postgres(&self) -> Option<PgSettings> {
        let usual = PgSettings::new(self.postgres_url.told()?);
        Some(PgSettings {
            read_url: self.postgres_read_url.told().map(str::to_owned),
            root_certificates: named(&self.ca_file),
            connections_max: self.postgres_connections_max,
            ..usual
        })
    }

    /// The shared carts and sessions.
    pub fn redis(&self) -> RedisSettings {
        RedisSettings {
            urls: self.redis_urls.iter().filter_map(|url| url.told().map(str::to_owned)).collect(),
            prefix: self.redis_prefix.clone(),
            ca_file: named(&self.ca_file),
            copies_bytes: self.redis_copies_bytes,
            replicas_acknowledged: self.redis_replicas_acknowledged,
            require_aof: self.redis_require_aof,
            ..RedisSettings::default()
        }
    }
}

/// A file, where one is named.
fn named(path: &Path) -> Option<PathBuf> {
    Some(path.to_owned()).filter(|path| !path.as_os_str().is_empty())
}

impl Settings {
    /// The bus of other systems, if there is one.
    pub fn rabbit(&self) -> Option<RabbitSettings> {
        let urls: Vec<_> = self.bus.urls.iter().filter_map(|url| url.told().map(str::to_owned)).collect();
        let BusAt { prefix, source, orders, ca_file, .. } = &self.bus;
        let orders = orders.iter().map(|text| Binding::parse(text)).collect();
        let (prefix, source, ca_file) = (prefix.clone(), source.clone(), named(ca_file));
        (!urls.is_empty()).then(|| RabbitSettings { prefix, source, orders, ca_file, ..RabbitSettings::new(urls) })
    }

    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Only what makes sense together is served.
    pub(super) fn check_engines(&self) -> Result<(), String> {
        let Store { postgres_url, postgres_read_url, redis_urls, postgres_connections_max, .. } = &self.store;
        postgres_url.check("store.postgres_url", &["postgres", "postgresql"])?;
        postgres_read_url.check("store.postgres_read_url", &["postgres", "postgresql"])?;
        redis_urls.iter().try_for_each(|url| url.check("store.redis_urls", &["redis", "rediss"]))?;
        self.bus.urls.iter().try_for_each(|url| url.check("bus.urls", &["amqp", "amqps"]))?;
        let shared = self.store.is_shared();
        let wrong = [
            (
                shared == redis_urls.is_empty() || redis_urls.iter().any(|url| url.told().is_none()),
                "store.postgres_url and store.redis_urls belong together: carts in Redis, all else in PostgreSQL; or none, and everything is in data_dir",
            ),
            (!shared && postgres_read_url.told().is_some(), "store.postgres_read_url is a replica of store.postgres_url, which is missing"),
            (self.store.redis_prefix.is_empty() || self.bus.prefix.is_empty(), "store.redis_prefix and bus.prefix: at least one character"),
            (*postgres_connections_max < 2, "store.postgres_connections_max: at least 2"),
            (self.node.chars().count() > 50, "node: at most 50 characters"),
            (self.roles.is_empty(), "roles: a node has at least one of edge, worker, catalog"),
            (
                !shared && self.roles.len() < 3,
                "roles divide the work of nodes that share a store; the store in data_dir is for one process, which does it all",
            ),
            (
                shared && matches!(self.payments.provider, Provider::Simulator),
                "payments.provider: the built-in one keeps its ledger in this node's data_dir, which other nodes do not see; start `cartwright payment-simulator`, and set provider = \"http\" and payments.url",
            ),
            (
                shared && self.token_key.as_os_str().is_empty(),
                "token_key: nodes that share a store check each other's tokens and need the same key; name a file that all of them have",
            ),
        ];
        wrong.iter().find(|(is, _)| *is).map_or(Ok(()), |(_, why)| Err(format!("configuration: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_addresses_are_not_shown() {
        for (address, shown) in [
            ("", ""),
            ("postgres://shop@db:5432/shop", "postgres://shop@db:5432/shop"),
            ("postgres://shop:secret@db:5432/shop?sslmode=require", "postgres://shop:***@db:5432/shop?sslmode=require"),
            ("postgres://db/shop?password=secret&sslmode=disable", "postgres://db/shop?password=***&sslmode=disable"),
            ("redis://:secret@redis:6379", "redis://:***@redis:6379"),
            ("redis://redis:6379", "redis://redis:6379"),
            ("amqp://guest:se@cr/et@rabbit:5672/%2f", "amqp://guest:***@rabbit:5672/%2f"),
        ] {
            let kept = Address(address.to_owned());
            assert_eq!((kept.shown().as_str(), format!("{kept:?}").as_str()), (shown, shown));
        }
    }
}
