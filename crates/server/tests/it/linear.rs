//! Whether what concurrent clients saw can be explained: is there one order of all operations, each somewhere
//! between its call and its answer, in which a simple sequential model gives exactly these answers? The search
//! is that of Wing and Gong with Lowe's memory of what was tried: the set of operations done and the state.

use std::collections::HashSet;
use std::hash::Hash;

/// The sequential specification of one thing.
pub trait Model {
    type State: Clone + Eq + Hash;
    type Operation;

    /// The state after an operation; none when it could not have been answered like that. What has no answer
    /// could have been answered anyhow.
    fn step(state: &Self::State, operation: &Self::Operation) -> Option<Self::State>;

    /// Whether it changes nothing, whatever the state.
    fn is_read(operation: &Self::Operation) -> bool;
}

/// An operation as its client saw it, in nanoseconds of one clock.
#[derive(Clone, Debug)]
pub struct Seen<O> {
    pub operation: O,
    pub called: u64,
    /// None: nobody knows whether it happened, and it may still happen.
    pub answered: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Linearizable,
    /// No order of the operations explains the answers.
    Wrong,
    /// There were too many orders to try.
    GaveUp,
}

/// Operations of a history, and combinations of done operations and state that are tried.
pub const OPERATIONS_MAX: usize = 512;
const TRIED_MAX: usize = 2_000_000;

/// The operations that are done, a bit each.
type Done = [u64; OPERATIONS_MAX / 64];

pub fn check<M: Model>(start: M::State, history: &mut [Seen<M::Operation>]) -> Verdict {
    assert!(history.len() <= OPERATIONS_MAX, "{} operations", history.len());
    history.sort_by_key(|seen| seen.called);
    let mut search = Search::<M> { history, tried: HashSet::new() };
    match search.goes_on([0; OPERATIONS_MAX / 64], start) {
        true => Verdict::Linearizable,
        false if search.tried.len() >= TRIED_MAX => Verdict::GaveUp,
        false => Verdict::Wrong,
    }
}

fn done_too(mut done: Done, n: usize) -> Done {
    done[n / 64] |= 1 << (n % 64);
    done
}

struct Search<'a, M: Model> {
    history: &'a [Seen<M::Operation>],
    tried: HashSet<(Done, M::State)>,
}

impl<M: Model> Search<'_, M> {
    /// Whether what is not done yet can follow. What has no answer need not happen at all. A read that is explained
    /// here is done at once: wherever else it could be, nothing after it would be different.
    fn goes_on(&mut self, done: Done, state: M::State) -> bool {
        let left = |n: &usize| done[n / 64] & (1 << (n % 64)) == 0;
        let open: Vec<usize> = (0..self.history.len()).filter(left).collect();
        // Whatever is called after this answer cannot come before it.
        let Some(first_answer) = open.iter().filter_map(|n| self.history[*n].answered).min() else { return true };
        let next = open.into_iter().take_while(|n| self.history[*n].called < first_answer);
        let (known, unknown): (Vec<_>, Vec<_>) = next.partition(|n| self.history[*n].answered.is_some());
        let explained = |operation: &M::Operation| M::is_read(operation) && M::step(&state, operation).is_some();
        let reads: Vec<usize> = known.iter().copied().filter(|n| explained(&self.history[*n].operation)).collect();
        if !reads.is_empty() {
            return self.goes_on(reads.into_iter().fold(done, done_too), state);
        }
        let unknown = unknown.into_iter().filter(|n| !M::is_read(&self.history[*n].operation));
        for n in known.into_iter().chain(unknown) {
            let Some(after) = M::step(&state, &self.history[n].operation) else { continue };
            let with = done_too(done, n);
            if self.tried.len() < TRIED_MAX && self.tried.insert((with, after.clone())) && self.goes_on(with, after) {
                return true;
            }
        }
        false
    }
}

/// How many copies of two editions a cart holds.
pub struct CartModel;

#[derive(Clone, Debug)]
pub enum CartOperation {
    Add { edition: usize, copies: u64, saw: Option<[u64; 2]> },
    Set { edition: usize, copies: u64, saw: Option<[u64; 2]> },
    Read { saw: Option<[u64; 2]> },
}

impl Model for CartModel {
    type State = [u64; 2];
    type Operation = CartOperation;

