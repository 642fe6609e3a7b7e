//! Whatever is done to it, in whatever order, the store says what the reference says.

use crate::servers::Server;
use app::ports::TokenDigest;
use app::ports::{AtLeast, CartChange, CartWrite, Carts, Outbox, Saved, Sessions};
use conformance::fixtures::{
    START, add, answer, at, cart_of, cart_writes, changed, code, customer, delete_cart, guest, put_cart, session, session_event, text,
};
use domain::cart::{Cart, CartEvent, Command, Owner, Strategy};
use domain::event::Outgoing;
use domain::ids::{CartId, SessionId, Version};
use domain::session::{Session, SessionEvent};
use domain::time::Timestamp;
use fastrand::Rng;
use memory::MemoryStore;
use store_redis::{RedisSettings, RedisStore};

struct Pair {
    redis: RedisStore,
    memory: MemoryStore,
    rng: Rng,
    now: Timestamp,
    sessions: u128,
    /// What has been done, for whoever has to find out why they disagree.
    done: Vec<String>,
}

/// Keys of these partitions, some of them of the owners.
const KEYS: [[u8; 16]; 6] = [[1; 16], [2; 16], [3; 16], [81; 16], [52; 16], [4; 16]];

fn owners() -> [Owner; 5] {
    [guest(1), guest(257), guest(2), customer("alice"), customer("bob")]
}

impl Pair {
    fn any_owner(&mut self) -> Owner {
        owners()[self.rng.usize(..5)].clone()
    }

    fn any_id(&mut self) -> (CartId, Owner) {
        let owner = self.any_owner();
        (CartId::within(u128::from(self.rng.u32(1..=3)) << 8, owner.partition()), owner)
    }

    async fn live(&mut self) -> Option<Cart> {
        let (id, _) = self.any_id();
        let found = Carts::load(&self.memory, id, AtLeast::Now, self.now).await.expect("memory");
        found.map(|cart| (*cart).clone())
    }

    fn command(&mut self, cart: &Cart) -> Command {
        match (self.rng.u8(..6), cart.items.first()) {
            (0, _) => Command::Clear,
            (1, Some(item)) => Command::Set { item: item.id, quantity: None },
            (2, _) => Command::Note(Some(text(&format!("note {}", self.rng.u8(..))))),
            (3, _) => Command::Coupons(vec![code(if self.rng.bool() { "TEN" } else { "WELCOME" })]),
            _ => add(u128::from(self.rng.u32(1..=9)), self.rng.u32(1..=3)),
        }
    }

    async fn step(&mut self) {
        match self.rng.u8(..12) {
            0 | 1 => self.create().await,
            2..=4 => self.change().await,
            5 => self.delete().await,
            6 => self.merge().await,
            7 => self.now = self.now.plus(std::time::Duration::from_secs(self.rng.u64(..40))),
            8 => self.sweep().await,
            9 => self.deliver().await,
            _ => self.visit().await,
        }
        self.look().await;
    }

    async fn create(&mut self) {
        let (id, owner) = self.any_id();
        let decided = cart_of(id.0, owner, self.now);
        self.save(CartChange { outbox: decided.events, ..cart_writes([put_cart(&decided.cart, 0)]) }).await;
    }

    async fn change(&mut self) {
        let Some(cart) = self.live().await else { return };
        let commands = [self.command(&cart), self.command(&cart)];
        let Ok(decided) =
            cart.decide(&commands[..1 + self.rng.usize(..2)], &conformance::fixtures::Shelf, &conformance::fixtures::LIFETIMES, self.now)
        else {
            return;
        };
        let mut next = decided.cart;
        let n = self.rng.u8(1..=30);
        // A request that is known already changes nothing, so no key is remembered twice.
        if next.mark(conformance::fixtures::mark(n).key).is_none() {
            next.remember(conformance::fixtures::mark(n));
        }
        let expected = if self.rng.u8(..8) == 0 { cart.version.0 + 1 } else { cart.version.0 };
        self.save(CartChange { outbox: decided.events, ..cart_writes([put_cart(&next, expected)]) }).await;
    }

    async fn delete(&mut self) {
        let Some(cart) = self.live().await else { return };
        let event = cart.end(CartEvent::Deleted { merged_into: None }, self.now);
        let expected = cart.version.0 + u64::from(self.rng.u8(..6) == 0);
        self.save(CartChange { outbox: vec![event], ..cart_writes([delete_cart(cart.id.0, expected)]) }).await;
    }

    async fn merge(&mut self) {
        let (Some(target), Some(source)) = (self.live().await, self.live().await) else { return };
        if target.id == source.id {
            return;
        }
        let merge = Command::Merge { source: Box::new(source.clone()), strategy: Strategy::Sum };
        let merged = changed(&target, &[merge], self.now);
        let deleted = source.end(CartEvent::Deleted { merged_into: Some(target.id) }, self.now);
        let writes = [put_cart(&merged.cart, target.version.0), delete_cart(source.id.0, source.version.0)];
        self.save(CartChange { outbox: merged.events.into_iter().chain([deleted]).collect(), ..cart_writes(writes) }).await;
    }

    /// Saves in both, now and then with an answer; keys come up again.
    async fn save(&mut self, mut change: CartChange) {
        if self.rng.bool() {
            let mut answer = answer(1, &format!("answer {}", self.done.len()), self.now);
            answer.mark.key = KEYS[self.rng.usize(..KEYS.len())];
            change.answers.push(answer);
        }
        self.done.push(format!("{:?}: {change:?}", self.now));
        let redis = Carts::save(&self.redis, change.clone(), self.now).await.expect("Redis");
        let memory = Carts::save(&self.memory, change.clone(), self.now).await.expect("memory");
        match (&redis, &memory) {
            // Of several conflicts any may be told.
            (Saved::Conflict { .. }, Saved::Conflict { .. }) if change.writes.len() > 1 => {}
            _ => assert_eq!(format!("{redis:?}"), format!("{memory:?}"), "{:#?}", self.done),
        }
    }

