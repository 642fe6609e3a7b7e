//! The reference adapter of every port: what each of them means, in memory and in as few words as possible,
//! and what the simulator runs on. Everything iterates in a fixed order, so a run can be repeated.

mod carts;
mod catalog;
mod leases;
mod ledger;
mod limits;
mod moves;
mod outbox;
mod ports;
mod prices;
mod search;
mod sessions;
pub mod simulator;
mod store;
mod taxes;
mod world;

pub use leases::MemoryLeases;
pub use limits::MemoryLimits;
pub use ports::ports;
pub use search::search;
pub use store::MemoryStore;
pub use taxes::MemoryTaxes;
pub use world::{ManualClock, MemoryBus, SeededEntropy};
