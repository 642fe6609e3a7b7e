//! Events on their way into the outbox. One of the order that is changed with it is written once, with the order: the outbox has its
//! beginning and names the rest (`migrations/0006_outgoing.sql`).

use crate::columns::{Id, Record, int};
use domain::event::{Event, Outgoing, Subject};
use domain::ids::OrderId;
use domain::order::Appended;

/// An event that goes out.
pub enum Entry {
    Whole(Record),
    Named(Named),
}

/// One of the order's own events.
pub struct Named {
    /// Up to the type.
    head: Record,
    order: OrderId,
    sequence: u64,
    /// Which of the order's new events it is.
    place: usize,
}

impl Entry {
    /// Of a change of this order, if it changes one.
    pub fn of(outgoing: &Outgoing, order: Option<&Appended>) -> Self {
        let named = order.and_then(|order| {
            let place = place(outgoing, order)?;
            let head = records::encode_outgoing_head(outgoing).into();
            Some(Named { head, order: order.order.id, sequence: outgoing.sequence, place })
        });
        named.map_or_else(|| Self::Whole(records::encode_outgoing(outgoing).into()), Self::Named)
    }

    /// As the outbox has it.
    pub fn written(&self) -> Record {
        match self {
            Self::Whole(record) => record.clone(),
            Self::Named(named) => named.head.clone(),
        }
    }

    /// As it goes out; with the records of the order's new events.
    pub fn whole(&self, recorded: &[Record]) -> Record {
        match self {
            Self::Whole(record) => record.clone(),
            Self::Named(named) => [named.head.bytes(), records::said(recorded[named.place].bytes())].concat().into(),
        }
    }

    /// The order and the sequence of the event it names.
    pub fn names(&self) -> Option<(Id, i64)> {
        match self {
            Self::Whole(_) => None,
            Self::Named(named) => Some((Id(named.order.0), int(named.sequence))),
        }
    }
}

/// Where the order tells the same.
fn place(outgoing: &Outgoing, order: &Appended) -> Option<usize> {
    let Event::Order(event) = &outgoing.event else { return None };
    let place = order.events.iter().position(|recorded| recorded.sequence == outgoing.sequence)?;
    let same = outgoing.subject == Subject::Order(order.order.id) && order.events[place].event == *event;
    same.then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use conformance::fixtures::{START, placed};

    #[test]
    fn an_event_of_the_order_is_named_and_any_other_is_whole() {
        let [order, other] = [1, 2].map(|n| placed(n, START));
        let recorded: Vec<Record> = order.events.iter().map(|event| records::encode_recorded(event).into()).collect();
        for (event, is_named) in order.outgoing().map(|event| (event, true)).chain(other.outgoing().map(|event| (event, false))) {
            let entry = Entry::of(&event, Some(&order));
            assert_eq!(entry.names().is_some(), is_named, "{event:?}");
            assert_eq!(entry.whole(&recorded).bytes(), records::encode_outgoing(&event));
            assert_eq!(entry.written().bytes().len() < entry.whole(&recorded).bytes().len(), is_named);
            assert!(Entry::of(&event, None).names().is_none(), "no order is changed");
        }
        let mut changed = order.outgoing().next().expect("an event");
        changed.event = other.outgoing().next().expect("an event").event;
        assert!(Entry::of(&changed, Some(&order)).names().is_none(), "it says something else");
    }
}
