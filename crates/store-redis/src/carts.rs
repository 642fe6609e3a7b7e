//! Carts at rest: one hash a cart; what belongs to its owner lies in the same slot, so that one call saves all of it.

use crate::RedisStore;
use crate::commit::Made;
use crate::copies::Stamp;
use crate::hash::{Found, Stored, WriteName};
use crate::keys::{parse_member, partitions};
use crate::limits::{CANDIDATES_MIN, CART_GRACE};
use crate::part::{Delete, Op, Part, Put, Seal, bytes, fields};
use crate::servers::GivenUp;
use app::ports::{Answer, AtLeast, CartChange, CartWrite, Carts, PortError, Saved};
use async_trait::async_trait;
use domain::cart::{Cart, Owner};
use domain::event::{Outgoing, Subject};
use domain::ids::{CartId, Partition, Version};
use domain::time::Timestamp;
use redis::{Cmd, Value, cmd};
use std::sync::Arc;

const PORT: &str = "carts";

/// The parts of a change, and the carts as they are when it is made.
struct Plan {
    parts: Vec<Part>,
    puts: Vec<Stored>,
    deletes: Vec<CartId>,
}

impl Plan {
    fn part(&mut self, partition: Partition) -> &mut Part {
        let place = self.parts.iter().position(|part| part.partition == partition).unwrap_or_else(|| {
            self.parts.push(Part::new(partition));
            self.parts.len() - 1
        });
        &mut self.parts[place]
    }
}

/// Where an event lies: beside its subject; what is neither a cart nor a session lies with what it came with.
fn partition_of(event: &Outgoing) -> Option<Partition> {
    match event.subject {
        Subject::Cart(id) => Some(id.partition()),
        Subject::Session(id) => Some(id.partition()),
        Subject::Checkout(_) | Subject::Order(_) | Subject::Stock(_) | Subject::Book(_) => None,
    }
}

impl RedisStore {
    fn plan(&self, change: &CartChange, write: WriteName, whole: bool) -> Result<Plan, GivenUp> {
        let mut plan = Plan { parts: Vec::new(), puts: Vec::new(), deletes: Vec::new() };
        // The first part decides when there are several: that of the cart which stays.
        let puts = change.writes.iter().filter(|write| matches!(write, CartWrite::Put { .. }));
        let deletes = change.writes.iter().filter(|write| matches!(write, CartWrite::Delete { .. }));
        for one in puts.chain(deletes) {
            match one {
                CartWrite::Put { cart, expected } => {
                    let (put, stored) = self.put(cart, *expected, write, whole)?;
                    plan.part(cart.id.partition()).ops.push(Op::Put(put));
                    plan.puts.push(stored);
                }
                CartWrite::Delete { id, expected } => {
                    let index = self.keys().carts_by_expiry(id.partition());
                    let delete = Delete { id: id.0, key: self.keys().cart(*id), index, expected: Some(*expected) };
                    plan.part(id.partition()).ops.push(Op::Delete(delete));
                    plan.deletes.push(*id);
                }
            }
        }
        for answer in &change.answers {
            plan.part(Partition(answer.mark.key[0])).ops.push(Op::Answer(answer.clone()));
        }
        for event in &change.outbox {
            let partition = partition_of(event).or(plan.parts.first().map(|part| part.partition)).unwrap_or(Partition(0));
            plan.part(partition).events.push(records::encode_outgoing(event));
        }
        Ok(plan)
    }

    fn put(&self, cart: &Arc<Cart>, expected: Version, write: WriteName, whole: bool) -> Result<(Put, Stored), GivenUp> {
        if cart.owner.partition() != cart.id.partition() {
            return Err(GivenUp::refused(format!("{} does not lie where its owner's things lie", cart.id)));
        }
        let owner = self.keys().owner(&cart.owner);
        let known = self.copies().known_cart(cart.id, expected).filter(|_| !whole && expected != Version(0));
        let (stored, difference) = match &known {
            Some(known) => known.change(Arc::clone(cart), write),
            None => Stored::whole(Arc::clone(cart), &owner, write),
        };
        let put = Put {
            id: cart.id.0,
            key: self.keys().cart(cart.id),
            index: self.keys().carts_by_expiry(cart.id.partition()),
            owner: Some(owner),
            other: None,
            expected,
            version: cart.version,
            base: known.map(|known| known.write),
            expires_at: cart.expires_at,
            grace: CART_GRACE,
            difference,
        };
        Ok((put, stored))
    }

