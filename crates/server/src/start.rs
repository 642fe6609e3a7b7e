//! From settings to a running application: the only place that names adapters.

use crate::caches::Copied;
use crate::import;
use crate::rules::{self, Loaded};
use crate::settings::{Provider, Settings};
use crate::world::{LocalBus, SystemClock, SystemEntropy};
use app::ports::{
    Bus, Carts, Catalog, Entropy, Job, Leases, Ledger, NodeName, Outbox, Payments, Prices, SearchIndex, Sessions, SharedLimits, Taxes,
};
use app::snapshot::Snapshot;
use app::{App, BookQuery, Error, Ports, Work, Worker};
use bus_rabbit::RabbitBus;
use catalog_grpc::RemoteCatalog;
use domain::refusal::Refusal;
use domain::text::Text;
use expressions::Cel;
use memory::MemoryLeases;
use memory::simulator::PaymentSimulator;
use payments_http::CHALLENGES;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store_embedded::EmbeddedStore;
use store_postgres::{PgSettings, PgStore};
use store_redis::{RedisLimits, RedisSettings, RedisStore};

/// The project's own books, for an empty store.
const DEMO_CATALOG: &str = include_str!("../../../fixtures/catalog/books.jsonl");

/// How long a node may take to fill an empty store before another one does; how often and with which pause it tries.
const FIRST_START_KEEP: Duration = Duration::from_secs(10);
const FIRST_START_PAUSE: Duration = Duration::from_millis(250);
const FIRST_START_TRIES: u32 = 4;

pub struct Opened {
    pub app: Arc<App>,
    pub catalog: Arc<dyn Catalog>,
    pub search: Arc<dyn SearchIndex>,
    pub leases: Arc<dyn Leases>,
    /// Of all nodes together, where there may be several.
    pub limits: Option<Arc<dyn SharedLimits>>,
    /// What is in engines, and copied here.
    pub copied: Option<Copied>,
    /// The store in the data directory, unless it is elsewhere.
    pub embedded: Option<EmbeddedStore>,
    /// The built-in payment provider, when it is on.
    pub simulator: Option<PaymentSimulator>,
}

/// The ports of what is kept, all of one store.
struct Kept {
    carts: Arc<dyn Carts>,
    sessions: Arc<dyn Sessions>,
    ledger: Arc<dyn Ledger>,
    catalog: Arc<dyn Catalog>,
    prices: Arc<dyn Prices>,
    search: Arc<dyn SearchIndex>,
    outboxes: Vec<Arc<dyn Outbox>>,
    leases: Arc<dyn Leases>,
    limits: Option<Arc<dyn SharedLimits>>,
    copied: Option<Copied>,
    embedded: Option<EmbeddedStore>,
}

impl Kept {
    /// With the catalog left to another node, when the shop says so.
    fn with_catalog(self, settings: &Settings) -> Result<Self, String> {
        let Some(elsewhere) = settings.catalog.elsewhere()? else { return Ok(self) };
        let remote = RemoteCatalog::connect(elsewhere).map_err(|e| format!("configuration: catalog.url: {e}"))?;
        let remote = Arc::new(remote);
        Ok(Self { catalog: remote.clone(), search: remote, ..self })
    }

    async fn open(settings: &Settings, dir: &Path) -> Result<Self, String> {
        match settings.store.postgres() {
            Some(postgres) => Self::shared(settings, postgres).await,
            None => Self::in_directory(dir),
        }
    }

