//! Guest sessions. A token is 256 bits of chance, shown once; only its digest is stored.

use crate::App;
use crate::caller::Caller;
use crate::cart::ensure_version;
use crate::error::Error;
use crate::once::{Answered, Once, answer, before};
use crate::ports::TokenDigest;
use crate::traced::trace;
use domain::event::{Event, Outgoing, Subject};
use domain::ids::{CartId, SessionId, Version};
use domain::limits::DEVICE_MAX;
use domain::refusal::Refusal;
use domain::session::{Session, SessionEvent};
use domain::text::Text;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::Arc;

/// What every session token begins with.
const TOKEN_PREFIX: &str = "gst_";

pub struct NewSession {
    pub session: Arc<Session>,
    /// To be kept by the client; cannot be had again.
    pub token: String,
}

impl std::fmt::Debug for NewSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSession").field("session", &self.session).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
pub struct SessionView {
    pub session: Arc<Session>,
    pub cart: Option<CartId>,
}

#[derive(Clone, Debug, Default)]
pub struct SessionChange {
    pub device: Option<Text<DEVICE_MAX>>,
    /// Lets the session live on from now.
    pub extend: bool,
}

impl App {
    pub async fn open_session(&self, device: Option<Text<DEVICE_MAX>>) -> Result<NewSession, Error> {
        let now = self.now();
        let mut secret = [0; 32];
        self.ports.entropy.fill(&mut secret);
        let token = secret.iter().fold(TOKEN_PREFIX.to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("invariant: writing to a string cannot fail");
            text
        });
        let session = Session {
            id: SessionId(self.fresh_bits(now)),
            customer: None,
            device,
            created_at: now,
            expires_at: now.plus(self.policy.session_ttl),
            version: Version(1),
        };
        let event = outgoing(&session, SessionEvent::Started, now);
        self.ports.sessions.create(session.clone(), digest(&token), event).await?;
        Ok(NewSession { session: Arc::new(session), token })
    }

    /// The live session of a token.
    pub async fn session_of_token(&self, token: &str) -> Result<Option<Arc<Session>>, Error> {
        if !token.starts_with(TOKEN_PREFIX) {
            return Ok(None);
        }
        Ok(self.ports.sessions.by_token(digest(token), self.now()).await?)
    }

    /// The caller's session; another's is not there.
    pub async fn session(&self, caller: &Caller, id: Option<SessionId>) -> Result<SessionView, Error> {
        let session = own_session(caller, id)?;
        // The caller's copy may be older than the stored one.
        let session = self.ports.sessions.load(session.id, self.now()).await?.ok_or(Refusal::SessionNotFound)?;
        self.session_view(session).await
    }

    async fn session_view(&self, session: Arc<Session>) -> Result<SessionView, Error> {
        let owner = Caller::Guest(Arc::clone(&session)).owner()?;
        let cart = self.ports.carts.of_owner(&owner, self.now()).await?;
        Ok(SessionView { session, cart })
    }

    pub async fn update_session(
        &self,
        caller: &Caller,
        id: Option<SessionId>,
        change: SessionChange,
        if_match: Option<Version>,
        once: Option<Once<SessionView>>,
    ) -> Result<Answered<SessionView>, Error> {
        let id = own_session(caller, id)?.id;
        loop {
            let now = self.now();
            if let Some(again) = before(once.as_ref(), |key| self.ports.sessions.answer(key)).await? {
                return Ok(again);
            }
            let session = self.ports.sessions.load(id, now).await?.ok_or(Refusal::SessionNotFound)?;
            ensure_version(if_match, session.version)?;
            let expected = session.version;
            let mut session = Arc::unwrap_or_clone(session);
            session.device = change.device.clone().or(session.device);
            if change.extend {
                session.expires_at = now.plus(self.policy.session_ttl);
            }
            session.version = expected.next();
            let event = outgoing(&session, SessionEvent::Updated, now);
            let view = self.session_view(Arc::new(session.clone())).await?;
            let answer = answer(once.as_ref(), &view, now);
            if self.ports.sessions.save(session, expected, event, answer).await? {
                return Ok(Answered::Fresh(view));
            }
        }
    }

    pub async fn end_session(&self, caller: &Caller, id: Option<SessionId>) -> Result<(), Error> {
        let session = own_session(caller, id)?;
        let now = self.now();
        let ended = Session { version: session.version.next(), ..(*session).clone() };
        let event = outgoing(&ended, SessionEvent::Ended, now);
        if self.ports.sessions.end(session.id, event).await? { Ok(()) } else { Err(Refusal::SessionNotFound.into()) }
    }
}

fn own_session(caller: &Caller, id: Option<SessionId>) -> Result<Arc<Session>, Refusal> {
    match caller {
        Caller::Anonymous => Err(Refusal::Unauthenticated),
        Caller::Guest(session) if id.is_none_or(|id| id == session.id) => Ok(Arc::clone(session)),
        Caller::Guest(_) | Caller::Customer(..) | Caller::Admin(_) => Err(Refusal::SessionNotFound),
    }
}

fn outgoing(session: &Session, event: SessionEvent, at: domain::time::Timestamp) -> Outgoing {
    let told = Outgoing::new(Subject::Session(session.id), session.version.0, at, Event::Session(event));
    Outgoing { trace: trace(), ..told }
}

fn digest(token: &str) -> TokenDigest {
    TokenDigest(Sha256::digest(token.as_bytes()).into())
}
