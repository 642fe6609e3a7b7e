//! What a cart would cost under rules that are not there yet.

use super::Calculate;
use crate::App;
use crate::caller::Caller;
use crate::error::Error;
use domain::limits::RULE_PARTS_MAX;
use domain::pricing::{Kept, Pricebook, Quote, Rule, RuleKey, Shopper};
use domain::refusal::Refusal;
use domain::time::Timestamp;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Simulate {
    pub ask: Calculate,
    /// Rules that would be there, in place of those with their keys.
    pub drafts: Vec<Rule>,
    /// Rules that would not be there.
    pub without: Vec<RuleKey>,
    /// Who buys; the caller when left out.
    pub shopper: Option<Shopper>,
    /// When; now when left out.
    pub at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct Simulated {
    /// By the rules as they are.
    pub before: Quote,
    pub after: Quote,
}

impl App {
    /// Prices the same goods by the rules as they are and as they would be. Nothing is saved.
    pub async fn simulate(&self, caller: &Caller, simulate: Simulate) -> Result<Simulated, Error> {
        caller.ensure_admin()?;
        simulate.ask.ensure_bounded()?;
        let at = simulate.at.unwrap_or(self.now());
        let shopper = simulate.shopper.unwrap_or_else(|| caller.shopper(None));
        let book = self.pricebook();
        let drafted = Arc::new(self.drafted(&book, simulate.drafts, &simulate.without, at)?);
        let before = self.terms(book, &simulate.ask.coupons, shopper.clone(), at).await?;
        let after = self.terms(drafted, &simulate.ask.coupons, shopper, at).await?;
        Ok(Simulated { before: self.quote_by(&before, &simulate.ask, at)?, after: self.quote_by(&after, &simulate.ask, at)? })
    }

    fn drafted(&self, book: &Pricebook, drafts: Vec<Rule>, without: &[RuleKey], at: Timestamp) -> Result<Pricebook, Error> {
        if drafts.len() > RULE_PARTS_MAX || without.len() > RULE_PARTS_MAX {
            return Err(Refusal::OperationsTooMany.into());
        }
        if without.iter().any(|key| book.get(key).is_none()) {
            return Err(Refusal::RuleNotFound.into());
        }
        let mut drafted = book.with([], without);
        for rule in drafts {
            self.ensure_sound(&rule, &drafted)?;
            drafted = drafted.with([Kept::first(rule, at)], &[]);
        }
        Ok(drafted)
    }
}
