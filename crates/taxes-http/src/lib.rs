//! A tax provider over HTTP, both sides: [`HttpTaxes`] is the port for a shop whose provider is elsewhere; [`provider`] puts any
//! [`Taxes`](app::ports::Taxes) there.
//!
//! A real provider is reached by a small gateway that speaks this protocol to the shop and the provider's own to it.

mod client;
mod limits;
mod protocol;
mod provider;

pub use client::HttpTaxes;
pub use outbound::{NoAddress, Patience};
pub use provider::{provider, serve};
