//! The commands that work on a data directory: import, token, check, backup, restore.

use crate::import::{self, Summary};
use crate::settings::Settings;
use crate::start::{self, Opened};
use crate::taxes::{self, Reader, Wanted};
use crate::world::SystemClock;
use app::Imported;
use app::ports::Clock;
use app::snapshot::Snapshot;
use domain::ids::CustomerId;
use indicatif::{ProgressBar, ProgressStyle};
use rest::auth::{DevIssuer, Role, Said};
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use store_embedded::{EmbeddedStore, Rebuilt, Verified};
use store_postgres::{PgSettings, PgStore};

/// Bad rows that are printed; the rest is counted.
const BAD_ROWS_SHOWN: usize = 50;

pub fn import(settings: &Settings, file: &Path, prices: Option<&Path>, stock: u32) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let app = runtime.block_on(open(settings))?.app;
    let options = import::Options { prices, stock, currency: settings.currency()? };
    // Draws on a terminal only.
    let bar = ProgressBar::new_spinner()
        .with_style(ProgressStyle::with_template("{spinner} {pos} rows  {per_sec}").expect("invariant: a valid template"));
    let summary = runtime.block_on(import::file(&app, file, &options, |rows| bar.set_position(rows as u64)));
    bar.finish_and_clear();
    let Summary { imported, bad } = summary?;
    let bad: Vec<_> = bad.into_iter().map(|(line, reason)| format!("line {line}: {reason}")).collect();
    report(imported, &bad)
}

pub fn import_taxes(settings: &Settings, file: &Path, wanted: &Wanted) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let reader = Reader { wanted, zone: settings.policy()?.time_zone };
    let imported = runtime.block_on(async {
        let opened = open(settings).await?;
        // As at a first start, which would not give them to a store that has rules already.
        start::first_rules(&opened.app, settings, &opened.catalog.snapshot()).await?;
        taxes::import(&opened.app, file, &reader).await
    });
    let taxes::Summary { imported, bad, together } = imported?;
    report(imported, &bad)?;
    if !together.is_empty() {
        print(&format!("taxes of several names add up; see whether that is meant: {}\n", together.join("; ")))?;
    }
    Ok(())
}

async fn open(settings: &Settings) -> Result<Opened, String> {
    start::open(settings, &settings.data_dir, &settings.origin(settings.listen)).await
}

#[expect(clippy::print_stderr, reason = "bad rows are reported apart from the summary")]
fn report(done: Imported, bad: &[String]) -> Result<(), String> {
    for row in bad.iter().take(BAD_ROWS_SHOWN) {
        eprintln!("{row}");
    }
    if bad.len() > BAD_ROWS_SHOWN {
        eprintln!("and {} more", bad.len() - BAD_ROWS_SHOWN);
    }
    print(&format!("{} created, {} updated, {} unchanged, {} bad rows\n", done.created, done.updated, done.unchanged, bad.len()))
}

pub fn token(settings: &Settings, sub: &str, role: Role, said: &Said, ttl: Duration) -> Result<(), String> {
    let sub = CustomerId::parse(sub).ok_or("--sub is 1 to 255 visible ASCII characters")?;
    print(&format!("{}\n", issuer(settings, &settings.data_dir)?.token_saying(&sub, role, said, ttl, SystemClock.now())))
}

pub fn issuer(settings: &Settings, dir: &Path) -> Result<DevIssuer, String> {
    let path = settings.token_key(dir);
    let at = |e: std::io::Error| format!("{}: {e}", path.display());
    path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(at)?;
    DevIssuer::open(&path).map_err(at)
}

pub fn check(settings: &Settings, rebuild: bool) -> Result<(), String> {
    print(&format!("# effective configuration\n{}\n", settings.print()))?;
    crate::rules::load(&settings.pricing.rules, settings.currency()?, &Snapshot::default())?;
    if let Some(postgres) = settings.store.postgres() {
        return check_shared(settings, postgres, rebuild);
    }
    let dir = settings.data_dir.display();
    let verified = store_embedded::verify(&settings.data_dir).map_err(|e| format!("{dir}: {e}"))?;
    print(&format!("# store in {dir}\n{}\n", counts(&verified)))?;
    if rebuild {
        let Rebuilt { orders, checkouts, levels, counters } =
            store_embedded::rebuild(&settings.data_dir).map_err(|e| format!("{dir}: {e}"))?;
        print(&format!("rebuilt and the same: {orders} orders, {checkouts} checkouts, {levels} stock levels, {counters} counts of use\n"))?;
    }
    Ok(())
}

