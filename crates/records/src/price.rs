//! The quote, as checkouts and orders keep it.

use crate::stored::{self, mirrored};
use domain::catalog::Format;
use domain::ids::{BookId, CouponCode, EditionId, ItemId, ShippingOptionId, Sku};
use domain::limits::{NAME_MAX, TITLE_MAX, URL_MAX};
use domain::money::{Currency, Money, Ppm};
use domain::pricing::{Adjustment, AdjustmentKind, Line, NotApplied, Quote, QuotedLine, Reason, WhyNot};
use domain::quantity::Quantity;
use domain::text::Text;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

mirrored! {
    Line as LineRecord;
    Quote as QuoteRecord;
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
    settled: bool,
    #[serde(with = "stored")]
    shipping_option: Option<ShippingOptionId>,
    #[serde(with = "stored")]
    adjustments: Vec<Adjustment>,
    #[serde(with = "stored")]
    not_applied: Vec<NotApplied>,
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
    #[serde(with = "stored")]
    reason: Reason,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AdjustmentKind", rename_all = "snake_case")]
enum AdjustmentKindRecord {
    Promotion,
    Coupon,
    Shipping,
    Tax,
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
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "NotApplied")]
struct NotAppliedRecord {
    #[serde(with = "stored")]
    code: CouponCode,
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
    Exhausted,
    BelowMinimum {
        #[serde(with = "stored")]
        minimum: Money,
    },
    OtherCurrency,
    NothingLeft,
}
