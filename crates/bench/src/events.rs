//! Another system that hears of everything the store says on its bus.

use crate::Failure;
use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const QUEUE: &str = "bench-chaos";
const PAUSE: Duration = Duration::from_millis(500);
/// Of an order that was paid: placed, authorized, captured, confirmed.
const OF_AN_ORDER: usize = 4;

/// What has arrived so far: the numbers of each subject's events.
type Heard = Arc<Mutex<BTreeMap<String, Vec<u64>>>>;

pub struct Consumed {
    heard: Heard,
    url: String,
    listener: JoinHandle<()>,
}

impl Consumed {
    /// Begins to listen, on a queue that outlives the broker.
    pub async fn begin(url: &str, exchange: &str) -> Result<Self, Failure> {
        let heard = Heard::default();
        let (connection, _) = declare(url, exchange).await?;
        drop(connection);
        let (theirs, url_of, exchange) = (Arc::clone(&heard), url.to_owned(), exchange.to_owned());
        let listener = tokio::spawn(async move {
            loop {
                drop(listen(&url_of, &exchange, &theirs).await);
                tokio::time::sleep(PAUSE).await;
            }
        });
        Ok(Self { heard, url: url.to_owned(), listener })
    }

    /// Waits until every event of these orders is here, and looks that no subject lacks one.
    pub async fn verify(self, orders: &[String], patience: Duration) -> Result<String, Failure> {
        let until = Instant::now() + patience;
        let said = loop {
            let (missing, gaps, said) = self.look(orders);
            if missing.is_empty() && gaps.is_empty() {
                break said;
            }
            if Instant::now() > until {
                return Err(
                    format!("STATE WRONG: of {} orders events are missing: {missing:.200?}; gaps: {gaps:.200?}", orders.len()).into()
                );
            }
            tokio::time::sleep(PAUSE).await;
        };
        self.listener.abort();
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await?;
        connection.create_channel().await?.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
        Ok(said)
    }

    fn look(&self, orders: &[String]) -> (Vec<String>, Vec<String>, String) {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = |subject: &String| heard.get(subject).is_some_and(|numbers| distinct(numbers).len() >= OF_AN_ORDER);
        let missing: Vec<_> = orders.iter().filter(|order| !whole(order)).cloned().collect();
        let gapless = |numbers: &[u64]| distinct(numbers).into_iter().zip(1..).all(|(number, place)| number == place);
        // What was there before the queue was is not missed.
        let gaps: Vec<_> = heard.iter().filter(|(_, numbers)| numbers.contains(&1) && !gapless(numbers)).map(|(s, _)| s.clone()).collect();
        let first_in_order = |numbers: &[u64]| {
            let mut highest = 0;
            numbers.iter().all(|n| *n <= highest || std::mem::replace(&mut highest, *n) < *n && gap_free(numbers, *n))
        };
        let out_of_order = heard.values().filter(|numbers| !first_in_order(numbers)).count();
        let all: usize = heard.values().map(Vec::len).sum();
        let once: usize = heard.values().map(|numbers| distinct(numbers).len()).sum();
        let said = format!(
            "{once} heard of, {} repeated, none missing; all of {} acknowledged orders; {out_of_order} subjects out of order",
            all - once,
            orders.len()
        );
        (missing, gaps, said)
    }
}

fn distinct(numbers: &[u64]) -> BTreeSet<u64> {
    numbers.iter().copied().collect()
}

/// Whether everything before `n` came before it.
fn gap_free(numbers: &[u64], n: u64) -> bool {
    let before: BTreeSet<u64> = numbers.iter().copied().take_while(|number| *number != n).collect();
    before.first().is_none_or(|first| (*first..n).all(|number| before.contains(&number)))
}

async fn declare(url: &str, exchange: &str) -> Result<(Connection, lapin::Channel), Failure> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), durable, quorum).await?;
    channel.queue_bind(QUEUE.into(), exchange.into(), "#".into(), QueueBindOptions::default(), FieldTable::default()).await?;
    Ok((connection, channel))
}

async fn listen(url: &str, exchange: &str, heard: &Heard) -> Result<(), Failure> {
    let (_connection, channel) = declare(url, exchange).await?;
    let mut consumer = channel.basic_consume(QUEUE.into(), "bench".into(), BasicConsumeOptions::default(), FieldTable::default()).await?;
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        if let Some((subject, number)) = subject_of(&delivery.properties) {
            heard.lock().unwrap_or_else(PoisonError::into_inner).entry(subject).or_default().push(number);
        }
        delivery.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

fn subject_of(properties: &BasicProperties) -> Option<(String, u64)> {
    let headers = properties.headers().as_ref()?.inner();
    let text = |name: &str| match headers.get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    };
    Some((text("cloudEvents_subject")?, text("cloudEvents_sequence")?.parse().ok()?))
}
