//! What happened, line by line: kept as a digest, and printed when asked for.

use domain::time::Timestamp;
use std::fmt::{self, Write};

#[derive(Debug)]
pub struct Trace {
    /// Of every line so far: two runs with the same digest were the same run.
    pub digest: u64,
    print: bool,
}

impl Trace {
    pub fn new(print: bool) -> Self {
        Self { digest: 0xcbf2_9ce4_8422_2325, print }
    }

    #[expect(clippy::print_stdout, reason = "printed when asked for")]
    pub fn line(&mut self, now: Timestamp, what: fmt::Arguments<'_>) {
        let seconds = (now.micros() - memory::ManualClock::START.micros()) / 1_000;
        if self.print {
            println!("{seconds:>9} ms  {what}");
        }
        writeln!(self, "{now:?} {what}").expect("invariant: a digest takes everything");
    }
}

/// FNV-1a.
impl Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.digest = text.bytes().fold(self.digest, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Ok(())
    }
}
