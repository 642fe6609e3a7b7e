//! What the log hears of a provider that fails. Every payment fails while it is away, and each of its tries: so a kind of
//! failure is told when it begins, and then now and then with how many there were.

use crate::ports::{PortError, PortErrorKind};
use domain::limits::FAILURES_TOLD_EVERY;
use domain::time::Timestamp;
use std::sync::{Mutex, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<Vec<Told>>);

#[derive(Debug)]
struct Told {
    kind: PortErrorKind,
    at: Timestamp,
    /// Failures of this kind that were not told since.
    left_out: u64,
}

impl Failures {
    /// Tells the log, unless it has heard of such a failure lately.
    pub fn tell(&self, error: &PortError, now: Timestamp) {
        let Some(left_out) = self.left_out(error.kind, now) else { return };
        match error.kind {
            PortErrorKind::Corrupt => tracing::error!(%error, left_out, "payment provider"),
            PortErrorKind::Unavailable | PortErrorKind::Timeout | PortErrorKind::Full => {
                tracing::warn!(%error, left_out, "payment provider");
            }
        }
    }

    /// How many failures of this kind were left out before this one; nothing when this one is left out too.
    fn left_out(&self, kind: PortErrorKind, now: Timestamp) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(told) = kinds.iter_mut().find(|told| told.kind == kind) else {
            kinds.push(Told { kind, at: now, left_out: 0 });
            return Some(0);
        };
        if told.at.until(now) < FAILURES_TOLD_EVERY {
            told.left_out += 1;
            return None;
        }
        told.at = now;
        Some(std::mem::take(&mut told.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PortErrorKind::{Timeout, Unavailable};
    use std::time::Duration;

    #[test]
    fn a_kind_of_failure_is_told_when_it_begins_and_then_once_in_a_while_with_those_left_out() {
        let failures = Failures::default();
        let every = FAILURES_TOLD_EVERY.as_secs();
        for (seconds, kind, told) in [
            (0, Unavailable, Some(0)),
            (0, Unavailable, None),
            (1, Timeout, Some(0)),
            (every - 1, Unavailable, None),
            (every, Unavailable, Some(2)),
            (every, Timeout, None),
            (every + 1, Timeout, Some(1)),
            (3 * every, Unavailable, Some(0)),
        ] {
            let now = Timestamp(0).plus(Duration::from_secs(seconds));
            assert_eq!(failures.left_out(kind, now), told, "{kind:?} at {seconds} s");
        }
    }
}
