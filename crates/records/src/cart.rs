use crate::Damaged;
use crate::stored::{self, As, mirrored};
use domain::cart::{Cart, Item, Metadata, Note, OnceMark, Owner};
use domain::ids::{BookId, CartId, CheckoutId, CouponCode, CustomerId, EditionId, ItemId, SessionId, Version};
use domain::money::{Currency, Money};
use domain::quantity::Quantity;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

const FORMAT: u8 = 1;
const WHAT: &str = "cart";

pub fn encode_cart(cart: &Cart) -> Vec<u8> {
    let mut out = Vec::with_capacity(160 + 72 * cart.items.len());
    out.push(FORMAT);
    postcard::to_extend(&As(cart), out).expect("invariant: a cart has a known shape and goes to memory")
}

pub fn decode_cart(bytes: &[u8]) -> Result<Cart, Damaged> {
    let (format, body) = bytes.split_first().ok_or_else(|| Damaged::new(WHAT, "it is empty"))?;
    match *format {
        FORMAT => {}
        newer if newer > FORMAT => return Err(Damaged::newer(WHAT, newer.into(), FORMAT.into())),
        unknown => return Err(Damaged::new(WHAT, format!("there is no format {unknown}"))),
    }
    match postcard::take_from_bytes(body).map_err(|e| Damaged::new(WHAT, e))? {
        (As(cart), []) => Ok(cart),
        (_, rest) => Err(Damaged::new(WHAT, format!("{} bytes follow its end", rest.len()))),
    }
}

mirrored! {
    Cart as CartRecord;
    Item as ItemRecord;
    Owner as OwnerRecord;
    OnceMark as OnceMarkRecord;
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Cart")]
struct CartRecord {
    #[serde(with = "stored")]
    id: CartId,
    #[serde(with = "stored")]
    owner: Owner,
    #[serde(with = "stored")]
    currency: Currency,
    #[serde(with = "stored")]
    version: Version,
    #[serde(with = "stored")]
    items: Vec<Item>,
    #[serde(with = "stored")]
    coupons: Vec<CouponCode>,
    #[serde(with = "stored")]
    note: Option<Note>,
    #[serde(with = "stored")]
    metadata: Metadata,
    #[serde(with = "stored")]
    checkout: Option<CheckoutId>,
    #[serde(with = "stored")]
    settled: Option<CheckoutId>,
    #[serde(with = "stored")]
    marks: Vec<OnceMark>,
    #[serde(with = "stored")]
    merged: Vec<CartId>,
    #[serde(with = "stored")]
    created_at: Timestamp,
    #[serde(with = "stored")]
    updated_at: Timestamp,
    #[serde(with = "stored")]
    expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Item")]
struct ItemRecord {
    #[serde(with = "stored")]
    id: ItemId,
    #[serde(with = "stored")]
    edition: EditionId,
    #[serde(with = "stored")]
    book: BookId,
    #[serde(with = "stored")]
    quantity: Quantity,
    #[serde(with = "stored")]
    seen_price: Money,
    #[serde(with = "stored")]
    added_at: Timestamp,
    #[serde(with = "stored")]
    updated_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Owner", rename_all = "snake_case")]
enum OwnerRecord {
    Guest(#[serde(with = "stored")] SessionId),
    Customer(#[serde(with = "stored")] CustomerId),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OnceMark")]
struct OnceMarkRecord {
    #[serde(with = "stored")]
    key: [u8; 16],
    #[serde(with = "stored")]
    fingerprint: [u8; 16],
}
