use super::target::{PartBody, TargetBody, part, target_of};
use crate::read::{Object, Value};
use crate::scalar::{self, MoneyBody, Show};
use domain::ids::EditionId;
use domain::limits::RULE_PARTS_MAX;
use domain::pricing::{Benefit, Off, Target, Tier};
use serde::Serialize;

/// What something is lowered by, or to.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum OffBody {
    RatePpm(u32),
    Amount(MoneyBody),
    Price(MoneyBody),
}

impl From<&Off> for OffBody {
    fn from(off: &Off) -> Self {
        match off {
            Off::Rate(rate) => Self::RatePpm(rate.0),
            Off::Amount(amount) => Self::Amount(MoneyBody(*amount)),
            Off::Price(price) => Self::Price(MoneyBody(*price)),
        }
    }
}

fn off(o: &mut Object<'_, '_>) -> Option<Off> {
    let given = ["ratePpm", "amount", "price"].into_iter().filter(|name| o.has(name)).count();
    let rate = o.optional("ratePpm", scalar::ppm).map(Off::Rate);
    let amount = o.optional("amount", scalar::price).map(Off::Amount);
    let price = o.optional("price", scalar::price).map(Off::Price);
    if given != 1 {
        return o.wrong("ratePpm", "REQUIRED", "Give one of `ratePpm`, `amount` and `price`.");
    }
    rate.or(amount).or(price)
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum BenefitBody {
    Each {
        #[serde(skip_serializing_if = "Option::is_none")]
        of: Option<TargetBody>,
        off: OffBody,
    },
    Tiers {
        #[serde(skip_serializing_if = "Option::is_none")]
        of: Option<TargetBody>,
        tiers: Vec<TierBody<u32>>,
    },
    BuyGet {
        #[serde(skip_serializing_if = "Option::is_none")]
        buy: Option<TargetBody>,
        buy_count: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        get: Option<TargetBody>,
        get_count: u32,
        rate_ppm: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        times_max: Option<u32>,
    },
    Bundle {
        parts: Vec<PartBody>,
        off: OffBody,
        #[serde(skip_serializing_if = "Option::is_none")]
        times_max: Option<u32>,
    },
    Gift {
        variant_id: Show<EditionId>,
    },
    Goods {
        #[serde(skip_serializing_if = "Option::is_none")]
        of: Option<TargetBody>,
        off: OffBody,
    },
    Spend {
        tiers: Vec<TierBody<MoneyBody>>,
    },
    Shipping {
        off: OffBody,
    },
}

#[derive(Debug, Serialize)]
pub struct TierBody<T> {
    from: T,
    off: OffBody,
}

impl From<&Benefit> for BenefitBody {
    fn from(benefit: &Benefit) -> Self {
        match benefit {
            Benefit::Each { of, off } => Self::Each { of: TargetBody::unless_all(of), off: off.into() },
            Benefit::Tiers { of, tiers } => {
                let tiers = tiers.iter().map(|t| TierBody { from: t.from, off: (&t.off).into() }).collect();
                Self::Tiers { of: TargetBody::unless_all(of), tiers }
            }
            Benefit::BuyGet { buy, buy_count, get, get_count, off, times_max } => Self::BuyGet {
                buy: TargetBody::unless_all(buy),
                buy_count: *buy_count,
                get: TargetBody::unless_all(get),
                get_count: *get_count,
                rate_ppm: off.0,
                times_max: *times_max,
            },
            Benefit::Bundle { parts, off, times_max } => {
                Self::Bundle { parts: parts.iter().map(PartBody::from).collect(), off: off.into(), times_max: *times_max }
            }
            Benefit::Gift { edition } => Self::Gift { variant_id: Show(*edition) },
            Benefit::Goods { of, off } => Self::Goods { of: TargetBody::unless_all(of), off: off.into() },
            Benefit::Spend { tiers } => {
                Self::Spend { tiers: tiers.iter().map(|t| TierBody { from: MoneyBody(t.from), off: (&t.off).into() }).collect() }
            }
            Benefit::Shipping { off } => Self::Shipping { off: off.into() },
        }
    }
}

const KINDS: [&str; 8] = ["each", "tiers", "buy_get", "bundle", "gift", "goods", "spend", "shipping"];

pub(super) fn benefit(o: &mut Object<'_, '_>) -> Option<Benefit> {
    let kind = o.required("kind", |v| v.parsed(|text| KINDS.into_iter().find(|kind| *kind == text), &KINDS.join(", ")))?;
    match kind {
        "each" => targeted(o).map(|(of, off)| Benefit::Each { of, off }),
        "goods" => targeted(o).map(|(of, off)| Benefit::Goods { of, off }),
        "tiers" => {
            let (of, tiers) = (target_of(o, "of"), o.required("tiers", |v| tiers(v, scalar::count)));
            Some(Benefit::Tiers { of: of?, tiers: tiers? })
        }
        "spend" => Some(Benefit::Spend { tiers: o.required("tiers", |v| tiers(v, scalar::price))? }),
        "buy_get" => buy_get(o),
        "bundle" => {
            let parts = o.required("parts", |v| v.some()?.list(RULE_PARTS_MAX, "TOO_MANY", |v| v.object(part)));
            let (off, times_max) = (o.required("off", |v| v.object(off)), o.optional("timesMax", scalar::count));
            Some(Benefit::Bundle { parts: parts?, off: off?, times_max })
        }
        "gift" => {
            let edition = o.required("variantId", |v| v.parsed(EditionId::parse, "the id of an edition"));
            Some(Benefit::Gift { edition: edition? })
        }
        _ => Some(Benefit::Shipping { off: o.required("off", |v| v.object(off))? }),
    }
}

fn targeted(o: &mut Object<'_, '_>) -> Option<(Target, Off)> {
    let (of, off) = (target_of(o, "of"), o.required("off", |v| v.object(off)));
    Some((of?, off?))
}

fn buy_get(o: &mut Object<'_, '_>) -> Option<Benefit> {
    let (buy, buy_count) = (target_of(o, "buy"), o.required("buyCount", scalar::count));
    let (get, get_count) = (target_of(o, "get"), o.required("getCount", scalar::count));
    let off = o.required("ratePpm", scalar::ppm);
    let times_max = o.optional("timesMax", scalar::count);
    Some(Benefit::BuyGet { buy: buy?, buy_count: buy_count?, get: get?, get_count: get_count?, off: off?, times_max })
}

fn tiers<T>(value: Value<'_, '_>, from: impl Fn(Value<'_, '_>) -> Option<T>) -> Option<Vec<Tier<T>>> {
    value.some()?.list(RULE_PARTS_MAX, "TOO_MANY", |v| {
        v.object(|o| {
            let (from, off) = (o.required("from", &from), o.required("off", |v| v.object(off)));
            Some(Tier { from: from?, off: off? })
        })
    })
}
