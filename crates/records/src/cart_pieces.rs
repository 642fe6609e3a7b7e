//! A cart in pieces that change apart, for a store that keeps each under a name of its own: a change of one item of a long
//! cart writes that item and the head. Each piece starts with its format's version, as whole records do.

use crate::Damaged;
use crate::stored::{self, As, Stored};
use domain::cart::{Cart, Item, Metadata, Note, OnceMark, Owner};
use domain::ids::{CartId, CheckoutId, CouponCode, Version};
use domain::money::Currency;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

const FORMAT: u8 = 1;

/// What almost every change of a cart changes, and what is short.
#[derive(Serialize, Deserialize)]
struct Head {
    #[serde(with = "stored")]
    id: CartId,
    #[serde(with = "stored")]
    owner: Owner,
    #[serde(with = "stored")]
    currency: Currency,
    #[serde(with = "stored")]
    version: Version,
    #[serde(with = "stored")]
    checkout: Option<CheckoutId>,
    #[serde(with = "stored")]
    settled: Option<CheckoutId>,
    #[serde(with = "stored")]
    created_at: Timestamp,
    #[serde(with = "stored")]
    updated_at: Timestamp,
    #[serde(with = "stored")]
    expires_at: Timestamp,
}

/// What few changes change, and what may be long.
#[derive(Serialize, Deserialize)]
struct Details {
    #[serde(with = "stored")]
    coupons: Vec<CouponCode>,
    #[serde(with = "stored")]
    note: Option<Note>,
    #[serde(with = "stored")]
    metadata: Metadata,
    #[serde(with = "stored")]
    merged: Vec<CartId>,
}

fn write(piece: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.push(FORMAT);
    postcard::to_extend(piece, out).expect("invariant: a piece of a cart has a known shape and goes to memory")
}

fn read<'a, T: Deserialize<'a>>(what: &'static str, bytes: &'a [u8]) -> Result<T, Damaged> {
    match bytes.split_first() {
        Some((&FORMAT, body)) => match postcard::take_from_bytes(body).map_err(|e| Damaged::new(what, e))? {
            (piece, []) => Ok(piece),
            (_, rest) => Err(Damaged::new(what, format!("{} bytes follow its end", rest.len()))),
        },
        Some((&newer, _)) if newer > FORMAT => Err(Damaged::newer(what, newer.into(), FORMAT.into())),
        Some((unknown, _)) => Err(Damaged::new(what, format!("there is no format {unknown}"))),
        None => Err(Damaged::new(what, "it is empty")),
    }
}

fn read_stored<T: Stored>(what: &'static str, bytes: &[u8]) -> Result<T, Damaged> {
    read(what, bytes).map(|As(piece)| piece)
}

pub fn encode_cart_head(cart: &Cart) -> Vec<u8> {
    let Cart { id, owner, currency, version, checkout, settled, created_at, updated_at, expires_at, .. } = cart;
    write(&Head {
        id: *id,
        owner: owner.clone(),
        currency: *currency,
        version: *version,
        checkout: *checkout,
        settled: *settled,
        created_at: *created_at,
        updated_at: *updated_at,
        expires_at: *expires_at,
    })
}

pub fn encode_cart_details(cart: &Cart) -> Vec<u8> {
    let Cart { coupons, note, metadata, merged, .. } = cart;
    write(&Details { coupons: coupons.clone(), note: note.clone(), metadata: metadata.clone(), merged: merged.clone() })
}

pub fn encode_cart_item(item: &Item) -> Vec<u8> {
    write(&As(item))
}

pub fn encode_cart_mark(mark: &OnceMark) -> Vec<u8> {
    write(&As(mark))
}

pub fn decode_cart_item(bytes: &[u8]) -> Result<Item, Damaged> {
    read_stored("item of a cart", bytes)
}

pub fn decode_cart_mark(bytes: &[u8]) -> Result<OnceMark, Damaged> {
    read_stored("mark of a cart", bytes)
}

/// The cart of these pieces.
pub fn decode_cart_pieces(head: &[u8], details: &[u8], items: Vec<Item>, marks: Vec<OnceMark>) -> Result<Cart, Damaged> {
    let Head { id, owner, currency, version, checkout, settled, created_at, updated_at, expires_at } = read("head of a cart", head)?;
    let Details { coupons, note, metadata, merged } = read("details of a cart", details)?;
    Ok(Cart {
        id,
        owner,
        currency,
        version,
        items,
        coupons,
        note,
        metadata,
        checkout,
        settled,
        marks,
        merged,
        created_at,
        updated_at,
        expires_at,
    })
}
