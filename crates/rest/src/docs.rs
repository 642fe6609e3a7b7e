//! The description of this edge, as JSON and as a page.

use crate::call::Call;
use crate::problem::Answer;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// Made from `openapi.yaml`.
pub const OPENAPI: &str = include_str!("../openapi.json");
const PAGE: &str = include_str!("docs.html");

/// Only what the page brings along may run, and it may only ask this server.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |open: &str, close: &str| {
        let inner = PAGE.split_once(open).and_then(|(_, rest)| rest.split_once(close)).map_or("", |(inner, _)| inner);
        format!("'sha256-{}'", STANDARD.encode(Sha256::digest(inner)))
    };
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        hash("<script>", "</script>"),
        hash("<style>", "</style>"),
    );
    HeaderValue::try_from(policy).expect("invariant: plain ASCII")
});

pub(crate) async fn openapi(_: Call) -> Answer {
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], OPENAPI).into_response())
}

pub(crate) async fn page(_: Call) -> Answer {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    let fresh = HeaderValue::from_static("no-cache");
    Ok(([(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, POLICY.clone()), (CACHE_CONTROL, fresh)], PAGE).into_response())
}

pub(crate) async fn jwks(call: Call) -> Answer {
    let kind = HeaderValue::from_static("application/json");
    let kept = HeaderValue::from_static("public, max-age=300");
    Ok(([(CONTENT_TYPE, kind), (CACHE_CONTROL, kept)], call.edge.keys.jwks()).into_response())
}
