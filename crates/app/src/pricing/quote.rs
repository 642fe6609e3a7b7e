//! Quotes for anybody, without a cart.

use super::{Shelf, Terms};
use crate::App;
use crate::caller::Caller;
use crate::cart::AddItem;
use crate::error::Error;
use crate::tax::Asked;
use domain::ids::{CouponCode, ShippingOptionId};
use domain::limits::{CART_ITEMS_MAX, COUPON_CODES_MAX};
use domain::money::Currency;
use domain::pricing::{Context, Counter, Destination, Line, Promotion, Quote, Trigger};
use domain::refusal::Refusal;
use domain::time::Timestamp;

#[derive(Clone, Debug)]
pub struct Calculate {
    pub items: Vec<AddItem>,
    pub coupons: Vec<CouponCode>,
    pub destination: Option<Destination>,
    pub shipping: Option<ShippingOptionId>,
    pub currency: Option<Currency>,
}

impl Calculate {
    pub(super) fn ensure_bounded(&self) -> Result<(), Refusal> {
        if self.items.len() > CART_ITEMS_MAX {
            return Err(Refusal::CartFull);
        }
        if self.coupons.len() > COUPON_CODES_MAX { Err(Refusal::CouponsTooMany) } else { Ok(()) }
    }

    /// Each edition once.
    fn lines(&self, shelf: &Shelf) -> Result<Vec<Line>, Error> {
        let mut lines: Vec<Line> = Vec::with_capacity(self.items.len());
        for item in &self.items {
            let edition = shelf.edition(item.product, item.variant)?;
            match lines.iter_mut().find(|l| l.edition == edition) {
                Some(line) => line.quantity = line.quantity.plus(item.quantity)?,
                None => lines.push(Line { edition, quantity: item.quantity }),
            }
        }
        Ok(lines)
    }

    fn context(&self, terms: &Terms, currency: Currency) -> Context {
        Context { destination: self.destination.clone(), shipping: self.shipping.clone(), ..terms.context(currency) }
    }
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
    /// Quotes anything, without a cart.
    pub async fn calculate(&self, caller: &Caller, ask: Calculate) -> Result<Quote, Error> {
        ask.ensure_bounded()?;
        let now = self.now();
        let terms = self.terms(self.pricebook(), &ask.coupons, caller.shopper(None), now).await?;
        let (shelf, currency) = (self.shelf(), ask.currency.unwrap_or(self.policy.currency));
        let asked = Asked { terms: &terms, lines: &ask.lines(&shelf)?, coupons: &ask.coupons, shelf: &shelf };
        Ok(self.quote_taxed(&asked, ask.context(&terms, currency), None, now).await?.0)
    }

    /// By the table of taxes, whoever else knows more.
    pub(super) fn quote_by(&self, terms: &Terms, ask: &Calculate, now: Timestamp) -> Result<Quote, Error> {
        let (shelf, currency) = (self.shelf(), ask.currency.unwrap_or(self.policy.currency));
        terms.quote(&ask.lines(&shelf)?, &ask.coupons, &shelf, &ask.context(terms, currency), now)
    }

    /// The coupons that can be used now.
    pub async fn discounts(&self) -> Result<Vec<ActiveCoupon>, Error> {
        let (now, book) = (self.now(), self.pricebook());
        let mut active = Vec::new();
        for promotion in book.rules().promotions().iter().filter(|p| p.active && p.window.is_open(now)) {
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
