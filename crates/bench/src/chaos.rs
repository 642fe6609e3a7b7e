//! The mixed load over a store at scale while something of it is taken away, and then: is everything there that was
//! acknowledged, once, at the customers', on the bus and at the payment provider?

use crate::Failure;
use crate::client::{Ask, Client, Tally, Token};
use crate::events::Consumed;
use crate::run::{Round, by, to_f64};
use crate::scenario::{Kind, Shopper};
use crate::world::{World, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;

/// What is taken away, for how long, and how it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Event {
    /// Nothing, to compare with
    Nothing,
    /// kill -9 of a node
    KillNode,
    /// SIGTERM to a node, as when a new version is put in place
    StopNode,
    /// kill -9 of a Redis master, whose replica takes over
    KillRedisMaster,
    /// kill -9 of PostgreSQL, and again at once
    RestartPostgres,
    /// A minute without RabbitMQ
    RabbitDown,
    /// PostgreSQL's primary is gone for good and its replica takes over: only when named, and once a cluster
    Promote,
}

impl Event {
    /// The process, what is done to it, and how long it is away.
    fn plan(self) -> Option<(&'static str, &'static str, Duration)> {
        let seconds = Duration::from_secs;
        match self {
            Self::Nothing => None,
            Self::KillNode => Some(("node-2", "kill", seconds(10))),
            Self::StopNode => Some(("node-3", "stop", seconds(3))),
            Self::KillRedisMaster => Some(("redis-1", "kill", seconds(10))),
            Self::RestartPostgres => Some(("postgres-primary", "kill", seconds(0))),
            Self::RabbitDown => Some(("rabbit", "kill", seconds(60))),
            Self::Promote => Some(("postgres-primary", "promote", seconds(0))),
        }
    }
}

#[derive(clap::Args, Clone)]
pub struct Options {
    /// The folder of `./dev cluster`
    #[arg(long, default_value = ".cluster")]
    dir: PathBuf,
    #[arg(long, default_value = "target/release/cartwright")]
    bin: PathBuf,
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Load before and after each event
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// How long what was published may take to arrive
    #[arg(long, default_value_t = 60)]
    settle: u64,
    /// One after the other; all that can be repeated when left out
    #[arg(value_enum)]
    events: Vec<Event>,
}

pub async fn run(options: &Options) -> Result<(), Failure> {
    let cluster: Value = serde_json::from_slice(&std::fs::read(options.dir.join("cluster.json"))?)?;
    let address = |key: &str| cluster[key].as_str().map(str::to_owned).ok_or_else(|| format!("cluster.json without {key}"));
    let (url, rabbit) = (address("balancer")?, address("rabbit")?);
    let consumed = Consumed::begin(&rabbit, "cartwright.events").await?;
    let admin = admin(options).await?;
    restock(&url, &admin).await?;
    let world = Arc::new(World::prepare(&url, options.clients, 2_000.max(options.clients), 0).await?);
    let mut shoppers: Vec<_> = (0..options.clients).map(|n| Shopper::new(Kind::Mixed, n, options.clients, Arc::clone(&world))).collect();
    let all = [Event::Nothing, Event::KillNode, Event::StopNode, Event::RestartPostgres, Event::RabbitDown, Event::KillRedisMaster];
    let events = if options.events.is_empty() { all.to_vec() } else { options.events.clone() };
    println!("| what | requests | /s | sent again | succeeded | p99 ms | longest ms | failed |\n|---|---:|---:|---:|---:|---:|---:|---|");
    for event in events {
        let loaded = under(&url, options, event, &mut shoppers).await?;
        println!("{}", line(event, &loaded));
    }
    let purchases: Vec<_> = shoppers.into_iter().flat_map(|shopper| shopper.purchases).collect();
    let orders: Vec<String> = purchases.iter().filter_map(|purchase| purchase.order.clone()).collect();
    let lost = world.lost(&url).await?;
    println!("\ncarts: {lost}");
    println!("orders: {}", world.verify_purchases(&url, &purchases).await?);
    println!("payments: {}", payments(&url, &admin, &address("payments_ledger")?).await?);
    println!("events: {}", consumed.verify(&orders, Duration::from_secs(options.settle)).await?);
    Ok(())
}

