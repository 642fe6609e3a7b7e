//! Conditions of a shop's own, in a language this crate does not know.

use super::{Context, Quote};
use crate::catalog::HeadingId;
use crate::limits::EXPRESSION_MAX;
use crate::text::Text;
use std::any::Any;
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

/// What a condition can look at: the goods as priced before any discount, who buys, and where it goes. No clock, no chance.
pub struct Facts<'a> {
    pub quote: &'a Quote,
    /// What each line's book is under.
    pub headings: &'a [Arc<[HeadingId]>],
    pub context: &'a Context,
    /// Whatever an evaluator makes of these facts once for all conditions of a quote.
    pub memo: OnceCell<Box<dyn Any>>,
}

impl fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts").field("lines", &self.quote.lines.len()).finish_non_exhaustive()
    }
}

/// A condition that was checked when it was made: it ends within a known number of steps and cannot panic.
pub trait Predicate: Send + Sync + fmt::Debug {
    /// Whether it holds; `None` when it cannot be told (a value of an unexpected kind, a sum out of range).
    fn holds(&self, facts: &Facts<'_>) -> Option<bool>;
}

/// A condition as it was written, and what it was made into.
#[derive(Clone)]
pub struct Expression {
    pub source: Text<EXPRESSION_MAX>,
    pub predicate: Arc<dyn Predicate>,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Expression {}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}
