use crate::MemoryStore;
use crate::store::State;
use app::ports::{Answer, CodeWrite, PortError, PriceChange, Prices, PricesSaved, RuleWrite};
use async_trait::async_trait;
use domain::ids::{CouponCode, PromotionId, Version};
use domain::order::Actor;
use domain::pricing::{Audited, Deed, Issued, Kept, Pricebook, Rule, RuleKey, Why};
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// Rules, what was done to them, and codes that were issued.
#[derive(Debug, Default)]
pub(crate) struct PriceShelf {
    book: Arc<Pricebook>,
    audit: Vec<Audited>,
    issued: BTreeMap<CouponCode, Issued>,
    /// How many codes each batch has.
    batches: BTreeMap<u128, u32>,
}

#[async_trait]
impl Prices for MemoryStore {
    fn book(&self) -> Arc<Pricebook> {
        Arc::clone(&self.state().prices.book)
    }

    async fn save(&self, change: PriceChange, now: Timestamp) -> Result<PricesSaved, PortError> {
        let mut state = self.state();
        Ok(state.save_prices(change, now).err().unwrap_or(PricesSaved::Done))
    }

    async fn issued(&self, code: &CouponCode) -> Result<Option<Issued>, PortError> {
        Ok(self.state().prices.issued.get(code).cloned())
    }

    async fn codes(&self, promotion: &PromotionId, after: Option<&CouponCode>, limit: usize) -> Result<Vec<Issued>, PortError> {
        let state = self.state();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let issued = state.prices.issued.range::<CouponCode, _>((from, Bound::Unbounded)).map(|(_, issued)| issued);
        Ok(issued.filter(|issued| issued.promotion == *promotion).take(limit).cloned().collect())
    }

    async fn batch(&self, id: u128) -> Result<u32, PortError> {
        Ok(self.state().prices.issued_in(id))
    }

    async fn audit(&self, of: Option<&RuleKey>, before: Option<u64>, limit: usize) -> Result<Vec<Audited>, PortError> {
        let state = self.state();
        let lines = state.prices.audit.iter().rev();
        let asked = lines.filter(|line| of.is_none_or(|key| line.key == *key) && before.is_none_or(|before| line.sequence < before));
        Ok(asked.take(limit).cloned().collect())
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        Ok(self.state().answers.get(&key).cloned())
    }
}

impl MemoryStore {
    /// A store that has these rules from the start.
    #[must_use]
    pub fn with_rules(self, rules: impl IntoIterator<Item = Rule>) -> Self {
        let put = |rule| RuleWrite::Put { kept: Kept::first(rule, Timestamp(0)), expected: Version(0) };
        let change =
            PriceChange { rules: rules.into_iter().map(put).collect(), ..PriceChange::by(Why { actor: Actor::System, reason: None }) };
        self.state().save_prices(change, Timestamp(0)).expect("invariant: the first rules of an empty store");
        self
    }
}

impl State {
    /// # Errors
    /// The first precondition that does not hold; nothing has changed then.
    fn save_prices(&mut self, change: PriceChange, now: Timestamp) -> Result<(), PricesSaved> {
        if let Some(first) = self.answered(&change.answer) {
            return Err(PricesSaved::Answered(first));
        }
        let book = self.prices.after(&change.rules)?;
        self.prices.ensure_free(&book, &change)?;
        let beginning = change.codes.as_ref().filter(|write| write.expected == 0).map(begun);
        let deeds: Vec<_> = change.rules.iter().map(|write| self.prices.deed(write)).chain(beginning).collect();
        for (key, deed) in deeds {
            let sequence = self.prices.audit.len() as u64 + 1;
            self.prices.audit.push(Audited { sequence, key, at: now, why: change.why.clone(), deed });
        }
        if !change.rules.is_empty() {
            self.prices.book = Arc::new(book);
        }
        if let Some(write) = change.codes {
            self.prices.issue(write, now);
        }
        self.remember(change.answer);
        Ok(())
    }
}

fn begun(write: &CodeWrite) -> (RuleKey, Deed) {
    (RuleKey::promotion(&write.batch.promotion), Deed::Issued { batch: write.batch.id, count: write.batch.count })
}

impl PriceShelf {
    /// The pricebook after these writes, if they expect what is there.
    fn after(&self, writes: &[RuleWrite]) -> Result<Pricebook, PricesSaved> {
        let stored = |write: &RuleWrite| self.book.get(&write.key()).map_or(Version(0), |kept| kept.version);
        let nothing = |write: &RuleWrite| matches!(write, RuleWrite::Delete { .. }) && write.expected() == Version(0);
        if writes.iter().any(|write| stored(write) != write.expected() || nothing(write)) {
            return Err(PricesSaved::Conflict);
        }
        let put = writes.iter().filter_map(|write| match write {
            RuleWrite::Put { kept, .. } => Some(Arc::clone(kept)),
            RuleWrite::Delete { .. } => None,
        });
        let removed: Vec<_> = writes.iter().map(RuleWrite::key).collect();
        Ok(self.book.with(put, &removed))
    }

    fn deed(&self, write: &RuleWrite) -> (RuleKey, Deed) {
        let before = self.book.get(&write.key()).map(|kept| Box::new(kept.rule.clone()));
        let deed = match (write, before) {
            (RuleWrite::Put { kept, .. }, before) => Deed::Put { before, after: Box::new(kept.rule.clone()) },
            (RuleWrite::Delete { .. }, Some(before)) => Deed::Deleted { before },
            (RuleWrite::Delete { .. }, None) => unreachable!("a rule that is not there is not deleted"),
        };
        (write.key(), deed)
    }

    fn issued_in(&self, batch: u128) -> u32 {
        self.batches.get(&batch).copied().unwrap_or(0)
    }

    /// No code leads to two promotions, and the batch has as many as expected.
    fn ensure_free(&self, next: &Pricebook, change: &PriceChange) -> Result<(), PricesSaved> {
        let taken = |code: &CouponCode| PricesSaved::CodeTaken(code.clone());
        if let Some(code) = next.code_named_twice() {
            return Err(taken(code));
        }
        let named = change.rules.iter().flat_map(|write| match write {
            RuleWrite::Put { kept, .. } => kept.rule.codes(),
            RuleWrite::Delete { .. } => &[],
        });
        if let Some(code) = named.into_iter().find(|code| self.issued.contains_key(*code)) {
            return Err(taken(code));
        }
        let Some(write) = &change.codes else { return Ok(()) };
        if self.issued_in(write.batch.id) != write.expected {
            return Err(PricesSaved::Conflict);
        }
        let mut fresh = BTreeSet::new();
        let is_free = |code| !self.issued.contains_key(code) && next.rules().coupon(code).is_none();
        write.codes.iter().find(|code| !is_free(code) || !fresh.insert(*code)).map_or(Ok(()), |code| Err(taken(code)))
    }

    fn issue(&mut self, write: CodeWrite, now: Timestamp) {
        let CodeWrite { batch, uses_max, expected, codes } = write;
        let count = u32::try_from(codes.len()).expect("invariant: a batch is bounded");
        self.batches.insert(batch.id, expected + count);
        let issued = |code| Issued { code, promotion: batch.promotion.clone(), uses_max, batch: batch.id, at: now };
        self.issued.extend(codes.into_iter().map(|code| (code.clone(), issued(code))));
    }
}
