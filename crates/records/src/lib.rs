//! What is on disk and on the bus. Every record starts with its format's version; a format that was once
//! written is read for ever, so formats only grow (a new field has a default, a new shape a new version).
//! The files in `golden/` are what older versions wrote.
//!
//! The domain knows nothing of serde: each noun here has a record that mirrors it field by field, so a new
//! field in the domain does not compile until it has a place on disk. Scalars go through the domain's own
//! parsers on the way in (see `stored.rs`): what was damaged is refused, not believed.
//!
//! Carts are postcard behind one version byte, because every change of a cart rewrites it. Everything else
//! is JSON with a `"v"`, because people have to read it.

mod cart;
mod cart_pieces;
mod catalog;
mod checkout;
mod event;
mod json;
mod order;
mod price;
mod rule;
mod session;
pub mod sound;
mod stock;
mod stored;

use domain::cart::Owner;

pub use cart::{decode_cart, encode_cart};
pub use cart_pieces::{
    decode_cart_item, decode_cart_mark, decode_cart_pieces, encode_cart_details, encode_cart_head, encode_cart_item, encode_cart_mark,
};
pub use catalog::{decode_book, decode_heading, encode_book, encode_heading};
pub use checkout::{decode_checkout, encode_checkout};
pub use event::{decode_outgoing, encode_outgoing, encode_outgoing_head, encode_said};
pub use order::{decode_order, decode_recorded, encode_order, encode_recorded, said};
pub use rule::{decode_audited, decode_kept, decode_price_line, encode_audited, encode_kept, encode_price_line};
pub use session::{decode_session, encode_session};
pub use stock::{decode_stock_change, encode_stock_change};

/// By what an owner's things are found: one byte of kind, then the id.
pub fn owner_key(owner: &Owner) -> Vec<u8> {
    match owner {
        Owner::Guest(session) => [b"g".as_slice(), &session.0.to_be_bytes()].concat(),
        Owner::Customer(customer) => [b"c", customer.as_str().as_bytes()].concat(),
    }
}

/// A record that cannot be read: damaged, or written by a newer version.
#[derive(Debug, thiserror::Error)]
#[error("the stored {what} cannot be read: {source}")]
pub struct Damaged {
    pub what: &'static str,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Damaged {
    fn new(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { what, source: source.into() }
    }

    fn newer(what: &'static str, found: u64, known: u64) -> Self {
        Self::new(what, format!("it has format {found}, written by a newer version; this one reads up to format {known}"))
    }
}
