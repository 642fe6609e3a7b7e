//! Rules, their audit and issued codes in the database, and the pricebook of the rules in memory.

use crate::columns::{Id, Parameter, int, lent, limit, parameters, uint};
use crate::commit::{Write, commit};
use crate::fault::Fault;
use crate::{PgStore, answers, queries};
use app::ports::{Answer, CodeWrite, PortError, PriceChange, Prices, PricesSaved, RuleWrite};
use async_trait::async_trait;
use domain::ids::{CouponCode, PromotionId};
use domain::pricing::{Audited, Deed, Issued, Kept, Pricebook, RuleKey, RuleKind};
use domain::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

const PORT: &str = "prices";

/// A rule as it is stored, and the transaction that wrote it.
struct Stored {
    kept: Kept,
    xid: i64,
}

type Shelf = HashMap<RuleKey, Stored>;

/// A change as `save_prices` takes it, its records made where the caller is.
struct Saving {
    /// All but the first, which is the id of the commit.
    parameters: Vec<Parameter>,
    answer: Option<Answer>,
}

impl Saving {
    /// None when a rule is not as it is expected.
    fn of(change: &PriceChange, shelf: &Shelf, now: Timestamp) -> Option<Self> {
        let lines = audit_lines(change, shelf, now)?;
        let mut parameters = parameters![now.0];
        parameters.extend(answers::parameters(change.answer.as_ref()));
        parameters.extend(rule_parameters(change, shelf));
        parameters.extend(code_parameters(change.codes.as_ref()));
        parameters.extend(parameters![
            lines.iter().map(|line| line.key.kind.as_str()).collect::<Vec<_>>(),
            lines.iter().map(|line| line.key.id.to_string()).collect::<Vec<_>>(),
            lines.iter().map(records::encode_audited).collect::<Vec<_>>(),
        ]);
        Some(Self { parameters, answer: change.answer.clone() })
    }
}

/// What the audit is told, in order; the places in the list are the database's to say. None when a rule is not as it
/// is expected.
fn audit_lines(change: &PriceChange, shelf: &Shelf, at: Timestamp) -> Option<Vec<Audited>> {
    let mut deeds = Vec::new();
    for write in &change.rules {
        let there = shelf.get(&write.key());
        if there.map_or(0, |there| there.kept.version.0) != write.expected().0 {
            return None;
        }
        let before = there.map(|there| Box::new(there.kept.rule.clone()));
        let deed = match write {
            RuleWrite::Put { kept, .. } => Deed::Put { before, after: Box::new(kept.rule.clone()) },
            RuleWrite::Delete { .. } => Deed::Deleted { before: before? },
        };
        deeds.push((write.key(), deed));
    }
    let beginning = change.codes.as_ref().filter(|write| write.expected == 0);
    deeds.extend(
        beginning
            .map(|CodeWrite { batch, .. }| (RuleKey::promotion(&batch.promotion), Deed::Issued { batch: batch.id, count: batch.count })),
    );
    Some(deeds.into_iter().map(|(key, deed)| Audited { sequence: 0, key, at, why: change.why.clone(), deed }).collect())
}

/// Rules that are put, rules that go, and the codes that promotions among them name.
fn rule_parameters(change: &PriceChange, shelf: &Shelf) -> Vec<Parameter> {
    let xid = |key: &RuleKey| shelf.get(key).map(|there| there.xid);
    let put = || {
        change.rules.iter().filter_map(|write| match write {
            RuleWrite::Put { kept, .. } => Some((kept.rule.key(), kept)),
            RuleWrite::Delete { .. } => None,
        })
    };
    let gone = || change.rules.iter().filter(|write| matches!(write, RuleWrite::Delete { .. })).map(RuleWrite::key);
    let promotions = change.rules.iter().map(RuleWrite::key).filter(|key| key.kind == RuleKind::Promotion);
    let named = || put().flat_map(|(key, kept)| kept.rule.codes().iter().map(move |code| (code.to_string(), key.id.to_string())));
    parameters![
        put().map(|(key, _)| key.kind.as_str()).collect::<Vec<_>>(),
        put().map(|(key, _)| key.id.to_string()).collect::<Vec<_>>(),
        put().map(|(key, _)| xid(&key)).collect::<Vec<_>>(),
        put().map(|(_, kept)| int(kept.version.0)).collect::<Vec<_>>(),
        put().map(|(_, kept)| records::encode_kept(kept)).collect::<Vec<_>>(),
        gone().map(|key| key.kind.as_str()).collect::<Vec<_>>(),
        gone().map(|key| key.id.to_string()).collect::<Vec<_>>(),
        gone().map(|key| xid(&key)).collect::<Vec<_>>(),
        promotions.map(|key| key.id.to_string()).collect::<Vec<_>>(),
        named().map(|(code, _)| code).collect::<Vec<_>>(),
        named().map(|(_, promotion)| promotion).collect::<Vec<_>>(),
    ]
}

fn code_parameters(write: Option<&CodeWrite>) -> Vec<Parameter> {
    parameters![
        write.map(|write| Id(write.batch.id)),
        write.map(|write| write.batch.promotion.to_string()),
        write.and_then(|write| write.uses_max).map(i64::from),
        write.map(|write| i64::from(write.expected)),
        write.map(|write| write.codes.iter().map(ToString::to_string).collect::<Vec<_>>()),
    ]
}

impl Write for Saving {
    const QUERY: &str = queries::prices::save;
    type Outcome = PricesSaved;

    fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        lent(&self.parameters).collect()
    }

    fn happened(&self) -> PricesSaved {
        PricesSaved::Done
    }

    fn outcome(&self, row: &Row) -> Result<PricesSaved, Fault> {
        let saved = match row.try_get::<_, Option<&str>>("outcome")? {
            None => PricesSaved::Done,
            Some("answered") => PricesSaved::Answered(answers::first(self.answer.as_ref(), row)?),
            Some("conflict") => PricesSaved::Conflict,
            Some("code taken") => {
                PricesSaved::CodeTaken(CouponCode::parse(row.try_get("taken")?).expect("invariant: it is one of those that were given"))
            }
            Some(other) => return Err(Fault::Unheard(other.to_owned())),
        };
        Ok(saved)
    }
}

impl PgStore {
    /// The rules that a change is about, as they are.
    async fn shelf(&self, change: &PriceChange) -> Result<Shelf, Fault> {
        if change.rules.is_empty() {
            return Ok(Shelf::new());
        }
        let (kinds, ids): (Vec<_>, Vec<_>) =
            change.rules.iter().map(RuleWrite::key).map(|key| (key.kind.as_str(), key.id.to_string())).unzip();
        let rows = self.primary().read(queries::prices::rules, &[&kinds, &ids]).await?;
        let stored = rows.iter().map(|row| {
            let kept = records::decode_kept(row.try_get("body")?)?;
            Ok((kept.rule.key(), Stored { kept, xid: row.try_get("xid")? }))
        });
        stored.collect()
    }

    async fn save_prices(&self, change: &PriceChange, now: Timestamp) -> Result<PricesSaved, PortError> {
        // What the audit says was there before is what the change then replaces, or it conflicts.
        let shelf = self.shelf(change).await.map_err(|fault| fault.without_effect(PORT))?;
        match (Saving::of(change, &shelf, now), &change.answer) {
            (Some(saving), _) => commit(self.primary(), &saving, now).await.map_err(|fault| fault.of_write(PORT)),
            (None, Some(answer)) => {
                let first = self.answer_to(PORT, answer.mark.key).await?;
                Ok(first.map_or(PricesSaved::Conflict, PricesSaved::Answered))
            }
            (None, None) => Ok(PricesSaved::Conflict),
        }
    }
}

#[async_trait]
impl Prices for PgStore {
    fn book(&self) -> Arc<Pricebook> {
        self.copy().pricebook()
    }

    async fn save(&self, change: PriceChange, now: Timestamp) -> Result<PricesSaved, PortError> {
        let saved = self.save_prices(&change, now).await?;
        // Issued codes are not in the copy.
        if !change.rules.is_empty() {
            self.show(PORT, matches!(saved, PricesSaved::Done | PricesSaved::Answered(_))).await?;
        }
        Ok(saved)
    }

    async fn issued(&self, code: &CouponCode) -> Result<Option<Issued>, PortError> {
        let found = self.primary().read(queries::prices::issued, &[&code.as_str()]).await;
        found.and_then(|rows| rows.first().map_or(Ok(None), issued)).map_err(|fault| fault.without_effect(PORT))
    }

    async fn codes(&self, promotion: &PromotionId, after: Option<&CouponCode>, most: usize) -> Result<Vec<Issued>, PortError> {
        let after = after.map(ToString::to_string).unwrap_or_default();
        let found = self.replica().read(queries::prices::codes, &[&promotion.as_str(), &after, &limit(most)]).await;
        let issued = |rows: Vec<Row>| rows.iter().filter_map(|row| issued(row).transpose()).collect();
        found.and_then(issued).map_err(|fault| fault.without_effect(PORT))
    }

    async fn batch(&self, id: u128) -> Result<u32, PortError> {
        let found = self.primary().read(queries::prices::batch, &[&Id(id)]).await;
        let count =
            |rows: Vec<Row>| rows.first().map_or(Ok(0), |row| Ok(u32::try_from(row.try_get::<_, i64>("issued")?).unwrap_or(u32::MAX)));
        found.and_then(count).map_err(|fault| fault.without_effect(PORT))
    }

    /// From the primary: whether anybody has ever decided on prices is read here, too.
    async fn audit(&self, of: Option<&RuleKey>, before: Option<u64>, most: usize) -> Result<Vec<Audited>, PortError> {
        let (before, most) = (before.map_or(i64::MAX, int), limit(most));
        let found = match of {
            Some(RuleKey { kind, id }) => {
                self.primary().read(queries::prices::audit_of, &[&kind.as_str(), &id.as_str(), &before, &most]).await
            }
            None => self.primary().read(queries::prices::audit, &[&before, &most]).await,
        };
        found.and_then(|rows| rows.iter().map(audited).collect()).map_err(|fault| fault.without_effect(PORT))
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.answer_to(PORT, key).await
    }
}

/// A row of `code, promotion, batch, uses_max, at`; none when it is not the domain's.
fn issued(row: &Row) -> Result<Option<Issued>, Fault> {
    let (code, promotion): (&str, &str) = (row.try_get("code")?, row.try_get("promotion")?);
    let (Some(code), Some(promotion)) = (CouponCode::parse(code), PromotionId::parse(promotion)) else { return Ok(None) };
    let uses_max = row.try_get::<_, Option<i64>>("uses_max")?.and_then(|most| u32::try_from(most).ok());
    Ok(Some(Issued { code, promotion, uses_max, batch: row.try_get::<_, Id>("batch")?.0, at: Timestamp(row.try_get("at")?) }))
}

fn audited(row: &Row) -> Result<Audited, Fault> {
    let sequence = uint(row.try_get("sequence")?);
    Ok(Audited { sequence, ..records::decode_audited(row.try_get("body")?)? })
}
