//! Every sentence of the ports this store implements, on a real server; and what only a store on a server has to do.

mod concurrent;
mod faults;
mod joined;
mod leased;
mod orderly;
mod plans;
mod proxy;
mod servers;
mod sql;
mod start;

conformance::ledger!(joined::subject().await);
conformance::outbox!(joined::subject().await);

conformance::leases!(leased::leases().await);
