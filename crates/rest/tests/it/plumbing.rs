//! What has nothing to do with books.

use crate::shop::Shop;
use app::ports::{Clock, Outbox};
use domain::time::Timestamp;
use memory::ManualClock;
use memory::simulator::PaymentSimulator;
use rest::EdgeConfig;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn the_routes_are_those_of_the_description() {
    let description: Value = serde_json::from_str(rest::OPENAPI).expect("JSON");
    let methods = ["get", "put", "post", "patch", "delete"];
    let described: BTreeSet<(String, String)> = description["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, item)| methods.iter().filter(|m| item.get(**m).is_some()).map(|m| (path.clone(), m.to_uppercase())))
        .collect();
    let routes: BTreeSet<(String, String)> = rest::routes().into_iter().map(|(m, path)| (path.to_owned(), m.to_string())).collect();
    assert_eq!(routes, described);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let shop = Shop::new().await;
    for (method, path, status, code, allow) in [
        ("GET", "/", 404, "NOT_FOUND", ""),
        ("GET", "/api/v1", 404, "NOT_FOUND", ""),
        ("GET", "/api/v1/cart/", 404, "NOT_FOUND", ""),
        ("GET", "/api/v1/nope", 404, "NOT_FOUND", ""),
        ("GET", "/api/v1/books/%ff", 404, "NOT_FOUND", ""),
        ("GET", "/api/v1/books/..%2f..", 404, "PRODUCT_NOT_FOUND", ""),
        ("PUT", "/api/v1/cart", 405, "METHOD_NOT_ALLOWED", "GET, HEAD, POST, OPTIONS"),
        ("POST", "/api/v1/orders", 405, "METHOD_NOT_ALLOWED", "GET, HEAD, OPTIONS"),
        ("TRACE", "/api/v1/books", 405, "METHOD_NOT_ALLOWED", "POST, GET, HEAD, OPTIONS"),
        ("BREW", "/api/v1/checkout/process", 405, "METHOD_NOT_ALLOWED", "POST, OPTIONS"),
        ("OPTIONS", "/api/v1/checkout/process", 204, "", "POST, OPTIONS"),
        ("OPTIONS", "/api/v1/nope", 404, "NOT_FOUND", ""),
        ("HEAD", "/api/v1/books", 200, "", ""),
        ("HEAD", "/api/v1/books/nope", 404, "", ""),
        ("HEAD", "/api/v1/orders", 401, "", ""),
    ] {
        let answer = shop.ask(method, path).send().await;
        assert_eq!((answer.status.as_u16(), answer.code(), answer.header("allow")), (status, code, allow), "{method} {path}");
        assert!(method != "HEAD" || answer.bytes.is_empty());
    }
}

#[tokio::test]
async fn requests_have_names() {
    let shop = Shop::new().await;
    let ask = || shop.ask("GET", "/nope");
    let (one, two) = (ask().send().await, ask().send().await);
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    assert_eq!(one.str("/traceId"), one.header("x-request-id"));
    for (given, kept) in [("mine-1", true), (&"x".repeat(64), true), (&"x".repeat(65), false), ("a b", false), ("", false)] {
        let answer = ask().with("x-request-id", given).send().await;
        assert_eq!(answer.header("x-request-id") == given, kept, "{given}");
    }
    let traced = ask().with("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").send().await;
    assert_eq!(traced.str("/traceId"), "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[tokio::test]
async fn what_a_request_causes_is_in_the_trace_it_names() {
    let shop = Shop::new().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let named =
        || shop.ask("POST", "/api/v1/session").with("traceparent", parent).with("tracestate", "a=1").with("tracestate", "b=2").send();
    let nameless = || shop.ask("POST", "/api/v1/session").send();
    let wrong = || shop.ask("POST", "/api/v1/session").with("traceparent", &parent[1..]).with("tracestate", "a=1").send();
    for answer in [named().await, nameless().await, wrong().await] {
        answer.is(201, "");
    }
    let pending = Outbox::pending(&shop.store, 100).await.expect("events");
    let sessions = pending.iter().filter(|p| p.event.event.name() == "session.started");
    let traces: Vec<_> = sessions.map(|p| p.event.trace.as_ref().map(|t| (t.parent(), t.state()))).collect();
    assert_eq!(traces, [Some((parent, Some("a=1,b=2"))), None, None]);
}

#[tokio::test]
async fn health_is_told_to_anyone() {
    let shop = Shop::new().await;
    for path in ["/health", "/health/live", "/health/ready", "/health/detailed"] {
        for path in [path.to_owned(), format!("/api/v1{path}")] {
            assert_eq!(shop.ask("GET", &path).by("whatever").send().await.is(200, "").str("/status"), "ok");
        }
    }
    shop.edge.set_ready(false);
    for (path, status) in [("/health", 503), ("/health/ready", 503), ("/health/live", 200), ("/health/detailed", 200)] {
        let answer = shop.ask("GET", path).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after").is_empty()), (status, status == 200), "{path}");
    }
}

#[tokio::test]
async fn metrics_are_by_route_and_code() {
    let shop = Shop::new().await;
    shop.ask("GET", "/api/v1/books/nope").send().await.is(404, "PRODUCT_NOT_FOUND");
    for path in ["/metrics", "/health/metrics", "/api/v1/health/metrics"] {
        let text = String::from_utf8(shop.ask("GET", path).send().await.is(200, "").bytes).expect("text");
        for line in [
            "http_requests_total{method=\"GET\",route=\"/api/v1/books/{id}\",status=\"4xx\"} 1",
            "http_problems_total{code=\"PRODUCT_NOT_FOUND\"} 1",
            "http_request_duration_seconds_count{method=\"GET\",route=\"/api/v1/books/{id}\"} 1",
            "http_requests_in_flight 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}

#[tokio::test]
async fn the_description_is_served() {
    let shop = Shop::new().await;
    let description = shop.ask("GET", "/openapi.json").send().await.is(200, "");
    assert_eq!(description.json["openapi"], "3.1.0");
    let page = shop.ask("GET", "/docs").send().await.is(200, "");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && policy.matches("'sha256-").count() == 2 && !policy.contains("unsafe"), "{policy}");
    let keys = shop.ask("GET", "/.well-known/jwks.json").send().await.is(200, "");
    assert_eq!((keys.str("/keys/0/crv"), keys.str("/keys/0/alg")), ("Ed25519".into(), "EdDSA".into()));
    assert!(keys.json["keys"][0].get("d").is_none());
}

/// A clock that can be broken.
struct Broken(ManualClock, AtomicBool);

impl Clock for Broken {
    fn now(&self) -> Timestamp {
        assert!(!self.1.load(Ordering::SeqCst), "the clock is broken");
        self.0.now()
    }
}

#[tokio::test]
async fn a_panic_is_one_request_s_own() {
    let clock = ManualClock::new();
    let broken = Arc::new(Broken(clock.clone(), AtomicBool::new(false)));
    let payments = Arc::new(PaymentSimulator::in_memory(Duration::from_millis(50)));
    let shop = Shop::on(EdgeConfig::default(), Arc::clone(&broken) as Arc<dyn Clock>, clock, payments).await;
    let guest = shop.ask("POST", "/api/v1/session").send().await.is(201, "").str("/token");
    broken.1.store(true, Ordering::SeqCst);
    shop.ask("GET", "/api/v1/cart").by(&guest).send().await.is(500, "INTERNAL");
    shop.ask("POST", "/api/v1/session").send().await.is(500, "INTERNAL");
    broken.1.store(false, Ordering::SeqCst);
    shop.ask("GET", "/api/v1/cart").by(&guest).send().await.is(404, "CART_NOT_FOUND");
}
