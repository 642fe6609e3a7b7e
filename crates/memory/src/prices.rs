use crate::MemoryStore;
use crate::store::State;
use app::ports::{Answer, Audited, CodeWrite, Deed, Issued, PortError, PriceChange, Prices, PricesSaved, RuleWrite, Why};
use async_trait::async_trait;
use domain::ids::{CouponCode, PromotionId, Version};
use domain::order::Actor;
use domain::pricing::{Kept, Pricebook, Rule, RuleId, RuleKey, RuleKind};
use domain::time::Timestamp;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Rules, what was done to them, and codes that were issued.
#[derive(Debug, Default)]
pub(crate) struct PriceShelf {
    book: Arc<Pricebook>,
    audit: Vec<Audited>,
    issued: BTreeMap<CouponCode, Issued>,
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
        let next = self.prices.after(&change.rules)?;
        self.prices.ensure_free(&next, &change)?;
        let writes = change.rules.iter().map(|write| (write.key(), self.prices.deed(write)));
        let lines: Vec<_> = writes.chain(change.codes.as_ref().and_then(begun)).collect();
        for (key, deed) in lines {
            let sequence = self.prices.audit.len() as u64 + 1;
            self.prices.audit.push(Audited { sequence, key, at: now, why: change.why.clone(), deed });
        }
        if !change.rules.is_empty() {
            self.prices.book = Arc::new(next);
        }
        if let Some(CodeWrite { batch, uses_max, codes, .. }) = change.codes {
            let issued = |code| Issued { code, promotion: batch.promotion.clone(), uses_max, batch: batch.id, at: now };
            self.prices.issued.extend(codes.into_iter().map(|code| (code.clone(), issued(code))));
        }
        self.remember(change.answer);
        Ok(())
    }
}

/// The line that a batch leaves with its first codes.
fn begun(write: &CodeWrite) -> Option<(RuleKey, Deed)> {
    let id = RuleId::parse(write.batch.promotion.as_str()).expect("invariant: an id is a rule's id");
    let key = RuleKey { kind: RuleKind::Promotion, id };
    (write.expected == 0).then_some((key, Deed::Issued { batch: write.batch.id, count: write.batch.count }))
}

impl PriceShelf {
    fn issued_in(&self, batch: u128) -> u32 {
        u32::try_from(self.issued.values().filter(|issued| issued.batch == batch).count()).expect("invariant: a batch is bounded")
    }

    /// The pricebook after these writes.
    fn after(&self, writes: &[RuleWrite]) -> Result<Pricebook, PricesSaved> {
        let (mut put, mut removed) = (Vec::new(), Vec::new());
        for write in writes {
            let stored = self.book.get(&write.key()).map_or(Version(0), |kept| kept.version);
            let expected = match write {
                RuleWrite::Put { kept, expected } => {
                    put.push(Arc::clone(kept));
                    expected
                }
                RuleWrite::Delete { key, expected } => {
                    removed.push(key.clone());
                    expected
                }
            };
            if stored != *expected {
                return Err(PricesSaved::Conflict);
            }
        }
        Ok(self.book.with(put, &removed))
    }

    /// Each code leads to one promotion, and the batch has as many as expected.
    fn ensure_free(&self, next: &Pricebook, change: &PriceChange) -> Result<(), PricesSaved> {
        let taken = |code: &CouponCode| Err(PricesSaved::CodeTaken(code.clone()));
        if let Some(code) = next.code_named_twice() {
            return taken(code);
        }
        let named = change.rules.iter().flat_map(|write| match write {
            RuleWrite::Put { kept, .. } => kept.rule.codes(),
            RuleWrite::Delete { .. } => &[],
        });
        if let Some(code) = named.into_iter().find(|code| self.issued.contains_key(code)) {
            return taken(code);
        }
        let Some(write) = &change.codes else { return Ok(()) };
        if self.issued_in(write.batch.id) != write.expected {
            return Err(PricesSaved::Conflict);
        }
        match write.codes.iter().find(|code| self.issued.contains_key(code) || next.rules().coupon(code).is_some()) {
            Some(code) => taken(code),
            None => Ok(()),
        }
    }

    fn deed(&self, write: &RuleWrite) -> Deed {
        let before = self.book.get(&write.key()).map(|kept| Box::new(kept.rule.clone()));
        match (write, before) {
            (RuleWrite::Put { kept, .. }, before) => Deed::Put { before, after: Box::new(kept.rule.clone()) },
            (RuleWrite::Delete { .. }, Some(before)) => Deed::Deleted { before },
            (RuleWrite::Delete { .. }, None) => unreachable!("its version was compared"),
        }
    }
}
