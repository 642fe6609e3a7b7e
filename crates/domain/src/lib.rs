//! Every rule of Cartwright, and its vocabulary. Pure: no I/O, no clock, no chance, no floats. Time and
//! chance are arguments; a "no" is a [`refusal::Refusal`]; money is integers.
//!
//! Read in this order: [`money`], [`ids`], [`catalog`] (what is sold), [`cart`] (what is wanted),
//! [`pricing`] (what it costs and why), [`stock`] (what there is), [`checkout`] (how a cart becomes an
//! order), [`order`] (what was bought), [`event`] (what others hear of it),
//! [`inbox`] (what others say).

pub mod cart;
pub mod catalog;
pub mod checkout;
pub mod event;
pub mod ids;
pub mod inbox;
pub mod limits;
pub mod money;
pub mod order;
pub mod person;
mod planted;
pub mod pricing;
pub mod quantity;
pub mod refusal;
pub mod session;
pub mod stock;
pub mod text;
pub mod time;
pub mod trace;

#[cfg(feature = "planted")]
pub use planted::plant;
pub use planted::planted;
