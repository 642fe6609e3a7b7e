//! The functions (`library.lua`) on the servers. Their names carry a digest of their text, so that nodes of
//! two versions can work side by side while one replaces the other: each loads and calls its own.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, cmd};
use sha2::{Digest, Sha256};

const SOURCE: &str = concat!(include_str!("library.lua"), include_str!("limits.lua"));
/// What stands for the digest in the text.
const PLACE: &str = "@VERSION@";

/// Refusals of whatever writes.
const WITHOUT_ROOM: [&str; 3] = ["OOM", "MISCONF", "NOREPLICAS"];

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

    pub fn version(&self) -> &str {
        &self.version
    }

    /// Loads the functions where they are not.
    pub async fn load(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        match cmd("FUNCTION").arg("LOAD").arg(&self.text).query_async::<String>(connection).await {
            Err(error) if error.to_string().contains("already exists") => Ok(()),
            // A server without room takes no functions, and answers those who read. Whether it has them, a call will tell.
            Err(error) if error.code().is_some_and(|code| WITHOUT_ROOM.contains(&code)) => Ok(()),
            loaded => loaded.map(drop),
        }
    }

    /// A call of one of them.
    pub fn call(&self, function: &str, keys: &[String]) -> Cmd {
        self.call_of(&self.version, function, keys)
    }

    /// A call of a function of another version, which its node has loaded.
    pub fn call_of(&self, version: &str, function: &str, keys: &[String]) -> Cmd {
        let mut call = cmd("FCALL");
        call.arg(format!("cw_{function}_{version}")).arg(keys.len()).arg(keys);
        call
    }
}

/// The server has lost the functions, or never had them.
pub fn is_missing(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("Function not found"))
}
