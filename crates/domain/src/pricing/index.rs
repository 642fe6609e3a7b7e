//! Which lines promotions are for: looked up once a quote, so that a promotion does not have to ask every line.

use super::QuotedLine;
use super::promotion::{Promotion, Selector, Target};
use crate::catalog::HeadingId;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What promotions name, numbered.
#[derive(Clone, Debug, Default)]
pub(super) struct Named(BTreeMap<Selector, usize>);

impl Named {
    pub fn by<'a>(promotions: impl IntoIterator<Item = &'a Promotion>) -> Self {
        let mut numbers = BTreeMap::new();
        for selector in promotions.into_iter().flat_map(Promotion::targets).flat_map(|target| &target.any) {
            let next = numbers.len();
            numbers.entry(*selector).or_insert(next);
        }
        Self(numbers)
    }
}

/// The lines of one quote by what promotions name.
pub(super) struct Index<'a> {
    named: &'a Named,
    /// By number, each in order.
    lines: Vec<Vec<usize>>,
    all: Vec<usize>,
}

impl<'a> Index<'a> {
    pub fn of(named: &'a Named, lines: &[QuotedLine], headings: &[Arc<[HeadingId]>]) -> Self {
        let mut index = Self { named, lines: vec![Vec::new(); named.0.len()], all: (0..lines.len()).collect() };
        for (n, (line, headings)) in lines.iter().zip(headings).enumerate() {
            let own = [Selector::Edition(line.edition), Selector::Book(line.book), Selector::Format(line.format)];
            for selector in own.into_iter().chain(headings.iter().map(|id| Selector::Heading(*id))) {
                let Some(number) = named.0.get(&selector) else { continue };
                // A book may be under a heading twice.
                if index.lines[*number].last() != Some(&n) {
                    index.lines[*number].push(n);
                }
            }
        }
        index
    }

    /// Lines in order that a target names; its exceptions are among them.
    pub fn named_by(&self, target: &Target) -> Cow<'_, [usize]> {
        let lines = |selector| self.named.0.get(selector).map_or(&[][..], |number| &self.lines[*number]);
        match target.any.as_slice() {
            [] => Cow::Borrowed(&self.all),
            [one] => Cow::Borrowed(lines(one)),
            several => {
                let mut named: Vec<usize> = several.iter().flat_map(lines).copied().collect();
                named.sort_unstable();
                named.dedup();
                Cow::Owned(named)
            }
        }
    }
}
