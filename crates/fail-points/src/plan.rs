//! What a test has asked this process for.

use crate::Side;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

static PLAN: LazyLock<Plan> = LazyLock::new(Plan::asked);

struct Plan {
    die: Option<Death>,
    met: Option<File>,
    late: Duration,
    seen: Mutex<BTreeMap<(String, Side), u32>>,
}

struct Death {
    name: String,
    side: Side,
    /// Which passage is the last, from 1.
    turn: u32,
}

impl Plan {
    fn asked() -> Self {
        let die = variable("FAIL_POINT").map(|text| Death::parse(&text).expect("invariant: FAIL_POINT is name:before|after:turn"));
        let met = variable("FAIL_POINTS_MET").map(|path| {
            let file = File::options().create(true).append(true).open(path);
            file.expect("invariant: FAIL_POINTS_MET can be written")
        });
        let late = variable("FAIL_POINTS_LATE_S").map_or(0, |text| text.parse().expect("invariant: FAIL_POINTS_LATE_S is a number"));
        Self { die, met, late: Duration::from_secs(late), seen: Mutex::default() }
    }

    /// Which passage of this side of this place it is; of any place that changes something for `*`.
    fn turn(&self, name: &str, side: Side) -> u32 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = seen.entry((name.to_owned(), side)).or_default();
        *turn += 1;
        *turn
    }
}

impl Death {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let name = parts.next()?.to_owned();
        let side = match parts.next()? {
            "before" => Side::Before,
            "after" => Side::After,
            _ => return None,
        };
        Some(Self { name, side, turn: parts.next()?.parse().ok()? })
    }
}

#[expect(clippy::disallowed_methods, reason = "asked for by a test that starts the process, not by its configuration")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Nobody has asked for anything.
pub fn is_idle() -> bool {
    PLAN.die.is_none() && PLAN.met.is_none() && PLAN.late.is_zero()
}

pub fn late() -> Duration {
    PLAN.late
}

pub fn reach(name: &str, side: Side) {
    if let Some(mut met) = PLAN.met.as_ref() {
        let line = format!("{name}:{}\n", if side == Side::Before { "before" } else { "after" });
        met.write_all(line.as_bytes()).expect("invariant: FAIL_POINTS_MET can be written");
    }
    let Some(death) = &PLAN.die else { return };
    let any = death.name == "*" && !name.ends_with('?');
    let counted = if any { "*" } else { name };
    if death.side == side && death.name == counted && PLAN.turn(counted, side) == death.turn {
        // As a kill -9 would: no destructor, no flush, no farewell.
        std::process::abort();
    }
}
