//! Stock moves as the database's `move_stock` takes them, and what it answers.

use crate::columns::{Id, Parameter, parameters, uint};
use domain::ids::EditionId;
use domain::refusal::Short;
use domain::stock::{StockChange, StockLevel, StockMove};
use records::encode_stock_change;

/// Where moves have led.
pub type Levels = Vec<(EditionId, StockLevel)>;

/// By edition, which is the order in which every transaction locks them; moves of one edition as they were given.
pub struct Moves {
    moves: Vec<(usize, StockMove)>,
    pub editions: Vec<Id>,
    pub subjects: Vec<String>,
    pub kinds: Vec<&'static str>,
    pub ns: Vec<i64>,
    pub causes: Vec<String>,
    /// What the moves do to what is on hand and to what is reserved.
    pub on_hand: Vec<i64>,
    pub reserved: Vec<i64>,
}

impl Moves {
    pub fn of(moves: Vec<StockMove>) -> Self {
        let mut moves: Vec<_> = moves.into_iter().enumerate().collect();
        moves.sort_by_key(|(_, one)| one.edition);
        let each = || moves.iter().map(|(_, one)| one);
        let (kinds, ns) = each().map(|one| encode_stock_change(one.change)).unzip();
        let (on_hand, reserved) = each().map(|one| difference(one.change).unwrap_or_default()).unzip();
        Self {
            editions: each().map(|one| Id(one.edition.0)).collect(),
            subjects: each().map(|one| one.edition.to_string()).collect(),
            kinds,
            ns,
            causes: each().map(|one| one.cause.clone()).collect(),
            on_hand,
            reserved,
            moves,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
    }

    /// As `move_stock` takes them.
    pub fn parameters(&self) -> Vec<Parameter> {
        parameters![self.editions.clone(), self.subjects.clone(), self.kinds.clone(), self.ns.clone(), self.causes.clone()]
    }

    /// Whether all of them are differences, which can be made at once.
    pub fn are_differences(&self) -> bool {
        self.moves.iter().all(|(_, one)| difference(one.change).is_some())
    }

    fn numbered(&self, number: i64) -> Option<&(usize, StockMove)> {
        self.moves.get(usize::try_from(number - 1).ok()?)
    }

    /// The levels after the moves that were applied.
    pub fn levels(&self, answer: &[i64]) -> Levels {
        let count = |n: i64| u32::try_from(n).expect("invariant: the table has no other counts");
        let level = |four: &[i64]| {
            let (_, one) = self.numbered(four[0])?;
            Some((one.edition, StockLevel { on_hand: count(four[1]), reserved: count(four[2]), moves: uint(four[3]) }))
        };
        answer.chunks_exact(4).filter_map(level).collect()
    }

    /// Every edition that is short, once, in the order of the change.
    pub fn short(&self, answer: &[i64]) -> Vec<Short> {
        let mut short: Vec<(usize, Short)> = Vec::new();
        for two in answer.chunks_exact(2) {
            let Some((place, one)) = self.numbered(two[0]) else { continue };
            if short.iter().all(|(_, told)| told.edition != one.edition) {
                let wanted = u32::try_from(encode_stock_change(one.change).1.unsigned_abs()).unwrap_or(u32::MAX);
                let available = u32::try_from(two[1]).unwrap_or(0);
                short.push((*place, Short { edition: one.edition, sku: None, wanted, available }));
            }
        }
        short.sort_by_key(|(place, _)| *place);
        short.into_iter().map(|(_, short)| short).collect()
    }
}

/// What a change does to what is on hand and to what is reserved, if that does not depend on how much there is.
fn difference(change: StockChange) -> Option<(i64, i64)> {
    match change {
        StockChange::Reserve(n) => Some((0, n.into())),
        StockChange::Release(n) => Some((0, -i64::from(n))),
        StockChange::Consume(n) => Some((-i64::from(n), -i64::from(n))),
        StockChange::Return(n) => Some((i64::from(n), 0)),
        StockChange::Receive(n) => Some((n.into(), 0)),
        StockChange::Count(_) => None,
    }
}
