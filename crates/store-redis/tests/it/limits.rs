//! Limits that nodes share: what they promise, that they agree with those each node has, and what becomes of them
//! while Redis does not answer.

use crate::servers::{Server, pause};
use app::ports::{Clock, FailuresMax, PortError, Quota, Room, SharedLimits, Spent, Ticket};
use async_trait::async_trait;
use governor::RateLimiter;
use governor::clock::{Clock as _, FakeRelativeClock};
use governor::middleware::StateInformationMiddleware;
use memory::{ManualClock, MemoryLimits};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use redis::Connection;
use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use store_redis::{RedisLimits, RedisSettings};

/// Longer than this machine ever takes.
const PATIENT: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);

/// Limits with a server of their own.
#[derive(Debug)]
struct OnOwnServer {
    limits: RedisLimits,
    _server: Server,
}

#[async_trait]
impl SharedLimits for OnOwnServer {
    async fn spend(&self, key: &str, quota: Quota) -> Result<Spent, PortError> {
        self.limits.spend(key, quota).await
    }

    async fn admit(&self, key: &str, ticket: Ticket, max: FailuresMax, keep: Duration) -> Result<Room, PortError> {
        self.limits.admit(key, ticket, max, keep).await
    }

    async fn settle(&self, key: &str, ticket: Option<Ticket>, failed: Option<Ticket>, window: Duration) -> Result<(), PortError> {
        self.limits.settle(key, ticket, failed, window).await
    }
}

async fn limits() -> Arc<dyn SharedLimits> {
    let server = Server::start(&[]);
    Arc::new(OnOwnServer { limits: node(server.settings(), PATIENT).await, _server: server })
}

conformance::limits!(limits().await);

async fn node(settings: RedisSettings, within: Duration) -> RedisLimits {
    RedisLimits::connect(settings, within).await.expect("limits")
}

fn quota(amount: u32, span: Duration) -> Quota {
    Quota { amount: NonZeroU32::new(amount).expect("an amount"), span }
}

