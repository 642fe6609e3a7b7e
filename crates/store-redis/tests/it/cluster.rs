//! On a cluster: no call touches two slots, slots move while carts are saved, and a master dies.

use crate::servers::{Cluster, wait};
use crate::subject;
use app::ports::{AtLeast, Carts, Outbox, Saved};
use conformance::Subject;
use conformance::fixtures::{START, add, at, cart_of, changed, guest, save_cart};
use domain::cart::Cart;
use domain::ids::CartId;
use redis::cmd;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use store_redis::{RedisSettings, RedisStore};
use tokio::task::JoinSet;

async fn on(cluster: &Cluster, prefix: u32) -> Subject {
    let settings = RedisSettings { prefix: format!("{prefix}:"), ..cluster.settings() };
    subject::of(RedisStore::connect(settings).await.expect("a store"), ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sentence_holds_on_a_cluster() {
    let cluster = Cluster::start(3, 0).await;
    let mut prefix = 0;
    let mut next = || {
        prefix += 1;
        prefix
    };
    conformance::carts!(together, on(&cluster, next()).await);
    conformance::sessions!(together, on(&cluster, next()).await);
    conformance::outbox!(together, on(&cluster, next()).await);
}

/// What one shopper saw: he adds to his cart as fast as he is answered.
#[derive(Debug)]
struct Shopper {
    n: u128,
    /// The cart as he was last told it is saved.
    acknowledged: Cart,
    saves: u64,
    /// Saves that he was told of and that are gone.
    lost: u64,
    errors: Vec<String>,
}

impl Shopper {
    async fn new(store: &RedisStore, n: u128) -> Self {
        let created = cart_of(n, guest(n), START);
        let saved = store.save(save_cart(&created, 0), START).await.expect("a store that works");
        assert!(matches!(saved, Saved::Done), "{saved:?}");
        Self { n, acknowledged: created.cart, saves: 1, lost: 0, errors: Vec::new() }
    }

    async fn add(&mut self, store: &RedisStore) {
        let next = changed(&self.acknowledged, &[add(1 + u128::from(self.saves % 5), 1)], at(1));
        match store.save(save_cart(&next, self.acknowledged.version.0), at(1)).await {
            Ok(Saved::Done) => {
                self.acknowledged = next.cart;
                self.saves += 1;
            }
            Ok(Saved::Conflict { current: Some(current), .. }) => {
                // Nobody else writes: what was acknowledged is gone, or a save of unknown outcome was made after all.
                self.lost += self.acknowledged.version.0.saturating_sub(current.version.0);
                self.acknowledged = (*current).clone();
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => self.errors.push(error.to_string()),
        }
        // So that quantities stay below what a line may hold.
        if self.saves % 400 == 399 {
            let cleared = changed(&self.acknowledged, &[domain::cart::Command::Clear, add(1, 1)], at(1));
            if matches!(store.save(save_cart(&cleared, self.acknowledged.version.0), at(1)).await, Ok(Saved::Done)) {
                self.acknowledged = cleared.cart;
                self.saves += 1;
            }
        }
    }

    async fn is_as_it_was_told(&self, store: &RedisStore) {
        let stored = store.load(CartId(self.n), AtLeast::Now, at(1)).await.expect("a store that works").expect("the cart");
        assert_eq!(*stored, self.acknowledged);
    }
}

/// Shoppers who add until they are told to stop.
struct Crowd {
    stop: Arc<AtomicBool>,
    saves: Arc<AtomicU64>,
    tasks: JoinSet<Shopper>,
}

impl Crowd {
    async fn of(store: &RedisStore, count: u128) -> Self {
        let (stop, saves) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for n in 1..=count {
            let mut shopper = Shopper::new(store, n).await;
            let (store, stop, saves) = (store.clone(), Arc::clone(&stop), Arc::clone(&saves));
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    shopper.add(&store).await;
                    saves.fetch_add(1, Ordering::Relaxed);
                }
                shopper
            });
        }
        Self { stop, saves, tasks }
    }

    /// Until so many more saves have been tried.
    async fn go_on(&self, more: u64) {
        let until = self.saves.load(Ordering::Relaxed) + more;
        for round in 0.. {
            if self.saves.load(Ordering::Relaxed) >= until {
                break;
            }
            assert!(round < 3000, "saves do not go on");
            wait(Duration::from_millis(10)).await;
        }
    }

    async fn end(self) -> Vec<Shopper> {
        self.stop.store(true, Ordering::Relaxed);
        let mut shoppers = self.tasks.join_all().await;
        shoppers.sort_by_key(|shopper| shopper.n);
        shoppers
    }
}

/// Of each cart, the events that wait are those of its versions, each once and in order.
async fn events_are_whole(store: &RedisStore, shoppers: &[Shopper]) {
    let mut sequences: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for round in 0.. {
        let pending = store.pending(5000).await.expect("a store that works");
        if pending.is_empty() {
            break;
        }
        assert!(round < 1000, "events do not come to an end");
        for one in &pending {
            sequences.entry(one.event.subject.to_string()).or_default().push(one.event.sequence);
        }
        store.delivered(&pending.into_iter().map(|p| p.position).collect::<Vec<_>>(), START).await.expect("a store that works");
    }
    for shopper in shoppers {
        let told = &sequences[&CartId(shopper.n).to_string()];
        assert_eq!(*told, (1..=shopper.acknowledged.version.0).collect::<Vec<_>>(), "cart {}", shopper.n);
    }
}

