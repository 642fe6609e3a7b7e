//! A catalog at the other end of a wire, over loopback.

mod bookworm;
mod conforms;
mod nodes;
mod outage;
mod over_rest;
mod served;
