//! A reader of events as the documentation asks for one: it knows a repeat by its id, and a late one by its
//! sequence. Whether an event reaches it once or five times must make no difference.

use domain::event::{Event, Outgoing};
use domain::ids::EditionId;
use domain::planted;
use domain::stock::StockChange;
use std::collections::{BTreeMap, BTreeSet};

/// What a shop's reports know from events alone.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reports {
    inbox: BTreeSet<String>,
    /// Copies that went out and did not come back.
    pub sold: BTreeMap<EditionId, i64>,
    /// The newest level of each edition, with the sequence of the event that told it.
    pub on_hand: BTreeMap<EditionId, (u64, u32)>,
}

impl Reports {
    pub fn hear(&mut self, event: &Outgoing) {
        if !self.inbox.insert(event.id()) && !planted("inbox-not-consulted") {
            return;
        }
        let (domain::event::Subject::Stock(edition), Event::Stock(stock)) = (event.subject, &event.event) else { return };
        *self.sold.entry(edition).or_default() += sold(stock.change);
        let newest = self.on_hand.entry(edition).or_default();
        *newest = (*newest).max((event.sequence, stock.after.on_hand));
    }
}

/// How many more copies are sold after a move.
fn sold(change: StockChange) -> i64 {
    match change {
        StockChange::Consume(n) => i64::from(n),
        StockChange::Return(n) => -i64::from(n),
        StockChange::Reserve(_) | StockChange::Release(_) | StockChange::Receive(_) | StockChange::Count(_) => 0,
    }
}
