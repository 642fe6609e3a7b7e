use crate::MemoryStore;
use app::ports::{Answer, PortError, Sessions, TokenDigest};
use async_trait::async_trait;
use domain::event::Outgoing;
use domain::ids::{SessionId, Version};
use domain::session::Session;
use domain::time::Timestamp;
use std::sync::Arc;

#[async_trait]
impl Sessions for MemoryStore {
    async fn create(&self, session: Session, token: TokenDigest, event: Outgoing) -> Result<(), PortError> {
        let mut state = self.state();
        state.tokens.insert(token.0, session.id);
        state.sessions.insert(session.id, Arc::new(session));
        state.outbox.push([event]);
        Ok(())
    }

    async fn by_token(&self, token: TokenDigest, now: Timestamp) -> Result<Option<Arc<Session>>, PortError> {
        let state = self.state();
        let session = state.tokens.get(&token.0).and_then(|id| state.sessions.get(id));
        Ok(session.filter(|s| s.is_live(now)).cloned())
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Arc<Session>>, PortError> {
        Ok(self.state().sessions.get(&id).filter(|s| s.is_live(now)).cloned())
    }

    async fn save(&self, session: Session, expected: Version, event: Outgoing, answer: Option<Answer>) -> Result<bool, PortError> {
        let mut state = self.state();
        if state.sessions.get(&session.id).map(|s| s.version) != Some(expected) {
            return Ok(false);
        }
        state.sessions.insert(session.id, Arc::new(session));
        state.outbox.push([event]);
        state.remember(answer);
        Ok(true)
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        Ok(self.state().answers.get(&key).cloned())
    }

    async fn end(&self, id: SessionId, event: Outgoing) -> Result<bool, PortError> {
        let mut state = self.state();
        let was_there = state.sessions.remove(&id).is_some();
        if was_there {
            state.tokens.retain(|_, session| *session != id);
            state.outbox.push([event]);
        }
        Ok(was_there)
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, PortError> {
        let mut state = self.state();
        let expired: Vec<_> = state.sessions.values().filter(|s| !s.is_live(now)).map(|s| s.id).take(limit).collect();
        state.sessions.retain(|id, _| !expired.contains(id));
        state.tokens.retain(|_, id| !expired.contains(id));
        Ok(expired.len())
    }
}
