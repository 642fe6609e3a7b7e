//! Keeps a copy: begins the stream, asks again and again, and begins anew when it breaks.

use crate::copy::Copy;
use crate::generated::catalog::{Ask, Part};
use crate::limits::{ANEW_PAUSE_MAX, ANEW_PAUSE_MIN, PARTS_MAX};
use crate::message::Heard;
use crate::remote::Connection;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

pub struct Follower {
    pub copy: Arc<Copy>,
    pub connection: Connection,
    pub refresh: Duration,
    /// For the beginning of the stream, and for each part.
    pub part_within: Duration,
}

impl Follower {
    pub async fn run(self) {
        let mut pause = ANEW_PAUSE_MIN;
        let mut is_heard = true;
        loop {
            let before = self.copy.changes();
            let Err(why) = self.follow().await;
            // The first answer of a stream is a change: then it was begun well.
            let begun = self.copy.changes() != before;
            if is_heard || begun {
                tracing::warn!(%why, "the catalog's node is not heard; the copy of it grows old");
            }
            is_heard = begun;
            pause = if begun { ANEW_PAUSE_MIN } else { (pause * 2).min(ANEW_PAUSE_MAX) };
            wait(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        }
    }

    async fn follow(&self) -> Result<Infallible, Status> {
        let (asks, receiver) = mpsc::channel(1);
        let begun = timeout(self.part_within, self.connection.clone().follow(ReceiverStream::new(receiver))).await;
        let mut parts = begun.map_err(late)??.into_inner();
        let mut whole = true;
        loop {
            let (ask, sent) = (self.copy.next_ask(), Instant::now());
            asks.send(Ask { number: ask }).await.map_err(|_| Status::unavailable("the stream has ended"))?;
            let heard = self.answer(&mut parts, ask).await?;
            if whole {
                tracing::info!(books = heard.books.len(), "the catalog is copied from its node");
            }
            self.copy.take(heard, whole, ask, sent);
            whole = false;
            tokio::select! {
                () = self.copy.hurry.notified() => {}
                () = wait(self.refresh) => {}
            }
        }
    }

    /// All parts up to the one that answers the ask.
    async fn answer(&self, parts: &mut Streaming<Part>, ask: u64) -> Result<Heard, Status> {
        let mut heard = Heard::default();
        for _ in 0..PARTS_MAX {
            let part = timeout(self.part_within, parts.message()).await.map_err(late)??;
            let part = part.ok_or_else(|| Status::unavailable("the stream was ended"))?;
            let answers = part.answers;
            heard.add(part).map_err(|nonsense| Status::data_loss(nonsense.to_string()))?;
            match answers {
                Some(answered) if answered == ask => return Ok(heard),
                Some(_) => return Err(Status::data_loss("another ask was answered")),
                None => {}
            }
        }
        Err(Status::out_of_range("an answer without end"))
    }
}

fn late(_: tokio::time::error::Elapsed) -> Status {
    Status::deadline_exceeded("no answer in time")
}

#[expect(clippy::disallowed_methods, reason = "a copy is kept on its own time, beside the requests")]
async fn wait(span: Duration) {
    tokio::time::sleep(span).await;
}
