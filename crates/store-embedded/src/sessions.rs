//! Shoppers' sessions, by id and by the digest of their token.

use crate::EmbeddedStore;
use crate::answers;
use crate::columns::{change, int, limit, one, value};
use crate::fault::Fault;
use crate::memory::Memory;
use crate::writer::{Guard, Turn, Verdict};
use app::ports::{Answer, PortError, Sessions, TokenDigest};
use async_trait::async_trait;
use domain::event::Outgoing;
use domain::ids::{SessionId, Version};
use domain::session::Session;
use domain::time::Timestamp;
use quick_cache::sync::GuardResult;
use rusqlite::Connection;
use std::sync::Arc;

const PORT: &str = "sessions";

fn by_token(on: &Connection, token: TokenDigest) -> Result<Option<Arc<Session>>, Fault> {
    Ok(one(on, "SELECT body FROM sessions WHERE token = ?1", [token.0], records::decode_session)?.map(Arc::new))
}

fn insert(turn: &Turn<'_>, session: &Session, token: TokenDigest, body: &[u8], event: &[u8]) -> Result<Verdict<()>, Fault> {
    let sql = "INSERT INTO sessions (id, token, version, expires_at, body) VALUES (?1, ?2, ?3, ?4, ?5)";
    change(turn, sql, (session.id.0.to_be_bytes(), token.0, int(session.version.0), session.expires_at.0, body))?;
    turn.send(event)?;
    Ok(Verdict::Keep(()))
}

/// A replacement as the writer needs it.
struct Replace {
    session: Arc<Session>,
    body: Vec<u8>,
    expected: Version,
    event: Vec<u8>,
    answer: Option<Answer>,
}

impl Replace {
    /// The token of the session, when it was there as expected.
    fn save(&self, turn: &Turn<'_>) -> Result<Verdict<Option<TokenDigest>>, Fault> {
        if answers::first(turn, &self.answer)?.is_some() {
            return Ok(Verdict::Undo(None));
        }
        let sql = "UPDATE sessions SET version = ?3, expires_at = ?4, body = ?5 WHERE id = ?1 AND version = ?2 RETURNING token";
        let Session { id, version, expires_at, .. } = &*self.session;
        let values = (id.0.to_be_bytes(), int(self.expected.0), int(version.0), expires_at.0, &self.body);
        let Some(token) = value(turn, sql, values)? else { return Ok(Verdict::Undo(None)) };
        turn.send(&self.event)?;
        if let Some(answer) = &self.answer {
            answers::remember(turn, answer)?;
        }
        Ok(Verdict::Keep(Some(TokenDigest(token))))
    }
}

fn end(turn: &Turn<'_>, id: SessionId, event: &[u8]) -> Result<Verdict<Option<TokenDigest>>, Fault> {
    let sql = "DELETE FROM sessions WHERE id = ?1 RETURNING token";
    let Some(token) = value(turn, sql, [id.0.to_be_bytes()])? else { return Ok(Verdict::Undo(None)) };
    turn.send(event)?;
    Ok(Verdict::Keep(Some(TokenDigest(token))))
}

fn sweep(turn: &Turn<'_>, now: Timestamp, most: usize) -> Result<Verdict<Vec<TokenDigest>>, Fault> {
    let sql =
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2) RETURNING token";
    let mut statement = turn.prepare_cached(sql)?;
    let swept = statement.query_map((now.0, limit(most)), |row| row.get(0).map(TokenDigest))?;
    Ok(Verdict::Keep(swept.collect::<Result<_, _>>()?))
}

fn forget<'a>(memory: &Memory, tokens: impl IntoIterator<Item = &'a TokenDigest>) {
    for token in tokens {
        memory.sessions.remove(token);
    }
}

impl EmbeddedStore {
    /// From memory, else from the disk; as with carts, a commit that is faster wins.
    fn session(&self, token: TokenDigest) -> Result<Option<Arc<Session>>, PortError> {
        let read = || self.readers().point(PORT, |on| by_token(on, token));
        if self.is_read_only() {
            return read();
        }
        match self.memory().sessions.get_value_or_guard(&token, None) {
            GuardResult::Value(session) => Ok(Some(session)),
            GuardResult::Timeout => read(),
            GuardResult::Guard(place) => {
                let found = read()?;
                if let Some(session) = &found {
                    drop(place.insert(Arc::clone(session)));
                }
                Ok(found)
            }
        }
    }
}

#[async_trait]
impl Sessions for EmbeddedStore {
    async fn create(&self, session: Session, token: TokenDigest, event: Outgoing) -> Result<(), PortError> {
        let (body, event) = (records::encode_session(&session), records::encode_outgoing(&event));
        let session = Arc::new(session);
        let stored = Arc::clone(&session);
        let run = move |turn: &Turn<'_>| insert(turn, &session, token, &body, &event);
        self.writer(PORT)?.submit(PORT, Guard::Savepoint, run, move |memory, ()| memory.sessions.insert(token, stored)).await
    }

    async fn by_token(&self, token: TokenDigest, now: Timestamp) -> Result<Option<Arc<Session>>, PortError> {
        Ok(self.session(token)?.filter(|session| session.is_live(now)))
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Arc<Session>>, PortError> {
        let sql = "SELECT body FROM sessions WHERE id = ?1";
        let found = self.readers().point(PORT, |on| one(on, sql, [id.0.to_be_bytes()], records::decode_session))?;
        Ok(found.filter(|session| session.is_live(now)).map(Arc::new))
    }

    async fn save(&self, session: Session, expected: Version, event: Outgoing, answer: Option<Answer>) -> Result<bool, PortError> {
        let (body, event) = (records::encode_session(&session), records::encode_outgoing(&event));
        let session = Arc::new(session);
        let replace = Replace { session: Arc::clone(&session), body, expected, event, answer };
        let apply = move |memory: &Memory, token: &Option<TokenDigest>| {
            if let Some(token) = token {
                memory.sessions.insert(*token, session);
            }
        };
        let saved = self.writer(PORT)?.submit(PORT, Guard::Savepoint, move |turn| replace.save(turn), apply).await?;
        Ok(saved.is_some())
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.readers().point(PORT, |on| answers::find(on, key))
    }

    async fn end(&self, id: SessionId, event: Outgoing) -> Result<bool, PortError> {
        let event = records::encode_outgoing(&event);
        let run = move |turn: &Turn<'_>| end(turn, id, &event);
        let ended = self.writer(PORT)?.submit(PORT, Guard::Savepoint, run, |memory, token| forget(memory, token)).await?;
        Ok(ended.is_some())
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, PortError> {
        let run = move |turn: &Turn<'_>| sweep(turn, now, limit);
        let swept = self.writer(PORT)?.submit(PORT, Guard::None, run, |memory, tokens| forget(memory, tokens)).await?;
        Ok(swept.len())
    }
}
