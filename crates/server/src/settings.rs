//! Configuration: the embedded defaults, then a file, then `CARTWRIGHT_…` variables, then flags. An unknown
//! key anywhere is an error. What is secret prints as `***` by its type.

mod catalog;
mod engines;

pub use catalog::CatalogAt;
pub use engines::{BusAt, Role, Store};

use app::TimeZone;
use app::{Policy, TaxFallback};
use config::{Config, Environment, File, FileFormat};
use domain::cart::Lifetimes;
use domain::money::Currency;
use domain::order::CaptureWhen;
use payments_http::{HttpPayments, Patience};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use taxes_http::HttpTaxes;
use webhook::Secret;

const DEFAULTS: &str = include_str!("../default.toml");

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub listen: SocketAddr,
    pub public_url: String,
    pub data_dir: PathBuf,
    pub ephemeral: bool,
    pub node: String,
    pub threads: u8,
    pub roles: BTreeSet<Role>,
    pub token_key: PathBuf,
    pub currency: String,
    pub time_zone: String,
    pub demo_catalog: bool,
    pub log: Log,
    pub store: Store,
    pub bus: BusAt,
    pub catalog: CatalogAt,
    pub cart: Cart,
    pub session: Ttl,
    pub checkout: Checkout,
    pub reservation: Ttl,
    pub payments: Payments,
    pub pricing: Pricing,
    pub taxes: Taxes,
    pub events: Events,
    pub rate_limits: RateLimits,
    pub http: Http,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Pretty,
    Json,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cart {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    pub guest_ttl: Span,
    pub customer_ttl: Span,
    pub empty_ttl: Span,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ttl {
    pub ttl: Span,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Checkout {
    pub ttl: Span,
    pub answer_within: Span,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Payments {
    pub provider: Provider,
    pub url: String,
    pub timeout: Span,
    pub capture: Capture,
    pub webhook_secret: Hidden,
    pub webhook_secret_old: Hidden,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    AtOnce,
    OnShipment,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    Simulator,
    Http,
}

/// A text that is not shown; empty when there is none.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    pub fn told(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.is_empty())
    }
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.told().map_or("", |_| "***"))
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pricing {
    pub rules: PathBuf,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Taxes {
    pub provider: TaxSource,
    pub url: String,
    pub timeout: Span,
    pub fallback: Fallback,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TaxSource {
    Table,
    Http,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    LastRate,
    Table,
    Refuse,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    pub keep: Span,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimits {
    pub enabled: bool,
    pub cart_per_minute: u32,
    pub checkout_per_minute: u32,
    pub other_per_minute: u32,
    pub anonymous_per_hour: u32,
    pub shared_within: Span,
    pub declines_per_cart: u32,
    pub declines_per_address: u32,
    pub declines_window: Span,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub connections_max: u32,
    pub header_timeout: Span,
    pub body_timeout: Span,
    pub idle_timeout: Span,
    pub drain_timeout: Span,
}

/// A positive duration as people write it: `2s`, `10m`, `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = humantime::parse_duration(&text).map_err(|e| serde::de::Error::custom(format!("`{text}` is not a duration ({e})")))?;
        // A century is for ever, and keeps every sum of instants in range.
        let possible = (Duration::from_millis(1)..=Duration::from_secs(100 * 366 * 86_400)).contains(&span);
        if possible { Ok(Self(span)) } else { Err(serde::de::Error::custom(format!("`{text}` is not between 1ms and 100 years"))) }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

/// What flags may set.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub listen: Option<SocketAddr>,
    pub data_dir: Option<PathBuf>,
    pub ephemeral: bool,
    pub log: Option<LogFormat>,
    pub roles: Vec<Role>,
}

impl Settings {
    /// # Errors
    /// A sentence that names the key and where it came from.
    pub fn load(file: Option<&Path>, environment: Environment, flags: &Flags) -> Result<Self, String> {
        let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(path) = file {
            builder = builder.add_source(File::from(path).format(FileFormat::Toml));
        }
        let mut settings: Self = builder
            .add_source(with_lists(environment.prefix("CARTWRIGHT").prefix_separator("_").separator("__").try_parsing(true)))
            .build()
            .and_then(Config::try_deserialize)
            .map_err(|e| format!("configuration: {e}"))?;
        if let Some(listen) = flags.listen {
            settings.listen = listen;
        }
        if let Some(dir) = &flags.data_dir {
            settings.data_dir.clone_from(dir);
        }
        settings.ephemeral |= flags.ephemeral;
        if let Some(format) = flags.log {
            settings.log.format = format;
        }
        if !flags.roles.is_empty() {
            settings.roles = flags.roles.iter().copied().collect();
        }
        settings.check_engines()?;
        settings.check_catalog()?;
        settings.currency()?;
        settings.time_zone()?;
        settings.webhook_secrets()?;
        if matches!(settings.payments.provider, Provider::Http) {
            settings.provider()?;
        }
        settings.tax_provider()?;
        Ok(settings)
    }

    /// The file with the key that tokens are signed with.
    pub fn token_key(&self, dir: &Path) -> PathBuf {
        if self.token_key.as_os_str().is_empty() { dir.join("token-key.pk8") } else { self.token_key.clone() }
    }

    /// Where shoppers reach a store that listens here; without a slash at its end.
    pub fn origin(&self, listen: SocketAddr) -> String {
        match self.public_url.trim_end_matches('/') {
            "" => format!("http://{listen}"),
            url => url.to_owned(),
        }
    }

    /// The payment provider at `payments.url`.
    pub fn provider(&self) -> Result<HttpPayments, String> {
        let patience = Patience { timeout: self.payments.timeout.0, ..Patience::default() };
        HttpPayments::new(&self.payments.url, patience).map_err(|e| format!("configuration: payments.url: {e}"))
    }

    /// The tax provider at `taxes.url`, unless the shop's own table is what counts.
    pub fn tax_provider(&self) -> Result<Option<HttpTaxes>, String> {
        let patience = Patience { timeout: self.taxes.timeout.0, ..Patience::default() };
        match self.taxes.provider {
            TaxSource::Table => Ok(None),
            TaxSource::Http => HttpTaxes::new(&self.taxes.url, patience).map(Some).map_err(|e| format!("configuration: taxes.url: {e}")),
        }
    }

    /// What the payment provider may sign with, the new one first.
    pub fn webhook_secrets(&self) -> Result<Vec<Secret>, String> {
        let Payments { webhook_secret, webhook_secret_old, .. } = &self.payments;
        let named = [("webhook_secret", webhook_secret), ("webhook_secret_old", webhook_secret_old)];
        let told = named.into_iter().filter_map(|(name, hidden)| Some((name, hidden.told()?)));
        told.map(|(name, text)| Secret::parse(text).map_err(|e| format!("configuration: payments.{name}: {e}"))).collect()
    }

    pub fn currency(&self) -> Result<Currency, String> {
        Currency::parse(&self.currency).ok_or_else(|| format!("configuration: currency `{}` is not an ISO 4217 code", self.currency))
    }

    fn time_zone(&self) -> Result<TimeZone, String> {
        TimeZone::get(&self.time_zone).map_err(|_| format!("configuration: time_zone `{}` is not an IANA time zone", self.time_zone))
    }

    pub fn policy(&self) -> Result<Policy, String> {
        let cart = &self.cart;
        let ttl = |own: Span| cart.ttl.unwrap_or(own).0;
        Ok(Policy {
            currency: self.currency()?,
            time_zone: self.time_zone()?,
            carts: Lifetimes { guest: ttl(cart.guest_ttl), customer: ttl(cart.customer_ttl), empty: ttl(cart.empty_ttl) },
            checkout_ttl: self.checkout.ttl.0,
            reservation_ttl: self.reservation.ttl.0,
            capture: match self.payments.capture {
                Capture::AtOnce => CaptureWhen::AtOnce,
                Capture::OnShipment => CaptureWhen::OnShipment,
            },
            tax_fallback: match self.taxes.fallback {
                Fallback::LastRate => TaxFallback::LastRate,
                Fallback::Table => TaxFallback::Table,
                Fallback::Refuse => TaxFallback::Refuse,
            },
            session_ttl: self.session.ttl.0,
            events_keep: self.events.keep.0,
        })
    }

    /// The effective configuration, as a file that would give the same.
    pub fn print(&self) -> String {
        toml::to_string(self).expect("invariant: settings are plain values")
    }
}

/// Lists in variables are written with commas.
fn with_lists(environment: Environment) -> Environment {
    environment
        .list_separator(",")
        .with_list_parse_key("roles")
        .with_list_parse_key("store.redis_urls")
        .with_list_parse_key("bus.urls")
        .with_list_parse_key("bus.orders")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn load(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let source: HashMap<String, String> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Settings::load(None, Environment::default().source(Some(source)), &Flags::default())
    }

    #[test]
    fn the_defaults_are_complete_and_print_as_themselves() {
        let defaults = load(&[]).expect("valid");
        let printed = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(printed.path(), defaults.print()).expect("written");
        let again = Settings::load(Some(printed.path()), Environment::default().source(Some(HashMap::new())), &Flags::default());
        assert_eq!(again.expect("valid").print(), defaults.print());
    }

    #[test]
    fn variables_override_defaults() {
        let settings =
            load(&[("CARTWRIGHT_CART__TTL", "2s"), ("CARTWRIGHT_RATE_LIMITS__ENABLED", "false"), ("CARTWRIGHT_LISTEN", "127.0.0.1:0")]);
        let settings = settings.expect("valid");
        let carts = settings.policy().expect("valid").carts;
        assert_eq!([carts.guest, carts.customer, carts.empty], [Duration::from_secs(2); 3]);
        assert!(!settings.rate_limits.enabled);
        assert_eq!(settings.listen.port(), 0);
    }

    #[test]
    fn secrets_are_not_shown() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let settings = load(&[("CARTWRIGHT_PAYMENTS__WEBHOOK_SECRET", secret), ("CARTWRIGHT_PAYMENTS__WEBHOOK_SECRET_OLD", secret)]);
        let settings = settings.expect("valid");
        let printed = settings.print();
        assert_eq!(settings.webhook_secrets().expect("valid").len(), 2);
        assert!(printed.contains("webhook_secret = \"***\"") && !printed.contains("MfKQ") && !format!("{settings:?}").contains("MfKQ"));
    }

    const PG: (&str, &str) = ("CARTWRIGHT_STORE__POSTGRES_URL", "postgres://shop:hush@db/shop");
    const REDIS: (&str, &str) = ("CARTWRIGHT_STORE__REDIS_URLS", "redis://:hush@a:6379,redis://b:6379");
    const PAID: [(&str, &str); 2] = [("CARTWRIGHT_PAYMENTS__PROVIDER", "http"), ("CARTWRIGHT_PAYMENTS__URL", "http://payments:8090")];
    const KEY: (&str, &str) = ("CARTWRIGHT_TOKEN_KEY", "/etc/cartwright/token-key");

    #[test]
    fn engines_are_named_by_variables_and_their_passwords_not_shown() {
        let bus = ("CARTWRIGHT_BUS__URLS", "amqps://shop:hush@rabbit/shop");
        let settings = load(&[PG, REDIS, PAID[0], PAID[1], KEY, bus, ("CARTWRIGHT_ROLES", "edge,worker")]).expect("valid");
        let printed = settings.print();
        let kept =
            [r#""redis://:***@a:6379""#, r#""redis://b:6379""#, r#""postgres://shop:***@db/shop""#, r#""amqps://shop:***@rabbit/shop""#];
        assert!(!printed.contains("hush") && kept.iter().all(|url| printed.contains(url)), "{printed}");
        assert!(settings.store.is_shared() && settings.has_role(Role::Worker) && !settings.has_role(Role::Catalog));
        assert!(!load(&[bus]).expect("a store of one's own on a bus of others").store.is_shared());
    }

    #[test]
    fn half_of_a_store_is_refused() {
        for (variables, message) in [
            (&[PG][..], "belong together"),
            (&[REDIS], "belong together"),
            (&[PG, ("CARTWRIGHT_STORE__REDIS_URLS", "")], "belong together"),
            (&[("CARTWRIGHT_STORE__POSTGRES_READ_URL", PG.1)], "a replica of store.postgres_url, which is missing"),
            (&[("CARTWRIGHT_STORE__POSTGRES_URL", "mysql://db/shop")], "store.postgres_url: an address starts with postgres://"),
            (&[("CARTWRIGHT_STORE__REDIS_URLS", "valkey://a")], "store.redis_urls: an address starts with redis://"),
            (&[("CARTWRIGHT_BUS__URLS", "nats://a")], "bus.urls: an address starts with amqp://"),
            (&[("CARTWRIGHT_ROLES", "worker")], "is for one process"),
            (&[("CARTWRIGHT_ROLES", "boss")], "boss"),
            (&[PG, REDIS, KEY], "start `cartwright payment-simulator`"),
            (&[PG, REDIS, PAID[0], PAID[1]], "token_key"),
            (&[PG, REDIS, PAID[0], PAID[1], KEY, ("CARTWRIGHT_STORE__POSTGRES_CONNECTIONS_MAX", "1")], "at least 2"),
        ] {
            let error = load(variables).expect_err(message);
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn the_catalog_is_here_or_elsewhere() {
        let (url, listen) = (("CARTWRIGHT_CATALOG__URL", "http://catalog:8070"), ("CARTWRIGHT_CATALOG__LISTEN", "127.0.0.1:0"));
        let token = ("CARTWRIGHT_CATALOG__TOKEN", "nodes-of-one-shop");
        let shared = [PG, REDIS, PAID[0], PAID[1], KEY];
        let served = load(&[listen, token]).expect("one process may serve its catalog, if only to BookWorm");
        assert!(!served.catalog.is_elsewhere() && served.catalog.served().expect("valid").is_some());
        assert!(!served.print().contains(token.1));
        assert!(load(&[&shared[..], &[url, token]].concat()).expect("valid").catalog.is_elsewhere());
        for (variables, message) in [
            (&[listen][..], "catalog.token"),
            (&[listen, ("CARTWRIGHT_CATALOG__TOKEN", "short")], "catalog.token"),
            (&[("CARTWRIGHT_CATALOG__LISTEN", "8070"), token], "catalog.listen: `8070`"),
            (&[url, token], "only to a node of the same store.postgres_url"),
            (&[&shared[..], &[url, listen, token]].concat(), "elsewhere, or serves it"),
            (&[&shared[..], &[listen, token, ("CARTWRIGHT_ROLES", "edge")]].concat(), "is the role catalog"),
        ] {
            let error = load(variables).expect_err(message);
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (key, value, message) in [
            ("CARTWRIGHT_CART__TLT", "2s", "tlt"),
            ("CARTWRIGHT_CART__TTL", "soon", "`soon` is not a duration"),
            ("CARTWRIGHT_CART__TTL", "0s", "not between"),
            ("CARTWRIGHT_LISTEN", "nowhere", "socket address"),
            ("CARTWRIGHT_THREADS", "1000", "threads"),
            ("CARTWRIGHT_CURRENCY", "usd", "not an ISO 4217 code"),
            ("CARTWRIGHT_TIME_ZONE", "Mars/Olympus", "not an IANA time zone"),
            ("CARTWRIGHT_PAYMENTS__PROVIDER", "stripe", "stripe"),
            ("CARTWRIGHT_PAYMENTS__CAPTURE", "later", "later"),
            ("CARTWRIGHT_PAYMENTS__PROVIDER", "http", "payments.url: a provider's address is http://"),
            ("CARTWRIGHT_TAXES__PROVIDER", "oracle", "oracle"),
            ("CARTWRIGHT_TAXES__PROVIDER", "http", "taxes.url: a provider's address is http://"),
            ("CARTWRIGHT_TAXES__FALLBACK", "guess", "guess"),
            ("CARTWRIGHT_PAYMENTS__WEBHOOK_SECRET", "whsec_short", "payments.webhook_secret: a webhook secret is"),
        ] {
            let error = load(&[(key, value)]).expect_err(key);
            assert!(error.contains(message), "{error}");
        }
    }
}
