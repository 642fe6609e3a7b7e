//! What values there are, and how many of them at most.

use crate::limits::SEGMENTS_MAX;
use domain::limits::{BOOK_AUTHORS_MAX, BOOK_CATEGORIES_MAX, CART_ITEMS_MAX};

/// A value that is not a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum One {
    Truth,
    Number,
    Text,
    /// A line of the cart.
    Line,
}

/// What an expression gives, and how many elements at most where it is a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    One(One),
    List(One, usize),
}

pub const TRUTH: Kind = Kind::One(One::Truth);
pub const NUMBER: Kind = Kind::One(One::Number);
pub const TEXT: Kind = Kind::One(One::Text);

impl Kind {
    pub fn words(self) -> &'static str {
        match self {
            Self::One(One::Truth) => "true or false",
            Self::One(One::Number) => "a number",
            Self::One(One::Text) => "a text",
            Self::One(One::Line) => "a line",
            Self::List(One::Truth, _) => "a list of true and false",
            Self::List(One::Number, _) => "a list of numbers",
            Self::List(One::Text, _) => "a list of texts",
            Self::List(One::Line, _) => "a list of lines",
        }
    }

    /// The kind of a value that is the one or the other.
    pub fn or(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::List(a, m), Self::List(b, n)) if a == b => Some(Self::List(a, m.max(n))),
            _ => (self == other).then_some(self),
        }
    }
}

/// Everything a condition can look at.
pub const FACTS: &[(&str, Kind)] = &[
    ("cart.currency", TEXT),
    ("cart.subtotal", NUMBER),
    ("cart.itemCount", NUMBER),
    ("cart.lines", Kind::List(One::Line, CART_ITEMS_MAX)),
    ("shopper.known", TRUTH),
    ("shopper.orders", NUMBER),
    ("shopper.segments", Kind::List(One::Text, SEGMENTS_MAX)),
    ("shopper.taxExempt", TRUTH),
    ("destination.country", TEXT),
    ("destination.region", TEXT),
    ("destination.city", TEXT),
    ("destination.postalCode", TEXT),
];

/// What each of `cart.lines` has.
pub const LINE: &[(&str, Kind)] = &[
    ("productId", TEXT),
    ("variantId", TEXT),
    ("sku", TEXT),
    ("format", TEXT),
    ("quantity", NUMBER),
    ("unitPrice", NUMBER),
    ("listPrice", NUMBER),
    ("total", NUMBER),
    ("onSale", TRUTH),
    ("authors", Kind::List(One::Text, BOOK_AUTHORS_MAX)),
    ("categories", Kind::List(One::Text, BOOK_CATEGORIES_MAX)),
    ("publisher", TEXT),
];

/// The kind under a name in one of these tables.
pub fn named(table: &[(&str, Kind)], name: &str) -> Option<Kind> {
    table.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}
