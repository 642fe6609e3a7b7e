//! The shopkeeper's rules: put and deleted one by one, with versions and an audit.

use crate::App;
use crate::caller::Caller;
use crate::cart::ensure_version;
use crate::error::Error;
use crate::lane::Leader;
use crate::once::{Answered, Once, answer, before};
use crate::ports::{PortError, PortErrorKind, PriceChange, PricesSaved, RuleWrite};
use crate::snapshot::Snapshot;
use domain::ids::{EditionId, Version};
use domain::limits::REASON_MAX;
use domain::order::Actor;
use domain::pricing::{Audited, Benefit, Fault, Kept, Pricebook, Promotion, Rule, RuleFault, RuleId, RuleKey, RuleKind, Selector, Why};
use domain::refusal::Refusal;
use domain::text::Text;
use domain::time::Timestamp;
use std::sync::Arc;

/// A rule with its version.
pub type RuleView = Arc<Kept>;

#[derive(Clone, Debug)]
pub struct PutRule {
    pub rule: Rule,
    pub if_match: Option<Version>,
    /// Whether it must not be there yet; else it must be there.
    pub creates: bool,
    pub reason: Option<Text<REASON_MAX>>,
}

impl App {
    /// A name for a rule to which nobody gave one.
    pub fn fresh_rule_id(&self) -> RuleId {
        RuleId::parse(&format!("{:032x}", self.fresh_bits(self.now()))).expect("invariant: 32 digits")
    }

    /// Creates a rule, or puts it in place of the one with its key.
    pub async fn put_rule(&self, caller: &Caller, put: PutRule, once: Option<Once<RuleView>>) -> Result<Answered<RuleView>, Error> {
        caller.ensure_admin()?;
        let _turn = self.prices_turn().await?;
        if let Some(again) = before(once.as_ref(), |key| self.ports.prices.answer(key)).await? {
            return Ok(again);
        }
        let (now, book) = (self.now(), self.pricebook());
        let expected = match book.get(&put.rule.key()) {
            Some(_) if put.creates => return Err(Refusal::RuleExists.into()),
            Some(old) => old.version,
            None if put.creates => Version(0),
            None => return Err(Refusal::RuleNotFound.into()),
        };
        ensure_version(put.if_match, expected)?;
        self.ensure_sound(&put.rule, &book)?;
        let kept = Arc::new(Kept { rule: put.rule, version: expected.next(), updated_at: now });
        let change = PriceChange {
            rules: vec![RuleWrite::Put { kept: Arc::clone(&kept), expected }],
            answer: answer(once.as_ref(), &kept, now),
            ..PriceChange::by(Why { actor: caller.actor(), reason: put.reason })
        };
        Ok(self.save_prices(change, once.as_ref(), now).await?.unwrap_or(Answered::Fresh(kept)))
    }

    /// Takes a rule away. Codes that were issued for a promotion stay, and lead nowhere until it is there again.
    pub async fn delete_rule(
        &self,
        caller: &Caller,
        key: RuleKey,
        if_match: Option<Version>,
        reason: Option<Text<REASON_MAX>>,
        once: Option<Once<()>>,
    ) -> Result<Answered<()>, Error> {
        caller.ensure_admin()?;
        let _turn = self.prices_turn().await?;
        if let Some(again) = before(once.as_ref(), |key| self.ports.prices.answer(key)).await? {
            return Ok(again);
        }
        let now = self.now();
        let expected = self.pricebook().get(&key).ok_or(Refusal::RuleNotFound)?.version;
        ensure_version(if_match, expected)?;
        let change = PriceChange {
            rules: vec![RuleWrite::Delete { key, expected }],
            answer: answer(once.as_ref(), &(), now),
            ..PriceChange::by(Why { actor: caller.actor(), reason })
        };
        Ok(self.save_prices(change, once.as_ref(), now).await?.unwrap_or(Answered::Fresh(())))
    }

    /// Rules of a kind by id.
    pub fn rules_of(&self, caller: &Caller, kind: RuleKind) -> Result<Vec<RuleView>, Error> {
        caller.ensure_admin()?;
        Ok(self.pricebook().of(kind).cloned().collect())
    }

    pub fn rule(&self, caller: &Caller, key: &RuleKey) -> Result<RuleView, Error> {
        caller.ensure_admin()?;
        Ok(self.pricebook().get(key).cloned().ok_or(Refusal::RuleNotFound)?)
    }

