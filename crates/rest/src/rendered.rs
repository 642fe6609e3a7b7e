//! Carts that were printed lately. A cart is read more often than it changes, and pricing and printing it is
//! most of the work of a read: what was printed is kept beside what it was made from.

use crate::call::{etag, to_json};
use crate::limits::RENDERED_BYTES_MAX;
use app::{App, Basis, CartView};
use axum::http::HeaderValue;
use bytes::Bytes;
use domain::cart::Cart;
use domain::ids::CartId;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;
use wire::cart::CartBody;

#[derive(Debug)]
pub(crate) struct Rendered {
    basis: Basis,
    pub body: Bytes,
    pub tag: HeaderValue,
}

#[derive(Debug)]
pub(crate) struct RenderedCarts(Cache<CartId, Arc<Rendered>, Weight>);

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<CartId, Arc<Rendered>> for Weight {
    /// The body, and what is kept beside it.
    fn weight(&self, _: &CartId, rendered: &Arc<Rendered>) -> u64 {
        rendered.body.len() as u64 + 512
    }
}

impl RenderedCarts {
    pub fn new() -> Self {
        Self(Cache::with_weighter(usize::try_from(RENDERED_BYTES_MAX / 2048).unwrap_or(usize::MAX), RENDERED_BYTES_MAX, Weight))
    }

    /// What was printed of a cart, if it would be the same now.
    pub fn get(&self, app: &App, cart: &Arc<Cart>) -> Option<Arc<Rendered>> {
        self.0.get(&cart.id).filter(|rendered| app.still_shows(&rendered.basis, cart))
    }

    /// Prints a view.
    pub fn print(&self, view: &CartView, basis: Basis) -> Arc<Rendered> {
        let body = Bytes::from(to_json(&CartBody::from(view)));
        let rendered = Arc::new(Rendered { tag: etag(view.cart.version, &body), body, basis });
        self.0.insert(view.cart.id, Arc::clone(&rendered));
        rendered
    }
}
