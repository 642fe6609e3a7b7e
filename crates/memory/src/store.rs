use crate::outbox::Queue;
use crate::prices::PriceShelf;
use app::ports::{Answer, NoticeId};
use app::snapshot::Snapshot;
use domain::cart::{Cart, Owner};
use domain::checkout::Checkout;
use domain::ids::{CartId, CheckoutId, EditionId, OrderId, SessionId};
use domain::order::{Order, Recorded};
use domain::pricing::{Counter, PriceLine};
use domain::session::Session;
use domain::stock::StockLevel;
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// Every store in one. Clones share what is stored.
///
/// A commit holds the lock while it checks every precondition and only then applies: all of it, or nothing.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<State>>);

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("invariant: nothing panics while it changes the state")
    }
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub carts: BTreeMap<CartId, Arc<Cart>>,
    /// The newest cart of each owner, expired or not.
    pub owners: BTreeMap<Owner, CartId>,
    pub answers: BTreeMap<[u8; 16], Answer>,
    pub checkouts: BTreeMap<CheckoutId, Checkout>,
    pub orders: BTreeMap<OrderId, Order>,
    pub histories: BTreeMap<OrderId, Vec<Recorded>>,
    pub alarms: BTreeMap<OrderId, Timestamp>,
    /// Notices of the payment provider, and when they were heeded.
    pub notices: BTreeMap<NoticeId, Timestamp>,
    pub levels: BTreeMap<EditionId, StockLevel>,
    /// Causes of stock moves that were applied.
    pub stock_causes: BTreeSet<(String, EditionId)>,
    pub uses: BTreeMap<Counter, u64>,
    pub use_causes: BTreeSet<(String, Counter)>,
    pub snapshot: Arc<Snapshot>,
    /// Changes of the snapshot and of levels.
    pub changes: u64,
    pub sessions: BTreeMap<SessionId, Arc<Session>>,
    pub tokens: BTreeMap<[u8; 32], SessionId>,
    pub outbox: Queue,
    pub prices: PriceShelf,
    /// What editions were sold at, in the order it was said.
    pub price_lines: Vec<PriceLine>,
}

impl State {
    /// The answer that was given first to one of these keys.
    pub fn answered<'a>(&self, answers: impl IntoIterator<Item = &'a Answer>) -> Option<Answer> {
        answers.into_iter().find_map(|a| self.answers.get(&a.mark.key)).cloned()
    }

    pub fn remember(&mut self, answers: impl IntoIterator<Item = Answer>) {
        for answer in answers {
            self.answers.entry(answer.mark.key).or_insert(answer);
        }
    }
}
