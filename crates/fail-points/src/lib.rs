//! Places where a process dies on purpose, so that a test can show what a crash there leaves behind.
//!
//! Every port call and every commit of the store is such a place, named `port.method` (`port.method?` when it
//! only reads) and `store.port`, each with two sides: before and after. Without the feature `armed`, which the
//! tests of `server` alone turn on, nothing of it is compiled. With it, nothing happens until asked for:
//!
//! | variable | meaning |
//! |---|---|
//! | `FAIL_POINT=ledger.commit:after:3` | abort when the third commit has come back; `*` is any place that changes something |
//! | `FAIL_POINTS_MET=FILE` | write down every place as it is met |
//! | `FAIL_POINTS_LATE_S=660` | live this many seconds later: what a lease or a reservation holds has run out |

#[cfg(feature = "armed")]
mod around;
#[cfg(feature = "armed")]
mod plan;

use app::Ports;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Before,
    After,
}

/// Puts a place on both sides of every call of every port, when a test has asked for one.
#[cfg(feature = "armed")]
pub fn around(ports: Ports) -> Ports {
    if plan::is_idle() { ports } else { around::all(ports) }
}

/// The ports as they are.
#[cfg(not(feature = "armed"))]
pub fn around(ports: Ports) -> Ports {
    ports
}

/// A process asked to die at one of these places dies here.
#[cfg(feature = "armed")]
pub fn reach<N: IntoIterator<Item = &'static str>>(place: &str, side: Side, names: impl FnOnce() -> N) {
    if !plan::is_idle() {
        names().into_iter().for_each(|name| plan::reach(&format!("{place}.{name}"), side));
    }
}

/// Nothing.
#[cfg(not(feature = "armed"))]
#[inline(always)]
pub fn reach<N: IntoIterator<Item = &'static str>>(_: &str, _: Side, _: impl FnOnce() -> N) {}
