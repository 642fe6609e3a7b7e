//! What shoppers were told: the read-only memory against which later answers are held.

use crate::invariants::{Items, quantities};
use crate::world::Violations;
use app::{BookView, CartView, CheckoutView, Opened, Processed, RuleView, Started, StockView};
use bytes::Bytes;
use domain::cart::Cart;
use domain::ids::{CartId, CheckoutId, EditionId};
use domain::money::Money;
use domain::order::Order;
use domain::pricing::Batch;
use domain::refusal::Refusal;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// An answer as an edge would render it: the same value gives the same bytes.
pub trait Shown: Debug + Send + Sync + 'static {
    /// A first line that can be read back.
    fn head(&self) -> String {
        String::new()
    }

    /// Whether the request is answered for good; else it may be asked again and get another answer.
    fn is_final(&self) -> bool {
        true
    }

    fn render(&self) -> Bytes
    where
        Self: Sized,
    {
        format!("{}\n{self:?}", self.head()).into()
    }
}

impl Shown for CartView {
    fn head(&self) -> String {
        cart_head(&self.cart)
    }
}

impl Shown for Opened {
    fn head(&self) -> String {
        self.view.head()
    }
}

impl Shown for Started {
    fn head(&self) -> String {
        self.view.head()
    }
}

impl Shown for CheckoutView {
    fn head(&self) -> String {
        format!("{} {} {}", self.checkout.id, self.checkout.version.0, self.checkout.quote.total.minor())
    }
}

impl Shown for Processed {
    fn head(&self) -> String {
        match self {
            Self::Completed(order) => order.head(),
            Self::Waiting(_) | Self::Declined { .. } => String::new(),
        }
    }

    fn is_final(&self) -> bool {
        !matches!(self, Self::Waiting(_))
    }
}

impl Shown for Order {
    fn head(&self) -> String {
        self.id.to_string()
    }
}

impl Shown for StockView {}
impl Shown for RuleView {}
impl Shown for Batch {}
impl Shown for () {}

/// Without the snapshot it was looked up in, which is no part of the answer.
impl Shown for BookView {
    fn render(&self) -> Bytes {
        format!("\n{:?} {:?}", self.book, self.levels).into()
    }
}

fn cart_head(cart: &Cart) -> String {
    let items = quantities(cart).into_iter().fold(String::new(), |text, (edition, n)| format!("{text} {edition} {n}"));
    format!("{} {}{items}", cart.id, cart.version.0)
}

/// A cart as somebody saw it.
pub struct CartSeen {
    pub cart: CartId,
    pub version: u64,
    pub items: Items,
}

impl CartSeen {
    pub fn of(cart: &Cart) -> Self {
        Self { cart: cart.id, version: cart.version.0, items: quantities(cart) }
    }

    pub fn parse(head: &str) -> Option<Self> {
        let mut words = head.split(' ');
        let (cart, version) = (CartId::parse(words.next()?)?, words.next()?.parse().ok()?);
        let mut items = Items::new();
        while let Some(edition) = words.next() {
            items.insert(EditionId::parse(edition)?, words.next()?.parse().ok()?);
        }
        Some(Self { cart, version, items })
    }
}

/// What came of a request, in the end.
#[derive(Debug)]
pub enum Told {
    /// The first line of the answer.
    Yes(String),
    No(Refusal),
    /// Nobody can say whether it happened.
    Unknown,
}

pub struct Promises {
    violations: Violations,
    /// The first answer to each idempotency key.
    answers: BTreeMap<[u8; 16], Bytes>,
    /// Totals shoppers agreed to pay, by checkout.
    agreed: BTreeMap<CheckoutId, Vec<Money>>,
    /// Adds of which nobody knows whether they happened.
    pub unknown_adds: Vec<(CartId, EditionId, u32)>,
}

impl Promises {
    pub fn new(violations: Violations) -> Self {
        Self { violations, answers: BTreeMap::new(), agreed: BTreeMap::new(), unknown_adds: Vec::new() }
    }

    /// An answered key never gets a different answer.
    pub fn answered(&mut self, what: &str, key: [u8; 16], answer: &Bytes) {
        let first = self.answers.entry(key).or_insert_with(|| answer.clone());
        if first != answer {
            let (first, second) = (String::from_utf8_lossy(first), String::from_utf8_lossy(answer));
            self.violations.report(format_args!("{what}: one key, two answers:\n{first}\n{second}"));
        }
    }

    /// Nor a refusal.
    pub fn refused(&self, what: &str, key: [u8; 16], refusal: &Refusal) {
        if self.answers.contains_key(&key) {
            self.violations.report(format_args!("{what}: an answered key is refused: {refusal:?}"));
        }
    }

    /// Another request under an answered key is nothing but refused.
    pub fn misused(&self, what: &str, refusal: Option<&Refusal>) {
        if refusal != Some(&Refusal::IdempotencyKeyReused) {
            self.violations.report(format_args!("{what}: another request got through under a used key: {refusal:?}"));
        }
    }

    pub fn agree(&mut self, checkout: CheckoutId, total: Money) {
        self.agreed.entry(checkout).or_default().push(total);
    }

    pub fn was_agreed(&self, checkout: CheckoutId, total: Money) -> bool {
        self.agreed.get(&checkout).is_some_and(|totals| totals.contains(&total))
    }
}
