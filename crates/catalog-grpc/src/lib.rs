//! The catalog as another node has it, over gRPC.
//!
//! The node that holds the catalog serves it ([`serve`]): to the other nodes of the same shop, whole and with every change
//! (`cartwright.catalog.v1`), and to BookWorm's services as they ask theirs (`book.v1`). A node that does not hold it has a
//! [`RemoteCatalog`]: a copy in memory that follows, and says how old it may be.

mod books;
mod copy;
mod follow;
mod limits;
mod message;
mod news;
mod remote;
mod serve;
mod status;
mod token;

pub use remote::{NoAddress, RemoteCatalog, RemoteCatalogSettings};
pub use serve::{Served, serve};
pub use token::Token;

/// Written by `cargo run -p tidy -- gen`.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    reason = "generated code has its own ways"
)]
mod generated {
    #[rustfmt::skip]
    #[path = "book.v1.rs"]
    pub mod book;

    #[rustfmt::skip]
    #[path = "cartwright.catalog.v1.rs"]
    pub mod catalog;

    pub const DESCRIPTORS: &[u8] = include_bytes!("generated/descriptors.bin");
}
