use app::ports::{Bus, Clock, Entropy, PortError};
use async_trait::async_trait;
use domain::event::Outgoing;
use domain::time::Timestamp;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A bus that remembers what it was given. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryBus {
    published: Arc<Mutex<Vec<Outgoing>>>,
    broken: Arc<AtomicBool>,
}

impl MemoryBus {
    pub fn new() -> Self {
        Self::default()
    }

    /// From here on every publication fails.
    pub fn break_down(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    pub fn repair(&self) {
        self.broken.store(false, Ordering::SeqCst);
    }

    /// Everything that was published, in order.
    pub fn published(&self) -> Vec<Outgoing> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, events: &[Outgoing]) -> Result<(), PortError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(PortError::unavailable("bus", "the bus is broken"));
        }
        self.published.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(events);
        Ok(())
    }
}

/// A clock that stands still until it is told how much time has passed. Clones share it.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Where time begins: 2025-06-15, 15:06:40 UTC.
    pub const START: Timestamp = Timestamp(1_750_000_000_000_000);

    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(Self::START.micros())))
    }

    pub fn advance(&self, span: Duration) {
        let later = self.now().plus(span);
        self.0.store(later.micros(), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Chance that can be repeated: `splitmix64` from a seed. Clones share the sequence.
#[derive(Clone, Debug)]
pub struct SeededEntropy(Arc<AtomicU64>);

impl SeededEntropy {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    fn next(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}