    fn step(state: &Self::State, operation: &CartOperation) -> Option<Self::State> {
        let mut after = *state;
        let saw = match operation {
            CartOperation::Add { edition, copies, saw } => {
                after[*edition] += copies;
                saw
            }
            CartOperation::Set { edition, copies, saw } => {
                after[*edition] = *copies;
                saw
            }
            CartOperation::Read { saw } => saw,
        };
        saw.is_none_or(|saw| saw == after).then_some(after)
    }

    fn is_read(operation: &CartOperation) -> bool {
        matches!(operation, CartOperation::Read { .. })
    }
}

/// How many copies of an edition can be bought.
pub struct StockModel;

#[derive(Clone, Debug)]
pub enum StockOperation {
    Receive {
        copies: u64,
    },
    /// Buys one copy; whether it was there.
    Buy {
        got: Option<bool>,
    },
    Read {
        saw: Option<u64>,
    },
}

impl Model for StockModel {
    type State = u64;
    type Operation = StockOperation;

    fn step(state: &u64, operation: &StockOperation) -> Option<u64> {
        let (after, as_seen) = match operation {
            StockOperation::Receive { copies } => (state + copies, true),
            StockOperation::Buy { got } => (state.saturating_sub(1), got.is_none_or(|got| got == (*state > 0))),
            StockOperation::Read { saw } => (*state, saw.is_none_or(|saw| saw == *state)),
        };
        as_seen.then_some(after)
    }

    fn is_read(operation: &StockOperation) -> bool {
        matches!(operation, StockOperation::Read { .. })
    }
}

/// The status of a paid order.
pub struct OrderModel;

