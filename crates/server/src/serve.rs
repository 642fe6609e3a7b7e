//! `cartwright serve`: wire everything up, answer requests, run the loops, stop in good order.

use crate::caches;
use crate::data::issuer;
use crate::loops::Loops;
use crate::settings::{LogFormat, Role, Settings};
use crate::start::{self, Opened};
use crate::world::SystemClock;
use app::ports::Clock;
use app::{AddItem, App, BookQuery, Calculate, Caller, Notice};
use catalog_grpc::{Served, Token};
use domain::person::Country;
use domain::pricing::Destination;
use domain::quantity::Quantity;
use domain::text::Text;
use payments_http::{Answered, challenges};
use prometheus_client::registry::Registry;
use rest::{DeclineLimits, Edge, EdgeConfig, Metrics, RateLimits, ServeLimits};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store_embedded::EmbeddedStore;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

pub fn run(settings: Settings) -> Result<(), String> {
    log(&settings)?;
    let throw_away = if settings.ephemeral { Some(tempfile::tempdir().map_err(|e| e.to_string())?) } else { None };
    let dir: PathBuf = throw_away.as_ref().map_or_else(|| settings.data_dir.clone(), |d| d.path().to_owned());
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if settings.threads > 0 {
        runtime.worker_threads(settings.threads.into());
    }
    let runtime = runtime.enable_all().build().map_err(|e| e.to_string())?;
    let ended = runtime.block_on(serve(&settings, &dir));
    runtime.shutdown_timeout(Duration::from_secs(5));
    ended
}