    /// Carts and sessions in Redis, all else in PostgreSQL.
    async fn shared(settings: &Settings, postgres: PgSettings) -> Result<Self, String> {
        let postgres = PgSettings { copies_catalog: !settings.catalog.is_elsewhere(), ..postgres };
        let (postgres, redis) = tokio::join!(PgStore::connect(postgres), RedisStore::connect(settings.store.redis()));
        let postgres = Arc::new(postgres.map_err(|e| format!("store.postgres_url: {e}"))?);
        let redis = Arc::new(redis.map_err(|e| format!("store.redis_urls: {e}"))?);
        let limits = limits(settings).await?;
        Ok(Self {
            carts: redis.clone(),
            sessions: redis.clone(),
            ledger: postgres.clone(),
            catalog: postgres.clone(),
            prices: postgres.clone(),
            search: postgres.clone(),
            copied: Some(Copied { redis: RedisStore::clone(&redis), postgres: PgStore::clone(&postgres) }),
            outboxes: vec![redis, postgres.clone()],
            leases: postgres,
            limits,
            embedded: None,
        })
    }

    /// Everything in one directory, of this process alone.
    fn in_directory(dir: &Path) -> Result<Self, String> {
        let opened = EmbeddedStore::open(dir).map_err(|e| e.to_string())?;
        let store = Arc::new(opened.clone());
        Ok(Self {
            carts: store.clone(),
            sessions: store.clone(),
            ledger: store.clone(),
            catalog: store.clone(),
            prices: store.clone(),
            search: store.clone(),
            outboxes: vec![store],
            leases: Arc::new(MemoryLeases::default()),
            limits: None,
            copied: None,
            embedded: Some(opened),
        })
    }
}

/// Opens the store, in `dir` unless it is elsewhere, and builds the application on it, for shoppers who reach it at `origin`.
pub async fn open(settings: &Settings, dir: &Path, origin: &str) -> Result<Opened, String> {
    let kept = Kept::open(settings, dir).await?.with_catalog(settings)?;
    let simulator = match settings.payments.provider {
        Provider::Simulator => Some(simulator(dir, settings.payments.timeout.0, origin)?),
        Provider::Http => None,
    };
    let payments: Arc<dyn Payments> = match &simulator {
        Some(simulator) => Arc::new(simulator.clone()),
        None => Arc::new(settings.provider()?),
    };
    let taxes = settings.tax_provider()?.map(|taxes| Arc::new(taxes) as Arc<dyn Taxes>);
    let ports = fail_points::around(Ports {
        carts: kept.carts,
        ledger: kept.ledger,
        catalog: Arc::clone(&kept.catalog),
        prices: kept.prices,
        search: Arc::clone(&kept.search),
        sessions: kept.sessions,
        payments,
        taxes,
        bus: bus(settings).await?,
        outboxes: kept.outboxes,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        expressions: Arc::new(Cel::default()),
    });
    let app = Arc::new(App::new(ports, settings.policy()?));
    Ok(Opened {
        app,
        catalog: kept.catalog,
        search: kept.search,
        leases: kept.leases,
        limits: kept.limits,
        copied: kept.copied,
        embedded: kept.embedded,
        simulator,
    })
}

impl Opened {
    /// This node's part of the work, under a name that no other process has.
    pub fn worker(&self, settings: &Settings) -> Worker {
        Worker::new(Arc::clone(&self.leases), node_name(settings), Work::all(self.app.outboxes()))
    }
}

/// As the settings call it, and with chance: no other process has or had this name.
fn node_name(settings: &Settings) -> NodeName {
    let mut chance = [0; 4];
    SystemEntropy.fill(&mut chance);
    let node = if settings.node.is_empty() { "node" } else { &settings.node };
    NodeName::parse(&format!("{node} {:08x}", u32::from_be_bytes(chance))).expect("invariant: the settings were checked")
}

/// Over connections of their own, so that no large cart stands in their way.
async fn limits(settings: &Settings) -> Result<Option<Arc<dyn SharedLimits>>, String> {
    if !settings.rate_limits.enabled {
        return Ok(None);
    }
    let redis = RedisSettings { connections: 1, ..settings.store.redis() };
    let limits = RedisLimits::connect(redis, settings.rate_limits.shared_within.0).await;
    Ok(Some(Arc::new(limits.map_err(|e| format!("store.redis_urls: {e}"))?)))
}