#[derive(Clone, Debug)]
pub enum OrderOperation {
    Change { to: &'static str, saw: Option<Change> },
    Read { saw: Option<String> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Done,
    /// Refused, from this status.
    Refused(String),
}

/// Where an order goes, in the words of the interface.
const GOES: [(&str, &str); 5] = [
    ("confirmed", "processing"),
    ("confirmed", "canceled"),
    ("processing", "shipped"),
    ("processing", "canceled"),
    ("shipped", "delivered"),
];

impl Model for OrderModel {
    type State = String;
    type Operation = OrderOperation;

    fn step(state: &String, operation: &OrderOperation) -> Option<String> {
        let (after, as_seen) = match operation {
            OrderOperation::Read { saw } => (state.as_str(), saw.as_ref().is_none_or(|saw| saw == state)),
            OrderOperation::Change { to, saw } if GOES.contains(&(state, to)) => (*to, saw.as_ref().is_none_or(|saw| *saw == Change::Done)),
            OrderOperation::Change { saw, .. } => (state.as_str(), saw.as_ref().is_none_or(|saw| *saw == Change::Refused(state.clone()))),
        };
        as_seen.then(|| after.to_owned())
    }

    fn is_read(operation: &OrderOperation) -> bool {
        matches!(operation, OrderOperation::Read { .. })
    }
}

/// The checker must be able to fail: each kind of history with what becomes of it.
#[cfg(test)]
mod tests {
    use super::*;

    fn verdict<M: Model>(start: M::State, history: Vec<(u64, Option<u64>, M::Operation)>) -> Verdict {
        let seen = |(called, answered, operation)| Seen { operation, called, answered };
        check::<M>(start, &mut history.into_iter().map(seen).collect::<Vec<_>>())
    }

    #[test]
    fn a_cart_is_explained_or_found_wrong() {
        let add = |saw| CartOperation::Add { edition: 0, copies: 1, saw };
        let read = |copies| CartOperation::Read { saw: Some([copies, 0]) };
        let rows = [
            ("one after the other", vec![(1, Some(2), add(Some([1, 0]))), (3, Some(4), read(1))], Verdict::Linearizable),
            (
                "at once, answered as if one came first",
                vec![(1, Some(5), add(Some([2, 0]))), (2, Some(4), add(Some([1, 0])))],
                Verdict::Linearizable,
            ),
            ("an update is lost", vec![(1, Some(2), add(Some([1, 0]))), (3, Some(4), add(Some([1, 0])))], Verdict::Wrong),
            ("two at once, and one is lost", vec![(1, Some(4), add(None)), (2, Some(4), add(None)), (5, Some(6), read(1))], Verdict::Wrong),
            ("a read is stale", vec![(1, Some(2), add(Some([1, 0]))), (3, Some(4), read(0))], Verdict::Wrong),
            ("a read goes back", vec![(1, Some(9), add(Some([1, 0]))), (2, Some(3), read(1)), (4, Some(5), read(0))], Verdict::Wrong),
            ("an add counts twice", vec![(1, Some(2), add(None)), (3, Some(4), read(2))], Verdict::Wrong),
            ("nobody knows, and it happened", vec![(1, None, add(None)), (3, Some(4), read(1))], Verdict::Linearizable),
            ("nobody knows, and it did not", vec![(1, None, add(None)), (3, Some(4), read(0))], Verdict::Linearizable),
            (
                "nobody knows, and it happened late",
                vec![(1, None, add(None)), (3, Some(4), read(0)), (5, Some(6), read(1))],
                Verdict::Linearizable,
            ),
            ("nobody knows, and it is undone", vec![(1, None, add(None)), (3, Some(4), read(1)), (5, Some(6), read(0))], Verdict::Wrong),
            ("what was never asked for", vec![(3, Some(4), read(1)), (5, Some(6), add(Some([2, 0])))], Verdict::Wrong),
        ];
        for (name, history, expected) in rows {
            assert_eq!(verdict::<CartModel>([0, 0], history), expected, "{name}");
        }
    }

    #[test]
    fn the_last_copy_is_sold_once() {
        let buy = |got| StockOperation::Buy { got: Some(got) };
        let read = |saw| StockOperation::Read { saw: Some(saw) };
        let receive = StockOperation::Receive { copies: 1 };
        let rows = [
            ("one of two gets it", vec![(1, Some(4), buy(false)), (2, Some(3), buy(true)), (5, Some(6), read(0))], Verdict::Linearizable),
            ("both get it", vec![(1, Some(4), buy(true)), (2, Some(3), buy(true))], Verdict::Wrong),
            ("nobody gets it", vec![(1, Some(4), buy(false)), (5, Some(6), read(1))], Verdict::Wrong),
            ("both, after a delivery", vec![(1, Some(4), buy(true)), (2, Some(3), buy(true)), (1, None, receive)], Verdict::Linearizable),
            ("it is sold and still there", vec![(1, Some(2), buy(true)), (3, Some(4), read(1))], Verdict::Wrong),
        ];
        for (name, history, expected) in rows {
            assert_eq!(verdict::<StockModel>(1, history), expected, "{name}");
        }
    }

    #[test]
    fn an_order_goes_one_way() {
        let change = |to, saw| OrderOperation::Change { to, saw: Some(saw) };
        let read = |saw: &str| OrderOperation::Read { saw: Some(saw.to_owned()) };
        let from = |status: &str| Change::Refused(status.to_owned());
        let (done, wrong) = (Verdict::Linearizable, Verdict::Wrong);
        let rows = [
            ("shipped", vec![(1, Some(2), change("processing", Change::Done)), (3, Some(4), change("shipped", Change::Done))], done),
            (
                "canceled or shipped",
                vec![(1, Some(4), change("canceled", Change::Done)), (2, Some(3), change("processing", from("canceled")))],
                done,
            ),
            (
                "canceled and processed",
                vec![(1, Some(2), change("canceled", Change::Done)), (3, Some(4), change("processing", Change::Done))],
                wrong,
            ),
            (
                "processed twice",
                vec![(1, Some(4), change("processing", Change::Done)), (2, Some(3), change("processing", Change::Done))],
                wrong,
            ),
            ("seen before it happened", vec![(1, Some(2), read("processing")), (3, Some(4), change("processing", Change::Done))], wrong),
        ];
        for (name, history, expected) in rows {
            assert_eq!(verdict::<OrderModel>("confirmed".to_owned(), history), expected, "{name}");
        }
    }

    /// Eight clients and five hundred operations are decided quickly, right or wrong.
    #[test]
    fn long_histories_are_decided() {
        let mut history: Vec<(u64, Option<u64>, CartOperation)> = (0..500)
            .map(|n| {
                let saw = Some([n + 1, 0]);
                let operation = if n % 50 == 7 {
                    CartOperation::Add { edition: 0, copies: 1, saw: None }
                } else {
                    CartOperation::Add { edition: 0, copies: 1, saw }
                };
                (10 * n, if n % 50 == 7 { None } else { Some(10 * n + 75) }, operation)
            })
            .collect();
        assert_eq!(verdict::<CartModel>([0, 0], history.clone()), Verdict::Linearizable);
        history.push((6000, Some(6001), CartOperation::Read { saw: Some([501, 0]) }));
        assert_eq!(verdict::<CartModel>([0, 0], history), Verdict::Wrong);
    }
}
