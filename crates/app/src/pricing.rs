//! Offers and quotes for the other use cases, and quotes for anybody.

use crate::App;
use crate::cart::AddItem;
use crate::error::Error;
use crate::ports::Catalog;
use crate::snapshot::Snapshot;
use domain::catalog::{Offer, Offers};
use domain::ids::{BookId, CouponCode, EditionId, ShippingOptionId};
use domain::limits::{CART_ITEMS_MAX, COUPON_CODES_MAX};
use domain::money::Currency;
use domain::pricing::{Context, Coupon, Destination, Line, Quote, quote};
use domain::refusal::Refusal;
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
        Some(Offer::of(book, edition, self.catalog.level(id).available()))
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

/// A coupon that can be used now.
#[derive(Clone, Debug)]
pub struct ActiveCoupon {
    pub coupon: Coupon,
    /// Unlimited when left out.
    pub uses_left: Option<u32>,
}

impl App {
    pub(crate) fn shelf(&self) -> Shelf {
        Shelf { snapshot: self.ports.catalog.snapshot(), catalog: Arc::clone(&self.ports.catalog) }
    }

    /// Which of these coupons have no uses left. Asks the ledger only about limited ones.
    pub(crate) async fn exhausted(&self, codes: impl IntoIterator<Item = &CouponCode>) -> Result<Vec<CouponCode>, Error> {
        let mut exhausted = Vec::new();
        for code in codes {
            let Some(limit) = self.rules.coupon(code).and_then(|c| c.uses_max) else { continue };
            if self.ports.ledger.coupon_uses(code).await? >= limit {
                exhausted.push(code.clone());
            }
        }
        Ok(exhausted)
    }

    /// Quotes anything, without a cart.
    pub async fn calculate(&self, ask: Calculate) -> Result<Quote, Error> {
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
        let context = Context {
            currency: ask.currency.unwrap_or(self.policy.currency),
            destination: ask.destination,
            shipping: ask.shipping,
            exhausted: self.exhausted(&ask.coupons).await?,
        };
        Ok(quote(&lines, &ask.coupons, &shelf, &self.rules, &context, self.now())?)
    }

    /// The coupons that can be used now.
    pub async fn discounts(&self) -> Result<Vec<ActiveCoupon>, Error> {
        let now = self.now();
        let mut active = Vec::new();
        for coupon in self.rules.coupons().filter(|c| c.window.is_open(now)) {
            let uses_left = match coupon.uses_max {
                Some(limit) => Some(limit.saturating_sub(self.ports.ledger.coupon_uses(&coupon.code).await?)),
                None => None,
            };
            if uses_left != Some(0) {
                active.push(ActiveCoupon { coupon: coupon.clone(), uses_left });
            }
        }
        Ok(active)
    }
}
