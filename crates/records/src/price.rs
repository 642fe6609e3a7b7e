//! The quote, as checkouts and orders keep it.

use crate::stored::{self, mirrored};
use domain::catalog::Format;
use domain::ids::{BookId, CouponCode, EditionId, ItemId, PromotionId, ShippingOptionId, Sku};
use domain::limits::{NAME_MAX, RULE_ID_MAX, TITLE_MAX, URL_MAX};
use domain::money::{Currency, Money, Ppm};
use domain::pricing::{
    Adjustment, AdjustmentKind, Assessed, Assessment, Counter, Due, Limited, Line, NotApplied, Off, Quote, QuotedLine, Reason, Use, WhyNot,
};
use domain::quantity::Quantity;
use domain::text::Text;
use domain::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mirrored! {
    Line as LineRecord;
    Assessment as AssessmentRecord;
    Assessed as AssessedRecord;
    Due as DueRecord;
    Limited as LimitedRecord;
    Off as OffRecord;
    Use as UseRecord;
    QuotedLine as QuotedLineRecord;
    Adjustment as AdjustmentRecord;
    AdjustmentKind as AdjustmentKindRecord;
    Reason as ReasonRecord;
    NotApplied as NotAppliedRecord;
    WhyNot as WhyNotRecord;
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Line")]
struct LineRecord {
    #[serde(with = "stored")]
    edition: EditionId,
    #[serde(with = "stored")]
    quantity: Quantity,
}

impl stored::Stored for Quote {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        QuoteRecord::serialize(self, to)
    }

    /// Before promotions there were only coupons: each was used once, under its own name, and sales were called promotions.
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut quote = QuoteRecord::deserialize(from)?;
        for adjustment in &mut quote.adjustments {
            match (adjustment.kind, &adjustment.reason) {
                (AdjustmentKind::Promotion, Reason::Sale { .. }) => adjustment.kind = AdjustmentKind::Sale,
                (AdjustmentKind::Coupon, _) if adjustment.promotion.is_none() => {
                    adjustment.promotion = PromotionId::parse(&adjustment.code);
                    let counter = adjustment.promotion.clone().map(Counter::Uses);
                    quote.uses.extend(counter.map(|counter| Use { counter, by: 1, limit: None }));
                }
                _ => {}
            }
        }
        Ok(quote)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Quote")]
struct QuoteRecord {
    #[serde(with = "stored")]
    currency: Currency,
    #[serde(with = "stored")]
    lines: Vec<QuotedLine>,
    #[serde(with = "stored")]
    unavailable: Vec<Line>,
    #[serde(with = "stored")]
    subtotal: Money,
    #[serde(with = "stored")]
    discount: Money,
    #[serde(with = "stored")]
    shipping: Money,
    #[serde(with = "stored")]
    tax: Money,
    #[serde(with = "stored")]
    total: Money,
    item_count: u64,
    tax_included: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    tax_estimated: bool,
    settled: bool,
    #[serde(with = "stored")]
    shipping_option: Option<ShippingOptionId>,
    #[serde(with = "stored")]
    adjustments: Vec<Adjustment>,
    #[serde(with = "stored")]
    not_applied: Vec<NotApplied>,
    #[serde(default, with = "stored", skip_serializing_if = "Vec::is_empty")]
    uses: Vec<Use>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "QuotedLine")]
