//! Carts at rest: one row a cart, written whole. In the common case a save is one `UPDATE` that finds the
//! expected version, and one `INSERT` an event.

use crate::EmbeddedStore;
use crate::answers;
use crate::columns::{change, int, limit, many, one, value};
use crate::fault::Fault;
use crate::memory::Memory;
use crate::writer::{Guard, Turn, Verdict, encode_all};
use app::ports::{Answer, AtLeast, CartChange, CartWrite, Carts, PortError, Saved};
use async_trait::async_trait;
use domain::cart::{Cart, Owner};
use domain::ids::{CartId, Version};
use domain::time::Timestamp;
use quick_cache::sync::GuardResult;
use rusqlite::Connection;
use std::sync::Arc;

const PORT: &str = "carts";
const HOUR: i64 = 3_600_000_000;
const BODY: &str = "SELECT body FROM carts WHERE id = ?1";

fn stored(on: &Connection, id: CartId) -> Result<Option<Arc<Cart>>, Fault> {
    Ok(one(on, BODY, [id.0.to_be_bytes()], records::decode_cart)?.map(Arc::new))
}

/// A change as the writer needs it: everything that can be computed before is.
struct Encoded {
    writes: Vec<Write>,
    outbox: Vec<Vec<u8>>,
    answers: Vec<Answer>,
    now: Timestamp,
}

enum Write {
    Put(Row),
    Delete { id: CartId, expected: Version },
}

struct Row {
    id: CartId,
    expected: Version,
    version: Version,
    owner: Vec<u8>,
    expires_at: Timestamp,
    body: Vec<u8>,
}

impl Encoded {
    fn of(change: &CartChange, now: Timestamp) -> Self {
        let write = |write: &CartWrite| match write {
            CartWrite::Put { cart, expected } => Write::Put(Row {
                id: cart.id,
                expected: *expected,
                version: cart.version,
                owner: records::owner_key(&cart.owner),
                expires_at: cart.expires_at,
                body: records::encode_cart(cart),
            }),
            CartWrite::Delete { id, expected } => Write::Delete { id: *id, expected: *expected },
        };
        let writes = change.writes.iter().map(write).collect();
        Self { writes, outbox: encode_all(&change.outbox), answers: change.answers.clone(), now }
    }

    fn save(&self, turn: &Turn<'_>) -> Result<Verdict<Saved>, Fault> {
        if let Some(first) = answers::first(turn, &self.answers)? {
            return Ok(Verdict::Undo(Saved::Answered(first)));
        }
        for write in &self.writes {
            let refused = match write {
                Write::Put(row) if row.expected == Version(0) => row.insert(turn, self.now)?,
                Write::Put(row) => row.update(turn)?,
                Write::Delete { id, expected } => delete(turn, *id, *expected)?,
            };
            if let Some(refused) = refused {
                return Ok(Verdict::Undo(refused));
            }
        }
        for event in &self.outbox {
            turn.send(event)?;
        }
        for answer in &self.answers {
            answers::remember(turn, answer)?;
        }
        Ok(Verdict::Keep(Saved::Done))
    }
}

fn conflict(on: &Connection, id: CartId) -> Result<Option<Saved>, Fault> {
    Ok(Some(Saved::Conflict { id, current: stored(on, id)? }))
}

impl Row {
    /// What stands in the way of it, if anything.
    fn insert(&self, on: &Connection, now: Timestamp) -> Result<Option<Saved>, Fault> {
        let id = self.id.0.to_be_bytes();
        if let Some(expires_at) = value::<i64>(on, "SELECT expires_at FROM carts WHERE id = ?1", [id])?
            && now.0 < expires_at
        {
            return conflict(on, self.id);
        }
        let other = "SELECT id FROM carts WHERE owner = ?1 AND id <> ?2 AND expires_at > ?3";
        if let Some(other) = value(on, other, (&self.owner, id, now.0))? {
            return Ok(Some(Saved::OwnerHas(CartId(u128::from_be_bytes(other)))));
        }
        let sql = "INSERT OR REPLACE INTO carts (id, version, owner, expires_at, expires_hour, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        change(on, sql, (id, int(self.version.0), &self.owner, self.expires_at.0, self.expires_hour(), &self.body))?;
        Ok(None)
    }

