//! The bus against RabbitMQ: the one that listens on its usual port, else one of the test's own.

mod broker;
mod consuming;
mod outage;
mod proxy;
mod publishing;
mod world;