#[tokio::test]
async fn three_nodes_share_one_budget() {
    let server = Server::start(&[]);
    let mut allowed = 0;
    let nodes = [node(server.settings(), PATIENT).await, node(server.settings(), PATIENT).await, node(server.settings(), PATIENT).await];
    for turn in 0..30 {
        let spent = nodes[turn % 3].spend("cart:ada", quota(10, HOUR)).await.expect("an answer");
        allowed += usize::from(spent.wait.is_none());
    }
    assert_eq!(allowed, 10);
    let elsewhere = RedisSettings { prefix: "other:".to_owned(), ..server.settings() };
    assert_eq!(node(elsewhere, PATIENT).await.spend("cart:ada", quota(10, HOUR)).await.expect("an answer").left, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_left_alone_and_asked_again_when_it_is_back() {
    let server = Server::start(&[]);
    let (hasty, patient) = (node(server.settings(), Duration::from_millis(20)).await, node(server.settings(), PATIENT).await);
    patient.spend("a", quota(1000, HOUR)).await.expect("an answer");
    server.signal("STOP");
    // Each of a thousand would wait for twenty milliseconds if it asked.
    for _ in 0..1000 {
        hasty.spend("a", quota(1000, HOUR)).await.expect_err("nobody answers");
    }
    server.signal("CONT");
    let mut back = hasty.spend("a", quota(1000, HOUR)).await;
    while back.is_err() {
        pause(Duration::from_millis(20));
        back = hasty.spend("a", quota(1000, HOUR)).await;
    }
    // What was asked meanwhile and not waited for may have been counted: three before nobody asked.
    let left = patient.spend("a", quota(1000, HOUR)).await.expect("an answer").left;
    assert!((990..998).contains(&left), "{left}");
}

#[tokio::test]
async fn budgets_that_are_whole_again_and_failures_that_are_over_take_no_room() {
    let server = Server::start(&[]);
    let limits = node(server.settings(), PATIENT).await;
    let max = FailuresMax { amount: 3, window: HOUR };
    limits.spend("a", quota(1, HOUR)).await.expect("an answer");
    limits.admit("a", [1; 16], max, HOUR).await.expect("an answer");
    limits.settle("a", None, Some([2; 16]), HOUR).await.expect("an answer");
    let mut redis = connection(&server);
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut redis).expect("keys");
    assert_eq!(keys.len(), 3, "{keys:?}");
    for key in keys {
        let keep: i64 = redis::cmd("PTTL").arg(&key).query(&mut redis).expect("a time");
        // Up to the next whole millisecond.
        assert!((1..=3_600_001).contains(&keep), "{key}: {keep}");
    }
}

fn connection(server: &Server) -> Connection {
    redis::Client::open(server.url()).and_then(|client| client.get_connection()).expect("a connection")
}

/// The full name of a function on the server.
fn function(redis: &mut Connection, name: &str) -> String {
    let listed: redis::Value = redis::cmd("FUNCTION").arg("LIST").query(redis).expect("functions");
    let listed = format!("{listed:?}");
    let start = listed.find(name).expect("the function");
    listed[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// A budget of each kind, and one who spends from them all.
struct Three {
    own: RateLimiter<u8, governor::state::keyed::DashMapStateStore<u8>, FakeRelativeClock, StateInformationMiddleware>,
    own_clock: FakeRelativeClock,
    memory: MemoryLimits,
    clock: ManualClock,
    key: String,
    quota: Quota,
}

impl Three {
    fn new(quota: Quota, key: String) -> Self {
        let own_clock = FakeRelativeClock::default();
        let pace = governor::Quota::with_period(quota.span / quota.amount.get()).expect("a span").allow_burst(quota.amount);
        let own = RateLimiter::dashmap_with_clock(pace, own_clock.clone()).with_middleware();
        let clock = ManualClock::new();
        Self { own, own_clock, memory: MemoryLimits::new(Arc::new(clock.clone())), clock, key, quota }
    }

    async fn spend(&self, redis: &mut Connection, function: &str, start: u64) -> [Spent; 3] {
        let own = match self.own.check_key(&1) {
            Ok(state) => Spent { left: state.remaining_burst_capacity(), wait: None },
            Err(until) => Spent { left: 0, wait: Some(until.wait_time_from(self.own_clock.now())) },
        };
        let passed = ManualClock::START.until(self.clock.now());
        let now = start + u64::try_from(passed.as_micros()).expect("a time");
        let share = self.quota.span / self.quota.amount.get();
        let mut call = redis::cmd("FCALL");
        call.arg(function).arg(1).arg(&self.key).arg(share.as_micros().to_string()).arg(self.quota.amount.get()).arg(now);
        let (left, wait): (u32, u64) = call.query(redis).expect("an answer");
        let redis = Spent { left, wait: Some(Duration::from_micros(wait)).filter(|wait| !wait.is_zero()) };
        [own, self.memory.spend("a", self.quota).await.expect("an answer"), redis]
    }
}

/// The same rules hold for a node alone, for nodes together, and for the reference.
#[test]
fn a_node_alone_and_all_together_decide_alike() {
    let server = Server::start(&[]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async { node(server.settings(), PATIENT).await });
    let mut redis = connection(&server);
    let spend = function(&mut redis, "cw_spend");
    let (now, _): (u64, u64) = redis::cmd("TIME").query(&mut redis).expect("a time");
    // Later than now, so that no key runs out meanwhile.
    let start = (now + 86_400) * 1_000_000;
    let (run, redis) = (Cell::new(0), RefCell::new(redis));
    let steps = prop::collection::vec(prop_oneof![3 => Just(0_u64), 2 => 1..3_000_u64, 1 => 3_000..70_000_u64], 1..60);
    TestRunner::default()
        .run(&(prop_oneof![Just(1_u32), Just(3), Just(10), Just(60)], steps), |(amount, steps)| {
            run.set(run.get() + 1);
            let three = Three::new(quota(amount, Duration::from_secs(60)), format!("limit:{}", run.get()));
            for step in steps {
                let step = Duration::from_millis(step);
                three.own_clock.advance(step);
                three.clock.advance(step);
                let [own, memory, shared] = runtime.block_on(three.spend(&mut redis.borrow_mut(), &spend, start));
                prop_assert_eq!((own, memory), (shared, shared));
            }
            Ok(())
        })
        .expect("they agree");
}
