//! Whether what is kept twice agrees: what follows from records with the records. A store reads its rows, and these
//! compare; each thing that is wrong is one line of text.

use crate::{decode_audited, decode_kept, decode_recorded, decode_stock_change};
use domain::ids::EditionId;
use domain::order::Order;
use domain::pricing::{Deed, Rule};
use domain::stock::StockLevel;
use std::collections::{BTreeMap, BTreeSet};

/// What an order's events lead to. One that cannot be read leads nowhere.
pub fn order_of<'a>(history: impl IntoIterator<Item = &'a [u8]>) -> Option<Order> {
    history.into_iter().fold(None, |order, event| decode_recorded(event).ok().and_then(|event| Order::evolve(order, &event)))
}

/// Where the moves of stock lead.
#[derive(Debug, Default)]
pub struct Moves {
    levels: BTreeMap<EditionId, StockLevel>,
    wrong: Vec<String>,
}

impl Moves {
    /// The next move of an edition, as it is kept; `sequence` is the level's count of moves after it.
    pub fn moved(&mut self, edition: EditionId, (kind, n): (&str, i64), sequence: u64, cause: &str) {
        let level = self.levels.entry(edition).or_default();
        match decode_stock_change(kind, n).and_then(|change| level.after(change).ok()) {
            Some(after) if after.moves == sequence => *level = after,
            _ => self.wrong.push(format!("{edition}: the move of {cause} is not possible on {level:?}")),
        }
    }

    /// A level is what its moves say, so what is reserved is what moves have reserved and not given back.
    pub fn compare(mut self, stored: impl IntoIterator<Item = (EditionId, StockLevel)>) -> Vec<String> {
        let stored: BTreeMap<_, _> = stored.into_iter().collect();
        for edition in stored.keys().chain(self.levels.keys().filter(|e| !stored.contains_key(e))) {
            let (level, moves) = (stored.get(edition), self.levels.get(edition));
            if level != moves {
                self.wrong.push(format!("{edition}: the level is {level:?}, its moves lead to {moves:?}"));
            }
        }
        self.wrong
    }
}

/// Kind and id.
type RuleName = (String, String);

/// Rules as they are kept, and as the audit tells of them. Records that cannot be read are passed over: they are told of
/// elsewhere.
#[derive(Debug, Default)]
pub struct Rules {
    kept: BTreeMap<RuleName, Rule>,
    told: BTreeMap<RuleName, Rule>,
    wrong: Vec<String>,
}

impl Rules {
    /// A rule with the columns beside it: kind, id, version.
    pub fn kept(&mut self, columns: (String, String, u64), body: &[u8]) {
        let Ok(kept) = decode_kept(body) else { return };
        let key = kept.rule.key();
        let says = (key.kind.as_str().to_owned(), key.id.to_string(), kept.version.0);
        if columns != says {
            self.wrong.push(format!("a rule's columns are {columns:?}, it says {says:?}"));
        }
        self.kept.insert((says.0, says.1), kept.rule);
    }

    /// The next line of the audit.
    pub fn audited(&mut self, body: &[u8]) {
        let Ok(line) = decode_audited(body) else { return };
        let key = (line.key.kind.as_str().to_owned(), line.key.id.to_string());
        match line.deed {
            Deed::Put { after, .. } => drop(self.told.insert(key, *after)),
            Deed::Deleted { .. } => drop(self.told.remove(&key)),
            Deed::Issued { .. } => {}
        }
    }

    /// A rule is what its last line in the audit says, one that was deleted is not there, and the codes that rules name (each
    /// with its promotion) are the ones that lead to them.
    pub fn compare(mut self, codes: &BTreeSet<(String, String)>) -> Vec<String> {
        for key in self.kept.keys().chain(self.told.keys().filter(|key| !self.kept.contains_key(*key))) {
            if self.kept.get(key) != self.told.get(key) {
                self.wrong.push(format!("{} {} is not what was decided last", key.0, key.1));
            }
        }
        let name = |((_, id), rule): (&RuleName, &Rule)| rule.codes().iter().map(|code| (code.to_string(), id.clone())).collect::<Vec<_>>();
        let named: BTreeSet<_> = self.kept.iter().flat_map(name).collect();
        for (code, promotion) in named.symmetric_difference(codes) {
            self.wrong.push(format!("the code {code} and the promotion {promotion} do not name each other"));
        }
        self.wrong
    }
}
