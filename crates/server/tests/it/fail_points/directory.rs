//! One process dies, in one directory; its clients never come back: whoever retries heals what they are looking for.

use super::story::{Cast, Hand, Kept, Told, act, heal, journal, look, rules, variables};
use super::{Case, Died, LATER, LOOPS, met_in};
use crate::column::Column;
use crate::crashes::sequences;
use crate::shop::{Shop, command, dir};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;

/// Later than a recovery that began [`LATER`].
const LATER_STILL: (&str, &str) = ("FAIL_POINTS_LATE_S", "1320");

/// A directory to begin from, copied for each run.
pub struct Stage {
    dir: TempDir,
    cast: Cast,
}

impl Stage {
    pub async fn set(scenario: &'static str) -> Self {
        let dir = dir();
        let rules = rules(dir.path());
        let mut first = variables(scenario);
        first.push(("CARTWRIGHT_PRICING__RULES", &rules));
        let shop = Shop::start(dir.path(), &first);
        let cast = Cast::new(&shop.client(), dir.path(), scenario, 0).await;
        assert_eq!(shop.stop(), Some(0));
        if scenario == "expiry" {
            let shop = Shop::start(dir.path(), &[("CARTWRIGHT_CART__TTL", "1ms")]);
            shop.guest().await.cart(json!([{ "productId": cast.book, "quantity": 1 }])).await;
            shop.kill();
        }
        Self { dir, cast }
    }

    fn copy(&self) -> TempDir {
        let copy = dir();
        for entry in std::fs::read_dir(self.dir.path()).expect("a directory") {
            let entry = entry.expect("an entry");
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copied");
        }
        copy
    }

    fn start(&self, dir: &Path, more: &[(&str, &str)]) -> Result<Shop, String> {
        let mut all = variables(self.cast.scenario);
        all.extend_from_slice(more);
        tokio::task::block_in_place(|| Shop::try_start(dir, &all))
    }

    /// What is left is what was told, and everything balances.
    async fn look(&self, shop: &Shop, dir: &Path, told: &Told) {
        let kept = Kept::of(Column::Embedded, dir).await;
        assert_eq!(journal(dir), look(&self.cast, &shop.client(), &kept, told).await, "money");
        for (subject, numbers) in sequences(dir) {
            assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{subject}: every event, in order, once");
        }
    }

    pub async fn run(&self, case: &Case) -> Died {
        let dir = self.copy();
        let mut told = Told::default();
        let mut died = Died { once: true, again: false };
        // A process that dies while it starts was never there.
        if let Ok(mut shop) = self.start(dir.path(), &[("FAIL_POINT", &case.at)]) {
            let mut hand = Hand { client: shop.client(), others: None };
            drop(act(&self.cast, &mut hand, &mut told).await);
            // The loops may still get there, or the end.
            if shop.ended_within(LOOPS).await.is_none() {
                died.once = shop.stop() != Some(0);
            }
        }
        if let Some(again) = &case.again
            && let Ok(mut shop) = self.start(dir.path(), &[LATER, ("FAIL_POINT", again)])
        {
            died.again = shop.ended_within(LOOPS).await.is_some();
            shop.kill();
        }
        let shop = self.start(dir.path(), &[LATER_STILL]).expect("the store gets ready");
        heal(Column::Embedded, dir.path()).await;
        self.look(&shop, dir.path(), &told).await;
        assert_eq!(shop.stop(), Some(0));
        let checked = command(dir.path()).arg("check").output().expect("check runs");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        died
    }

    /// Where a whole run passes, and how often.
    pub async fn places(&self) -> BTreeMap<String, u32> {
        let dir = self.copy();
        let met = dir.path().join("met");
        let shop = self.start(dir.path(), &[("FAIL_POINTS_MET", met.to_str().expect("text"))]).expect("ready");
        let (mut told, mut hand) = (Told::default(), Hand { client: shop.client(), others: None });
        act(&self.cast, &mut hand, &mut told).await.expect("nobody dies");
        heal(Column::Embedded, dir.path()).await;
        self.look(&shop, dir.path(), &told).await;
        assert_eq!(shop.stop(), Some(0));
        met_in(&met)
    }
}
