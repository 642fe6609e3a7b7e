//! Every sentence of the ports this store implements, on a real server; and what only a store on a server has to do.

mod concurrent;
mod copies;
mod faults;
mod joined;
mod leased;
mod many;
mod orderly;
mod outgoing;
mod plans;
mod proxy;
mod search;
mod servers;
mod sound;
mod sql;
mod start;
mod together;

conformance::ledger!(joined::subject().await);
conformance::catalog!(joined::subject().await);
conformance::outbox!(joined::subject().await);
conformance::prices!(joined::subject().await);

conformance::leases!(leased::leases().await);
