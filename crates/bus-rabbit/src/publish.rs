//! Events on their way out: `Ok` only when the broker has confirmed each of them.

use crate::endpoints::{Endpoints, retry_wait};
use crate::envelope::properties;
use crate::limits::BLOCKED_PAUSE;
use crate::topology::declare_events;
use crate::{Error, OpenError, RabbitSettings};
use app::ports::{Bus, PortError, PortErrorKind};
use async_trait::async_trait;
use domain::event::Outgoing;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, Connection};
use std::fmt;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// Events go to a topic exchange, by their names. Clones share one connection and one order.
#[derive(Clone)]
pub struct RabbitBus {
    shared: Arc<Shared>,
}

struct Shared {
    settings: RabbitSettings,
    endpoints: Endpoints,
    /// One publication at a time: events of one subject may not overtake each other.
    line: Mutex<Line>,
}

/// The way to the broker, as far as it goes.
#[derive(Default)]
struct Line {
    open: Option<Open>,
    failures: u32,
    /// No try to connect before.
    next_try: Option<Instant>,
}

struct Open {
    connection: Connection,
    channel: Channel,
    /// A publication was given up while the broker did not read: what it wrote still waits to be sent.
    behind: bool,
}

impl fmt::Debug for RabbitBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.settings.fmt(f)
    }
}

impl RabbitBus {
    /// A bus that connects now if it can, and else when there is something to publish.
    ///
    /// # Errors
    /// Settings that can never work.
    pub async fn connect(settings: RabbitSettings) -> Result<Self, OpenError> {
        let endpoints = Endpoints::of(&settings)?;
        let bus = Self { shared: Arc::new(Shared { settings, endpoints, line: Mutex::default() }) };
        if !bus.is_up().await {
            tracing::warn!("the broker is away; events wait in the outbox");
        }
        Ok(bus)
    }

    /// Whether events could be published now.
    pub async fn is_up(&self) -> bool {
        let mut line = self.shared.line.lock().await;
        matches!(timeout(self.shared.settings.publish_within, line.ready(&self.shared)).await, Ok(Ok(_)))
    }
}

#[async_trait]
impl Bus for RabbitBus {
    async fn publish(&self, events: &[Outgoing]) -> Result<(), PortError> {
        if events.is_empty() {
            return Ok(());
        }
        let shared = &*self.shared;
        let mut line = shared.line.lock().await;
        match timeout(shared.settings.publish_within, line.publish(events, shared)).await {
            Ok(published) => published.map_err(|e| PortError::unknown("bus", PortErrorKind::Unavailable, e)),
            Err(_) => {
                line.given_up();
                Err(PortError::unknown("bus", PortErrorKind::Timeout, "the broker has not confirmed the events in time"))
            }
        }
    }
}

impl Line {
    async fn publish(&mut self, events: &[Outgoing], shared: &Shared) -> Result<(), Error> {
        let open = self.ready(shared).await?;
        let published = open.hand_over(events, &shared.settings).await;
        if published.is_err() {
            // Whatever is wrong, the next try begins from the start, with everything declared anew.
            self.open = None;
        }
        published
    }

    /// The line, connected and read from.
    async fn ready(&mut self, shared: &Shared) -> Result<&Open, Error> {
        if !self.open.as_ref().is_some_and(Open::is_usable) {
            self.open = None;
            self.open = Some(self.try_open(shared).await?);
        }
        let open = self.open.as_mut().expect("invariant: it has just been opened");
        open.unblocked().await;
        if std::mem::take(&mut open.behind) {
            open.channel.wait_for_confirms().await?;
        }
        Ok(open)
    }

    async fn try_open(&mut self, shared: &Shared) -> Result<Open, Error> {
        let now = Instant::now();
        if self.next_try.is_some_and(|at| now < at) {
            return Err("the broker was away a moment ago".into());
        }
        // Counted before it is tried: a try that is given up has failed too.
        self.failures += 1;
        self.next_try = Some(now + retry_wait(self.failures));
        let open = Open::new(shared).await?;
        if self.failures > 1 {
            tracing::info!(tries = self.failures, "connected to the broker again");
        }
        (self.failures, self.next_try) = (0, None);
        Ok(open)
    }

    /// After too long a wait. A connection that is only blocked is kept: each new one would be blocked too, with its
    /// own copy of what could not be sent.
    fn given_up(&mut self) {
        match &mut self.open {
            Some(open) if open.is_usable() && open.connection.status().blocked() => open.behind = true,
            _ => self.open = None,
        }
    }
}

impl Open {
    async fn new(shared: &Shared) -> Result<Self, Error> {
        let connection = shared.endpoints.connect("events").await?;
        let channel = connection.create_channel().await?;
        declare_events(&channel, &shared.settings).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { connection, channel, behind: false })
    }

    fn is_usable(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    /// A broker without memory or disk to spare reads nothing more from those who publish, and says so.
    #[expect(clippy::disallowed_methods, reason = "the client does not tell when it goes on")]
    async fn unblocked(&self) {
        while self.connection.status().blocked() {
            tokio::time::sleep(BLOCKED_PAUSE).await;
        }
    }

    /// All at once, in order, then one confirmation each. What follows an event that was not confirmed may have been
    /// delivered before it: all are sent again, and numbers tell.
    async fn hand_over(&self, events: &[Outgoing], settings: &RabbitSettings) -> Result<(), Error> {
        let exchange = settings.events();
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let mut confirms = Vec::with_capacity(events.len());
        for event in events {
            let (name, body) = (event.event.name(), records::encode_said(event));
            let properties = properties(event, &settings.source);
            confirms.push(self.channel.basic_publish(exchange.as_str().into(), name.into(), mandatory, &body, properties).await?);
        }
        let mut wrong = None;
        for (confirm, event) in confirms.into_iter().zip(events) {
            match confirm.await? {
                Confirmation::Ack(None) => {}
                Confirmation::Ack(Some(_)) => wrong = wrong.or(Some(format!("{} was returned: no queue takes it", event.id()))),
                Confirmation::Nack(_) | Confirmation::NotRequested => wrong = wrong.or(Some(format!("{} was not confirmed", event.id()))),
            }
        }
        wrong.map_or(Ok(()), |wrong| Err(wrong.into()))
    }
}
