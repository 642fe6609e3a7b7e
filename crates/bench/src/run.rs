//! A round: every client in a closed loop for a while.

use crate::Failure;
use crate::client::{Client, Latencies, Tally, latencies};
use std::future::Future;
use std::time::{Duration, Instant};

/// What one client does, over and over.
pub trait Load: Send + 'static {
    /// One operation of one or more requests. Refusals are counted, not errors; an error ends the run.
    fn step(&mut self, client: &mut Client) -> impl Future<Output = Result<(), Failure>> + Send;
}

pub struct Round {
    pub tally: Tally,
    pub elapsed: Duration,
    /// What the server's processor did meanwhile, where its process is known.
    pub processor: Option<Duration>,
}

impl Round {
    pub fn mean_body(&self) -> u64 {
        self.tally.bytes / self.tally.requests.max(1)
    }

    pub fn writes_percent(&self) -> u64 {
        self.tally.writes * 100 / self.tally.requests.max(1)
    }

    pub fn rate(&self, requests: u64) -> f64 {
        to_f64(requests) / self.elapsed.as_secs_f64()
    }

    pub fn processor_each(&self) -> Option<Duration> {
        self.processor.map(|time| time / u32::try_from(self.tally.requests).unwrap_or(u32::MAX).max(1))
    }

    /// All requests together.
    pub fn all(&self) -> Latencies {
        self.tally.latencies.values().fold(latencies(), |mut all, of| {
            all.add(of).expect("invariant: the same bounds everywhere");
            all
        })
    }
}

/// Figures of a report: exact up to 2^53, which no run reaches.
#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
pub fn to_f64(n: u64) -> f64 {
    n as f64
}

/// Runs all loads at once for `span` over fresh connections. A load is never cut off in an operation, so
/// every request has its answer when the round ends.
pub async fn round<L: Load>(url: &str, loads: &mut Vec<L>, span: Duration) -> Result<Round, Failure> {
    let mut clients = Vec::with_capacity(loads.len());
    for _ in 0..loads.len() {
        clients.push(Client::connect(url).await?);
    }
    by(clients, loads, span).await
}

/// The same by these clients, one for each load.
pub async fn by<L: Load>(clients: Vec<Client>, loads: &mut Vec<L>, span: Duration) -> Result<Round, Failure> {
    let start = Instant::now();
    let tasks: Vec<_> = loads.drain(..).zip(clients).map(|(load, client)| tokio::spawn(repeat(load, client, start + span))).collect();
    let mut tally = Tally::default();
    for task in tasks {
        let (load, client) = task.await??;
        loads.push(load);
        tally.add(&client.tally);
    }
    Ok(Round { tally, elapsed: start.elapsed(), processor: None })
}

async fn repeat<L: Load>(mut load: L, mut client: Client, until: Instant) -> Result<(L, Client), Failure> {
    while Instant::now() < until {
        load.step(&mut client).await?;
    }
    Ok((load, client))
}