async fn bus(settings: &Settings) -> Result<Arc<dyn Bus>, String> {
    match settings.rabbit() {
        None => Ok(Arc::new(LocalBus)),
        Some(rabbit) => Ok(Arc::new(RabbitBus::connect(rabbit).await.map_err(|e| format!("configuration: bus.urls: {e}"))?)),
    }
}

fn simulator(dir: &Path, timeout: Duration, origin: &str) -> Result<PaymentSimulator, String> {
    let path = dir.join("payment-simulator.jsonl");
    let simulator = PaymentSimulator::open(&path, timeout).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(simulator.with_challenges_at(&format!("{origin}{CHALLENGES}")))
}

impl Opened {
    /// Fills a store that has nothing; says whether it put the demo catalog there. Nodes that start at once take turns.
    #[expect(clippy::disallowed_methods, reason = "a node waits for its turn to start, and for what the one before has put there")]
    pub async fn first_start(&self, settings: &Settings) -> Result<bool, String> {
        if settings.catalog.is_elsewhere() {
            // It is for the node that holds the catalog.
            return Ok(false);
        }
        if !self.lacks_books(settings).await? && self.app.has_decided_on_prices().await.map_err(|e| e.to_string())? {
            return Ok(false);
        }
        let job = Job::parse("first start").expect("invariant: a short name");
        let node = node_name(settings);
        let fence = loop {
            let taken = self.leases.take(&job, &node, FIRST_START_KEEP, self.app.now()).await.map_err(|e| e.to_string())?;
            match taken {
                Some(fence) => break fence,
                None => tokio::time::sleep(FIRST_START_PAUSE).await,
            }
        };
        let mut filled = self.fill(settings).await;
        for _ in 1..FIRST_START_TRIES {
            if filled.is_ok() {
                break;
            }
            tokio::time::sleep(FIRST_START_PAUSE).await;
            filled = self.fill(settings).await;
        }
        self.leases.give_up(&job, fence).await.map_err(|e| e.to_string())?;
        filled
    }

    async fn lacks_books(&self, settings: &Settings) -> Result<bool, String> {
        let any = BookQuery { limit: 1, ..BookQuery::default() };
        Ok(settings.demo_catalog && self.app.books(&any).await.map_err(|e| e.to_string())?.total == 0)
    }

    async fn fill(&self, settings: &Settings) -> Result<bool, String> {
        let app = &self.app;
        let first = self.lacks_books(settings).await?;
        if first {
            let books = demo_catalog(app, settings).await?;
            tracing::info!(books, "the demo catalog is in the store; its prices are made up");
        }
        let rules = first_rules(app, settings, &self.catalog.snapshot()).await?;
        if rules > 0 {
            tracing::info!(rules, "the first rules of prices are in the store; from now on they are changed there");
        }
        Ok(first)
    }
}

/// Gives a store that never had a rule the ones of the file, or the demo's; says how many.
pub async fn first_rules(app: &App, settings: &Settings, catalog: &Snapshot) -> Result<usize, String> {
    if app.has_decided_on_prices().await.map_err(|e| e.to_string())? {
        return Ok(0);
    }
    let Loaded { rules, left_out } = rules::load(&settings.pricing.rules, settings.currency()?, catalog)?;
    for promotion in left_out {
        tracing::warn!(promotion, "left out: its category is not in the catalog");
    }
    let reason = Text::parse("first start").expect("invariant: a short text");
    app.first_rules(rules, reason).await.map_err(|e| match e {
        Error::Refused(Refusal::RuleInvalid { fault }) => format!("a rule makes no sense: {fault}"),
        other => other.to_string(),
    })
}

/// Loads the demo catalog; says how many books it wrote.
pub async fn demo_catalog(app: &App, settings: &Settings) -> Result<usize, String> {
    let options = import::Options { prices: None, stock: 100, currency: settings.currency()? };
    let summary = import::text(app, DEMO_CATALOG, &options).await?;
    match summary.bad.first() {
        None => Ok(summary.imported.created),
        Some((line, reason)) => Err(format!("demo catalog, line {line}: {reason}")),
    }
}
