//! Rules of prices, what was done to them, and what editions were sold at.

use crate::stored::{self, As, Stored, mirrored};
use crate::{Damaged, json};
use domain::catalog::{Format, HeadingId};
use domain::ids::{BookId, CouponCode, EditionId, PromotionGroup, PromotionId, Segment, ShippingOptionId, TaxName, Version};
use domain::limits::{EXPRESSION_MAX, NAME_MAX, REASON_MAX};
use domain::money::{Currency, Money, Nano, Ppm, Rounding};
use domain::order::Actor;
use domain::person::{Country, Region};
use domain::pricing::{
    Audited, Basis, Benefit, Budget, Deed, ExchangeRate, Hours, Kept, Level, Minimum, Needs, Off, Part, Place, PostalRange, PriceLine,
    Promotion, Rule, RuleId, RuleKey, RuleKind, Scale, Selector, ShippingOption, ShippingStep, Stacking, Target, TaxRate, Tier, Trigger,
    Why, Window,
};
use domain::text::Text;
use domain::time::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `{"v":1,"rule":{"promotion":{…}},"version":3,"updated_at":…}`
pub fn encode_kept(kept: &Kept) -> Vec<u8> {
    json::encode(kept)
}

pub fn decode_kept(bytes: &[u8]) -> Result<Kept, Damaged> {
    json::decode("rule", bytes)
}

pub fn encode_audited(line: &Audited) -> Vec<u8> {
    json::encode(line)
}

pub fn decode_audited(bytes: &[u8]) -> Result<Audited, Damaged> {
    json::decode("line of the audit", bytes)
}

pub fn encode_price_line(line: &PriceLine) -> Vec<u8> {
    json::encode(line)
}

pub fn decode_price_line(bytes: &[u8]) -> Result<PriceLine, Damaged> {
    json::decode("line of the price history", bytes)
}

