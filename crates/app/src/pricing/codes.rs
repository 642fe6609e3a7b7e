//! Many codes for one promotion, each of them hard to guess.

use crate::App;
use crate::caller::Caller;
use crate::digest::first_half;
use crate::error::Error;
use crate::once::{Answered, Once, answer, before};
use crate::ports::{CodeWrite, PriceChange};
use domain::ids::{CouponCode, PromotionId};
use domain::limits::{CODE_PREFIX_MAX, CODES_CHUNK, CODES_MAX, REASON_MAX};
use domain::pricing::{Batch, Counter, Issued, Rule, RuleKey, Trigger, Why};
use domain::refusal::Refusal;
use domain::text::Text;
use sha2::{Digest, Sha256};

/// Codes to be issued.
#[derive(Clone, Debug)]
pub struct Issue {
    /// 1 to 100,000.
    pub count: u32,
    /// What they begin with, before a hyphen; at most [`CODE_PREFIX_MAX`] characters.
    pub prefix: Option<CouponCode>,
    /// Orders that may use one code; any number when left out.
    pub uses_max: Option<u32>,
}

/// An issued code, and how many orders used it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeView {
    pub issued: Issued,
    pub used: u64,
}

impl App {
    /// Issues codes for a promotion. They are written piece by piece; a repeat with the same key goes on where the first
    /// request ended, and one whose codes are all there changes nothing.
    pub async fn issue_codes(
        &self,
        caller: &Caller,
        promotion: PromotionId,
        issue: Issue,
        reason: Option<Text<REASON_MAX>>,
        once: Option<Once<Batch>>,
    ) -> Result<Answered<Batch>, Error> {
        caller.ensure_admin()?;
        let _turn = self.prices_turn().await?;
        if let Some(again) = before(once.as_ref(), |key| self.ports.prices.answer(key)).await? {
            return Ok(again);
        }
        self.ensure_issuable(&promotion, &issue)?;
        let id = once.as_ref().map_or_else(|| self.fresh_bits(self.now()), batch_id);
        let batch = Batch { id, promotion, count: issue.count };
        let why = Why { actor: caller.actor(), reason };
        let mut there = self.ports.prices.batch(id).await?;
        let codes = self.fresh_codes(&issue, there);
        let mut left = codes.as_slice();
        loop {
            let now = self.now();
            let (next, rest) = left.split_at(left.len().min(CODES_CHUNK));
            let write = CodeWrite { batch: batch.clone(), uses_max: issue.uses_max, expected: there, codes: next.to_vec() };
            let answer = if rest.is_empty() { answer(once.as_ref(), &batch, now) } else { None };
            let change = PriceChange { codes: Some(write), answer, ..PriceChange::by(why.clone()) };
            if let Some(again) = self.save_prices(change, once.as_ref(), now).await? {
                return Ok(again);
            }
            if rest.is_empty() {
                return Ok(Answered::Fresh(batch));
            }
            there += u32::try_from(next.len()).expect("invariant: a chunk is small");
            left = rest;
        }
    }

    fn ensure_issuable(&self, promotion: &PromotionId, issue: &Issue) -> Result<(), Refusal> {
        match &self.pricebook().get(&RuleKey::promotion(promotion)).ok_or(Refusal::RuleNotFound)?.rule {
            Rule::Promotion(p) if matches!(p.trigger, Trigger::Codes(_)) => {}
            _ => return Err(Refusal::CodesNotUsed),
        }
        let fits = (1..=CODES_MAX).contains(&issue.count) && issue.prefix.as_ref().is_none_or(|p| p.as_str().len() <= CODE_PREFIX_MAX);
        if fits { Ok(()) } else { Err(Refusal::CodesInvalid) }
    }

    /// The codes that a batch with `there` is short of, in order: neighbors share a page, so that few pages are written at once.
    fn fresh_codes(&self, issue: &Issue, there: u32) -> Vec<CouponCode> {
        let fresh = |_| fresh_code(self.ports.entropy.bits(), issue.prefix.as_ref());
        let mut codes: Vec<_> = (there..issue.count).map(fresh).collect();
        codes.sort_unstable();
        codes
    }

    /// Codes that were issued for a promotion, in their order, with how many orders used each.
    pub async fn codes(
        &self,
        caller: &Caller,
        promotion: &PromotionId,
        after: Option<&CouponCode>,
        limit: usize,
    ) -> Result<Vec<CodeView>, Error> {
        caller.ensure_admin()?;
        let issued = self.ports.prices.codes(promotion, after, limit).await?;
        let counters: Vec<Counter> = issued.iter().map(|i| Counter::Code(i.code.clone())).collect();
        let usage = self.ports.ledger.usage(&counters).await?;
        Ok(issued.into_iter().zip(&counters).map(|(issued, counter)| CodeView { issued, used: usage.of(counter) }).collect())
    }
}

/// The same request issues into the same batch.
fn batch_id(once: &Once<Batch>) -> u128 {
    u128::from_be_bytes(first_half(Sha256::new_with_prefix(once.mark.key).chain_update(once.mark.fingerprint)))
}

/// Digits and letters that are not mistaken for each other (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// 13 characters of 5 bits each: 65 bits that nobody can guess.
fn fresh_code(bits: u128, prefix: Option<&CouponCode>) -> CouponCode {
    let chance = (0..13).map(|n| char::from(ALPHABET[(bits >> (5 * n)) as usize % 32]));
    let text: String = prefix.iter().flat_map(|p| p.as_str().chars().chain(['-'])).chain(chance).collect();
    CouponCode::parse(&text).expect("invariant: a prefix leaves room")
}
