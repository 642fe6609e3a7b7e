//! What works, and what is answered, while an engine of a store at scale is gone, slow or full: the table of docs/operations.md, line by
//! line, through the balancer, on engines of this test alone.

use crate::disks::{Mounted, run, say};
use crate::scale::{Broken, Engines, name_of, try_start};
use crate::shop::{Answer, Client, Shop, address, binary, dir, key};
use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Longer than any failover or restart here takes.
const HEALED_WITHIN: Duration = Duration::from_secs(60);

const REDIS: [&str; 6] = ["redis-1", "redis-2", "redis-3", "redis-4", "redis-5", "redis-6"];

/// Limits that nodes share, and that nobody here reaches.
const LIMITS: [(&str, &str); 5] = [
    ("CARTWRIGHT_RATE_LIMITS__ENABLED", "true"),
    ("CARTWRIGHT_RATE_LIMITS__CART_PER_MINUTE", "1000000"),
    ("CARTWRIGHT_RATE_LIMITS__CHECKOUT_PER_MINUTE", "1000000"),
    ("CARTWRIGHT_RATE_LIMITS__OTHER_PER_MINUTE", "1000000"),
    ("CARTWRIGHT_RATE_LIMITS__ANONYMOUS_PER_HOUR", "1000000"),
];

/// A shopper in the middle of things.
struct Stage {
    shop: Shop,
    admin: Client,
    book: String,
    edition: String,
    customer: Client,
    cart: String,
}

/// What a shopper may ask for, and whether it needs an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Search,
    ReadCart,
    Add,
    Checkout,
    ListOrders,
}

const ALL: [Asked; 5] = [Asked::Search, Asked::ReadCart, Asked::Add, Asked::Checkout, Asked::ListOrders];

impl Stage {
    async fn set(engines: &Engines, dir: &Path) -> Self {
        let shop = tokio::task::block_in_place(|| try_start(engines, &binary(), dir, &LIMITS).expect("ready"));
        let admin = shop.admin(dir);
        let (book, edition) = admin.new_book("DEGRADED", 1000, 100_000).await;
        let customer = shop.customer(dir, "alice");
        let cart = customer.cart(json!([{ "productId": book, "quantity": 1 }])).await;
        let stage = Self { shop, admin, book, edition, customer, cart };
        stage.heals().await;
        stage
    }

    /// New nodes in the place of those that are left.
    fn with_nodes_again(self, engines: &Engines, dir: &Path) -> Self {
        drop(self.shop);
        let shop = tokio::task::block_in_place(|| try_start(engines, &binary(), dir, &LIMITS).expect("ready"));
        let at = shop.listen.to_string();
        Self { shop, admin: self.admin.at(&at), customer: self.customer.at(&at), ..self }
    }

    async fn ask(&self, what: Asked) -> Answer {
        let get = |path: String| async move { self.customer.get(&path).await };
        let post = |path: String, body: Value| async move {
            let sent = self.customer.send(Method::POST, &path, &[("idempotency-key", &key())], body.to_string()).await;
            sent.expect("an answer")
        };
        match what {
            Asked::Search => get("/books?search=degraded&limit=1".into()).await,
            Asked::ReadCart => get(format!("/cart/{}", self.cart)).await,
            Asked::Add => post(format!("/cart/{}/items", self.cart), json!({ "productId": self.book, "quantity": 1 })).await,
            Asked::Checkout => post("/checkout/session".into(), json!({ "email": "ada@example.com" })).await,
            Asked::ListOrders => get("/orders".into()).await,
        }
    }

