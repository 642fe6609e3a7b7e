//! Dead letters go out on a connection of their own. A broker without memory or disk to spare reads nothing more from a
//! connection that has published, and the one where messages come in has to go on settling them.

use crate::Error;
use crate::endpoints::Endpoints;
use crate::inbox::Poison;
use crate::limits::BURY_WITHIN;
use crate::topology::text;
use lapin::message::Delivery;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Connection};
use tokio::sync::Mutex;
use tokio::time::timeout;

pub struct DeadLetters {
    endpoints: Endpoints,
    exchange: String,
    /// Opened for the first one.
    line: Mutex<Option<Line>>,
}

struct Line {
    connection: Connection,
    channel: Channel,
}

impl DeadLetters {
    pub fn new(endpoints: Endpoints, exchange: String) -> Self {
        Self { endpoints, exchange, line: Mutex::default() }
    }

    /// Whether the broker has taken it, with the reason; not when it takes nothing from anybody, or not in time.
    ///
    /// # Errors
    /// It cannot be reached, or has no place for dead letters.
    pub async fn take(&self, delivery: &Delivery, poison: &Poison) -> Result<bool, Error> {
        let Ok(taken) = timeout(BURY_WITHIN, self.publish(delivery, poison)).await else {
            // One that is only blocked is kept: it says when that is over.
            self.line.lock().await.take_if(|line| !line.connection.status().blocked());
            return Ok(false);
        };
        taken
    }

    async fn publish(&self, delivery: &Delivery, poison: &Poison) -> Result<bool, Error> {
        let Some(channel) = self.channel().await? else { return Ok(false) };
        let mut headers = delivery.properties.headers().clone().unwrap_or_default();
        headers.insert("x-reason".into(), text(&poison.code));
        headers.insert("x-detail".into(), text(&poison.detail));
        let properties = delivery.properties.clone().with_headers(headers);
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (self.exchange.as_str().into(), delivery.routing_key.clone());
        let confirm = channel.basic_publish(exchange, key, mandatory, &delivery.data, properties).await?.await?;
        if !confirm.is_ack() || confirm.take_message().is_some() {
            return Err("the dead letters do not take a message".into());
        }
        Ok(true)
    }

    /// Where to publish, unless the broker does not read there.
    async fn channel(&self) -> Result<Option<Channel>, Error> {
        let mut line = self.line.lock().await;
        line.take_if(|line| !line.connection.status().connected() || !line.channel.status().connected());
        if line.is_none() {
            let connection = self.endpoints.connect("dead letters").await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            *line = Some(Line { connection, channel });
        }
        Ok(line.as_ref().filter(|line| !line.connection.status().blocked()).map(|line| line.channel.clone()))
    }
}