/// Moves a partition's slot to another master, a few keys at a time, as `redis-cli --cluster reshard` does.
async fn move_slot(cluster: &Cluster, partition: u8, from: usize, to: usize) {
    let slot: u16 = cluster.servers[0].ask(cmd("CLUSTER").arg("KEYSLOT").arg(format!("{{{partition}}}"))).await;
    let (source, target) = (&cluster.servers[from], &cluster.servers[to]);
    let source_id: String = source.ask(cmd("CLUSTER").arg("MYID")).await;
    let target_id: String = target.ask(cmd("CLUSTER").arg("MYID")).await;
    let set_slot = || {
        let mut set = cmd("CLUSTER");
        set.arg("SETSLOT").arg(slot);
        set
    };
    target.ask::<()>(set_slot().arg("IMPORTING").arg(&source_id)).await;
    source.ask::<()>(set_slot().arg("MIGRATING").arg(&target_id)).await;
    loop {
        let keys: Vec<String> = source.ask(cmd("CLUSTER").arg("GETKEYSINSLOT").arg(slot).arg(1)).await;
        if keys.is_empty() {
            break;
        }
        wait(Duration::from_millis(15)).await;
        let mut migrate = cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(target.port).arg("").arg(0).arg(5000).arg("KEYS").arg(keys);
        source.ask::<()>(&migrate).await;
    }
    for server in [target, source] {
        server.ask::<()>(set_slot().arg("NODE").arg(&target_id)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carts_are_saved_while_their_slots_move() {
    let cluster = Cluster::start(3, 0).await;
    let store = RedisStore::connect(cluster.settings()).await.expect("a store");
    let crowd = Crowd::of(&store, 6).await;
    crowd.go_on(50).await;
    for n in 1..=6 {
        let from = cluster.master_of(n).await;
        move_slot(&cluster, n, from, (from + 1) % 3).await;
        crowd.go_on(20).await;
    }
    let shoppers = crowd.end().await;
    for shopper in &shoppers {
        assert_eq!((shopper.lost, shopper.errors.len()), (0, 0), "{shopper:?}");
        shopper.is_as_it_was_told(&store).await;
    }
    events_are_whole(&store, &shoppers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_dies_and_its_carts_go_on_with_what_its_replica_had() {
    fail_over(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_dies_and_nothing_is_lost_that_a_replica_acknowledged() {
    assert_eq!(fail_over(1).await, 0);
}

/// Kills the master of some carts while all are being saved; how many acknowledged saves are gone.
async fn fail_over(replicas_acknowledged: u32) -> u64 {
    let mut cluster = Cluster::start(3, 1).await;
    let mut settings = RedisSettings { replicas_acknowledged, ..cluster.settings() };
    if replicas_acknowledged > 0 {
        // The replica that takes over has none to acknowledge: its carts cannot be saved any more, and soon say so.
        settings.patience = Duration::from_secs(6);
    }
    let store = RedisStore::connect(settings).await.expect("a store");
    let crowd = Crowd::of(&store, 24).await;
    crowd.go_on(500).await;
    let dead = cluster.master_of(1).await;
    let mut of_the_dead = Vec::new();
    for n in 1..=24 {
        if cluster.master_of(n).await == dead {
            of_the_dead.push(u128::from(n));
        }
    }
    cluster.servers[dead].kill();
    // Its carts are saved again when a replica has taken over; the others' all the time.
    for round in 0.. {
        let there = store.load(CartId(1), AtLeast::Now, at(1)).await;
        if there.is_ok() {
            break;
        }
        assert!(round < 10, "nobody took over: {there:?}");
    }
    crowd.go_on(if replicas_acknowledged == 0 { 500 } else { 50 }).await;
    let shoppers = crowd.end().await;
    let lost = shoppers.iter().map(|shopper| shopper.lost).sum();
    let saves: u64 = shoppers.iter().map(|shopper| shopper.saves).sum();
    tell(&format!("{lost} of {saves} acknowledged saves lost by a failover, with {replicas_acknowledged} replicas to acknowledge"));
    for shopper in &shoppers {
        if !of_the_dead.contains(&shopper.n) {
            assert_eq!((shopper.lost, shopper.errors.len()), (0, 0), "{shopper:?}");
        }
        if replicas_acknowledged == 0 {
            assert_eq!(shopper.errors.len(), 0, "{shopper:?}");
            shopper.is_as_it_was_told(&store).await;
        }
    }
    if replicas_acknowledged == 0 {
        events_are_whole(&store, &shoppers).await;
    }
    lost
}

#[expect(clippy::print_stderr, reason = "a figure for whoever runs the test")]
fn tell(figure: &str) {
    eprintln!("{figure}");
}
