//! REST: decode, one call, encode. [`router`] is the whole edge over an [`Edge`]; [`serve`] puts it on a
//! socket. `openapi.yaml` is the description that clients go by; a test compares it with the table of routes.

pub mod auth;
mod body;
mod call;
mod cart;
mod catalog;
mod checkout;
mod cursor;
mod declines;
mod docs;
mod edge;
mod health;
mod limit;
mod limits;
mod metrics;
mod once;
mod order;
mod payment;
mod pricing;
mod problem;
mod query;
mod rendered;
mod reply;
mod route;
mod rules;
mod serve;
mod session;
mod shared;
mod trace;

pub use declines::DeclineLimits;
pub use docs::OPENAPI;
pub use edge::{Edge, EdgeConfig};
pub use limit::RateLimits;
pub use metrics::Metrics;
pub use route::{Peer, health_router, router, routes};
pub use serve::{ServeLimits, serve};
