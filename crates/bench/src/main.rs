//! The load generator: one closed loop a client over its own keep-alive connection, next to a bare axum
//! endpoint of the same answer size, and at the end a look at whether the state is what was acknowledged.
//!
//! ```text
//! cargo build --release -p server
//! cargo run --release -p bench -- cart-add --clients 64 --seconds 10
//! cargo run --release -p bench -- mixed --url http://127.0.0.1:8080 --pid 4711
//! ```
#![expect(clippy::disallowed_methods, reason = "a load generator measures real time, waits and runs its own tasks")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its report is what it prints")]

mod bare;
mod chaos;
mod client;
mod events;
mod report;
mod run;
mod scenario;
mod server;
mod world;

use bare::BareLoad;
use clap::{Args, Parser, Subcommand};
use report::{Beside, Memory, Report};
use run::{Load, Round, round};
use scenario::{Kind, Shopper};
use server::{Server, Stock};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use world::World;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(name = "bench", about = "Measures Cartwright next to a bare endpoint and verifies what is left behind")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Reads carts of five items
    CartGet(Options),
    /// Adds to many carts
    CartAdd(Options),
    /// Adds to one cart from all clients at once
    CartAddSame(Options),
    /// Session, cart, checkout, payment: a whole purchase each time
    Checkout(Options),
    /// 60 % catalog, 25 % adds, 10 % cart reads, 5 % purchases
    Mixed(Options),
    /// The mixed load over a store of `./dev cluster` while parts of it are taken away, and what is left then
    Chaos(chaos::Options),
    /// Serves answers of a fixed size: what the ratio is taken against
    Bare {
        #[arg(long, default_value_t = 1500)]
        size: usize,
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
}

#[derive(Args, Clone)]
struct Options {
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Length of each round
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Threads of the load generator
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Carts the load is spread over; 10,000, or one a client if that is more [cart-add-same: moves to the next when one is full]
    #[arg(long)]
    carts: Option<usize>,
    /// A running server; one is started on a temporary directory when left out
    #[arg(long)]
    url: Option<String>,
    /// The process of `--url`, for its memory
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    #[arg(long, default_value = "target/release/cartwright")]
    bin: PathBuf,
    /// A catalog to import before serving; a made one of 1,000 books when left out
    #[arg(long, conflicts_with = "url")]
    catalog: Option<PathBuf>,
    #[arg(long, requires = "catalog")]
    prices: Option<PathBuf>,
    /// Copies of each edition
    #[arg(long, default_value_t = 1_000_000)]
    stock: u32,
    /// Leave the bare endpoint out
    #[arg(long)]
    no_bare: bool,
}

impl Options {
    fn carts(&self, kind: Kind) -> usize {
        match kind {
            Kind::Checkout => 0,
            Kind::CartGet | Kind::CartAdd | Kind::Mixed => self.carts.unwrap_or(10_000).max(self.clients),
            Kind::CartAddSame => self.carts.unwrap_or(1_000).max(1),
        }
    }
}

fn main() -> ExitCode {
    let (kind, options) = match Cli::parse().command {
        Command::Bare { size, port } => return done(runtime(2).block_on(bare::serve(size, port))),
        Command::Chaos(options) => return done(runtime(1).block_on(chaos::run(&options))),
        Command::CartGet(options) => (Kind::CartGet, options),
        Command::CartAdd(options) => (Kind::CartAdd, options),
        Command::CartAddSame(options) => (Kind::CartAddSame, options),
        Command::Checkout(options) => (Kind::Checkout, options),
        Command::Mixed(options) => (Kind::Mixed, options),
    };
    done(runtime(options.threads).block_on(measure(kind, &options)))
}

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads.max(1)).enable_all().build();
    runtime.expect("invariant: the system gives a few threads")
}

fn done(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(kind: Kind, options: &Options) -> Result<(), Failure> {
    let own = start(options).await?;
    let url = options.url.clone().or_else(|| own.as_ref().map(|s| s.url.clone())).expect("invariant: a url is given or a server started");
    let pid = options.pid.or_else(|| own.as_ref().map(Server::pid));
    eprintln!("preparing {} carts at {url}", options.carts(kind));
    let world = Arc::new(World::prepare(&url, options.clients, options.carts(kind), kind.items_at_start()).await?);
    let before = pid.and_then(Memory::of);

    let mut shoppers: Vec<Shopper> = (0..options.clients).map(|n| Shopper::new(kind, n, options.clients, Arc::clone(&world))).collect();
    let (rounds, bare) = alternate(options, &url, pid, &mut shoppers).await?;
    let after = pid.and_then(Memory::of);

    let title = format!("{kind}: {} clients, {} × {} s", options.clients, options.rounds, options.seconds);
    println!("{}", Report { title, rounds, bare, memory: before.zip(after) });
    let verified = world.verify(&url, options.clients, shoppers.into_iter().flat_map(|s| s.purchases).collect()).await?;
    println!("state verified: {verified}");
    Ok(())
}

async fn start(options: &Options) -> Result<Option<Server>, Failure> {
    if options.url.is_some() {
        return Ok(None);
    }
    let stock = Stock { catalog: options.catalog.clone(), prices: options.prices.clone(), copies: options.stock };
    Server::start(&options.bin, &stock).await.map(Some)
}

/// A B A B A B, so that a slow minute of the machine meets both. A short round before warms up and tells
/// how large the answers are and how many of the requests write.
async fn alternate(
    options: &Options,
    url: &str,
    pid: Option<u32>,
    shoppers: &mut Vec<Shopper>,
) -> Result<(Vec<Round>, Option<Beside>), Failure> {
    let span = Duration::from_secs(options.seconds);
    let warm = round(url, shoppers, span.min(Duration::from_secs(2))).await?;
    let server = if options.no_bare { None } else { Some(Server::bare(warm.mean_body())?) };
    let mut loads = (0..options.clients).map(|n| BareLoad::new(n, warm.writes_percent())).collect::<Result<Vec<_>, _>>()?;
    let (mut rounds, mut bare) = (Vec::new(), Vec::new());
    for n in 1..=options.rounds {
        eprintln!("round {n} of {}", options.rounds);
        rounds.push(watched(url, pid, shoppers, span).await?);
        if let Some(server) = &server {
            bare.push(watched(&server.url, Some(server.pid()), &mut loads, span).await?);
        }
    }
    Ok((rounds, server.map(|_| Beside { bytes: warm.mean_body(), rounds: bare })))
}

/// A round, and what it took of the server's processor.
async fn watched<L: Load>(url: &str, pid: Option<u32>, loads: &mut Vec<L>, span: Duration) -> Result<Round, Failure> {
    let now = || pid.and_then(report::processor);
    let before = now();
    let done = round(url, loads, span).await?;
    Ok(Round { processor: now().zip(before).map(|(after, before)| after.saturating_sub(before)), ..done })
}
