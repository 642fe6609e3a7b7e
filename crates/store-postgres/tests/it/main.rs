//! Every sentence of the ports this store implements, on a real server; and what only a store on a server has to do.

mod copies;
mod indexes;
mod joined;
mod leased;
mod many;
mod search;
mod servers;
mod sound;
mod start;

conformance::ledger!(joined::subject().await);
conformance::catalog!(joined::subject().await);
conformance::outbox!(joined::subject().await);
conformance::prices!(joined::subject().await);

conformance::leases!(leased::leases().await);
