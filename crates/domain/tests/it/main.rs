//! Quotes, tried three ways: rows that a shopkeeper derived, properties of every quote, and a second program.

mod golden;
mod oracle;
mod properties;
mod told;