    /// What was changed, newest first; of one rule when it is named, and before a place in the list when given.
    pub async fn rule_history(
        &self,
        caller: &Caller,
        of: Option<&RuleKey>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Audited>, Error> {
        caller.ensure_admin()?;
        Ok(self.ports.prices.audit(of, before, limit).await?)
    }

    /// Whether anybody ever put or deleted a rule.
    pub async fn has_decided_on_prices(&self) -> Result<bool, Error> {
        Ok(!self.ports.prices.audit(None, None, 1).await?.is_empty())
    }

    /// Gives a shop that never had a rule its first ones; says how many it put.
    ///
    /// # Errors
    /// [`Refusal::RuleInvalid`] for the first one that makes no sense; then none is put.
    pub async fn first_rules(&self, rules: Vec<Rule>, reason: Text<REASON_MAX>) -> Result<usize, Error> {
        let _turn = self.prices_turn().await?;
        if rules.is_empty() || self.has_decided_on_prices().await? {
            return Ok(0);
        }
        let now = self.now();
        let mut book = Pricebook::default();
        let mut change = PriceChange::by(Why { actor: Actor::System, reason: Some(reason) });
        for rule in rules {
            self.ensure_sound(&rule, &book)?;
            let kept = Kept::first(rule, now);
            book = book.with([Arc::clone(&kept)], &[]);
            change.rules.push(RuleWrite::Put { kept, expected: Version(0) });
        }
        let count = change.rules.len();
        self.save_prices::<()>(change, None, now).await?;
        Ok(count)
    }

    /// The one door for rules: each makes sense by itself, goes together with the others, and names what the catalog has
    /// and conditions that can be evaluated.
    pub(super) fn ensure_sound(&self, rule: &Rule, book: &Pricebook) -> Result<(), Error> {
        let catalog = self.known_catalog()?;
        let sound = rule.check().and_then(|()| book.check(rule)).and_then(|()| match rule {
            Rule::Promotion(promotion) => {
                self.check_condition(promotion)?;
                names_what_is_there(promotion, &catalog)
            }
            Rule::TaxRate { .. } | Rule::ShippingOption(_) | Rule::ExchangeRate { .. } | Rule::Stacking { .. } => Ok(()),
        });
        Ok(sound.map_err(|fault| Refusal::RuleInvalid { fault })?)
    }

    fn check_condition(&self, promotion: &Promotion) -> Result<(), RuleFault> {
        let Some(source) = &promotion.needs.expression else { return Ok(()) };
        self.ports.expressions.check(source).map_err(|why| Fault::ConditionInvalid { why }.of("expression"))
    }

    pub(super) async fn save_prices<T>(
        &self,
        change: PriceChange,
        once: Option<&Once<T>>,
        now: Timestamp,
    ) -> Result<Option<Answered<T>>, Error> {
        match (self.ports.prices.save(change, now).await?, once) {
            (PricesSaved::Done, _) => Ok(None),
            (PricesSaved::Answered(first), Some(once)) => once.again(first).map(Some),
            (PricesSaved::Conflict | PricesSaved::Answered(_), _) => Err(Refusal::IdempotencyInFlight.into()),
            (PricesSaved::CodeTaken(code), _) => Err(Refusal::CodeTaken { code }.into()),
        }
    }

    pub(super) async fn prices_turn(&self) -> Result<Leader<(), (), ()>, Error> {
        let lost = || PortError::unknown("prices", PortErrorKind::Unavailable, "too many changes of rules wait");
        Ok(self.prices.turn((), ()).await.ok_or_else(lost)?)
    }
}

fn names_what_is_there(promotion: &Promotion, snapshot: &Snapshot) -> Result<(), RuleFault> {
    let missing = |id: String, field| Err(Fault::NotInCatalog { id }.of(field));
    if let Benefit::Gift { edition } = promotion.benefit
        && !has_edition(snapshot, edition)
    {
        return missing(edition.to_string(), "gift");
    }
    for selector in promotion.targets().flat_map(|target| target.any.iter().chain(&target.except)) {
        match *selector {
            Selector::Edition(id) if !has_edition(snapshot, id) => return missing(id.to_string(), "targets"),
            Selector::Book(id) if snapshot.book(id).is_none() => return missing(id.to_string(), "targets"),
            Selector::Heading(id) if snapshot.heading(id).is_none() => return missing(id.to_string(), "targets"),
            Selector::Edition(_) | Selector::Book(_) | Selector::Heading(_) | Selector::Format(_) => {}
        }
    }
    Ok(())
}

fn has_edition(snapshot: &Snapshot, id: EditionId) -> bool {
    snapshot.book_of(id).is_some()
}
