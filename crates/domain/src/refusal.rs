//! A refusal is a "no" the customer can understand: a value with facts and a stable code. The words are
//! made at the edge.

use crate::checkout;
use crate::ids::{CouponCode, EditionId, Sku, Version};
use crate::money::{Money, MoneyError};
use crate::order::{PaymentStatus, Status};
use crate::pricing::RuleFault;

/// A line that cannot be had in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    pub edition: EditionId,
    pub sku: Option<Sku>,
    pub wanted: u32,
    pub available: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.code())]
pub enum Refusal {
    // who asks
    Unauthenticated,
    Forbidden,
    // what is not there, or not theirs
    CartNotFound,
    ItemNotFound,
    ProductNotFound,
    CheckoutNotFound,
    OrderNotFound,
    SessionNotFound,
    AuthorNotFound,
    CategoryNotFound,
    PublisherNotFound,
    // carts
    /// The book has several editions: one must be named.
    VariantRequired,
    OutOfStock {
        short: Vec<Short>,
    },
    QuantityInvalid {
        got: i64,
    },
    CartFull,
    CouponsTooMany,
    OperationsTooMany,
    /// The currency of a cart with items cannot change.
    CurrencyFixed,
    /// The edition is not sold in the cart's currency.
    CurrencyUnavailable,
    MergeSourceInvalid,
    /// More commands wait for this cart than it can take.
    CartBusy,
    // checkout
    PriceChanged {
        expected: Money,
        total: Money,
    },
    /// A promotion the shopper counted on is used up; the code it was given by, else its id.
    CouponExhausted {
        code: String,
    },
    CartChanged {
        total: Money,
    },
    CartEmpty,
    CheckoutExpired,
    /// The step is not possible in the state the checkout is in.
    CheckoutState {
        state: checkout::Kind,
    },
    CheckoutIncomplete {
        missing: Vec<checkout::Missing>,
    },
    ShippingUnavailable,
    /// Whoever knows what tax is due cannot say, and the shop does not guess.
    TaxUnavailable,
    PaymentDeclined {
        reason: String,
    },
    // orders
    OrderTransitionInvalid {
        from: Status,
        to: Status,
    },
    /// Money is moving for this order right now; ask again shortly.
    OrderPaymentPending,
    AddressLocked {
        status: Status,
    },
    /// There is no captured money to pay back, or it was paid back in too many pieces already.
    RefundNotPossible {
        payment: PaymentStatus,
    },
    /// An amount to pay back is positive and of the order's currency.
    RefundAmountInvalid {
        left: Money,
    },
    RefundTooLarge {
        asked: Money,
        left: Money,
    },
    /// More copies than were bought and not paid back yet.
    RefundItemsTooMany {
        short: Vec<Short>,
    },
    // catalog
    SkuTaken {
        sku: Sku,
    },
    NameTaken,
    /// Something else still refers to it.
    Referenced {
        count: u64,
    },
    StockShort {
        available: u32,
    },
    // prices
    RuleNotFound,
    RuleExists,
    RuleInvalid {
        fault: RuleFault,
    },
    /// The code leads to a promotion already.
    CodeTaken {
        code: CouponCode,
    },
    /// Codes are issued for promotions that go by codes.
    CodesNotUsed,
    /// Too many codes at once or none, or too long a prefix.
    CodesInvalid,
    // conditional and repeated requests
    VersionMismatch {
        current: Version,
    },
    IdempotencyKeyReused,
    IdempotencyInFlight,
    /// A sum left the range of exact integers.
    AmountTooLarge,
}

impl Refusal {
    /// The stable code: the same over REST, gRPC, in logs and in metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::CartNotFound => "CART_NOT_FOUND",
            Self::ItemNotFound => "ITEM_NOT_FOUND",
            Self::ProductNotFound => "PRODUCT_NOT_FOUND",
            Self::CheckoutNotFound => "CHECKOUT_NOT_FOUND",
            Self::OrderNotFound => "ORDER_NOT_FOUND",
            Self::SessionNotFound => "SESSION_NOT_FOUND",
            Self::AuthorNotFound => "AUTHOR_NOT_FOUND",
            Self::CategoryNotFound => "CATEGORY_NOT_FOUND",
            Self::PublisherNotFound => "PUBLISHER_NOT_FOUND",
            Self::VariantRequired => "VARIANT_REQUIRED",
            Self::OutOfStock { .. } => "OUT_OF_STOCK",
            Self::QuantityInvalid { .. } => "QUANTITY_INVALID",
            Self::CartFull => "CART_FULL",
            Self::CouponsTooMany => "COUPONS_TOO_MANY",
            Self::OperationsTooMany => "OPERATIONS_TOO_MANY",
            Self::CurrencyFixed => "CURRENCY_FIXED",
            Self::CurrencyUnavailable => "CURRENCY_UNAVAILABLE",
            Self::MergeSourceInvalid => "MERGE_SOURCE_INVALID",
            Self::CartBusy => "CART_BUSY",
            Self::PriceChanged { .. } => "PRICE_CHANGED",
            Self::CouponExhausted { .. } => "COUPON_EXHAUSTED",
            Self::CartChanged { .. } => "CART_CHANGED",
            Self::CartEmpty => "CART_EMPTY",
            Self::CheckoutExpired => "CHECKOUT_EXPIRED",
            Self::CheckoutState { .. } => "CHECKOUT_STATE",
            Self::CheckoutIncomplete { .. } => "CHECKOUT_INCOMPLETE",
            Self::ShippingUnavailable => "SHIPPING_UNAVAILABLE",
            Self::TaxUnavailable => "TAX_UNAVAILABLE",
            Self::PaymentDeclined { .. } => "PAYMENT_DECLINED",
            Self::OrderTransitionInvalid { .. } => "ORDER_TRANSITION_INVALID",
            Self::OrderPaymentPending => "ORDER_PAYMENT_PENDING",
            Self::AddressLocked { .. } => "ADDRESS_LOCKED",
            Self::RefundNotPossible { .. } => "REFUND_NOT_POSSIBLE",
            Self::RefundAmountInvalid { .. } => "REFUND_AMOUNT_INVALID",
            Self::RefundTooLarge { .. } => "REFUND_TOO_LARGE",
            Self::RefundItemsTooMany { .. } => "REFUND_ITEMS_TOO_MANY",
            Self::SkuTaken { .. } => "SKU_TAKEN",
            Self::NameTaken => "NAME_TAKEN",
            Self::Referenced { .. } => "REFERENCED",
            Self::StockShort { .. } => "STOCK_SHORT",
            Self::RuleNotFound => "RULE_NOT_FOUND",
            Self::RuleExists => "RULE_EXISTS",
            Self::RuleInvalid { .. } => "RULE_INVALID",
            Self::CodeTaken { .. } => "CODE_TAKEN",
            Self::CodesNotUsed => "CODES_NOT_USED",
            Self::CodesInvalid => "CODES_INVALID",
            Self::VersionMismatch { .. } => "VERSION_MISMATCH",
            Self::IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::IdempotencyInFlight => "IDEMPOTENCY_IN_FLIGHT",
            Self::AmountTooLarge => "AMOUNT_TOO_LARGE",
        }
    }
}

impl From<MoneyError> for Refusal {
    fn from(error: MoneyError) -> Self {
        match error {
            MoneyError::Overflow => Self::AmountTooLarge,
            MoneyError::CurrencyMismatch => Self::CurrencyUnavailable,
        }
    }
}
