//! The use cases on the reference adapters.

mod carts;
mod checkout;
mod distant;
mod faults;
mod orders;
mod prices;
mod provider;
mod repeats;
mod taxes;
mod world;
