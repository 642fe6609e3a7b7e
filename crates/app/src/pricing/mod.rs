//! Prices: what quotes are made from, and the shopkeeper's decisions about them.

mod codes;
mod quote;
mod rules;
mod simulate;

pub use codes::{CodeView, Issue};
pub use quote::{ActiveCoupon, Calculate};
pub use rules::{PutRule, RuleView};
pub use simulate::{Simulate, Simulated};

use crate::App;
use crate::error::Error;
use crate::ports::{Catalog, Freshness, PortError};
use crate::snapshot::Snapshot;
use domain::catalog::{Offer, Offers};
use domain::ids::{BookId, CouponCode, EditionId};
use domain::money::Currency;
use domain::pricing::{Context, Counter, Evaluator, Given, Issued, Line, Pricebook, Quote, Shopper, Trigger, Usage};
use domain::refusal::Refusal;
use domain::time::{Local, Timestamp};
use std::sync::Arc;

/// Offers as of now: the catalog snapshot with recent stock levels. Where the catalog is another node and cannot be heard,
/// what is in a cart goes by what was last known, and nothing new is put in.
pub(crate) struct Shelf {
    freshness: Freshness,
    snapshot: Arc<Snapshot>,
    catalog: Arc<dyn Catalog>,
}

impl Offers for Shelf {
    fn offer(&self, id: EditionId) -> Option<Offer> {
        self.snapshot.offer(id, || self.catalog.level(id).available())
    }
}

impl Shelf {
    /// Which edition somebody wants: the named one, or the only one.
    pub fn edition(&self, product: BookId, variant: Option<EditionId>) -> Result<EditionId, Error> {
        self.freshness.ensure(Freshness::Fresh)?;
        if let Some(id) = variant {
            let book = self.snapshot.book_of(id).filter(|book| book.id == product);
            return if book.is_some() { Ok(id) } else { Err(Refusal::ProductNotFound.into()) };
        }
        match self.snapshot.book(product).ok_or(Refusal::ProductNotFound)?.editions.as_slice() {
            [only] => Ok(only.id),
            _ => Err(Refusal::VariantRequired.into()),
        }
    }
}

/// What a quote depends on besides the goods and where they go. One pricebook, however often it is asked.
pub(crate) struct Terms {
    pub book: Arc<Pricebook>,
    /// What is known of every code that may be on the cart.
    codes: Vec<Given>,
    pub shopper: Shopper,
    local: Local,
    usage: Usage,
    evaluator: Evaluator,
}

impl Terms {
    pub fn context(&self, currency: Currency) -> Context {
        let (shopper, usage, evaluator) = (self.shopper.clone(), self.usage.clone(), self.evaluator.clone());
        Context { shopper, local: self.local, usage, evaluator, ..Context::cart(currency) }
    }

    pub fn quote(&self, lines: &[Line], codes: &[CouponCode], shelf: &Shelf, context: &Context, now: Timestamp) -> Result<Quote, Error> {
        if !lines.is_empty() {
            shelf.freshness.ensure(Freshness::Stale)?;
        }
        Ok(domain::pricing::quote(lines, &self.given(codes), shelf, self.book.rules(), context, now)?)
    }

    /// What is known of the codes on a cart, in their order.
    fn given(&self, codes: &[CouponCode]) -> Vec<Given> {
        codes.iter().filter_map(|code| self.codes.iter().find(|g| g.code == *code)).cloned().collect()
    }
}

impl App {
    pub(crate) fn shelf(&self) -> Shelf {
        // Asked before anything is looked at, which is then at least as fresh.
        let freshness = self.ports.catalog.freshness();
        Shelf { freshness, snapshot: self.ports.catalog.snapshot(), catalog: Arc::clone(&self.ports.catalog) }
    }

    /// The catalog as last known.
    pub(crate) fn known_catalog(&self) -> Result<Arc<Snapshot>, PortError> {
        self.ports.catalog.freshness().ensure(Freshness::Stale)?;
        Ok(self.ports.catalog.snapshot())
    }

    /// All rules as of now.
    pub fn pricebook(&self) -> Arc<Pricebook> {
        self.ports.prices.book()
    }

    /// Looks up all that a quote depends on besides the goods. Asks the stores only about what is limited, and about codes
    /// that no rule names.
    pub(crate) async fn terms(
        &self,
        book: Arc<Pricebook>,
        codes: impl IntoIterator<Item = &CouponCode>,
        shopper: Shopper,
        now: Timestamp,
    ) -> Result<Terms, Error> {
        let evaluator = Evaluator(Some(self.ports.expressions.clone()));
        let mut terms = Terms { book, codes: Vec::new(), shopper, local: Local::default(), usage: Usage::default(), evaluator };
        for code in codes {
            if !terms.codes.iter().any(|g| g.code == *code) {
                terms.codes.push(self.given(&terms.book, code).await?);
            }
        }
        let rules = terms.book.rules();
        let counters = rules.counters(&terms.codes, terms.shopper.who);
        if !counters.is_empty() {
            terms.usage = self.ports.ledger.usage(&counters).await?;
        }
        terms.shopper.orders = terms.shopper.who.map(|who| terms.usage.of(&Counter::Orders(who)));
        if !rules.is_steady() || !terms.codes.is_empty() {
            terms.local = self.policy.local(now);
        }
        Ok(terms)
    }

    /// What is known of a code. An issued one is counted also when it has no limit of its own.
    async fn given(&self, book: &Pricebook, code: &CouponCode) -> Result<Given, Error> {
        let named = book.rules().given(code);
        if named.promotion.is_some() {
            return Ok(named);
        }
        let by_codes = |issued: &Issued| book.rules().promotion(&issued.promotion).is_some_and(|p| matches!(p.trigger, Trigger::Codes(_)));
        Ok(match self.ports.prices.issued(code).await?.filter(by_codes) {
            Some(issued) => Given { promotion: Some(issued.promotion), uses_max: Some(issued.uses_max.unwrap_or(u32::MAX)), ..named },
            None => named,
        })
    }
}
