//! A process dies at every place where it calls a port or commits: before and after, once and again while it recovers. Each time a
//! reader looks at what is left, after the store has healed by itself.
//!
//! `cargo nextest run -p server fail_points` takes a sample; `FAIL_POINTS=all` takes them all and prints where a process can die;
//! `FAIL_POINTS_SCENARIO` names one scenario.

mod directory;
mod nodes;
mod story;

pub use story::{heal, journal};

use crate::column::Column;
use directory::Stage;
use futures_util::stream::{StreamExt, iter};
use nodes::Trio;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a client does while it is waiting to happen.
const SCENARIOS: [&str; 9] = ["purchase", "decline", "challenge", "capture fails", "no answer", "cancel", "refund", "expiry", "merge"];
/// Changes of a recovery at which a process dies again: six on each side.
const DEATHS_AGAIN: usize = 12;
/// Stores that run at once.
const AT_ONCE: usize = 4;
/// How long the loops have to get to where a process dies.
const LOOPS: Duration = Duration::from_millis(400);
/// Leases and reservations have run out when the store is started again, and again after that.
pub const LATER: (&str, &str) = ("FAIL_POINTS_LATE_S", "660");

/// Where a process dies, and at which of the changes of its recovery it dies again.
#[derive(Clone, Debug)]
struct Case {
    at: String,
    again: Option<String>,
}

/// What became of a case: whether the process died where it should, and again.
#[derive(Clone, Copy, Default)]
struct Died {
    once: bool,
    again: bool,
}

fn met_in(file: &Path) -> BTreeMap<String, u32> {
    let mut places = BTreeMap::new();
    for place in std::fs::read_to_string(file).expect("a list").lines() {
        *places.entry(place.to_owned()).or_insert(0) += 1;
    }
    places
}

/// Every passage of every place that changes something, and the first of every place that reads.
fn passages(places: &BTreeMap<String, u32>) -> Vec<String> {
    let turns = |place: &str, n: u32| if place.contains('?') { 1 } else { n };
    places.iter().flat_map(|(place, n)| (1..=turns(place, *n)).map(move |turn| format!("{place}:{turn}"))).collect()
}

crate::on_both! { a_process_that_dies_anywhere_loses_nothing_it_told_and_leaves_nothing_half_done }

async fn a_process_that_dies_anywhere_loses_nothing_it_told_and_leaves_nothing_half_done(column: Column) {
    let only = std::env::var("FAIL_POINTS_SCENARIO").ok();
    let scenarios = SCENARIOS.into_iter().filter(|s| only.as_deref().is_none_or(|only| only == *s));
    let runs = match column {
        Column::Embedded => in_one_directory(scenarios).await,
        Column::AtScale => on_three_nodes(scenarios).await,
    };
    for (scenario, case, died) in &runs {
        // The loops run by the clock: they may come by less often than the last time.
        let by_the_clock = ["outbox", "bus", "?"].iter().any(|loops| case.at.contains(loops));
        assert!(died.once || by_the_clock, "{scenario}: nobody died at {case:?}");
    }
    let (once, again) = (runs.iter().filter(|run| run.2.once).count(), runs.iter().filter(|run| run.2.again).count());
    say(&format!("{} runs: {once} died where asked, {again} died again while recovering", runs.len()));
}

async fn in_one_directory(scenarios: impl Iterator<Item = &'static str>) -> Vec<(&'static str, Case, Died)> {
    let (mut known, mut all) = (BTreeSet::new(), Vec::new());
    for scenario in scenarios {
        let stage = Stage::set(scenario).await;
        let chosen = choose(Column::Embedded, scenario, &stage.places().await, &mut known);
        let stage = Arc::new(stage);
        // Tasks of their own: one that waits for a start must not keep the others from their connections, which the
        // store does not hold open for long.
        let runs = iter(chosen).map(|case| {
            let (stage, at) = (Arc::clone(&stage), case.clone());
            let run = tokio::spawn(async move { stage.run(&at).await });
            async move { (scenario, case.clone(), run.await.unwrap_or_else(|why| panic!("{scenario}: {case:?}: {why}"))) }
        });
        all.extend(runs.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);
    }
    all
}

async fn on_three_nodes(scenarios: impl Iterator<Item = &'static str>) -> Vec<(&'static str, Case, Died)> {
    let (mut trio, mut known, mut all) = (Trio::start(), BTreeSet::new(), Vec::new());
    let mut chosen = Vec::new();
    for scenario in scenarios {
        let cases = choose(Column::AtScale, scenario, &trio.places(scenario).await, &mut known);
        chosen.extend(cases.into_iter().map(|case| (scenario, case)));
    }
    for (scenario, case) in chosen {
        let died = trio.run(scenario, &case).await;
        all.push((scenario, case, died));
    }
    trio.settle().await;
    all
}

/// All passages, each alone and with deaths at several changes of the recovery (at scale at one, another each time). Or a sample: alone
/// and again by turns, every commit and every payment of every scenario, everything else where it is met first (at scale each change
/// of a cart, the ledger, a payment or the bus, where it is met first).
fn choose(column: Column, scenario: &str, places: &BTreeMap<String, u32>, known: &mut BTreeSet<String>) -> Vec<Case> {
    say(&format!("{scenario}: {}", places.iter().map(|(p, n)| format!("{p} {n}")).collect::<Vec<_>>().join(", ")));
    let passages = passages(places);
    let twice = |at: &str, n: usize| {
        let (n, at) = (n % DEATHS_AGAIN, at.to_owned());
        let side = if n.is_multiple_of(2) { "before" } else { "after" };
        Case { at, again: Some(format!("*:{side}:{}", 1 + n / 2)) }
    };
    let alone = |at: &str| Case { at: at.to_owned(), again: None };
    if std::env::var("FAIL_POINTS").is_ok_and(|v| v == "all") {
        let again = |n: usize| if column == Column::Embedded { 0..DEATHS_AGAIN } else { n..n + 1 };
        let cases = |(n, at): (usize, &String)| std::iter::once(alone(at)).chain(again(n).map(|n| twice(at, n))).collect::<Vec<_>>();
        return passages.iter().enumerate().flat_map(cases).collect();
    }
    let place = |at: &str| at.rsplit_once(':').map_or(at, |(place, _)| place).to_owned();
    let any = |at: &str, of: &[&str]| of.iter().any(|place| at.starts_with(place));
    let wanted = |at: &&String| match column {
        Column::Embedded => any(at, &["store.ledger", "store.carts", "payments."]) | known.insert(place(at)),
        Column::AtScale if at.contains('?') => false,
        Column::AtScale => any(at, &["ledger.commit", "carts.save", "payments.", "bus.", "outbox.delivered"]) && known.insert(place(at)),
    };
    let sample: Vec<_> = passages.iter().filter(wanted).collect();
    sample.into_iter().enumerate().map(|(n, at)| if n % 2 == 0 { alone(at) } else { twice(at, n / 2) }).collect()
}

#[expect(clippy::print_stderr, reason = "where a process can die is what the run is about")]
fn say(text: &str) {
    eprintln!("{text}");
}
