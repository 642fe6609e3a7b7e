#![cfg(test)]

use super::*;
use stateright::{Checker, HasDiscoveries};

/// Every world that can be reached; told with `--nocapture`.
fn explore(settings: Settings) {
    let what = format!("{:?}, nodes: {}", settings.capture, settings.nodes);
    let checker = settings.checker().threads(2).spawn_bfs().join();
    tell(&format!("{what}: {} worlds, {} steps, {} deep", checker.unique_state_count(), checker.state_count(), checker.max_depth()));
    checker.assert_properties();
}

#[expect(clippy::print_stderr, reason = "the figures are the result of an exploration")]
fn tell(figures: &str) {
    eprintln!("{figures}");
}

#[test]
fn nothing_goes_wrong_between_two_nodes() {
    explore(Settings { late: false, notices: false, orders: false, ..Settings::new(CaptureWhen::AtOnce) });
}

#[test]
fn nothing_goes_wrong_whatever_comes_late() {
    explore(Settings { nodes: 1, orders: false, ..Settings::new(CaptureWhen::AtOnce) });
}

#[test]
fn nothing_goes_wrong_when_orders_are_shipped_or_canceled() {
    for capture in [CaptureWhen::AtOnce, CaptureWhen::OnShipment] {
        explore(Settings { nodes: 1, late: false, notices: false, ..Settings::new(capture) });
    }
}

#[test]
#[ignore = "minutes: `cargo test --release -p app --lib -- --ignored nothing_goes_wrong --nocapture`"]
fn nothing_goes_wrong_with_one_node_and_everything_at_once() {
    for capture in [CaptureWhen::AtOnce, CaptureWhen::OnShipment] {
        explore(Settings { nodes: 1, ..Settings::new(capture) });
    }
}

#[test]
#[ignore = "minutes: `cargo test --release -p app --lib -- --ignored nothing_goes_wrong --nocapture`"]
fn nothing_goes_wrong_between_two_nodes_and_notices() {
    for capture in [CaptureWhen::AtOnce, CaptureWhen::OnShipment] {
        explore(Settings { late: false, orders: false, ..Settings::new(capture) });
    }
}

#[test]
#[ignore = "minutes: `cargo test --release -p app --lib -- --ignored nothing_goes_wrong --nocapture`"]
fn nothing_goes_wrong_between_two_nodes_and_orders() {
    explore(Settings { late: false, notices: false, ..Settings::new(CaptureWhen::OnShipment) });
}

#[test]
#[ignore = "minutes: `cargo test --release -p app --lib -- --ignored nothing_goes_wrong --nocapture`"]
fn nothing_goes_wrong_between_two_nodes_whatever_comes_late() {
    explore(Settings { attempts: 1, notices: false, orders: false, ..Settings::new(CaptureWhen::AtOnce) });
}

#[test]
fn a_planted_mistake_is_found() {
    for (mistake, found) in [
        (Mistake::UnknownIsDeclined, "an attempt that is over holds nothing, now or later"),
        (Mistake::BlindCommit, "no commit breaks a rule"),
        (Mistake::EarlyRelease, "what is reserved is what the checkout holds"),
        (Mistake::ConflictOverlooked, "no commit breaks a rule"),
    ] {
        let settings =
            Settings { mistake: Some(mistake), late: false, notices: false, orders: false, ..Settings::new(CaptureWhen::AtOnce) };
        let checker = settings.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let path = checker.discovery(found).map(|path| path.into_actions());
        assert!(path.is_some(), "{mistake:?} is found by {:?} alone", checker.discoveries().keys());
        tell(&format!("{mistake:?}: {path:?}"));
    }
}
