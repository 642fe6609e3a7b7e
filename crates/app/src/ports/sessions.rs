use super::{Answer, PortError};
use async_trait::async_trait;
use domain::event::Outgoing;
use domain::ids::{SessionId, Version};
use domain::session::Session;
use domain::time::Timestamp;
use std::sync::Arc;

/// SHA-256 of a session token. The token itself is never stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest(pub [u8; 32]);

impl std::fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenDigest(***)")
    }
}

/// Shoppers' sessions.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Stores a new session under its token, with its event.
    async fn create(&self, session: Session, token: TokenDigest, event: Outgoing) -> Result<(), PortError>;

    /// The live session of a token; an expired or ended one is not there.
    async fn by_token(&self, token: TokenDigest, now: Timestamp) -> Result<Option<Arc<Session>>, PortError>;

    /// The live session of an id.
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Arc<Session>>, PortError>;

    /// Replaces a session while its stored version is the expected one; says whether it was. The answer is remembered with it.
    async fn save(&self, session: Session, expected: Version, event: Outgoing, answer: Option<Answer>) -> Result<bool, PortError>;

    /// The remembered answer to this idempotency key.
    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError>;

    /// Ends a session; says whether it was there.
    async fn end(&self, id: SessionId, event: Outgoing) -> Result<bool, PortError>;

    /// Removes sessions that have expired by `now`, at most `limit`; says how many.
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, PortError>;
}
