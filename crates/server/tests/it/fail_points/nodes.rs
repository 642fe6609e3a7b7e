//! One node of three dies; its clients go on at whoever is left, with the same keys, as clients of a balancer do. It is the only one
//! that works beside the requests, so that it is the one that dies of that too; what a dead one held for six seconds is free at once.

use super::story::{Cast, Hand, Kept, PAUSE, Told, act, heal, journal, look, rules, variables};
use super::{Case, Died, LATER, LOOPS, met_in};
use crate::column::Column;
use crate::scale::{self, engines, try_start};
use crate::shop::{Client, Shop, binary, command, dir};
use futures_util::FutureExt;
use serde_json::json;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use tempfile::TempDir;

/// The first node alone works beside the requests.
const WORKS: (&str, &str) = ("CARTWRIGHT_ROLES", "edge,worker");

/// Three nodes, of which the first one dies and the others go on.
pub struct Trio {
    dir: TempDir,
    shop: Shop,
    /// Everybody so far, what was done to them, and what they were told.
    runs: Vec<(Cast, String, Told)>,
}

impl Trio {
    pub fn start() -> Self {
        let dir = dir();
        let rules = rules(dir.path());
        let mut all = variables("");
        let edges = ("CARTWRIGHT_ROLES", "edge");
        all.extend([edges, ("CARTWRIGHT_PRICING__RULES", rules.as_str()), ("CARTWRIGHT_STORE__POSTGRES_READ_URL", "")]);
        let mut shop = tokio::task::block_in_place(|| try_start(engines(), &binary(), dir.path(), &all)).expect("ready");
        shop.kill_node(0);
        Self { dir, shop, runs: Vec::new() }
    }

    fn at(&self, node: usize) -> Client {
        self.shop.client().at(&self.shop.nodes()[node])
    }

    async fn cast(&mut self, scenario: &'static str) -> Cast {
        let cast = Cast::new(&self.at(1), self.dir.path(), scenario, self.runs.len()).await;
        if scenario == "expiry" {
            self.start_first(scenario, &[("CARTWRIGHT_ROLES", "edge"), ("CARTWRIGHT_CART__TTL", "1ms")]).expect("ready");
            self.at(0).guest().await.cart(json!([{ "productId": cast.book, "quantity": 1 }])).await;
            self.shop.kill_node(0);
        }
        cast
    }

    /// Starts the first node, the only one that works beside the requests.
    fn start_first(&mut self, scenario: &str, more: &[(&str, &str)]) -> Result<(), String> {
        let mut told = variables(scenario);
        told.push(WORKS);
        told.extend_from_slice(more);
        tokio::task::block_in_place(|| {
            scale::leases_run_out(engines(), self.dir.path());
            self.shop.start_node(0, &told)
        })
    }

    pub async fn run(&mut self, scenario: &'static str, case: &Case) -> Died {
        let (cast, mut told) = (self.cast(scenario).await, Told::default());
        let at_first = self.start_first(scenario, &[("FAIL_POINT", &case.at)]).is_ok();
        let client = if at_first { self.at(0) } else { self.shop.client() };
        let died = Died { once: !at_first, again: false };
        let Self { dir, shop, .. } = self;
        let others = Others { dir: dir.path(), shop, scenario, again: case.again.as_deref(), at_first, died };
        let mut hand = Hand { client, others: Some(others) };
        let acted = AssertUnwindSafe(act(&cast, &mut hand, &mut told)).catch_unwind().await;
        acted.unwrap_or_else(|_| panic!("{scenario}: {case:?}")).expect("somebody answers");
        let mut others = hand.others.expect("there are some");
        // The loops may still get there.
        while others.at_first && others.shop.ended_within(LOOPS).await.is_some() && others.is_there_again().await {}
        let died = others.died;
        self.shop.kill_node(0);
        self.runs.push((cast, format!("{case:?}"), told));
        died
    }

    /// Where a whole run passes, and how often.
    pub async fn places(&mut self, scenario: &'static str) -> BTreeMap<String, u32> {
        let met = self.dir.path().join(format!("met-{scenario}"));
        let (cast, mut told) = (self.cast(scenario).await, Told::default());
        self.start_first(scenario, &[("FAIL_POINTS_MET", met.to_str().expect("text"))]).expect("ready");
        let mut hand = Hand { client: self.at(0), others: None };
        act(&cast, &mut hand, &mut told).await.expect("nobody dies");
        heal(Column::AtScale, self.dir.path()).await;
        self.shop.kill_node(0);
        self.runs.push((cast, "nobody dies".to_owned(), told));
        met_in(&met)
    }

    /// Lets the store heal by itself, a while later, and looks at what everybody has and knows.
    pub async fn settle(mut self) {
        self.start_first("", &[LATER]).expect("ready");
        heal(Column::AtScale, self.dir.path()).await;
        let kept = Kept::of(Column::AtScale, self.dir.path()).await;
        let mut heard = scale::events(engines(), self.dir.path()).await;
        let (mut paid, client) = (0, self.at(1));
        for (cast, what, told) in &self.runs {
            let looked = AssertUnwindSafe(look(cast, &client, &kept, told)).catch_unwind().await;
            paid += looked.unwrap_or_else(|_| panic!("{}: {what}", cast.scenario));
            let subjects = [Some(&cast.cart), told.checkout.as_ref(), told.order.as_ref()];
            assert!(subjects.into_iter().flatten().all(|subject| heard.contains_key(subject)), "{}: {what}: not heard of", cast.scenario);
        }
        assert_eq!(journal(self.dir.path()), paid, "money");
        for (subject, numbers) in &mut heard {
            // What was published by one that died before it wrote that down is published again.
            let mut last = 0;
            numbers.retain(|n| {
                *n > last && {
                    last = *n;
                    true
                }
            });
            assert_eq!(*numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{subject}: every event, in order");
        }
        let variables = scale::variables(engines(), self.dir.path());
        let mut check = command(self.dir.path());
        let checked =
            check.envs(variables).env("CARTWRIGHT_PAYMENTS__URL", "http://127.0.0.1:1").arg("check").output().expect("check runs");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

/// Where clients at scale go on: at the first node when it is there again, then at those that are left.
pub struct Others<'a> {
    dir: &'a Path,
    shop: &'a mut Shop,
    scenario: &'static str,
    again: Option<&'a str>,
    at_first: bool,
    died: Died,
}

impl Others<'_> {
    /// Who is asked next: the same one once more, while it lives.
    pub async fn next(&mut self, asked: &mut Client) {
        tokio::time::sleep(PAUSE).await;
        if self.at_first && self.shop.ended_within(LOOPS).await.is_some() && !self.is_there_again().await {
            self.at_first = false;
            *asked = self.shop.client();
        }
    }

    /// The first node has died: whether it is there again, to die once more while it recovers.
    async fn is_there_again(&mut self) -> bool {
        self.died.again = self.died.once;
        self.died.once = true;
        let Some(again) = self.again.take() else { return false };
        let mut told = variables(self.scenario);
        told.extend([WORKS, LATER, ("FAIL_POINT", again)]);
        let started = tokio::task::block_in_place(|| {
            scale::leases_run_out(engines(), self.dir);
            self.shop.start_node(0, &told)
        });
        self.died.again = started.is_err();
        started.is_ok()
    }
}
