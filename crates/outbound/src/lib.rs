//! Calls of somebody else's service, with patience that has an end. A call goes through, in this order: a place among
//! the calls under way (a bulkhead), tries with growing pauses under one key, and for each try the breaker and the time that
//! is left.

mod calls;
mod client;
mod limits;

pub use calls::{Calls, Failed, Patience, Repeat};
pub use client::{Call, Client, KEY, NoAddress};
pub use hyper::Method;
