//! A payment provider over HTTP, both sides: [`HttpPayments`] is the port for a shop whose provider is elsewhere;
//! [`provider`], [`challenges`] and [`Notices`] put the built-in provider there.
//!
//! A real provider is reached by a small gateway that speaks this protocol to the shop and the provider's own to it.

mod challenge;
mod client;
mod limits;
mod notices;
mod protocol;
mod provider;

pub use challenge::{Answered, CHALLENGES, challenges};
pub use client::HttpPayments;
pub use notices::Notices;
pub use outbound::{NoAddress, Patience};
pub use provider::{provider, serve};