    /// These do not work, and say so in a way that can be acted on; all others work. Whoever waits does so beside the others.
    async fn only_these_fail(&self, when: &str, failing: &[Asked], codes: &[(u16, &str)]) {
        for what in ALL.into_iter().filter(|what| !failing.contains(what)) {
            let answer = self.ask(what).await;
            assert!(answer.status < 300, "{when}: {what:?}: {} {}", answer.status, answer.text);
        }
        for (what, answer) in failing.iter().zip(join_all(failing.iter().map(|what| self.ask(*what))).await) {
            let told = codes.iter().any(|(status, code)| answer.status == *status && answer.code() == *code);
            assert!(told, "{when}: {what:?}: {} {}", answer.status, answer.text);
            assert!(answer.status != 503 || !answer.header("retry-after").is_empty(), "{when}: {what:?}: no Retry-After");
        }
    }

    /// Everything works again, by itself.
    async fn heals(&self) {
        let healed = async {
            'again: loop {
                for what in ALL {
                    if self.ask(what).await.status >= 500 {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue 'again;
                    }
                }
                return;
            }
        };
        tokio::time::timeout(HEALED_WITHIN, healed).await.expect("it heals");
    }

    async fn buy(&self) -> u16 {
        let guest = self.shop.guest().await;
        guest.cart(json!([{ "productId": self.book, "quantity": 1 }])).await;
        let checkout = guest.checkout().await;
        guest.process(&checkout, "tok_visa", &key()).await.status
    }

    /// Where everything takes its time: done, or told that it will be.
    async fn buys_in_time(&self) -> bool {
        matches!(self.buy().await, 200 | 202)
    }

    /// How much the nodes have decided by limits of their own.
    async fn limits_alone(&self) -> u64 {
        let mut alone = 0;
        for node in self.shop.nodes() {
            let metrics = self.admin.clone().at(&node).get("/metrics").await.text;
            let count = metrics.lines().find_map(|line| line.strip_prefix("limits_alone_total "));
            alone += count.and_then(|n| n.parse::<u64>().ok()).expect("a count");
        }
        alone
    }

    /// Copies in the cart of the customer.
    async fn copies(&self) -> u64 {
        self.ask(Asked::ReadCart).await.expect(200)["items"][0]["quantity"].as_u64().expect("a quantity")
    }
}

/// At the least.
const EVENTS_OF_A_PURCHASE: u64 = 8;

const GONE: &[(u16, &str)] = &[(503, "STORE_UNAVAILABLE"), (503, "OUTCOME_UNKNOWN")];
const FULL: &[(u16, &str)] = &[(507, "STORAGE_FULL")];
const CARTS: [Asked; 3] = [Asked::ReadCart, Asked::Add, Asked::Checkout];
const LEDGER: [Asked; 2] = [Asked::Search, Asked::Checkout];

fn engines(dir: &Path) -> Broken {
    tokio::task::block_in_place(|| Engines::of_one(dir.join("engines")))
}

