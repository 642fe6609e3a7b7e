//! Idempotency: a request repeated with the same key gets the first answer, and has no second effect. The
//! record commits with the effect.

use crate::App;
use crate::error::Error;
use crate::ports::{Answer, PortError};
use bytes::Bytes;
use domain::cart::OnceMark;
use domain::planted;
use domain::refusal::Refusal;
use domain::time::Timestamp;

/// An idempotency key and how the edge wants its answer remembered.
#[derive(Debug)]
pub struct Once<T> {
    pub mark: OnceMark,
    /// Renders the answer that a repeat will get. Called before the commit; opaque in here.
    pub render: fn(&T) -> Bytes,
}

#[derive(Debug)]
pub enum Answered<T> {
    Fresh(T),
    /// What [`Once::render`] made of the first answer.
    Again(Bytes),
}

impl<T> Once<T> {
    pub(crate) fn answer(&self, value: &T, at: Timestamp) -> Answer {
        Answer { mark: self.mark, body: (self.render)(value), at }
    }

    /// The remembered answer, if the repeat is the same request.
    pub(crate) fn again(&self, first: Answer) -> Result<Answered<T>, Error> {
        self.same_request(first.mark)?;
        Ok(Answered::Again(first.body))
    }

    pub(crate) fn same_request(&self, first: OnceMark) -> Result<(), Refusal> {
        let same = first.fingerprint == self.mark.fingerprint || planted("body-not-compared");
        if same { Ok(()) } else { Err(Refusal::IdempotencyKeyReused) }
    }
}

impl App {
    /// The first answer to a request about checkouts or orders, when this one repeats it.
    pub async fn answered<T>(&self, once: &Once<T>) -> Result<Option<Answered<T>>, Error> {
        before(Some(once), |key| self.ports.ledger.answer(key)).await
    }
}

/// The first answer, when the request is a repeat; `find` asks the port that the answer commits with.
pub(crate) async fn before<T, F>(once: Option<&Once<T>>, find: impl FnOnce([u8; 16]) -> F) -> Result<Option<Answered<T>>, Error>
where
    F: Future<Output = Result<Option<Answer>, PortError>>,
{
    let Some(once) = once else { return Ok(None) };
    find(once.mark.key).await?.map(|first| once.again(first)).transpose()
}

/// The answer to store with a change, if the request asked for one.
pub(crate) fn answer<T>(once: Option<&Once<T>>, value: &T, at: Timestamp) -> Option<Answer> {
    once.map(|once| once.answer(value, at))
}
