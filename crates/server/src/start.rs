//! From settings to a running application: the only place that names adapters.

use crate::import;
use crate::rules::{self, Loaded};
use crate::settings::{Provider, Settings};
use crate::world::{LocalBus, SystemClock, SystemEntropy};
use app::ports::{Payments, Taxes};
use app::snapshot::Snapshot;
use app::{App, Error, Ports};
use domain::refusal::Refusal;
use domain::text::Text;
use expressions::Cel;
use memory::simulator::PaymentSimulator;
use payments_http::CHALLENGES;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store_embedded::EmbeddedStore;

/// The project's own books, for an empty store.
const DEMO_CATALOG: &str = include_str!("../../../fixtures/catalog/books.jsonl");

pub struct Opened {
    pub app: Arc<App>,
    pub store: EmbeddedStore,
    /// The built-in payment provider, when it is on.
    pub simulator: Option<PaymentSimulator>,
}

/// Opens the store in `dir` and builds the application on it, for shoppers who reach it at `origin`.
pub fn open(settings: &Settings, dir: &Path, origin: &str) -> Result<Opened, String> {
    let store = EmbeddedStore::open(dir).map_err(|e| e.to_string())?;
    let shared = Arc::new(store.clone());
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
        carts: shared.clone(),
        ledger: shared.clone(),
        catalog: shared.clone(),
        prices: shared.clone(),
        search: shared.clone(),
        sessions: shared.clone(),
        payments,
        taxes,
        bus: Arc::new(LocalBus),
        outboxes: vec![shared],
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        expressions: Arc::new(Cel::default()),
    });
    Ok(Opened { app: Arc::new(App::new(ports, settings.policy()?)), store, simulator })
}

fn simulator(dir: &Path, timeout: Duration, origin: &str) -> Result<PaymentSimulator, String> {
    let path = dir.join("payment-simulator.jsonl");
    let simulator = PaymentSimulator::open(&path, timeout).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(simulator.with_challenges_at(&format!("{origin}{CHALLENGES}")))
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
