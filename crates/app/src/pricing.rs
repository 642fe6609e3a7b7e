//! Offers and quotes for the other use cases, and quotes for anybody.

use crate::App;
use crate::caller::Caller;
use crate::cart::AddItem;
use crate::error::Error;
use crate::ports::Catalog;
use crate::snapshot::Snapshot;
use domain::catalog::{Offer, Offers};
use domain::ids::{BookId, CouponCode, EditionId, ShippingOptionId};
use domain::limits::{CART_ITEMS_MAX, COUPON_CODES_MAX};
use domain::money::Currency;
use domain::pricing::{Context, Counter, Destination, Given, Line, Promotion, Quote, Shopper, Trigger, Usage};
use domain::refusal::Refusal;
use domain::time::{Local, Timestamp};
use std::sync::Arc;

/// Offers as of now: the catalog snapshot with recent stock levels.
pub(crate) struct Shelf {
    snapshot: Arc<Snapshot>,
    catalog: Arc<dyn Catalog>,
}

impl Offers for Shelf {
    fn offer(&self, id: EditionId) -> Option<Offer> {
        let book = self.snapshot.book_of(id)?;
        let edition = book.edition(id)?;
        Some(Offer::of(book, edition, self.catalog.level(id).available(), self.snapshot.headings_of(book.id)))
    }
}

impl Shelf {
    /// Which edition is meant: the named one, or the only one.
    pub fn edition(&self, product: BookId, variant: Option<EditionId>) -> Result<EditionId, Refusal> {
        let book = self.snapshot.book(product).ok_or(Refusal::ProductNotFound)?;
        match (variant, book.editions.as_slice()) {
            (Some(id), _) => book.edition(id).map(|e| e.id).ok_or(Refusal::ProductNotFound),
            (None, [only]) => Ok(only.id),
            (None, _) => Err(Refusal::VariantRequired),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Calculate {
    pub items: Vec<AddItem>,
    pub coupons: Vec<CouponCode>,
    pub destination: Option<Destination>,
    pub shipping: Option<ShippingOptionId>,
    pub currency: Option<Currency>,
}

/// What a quote depends on besides the goods and where they go.
pub(crate) struct Terms {
    /// What is known of every code that may be on the cart.
    codes: Vec<Given>,
    pub shopper: Shopper,
    local: Local,
    usage: Usage,
}

impl Terms {
    pub fn context(&self, currency: Currency) -> Context {
        let (shopper, usage) = (self.shopper.clone(), self.usage.clone());
        Context { shopper, local: self.local, usage, ..Context::cart(currency) }
    }

    /// What is known of the codes on a cart, in their order.
    pub fn given(&self, codes: &[CouponCode]) -> Vec<Given> {
        codes.iter().filter_map(|code| self.codes.iter().find(|g| g.code == *code)).cloned().collect()
    }
}

/// What is quoted.
pub(crate) struct Asked<'a> {
    pub lines: &'a [Line],
    pub given: Vec<Given>,
    pub shelf: Shelf,
}

/// A coupon that can be used now.
#[derive(Clone, Debug)]
pub struct ActiveCoupon {
    pub code: CouponCode,
    pub promotion: Promotion,
    /// Unlimited when left out.
    pub uses_left: Option<u32>,
}

impl App {
    pub(crate) fn shelf(&self) -> Shelf {
        Shelf { snapshot: self.ports.catalog.snapshot(), catalog: Arc::clone(&self.ports.catalog) }
    }

    /// Looks up all that a quote depends on besides the goods. Asks the ledger only about what is limited.
    pub(crate) async fn terms(
        &self,
        codes: impl IntoIterator<Item = &CouponCode>,
        shopper: Shopper,
        now: Timestamp,
    ) -> Result<Terms, Error> {
        let mut terms = Terms { codes: Vec::new(), shopper, local: Local::default(), usage: Usage::default() };
        for code in codes {
            if !terms.codes.iter().any(|g| g.code == *code) {
                terms.codes.push(self.rules.given(code));
            }
        }
        let counters = self.rules.counters(&terms.codes, terms.shopper.who);
        if !counters.is_empty() {
            terms.usage = self.ports.ledger.usage(&counters).await?;
        }
        terms.shopper.orders = terms.shopper.who.map(|who| terms.usage.of(&Counter::Orders(who)));
        if !self.rules.is_steady() || !terms.codes.is_empty() {
            terms.local = self.policy.local(now);
        }
        Ok(terms)
    }

    /// Quotes anything, without a cart.
    pub async fn calculate(&self, caller: &Caller, ask: Calculate) -> Result<Quote, Error> {
        if ask.items.len() > CART_ITEMS_MAX {
            return Err(Refusal::CartFull.into());
        }
        if ask.coupons.len() > COUPON_CODES_MAX {
            return Err(Refusal::CouponsTooMany.into());
        }
        let shelf = self.shelf();
        let mut lines: Vec<Line> = Vec::with_capacity(ask.items.len());
        for item in &ask.items {
            let edition = shelf.edition(item.product, item.variant)?;
            match lines.iter_mut().find(|l| l.edition == edition) {
                Some(line) => line.quantity = line.quantity.plus(item.quantity)?,
                None => lines.push(Line { edition, quantity: item.quantity }),
            }
        }
        let now = self.now();
        let terms = self.terms(&ask.coupons, caller.shopper(None), now).await?;
        let currency = ask.currency.unwrap_or(self.policy.currency);
        let context = Context { destination: ask.destination, shipping: ask.shipping, ..terms.context(currency) };
        let asked = Asked { lines: &lines, given: terms.given(&ask.coupons), shelf };
        Ok(self.quote_taxed(&asked, context, None, now).await?.0)
    }

    /// The coupons that can be used now.
    pub async fn discounts(&self) -> Result<Vec<ActiveCoupon>, Error> {
        let now = self.now();
        let mut active = Vec::new();
        for promotion in self.rules.promotions().iter().filter(|p| p.active && p.window.is_open(now)) {
            let Trigger::Codes(codes) = &promotion.trigger else { continue };
            let counter = Counter::Uses(promotion.id.clone());
            let uses_left = match promotion.budget.uses {
                Some(limit) => {
                    let used = self.ports.ledger.usage(std::slice::from_ref(&counter)).await?.of(&counter);
                    Some(limit.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX)))
                }
                None => None,
            };
            if uses_left != Some(0) {
                active.extend(codes.iter().map(|code| ActiveCoupon { code: code.clone(), promotion: promotion.clone(), uses_left }));
            }
        }
        active.sort_by(|a, b| a.code.cmp(&b.code));
        Ok(active)
    }
}
