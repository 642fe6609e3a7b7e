//! The real binary on the embedded store, over REST: each published promise is a test of its name.
#![expect(clippy::disallowed_methods, reason = "tests start processes, wait for them, and run clients at once")]

mod commands;
mod crashes;
mod disks;
mod distant;
mod fail_points;
mod histories;
mod hostile;
mod linear;
mod payments;
mod promises;
mod recovery;
mod schema;
mod shop;
mod taxes;
