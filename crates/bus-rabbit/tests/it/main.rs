//! The bus against RabbitMQ: the one that listens on its usual port, else one that the tests of a run share; what is to die is of the
//! test's own.
#![expect(clippy::disallowed_methods, reason = "a test of brokers that die waits for real ones, in tasks of its own")]

mod broker;
mod consuming;
mod encrypted;
mod outage;
mod proxy;
mod publishing;
mod world;
