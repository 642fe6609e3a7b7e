use crate::call::{Call, json};
use crate::problem::{Answer, Failure};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::IntoResponse;
use serde_json::json;
use std::collections::BTreeMap;

/// The process is alive: touches nothing else, so that a slow store never gets it killed.
pub(crate) async fn live(_: Call) -> Answer {
    Ok(json(&json!({ "status": "ok" })))
}

/// Requests should be sent here.
pub(crate) async fn ready(call: Call) -> Answer {
    if call.edge.is_ready() {
        return Ok(json(&json!({ "status": "ok" })));
    }
    let later = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("1"))]);
    Err(Failure::new(503, "NOT_READY", "Not ready yet, or going down.").with(later))
}

/// What a person wants to see at a glance.
pub(crate) async fn detailed(call: Call) -> Answer {
    let metrics = call.edge.metrics();
    let status = if call.edge.is_ready() { "ok" } else { "not_ready" };
    let engines: BTreeMap<_, _> =
        call.edge.engines().iter().map(|(engine, ok)| (*engine, if *ok { "ok" } else { "unreachable" })).collect();
    Ok(json(&json!({
        "status": status,
        "engines": engines,
        "requestsInFlight": metrics.in_flight.get(),
        "connections": metrics.connections.get(),
    })))
}

pub(crate) async fn metrics(call: Call) -> Answer {
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(CONTENT_TYPE, kind)], call.edge.metrics().text()).into_response())
}
