//! Carts that were rendered lately. A cart is read more often than it changes, and printing it is most of the
//! work of a read: the same view has the same bytes, so they are kept beside the view they were made from.

use crate::call::{etag, to_json};
use crate::limits::RENDERED_BYTES_MAX;
use app::CartView;
use axum::http::HeaderValue;
use bytes::Bytes;
use domain::ids::CartId;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;
use wire::cart::CartBody;

#[derive(Debug)]
pub(crate) struct Rendered {
    view: CartView,
    pub body: Bytes,
    pub tag: HeaderValue,
}

#[derive(Debug)]
pub(crate) struct RenderedCarts(Cache<CartId, Arc<Rendered>, Weight>);

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<CartId, Arc<Rendered>> for Weight {
    /// The body, and about as much for the view.
    fn weight(&self, _: &CartId, rendered: &Arc<Rendered>) -> u64 {
        2 * rendered.body.len() as u64
    }
}

impl RenderedCarts {
    pub fn new() -> Self {
        Self(Cache::with_weighter(usize::try_from(RENDERED_BYTES_MAX / 4096).unwrap_or(usize::MAX), RENDERED_BYTES_MAX, Weight))
    }

    /// Prints a view, unless it was the one that was printed last for its cart.
    pub fn of(&self, view: CartView) -> Arc<Rendered> {
        let id = view.cart.id;
        if let Some(rendered) = self.0.get(&id).filter(|r| r.view == view) {
            return rendered;
        }
        let body = Bytes::from(to_json(&CartBody::from(&view)));
        let rendered = Arc::new(Rendered { tag: etag(view.cart.version, &body), body, view });
        self.0.insert(id, Arc::clone(&rendered));
        rendered
    }
}
