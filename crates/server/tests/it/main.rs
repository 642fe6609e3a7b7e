//! The real binary over REST, on the embedded store and at scale: each published promise is a test of its name.
#![expect(clippy::disallowed_methods, reason = "tests start processes, wait for them, and run clients at once")]

mod column;
mod commands;
mod crashes;
mod degradation;
mod deploy;
mod disks;
mod distant;
mod fail_points;
mod faults;
mod histories;
mod hostile;
mod linear;
mod payments;
mod promises;
mod recovery;
mod scale;
mod schema;
mod shop;
mod taxes;
