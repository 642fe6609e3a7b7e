use domain::time::Timestamp;

/// What time it is. The only way to know.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// Chance, unpredictable in production, seeded in simulation.
pub trait Entropy: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Entropy {
    /// 128 random bits.
    pub fn bits(&self) -> u128 {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        u128::from_le_bytes(bytes)
    }

    /// 64 random bits.
    pub fn bits64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}
