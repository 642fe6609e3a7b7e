//! Copies of carts and sessions in this process, and whether they are still what is stored.
//!
//! A server remembers what a connection has read, and tells on that connection, between its replies, when somebody else
//! changes it (`CLIENT TRACKING`): what a reply says is what is stored until the connection says otherwise. What the
//! connection itself writes it is not told of, and what it wrote is not remembered as read: so the functions read what they
//! have written (`watch` in `library.lua`), and whatever else this node writes ends its copies here.
//!
//! A copy carries a [`Stamp`] that was taken before its read was sent. Whatever happens to the cart meanwhile or later
//! (a change by another node, one of its own, a connection that breaks) makes the stamp an old one, and the copy with it.
//! So a copy is never removed, it ceases to be believed, and no order of a read, a change and their news lets an old copy
//! pass for a new one.
//!
//! A connection that has died without a word tells nothing. So copies are believed only where the server has been heard
//! of within the last second ([`HEARD_WITHIN`]); after a longer silence somebody asks, and by that it is heard again.

use crate::hash::Stored;
use crate::keys::{Keys, parse_member};
use crate::limits::{CART_BYTES, CHANGE_COUNTERS, HEARD_WITHIN, KNOWN_CARTS_BYTES, SESSION_BYTES};
use crate::sessions::Kept;
use app::ports::AtLeast;
use domain::cart::Cart;
use domain::ids::{CartId, SessionId, Version};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use redis::{PushInfo, PushKind, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

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
        Self { prefixes, breaks: AtomicU32::new(0), counters: (0..CHANGE_COUNTERS).map(|_| AtomicU32::new(0)).collect() }
    }

    /// The command that has a connection tell of them.
    pub fn tracking() -> redis::Cmd {
        redis::cmd("CLIENT").arg("TRACKING").arg("ON").arg("NOLOOP").take()
    }

    fn counter(&self, id: u128) -> &AtomicU32 {
        // The last byte of an id is its partition, those before it are chance.
        &self.counters[usize::try_from(id % CHANGE_COUNTERS as u128).unwrap_or(0)]
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

/// When a connection was last heard of: at a time before its last answer was asked for.
#[derive(Debug)]
pub struct Heard {
    start: Instant,
    /// Milliseconds after the start.
    last: AtomicU64,
}

/// Never yet.
impl Default for Heard {
    fn default() -> Self {
        Self { start: Instant::now(), last: AtomicU64::new(0) }
    }
}

impl Heard {
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

/// A write that is under way. However it ends, also when nobody waits for it any more, what it names counts as changed.
pub struct Writing<'a> {
    changes: Option<&'a Changes>,
    before: Vec<(u128, Stamp)>,
}

impl Writing<'_> {
    /// It was done: the stamps of what was written.
    pub fn done(mut self) -> Stamps {
        let before = std::mem::take(&mut self.before);
        let Some(changes) = self.changes else { return Stamps::default() };
        Stamps(before.into_iter().map(|(id, stamp)| (id, changes.changed_here(id, stamp))).collect())
    }

    /// Nothing was written: the stamps of what is there.
    pub fn nothing(mut self) -> Stamps {
        Stamps(std::mem::take(&mut self.before))
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        for (id, _) in &self.before {
            self.changes.iter().for_each(|changes| changes.changed(*id));
        }
    }
}

/// The stamps of what a write was about.
#[derive(Debug, Default)]
pub struct Stamps(Vec<(u128, Stamp)>);

impl Stamps {
    pub fn of(&self, id: u128) -> Option<Stamp> {
        self.0.iter().find(|(known, _)| *known == id).map(|(_, stamp)| *stamp)
    }
}

/// How often something was looked for and found.
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
    /// There, and not to be believed any more, or older than was asked for.
    pub stale: u64,
}

impl Looks {
    fn one(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn found(&self, is_there: bool) {
        Self::one(if is_there { &self.hits } else { &self.misses });
    }

    fn so_far(&self) -> Looked {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Looked { hits: count(&self.hits), misses: count(&self.misses), stale: count(&self.stale) }
    }
}

/// What was looked for at a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// `memory`: copies in this process; `redis`.
    pub level: &'static str,
    pub of: &'static str,
    pub looked: Looked,
}