pub fn log(settings: &Settings) -> Result<(), String> {
    let filter = tracing_subscriber::EnvFilter::try_new(&settings.log.level).map_err(|e| format!("configuration: log.level: {e}"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log.format {
        LogFormat::Json => log.json().init(),
        LogFormat::Pretty => log.compact().init(),
    }
    Ok(())
}

async fn serve(settings: &Settings, dir: &Path) -> Result<(), String> {
    // Bound first: the address is told to the payment provider, which has challenges there.
    let listener = TcpListener::bind(settings.listen).await.map_err(|e| format!("{}: {e}", settings.listen))?;
    let listen = listener.local_addr().map_err(|e| e.to_string())?;
    let opened = start::open(settings, dir, &settings.origin(listen)).await?;
    let first = opened.first_start(settings).await?;
    let app = Arc::clone(&opened.app);
    let edge = edge(settings, dir, &opened)?;
    let router = match (&opened.simulator, settings.has_role(Role::Edge)) {
        (_, false) => rest::health_router(Arc::clone(&edge)),
        (Some(simulator), true) => rest::router(Arc::clone(&edge)).merge(challenges(simulator.clone(), answered(&edge))),
        (None, true) => rest::router(Arc::clone(&edge)),
    };
    if first && opened.embedded.is_some() {
        welcome(&app, listen, dir).await?;
    }
    let catalog = catalog_listener(settings).await?;
    let loops = loops(settings, &opened, &edge, catalog).await;
    edge.set_ready(true);
    tracing::info!(%listen, data_dir = %dir.display(), "ready");
    let poisoned = Arc::new(AtomicBool::new(false));
    let shutdown = until_told(Arc::clone(&edge), opened.embedded, Arc::clone(&poisoned));
    rest::serve(listener, &edge, router, limits(settings), shutdown).await;
    edge.idle().await;
    loops.end().await;
    if poisoned.load(Ordering::Relaxed) {
        return Err("a write to the store failed and nobody knows whether it happened; start again to recover".into());
    }
    tracing::info!("stopped");
    Ok(())
}

async fn loops(settings: &Settings, opened: &Opened, edge: &Arc<Edge>, catalog: Option<(TcpListener, Token)>) -> Loops {
    let mut loops = Loops::new();
    loops.look_after(edge);
    if settings.store.is_shared() {
        loops.watch_engines(&opened.app, edge);
    }
    if settings.catalog.is_elsewhere() {
        loops.watch_catalog(&opened.catalog, edge);
    }
    if let Some((listener, token)) = catalog {
        let served = Served { catalog: Arc::clone(&opened.catalog), search: Arc::clone(&opened.search), token };
        loops.serve_catalog(listener, served);
    }
    if settings.has_role(Role::Worker) {
        loops.work(&opened.app, edge, opened.worker(settings)).await;
        if let Some(rabbit) = settings.rabbit() {
            loops.listen(&opened.app, rabbit);
        }
    }
    loops
}

/// Where the catalog is served to other nodes, if it is.
async fn catalog_listener(settings: &Settings) -> Result<Option<(TcpListener, Token)>, String> {
    let Some((listen, token)) = settings.catalog.served()? else { return Ok(None) };
    let listener = TcpListener::bind(listen).await.map_err(|e| format!("catalog.listen: {listen}: {e}"))?;
    let listen = listener.local_addr().map_err(|e| e.to_string())?;
    tracing::info!(%listen, "the catalog is served to other nodes");
    Ok(Some((listener, token)))
}

/// The built-in provider tells the shop in process, before the customer goes back to it.
fn answered(edge: &Arc<Edge>) -> Answered {
    let edge = Arc::clone(edge);
    Arc::new(move |attempt, checkout| {
        let edge = Arc::clone(&edge);
        let id = Text::parse(&format!("{attempt}.challenge")).expect("invariant: an id is a short text");
        let notice = Notice { id, checkout, attempt, at: SystemClock.now() };
        Box::pin(async move {
            if let Err(error) = edge.heed(notice).await {
                tracing::warn!(%error, %checkout, "an answered challenge is looked at later");
            }
        })
    })
}

fn edge(settings: &Settings, dir: &Path, opened: &Opened) -> Result<Arc<Edge>, String> {
    let limits = &settings.rate_limits;
    let config = EdgeConfig {
        shared_limits: opened.limits.clone(),
        rate_limits: RateLimits {
            enabled: limits.enabled,
            cart_per_minute: limits.cart_per_minute,
            checkout_per_minute: limits.checkout_per_minute,
            other_per_minute: limits.other_per_minute,
            anonymous_per_hour: limits.anonymous_per_hour,
            declines: DeclineLimits {
                per_cart: limits.declines_per_cart,
                per_address: limits.declines_per_address,
                window: limits.declines_window.0,
            },
        },
        answer_within: settings.checkout.answer_within.0,
        body_timeout: settings.http.body_timeout.0,
        webhook_secrets: settings.webhook_secrets()?,
    };
    let keys = Arc::new(issuer(settings, dir)?.keys());
    let mut registry = Registry::default();
    if let Some(copied) = &opened.copied {
        caches::register(&mut registry, copied.clone());
    }
    Ok(Edge::new(Arc::clone(&opened.app), keys, Metrics::new(registry), &config))
}

fn limits(settings: &Settings) -> ServeLimits {
    let http = &settings.http;
    let head = http.header_timeout.0;
    let defaults = ServeLimits::default();
    ServeLimits {
        connections_max: http.connections_max,
        first_byte: defaults.first_byte.min(head),
        head,
        idle: http.idle_timeout.0,
        drain: http.drain_timeout.0,
        ..defaults
    }
}

/// Ends when the process is asked to stop.
pub async fn told_to_stop() {
    let mut terminate = signal(SignalKind::terminate()).expect("invariant: signals can be listened to");
    let mut interrupt = signal(SignalKind::interrupt()).expect("invariant: signals can be listened to");
    tokio::select! {
        _ = terminate.recv() => tracing::info!("told to stop; finishing what was begun"),
        _ = interrupt.recv() => tracing::info!("interrupted; finishing what was begun"),
    }
}

/// Ends when the process is asked to stop, or when the store can no longer be trusted with writes.
async fn until_told(edge: Arc<Edge>, embedded: Option<EmbeddedStore>, poisoned: Arc<AtomicBool>) {
    let lost = async {
        match embedded {
            Some(store) => store.poisoned().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = told_to_stop() => {}
        () = lost => {
            tracing::error!("the store writes no more; stopping");
            poisoned.store(true, Ordering::Relaxed);
        }
    }
    edge.set_ready(false);
}

/// Three curls that take a guest from a search to a paid order.
async fn welcome(app: &App, listen: SocketAddr, dir: &Path) -> Result<(), String> {
    let query = BookQuery { search: Some("dune".into()), limit: 1, ..BookQuery::default() };
    let page = app.books(&query).await.map_err(|e| e.to_string())?;
    let Some(book) = page.items.first().map(|b| b.book.id) else { return Ok(()) };
    let ask = Calculate {
        items: vec![AddItem { product: book, variant: None, quantity: Quantity::ONE }],
        coupons: vec![],
        destination: Some(Destination {
            region: Text::parse("CA"),
            ..Destination::country(Country::parse("US").expect("invariant: a country"))
        }),
        shipping: None,
        currency: None,
    };
    // What cannot be told now is no reason not to start.
    let Ok(quote) = app.calculate(&Caller::Anonymous, ask).await else { return Ok(()) };
    let total = quote.total;
    let (amount, currency) = (total.minor(), total.currency().code());
    let text = format!(
        r#"
Cartwright listens on http://{listen} and keeps everything in {dir}.
Search, fill a cart, and pay {total} (no real money moves):

  curl -s 'http://{listen}/api/v1/books?search=dune&limit=1'

  TOKEN=$(curl -s -D- -o /dev/null http://{listen}/api/v1/cart -H 'Content-Type: application/json' \
    -d '{{"items":[{{"productId":"{book}","quantity":1}}]}}' | grep -o 'gst_[0-9a-f]*')

  curl -s http://{listen}/api/v1/checkout/session -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
    -d '{{"email":"ada@example.com","shippingAddress":{{"name":"Ada Lovelace","line1":"12 Analytical Way","city":"San Francisco","region":"CA","postalCode":"94105","country":"US"}}}}' \
    --next -s http://{listen}/api/v1/checkout/process -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -H 'Idempotency-Key: first' \
    -d '{{"paymentToken":"tok_visa","expectedTotal":{{"amount":{amount},"currency":"{currency}"}}}}'

"#,
        dir = dir.display(),
    );
    std::io::stdout().write_all(text.as_bytes()).map_err(|e| format!("standard output: {e}"))
}
