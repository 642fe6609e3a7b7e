use crate::stored::{self, mirrored};
use crate::{Damaged, json};
use domain::ids::{CustomerId, SessionId, Version};
use domain::limits::DEVICE_MAX;
use domain::session::Session;
use domain::text::Text;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

pub fn encode_session(session: &Session) -> Vec<u8> {
    json::encode(session)
}

pub fn decode_session(bytes: &[u8]) -> Result<Session, Damaged> {
    json::decode("session", bytes)
}

mirrored! { Session as SessionRecord; }

#[derive(Serialize, Deserialize)]
#[serde(remote = "Session")]
struct SessionRecord {
    #[serde(with = "stored")]
    id: SessionId,
    #[serde(with = "stored")]
    customer: Option<CustomerId>,
    #[serde(with = "stored")]
    device: Option<Text<DEVICE_MAX>>,
    #[serde(with = "stored")]
    created_at: Timestamp,
    #[serde(with = "stored")]
    expires_at: Timestamp,
    #[serde(with = "stored")]
    version: Version,
}
