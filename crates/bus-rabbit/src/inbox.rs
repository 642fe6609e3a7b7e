//! What other systems say: read, taken in, and only then settled with the broker.
//!
//! Messages of one customer are taken in one after the other, as they came; of different customers, several at once.
//! A store that is away is waited for, with the messages in hand: giving them back would use up their deliveries. What can
//! have no effect, now or later, goes to the dead letters at once, with the reason on it.

use crate::endpoints::{Endpoints, retry_wait};
use crate::envelope::Envelope;
use crate::limits::{DETAIL_MAX, EARLY_PAUSE, MESSAGE_MAX, PREFETCH_MAX, WORKERS_MAX};
use crate::topology::{declare_inbox, text};
use crate::{Error, OpenError, RabbitSettings};
use app::ports::{PortError, PortErrorKind};
use app::{App, Incoming, TakenIn, traced};
use domain::text::Text;
use domain::trace::TraceContext;
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use wire::{Json, read};

/// Takes in what is said to the shop, until it is told to stop.
///
/// # Errors
/// Settings that can never work.
pub async fn consume(app: Arc<App>, settings: RabbitSettings, mut stop: watch::Receiver<bool>) -> Result<(), OpenError> {
    let endpoints = Endpoints::of(&settings)?;
    let settings = Arc::new(settings);
    let mut failures = 0;
    loop {
        let Err(error) = listen(&app, &settings, &endpoints, &stop, &mut failures).await else { return Ok(()) };
        failures += 1;
        tracing::warn!(%error, failures, "messages of other systems wait at the broker");
        if !pause(retry_wait(failures), &mut stop).await {
            return Ok(());
        }
    }
}

/// One connection's time.
async fn listen(
    app: &Arc<App>,
    settings: &Arc<RabbitSettings>,
    endpoints: &Endpoints,
    stop: &watch::Receiver<bool>,
    failures: &mut u32,
) -> Result<(), Error> {
    let connection = endpoints.connect("inbox").await?;
    let channel = connection.create_channel().await?;
    declare_inbox(&channel, settings).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    channel.basic_qos(PREFETCH_MAX, BasicQosOptions::default()).await?;
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let consumer = channel.basic_consume(settings.inbox().as_str().into(), "cartwright".into(), options, none).await?;
    *failures = 0;
    let desk = Desk { app: Arc::clone(app), settings: Arc::clone(settings), channel, stop: stop.clone() };
    let (mut workers, mut queues) = (JoinSet::new(), Vec::new());
    for _ in 0..WORKERS_MAX {
        let (sender, queue) = mpsc::unbounded_channel();
        queues.push(sender);
        workers.spawn(Worker { desk: desk.clone(), waiting: Vec::new() }.work(queue));
    }
    let ended = desk.hand_out(consumer, &queues, &mut workers).await;
    // What was begun is finished; the broker gives what was not settled to the next one.
    drop(queues);
    while workers.join_next().await.is_some() {}
    drop(connection.close(200, "OK".into()).await);
    ended
}

/// Where messages are settled.
#[derive(Clone)]
struct Desk {
    app: Arc<App>,
    settings: Arc<RabbitSettings>,
    channel: Channel,
    stop: watch::Receiver<bool>,
}

/// A message that could be read.
struct Arrived {
    delivery: Delivery,
    message: Incoming,
    trace: Option<TraceContext>,
    since: Instant,
}

/// Why a message can have no effect.
struct Poison {
    code: String,
    detail: String,
}

impl Poison {
    fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into().chars().take(DETAIL_MAX).collect() }
    }
}

impl Desk {
    /// Reads what comes and gives it to the worker of its customer.
    async fn hand_out(
        &self,
        mut consumer: Consumer,
        queues: &[mpsc::UnboundedSender<Arrived>],
        workers: &mut JoinSet<Result<(), Error>>,
    ) -> Result<(), Error> {
        let mut stop = self.stop.clone();
        loop {
            let delivery = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                Some(ended) = workers.join_next() => {
                    ended??;
                    continue;
                }
                delivery = consumer.next() => delivery.ok_or("the broker has ended the consumer")??,
            };
            match read_message(&delivery, &self.settings.source) {
                Ok(Some((message, trace))) => {
                    let mut hasher = DefaultHasher::new();
                    message.customer.as_str().hash(&mut hasher);
                    let at = usize::try_from(hasher.finish() % queues.len() as u64).expect("invariant: below a length");
                    // A worker that has ended has said why.
                    drop(queues[at].send(Arrived { delivery, message, trace, since: Instant::now() }));
                }
                Ok(None) => self.settle(&delivery).await?,
                Err(poison) => self.bury(&delivery, &poison).await?,
            }
        }
    }

    async fn settle(&self, delivery: &Delivery) -> Result<(), Error> {
        delivery.acker.ack(BasicAckOptions::default()).await?;
        Ok(())
    }

    /// To the dead letters, with the reason. A crash in between leaves it there twice, which is better than not at all.
    async fn bury(&self, delivery: &Delivery, poison: &Poison) -> Result<(), Error> {
        let mut headers = delivery.properties.headers().clone().unwrap_or_default();
        headers.insert("x-reason".into(), text(&poison.code));
        headers.insert("x-detail".into(), text(&poison.detail));
        let properties = delivery.properties.clone().with_headers(headers);
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (dead, key) = (self.settings.dead(), delivery.routing_key.clone());
        let confirm = self.channel.basic_publish(dead.as_str().into(), key, mandatory, &delivery.data, properties).await?.await?;
        if !confirm.is_ack() || confirm.take_message().is_some() {
            return Err("the dead letters do not take a message".into());
        }
        let id = delivery.properties.message_id().as_ref().map(ToString::to_string);
        tracing::warn!(id, reason = poison.code, "a message went to the dead letters");
        self.settle(delivery).await
    }
}