    async fn save_carts(&self, change: &CartChange, now: Timestamp) -> Result<Saved, GivenUp> {
        let mut attempt = self.attempt();
        let mut plan = self.plan(change, attempt.write, false)?;
        let mut made = self.commit(&mut plan.parts, &mut attempt, now).await?;
        if matches!(made, Made::OtherBase) {
            plan = self.plan(change, attempt.write, true)?;
            made = self.commit(&mut plan.parts, &mut attempt, now).await?;
        }
        match made {
            Made::Done => {
                plan.deletes.iter().for_each(|id| self.copies().remove_cart(*id));
                for stored in plan.puts {
                    let stamp = attempt.stamps.of(stored.cart.id.0);
                    self.copies().put_cart(Arc::new(stored), stamp);
                }
                Ok(Saved::Done)
            }
            Made::Conflict(id, fields) => {
                let found = Stored::read(&fields)?.map(|found| self.remember(found, attempt.stamps.of(id)));
                Ok(Saved::Conflict { id: CartId(id), current: found.map(|stored| Arc::clone(&stored.cart)) })
            }
            Made::OwnerHas(id) => Ok(Saved::OwnerHas(id)),
            Made::Answered(first) => Ok(Saved::Answered(first)),
            Made::OtherBase => Err(GivenUp::nonsense("a cart that is written whole differs from nothing")),
        }
    }

    fn remember(&self, found: Found, stamp: Option<Stamp>) -> Arc<Stored> {
        let stored = Arc::new(found.stored);
        // What is sealed may have changed already, though not here.
        self.copies().put_cart(Arc::clone(&stored), stamp.filter(|_| !found.is_sealed));
        stored
    }

    /// The cart as it is stored, expired or not.
    pub(crate) async fn read_cart(&self, id: CartId) -> Result<Option<Arc<Cart>>, GivenUp> {
        let stamp = self.copies().stamp(id.0);
        let Some(found) = self.find_cart(id).await? else { return Ok(None) };
        if found.is_sealed && self.settle_cart(id).await? {
            let stamp = self.copies().stamp(id.0);
            return Ok(self.find_cart(id).await?.map(|found| Arc::clone(&self.remember(found, stamp).cart)));
        }
        Ok(Some(Arc::clone(&self.remember(found, stamp).cart)))
    }

    async fn find_cart(&self, id: CartId) -> Result<Option<Found>, GivenUp> {
        found_cart(self.servers().call(id.partition(), cmd("HGETALL").arg(self.keys().cart(id))).await?.value)
    }

    /// Ends the transaction that has sealed a cart; says whether it is over.
    async fn settle_cart(&self, id: CartId) -> Result<bool, GivenUp> {
        let ask = cmd("HGET").arg(self.keys().sealed(id.partition())).arg(self.keys().cart(id)).take();
        match bytes(self.servers().call(id.partition(), &ask).await?.value) {
            None => Ok(true),
            Some(seal) => {
                let seal = Seal::parse(&seal).ok_or_else(|| GivenUp::nonsense("a seal cannot be read"))?;
                self.settle(id.partition(), &seal).await
            }
        }
    }

    async fn cart_of(&self, owner: &Owner, now: Timestamp) -> Result<Option<CartId>, GivenUp> {
        let pointer = self.keys().owner(owner);
        let partition = owner.partition();
        let mut ask = self.library().call("of_owner", std::slice::from_ref(&pointer));
        ask.arg(self.keys().carts(partition));
        let Value::Array(told) = self.servers().call(partition, &ask).await?.value else { return Ok(None) };
        let told: Option<Vec<Vec<u8>>> = told.into_iter().map(bytes).collect();
        let Some(Ok([id, expires_at, owned_by])) = told.map(<[Vec<u8>; 3]>::try_from) else {
            return Err(GivenUp::nonsense("the pointer of an owner cannot be read"));
        };
        let id = CartId(parse_member(&id).ok_or_else(|| GivenUp::nonsense("the pointer of an owner points to no cart"))?);
        let expires_at: Option<i64> = std::str::from_utf8(&expires_at).ok().and_then(|at| at.parse().ok());
        let is_there = match expires_at {
            Some(at) => now.0 < at && owned_by == pointer.as_bytes(),
            // Deleted, or on its way to another server, which the function cannot tell apart.
            None => self.read_cart(id).await?.is_some_and(|cart| cart.is_live(now) && cart.owner == *owner),
        };
        Ok(is_there.then_some(id))
    }