/// Something as it was read or written.
#[derive(Clone, Debug)]
struct Copy<V> {
    value: V,
    /// `None`: not to be believed from the start.
    stamp: Option<Stamp>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<CartId, Copy<Arc<Stored>>> for Weight {
    fn weight(&self, _: &CartId, copy: &Copy<Arc<Stored>>) -> u64 {
        copy.value.weight()
    }
}

/// What this process remembers of carts and sessions: all of it to be read where copies are kept, and the carts in any
/// case, to write only what changes of them.
pub struct Copies {
    changes: Option<Arc<Changes>>,
    carts: Cache<CartId, Copy<Arc<Stored>>, Weight>,
    sessions: Cache<SessionId, Copy<Arc<Kept>>>,
    cart_copies: Looks,
    session_copies: Looks,
    pub stored_carts: Looks,
    pub stored_sessions: Looks,
}

impl Copies {
    /// So many bytes of them; with none, nothing that is remembered is believed.
    pub fn of(keys: &Keys, bytes: u64) -> Self {
        let (cart_bytes, sessions) = match bytes {
            0 => (KNOWN_CARTS_BYTES, 0),
            _ => (bytes / 4 * 3, usize::try_from(bytes / 4 / SESSION_BYTES).unwrap_or(usize::MAX)),
        };
        let carts = usize::try_from(cart_bytes / CART_BYTES).unwrap_or(usize::MAX);
        Self {
            changes: (bytes > 0).then(|| Arc::new(Changes::of(keys.of_copies()))),
            carts: Cache::with_weighter(carts, cart_bytes, Weight),
            sessions: Cache::new(sessions),
            cart_copies: Looks::default(),
            session_copies: Looks::default(),
            stored_carts: Looks::default(),
            stored_sessions: Looks::default(),
        }
    }

    pub fn changes(&self) -> Option<Arc<Changes>> {
        self.changes.clone()
    }

    pub fn looked(&self) -> [Level; 4] {
        [
            ("memory", "carts", &self.cart_copies),
            ("memory", "sessions", &self.session_copies),
            ("redis", "carts", &self.stored_carts),
            ("redis", "sessions", &self.stored_sessions),
        ]
        .map(|(level, of, looks)| Level { level, of, looked: looks.so_far() })
    }

    /// To be taken before a read is sent.
    pub fn stamp(&self, id: u128) -> Option<Stamp> {
        self.changes.as_ref().map(|changes| changes.stamp(id))
    }

    /// To be taken before a write is sent.
    pub fn writing(&self, ids: impl Iterator<Item = u128>) -> Writing<'_> {
        let changes = self.changes.as_deref();
        let before = changes.map_or(Vec::new(), |changes| ids.map(|id| (id, changes.stamp(id))).collect());
        Writing { changes, before }
    }

    /// This node has changed what lies under these keys, and nobody will tell it.
    pub fn changed_keys(&self, keys: &[String]) {
        if let Some(changes) = &self.changes {
            keys.iter().for_each(|key| changes.changed_key(key.as_bytes()));
        }
    }

    /// What a look at a copy came to, as long as its server is within hearing.
    fn look<V>(&self, id: u128, copy: Option<Copy<V>>, looks: &Looks, is_new_enough: impl Fn(&V) -> bool) -> Option<V> {
        let changes = self.changes.as_ref()?;
        let Some(copy) = copy else {
            Looks::one(&looks.misses);
            return None;
        };
        let holds = copy.stamp.is_some_and(|stamp| changes.holds(id, stamp)) && is_new_enough(&copy.value);
        Looks::one(if holds { &looks.hits } else { &looks.stale });
        holds.then_some(copy.value)
    }

    /// A copy of a cart that may be shown, where its server `is_heard`.
    pub fn cart(&self, id: CartId, fresh: AtLeast, is_heard: bool) -> Option<Arc<Cart>> {
        let at_least = match fresh {
            AtLeast::Copy => Version(0),
            AtLeast::Seen(version) => version,
            AtLeast::Now => return None,
        };
        let copy = self.look(id.0, self.carts.get(&id), &self.cart_copies, |stored| is_heard && stored.cart.version >= at_least)?;
        Some(Arc::clone(&copy.cart))
    }

    /// A cart as it was last seen, to be told apart from what it becomes.
    pub fn known_cart(&self, id: CartId, version: Version) -> Option<Arc<Stored>> {
        self.carts.get(&id).map(|copy| copy.value).filter(|stored| stored.cart.version == version)
    }

    pub fn put_cart(&self, stored: Arc<Stored>, stamp: Option<Stamp>) {
        self.carts.insert(stored.cart.id, Copy { value: stored, stamp });
    }

    pub fn remove_cart(&self, id: CartId) {
        self.carts.remove(&id);
    }

