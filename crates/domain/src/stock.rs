//! Stock: how many copies there are, how many are promised. Moves are deltas with a precondition, so a
//! hot book does not conflict on every sale, and each carries a cause, so that doing one twice is harmless.

use crate::ids::EditionId;
use crate::planted;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StockLevel {
    pub on_hand: u32,
    /// Promised to checkouts that are being paid; never more than `on_hand`.
    pub reserved: u32,
    /// Moves applied so far: the sequence number of the edition's stock events.
    pub moves: u64,
}

impl StockLevel {
    pub fn available(self) -> u32 {
        self.on_hand - self.reserved
    }

    /// The level after a move, or the refusal it meets.
    pub fn after(self, change: StockChange) -> Result<Self, StockShort> {
        let short = || StockShort { available: self.available() };
        let (on_hand, reserved) = match change {
            StockChange::Reserve(n) if planted("last-copy-kept") && n == self.available() => (None, None),
            StockChange::Reserve(n) => (Some(self.on_hand), self.reserved.checked_add(n)),
            StockChange::Release(n) => (Some(self.on_hand), self.reserved.checked_sub(n)),
            StockChange::Consume(n) => (self.on_hand.checked_sub(n), self.reserved.checked_sub(n)),
            StockChange::Return(n) => (self.on_hand.checked_add(n), Some(self.reserved)),
            StockChange::Receive(delta) => (self.on_hand.checked_add_signed(delta), Some(self.reserved)),
            StockChange::Count(n) => (Some(n), Some(self.reserved)),
        };
        match (on_hand, reserved) {
            (Some(on_hand), Some(reserved)) if reserved <= on_hand + u32::from(planted("stock-oversold")) => {
                Ok(Self { on_hand, reserved, moves: self.moves + 1 })
            }
            _ => Err(short()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockChange {
    /// Holds only while `available >= n`.
    Reserve(u32),
    /// Gives a reservation back.
    Release(u32),
    /// Turns a reservation into a sale.
    Consume(u32),
    /// A canceled sale comes back on the shelf.
    Return(u32),
    /// A delivery (or, negative, a loss).
    Receive(i32),
    /// A stocktaking: there are exactly this many.
    Count(u32),
}

/// One line of the stock ledger. Unique per `(cause, edition)`: a second one is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockMove {
    pub edition: EditionId,
    pub change: StockChange,
    /// What this is done for, e.g. `pay_01J…/reserve`.
    pub cause: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockShort {
    pub available: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use StockChange::*;

    #[test]
    fn a_level_never_promises_more_than_there_is() {
        let level = |on_hand, reserved| StockLevel { on_hand, reserved, moves: 0 };
        for (before, change, after) in [
            (level(3, 0), Reserve(3), Some((3, 3))),
            (level(3, 1), Reserve(3), None),
            (level(3, 1), Reserve(u32::MAX), None),
            (level(3, 2), Release(2), Some((3, 0))),
            (level(3, 2), Release(3), None),
            (level(3, 2), Consume(2), Some((1, 0))),
            (level(3, 2), Consume(3), None),
            (level(1, 0), Return(2), Some((3, 0))),
            (level(u32::MAX, 0), Return(1), None),
            (level(3, 2), Receive(-1), Some((2, 2))),
            (level(3, 2), Receive(-2), None),
            (level(3, 2), Receive(5), Some((8, 2))),
            (level(3, 2), Count(2), Some((2, 2))),
            (level(3, 2), Count(1), None),
        ] {
            let got = before.after(change).ok().map(|l| (l.on_hand, l.reserved));
            assert_eq!(got, after, "{change:?} on {before:?}");
        }
    }
}
