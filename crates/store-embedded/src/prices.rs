//! Rules, their audit and issued codes on disk, and the pricebook of the rules in memory.

use crate::columns::{change, int, limit, many, one, uint, value};
use crate::fault::Fault;
use crate::memory::Memory;
use crate::writer::{Guard, Turn, Verdict};
use crate::{EmbeddedStore, answers};
use app::ports::{Answer, CodeWrite, PortError, PriceChange, Prices, PricesSaved, RuleWrite};
use async_trait::async_trait;
use domain::ids::{CouponCode, PromotionId};
use domain::pricing::{Audited, Deed, Issued, Kept, Pricebook, RuleKey};
use domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use std::sync::Arc;

const PORT: &str = "prices";

/// The format from which on rules are kept.
pub const SINCE: u32 = 4;

/// Every rule.
pub fn load(on: &Connection) -> Result<Pricebook, Fault> {
    Ok(Pricebook::new(many(on, "SELECT body FROM rules", (), records::decode_kept)?.into_iter().map(Arc::new)))
}

/// A change as the writer needs it.
struct Saving {
    change: PriceChange,
    now: Timestamp,
}

impl Saving {
    fn save(&self, turn: &Turn<'_>) -> Result<Verdict<PricesSaved>, Fault> {
        Ok(match self.refused(turn)? {
            Some(refused) => Verdict::Undo(refused),
            None => Verdict::Keep(PricesSaved::Done),
        })
    }

    /// Writes until something does not hold. Codes that rules named go before new ones come: within one change two
    /// promotions may swap them.
    fn refused(&self, turn: &Turn<'_>) -> Result<Option<PricesSaved>, Fault> {
        if let Some(first) = answers::first(turn, &self.change.answer)? {
            return Ok(Some(PricesSaved::Answered(first)));
        }
        for write in &self.change.rules {
            if !self.write_rule(turn, write)? {
                return Ok(Some(PricesSaved::Conflict));
            }
        }
        for write in &self.change.rules {
            if let RuleWrite::Put { kept, .. } = write
                && let Some(taken) = self.name_codes(turn, kept)?
            {
                return Ok(Some(PricesSaved::CodeTaken(taken)));
            }
        }
        if let Some(write) = &self.change.codes
            && let Some(refused) = self.issue(turn, write)?
        {
            return Ok(Some(refused));
        }
        if let Some(answer) = &self.change.answer {
            answers::remember(turn, answer)?;
        }
        Ok(None)
    }

    /// Whether the rule was as expected; then it is as it shall be.
    fn write_rule(&self, on: &Connection, write: &RuleWrite) -> Result<bool, Fault> {
        let key = write.key();
        let (kind, id) = (key.kind.as_str(), key.id.as_str());
        let before = one(on, "SELECT body FROM rules WHERE kind = ?1 AND id = ?2", (kind, id), records::decode_kept)?;
        if before.as_ref().map_or(0, |kept| kept.version.0) != write.expected().0 {
            return Ok(false);
        }
        let before = before.map(|kept| Box::new(kept.rule));
        if kind == "promotion" {
            change(on, "DELETE FROM codes WHERE promotion = ?1 AND batch IS NULL", [id])?;
        }
        let deed = match (write, before) {
            (RuleWrite::Put { kept, .. }, before) => {
                let sql = "INSERT INTO rules (kind, id, version, body) VALUES (?1, ?2, ?3, ?4)
                           ON CONFLICT (kind, id) DO UPDATE SET version = ?3, body = ?4";
                change(on, sql, (kind, id, int(kept.version.0), records::encode_kept(kept)))?;
                Deed::Put { before, after: Box::new(kept.rule.clone()) }
            }
            (RuleWrite::Delete { .. }, Some(before)) => {
                change(on, "DELETE FROM rules WHERE kind = ?1 AND id = ?2", (kind, id))?;
                Deed::Deleted { before }
            }
            (RuleWrite::Delete { .. }, None) => return Ok(false),
        };
        self.tell(on, key, deed)?;
        Ok(true)
    }

    /// A code of the rule that leads elsewhere already.
    fn name_codes(&self, on: &Connection, kept: &Kept) -> Result<Option<CouponCode>, Fault> {
        let promotion = kept.rule.key().id;
        for code in kept.rule.codes() {
            let sql = "INSERT INTO codes (code, promotion, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            if change(on, sql, (code.as_str(), promotion.as_str(), self.now.0))? == 0 {
                return Ok(Some(code.clone()));
            }
        }
        Ok(None)
    }

    fn issue(&self, on: &Connection, write: &CodeWrite) -> Result<Option<PricesSaved>, Fault> {
        let CodeWrite { batch, uses_max, expected, codes } = write;
        let id = batch.id.to_be_bytes();
        if issued_in(on, batch.id)? != *expected {
            return Ok(Some(PricesSaved::Conflict));
        }
        for code in codes {
            let sql = "INSERT INTO codes (code, promotion, batch, uses_max, at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
            if change(on, sql, (code.as_str(), batch.promotion.as_str(), id, uses_max, self.now.0))? == 0 {
                return Ok(Some(PricesSaved::CodeTaken(code.clone())));
            }
        }
        let sql = "INSERT INTO batches (id, issued) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET issued = issued + ?2";
        change(on, sql, (id, limit(codes.len())))?;
        if *expected == 0 {
            self.tell(on, RuleKey::promotion(&batch.promotion), Deed::Issued { batch: batch.id, count: batch.count })?;
        }
        Ok(None)
    }

    /// A line in the audit.
    fn tell(&self, on: &Connection, key: RuleKey, deed: Deed) -> Result<(), Fault> {
        let last: i64 = value(on, "SELECT coalesce(max(sequence), 0) FROM rule_audit", ())?.unwrap_or(0);
        let line = Audited { sequence: uint(last + 1), key, at: self.now, why: self.change.why.clone(), deed };
        let sql = "INSERT INTO rule_audit (sequence, kind, id, body) VALUES (?1, ?2, ?3, ?4)";
        change(on, sql, (last + 1, line.key.kind.as_str(), line.key.id.as_str(), records::encode_audited(&line)))?;
        Ok(())
    }
}