mirrored! {
    Kept as KeptRecord;
    Rule as RuleRecord;
    RuleKey as RuleKeyRecord;
    Promotion as PromotionRecord;
    Trigger as TriggerRecord;
    Benefit as BenefitRecord;
    Part as PartRecord;
    Target as TargetRecord;
    Selector as SelectorRecord;
    Needs as NeedsRecord;
    Minimum as MinimumRecord;
    Basis as BasisRecord;
    Window as WindowRecord;
    Hours as HoursRecord;
    Stacking as StackingRecord;
    Budget as BudgetRecord;
    TaxRate as TaxRateRecord;
    Level as LevelRecord;
    Rounding as RoundingRecord;
    Place as PlaceRecord;
    ShippingOption as ShippingOptionRecord;
    Scale as ScaleRecord;
    ExchangeRate as ExchangeRateRecord;
    Audited as AuditedRecord;
    Why as WhyRecord;
    Deed as DeedRecord;
    PriceLine as PriceLineRecord;
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Kept")]
struct KeptRecord {
    #[serde(with = "stored")]
    rule: Rule,
    #[serde(with = "stored")]
    version: Version,
    #[serde(with = "stored")]
    updated_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Rule", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "it mirrors the domain's")]
enum RuleRecord {
    Promotion(#[serde(with = "stored")] Promotion),
    TaxRate {
        #[serde(with = "stored")]
        id: RuleId,
        #[serde(with = "stored")]
        rate: TaxRate,
    },
    ShippingOption(#[serde(with = "stored")] ShippingOption),
    ExchangeRate {
        #[serde(with = "stored")]
        id: RuleId,
        #[serde(with = "stored")]
        rate: ExchangeRate,
    },
    Stacking {
        most: Option<u32>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RuleKey")]
struct RuleKeyRecord {
    #[serde(with = "stored")]
    kind: RuleKind,
    #[serde(with = "stored")]
    id: RuleId,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Promotion")]
struct PromotionRecord {
    #[serde(with = "stored")]
    id: PromotionId,
    #[serde(with = "stored")]
    label: Text<NAME_MAX>,
    active: bool,
    #[serde(with = "stored")]
    trigger: Trigger,
    #[serde(with = "stored")]
    benefit: Benefit,
    #[serde(with = "stored")]
    needs: Needs,
    #[serde(with = "stored")]
    window: Window,
    #[serde(with = "stored")]
    hours: Vec<Hours>,
    priority: i32,
    #[serde(with = "stored")]
    stacking: Stacking,
    #[serde(with = "stored")]
    cap: Option<Money>,
    #[serde(with = "stored")]
    budget: Budget,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Trigger", rename_all = "snake_case")]
enum TriggerRecord {
    Automatic,
    Codes(#[serde(with = "stored")] Vec<CouponCode>),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Benefit", rename_all = "snake_case")]
enum BenefitRecord {
    Each {
        #[serde(with = "stored")]
        of: Target,
        #[serde(with = "stored")]
        off: Off,
    },
    Tiers {
        #[serde(with = "stored")]
        of: Target,
        #[serde(with = "stored")]
        tiers: Vec<Tier<u32>>,
    },
    BuyGet {
        #[serde(with = "stored")]
        buy: Target,
        buy_count: u32,
        #[serde(with = "stored")]
        get: Target,
        get_count: u32,
        #[serde(with = "stored")]
        off: Ppm,
        times_max: Option<u32>,
    },
    Bundle {
        #[serde(with = "stored")]
        parts: Vec<Part>,
        #[serde(with = "stored")]
        off: Off,
        times_max: Option<u32>,
    },
    Gift {
        #[serde(with = "stored")]
        edition: EditionId,
    },
    Goods {
        #[serde(with = "stored")]
        of: Target,
        #[serde(with = "stored")]
        off: Off,
    },
    Spend {
        #[serde(with = "stored")]
        tiers: Vec<Tier<Money>>,
    },
    Shipping {
        #[serde(with = "stored")]
        off: Off,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Part")]
struct PartRecord {
    #[serde(with = "stored")]
    of: Target,
    count: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Target")]
struct TargetRecord {
    #[serde(with = "stored")]
    any: Vec<Selector>,
    #[serde(with = "stored")]
    except: Vec<Selector>,
    full_price_only: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Selector", rename_all = "snake_case")]
enum SelectorRecord {
    Edition(#[serde(with = "stored")] EditionId),
    Book(#[serde(with = "stored")] BookId),
    Heading(#[serde(with = "stored")] HeadingId),
    Format(#[serde(with = "stored")] Format),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Needs")]
struct NeedsRecord {
    #[serde(with = "stored")]
    minimum: Option<Minimum>,
    #[serde(with = "stored")]
    copies: Option<Part>,
    #[serde(with = "stored")]
    segments: Vec<Segment>,
    first_order: bool,
    birthday_within_days: Option<u16>,
    #[serde(with = "stored")]
    expression: Option<Text<EXPRESSION_MAX>>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Minimum")]
struct MinimumRecord {
    #[serde(with = "stored")]
    amount: Money,
    #[serde(with = "stored")]
    basis: Basis,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Basis", rename_all = "snake_case")]
enum BasisRecord {
    Subtotal,
    Discounted,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Window")]
struct WindowRecord {
    #[serde(with = "stored")]
    from: Option<Timestamp>,
    #[serde(with = "stored")]
    to: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Hours")]
struct HoursRecord {
    weekday: u8,
    from_minute: u16,
    to_minute: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Stacking", rename_all = "snake_case")]
enum StackingRecord {
    Combine,
    BestOf(#[serde(with = "stored")] PromotionGroup),
    Exclusive,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Budget")]
struct BudgetRecord {
    uses: Option<u32>,
    uses_each: Option<u32>,
    #[serde(with = "stored")]
    amount: Option<Money>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TaxRate")]
struct TaxRateRecord {
    #[serde(with = "stored")]
    tax: TaxName,
    #[serde(with = "stored")]
    place: Place,
    #[serde(with = "stored")]
    label: Text<NAME_MAX>,
    #[serde(with = "stored")]
    rate: Ppm,
    #[serde(with = "stored")]
    formats: Vec<Format>,
    included: bool,
    shipping_taxed: bool,
    #[serde(with = "stored")]
    rounding: Rounding,
    #[serde(with = "stored")]
    level: Level,
    #[serde(with = "stored")]
    window: Window,
    #[serde(with = "stored")]
    source: Option<Text<REASON_MAX>>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Level", rename_all = "snake_case")]
enum LevelRecord {
    Line,
    Total,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Rounding", rename_all = "snake_case")]
enum RoundingRecord {
    HalfEven,
    HalfUp,
    Down,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Place")]
struct PlaceRecord {
    #[serde(with = "stored")]
    country: Country,
    #[serde(with = "stored")]
    region: Option<Region>,
    #[serde(with = "stored")]
    city: Option<Text<NAME_MAX>>,
    #[serde(with = "stored")]
    postal: Option<PostalRange>,
}

/// Its bounds.
impl Stored for PostalRange {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (self.from(), self.to()).serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (first, last) = <(String, String)>::deserialize(from)?;
        Self::new(&first, &last).ok_or_else(|| D::Error::custom("this is no range of postal codes"))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ShippingOption")]
struct ShippingOptionRecord {
    #[serde(with = "stored")]
    id: ShippingOptionId,
    #[serde(with = "stored")]
    label: Text<NAME_MAX>,
    active: bool,
    #[serde(with = "stored")]
    zones: Vec<Place>,
    #[serde(with = "stored")]
    scale: Scale,
    #[serde(with = "stored")]
    free_from: Option<Money>,
    per_parcel: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Scale", rename_all = "snake_case")]
enum ScaleRecord {
    Flat(#[serde(with = "stored")] Money),
    Weight(#[serde(with = "stored")] Vec<ShippingStep<u32>>),
    Amount(#[serde(with = "stored")] Vec<ShippingStep<Money>>),
}

/// From where on, and what then.
impl<T: Stored> Stored for ShippingStep<T> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (As(&self.from), As(&self.price)).serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <(T, Money)>::read(from).map(|(from, price)| Self { from, price })
    }
}

/// From where on, and what then.
impl<T: Stored> Stored for Tier<T> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (As(&self.from), As(&self.off)).serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <(T, Off)>::read(from).map(|(from, off)| Self { from, off })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ExchangeRate")]
struct ExchangeRateRecord {
    #[serde(with = "stored")]
    from: Currency,
    #[serde(with = "stored")]
    to: Currency,
    #[serde(with = "stored")]
    rate: Nano,
    #[serde(with = "stored")]
    since: Timestamp,
    #[serde(with = "stored")]
    source: Option<Text<REASON_MAX>>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Audited")]
struct AuditedRecord {
    sequence: u64,
    #[serde(with = "stored")]
    key: RuleKey,
    #[serde(with = "stored")]
    at: Timestamp,
    #[serde(with = "stored")]
    why: Why,
    #[serde(with = "stored")]
    deed: Deed,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Why")]
struct WhyRecord {
    #[serde(with = "stored")]
    actor: Actor,
    #[serde(with = "stored")]
    reason: Option<Text<REASON_MAX>>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Deed", rename_all = "snake_case")]
enum DeedRecord {
    Put {
        #[serde(with = "stored")]
        before: Option<Box<Rule>>,
        #[serde(with = "stored")]
        after: Box<Rule>,
    },
    Deleted {
        #[serde(with = "stored")]
        before: Box<Rule>,
    },
    Issued {
        #[serde(with = "bits")]
        batch: u128,
        count: u32,
    },
}

/// A batch's id is a digest: sixteen bytes, hexadecimal where people read.
mod bits {
    use crate::stored::Stored;
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bits: &u128, to: S) -> Result<S::Ok, S::Error> {
        bits.to_be_bytes().write(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        <[u8; 16]>::read(from).map(u128::from_be_bytes)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PriceLine")]
struct PriceLineRecord {
    #[serde(with = "stored")]
    edition: EditionId,
    #[serde(with = "stored")]
    at: Timestamp,
    #[serde(with = "stored")]
    list: Money,
    #[serde(with = "stored")]
    sale: Option<Money>,
    #[serde(with = "stored")]
    why: Why,
}
