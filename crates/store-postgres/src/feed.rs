//! Keeps the copy in memory fresh: a connection of its own reads what all nodes have committed, when one of them
//! says so (`LISTEN`), when this node asks, and every [`POLL`] at the latest.
//!
//! A read names the snapshot of the one before it and gets what has become visible since (`queries/feed/since.sql`), so
//! nothing is passed over, whatever is committed in which order. When the connection breaks, everything is read anew on the
//! next one: what a failover has lost is gone from the copy too.

use crate::columns::{Id, uint};
use crate::copy::{Copy, Extent, News};
use crate::fault::Fault;
use crate::hosts::Hosts;
use crate::limits::{ANSWER_SLACK, ASKS_MAX, CATCH_UP_MAX, POLL, READ_ALL_MAX, RECONNECT_AFTER, RECONNECT_AFTER_MAX};
use crate::{OpenError, PgSettings, queries};
use domain::catalog::{HeadingId, HeadingKind};
use domain::ids::{BookId, EditionId};
use domain::pricing::{RuleId, RuleKey, RuleKind};
use domain::stock::StockLevel;
use futures_util::TryStreamExt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Row};

/// Asks for reads. The reader ends when nobody can ask any more.
pub struct Feed {
    asks: mpsc::Sender<Ask>,
}

/// Is answered when a read that began later has ended.
type Ask = oneshot::Sender<()>;

impl Feed {
    /// Reads everything, then goes on reading beside its callers.
    ///
    /// # Errors
    /// When the first read fails.
    #[expect(clippy::disallowed_methods, reason = "the reader lives as long as the store")]
    pub async fn start(settings: &PgSettings, copy: Arc<Copy>) -> Result<Self, OpenError> {
        let hosts = Hosts::new(&settings.url, settings, TargetSessionAttrs::ReadWrite)?.named("cartwright copy");
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let patience = settings.statement_max + ANSWER_SLACK;
        let reader = Reader { hosts, patience, copy, asked, waiting: Vec::new() };
        let line = reader.connect().await?;
        tokio::spawn(reader.run(line));
        Ok(Self { asks })
    }

    /// Whatever was committed before is in the copy afterwards; or not, when the database does not answer in time.
    pub async fn catch_up(&self) -> bool {
        let (done, read) = oneshot::channel();
        let caught_up = async { self.asks.send(done).await.is_ok() && read.await.is_ok() };
        timeout(CATCH_UP_MAX, caught_up).await.unwrap_or(false)
    }
}

struct Reader {
    hosts: Hosts,
    /// How long the answer to a read of what has changed may take.
    patience: Duration,
    copy: Arc<Copy>,
    asked: mpsc::Receiver<Ask>,
    /// Those who asked before the next read.
    waiting: Vec<Ask>,
}

/// A connection that listens, and what was visible when it read last.
struct Line {
    client: Client,
    /// Somebody has saved something, or the connection has ended.
    woken: Arc<Notify>,
    snapshot: String,
}

