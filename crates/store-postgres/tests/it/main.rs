//! Every sentence of the ports this store implements, on a real server; and what only a store on a server has to do.

mod servers;
mod start;
