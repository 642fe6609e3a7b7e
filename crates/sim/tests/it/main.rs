//! The simulator as a test: seeds that must hold, and faults that must be seen.

mod planted;
mod seeds;

use sim::{Options, Report, Violation};

/// What each shopper does in a run of the tests: enough for every operation to meet every other one in
/// some seed, and few enough for hundreds of seeds in seconds without optimizations.
const STEPS: u32 = 25;

fn run(seed: u64) -> Result<Report, Violation> {
    sim::run(&Options { seed, steps: STEPS, trace: false })
}