async fn comes(what: &str, is_there: impl Fn() -> bool) {
    let there = async {
        while !tokio::task::block_in_place(&is_there) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(HEALED_WITHIN, there).await.is_ok(), "{what}: never");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_scale_what_needs_an_engine_says_so_while_it_is_gone_and_the_rest_works() {
    let dir = dir();
    let engines = engines(dir.path());
    let mut stage = Stage::set(&engines, dir.path()).await;
    assert_eq!(stage.buy().await, 200);

    for action in ["pause", "kill"] {
        engines.dev(action, &["rabbit"]);
        stage.only_these_fail("no RabbitMQ", &[], &[]).await;
        assert_eq!(stage.buy().await, 200, "orders need no bus");
        engines.dev(if action == "pause" { "resume" } else { "start" }, &["rabbit"]);
    }

    for action in ["pause", "kill"] {
        engines.dev(action, &["postgres-replica"]);
        stage.only_these_fail("no replica of PostgreSQL", &[], &[]).await;
        engines.dev(if action == "pause" { "resume" } else { "start" }, &["postgres-replica"]);
        comes("the replica answers", || engines.has_replica()).await;
    }

    engines.dev("kill", &["postgres-primary"]);
    stage.only_these_fail("no PostgreSQL", &LEDGER, GONE).await;
    engines.dev("start", &["postgres-primary"]);
    stage.heals().await;
    assert_eq!(stage.buy().await, 200);
    engines.dev("pause", &["postgres-primary"]);
    stage.only_these_fail("PostgreSQL hangs", &LEDGER, GONE).await;
    engines.dev("resume", &["postgres-primary"]);
    stage.heals().await;
    let slow = engines.slow(&["postgres-primary"]);
    stage.only_these_fail("PostgreSQL is slow", &[], &[]).await;
    assert!(stage.buys_in_time().await);
    drop(slow);

    let slow = engines.slow(&REDIS);
    let alone = stage.limits_alone().await;
    let decided_alone = async {
        while stage.limits_alone().await == alone {
            stage.only_these_fail("Redis is slow", &[], &[]).await;
            assert!(stage.buys_in_time().await);
        }
    };
    tokio::time::timeout(HEALED_WITHIN, decided_alone).await.expect("nobody waits for limits");
    drop(slow);
    engines.dev("pause", &REDIS);
    // A node believes its copies for a second after it last heard of Redis.
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.only_these_fail("Redis hangs", &CARTS, GONE).await;
    engines.dev("resume", &REDIS);
    stage.heals().await;

    engines.dev("kill", &["redis-1"]);
    stage.heals().await;
    engines.dev("start", &["redis-1"]);
    assert_eq!(stage.buy().await, 200, "a replica has taken over");

    engines.dev("kill", &REDIS);
    stage.only_these_fail("no Redis", &CARTS, GONE).await;
    engines.dev("start", &REDIS);
    stage.heals().await;
    assert_eq!(stage.buy().await, 200);
    assert!(stage.copies().await > 1, "what was acknowledged is in the append-only file");

    stage.shop.kill_one();
    stage.only_these_fail("a node is gone", &[], &[]).await;
    assert_eq!(stage.buy().await, 200);
    let (copies, stage) = (stage.copies().await, stage.with_nodes_again(&engines, dir.path()));
    assert_eq!(stage.copies().await, copies, "nodes have nothing of their own");
    stage.only_these_fail("nodes were restarted", &[], &[]).await;
    assert_eq!(stage.shop.stop(), Some(0));
}

/// A disk of PostgreSQL's primary alone, small enough to fill.
struct SmallDisk(Mounted);

impl SmallDisk {
    fn under(engines: &Engines) -> Result<Self, String> {
        let data = engines.primary();
        let [aside, there] = [data.with_extension("aside"), data].map(|path| path.to_str().expect("text").to_owned());
        engines.dev("kill", &["postgres-primary"]);
        run("mv", &[&there, &aside])?;
        let mounted = Mounted::new(PathBuf::from(&there), &["-t", "tmpfs", "-o", "size=200m", "tmpfs"]);
        run("cp", &["-aT", &aside, &there])?;
        engines.dev("start", &["postgres-primary"]);
        mounted.map(Self)
    }

    fn ballast(&self) -> PathBuf {
        self.0.0.join("ballast")
    }

    fn fill(&self) {
        // It says that there is no more room.
        let to = format!("of={}", self.ballast().display());
        run("dd", &["if=/dev/zero", &to, "bs=8k"]).expect_err("full");
    }

    fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Also while somebody is on it.
        drop(run("umount", &["--lazy", self.0.0.to_str().expect("text")]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_scale_an_engine_without_room_refuses_writes_goes_on_reading_and_heals() {
    let dir = dir();
    let engines = engines(dir.path());
    let disk = tokio::task::block_in_place(|| SmallDisk::under(&engines));
    let stage = Stage::set(&engines, dir.path()).await;
    redis_without_room(&engines, &stage).await;
    rabbit_without_room(&engines, &stage, &name_of(&engines, dir.path())).await;
    match disk {
        Ok(disk) => postgres_without_room(&engines, &stage, &disk).await,
        Err(why) => say(&format!("skipped: no disk of PostgreSQL to fill ({why})")),
    }
    assert_eq!(stage.shop.stop(), Some(0));
}

async fn redis_without_room(engines: &Engines, stage: &Stage) {
    let copies = stage.copies().await;
    engines.redis_all(&["config", "set", "maxmemory", "1"]);
    stage.only_these_fail("Redis has no memory", &[Asked::Add], FULL).await;
    assert_eq!(stage.copies().await, copies, "a refused write has no effect");
    let stranger = stage.shop.client().post("/session", json!({})).await;
    assert_eq!((stranger.status, stranger.code()), (507, "STORAGE_FULL"), "{}", stranger.text);
    engines.redis_all(&["config", "set", "maxmemory", "0"]);
    stage.only_these_fail("Redis has memory again", &[], &[]).await;
    assert_eq!(stage.copies().await, copies + 1);
}

async fn rabbit_without_room(engines: &Engines, stage: &Stage, name: &str) {
    // Nobody asks for events, so they are kept here.
    let told = || -> u64 {
        let queues = engines.rabbitmqctl(&["list_queues", "--no-table-headers", "name", "messages"]);
        let count = queues.lines().find_map(|line| line.strip_prefix(&format!("{name}.unrouted"))?.trim().parse().ok());
        count.unwrap_or_else(|| panic!("no such queue: {queues}"))
    };
    let before = told();
    for [full, roomy] in [
        ["set_vm_memory_high_watermark 0.000001", "set_vm_memory_high_watermark 0.9"],
        ["set_disk_free_limit 100000000000000", "set_disk_free_limit 50000000"],
    ] {
        let control = |command: &str| drop(tokio::task::block_in_place(|| engines.rabbitmqctl(&command.split(' ').collect::<Vec<_>>())));
        control(full);
        stage.only_these_fail(full, &[], &[]).await;
        assert_eq!(stage.buy().await, 200, "orders need no bus");
        control(roomy);
    }
    comes("what waited goes out", || told() >= before + 2 * EVENTS_OF_A_PURCHASE).await;
}

async fn postgres_without_room(engines: &Engines, stage: &Stage, disk: &SmallDisk) {
    // The log has a file of its own size before there is no more room, and data has none.
    engines.sql("CHECKPOINT; SELECT pg_switch_wal(); SELECT pg_logical_emit_message(true, 'a', 'b')").expect("done");
    tokio::task::block_in_place(|| disk.fill());
    let mut bought = 0;
    let refused = loop {
        match stage.try_buy().await {
            Ok(()) => bought += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused.status, refused.code()), (507, "STORAGE_FULL"), "after {bought} orders: {}", refused.text);
    for what in [Asked::Search, Asked::ReadCart, Asked::Add, Asked::ListOrders] {
        let answer = stage.ask(what).await;
        assert!(answer.status < 300, "{what:?}: {} {}", answer.status, answer.text);
    }
    disk.make_room();
    assert_eq!(stage.buy().await, 200, "by itself");

    // Without room for its log the server ends, and does not come up before there is some.
    tokio::task::block_in_place(|| {
        disk.fill();
        while engines.sql("SELECT pg_logical_emit_message(true, 'a', repeat('b', 1000000))").is_some() {}
        assert_eq!(engines.sql("SELECT 1"), None);
    });
    stage.only_these_fail("PostgreSQL has no room for its log", &LEDGER, GONE).await;
    disk.make_room();
    engines.dev("start", &["postgres-primary"]);
    stage.heals().await;
    assert_eq!(stage.buy().await, 200);
}

impl Stage {
    /// Buys one copy; or what was said instead.
    async fn try_buy(&self) -> Result<(), Answer> {
        let guest = self.shop.guest().await;
        guest.cart(json!([{ "productId": self.book, "quantity": 1 }])).await;
        let details = json!({ "email": "ada@example.com", "shippingAddress": address() });
        let checkout = guest.post_once("/checkout/session", &key(), &details).await;
        if checkout.status >= 300 {
            return Err(checkout);
        }
        let paid = guest.process(&checkout.body, "tok_visa", &key()).await;
        if paid.status == 200 { Ok(()) } else { Err(paid) }
    }

    /// The same request until it has been done.
    async fn persist(&self, client: &Client, path: &str, body: &Value) -> Value {
        let key = key();
        let done = async {
            loop {
                match client.send(Method::POST, path, &[("idempotency-key", &key)], body.to_string()).await {
                    Ok(answer) if answer.status < 300 && answer.status != 202 => return answer.body,
                    Ok(answer) if answer.status >= 500 || answer.status == 202 || answer.code() == "IDEMPOTENCY_IN_FLIGHT" => {}
                    Ok(answer) => panic!("{path}: {} {}", answer.status, answer.text),
                    Err(_) => {}
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(HEALED_WITHIN, done).await.expect("an answer")
    }

    /// Buys one copy after the other until so many have been bought by all; the orders.
    async fn keep_buying(&self, bought: &AtomicUsize, enough: &AtomicUsize) -> Vec<(Client, String)> {
        let mut orders = Vec::new();
        while bought.load(Ordering::SeqCst) < enough.load(Ordering::SeqCst) {
            let guest = self.shop.guest().await;
            self.persist(&guest, "/cart", &json!({ "items": [{ "productId": self.book, "quantity": 1 }] })).await;
            let details = json!({ "email": "ada@example.com", "shippingAddress": address() });
            let checkout = self.persist(&guest, "/checkout/session", &details).await;
            let pay = json!({ "sessionId": checkout["id"], "paymentToken": "tok_visa", "expectedTotal": checkout["totals"]["total"] });
            let paid = self.persist(&guest, "/checkout/process", &pay).await;
            orders.push((guest, paid["order"]["id"].as_str().expect("an order").to_owned()));
            bought.fetch_add(1, Ordering::SeqCst);
        }
        orders
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_scale_when_the_replica_of_postgresql_takes_over_every_order_is_there_once() {
    let dir = dir();
    let engines = engines(dir.path());
    let stage = Stage::set(&engines, dir.path()).await;
    // A commit is answered when the replica has it too.
    engines.sql("ALTER SYSTEM SET synchronous_standby_names = '*'").expect("set");
    engines.sql("SELECT pg_reload_conf()").expect("reloaded");
    comes("replication is synchronous", || engines.sql("SELECT sync_state FROM pg_stat_replication").as_deref() == Some("sync")).await;

    let (bought, enough) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    let failover = async {
        while bought.load(Ordering::SeqCst) < 8 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::task::block_in_place(|| engines.promote());
        enough.store(bought.load(Ordering::SeqCst) + 8, Ordering::SeqCst);
    };
    let buying = || stage.keep_buying(&bought, &enough);
    let (a, b, c, d, ()) = tokio::join!(buying(), buying(), buying(), buying(), failover);
    let orders = [a, b, c, d].concat();
    for (guest, id) in &orders {
        assert_eq!(guest.get(&format!("/orders/{id}")).await.expect(200)["paymentStatus"], "captured", "{id}");
    }
    stage.heals().await;
    let listed = stage.admin.get("/orders?limit=100").await.expect(200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(orders.len()), "nothing is there twice");
    assert_eq!(captured(dir.path()), orders.len(), "charges");
    let path = format!("/books/{}/editions/{}/stock", stage.book, stage.edition);
    let stock = stage.admin.post(&path, json!({ "delta": 0, "reason": "look" })).await.expect(200);
    assert_eq!((&stock["onHand"], &stock["reserved"]), (&json!(100_000 - orders.len()), &json!(0)));
    assert_eq!(stage.shop.stop(), Some(0));
}

/// How many charges the provider has taken.
fn captured(dir: &Path) -> usize {
    let text = std::fs::read_to_string(dir.join("payment-simulator.jsonl")).expect("a journal");
    text.lines().filter(|line| line.contains("\"captured\"")).count()
}
