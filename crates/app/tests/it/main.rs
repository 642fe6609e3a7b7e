//! The use cases on the reference adapters.

mod carts;
mod checkout;
mod distant;
mod faults;
mod inbox;
mod orders;
mod prices;
mod provider;
mod repeats;
mod taxes;
mod traces;
mod workers;
mod world;