fn issued_in(on: &Connection, batch: u128) -> Result<u32, Fault> {
    Ok(value(on, "SELECT issued FROM batches WHERE id = ?1", [batch.to_be_bytes()])?.unwrap_or(0))
}

/// A row of `code, promotion, batch, uses_max, at`.
fn issued(row: &Row<'_>) -> rusqlite::Result<Option<Issued>> {
    let (code, promotion): (String, String) = (row.get(0)?, row.get(1)?);
    let (Some(code), Some(promotion)) = (CouponCode::parse(&code), PromotionId::parse(&promotion)) else { return Ok(None) };
    Ok(Some(Issued { code, promotion, batch: u128::from_be_bytes(row.get(2)?), uses_max: row.get(3)?, at: Timestamp(row.get(4)?) }))
}

fn find(on: &Connection, code: &CouponCode) -> Result<Option<Issued>, Fault> {
    let sql = "SELECT code, promotion, batch, uses_max, at FROM codes WHERE code = ?1 AND batch IS NOT NULL";
    Ok(on.prepare_cached(sql)?.query_row([code.as_str()], issued).optional()?.flatten())
}

fn of_promotion(on: &Connection, promotion: &PromotionId, after: &str, most: usize) -> Result<Vec<Issued>, Fault> {
    let sql = "SELECT code, promotion, batch, uses_max, at FROM codes
               WHERE promotion = ?1 AND code > ?2 AND batch IS NOT NULL ORDER BY code LIMIT ?3";
    let mut statement = on.prepare_cached(sql)?;
    let rows = statement.query_map((promotion.as_str(), after, limit(most)), issued)?;
    Ok(rows.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn audit(on: &Connection, of: Option<&RuleKey>, before: Option<u64>, most: usize) -> Result<Vec<Audited>, Fault> {
    let (before, most) = (before.map_or(i64::MAX, int), limit(most));
    match of {
        Some(RuleKey { kind, id }) => {
            let sql = "SELECT body FROM rule_audit WHERE kind = ?1 AND id = ?2 AND sequence < ?3 ORDER BY sequence DESC LIMIT ?4";
            many(on, sql, (kind.as_str(), id.as_str(), before, most), records::decode_audited)
        }
        None => {
            let sql = "SELECT body FROM rule_audit WHERE sequence < ?1 ORDER BY sequence DESC LIMIT ?2";
            many(on, sql, (before, most), records::decode_audited)
        }
    }
}

#[async_trait]
impl Prices for EmbeddedStore {
    fn book(&self) -> Arc<Pricebook> {
        self.memory().pricebook()
    }

    async fn save(&self, change: PriceChange, now: Timestamp) -> Result<PricesSaved, PortError> {
        let rules = change.rules.clone();
        let saving = Saving { change, now };
        let apply = move |memory: &Memory, saved: &PricesSaved| {
            if matches!(saved, PricesSaved::Done) {
                memory.rules_changed(&rules);
            }
        };
        self.writer(PORT)?.submit(PORT, Guard::Savepoint, move |turn| saving.save(turn), apply).await
    }

    async fn issued(&self, code: &CouponCode) -> Result<Option<Issued>, PortError> {
        self.readers().point(PORT, |on| find(on, code))
    }

    async fn codes(&self, promotion: &PromotionId, after: Option<&CouponCode>, limit: usize) -> Result<Vec<Issued>, PortError> {
        let (promotion, after) = (promotion.clone(), after.map(ToString::to_string).unwrap_or_default());
        self.readers().range(PORT, move |on| of_promotion(on, &promotion, &after, limit)).await
    }

    async fn batch(&self, id: u128) -> Result<u32, PortError> {
        self.readers().point(PORT, |on| issued_in(on, id))
    }

    async fn audit(&self, of: Option<&RuleKey>, before: Option<u64>, limit: usize) -> Result<Vec<Audited>, PortError> {
        let of = of.cloned();
        self.readers().range(PORT, move |on| audit(on, of.as_ref(), before, limit)).await
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.readers().point(PORT, |on| answers::find(on, key))
    }
}