    async fn sweep(&mut self) {
        let limit = self.rng.usize(1..4);
        let redis = self.redis.expired(self.now, limit).await.expect("Redis");
        let memory = self.memory.expired(self.now, limit).await.expect("memory");
        assert_eq!(redis, memory, "{:#?}", self.done);
        if self.rng.bool() {
            for cart in memory {
                let writes = vec![CartWrite::Delete { id: cart.id, expected: cart.version }];
                self.save(CartChange { writes, outbox: vec![cart.end(CartEvent::Expired, self.now)], answers: vec![] }).await;
            }
        }
        let swept = (self.redis.sweep(self.now, 100).await.expect("Redis"), self.memory.sweep(self.now, 100).await.expect("memory"));
        assert_eq!(swept.0, swept.1, "{:#?}", self.done);
    }

    /// Sessions come, change and go.
    async fn visit(&mut self) {
        let (now, n) = (self.now, self.rng.u128(..=self.sessions));
        let token = |n: u128| TokenDigest([n.to_be_bytes(), n.to_be_bytes()].concat().try_into().expect("32 bytes"));
        self.done.push(format!("{now:?}: session {n}"));
        if n == 0 {
            self.sessions += 1;
            let n = self.sessions;
            let new = Session { id: SessionId(n), expires_at: now.plus(std::time::Duration::from_secs(60)), ..session(1) };
            for on in [&self.redis as &dyn Sessions, &self.memory] {
                on.create(new.clone(), token(n), session_event(n, 1, SessionEvent::Started)).await.expect("a session");
            }
            return;
        }
        let id = SessionId(n);
        let loaded =
            (Sessions::load(&self.redis, id, now).await.expect("Redis"), Sessions::load(&self.memory, id, now).await.expect("memory"));
        assert_eq!(loaded.0, loaded.1, "{:#?}", self.done);
        let held = (self.redis.by_token(token(n), now).await.expect("Redis"), self.memory.by_token(token(n), now).await.expect("memory"));
        assert_eq!(held.0, held.1, "{:#?}", self.done);
        let Some(found) = loaded.1 else { return };
        let next = Session { version: found.version.next(), expires_at: now.plus(std::time::Duration::from_secs(90)), ..(*found).clone() };
        let what = self.rng.u8(..3);
        let expected = Version(found.version.0 + u64::from(self.rng.u8(..4) == 0));
        let mut said = Vec::new();
        for on in [&self.redis as &dyn Sessions, &self.memory] {
            said.push(if what == 0 {
                on.end(id, session_event(n, next.version.0, SessionEvent::Ended)).await.expect("a store that works")
            } else {
                let event = session_event(n, next.version.0, SessionEvent::Updated);
                on.save(next.clone(), expected, event, None).await.expect("a store that works")
            });
        }
        assert_eq!(said[0], said[1], "{:#?}", self.done);
    }

    /// The same events wait in both; some are delivered.
    async fn deliver(&mut self) {
        let (redis, memory) = (self.redis.pending(10_000).await.expect("Redis"), self.memory.pending(10_000).await.expect("memory"));
        let by_subject = |pending: &[app::ports::Pending]| {
            let mut events: Vec<Outgoing> = pending.iter().map(|p| p.event.clone()).collect();
            events.sort_by_key(|event| event.subject);
            events
        };
        assert_eq!(by_subject(&redis), by_subject(&memory), "{:#?}", self.done);
        let some = redis.len() / 2;
        for delivered in &redis[..some] {
            let there = memory.iter().find(|p| p.event == delivered.event).expect("the same event");
            self.redis.delivered(std::slice::from_ref(&delivered.position), self.now).await.expect("Redis");
            self.memory.delivered(std::slice::from_ref(&there.position), self.now).await.expect("memory");
        }
    }

    async fn look(&mut self) {
        let (id, owner) = self.any_id();
        let carts = (
            Carts::load(&self.redis, id, AtLeast::Now, self.now).await.expect("Redis"),
            Carts::load(&self.memory, id, AtLeast::Now, self.now).await.expect("memory"),
        );
        assert_eq!(carts.0, carts.1, "{:#?}", self.done);
        let owned =
            (self.redis.of_owner(&owner, self.now).await.expect("Redis"), self.memory.of_owner(&owner, self.now).await.expect("memory"));
        assert_eq!(owned.0, owned.1, "{owner:?} {:#?}", self.done);
        let key = KEYS[self.rng.usize(..KEYS.len())];
        let redis = Carts::answer(&self.redis, key).await.expect("Redis");
        let memory = Carts::answer(&self.memory, key).await.expect("memory");
        assert_eq!(redis, memory, "{:#?}", self.done);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_says_what_the_reference_says() {
    let server = Server::start(&[]);
    for seed in 0..5 {
        let settings = RedisSettings { prefix: format!("{seed}:"), ..server.settings() };
        let redis = RedisStore::connect(settings).await.expect("a store");
        let mut pair = Pair {
            redis,
            memory: MemoryStore::new(),
            rng: Rng::with_seed(seed),
            now: START,
            sessions: 0,
            done: vec![format!("seed {seed}")],
        };
        for _ in 0..120 {
            pair.step().await;
        }
        pair.now = at(100_000);
        pair.sweep().await;
        pair.deliver().await;
    }
}
