use crate::limits::QUANTITY_MAX;
use crate::refusal::Refusal;

/// How many copies of one edition: 1 to [`QUANTITY_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Quantity(u32);

impl Quantity {
    pub const ONE: Self = Self(1);

    pub fn new(n: i64) -> Result<Self, Refusal> {
        match u32::try_from(n) {
            Ok(n) if (1..=QUANTITY_MAX).contains(&n) => Ok(Self(n)),
            _ => Err(Refusal::QuantityInvalid { got: n }),
        }
    }

    pub fn get(self) -> u32 {
        self.0
    }

    pub fn plus(self, other: Self) -> Result<Self, Refusal> {
        Self::new(i64::from(self.0) + i64::from(other.0))
    }
}
