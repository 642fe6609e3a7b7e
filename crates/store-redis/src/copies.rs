//! Copies of carts and sessions in this process, and whether they are still what is stored.
//!
//! The servers tell every node which carts and sessions others have changed (`CLIENT TRACKING`, in broadcast mode), on the
//! connection that the node reads and writes them by, and between the replies: what a reply says is what is stored until
//! the connection tells otherwise. Nothing is told of the node's own changes.
//!
//! A copy carries a [`Stamp`] that was taken before its read was sent. Whatever happens to the cart meanwhile or later
//! (a change by another node, one of its own, a connection that breaks) makes the stamp an old one, and the copy with it.
//! So a copy is never removed, it ceases to be believed, and no order of a read, a change and their news lets an old copy
//! pass for a new one.
//!
//! A connection that has died without a word tells nothing. So copies are believed only where the server has been heard
//! of within the last second ([`HEARD_WITHIN`]); after a longer silence somebody asks, and by that it is heard again.

use crate::keys::parse_member;
use crate::limits::HEARD_WITHIN;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use redis::{PushInfo, PushKind, Value};
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Carts and sessions share counters by their last bits: so many that few of them do, in a quarter of a megabyte.
const COUNTERS: usize = 1 << 16;

/// What is known of changes.
#[derive(Debug)]
pub struct Changes {
    /// What the keys of carts and sessions start with.
    prefixes: [String; 2],
    /// All that was known is void, again.
    breaks: AtomicU32,
    counters: Box<[AtomicU32]>,
}

/// When something was read or written, among all its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    breaks: u32,
    changes: u32,
}

impl Changes {
    /// Of keys that start so.
    pub fn of(prefixes: [String; 2]) -> Self {
        Self { prefixes, breaks: AtomicU32::new(0), counters: (0..COUNTERS).map(|_| AtomicU32::new(0)).collect() }
    }

    /// The command that has a connection tell of them.
    pub fn tracking(&self) -> redis::Cmd {
        let mut track = redis::cmd("CLIENT");
        track.arg("TRACKING").arg("ON").arg("BCAST");
        for prefix in &self.prefixes {
            track.arg("PREFIX").arg(prefix);
        }
        track.arg("NOLOOP");
        track
    }

    fn counter(&self, id: u128) -> &AtomicU32 {
        // The lowest bits are the partition; those above it are chance.
        &self.counters[usize::try_from(id & (COUNTERS as u128 - 1)).unwrap_or(0)]
    }

    /// To be taken before a read or a write is sent.
    pub fn stamp(&self, id: u128) -> Stamp {
        Stamp { breaks: self.breaks.load(Ordering::SeqCst), changes: self.counter(id).load(Ordering::SeqCst) }
    }

    fn holds(&self, id: u128, stamp: Stamp) -> bool {
        self.stamp(id) == stamp
    }

    /// Somebody has changed it, or may have.
    pub fn changed(&self, id: u128) {
        self.counter(id).fetch_add(1, Ordering::SeqCst);
    }

    /// This node has changed it by a write before which the stamp was taken: the stamp of what was written. An old one if
    /// anybody else was about it at that time.
    pub fn changed_here(&self, id: u128, before: Stamp) -> Stamp {
        let after = Stamp { changes: before.changes.wrapping_add(1), ..before };
        match self.counter(id).compare_exchange(before.changes, after.changes, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => after,
            Err(_) => {
                self.changed(id);
                before
            }
        }
    }

    /// Nothing that was known holds any more.
    pub fn lost_touch(&self) {
        self.breaks.fetch_add(1, Ordering::SeqCst);
    }

    /// A change of what lies under a key, if it is a cart or a session.
    pub fn changed_key(&self, key: &[u8]) {
        if let Some(id) = self.id_of(key) {
            self.changed(id);
        }
    }

    fn id_of(&self, key: &[u8]) -> Option<u128> {
        let rest = self.prefixes.iter().find_map(|prefix| key.strip_prefix(prefix.as_bytes()))?;
        let tag = rest.iter().position(|byte| *byte == b'}')?;
        parse_member(&rest[tag + 1..])
    }

    /// What a connection says without being asked.
    pub fn told(&self, news: &PushInfo) {
        match (&news.kind, news.data.first()) {
            (PushKind::Invalidate, Some(Value::Array(keys))) => {
                for key in keys {
                    match key {
                        Value::BulkString(key) => self.changed_key(key),
                        _ => self.lost_touch(),
                    }
                }
            }
            // All keys were removed, or something is said that is not understood.
            (PushKind::Invalidate | PushKind::Disconnection, _) => self.lost_touch(),
            _ => {}
        }
    }
}

/// When a server was last heard of: at a time before its last answer was asked for.
#[derive(Debug)]
pub struct Heard {
    start: Instant,
    /// Milliseconds after the start.
    last: AtomicU64,
}

impl Heard {
    pub fn never() -> Self {
        Self { start: Instant::now(), last: AtomicU64::new(0) }
    }

    /// An answer has come to what was asked at this time.
    pub fn answered(&self, asked: Instant) {
        // One more than have passed: zero is never.
        let at = u64::try_from(asked.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX - 1) + 1;
        self.last.fetch_max(at, Ordering::SeqCst);
    }

    pub fn lately(&self) -> bool {
        let last = self.last.load(Ordering::SeqCst);
        last > 0 && self.start.elapsed() <= Duration::from_millis(last) + HEARD_WITHIN
    }
}

/// How often something was looked for and found, to be told to whoever measures.
#[derive(Debug, Default)]
pub struct Looks {
    hits: AtomicU64,
    misses: AtomicU64,
    stale: AtomicU64,
}

/// Looks so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    pub hits: u64,
    pub misses: u64,
    /// Found, and not to be believed any more, or older than was asked for.
    pub stale: u64,
}

impl Looks {
    pub fn found(&self, is_there: bool) {
        if is_there { &self.hits } else { &self.misses }.fetch_add(1, Ordering::Relaxed);
    }

    pub fn so_far(&self) -> Looked {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Looked { hits: count(&self.hits), misses: count(&self.misses), stale: count(&self.stale) }
    }
}

/// Copies of one kind, the ones that are used kept longest.
pub struct Copies<K, V, W> {
    kept: Cache<K, Copy<V>, W>,
    pub looks: Looks,
}

#[derive(Clone, Debug)]
struct Copy<V> {
    value: V,
    /// `None`: not to be believed from the start.
    stamp: Option<Stamp>,
}

/// What a copy takes in memory, by what its value does.
#[derive(Clone, Debug)]
pub struct CopyWeight<W>(W);

impl<K, V, W: Weighter<K, V>> Weighter<K, Copy<V>> for CopyWeight<W> {
    fn weight(&self, key: &K, copy: &Copy<V>) -> u64 {
        self.0.weight(key, &copy.value)
    }
}
