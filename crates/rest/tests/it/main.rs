//! The edge against a shop in memory: every answer is checked for what holds for all of them.

mod agree;
mod auth;
mod bodies;
mod buying;
mod catalog;
mod limits;
mod orders;
mod payments;
mod plumbing;
mod repeats;
mod rules;
mod shop;
mod sockets;