/// What is said, and the trace it belongs to, unless it is this shop's own.
fn read_message(delivery: &Delivery, own: &str) -> Result<Option<(Incoming, Option<TraceContext>)>, Poison> {
    if delivery.data.len() > MESSAGE_MAX {
        return Err(Poison::new("MESSAGE_TOO_LARGE", format!("It has {} bytes; at most {MESSAGE_MAX} are read.", delivery.data.len())));
    }
    let envelope = Envelope::open(&delivery.properties, &delivery.data).map_err(|e| Poison::new("ENVELOPE_INVALID", e))?;
    if envelope.source == own {
        return Ok(None);
    }
    let reader = wire::message::reader(&envelope.name).ok_or_else(|| Poison::new("TYPE_UNKNOWN", envelope.name.as_str()))?;
    let json = Json::parse(&envelope.body).map_err(|e| Poison::new("JSON_INVALID", e))?;
    let (customer, wish) = read(Some(json), reader).map_err(|invalid| {
        let wrong = |e: &wire::FieldError| format!("{} {}: {}", e.field, e.code, e.message);
        Poison::new("MESSAGE_INVALID", invalid.errors.iter().map(wrong).collect::<Vec<_>>().join(" "))
    })?;
    let named = |name, text: &str| format!("{name} is not a short text: {}", text.chars().take(64).collect::<String>());
    let sender = Text::parse(&envelope.source).ok_or_else(|| Poison::new("ENVELOPE_INVALID", named("source", &envelope.source)))?;
    let id = Text::parse(&envelope.id).ok_or_else(|| Poison::new("ENVELOPE_INVALID", named("id", &envelope.id)))?;
    // An order's events are counted by the order, not by its customer.
    let counted = envelope.sequence.filter(|_| envelope.name.starts_with("cart."));
    let sequence =
        counted.map(|n| n.parse().ok().filter(|n| *n > 0).ok_or_else(|| Poison::new("ENVELOPE_INVALID", "sequence counts from 1")));
    Ok(Some((Incoming { sender, id, sequence: sequence.transpose()?, customer, wish }, envelope.trace)))
}

/// Takes in the messages of some customers, one after the other.
struct Worker {
    desk: Desk,
    /// Too early: with those they wait for, in the order in which they are to be taken in.
    waiting: Vec<Arrived>,
}

impl Worker {
    #[expect(clippy::disallowed_methods, reason = "what is too early may become due through another node")]
    async fn work(mut self, mut queue: mpsc::UnboundedReceiver<Arrived>) -> Result<(), Error> {
        let mut stop = self.desk.stop.clone();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                arrived = queue.recv() => match arrived {
                    Some(arrived) => self.waiting.push(arrived),
                    None => return Ok(()),
                },
                () = tokio::time::sleep(EARLY_PAUSE), if !self.waiting.is_empty() => {}
            }
            self.go_through().await?;
        }
    }

    /// Takes in what has its turn, numbered ones by their numbers.
    async fn go_through(&mut self) -> Result<(), Error> {
        self.waiting.sort_by(|a, b| a.stream().cmp(&b.stream()));
        let all = std::mem::take(&mut self.waiting);
        let mut rest = all.into_iter();
        while let Some(arrived) = rest.next() {
            // Nobody waits longer than one with a higher number.
            let over = |other: &Arrived| other.since.elapsed() >= self.desk.settings.patience;
            let patient = !over(&arrived) && !rest.as_slice().iter().any(|other| other.follows(&arrived) && over(other));
            if self.desk.take(&arrived, patient).await? {
                continue;
            }
            self.waiting.push(arrived);
        }
        Ok(())
    }
}

impl Arrived {
    /// Whose numbers these are, and the number.
    fn stream(&self) -> (&str, &str, Option<u64>) {
        (self.message.customer.as_str(), self.message.sender.as_str(), self.message.sequence)
    }

    fn follows(&self, other: &Self) -> bool {
        let ((customer, sender, n), (others, senders, m)) = (self.stream(), other.stream());
        (customer, sender) == (others, senders) && n > m
    }
}

impl Desk {
    /// Whether it is settled; else it is too early.
    async fn take(&self, arrived: &Arrived, patient: bool) -> Result<bool, Error> {
        let Arrived { delivery, message, trace, .. } = arrived;
        let (mut stop, mut failures) = (self.stop.clone(), 0);
        // A connection that is lost has given everything back.
        while delivery.acker.usable() {
            let error = match traced(trace.clone(), self.app.take_in(message, patient)).await {
                Ok(TakenIn::TooEarly) => return Ok(false),
                Ok(TakenIn::Done | TakenIn::Repeat | TakenIn::TooLate) => return self.settle(delivery).await.map(|()| true),
                Ok(TakenIn::Refused(refusal)) => {
                    return self.bury(delivery, &Poison::new(refusal.code(), format!("{refusal:?}"))).await.map(|()| true);
                }
                Err(app::Error::Port(PortError { kind: PortErrorKind::Corrupt, source, .. })) => {
                    return self.bury(delivery, &Poison::new("STORE_CORRUPT", source.to_string())).await.map(|()| true);
                }
                Err(error) => error,
            };
            failures += 1;
            if failures == 1 {
                tracing::warn!(%error, ?message, "a message is taken in again until it works");
            }
            if !pause(retry_wait(failures), &mut stop).await {
                break;
            }
        }
        Ok(true)
    }
}

/// Waits; false when it is time to stop.
#[expect(clippy::disallowed_methods, reason = "this is where the adapter waits for others to come back")]
async fn pause(span: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => false,
        () = tokio::time::sleep(span) => true,
    }
}
