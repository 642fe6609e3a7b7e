//! Chance from one seed. Each concern draws from a stream of its own, so that one more draw here does not
//! shift what happens there.

use fastrand::Rng;

#[derive(Clone, Copy, Debug)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of a concern.
    pub fn stream(self, concern: &str) -> Rng {
        Rng::with_seed(self.child(concern).0)
    }

    /// The seed of a whole subtree of streams.
    pub fn child(self, name: &str) -> Self {
        // FNV-1a: stable for ever, and mixed well enough by the generator it seeds.
        let start = 0xcbf2_9ce4_8422_2325 ^ self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(name.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }
}

/// True `permille` times in a thousand.
pub fn happens(chance: &mut Rng, permille: u32) -> bool {
    chance.u32(..1000) < permille
}
