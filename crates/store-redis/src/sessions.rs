//! Sessions: one hash a session, and a pointer to it under the digest of its token, which lies where the digest says.
//!
//! The pointer comes first and goes last, and it outlives the session: a pointer to nothing is no session. So each change
//! happens in the one call that writes the session.

use crate::RedisStore;
use crate::commit::Made;
use crate::hash::Difference;
use crate::keys::{parse_member, token_partition};
use crate::limits::{SESSION_GRACE, TOKEN_GRACE};
use crate::part::{Delete, Op, Part, Put, bytes, milliseconds_until};
use crate::servers::GivenUp;
use app::ports::{Answer, PortError, Sessions, TokenDigest};
use async_trait::async_trait;
use domain::event::Outgoing;
use domain::ids::{Partition, SessionId, Version};
use domain::session::Session;
use domain::time::Timestamp;
use redis::{Value, cmd};
use std::sync::Arc;

const PORT: &str = "sessions";

/// A session as it is stored.
pub struct Kept {
    pub session: Arc<Session>,
    token: TokenDigest,
}

impl RedisStore {
    async fn kept_session(&self, id: SessionId) -> Result<Option<Arc<Kept>>, GivenUp> {
        let stamp = self.copies().stamp(id.0);
        let read = cmd("HMGET").arg(self.keys().session(id)).arg("b").arg("t").take();
        let Value::Array(told) = self.servers().call(id.partition(), &read).await?.value else {
            return Err(GivenUp::nonsense("a session is no hash"));
        };
        let mut told = told.into_iter().map(bytes);
        let (body, token) = (told.next().flatten(), told.next().flatten());
        self.copies().stored_sessions.found(body.is_some());
        let (Some(body), Some(token)) = (body, token) else { return Ok(None) };
        let token = token.try_into().map_err(|_| GivenUp::nonsense("the digest of a token has another length"))?;
        let kept = Arc::new(Kept { session: Arc::new(records::decode_session(&body)?), token: TokenDigest(token) });
        self.copies().put_session(Arc::clone(&kept), stamp);
        Ok(Some(kept))
    }

    fn put_session(&self, session: &Session, token: TokenDigest, expected: Version) -> Op {
        let set = vec![(b"b".to_vec(), records::encode_session(session)), (b"t".to_vec(), token.0.to_vec())];
        Op::Put(Put {
            id: session.id.0,
            key: self.keys().session(session.id),
            index: self.keys().sessions_by_expiry(session.id.partition()),
            owner: None,
            other: None,
            expected,
            version: session.version,
            base: None,
            expires_at: session.expires_at,
            grace: SESSION_GRACE,
            difference: Difference { set, delete: vec![] },
        })
    }

    fn delete_session(&self, id: SessionId, expected: Option<Version>) -> Op {
        let index = self.keys().sessions_by_expiry(id.partition());
        Op::Delete(Delete { id: id.0, key: self.keys().session(id), index, expected })
    }

    async fn point(&self, token: TokenDigest, session: &Session, now: Timestamp) -> Result<(), GivenUp> {
        let keep = milliseconds_until(session.expires_at, TOKEN_GRACE, now);
        let point = cmd("SET").arg(self.keys().token(token.0)).arg(crate::keys::member(session.id.0)).arg("PX").arg(keep).take();
        self.servers().write(token_partition(token.0), &point).await.map(drop)
    }

    /// Only tidying: the session is gone already.
    async fn unpoint(&self, token: TokenDigest) {
        let unpoint = cmd("DEL").arg(self.keys().token(token.0)).take();
        drop(self.servers().call(token_partition(token.0), &unpoint).await);
        self.known_tokens().remove(&token.0);
    }

    /// Makes a change of one session; says whether it held.
    async fn change_session(
        &self,
        op: Op,
        id: SessionId,
        event: Option<&Outgoing>,
        answer: Option<Answer>,
        now: Timestamp,
    ) -> Result<bool, GivenUp> {
        let mut parts = vec![Part::new(id.partition())];
        parts[0].ops.push(op);
        parts[0].events.extend(event.map(records::encode_outgoing));
        if let Some(answer) = answer {
            let partition = Partition(answer.mark.key[0]);
            if partition != id.partition() {
                parts.push(Part::new(partition));
            }
            if let Some(part) = parts.last_mut() {
                part.ops.push(Op::Answer(answer));
            }
        }
        match self.commit(&mut parts, &mut self.attempt(), now).await? {
            Made::Done => Ok(true),
            Made::Conflict(..) | Made::Answered(_) => Ok(false),
            Made::OwnerHas(_) | Made::OtherBase => Err(GivenUp::nonsense("a session has no owner's pointer and is written whole")),
        }
    }