/// Of a store that is elsewhere, carts are only reached; what is kept twice in PostgreSQL is compared, beside those who use it.
fn check_shared(settings: &Settings, postgres: PgSettings, rebuild: bool) -> Result<(), String> {
    if rebuild {
        return Err(OF_ONE_DIRECTORY.into());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let v = runtime.block_on(async {
        open(settings).await?.app.reach_carts().await.map_err(|e| e.to_string())?;
        let store = PgStore::connect(postgres).await.map_err(|e| format!("store.postgres_url: {e}"))?;
        store.verify().await.map_err(|e| format!("store.postgres_url: {e}"))
    })?;
    print(&format!(
        "# store on PostgreSQL and Redis\nRedis is reached, PostgreSQL is sound: {} checkouts, {} orders with {} events, {} books, {} stock moves, {} rules, {} codes, {} events in the outbox\n",
        v.checkouts, v.orders, v.order_events, v.books, v.stock_moves, v.rules, v.codes, v.events
    ))
}

pub fn backup(settings: &Settings, target: &Path) -> Result<(), String> {
    of_one_directory(settings)?;
    EmbeddedStore::backup_to(&settings.data_dir, target).map_err(|e| format!("{}: {e}", target.display()))?;
    for name in side_files(&settings.data_dir)? {
        copy(&settings.data_dir.join(&name), &target.join(&name))?;
    }
    let verified = store_embedded::verify(target).map_err(|e| format!("{}: {e}", target.display()))?;
    print(&format!("{}\nbackup in {}\n", counts(&verified), target.display()))
}

pub fn restore(settings: &Settings, source: &Path) -> Result<(), String> {
    of_one_directory(settings)?;
    store_embedded::verify(source).map_err(|e| format!("{}: {e}", source.display()))?;
    EmbeddedStore::backup_to(source, &settings.data_dir).map_err(|e| format!("{}: {e}", settings.data_dir.display()))?;
    for name in side_files(source)? {
        copy(&source.join(&name), &settings.data_dir.join(&name))?;
    }
    let verified = store_embedded::verify(&settings.data_dir).map_err(|e| format!("{}: {e}", settings.data_dir.display()))?;
    print(&format!("{}\nrestored to {}\n", counts(&verified), settings.data_dir.display()))
}

const OF_ONE_DIRECTORY: &str = "this is for a store in one directory; PostgreSQL and Redis have tools of their own";

fn of_one_directory(settings: &Settings) -> Result<(), String> {
    if settings.store.is_shared() { Err(OF_ONE_DIRECTORY.into()) } else { Ok(()) }
}

/// What a data directory holds besides the store: keys and the payment simulator's own ledger.
fn side_files(dir: &Path) -> Result<Vec<std::ffi::OsString>, String> {
    let at = |e: std::io::Error| format!("{}: {e}", dir.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(at)? {
        let name = entry.map_err(at)?.file_name();
        let text = name.to_string_lossy();
        if text.ends_with(".jsonl") || text.ends_with(".pk8") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Copies with the file's permissions and waits until the copy is durable.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    std::fs::copy(from, to).and_then(|_| std::fs::File::open(to)?.sync_all()).map_err(|e| format!("{}: {e}", to.display()))
}

fn print(text: &str) -> Result<(), String> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|e| format!("standard output: {e}"))
}

/// What a sound store holds, in a line.
fn counts(v: &Verified) -> String {
    format!(
        "sound: {} carts, {} checkouts, {} orders with {} events, {} books, {} sessions, {} stock moves, {} rules, {} codes, {} events in the outbox",
        v.carts, v.checkouts, v.orders, v.order_events, v.books, v.sessions, v.stock_moves, v.rules, v.codes, v.events
    )
}