    pub fn session(&self, id: SessionId, is_heard: bool) -> Option<Arc<Kept>> {
        self.look(id.0, self.sessions.get(&id), &self.session_copies, |_| is_heard)
    }

    pub fn put_session(&self, kept: Arc<Kept>, stamp: Option<Stamp>) {
        if self.changes.is_some() {
            self.sessions.insert(kept.session.id, Copy { value: kept, stamp });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Changes {
        Changes::of(Keys::new("cw:".to_owned()).of_copies())
    }

    fn news(kind: PushKind, keys: Option<&[&str]>) -> PushInfo {
        let keys = keys.map_or(Value::Nil, |keys| Value::Array(keys.iter().map(|k| Value::BulkString(k.as_bytes().to_vec())).collect()));
        PushInfo { kind, data: vec![keys] }
    }

    #[test]
    fn news_make_stamps_old() {
        let keys = Keys::new("cw:".to_owned());
        let (mine, another) = (keys.cart(CartId(0x1234)), keys.cart(CartId(0x1235)));
        let session = keys.session(SessionId(0x1234));
        for (kind, told, holds) in [
            (PushKind::Invalidate, Some(&[mine.as_str()][..]), false),
            (PushKind::Invalidate, Some(&[another.as_str(), mine.as_str()]), false),
            (PushKind::Invalidate, Some(&[session.as_str()]), false),
            (PushKind::Invalidate, Some(&[another.as_str()]), true),
            (PushKind::Invalidate, Some(&["cw:o:{1}calice", "cw:c:", "cw:c:{1}zz", ""]), true),
            (PushKind::Invalidate, None, false),
            (PushKind::Disconnection, None, false),
            (PushKind::Message, None, true),
        ] {
            let changes = changes();
            let stamp = changes.stamp(0x1234);
            let news = news(kind, told);
            changes.told(&news);
            assert_eq!(changes.holds(0x1234, stamp), holds, "{news:?}");
        }
    }

    #[test]
    fn a_change_ends_few_copies_but_its_own() {
        let changes = changes();
        let mut chance = fastrand::Rng::with_seed(1);
        let ids: Vec<u128> = (0..20_000).map(|_| chance.u128(..)).collect();
        let stamps: Vec<_> = ids.iter().map(|id| changes.stamp(*id)).collect();
        let (changed, kept) = ids.split_at(10_000);
        changed.iter().for_each(|id| changes.changed(*id));
        let ended = kept.iter().zip(&stamps[10_000..]).filter(|(id, stamp)| !changes.holds(**id, **stamp)).count();
        assert!(ended < 200, "{ended} of 10,000 that nobody changed");
    }

    /// Whatever happens between a read and its copy.
    #[test]
    fn a_copy_is_believed_only_if_nothing_has_happened_since_its_read_was_sent() {
        let here = |changes: &Changes| {
            changes.changed_here(7, changes.stamp(7));
        };
        type Happens<'a> = &'a dyn Fn(&Changes);
        let events: [(&str, Happens<'_>, bool); 5] = [
            ("nothing", &|_| {}, true),
            ("another node's change", &|changes| changes.changed(7), false),
            ("this node's change", &here, false),
            ("a broken connection", &Changes::lost_touch, false),
            ("a change of another cart", &|changes| changes.changed(8), true),
        ];
        for (event, happens, believed) in events {
            let changes = changes();
            let stamp = changes.stamp(7);
            happens(&changes);
            assert_eq!(changes.holds(7, stamp), believed, "{event}");
        }
    }

    #[test]
    fn what_this_node_wrote_is_believed_unless_others_wrote_at_that_time() {
        let changes = changes();
        let before = changes.stamp(7);
        let written = changes.changed_here(7, before);
        assert!(changes.holds(7, written) && !changes.holds(7, before));
        let before = changes.stamp(7);
        changes.changed(7);
        let written = changes.changed_here(7, before);
        assert!(!changes.holds(7, written) && !changes.holds(7, before));
    }

    #[test]
    fn a_write_that_nobody_waits_for_counts_as_one() {
        let copies = Copies::of(&Keys::new("cw:".to_owned()), 1 << 20);
        let changes = copies.changes().expect("they are kept");
        let stamp = changes.stamp(7);
        drop(copies.writing([7].into_iter()));
        assert!(!changes.holds(7, stamp));
        let stamp = copies.writing([7].into_iter()).nothing().of(7).expect("a stamp");
        assert!(changes.holds(7, stamp));
        let stamp = copies.writing([7].into_iter()).done().of(7).expect("a stamp");
        assert!(changes.holds(7, stamp));
    }
}
