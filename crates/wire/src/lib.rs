//! What clients see: JSON shapes, with both conversions side by side, one file a noun. Requests are read
//! with [`read`], which tells everything that is wrong at once; answers borrow from what they show; words
//! for people are made in [`say`]; a "no" becomes a [`problem`].

mod card;
pub mod cart;
pub mod catalog;
pub mod checkout;
pub mod explain;
mod json;
mod limits;
pub mod message;
pub mod order;
pub mod page;
pub mod payment;
pub mod pricing;
pub mod problem;
mod read;
pub mod rules;
pub mod say;
mod scalar;
pub mod session;
mod totals;

pub use card::holds_card_number;
pub use json::Json;
pub use read::{FieldError, Invalid, Object, read};
pub use scalar::{At, MoneyBody, Show};
pub use totals::{QuoteBody, TotalsBody};