    async fn expired_carts(&self, now: Timestamp, limit: usize) -> Result<Vec<Arc<Cart>>, GivenUp> {
        let keys = self.keys();
        let mut expired = Vec::new();
        for some in self.overdue(|p| keys.carts_by_expiry(p), now, limit).await?.chunks(limit.max(CANDIDATES_MIN)) {
            let reads: Vec<_> = some.iter().map(|(p, id)| (*p, cmd("HGETALL").arg(keys.cart(CartId(*id))).take())).collect();
            for ((partition, id), read) in some.iter().zip(self.servers().call_all(&reads).await) {
                match found_cart(read?)? {
                    Some(found) if !found.stored.cart.is_live(now) => expired.push(found.stored.cart),
                    Some(_) => {}
                    None => self.drop_from(keys.carts_by_expiry(*partition), *partition, *id).await?,
                }
            }
            if expired.len() >= limit {
                break;
            }
        }
        expired.sort_by_key(|cart| (cart.expires_at, cart.id));
        expired.truncate(limit);
        Ok(expired)
    }

    /// What may have expired by `now`: what expired the longest ago first, as far as an index tells.
    pub(crate) async fn overdue(
        &self,
        index: impl Fn(Partition) -> String,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Partition, u128)>, GivenUp> {
        let ask = |p: Partition| -> Cmd {
            let mut ask = cmd("ZRANGEBYSCORE");
            ask.arg(index(p)).arg("-inf").arg(now.0).arg("WITHSCORES").arg("LIMIT").arg(0).arg(limit.max(CANDIDATES_MIN));
            ask
        };
        let questions: Vec<_> = partitions().map(|p| (p, ask(p))).collect();
        let mut candidates: Vec<(u64, u128, Partition)> = Vec::new();
        for (told, (partition, _)) in self.servers().ask_all(&questions).await?.into_iter().zip(&questions) {
            let Some(told) = told else { continue };
            let scored: Vec<(Vec<u8>, f64)> = redis::from_redis_value(told).map_err(|e| GivenUp::nonsense(e.to_string()))?;
            for (id, score) in scored {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "microseconds are exact below 2^53")]
                candidates.extend(parse_member(&id).map(|id| (score.max(0.0) as u64, id, *partition)));
            }
        }
        candidates.sort_unstable();
        Ok(candidates.into_iter().map(|(_, id, partition)| (partition, id)).collect())
    }

    /// Takes out of an index what is not there any more. Harmless when it comes back at the same time: it would be
    /// found again by its next change, and its time to live does the rest.
    pub(crate) async fn drop_from(&self, index: String, partition: Partition, id: u128) -> Result<(), GivenUp> {
        let drop_it = cmd("ZREM").arg(index).arg(crate::keys::member(id)).take();
        self.servers().call(partition, &drop_it).await.map(drop)
    }
}

fn found_cart(value: Value) -> Result<Option<Found>, GivenUp> {
    let fields = fields(value).ok_or_else(|| GivenUp::nonsense("a cart is no hash"))?;
    Ok(Stored::read(&fields)?)
}

#[async_trait]
impl Carts for RedisStore {
    async fn load(&self, id: CartId, fresh: AtLeast, now: Timestamp) -> Result<Option<Arc<Cart>>, PortError> {
        let found = match self.copies().cart(id, fresh, self.servers().heard_lately(id.partition())) {
            Some(copy) => Some(copy),
            None => {
                self.read_cart(id).await.map_err(|e| e.of_port(PORT)).inspect(|found| self.copies().stored_carts.found(found.is_some()))?
            }
        };
        Ok(found.filter(|cart| cart.is_live(now)))
    }

    async fn of_owner(&self, owner: &Owner, now: Timestamp) -> Result<Option<CartId>, PortError> {
        self.cart_of(owner, now).await.map_err(|e| e.of_port(PORT))
    }

    async fn save(&self, change: CartChange, now: Timestamp) -> Result<Saved, PortError> {
        self.save_carts(&change, now).await.map_err(|e| e.of_port(PORT))
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.remembered(key).await.map_err(|e| e.of_port(PORT))
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<Arc<Cart>>, PortError> {
        self.recover().await.map_err(|e| e.of_port(PORT))?;
        self.expired_carts(now, limit).await.map_err(|e| e.of_port(PORT))
    }
}