impl Reader {
    async fn run(mut self, first: Line) {
        let (mut line, mut failures) = (Ok(first), 0_u32);
        loop {
            let fault = match line {
                Ok(line) => {
                    if failures > 0 {
                        tracing::info!(failures, "catalog, prices and stock are followed again");
                    }
                    failures = 0;
                    self.answer();
                    let Err(fault) = self.follow(line).await else { return };
                    fault
                }
                Err(fault) => fault,
            };
            failures += 1;
            // The first, the second, the fourth: an outage is told of, and does not flood.
            if failures.is_power_of_two() {
                let age = self.copy.age();
                tracing::warn!(%fault, failures, ?age, "catalog, prices and stock are not followed");
            }
            let wait = RECONNECT_AFTER.saturating_mul(failures).min(RECONNECT_AFTER_MAX);
            pause(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            if self.asked.is_closed() {
                return;
            }
            line = self.connect().await;
        }
    }

    /// Reads whenever there is reason to, until nobody can ask any more.
    async fn follow(&mut self, mut line: Line) -> Result<(), Fault> {
        loop {
            tokio::select! {
                asked = self.asked.recv_many(&mut self.waiting, ASKS_MAX) => if asked == 0 { return Ok(()) },
                () = line.woken.notified() => {}
                () = pause(POLL) => {}
            }
            let since: [&(dyn ToSql + Sync); 2] = [&line.snapshot, &self.copy.has_catalog];
            line.snapshot = within(self.patience, self.read(&line.client, Extent::Since, queries::feed::since, &since)).await?;
            self.answer();
        }
    }

    /// Everything that those who wait have asked about has been read.
    fn answer(&mut self) {
        for ask in self.waiting.drain(..) {
            // Whoever asked may have gone.
            ask.send(()).ok();
        }
    }

    /// A connection that has read everything.
    async fn connect(&self) -> Result<Line, Fault> {
        let (client, mut connection) = within(self.patience, async { Ok(self.hosts.connect().await?) }).await?;
        let woken = Arc::new(Notify::new());
        let wake = Arc::clone(&woken);
        #[expect(clippy::disallowed_methods, reason = "it ends with its client")]
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if matches!(message, AsyncMessage::Notification(_)) {
                    wake.notify_one();
                }
            }
            wake.notify_one();
        });
        // Whoever saves while everything is read wakes the reader afterwards.
        let listen = format!("LISTEN cartwright_copy; SET statement_timeout = {}", READ_ALL_MAX.as_millis());
        within(self.patience, async { Ok(client.batch_execute(&listen).await?) }).await?;
        let snapshot = within(READ_ALL_MAX, self.read(&client, Extent::Whole, queries::feed::all, &[&self.copy.has_catalog])).await?;
        Ok(Line { client, woken, snapshot })
    }

    /// Brings the copy what a query finds; the snapshot it was as of.
    async fn read(&self, client: &Client, extent: Extent, query: &str, params: &[&(dyn ToSql + Sync)]) -> Result<String, Fault> {
        let began = self.copy.reading();
        let mut rows = pin!(client.query_raw(query, params.iter().copied()).await?);
        let (mut snapshot, mut news) = (String::new(), News::default());
        while let Some(row) = rows.try_next().await? {
            match row.try_get("what")? {
                "now" => snapshot = row.try_get("key")?,
                what => news.add(what, &row)?,
            }
        }
        self.copy.read(began, extent, news);
        Ok(snapshot)
    }
}

#[expect(clippy::disallowed_methods, reason = "between two reads the reader waits")]
async fn pause(span: Duration) {
    sleep(span).await;
}

async fn within<T>(patience: Duration, read: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    timeout(patience, read).await.unwrap_or(Err(Fault::Silent))
}

impl News {
    fn add(&mut self, what: &str, row: &Row) -> Result<(), Fault> {
        match what {
            "heading" => self.headings.push(Arc::new(records::decode_heading(row.try_get("body")?)?)),
            "book" => self.books.push(Arc::new(records::decode_book(row.try_get("body")?)?)),
            "rule" => self.rules.push(Arc::new(records::decode_kept(row.try_get("body")?)?)),
            "level" => self.levels.push((EditionId(row.try_get::<_, Id>("edition")?.0), level(row)?)),
            _ => self.remove(row.try_get("kind")?, row.try_get("key")?),
        }
        Ok(())
    }

    /// A kind that this version does not know is a newer version's, and not in the copy.
    fn remove(&mut self, kind: &str, key: &str) {
        let bits = u128::from_str_radix(&key.replace('-', ""), 16);
        if let (Some(kind), Some(id)) = (RuleKind::parse(kind), RuleId::parse(key)) {
            self.gone_rules.insert(RuleKey { kind, id });
        } else if let (Some(kind), Ok(bits)) = (HeadingKind::ALL.into_iter().find(|k| k.prefix() == kind), &bits) {
            self.gone_headings.insert(HeadingId { kind, bits: *bits });
        } else if let ("book", Ok(bits)) = (kind, bits) {
            self.gone_books.insert(BookId(bits));
        }
    }
}

pub fn level(row: &Row) -> Result<StockLevel, Fault> {
    let count = |name| row.try_get::<_, i64>(name).map(|n| u32::try_from(n).expect("invariant: the table has no other counts"));
    Ok(StockLevel { on_hand: count("on_hand")?, reserved: count("reserved")?, moves: uint(row.try_get("moves")?) })
}
