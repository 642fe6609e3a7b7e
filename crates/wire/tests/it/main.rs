//! Shapes: what clients see and what is read of them.

mod explain;
mod golden;
mod rules;
