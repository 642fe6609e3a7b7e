//! What a server must be like, asked on every new connection: a replica that became a master is no exception.

use redis::aio::MultiplexedConnection;
use redis::{RedisError, cmd};

/// The oldest version with functions.
const MAJOR_MIN: u32 = 7;

/// A server that must not hold carts.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unfit {
    #[error("maxmemory-policy is {0}: it would throw carts away; set it to noeviction")]
    Evicts(String),
    #[error("it is version {0}; version 7 or newer is needed")]
    TooOld(String),
    #[error("it has no append-only file (appendonly no): a restart would lose carts")]
    NotDurable,
    #[error("it cannot be asked what it is like: {0}")]
    Silent(RedisError),
}

pub async fn vet(connection: &mut MultiplexedConnection, require_aof: bool) -> Result<(), Unfit> {
    let told: String = cmd("INFO").query_async(connection).await.map_err(Unfit::Silent)?;
    let facts = Facts(&told);
    facts.check(require_aof)?;
    if !facts.has_aof() {
        tracing::warn!("a Redis server has no append-only file (appendonly no): a restart of it loses carts and sessions");
    }
    Ok(())
}

/// The text that `INFO` answers.
struct Facts<'a>(&'a str);

impl Facts<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    fn has_aof(&self) -> bool {
        self.get("aof_enabled") == Some("1")
    }

    fn check(&self, require_aof: bool) -> Result<(), Unfit> {
        // Valkey tells its own version and, for compatibility, one of Redis's.
        let version = self.get("valkey_version").or(self.get("redis_version")).unwrap_or_default();
        let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
        if major < MAJOR_MIN {
            return Err(Unfit::TooOld(version.to_owned()));
        }
        match self.get("maxmemory_policy") {
            None | Some("noeviction") => {}
            Some(evicts) => return Err(Unfit::Evicts(evicts.to_owned())),
        }
        if require_aof && !self.has_aof() { Err(Unfit::NotDurable) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_that_keep_what_they_are_given_will_do() {
        for (told, require_aof, refused) in [
            ("redis_version:7.0.15\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n", true, None),
            ("redis_version:7.2.4\r\nvalkey_version:8.1.0\r\nmaxmemory_policy:noeviction\r\naof_enabled:0\r\n", false, None),
            ("redis_version:7.0.15\r\nmaxmemory_policy:noeviction\r\naof_enabled:0\r\n", true, Some("append-only")),
            ("redis_version:7.0.15\r\nmaxmemory_policy:allkeys-lru\r\n", false, Some("allkeys-lru")),
            ("redis_version:6.2.0\r\nmaxmemory_policy:noeviction\r\n", false, Some("6.2.0")),
            ("", false, Some("version 7")),
        ] {
            let said = Facts(told).check(require_aof).err().map(|unfit| unfit.to_string());
            match refused {
                None => assert_eq!(said, None, "{told}"),
                Some(words) => assert!(said.as_ref().is_some_and(|said| said.contains(words)), "{told}: {said:?}"),
            }
        }
    }
}
