use crate::stored::{self, mirrored};
use crate::{Damaged, json};
use domain::cart::{OnceMark, Owner};
use domain::checkout::{AfterUndo, Attempt, Checkout, PaymentError, State};
use domain::ids::{AttemptId, CartId, CheckoutId, CouponCode, OrderId, PaymentToken, ShippingOptionId, Version};
use domain::limits::{ADDRESS_LINE_MAX, NAME_MAX, PHONE_MAX, POSTAL_CODE_MAX, URL_MAX};
use domain::money::Money;
use domain::order::Number;
use domain::person::{Address, Country, Email, Region};
use domain::pricing::{Assessment, Line, Quote};
use domain::text::Text;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

pub fn encode_checkout(checkout: &Checkout) -> Vec<u8> {
    json::encode(checkout)
}

pub fn decode_checkout(bytes: &[u8]) -> Result<Checkout, Damaged> {
    json::decode("checkout", bytes)
}

mirrored! {
    Checkout as CheckoutRecord;
    Attempt as AttemptRecord;
    State as StateRecord;
    AfterUndo as AfterUndoRecord;
    PaymentError as PaymentErrorRecord;
    Address as AddressRecord;
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Checkout")]
struct CheckoutRecord {
    #[serde(with = "stored")]
    id: CheckoutId,
    #[serde(with = "stored")]
    cart: CartId,
    #[serde(with = "stored")]
    cart_version: Version,
    #[serde(with = "stored")]
    owner: Owner,
    #[serde(with = "stored")]
    lines: Vec<Line>,
    #[serde(with = "stored")]
    coupons: Vec<CouponCode>,
    #[serde(with = "stored")]
    email: Option<Email>,
    #[serde(with = "stored")]
    shipping_address: Option<Address>,
    #[serde(with = "stored")]
    billing_address: Option<Address>,
    #[serde(with = "stored")]
    shipping_option: Option<ShippingOptionId>,
    #[serde(with = "stored")]
    quote: Quote,
    #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
    assessment: Option<Assessment>,
    #[serde(with = "stored")]
    state: State,
    #[serde(with = "stored")]
    attempt: Option<Attempt>,
    #[serde(with = "stored", default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<AttemptId>,
    #[serde(with = "stored")]
    last_error: Option<PaymentError>,
    #[serde(with = "stored")]
    version: Version,
    events: u64,
    #[serde(with = "stored")]
    created_at: Timestamp,
    #[serde(with = "stored")]
    expires_at: Timestamp,
    #[serde(with = "stored")]
    due_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Attempt")]
struct AttemptRecord {
    #[serde(with = "stored")]
    id: AttemptId,
    #[serde(with = "stored")]
    token: PaymentToken,
    #[serde(with = "stored")]
    amount: Money,
    #[serde(with = "stored")]
    order: OrderId,
    #[serde(with = "stored")]
    number: Number,
    #[serde(with = "stored")]
    mark: OnceMark,
    #[serde(with = "stored")]
    started_at: Timestamp,
    #[serde(with = "stored")]
    reserved_until: Timestamp,
    tries: u32,
    #[serde(with = "stored", default, skip_serializing_if = "Option::is_none")]
    return_url: Option<Text<URL_MAX>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    challenge: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "State", rename_all = "snake_case")]
enum StateRecord {
    Open,
    Authorizing,
    Challenged,
    Capturing,
    Undoing {
        #[serde(with = "stored")]
        then: AfterUndo,
    },
    Completed {
        settled: bool,
    },
    Canceled {
        settled: bool,
    },
    Expired {
        settled: bool,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AfterUndo", rename_all = "snake_case")]
enum AfterUndoRecord {
    Open,
    Canceled,
    Failed,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PaymentError")]
struct PaymentErrorRecord {
    code: String,
    detail: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Address")]
struct AddressRecord {
    #[serde(with = "stored")]
    name: Text<NAME_MAX>,
    #[serde(with = "stored")]
    company: Option<Text<NAME_MAX>>,
    #[serde(with = "stored")]
    line1: Text<ADDRESS_LINE_MAX>,
    #[serde(with = "stored")]
    line2: Option<Text<ADDRESS_LINE_MAX>>,
    #[serde(with = "stored")]
    city: Text<NAME_MAX>,
    #[serde(with = "stored")]
    region: Option<Region>,
    #[serde(with = "stored")]
    postal_code: Text<POSTAL_CODE_MAX>,
    #[serde(with = "stored")]
    country: Country,
    #[serde(with = "stored")]
    phone: Option<Text<PHONE_MAX>>,
}
