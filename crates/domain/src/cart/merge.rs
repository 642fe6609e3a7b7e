//! Merging a guest's cart into a customer's: as if once, however often it is asked.

use super::{Cart, CartEvent};
use crate::limits::{CART_ITEMS_MAX, CART_MERGED_MAX, COUPON_CODES_MAX, QUANTITY_MAX};
use crate::planted;
use crate::quantity::Quantity;
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Which quantity an edition gets that is in both carts. Editions in only one of them are kept either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Both together, at most [`QUANTITY_MAX`].
    Sum,
    /// The larger one.
    Max,
    /// The other cart's.
    Source,
    /// This cart's.
    Target,
}

impl Strategy {
    pub const ALL: [Self; 4] = [Self::Sum, Self::Max, Self::Source, Self::Target];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Max => "max",
            Self::Source => "source",
            Self::Target => "target",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }

    fn resolve(self, target: Quantity, source: Quantity) -> Quantity {
        match self {
            Self::Sum => {
                let sum = (target.get() + source.get()).min(QUANTITY_MAX);
                Quantity::new(i64::from(sum)).expect("invariant: between 1 and the maximum")
            }
            Self::Max => target.max(source),
            Self::Source => source,
            Self::Target => target,
        }
    }
}

impl Cart {
    pub(super) fn merge(&mut self, source: &Self, strategy: Strategy, now: Timestamp) -> Result<Option<CartEvent>, Refusal> {
        if self.merged.contains(&source.id) && !planted("merged-twice") {
            return Ok(None);
        }
        if source.id == self.id {
            return Err(Refusal::MergeSourceInvalid);
        }
        if source.currency != self.currency && !source.items.is_empty() {
            if !self.items.is_empty() {
                return Err(Refusal::CurrencyFixed);
            }
            self.currency = source.currency;
        }
        for theirs in &source.items {
            let full = self.items.len() == CART_ITEMS_MAX;
            match self.items.iter_mut().find(|i| i.edition == theirs.edition) {
                Some(ours) => {
                    ours.quantity = strategy.resolve(ours.quantity, theirs.quantity);
                    ours.updated_at = now;
                }
                None if full => return Err(Refusal::CartFull),
                None => self.items.push(theirs.clone()),
            }
        }
        for code in &source.coupons {
            if self.coupons.len() < COUPON_CODES_MAX && !self.coupons.contains(code) {
                self.coupons.push(code.clone());
            }
        }
        if self.merged.len() == CART_MERGED_MAX {
            self.merged.remove(0);
        }
        self.merged.push(source.id);
        Ok(Some(CartEvent::Merged { source: source.id, strategy }))
    }
}
