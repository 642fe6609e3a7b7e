use domain::limits::EXPRESSION_MAX;
use domain::pricing::{Conditions, Facts};
use domain::text::Text;
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

/// No language for conditions: every one is refused, and none holds.
#[derive(Clone, Copy, Debug)]
pub struct NoExpressions;

impl Conditions for NoExpressions {
    fn check(&self, _: &Text<EXPRESSION_MAX>) -> Result<(), String> {
        Err("this shop knows no language for conditions".into())
    }

    fn holds(&self, _: &Text<EXPRESSION_MAX>, _: &Facts<'_>) -> Option<bool> {
        None
    }
}