    /// The first statement leaves the indexes alone; it misses when an hour has passed, too.
    fn update(&self, on: &Connection) -> Result<Option<Saved>, Fault> {
        let (id, expected) = (self.id.0.to_be_bytes(), int(self.expected.0));
        let values = (id, expected, int(self.version.0), &self.owner, self.expires_at.0, self.expires_hour(), &self.body);
        let body = "UPDATE carts SET version = ?3, expires_at = ?5, body = ?7
                    WHERE id = ?1 AND version = ?2 AND owner = ?4 AND expires_hour = ?6";
        let row = "UPDATE carts SET version = ?3, owner = ?4, expires_at = ?5, expires_hour = ?6, body = ?7
                   WHERE id = ?1 AND version = ?2";
        if change(on, body, values)? == 1 || change(on, row, values)? == 1 { Ok(None) } else { conflict(on, self.id) }
    }

    fn expires_hour(&self) -> i64 {
        self.expires_at.0.div_euclid(HOUR)
    }
}

fn delete(on: &Connection, id: CartId, expected: Version) -> Result<Option<Saved>, Fault> {
    let sql = "DELETE FROM carts WHERE id = ?1 AND version = ?2";
    if change(on, sql, (id.0.to_be_bytes(), int(expected.0)))? == 1 { Ok(None) } else { conflict(on, id) }
}

fn remember(memory: &Memory, writes: Vec<CartWrite>) {
    for write in writes {
        match write {
            CartWrite::Put { cart, .. } => memory.carts.insert(cart.id, cart),
            CartWrite::Delete { id, .. } => drop(memory.carts.remove(&id)),
        }
    }
}

impl EmbeddedStore {
    /// From memory, else from the disk.
    fn cart(&self, id: CartId) -> Result<Option<Arc<Cart>>, PortError> {
        let read = || self.readers().point(PORT, |on| stored(on, id));
        if self.is_read_only() {
            return read();
        }
        match self.memory().carts.get_value_or_guard(&id, None) {
            GuardResult::Value(cart) => Ok(Some(cart)),
            GuardResult::Timeout => read(),
            GuardResult::Guard(place) => {
                let found = read()?;
                if let Some(cart) = &found {
                    // Refused when a commit was faster: what it wrote is newer.
                    drop(place.insert(Arc::clone(cart)));
                }
                Ok(found)
            }
        }
    }
}

#[async_trait]
impl Carts for EmbeddedStore {
    async fn load(&self, id: CartId, _: AtLeast, now: Timestamp) -> Result<Option<Arc<Cart>>, PortError> {
        Ok(self.cart(id)?.filter(|cart| cart.is_live(now)))
    }

    async fn of_owner(&self, owner: &Owner, now: Timestamp) -> Result<Option<CartId>, PortError> {
        let sql = "SELECT id FROM carts WHERE owner = ?1 AND expires_at > ?2";
        let found = self.readers().point(PORT, |on| Ok(value(on, sql, (records::owner_key(owner), now.0))?))?;
        Ok(found.map(|id| CartId(u128::from_be_bytes(id))))
    }

    async fn save(&self, change: CartChange, now: Timestamp) -> Result<Saved, PortError> {
        let encoded = Encoded::of(&change, now);
        // A single write checks before it writes; of several a later one may be refused.
        let guard = if change.writes.len() > 1 { Guard::Savepoint } else { Guard::None };
        let apply = move |memory: &Memory, saved: &Saved| {
            if matches!(saved, Saved::Done) {
                remember(memory, change.writes);
            }
        };
        self.writer(PORT)?.submit(PORT, guard, move |turn| encoded.save(turn), apply).await
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.readers().point(PORT, |on| answers::find(on, key))
    }

    async fn expired(&self, now: Timestamp, most: usize) -> Result<Vec<Arc<Cart>>, PortError> {
        let sql = "SELECT body FROM carts WHERE expires_hour <= ?1 AND expires_at <= ?2 ORDER BY expires_at, id LIMIT ?3";
        let params = (now.0.div_euclid(HOUR), now.0, limit(most));
        let expired = self.readers().range(PORT, move |on| many(on, sql, params, records::decode_cart)).await?;
        Ok(expired.into_iter().map(Arc::new).collect())
    }
}
