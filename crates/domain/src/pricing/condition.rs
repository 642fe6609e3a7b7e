//! Conditions of a shop's own, in a language this crate does not know.

use super::{Context, Quote};
use crate::catalog::HeadingId;
use crate::limits::EXPRESSION_MAX;
use crate::text::Text;
use std::fmt;
use std::sync::Arc;

/// What a condition can look at: the goods as priced before any discount, who buys, and where it goes. No clock, no chance.
pub struct Facts<'a> {
    pub quote: &'a Quote,
    /// What each line's book is under.
    pub headings: &'a [Arc<[HeadingId]>],
    pub context: &'a Context,
}

impl fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts").field("lines", &self.quote.lines.len()).finish_non_exhaustive()
    }
}

/// A language in which a shop writes conditions of its own.
pub trait Conditions: Send + Sync {
    /// Whether this is a condition, and one that ends within a known number of steps.
    ///
    /// # Errors
    /// What is wrong with it, for whoever wrote it.
    fn check(&self, source: &Text<EXPRESSION_MAX>) -> Result<(), String>;

    /// Whether a condition that was checked holds; `None` when that cannot be told (a value of an unexpected kind, a sum out of range).
    fn holds(&self, source: &Text<EXPRESSION_MAX>, facts: &Facts<'_>) -> Option<bool>;
}

/// Whoever evaluates conditions, if anybody does; without one no condition can be told to hold.
#[derive(Clone, Default)]
pub struct Evaluator(pub Option<Arc<dyn Conditions>>);

impl Evaluator {
    pub(super) fn holds(&self, source: &Text<EXPRESSION_MAX>, facts: &Facts<'_>) -> Option<bool> {
        self.0.as_ref()?.holds(source, facts)
    }
}

/// It adds nothing to what a price depends on: a condition says what it says.
impl PartialEq for Evaluator {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Evaluator {}

impl fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Evaluator" } else { "no Evaluator" })
    }
}
