pub mod ports;
pub mod snapshot;