    async fn create_session(&self, session: &Session, token: TokenDigest, event: &Outgoing) -> Result<(), GivenUp> {
        self.point(token, session, event.at).await?;
        let created = self.change_session(self.put_session(session, token, Version(0)), session.id, Some(event), None, event.at).await?;
        if created { Ok(()) } else { Err(GivenUp::refused("there is a session of this id already")) }
    }

    async fn session_by_token(&self, token: TokenDigest) -> Result<Option<Arc<Session>>, GivenUp> {
        let id = match self.known_tokens().get(&token.0) {
            Some(id) => id,
            None => {
                let ask = cmd("GET").arg(self.keys().token(token.0)).take();
                let Some(pointer) = bytes(self.servers().call(token_partition(token.0), &ask).await?.value) else { return Ok(None) };
                SessionId(parse_member(&pointer).ok_or_else(|| GivenUp::nonsense("a token points to no session"))?)
            }
        };
        if let Some(copy) = self.copies().session(id, self.servers().heard_lately(id.partition())) {
            return Ok((copy.token == token).then(|| Arc::clone(&copy.session)));
        }
        let Some(kept) = self.kept_session(id).await? else { return Ok(None) };
        self.known_tokens().insert(token.0, id);
        Ok((kept.token == token).then(|| Arc::clone(&kept.session)))
    }

    async fn save_session(&self, session: &Session, expected: Version, event: &Outgoing, answer: Option<Answer>) -> Result<bool, GivenUp> {
        let Some(kept) = self.kept_session(session.id).await? else { return Ok(false) };
        if kept.session.expires_at != session.expires_at {
            self.point(kept.token, session, event.at).await?;
        }
        let op = self.put_session(session, kept.token, expected);
        self.change_session(op, session.id, Some(event), answer, event.at).await
    }

    async fn end_session(&self, id: SessionId, event: &Outgoing) -> Result<bool, GivenUp> {
        let Some(kept) = self.kept_session(id).await? else { return Ok(false) };
        let ended = self.change_session(self.delete_session(id, None), id, Some(event), None, event.at).await?;
        if ended {
            self.unpoint(kept.token).await;
        }
        Ok(ended)
    }

    async fn sweep_sessions(&self, now: Timestamp, limit: usize) -> Result<usize, GivenUp> {
        let mut swept = 0;
        for (partition, id) in self.overdue(|p| self.keys().sessions_by_expiry(p), now, limit).await? {
            if swept == limit {
                break;
            }
            let id = SessionId(id);
            match self.kept_session(id).await? {
                None => self.drop_from(self.keys().sessions_by_expiry(partition), partition, id.0).await?,
                Some(kept) if !kept.session.is_live(now) => {
                    let delete = self.delete_session(id, Some(kept.session.version));
                    if self.change_session(delete, id, None, None, now).await? {
                        self.unpoint(kept.token).await;
                        swept += 1;
                    }
                }
                Some(_) => {}
            }
        }
        Ok(swept)
    }
}

#[async_trait]
impl Sessions for RedisStore {
    async fn create(&self, session: Session, token: TokenDigest, event: Outgoing) -> Result<(), PortError> {
        self.create_session(&session, token, &event).await.map_err(|e| e.of_port(PORT))
    }

    async fn by_token(&self, token: TokenDigest, now: Timestamp) -> Result<Option<Arc<Session>>, PortError> {
        let found = self.session_by_token(token).await.map_err(|e| e.of_port(PORT))?;
        Ok(found.filter(|session| session.is_live(now)))
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Arc<Session>>, PortError> {
        let kept = self.kept_session(id).await.map_err(|e| e.of_port(PORT))?;
        Ok(kept.map(|kept| Arc::clone(&kept.session)).filter(|session| session.is_live(now)))
    }

    async fn save(&self, session: Session, expected: Version, event: Outgoing, answer: Option<Answer>) -> Result<bool, PortError> {
        self.save_session(&session, expected, &event, answer).await.map_err(|e| e.of_port(PORT))
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.remembered(key).await.map_err(|e| e.of_port(PORT))
    }

    async fn end(&self, id: SessionId, event: Outgoing) -> Result<bool, PortError> {
        self.end_session(id, &event).await.map_err(|e| e.of_port(PORT))
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, PortError> {
        self.sweep_sessions(now, limit).await.map_err(|e| e.of_port(PORT))
    }
}
