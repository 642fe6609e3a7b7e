//! Around every answer: names the request, and gives every problem its shape.

use crate::edge::Edge;
use crate::limits::REQUEST_ID_MAX;
use crate::problem::Told;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::response::Response;
use domain::trace::TraceContext;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use wire::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Names differ between processes by chance and within one by counting: they are no secrets.
static FIRST: LazyLock<u128> = LazyLock::new(|| {
    let mut bits = [0; 16];
    aws_lc_rs::rand::fill(&mut bits).expect("invariant: there is chance to be had");
    u128::from_be_bytes(bits)
});
static COUNT: AtomicU64 = AtomicU64::new(0);

/// 32 hexadecimal digits. Every request gets them, so they are written by hand and not by a formatter.
fn fresh_id() -> [u8; 32] {
    let bits = FIRST.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed).into());
    std::array::from_fn(|n| b"0123456789abcdef"[(bits >> (124 - 4 * n) & 15) as usize])
}

/// The names of a request.
struct Names {
    request_id: HeaderValue,
    trace_id: [u8; 32],
    /// What the caller says it belongs to.
    context: Option<TraceContext>,
}

impl Names {
    fn of(headers: &HeaderMap) -> Self {
        let context = context(headers);
        let named = context.as_ref().and_then(|context| context.trace_id().as_bytes().try_into().ok());
        let trace_id = named.unwrap_or_else(fresh_id);
        let visible = |v: &&HeaderValue| (1..=REQUEST_ID_MAX).contains(&v.len()) && v.as_bytes().iter().all(u8::is_ascii_graphic);
        let given = headers.get(REQUEST_ID).filter(visible).cloned();
        let request_id = given.unwrap_or_else(|| HeaderValue::from_bytes(&trace_id).expect("invariant: hexadecimal digits"));
        Self { request_id, trace_id, context }
    }
}

/// The trace a request belongs to, if it names one, in one header; several states are one list.
fn context(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
    let states: Vec<&str> = headers.get_all(TRACESTATE).iter().filter_map(|state| state.to_str().ok()).collect();
    TraceContext::parse(parent.to_str().ok()?, Some(&states.join(",")))
}

/// Counts a request while it is being answered, also when nobody waits for the answer any more.
struct InFlight(Gauge);

impl InFlight {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What is said around every answer: kept from the request before it is handed on.
pub(crate) struct Trace {
    _counted: InFlight,
    names: Names,
    method: Method,
    uri: Uri,
    token: bool,
}

impl Trace {
    pub(crate) fn begin(edge: &Edge, request: &Request) -> Self {
        Self {
            _counted: InFlight::new(&edge.metrics.in_flight),
            names: Names::of(request.headers()),
            method: request.method().clone(),
            uri: request.uri().clone(),
            token: request.headers().contains_key(AUTHORIZATION),
        }
    }

    /// The trace that the request belongs to, for what it causes.
    pub(crate) fn context(&self) -> Option<TraceContext> {
        self.names.context.clone()
    }

    /// The answer with its name; a problem in its shape.
    pub(crate) fn end(self, edge: &Edge, mut response: Response) -> Response {
        if response.status().is_client_error() || response.status().is_server_error() {
            response = tell(edge, response, &self);
        }
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, self.names.request_id);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

/// Renders a failure as a problem, and logs what caused it, once.
fn tell(edge: &Edge, mut response: Response, asked: &Trace) -> Response {
    let trace_id = std::str::from_utf8(&asked.names.trace_id).expect("invariant: hexadecimal digits");
    let told = response.extensions_mut().remove::<Told>();
    let Told { problem, cause } = told.unwrap_or_else(|| Told { problem: Arc::new(unnamed(response.status().as_u16())), cause: None });
    if let Some(cause) = cause {
        let (method, path) = (&asked.method, asked.uri.path());
        tracing::error!(%method, path, trace_id, code = problem.code, %cause, "a port failed");
    }
    edge.metrics.problem(problem.code);
    let body = serde_json::to_vec(&problem.at(asked.uri.path(), trace_id)).expect("invariant: problems are plain");
    *response.body_mut() = if asked.method == Method::HEAD { Body::empty() } else { Body::from(body) };
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = problem.retry_after {
        headers.entry(RETRY_AFTER).or_insert(seconds.into());
    }
    if let Some(version) = problem.current {
        // Good for the next `If-Match`, which looks at the version alone.
        let tag = HeaderValue::try_from(format!("\"{}\"", version.0));
        headers.insert(ETAG, tag.expect("invariant: digits and quotes"));
    }
    if problem.status == 401 {
        let challenge = if asked.token { "Bearer realm=\"cartwright\", error=\"invalid_token\"" } else { "Bearer realm=\"cartwright\"" };
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

/// For what the framework refuses by itself.
fn unnamed(status: u16) -> Problem {
    let code = match status {
        404 => "NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        413 => "BODY_TOO_LARGE",
        500.. => "INTERNAL",
        _ => "BAD_REQUEST",
    };
    Problem::new(status, code, "The request cannot be answered.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_named_once_and_its_state_is_a_list() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (headers, expected) in [
            (vec![("traceparent", parent)], Some(None)),
            (vec![("traceparent", parent), ("tracestate", "a=1"), ("tracestate", "b=2")], Some(Some("a=1,b=2"))),
            (vec![("traceparent", parent), ("traceparent", parent)], None),
            (vec![("traceparent", "00-00-00-00"), ("tracestate", "a=1")], None),
            (vec![("tracestate", "a=1")], None),
            (vec![], None),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                map.append(*name, HeaderValue::from_static(value));
            }
            let context = context(&map);
            assert_eq!(context.as_ref().map(TraceContext::state), expected, "{headers:?}");
            let names = Names::of(&map);
            assert_eq!(&names.trace_id[..] == &parent.as_bytes()[3..35], expected.is_some(), "{headers:?}");
        }
    }
}
