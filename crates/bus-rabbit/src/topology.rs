//! What there is at the broker, declared anew with every connection: it may be another broker than before.

use crate::RabbitSettings;
use crate::limits::{DELIVERIES_MAX, KEPT_BYTES_MAX};
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind, Result};

/// An exchange that somebody else declares, and what is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub exchange: String,
    pub routing_key: String,
}

impl Binding {
    /// `EXCHANGE:ROUTING_KEY`, or `EXCHANGE` for the key `order.placed`.
    pub fn parse(text: &str) -> Self {
        let (exchange, routing_key) = text.rsplit_once(':').unwrap_or((text, "order.placed"));
        Self { exchange: exchange.trim().to_owned(), routing_key: routing_key.trim().to_owned() }
    }
}

impl RabbitSettings {
    /// The topic exchange of the shop's events.
    pub(crate) fn events(&self) -> String {
        format!("{}.events", self.prefix)
    }

    /// Where events go that no queue asks for: exchange and queue.
    pub(crate) fn unrouted(&self) -> String {
        format!("{}.unrouted", self.prefix)
    }

    /// The topic exchange that takes commands.
    pub(crate) fn commands(&self) -> String {
        format!("{}.commands", self.prefix)
    }

    /// The queue of everything that is said to the shop.
    pub(crate) fn inbox(&self) -> String {
        format!("{}.inbox", self.prefix)
    }

    /// Where messages go that have no effect: exchange and queue.
    pub(crate) fn dead(&self) -> String {
        format!("{}.dead", self.prefix)
    }
}

/// The exchange of events. An event that no queue asks for is kept rather than lost: `mandatory` then never fails
/// for want of a queue, only when somebody has taken this one away.
pub async fn declare_events(channel: &Channel, settings: &RabbitSettings) -> Result<()> {
    kept(channel, &settings.unrouted()).await?;
    let alternate = table([("alternate-exchange", text(&settings.unrouted()))]);
    exchange(channel, &settings.events(), ExchangeKind::Topic, alternate).await
}

/// The inbox, its dead letters, and what is said there. One consumer at a time is served, so that what was sent in
/// order is taken in in order, whichever node does it.
pub async fn declare_inbox(channel: &Channel, settings: &RabbitSettings) -> Result<()> {
    kept(channel, &settings.dead()).await?;
    exchange(channel, &settings.commands(), ExchangeKind::Topic, FieldTable::default()).await?;
    let arguments = [
        ("x-delivery-limit", DELIVERIES_MAX.into()),
        ("x-dead-letter-exchange", text(&settings.dead())),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
        ("x-single-active-consumer", true.into()),
    ];
    queue(channel, &settings.inbox(), arguments).await?;
    bind(channel, &settings.inbox(), &settings.commands(), "#").await?;
    for Binding { exchange, routing_key } in &settings.orders {
        bind(channel, &settings.inbox(), exchange, routing_key).await?;
    }
    Ok(())
}

/// An exchange and a queue of the same name that keep what comes, up to a bound.
async fn kept(channel: &Channel, name: &str) -> Result<()> {
    exchange(channel, name, ExchangeKind::Fanout, FieldTable::default()).await?;
    queue(channel, name, [("x-max-length-bytes", KEPT_BYTES_MAX.into()), ("x-overflow", text("drop-head"))]).await?;
    bind(channel, name, name, "").await
}

async fn exchange(channel: &Channel, name: &str, kind: ExchangeKind, arguments: FieldTable) -> Result<()> {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(name.into(), kind, durable, arguments).await
}

/// A quorum queue: on several brokers, and on disk before it is confirmed.
async fn queue<const N: usize>(channel: &Channel, name: &str, arguments: [(&str, AMQPValue); N]) -> Result<()> {
    let mut arguments = table(arguments);
    arguments.insert("x-queue-type".into(), text("quorum"));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), durable, arguments).await.map(drop)
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, routing_key: &str) -> Result<()> {
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.into(), exchange.into(), routing_key.into(), options, FieldTable::default()).await
}

pub fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert(name.into(), value);
    }
    table
}

pub fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_orders_are_told_is_an_exchange_and_a_key() {
        for (text, exchange, routing_key) in [
            ("till.events", "till.events", "order.placed"),
            ("till.events:order.#", "till.events", "order.#"),
            ("a:b:c", "a:b", "c"),
            (" till : placed ", "till", "placed"),
        ] {
            let expected = Binding { exchange: exchange.to_owned(), routing_key: routing_key.to_owned() };
            assert_eq!(Binding::parse(text), expected, "{text}");
        }
    }
}