struct QuotedLineRecord {
    #[serde(with = "stored")]
    item: ItemId,
    #[serde(with = "stored")]
    edition: EditionId,
    #[serde(with = "stored")]
    book: BookId,
    #[serde(with = "stored")]
    sku: Sku,
    #[serde(with = "stored")]
    title: Text<TITLE_MAX>,
    #[serde(with = "stored")]
    image_url: Option<Text<URL_MAX>>,
    #[serde(with = "stored")]
    format: Format,
    #[serde(with = "stored")]
    quantity: Quantity,
    #[serde(with = "stored")]
    list_price: Money,
    #[serde(with = "stored")]
    unit_price: Money,
    #[serde(with = "stored")]
    total: Money,
    #[serde(with = "stored")]
    discount: Money,
    #[serde(with = "stored")]
    tax: Money,
    available: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    weight_g: u32,
    #[serde(default, skip_serializing_if = "is_false")]
    gift: bool,
    #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
    converted_from: Option<Money>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_false(b: &bool) -> bool {
    !b
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Use")]
struct UseRecord {
    #[serde(with = "stored")]
    counter: Counter,
    by: u64,
    limit: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Adjustment")]
struct AdjustmentRecord {
    #[serde(with = "stored")]
    kind: AdjustmentKind,
    code: String,
    #[serde(with = "stored")]
    label: Text<NAME_MAX>,
    #[serde(with = "stored")]
    amount: Money,
    #[serde(with = "stored")]
    item: Option<ItemId>,
    #[serde(default, with = "stored", skip_serializing_if = "Vec::is_empty")]
    shares: Vec<(ItemId, Money)>,
    #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
    promotion: Option<PromotionId>,
    #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
    limited: Option<Limited>,
    #[serde(with = "stored")]
    reason: Reason,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Limited", rename_all = "snake_case")]
enum LimitedRecord {
    Cap,
    Budget,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Off", rename_all = "snake_case")]
enum OffRecord {
    Rate(#[serde(with = "stored")] Ppm),
    Amount(#[serde(with = "stored")] Money),
    Price(#[serde(with = "stored")] Money),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AdjustmentKind", rename_all = "snake_case")]
enum AdjustmentKindRecord {
    Sale,
    Promotion,
    Coupon,
    Shipping,
    Tax,
    Exemption,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Reason", rename_all = "snake_case")]
enum ReasonRecord {
    Sale {
        #[serde(with = "stored")]
        list: Money,
    },
    Percentage {
        #[serde(with = "stored")]
        rate: Ppm,
        #[serde(with = "stored")]
        of: Money,
    },
    Fixed {
        #[serde(with = "stored")]
        of: Money,
    },
    Price {
        #[serde(with = "stored")]
        price: Money,
        #[serde(with = "stored")]
        of: Money,
    },
    Each {
        #[serde(with = "stored")]
        off: Off,
        copies: u64,
        #[serde(with = "stored")]
        of: Money,
    },
    Tier {
        from: u32,
        #[serde(with = "stored")]
        off: Off,
        copies: u64,
        #[serde(with = "stored")]
        of: Money,
    },
    Spend {
        #[serde(with = "stored")]
        from: Money,
        #[serde(with = "stored")]
        off: Off,
        #[serde(with = "stored")]
        of: Money,
    },
    BuyGet {
        bought: u32,
        gotten: u64,
        #[serde(with = "stored")]
        rate: Ppm,
        #[serde(with = "stored")]
        of: Money,
    },
    Bundle {
        sets: u64,
        #[serde(with = "stored")]
        off: Off,
        #[serde(with = "stored")]
        of: Money,
    },
    Gift,
    Shipping {
        #[serde(with = "stored")]
        off: Off,
        #[serde(with = "stored")]
        of: Money,
    },
    ShippingPrice,
    ShippingFree {
        #[serde(with = "stored")]
        from: Money,
    },
    NothingToShip,
    Tax {
        #[serde(with = "stored")]
        rate: Ppm,
        #[serde(with = "stored")]
        of: Money,
        included: bool,
    },
    Assessed {
        #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
        rate: Option<Ppm>,
        #[serde(with = "stored")]
        of: Money,
        included: bool,
    },
    Exempt {
        #[serde(with = "stored")]
        of: Money,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Assessment")]
struct AssessmentRecord {
    #[serde(with = "stored")]
    asked: [u8; 16],
    #[serde(with = "stored")]
    assessed: Assessed,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Assessed")]
struct AssessedRecord {
    included: bool,
    #[serde(with = "stored")]
    taxes: Vec<Due>,
    #[serde(default, skip_serializing_if = "is_false")]
    estimated: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Due")]
struct DueRecord {
    #[serde(with = "stored")]
    code: Text<RULE_ID_MAX>,
    #[serde(with = "stored")]
    label: Text<NAME_MAX>,
    #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
    rate: Option<Ppm>,
    #[serde(with = "stored")]
    lines: Vec<(ItemId, Money)>,
    #[serde(with = "stored")]
    shipping: Money,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "NotApplied")]
struct NotAppliedRecord {
    #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
    code: Option<CouponCode>,
    #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
    promotion: Option<PromotionId>,
    #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
    label: Option<Text<NAME_MAX>>,
    #[serde(with = "stored")]
    why: WhyNot,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "WhyNot", rename_all = "snake_case")]
enum WhyNotRecord {
    Unknown,
    NotYet {
        #[serde(with = "stored")]
        from: Timestamp,
    },
    Ended {
        #[serde(with = "stored")]
        at: Timestamp,
    },
    Inactive,
    OffHours,
    Exhausted,
    UsedByShopper,
    BelowMinimum {
        #[serde(with = "stored")]
        minimum: Money,
        #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
        have: Option<Money>,
    },
    BelowCopies {
        least: u32,
        have: u64,
    },
    OtherCurrency,
    NothingMatches,
    NothingLeft,
    NotInSegment,
    NotFirstOrder,
    NotBirthday,
    NeedsCustomer,
    ConditionUnmet,
    ConditionFailed,
    BetterInGroup {
        #[serde(with = "stored")]
        by: PromotionId,
    },
    Excluded {
        #[serde(with = "stored")]
        by: PromotionId,
    },
    StackFull {
        max: u32,
    },
    GivenTwice,
    OutOfStock,
    NoShipping,
}
