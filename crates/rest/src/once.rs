//! Idempotency keys on their way in.

use crate::problem::Failure;
use app::Caller;
use axum::extract::RawPathParams;
use axum::http::{HeaderMap, HeaderName};
use domain::cart::{OnceMark, Owner};
use domain::limits::IDEMPOTENCY_KEY_MAX;
use sha2::{Digest, Sha256};
use wire::Json;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The request's key, if it has one.
///
/// # Errors
/// It is not 1 to 255 visible ASCII characters, or there are several.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let bytes = value.as_bytes();
    let plain = (1..=IDEMPOTENCY_KEY_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    match (value.to_str(), values.next()) {
        (Ok(key), None) if plain => Ok(Some(key.to_owned())),
        _ => {
            let detail = format!("An Idempotency-Key is one header of 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters.");
            Err(Failure::new(400, "IDEMPOTENCY_KEY_INVALID", detail))
        }
    }
}

/// What makes two requests the same one.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub caller: &'a Caller,
    pub method: &'a str,
    /// The template of the route, and what fills it in.
    pub route: &'a str,
    pub ids: &'a RawPathParams,
    pub query: &'a str,
}

impl Scope<'_> {
    /// The key in its scope, and the print of the request it came with.
    pub(crate) fn mark(&self, key: &str, body: [u8; 32]) -> OnceMark {
        let owner = match self.caller.owner() {
            Ok(Owner::Guest(session)) => session.to_string(),
            Ok(Owner::Customer(customer)) => format!("customer:{customer}"),
            Err(_) => "anonymous".to_owned(),
        };
        let ids = self.ids.iter().map(|(_, id)| id);
        let scope: Vec<&str> = [owner.as_str(), self.method, self.route].into_iter().chain(ids).collect();
        let print = [self.method, self.route, self.query];
        let mut digested = digest(scope.iter().copied().chain([key]).map(str::as_bytes));
        digested[0] = self.caller.owner().map_or(digested[0], |owner| owner.partition().0);
        OnceMark { key: digested, fingerprint: digest(scope[3..].iter().copied().chain(print).map(str::as_bytes).chain([&body[..]])) }
    }
}

/// A digest of parts that cannot run into each other.
fn digest<'a>(parts: impl Iterator<Item = &'a [u8]>) -> [u8; 16] {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    sha.finalize()[..16].try_into().expect("invariant: a digest has 32 bytes")
}

/// A print of a body that does not depend on how it was spelled (RFC 8785).
pub(crate) fn body_print(json: Option<&Json<'_>>) -> [u8; 32] {
    // What has no canonical spelling has been refused before; its debug name only keeps this total.
    let bytes = json.map(|json| serde_json_canonicalizer::to_vec(json).unwrap_or_else(|_| format!("{json:?}").into_bytes()));
    Sha256::digest(bytes.unwrap_or_default()).into()
}