/// The load, and the event in the middle of it.
async fn under(url: &str, options: &Options, event: Event, shoppers: &mut Vec<Shopper>) -> Result<Round, Failure> {
    let around = Duration::from_secs(options.seconds);
    let away = event.plan().map_or(Duration::ZERO, |(_, _, away)| away);
    let disturb = async {
        let Some((process, action, away)) = event.plan() else { return Ok(()) };
        tokio::time::sleep(around).await;
        dev(&options.dir, &[action, process]).await?;
        if event == Event::Promote {
            return Ok(());
        }
        tokio::time::sleep(away).await;
        dev(&options.dir, &["start", process]).await
    };
    let mut clients = Vec::with_capacity(shoppers.len());
    for _ in 0..shoppers.len() {
        clients.push(Client::connect(url).await?.again());
    }
    let (loaded, disturbed) = tokio::join!(by(clients, shoppers, around * 2 + away), disturb);
    disturbed?;
    loaded
}

async fn dev(dir: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let done = Command::new("./dev").args(arguments).arg("--dir").arg(dir).stdin(Stdio::null()).status().await?;
    if done.success() { Ok(()) } else { Err(format!("./dev {} failed", arguments.join(" ")).into()) }
}

fn line(event: Event, round: &Round) -> String {
    let Tally { requests, retried, errors, .. } = &round.tally;
    let failed: u64 = errors.iter().filter(|(status, _)| **status == 0 || **status >= 500).map(|(_, n)| n).sum();
    let all = round.all();
    let ms = |micros: u64| to_f64(micros) / 1000.0;
    let named: Vec<String> =
        errors.iter().map(|(status, n)| format!("{n} × {}", if *status == 0 { "no answer".into() } else { status.to_string() })).collect();
    format!(
        "| {event:?} | {requests} | {:.0} | {retried} | {:.4} % | {:.0} | {:.0} | {} |",
        round.rate(*requests),
        100.0 * to_f64(requests - failed) / to_f64((*requests).max(1)),
        ms(all.value_at_quantile(0.99)),
        ms(all.max()),
        named.join(", ")
    )
}

async fn admin(options: &Options) -> Result<Token, Failure> {
    let config = options.dir.join("node-1.toml");
    let told = Command::new(&options.bin).arg("--config").arg(config).args(["token", "--sub", "root", "--role", "admin"]).output().await?;
    Token::new(String::from_utf8(told.stdout)?.trim())
}

/// More copies of everything than a run can sell.
async fn restock(url: &str, admin: &Token) -> Result<(), Failure> {
    let mut client = Client::connect(url).await?;
    let books = client.send(Ask::get("prepare", "/api/v1/books?limit=100", None)).await?.json()?;
    for book in books["items"].as_array().into_iter().flatten() {
        for edition in book["editions"].as_array().into_iter().flatten() {
            let path = format!("/api/v1/books/{}/editions/{}/stock", text(book, "id")?, text(edition, "id")?);
            let more = json!({ "delta": 1_000_000, "reason": "a run of chaos" });
            client.send(Ask::post("prepare", &path, Some(admin), &more)).await?.json()?;
        }
    }
    Ok(())
}

/// What the provider took against what the shop says was paid: every order once.
async fn payments(url: &str, admin: &Token, ledger: &str) -> Result<String, Failure> {
    let text = std::fs::read_to_string(ledger)?;
    let mut charges: BTreeMap<String, (i64, String)> = BTreeMap::new();
    // That a notice was heard changes no charge.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(|line| line["change"] != "told");
    for line in lines {
        let charge = charges.entry(line["key"].as_str().unwrap_or_default().to_owned()).or_default();
        charge.0 = line["amount"][0].as_i64().unwrap_or(charge.0);
        line["change"].as_str().unwrap_or_default().clone_into(&mut charge.1);
    }
    let taken: Vec<i64> = charges.values().filter(|(_, change)| change == "captured").map(|(amount, _)| *amount).collect();
    let orders = paid_orders(url, admin).await?;
    let (sum, owed) = (taken.iter().sum::<i64>(), orders.iter().sum::<i64>());
    if taken.len() != orders.len() || sum != owed {
        return Err(format!("STATE WRONG: {} charges of {sum} in all, {} paid orders of {owed}", taken.len(), orders.len()).into());
    }
    Ok(format!("{} charges, one for each paid order, and the same {sum} in all", taken.len()))
}

/// The totals of all orders whose money was taken, from the shopkeeper's list.
async fn paid_orders(url: &str, admin: &Token) -> Result<Vec<i64>, Failure> {
    let mut client = Client::connect(url).await?;
    let (mut totals, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/orders?limit=100{cursor}");
        let page = client.send(Ask::get("verify", &path, Some(admin))).await?.json()?;
        for order in page["items"].as_array().into_iter().flatten().filter(|order| order["paymentStatus"] == "captured") {
            totals.push(order["totals"]["total"]["amount"].as_i64().unwrap_or_default());
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(totals),
        }
    }
}
