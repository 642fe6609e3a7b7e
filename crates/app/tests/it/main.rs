//! The use cases on the reference adapters.

mod carts;
mod checkout;
mod faults;
mod repeats;
mod world;
