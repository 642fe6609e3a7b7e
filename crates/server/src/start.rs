//! From settings to a running application: the only place that names adapters.

use crate::import;
use crate::rules;
use crate::settings::{Provider, Settings};
use crate::world::{LocalBus, SystemClock, SystemEntropy};
use app::ports::Payments;
use app::{App, Ports};
use memory::simulator::PaymentSimulator;
use std::path::Path;
use std::sync::Arc;
use store_embedded::EmbeddedStore;

/// The project's own books, for an empty store.
const DEMO_CATALOG: &str = include_str!("../../../fixtures/catalog/books.jsonl");

/// Opens the store in `dir` and builds the application on it.
pub fn open(settings: &Settings, dir: &Path) -> Result<(Arc<App>, EmbeddedStore), String> {
    let store = EmbeddedStore::open(dir).map_err(|e| e.to_string())?;
    let shared = Arc::new(store.clone());
    let payments: Arc<dyn Payments> = match settings.payments.provider {
        Provider::Simulator => {
            let path = dir.join("payment-simulator.jsonl");
            let simulator = PaymentSimulator::open(&path, settings.payments.timeout.0).map_err(|e| format!("{}: {e}", path.display()))?;
            Arc::new(simulator)
        }
    };
    let ports = fail_points::around(Ports {
        carts: shared.clone(),
        ledger: shared.clone(),
        catalog: shared.clone(),
        search: shared.clone(),
        sessions: shared.clone(),
        payments,
        bus: Arc::new(LocalBus),
        outboxes: vec![shared],
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    });
    let rules = rules::load(&settings.pricing.rules, settings.currency()?)?;
    Ok((Arc::new(App::new(ports, rules, settings.policy()?)), store))
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
