//! The functions (`library.lua`) on the servers. Their names carry a digest of their text, so that nodes of
//! two versions can work side by side while one replaces the other: each loads and calls its own.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, cmd};
use sha2::{Digest, Sha256};

const SOURCE: &str = concat!(include_str!("library.lua"), include_str!("limits.lua"));
/// What stands for the digest in the text.
const PLACE: &str = "@VERSION@";

pub struct Library {
    version: String,
    text: String,
}

impl Library {
    pub fn new() -> Self {
        let digest = Sha256::digest(SOURCE);
        let version = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>();
        Self { text: SOURCE.replace(PLACE, &version), version }
    }

    /// Loads the functions where they are not.
    pub async fn load(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        match cmd("FUNCTION").arg("LOAD").arg(&self.text).query_async::<()>(connection).await {
            Err(error) if error.to_string().contains("already exists") => Ok(()),
            loaded => loaded,
        }
    }

    /// A call of one of them.
    pub fn call(&self, function: &str, keys: &[impl AsRef<[u8]>]) -> Cmd {
        let mut call = cmd("FCALL");
        call.arg(format!("{function}_{}", self.version)).arg(keys.len());
        for key in keys {
            call.arg(key.as_ref());
        }
        call
    }
}

/// The server has lost the functions, or never had them.
pub fn is_missing(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("Function not found"))
}
