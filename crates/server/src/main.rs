//! The `cartwright` command.

mod caches;
mod data;
mod import;
mod loops;
mod rules;
mod serve;
mod settings;
mod simulator;
mod start;
mod taxes;
mod world;

use clap::{Args, Parser, Subcommand};
use domain::ids::Segment;
use domain::time::MonthDay;
use rest::auth::Said;
use settings::{Flags, LogFormat, Settings, Span};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use taxes::{BookRate, Wanted};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The cart-to-order engine that never loses, doubles or misprices.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args)]
struct Common {
    /// A configuration file on top of the defaults
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where everything durable lives
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How to log
    #[arg(long, global = true, value_enum)]
    log: Option<LogFormat>,
    /// Where to answer requests
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Keep nothing: a data directory that is removed at the end
    #[arg(long, global = true, conflicts_with = "data_dir")]
    ephemeral: bool,
    /// What this node does of what nodes share; all when left out
    #[arg(long, global = true, value_enum, value_delimiter = ',', value_name = "ROLES")]
    roles: Vec<settings::Role>,
}

#[derive(Subcommand)]
enum Command {
    /// Answer requests (what happens without a command)
    Serve,
    /// Write things down in the store
    Import {
        #[command(subcommand)]
        what: Import,
    },
    /// Print a bearer token for the store in --data-dir
    Token {
        /// Whom the token is for
        #[arg(long)]
        sub: String,
        #[arg(long, value_enum)]
        role: Role,
        /// How long it is good for
        #[arg(long, default_value = "1h", value_parser = span)]
        ttl: Span,
        /// A group of customers they belong to; may be given several times
        #[arg(long = "segment", value_name = "NAME", value_parser = segment)]
        segments: Vec<Segment>,
        /// When they were born
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = birthdate)]
        birthdate: Option<String>,
        /// They pay no tax
        #[arg(long)]
        tax_exempt: bool,
    },
    /// Serve the built-in payment provider by itself, with a ledger of its own
    PaymentSimulator {
        /// Where it keeps what it knows
        #[arg(long, value_name = "FILE")]
        ledger: PathBuf,
        /// Where the shop wants to hear of changes
        #[arg(long, value_name = "URL")]
        webhook_url: Option<String>,
        /// What they are signed with; payments.webhook_secret when left out
        #[arg(long, value_name = "whsec_…")]
        webhook_secret: Option<String>,
        /// Tell everything twice and the newest first, as real networks may
        #[arg(long)]
        webhook_unruly: bool,
    },
    /// Serve the tax rates of pricing.rules by themselves, as a tax provider
    TaxSimulator,
    /// Print the effective configuration and verify the store
    Check {
        /// Also make everything anew that follows from something else, and compare
        #[arg(long)]
        rebuild: bool,
    },
    /// Copy the store to an empty directory, also while it is being served
    Backup { dir: PathBuf },
    /// Put a backup in place of an empty data directory, and verify it
    Restore { dir: PathBuf },
}

#[derive(Subcommand)]
enum Import {
    /// Books from JSON lines or CSV, plain or .zst; repeating it changes nothing
    Catalog {
        file: PathBuf,
        /// book_id,list_price_cents,currency for rows without a price
        #[arg(long, value_name = "FILE")]
        prices: Option<PathBuf>,
        /// Copies of each new edition whose row does not say
        #[arg(long, default_value_t = 100)]
        stock: u32,
    },
    /// Rates of taxes from a table in JSON or CSV; repeating it changes nothing
    Taxes {
        file: PathBuf,
        /// Where the table is from, when it does not say so itself
        #[arg(long, value_name = "TEXT")]
        source: Option<String>,
        /// The day it was true
        #[arg(long, value_name = "DATE")]
        as_of: Option<String>,
        /// What printed books have: standard, reduced, or COUNTRY=PPM; may be given several times
        #[arg(long, value_name = "RATE")]
        books_rate: Vec<BookRate>,
        /// The same of e-books and audiobooks
        #[arg(long, value_name = "RATE")]
        ebooks_rate: Vec<BookRate>,
        /// Whether prices contain the taxes; what is usual there when left out
        #[arg(long, value_name = "BOOL")]
        included: Option<bool>,
        /// Whether shipping is taxed; what is usual there when left out
        #[arg(long, value_name = "BOOL")]
        shipping_taxed: Option<bool>,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Role {
    Customer,
    Admin,
}

impl From<Role> for rest::auth::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Customer => Self::Customer,
            Role::Admin => Self::Admin,
        }
    }
}

fn span(text: &str) -> Result<Span, String> {
    humantime::parse_duration(text).map(Span).map_err(|e| e.to_string())
}

fn segment(text: &str) -> Result<Segment, String> {
    Segment::parse(text).ok_or_else(|| "1 to 64 letters, digits, dashes or underscores".to_owned())
}

fn birthdate(text: &str) -> Result<String, String> {
    MonthDay::of_date(text).map(|_| text.to_owned()).ok_or_else(|| "a date such as 1990-11-28".to_owned())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let Common { config, data_dir, log, listen, ephemeral, roles } = cli.common;
    let flags = Flags { listen, data_dir, ephemeral, log, roles };
    let done = Settings::load(config.as_deref(), config::Environment::default(), &flags).and_then(|settings| {
        match cli.command.unwrap_or(Command::Serve) {
            Command::Serve => serve::run(settings),
            Command::Import { what: Import::Catalog { file, prices, stock } } => data::import(&settings, &file, prices.as_deref(), stock),
            Command::Import {
                what: Import::Taxes { file, source, as_of, books_rate: books, ebooks_rate: ebooks, included, shipping_taxed },
            } => data::import_taxes(&settings, &file, &Wanted { source, as_of, books, ebooks, included, shipping_taxed }),
            Command::Token { sub, role, ttl, segments, birthdate, tax_exempt } => {
                data::token(&settings, &sub, role.into(), &Said { segments, birthdate, tax_exempt }, ttl.0)
            }
            Command::PaymentSimulator { ledger, webhook_url, webhook_secret, webhook_unruly } => {
                let webhook = simulator::Webhook { url: webhook_url, secret: webhook_secret, unruly: webhook_unruly };
                simulator::run(&settings, flags.listen, &ledger, webhook)
            }
            Command::TaxSimulator => simulator::taxes(&settings, flags.listen),
            Command::Check { rebuild } => data::check(&settings, rebuild),
            Command::Backup { dir } => data::backup(&settings, &dir),
            Command::Restore { dir } => data::restore(&settings, &dir),
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say_wrong(&message);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a command's last words, whatever its log says")]
fn say_wrong(message: &str) {
    eprintln!("cartwright: {message}");
}
