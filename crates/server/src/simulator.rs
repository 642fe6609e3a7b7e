//! `cartwright payment-simulator` and `cartwright tax-simulator`: providers as processes of their own.

use crate::rules;
use crate::serve;
use crate::settings::Settings;
use crate::world::SystemClock;
use app::ports::Clock;
use app::snapshot::Snapshot;
use domain::pricing::{Kept, Pricebook};
use memory::MemoryTaxes;
use memory::simulator::PaymentSimulator;
use payments_http::{CHALLENGES, Notices};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use webhook::Secret;

/// Beside the shop's own port.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8090);
const TAXES_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8091);
/// How long a call that never answers is held: longer than any client waits.
const NEVER: Duration = Duration::from_secs(600);
/// The pause after a notice that was not heard, the first time.
const NOTICE_PAUSE: Duration = Duration::from_secs(1);

/// Where the shop hears of changes, as the command line says.
pub struct Webhook {
    pub url: Option<String>,
    pub secret: Option<String>,
    pub unruly: bool,
}

pub fn run(settings: &Settings, listen: Option<SocketAddr>, ledger: &Path, webhook: Webhook) -> Result<(), String> {
    serve::log(settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(provide(settings, listen.unwrap_or(LISTEN), ledger, webhook))
}

pub fn taxes(settings: &Settings, listen: Option<SocketAddr>) -> Result<(), String> {
    serve::log(settings)?;
    let table = rules::load(&settings.pricing.rules, settings.currency()?, &Snapshot::default())?
        .rules
        .into_iter()
        .map(|rule| Kept::first(rule, SystemClock.now()));
    let taxes = Arc::new(MemoryTaxes::new(Arc::new(Pricebook::new(table)), Arc::new(SystemClock)));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let listen = listen.unwrap_or(TAXES_LISTEN);
        let listener = TcpListener::bind(listen).await.map_err(|e| format!("{listen}: {e}"))?;
        let listen = listener.local_addr().map_err(|e| e.to_string())?;
        tracing::info!(%listen, "ready");
        tokio::select! {
            served = taxes_http::serve(listener, taxes) => served.map_err(|e| e.to_string()),
            () = serve::told_to_stop() => Ok(()),
        }
    })
}

async fn provide(settings: &Settings, listen: SocketAddr, ledger: &Path, webhook: Webhook) -> Result<(), String> {
    let listener = TcpListener::bind(listen).await.map_err(|e| format!("{listen}: {e}"))?;
    let listen = listener.local_addr().map_err(|e| e.to_string())?;
    let simulator = PaymentSimulator::open(ledger, NEVER).map_err(|e| format!("{}: {e}", ledger.display()))?;
    let simulator = simulator.with_challenges_at(&format!("http://{listen}{CHALLENGES}"));
    let (simulator, notices) = match webhook.url {
        None => (simulator, None),
        Some(url) => {
            let secret = webhook.secret.as_deref().or(settings.payments.webhook_secret.told()).ok_or("--webhook-secret is missing")?;
            let simulator = simulator.with_notices(Arc::new(SystemClock));
            let notices = Notices {
                simulator: simulator.clone(),
                url: url.parse().map_err(|e| format!("--webhook-url: {e}"))?,
                secret: Secret::parse(secret).map_err(|e| format!("--webhook-secret: {e}"))?,
                clock: Arc::new(SystemClock),
                pause: NOTICE_PAUSE,
                unruly: webhook.unruly,
            };
            (simulator, Some(notices))
        }
    };
    tracing::info!(%listen, ledger = %ledger.display(), "ready");
    let tell = async {
        match notices {
            Some(notices) => notices.run().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        served = payments_http::serve(listener, simulator) => served.map_err(|e| e.to_string()),
        () = tell => Ok(()),
        () = serve::told_to_stop() => Ok(()),
    }
}
