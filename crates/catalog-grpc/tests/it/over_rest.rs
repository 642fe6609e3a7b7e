//! What clients of the node without the catalog hear.

use crate::nodes::{shop, stocked};
use crate::served::{Node, PATIENCE, of, until_it_is};
use app::ports::Freshness;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use catalog_grpc::{RemoteCatalog, RemoteCatalogSettings};
use domain::ids::BookId;
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;
use rest::auth::DevIssuer;
use rest::{Edge, EdgeConfig, Metrics};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

async fn ask(router: &Router, token: &str, method: &str, path: &str, body: Value) -> (StatusCode, HeaderMap, Value) {
    let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let (head, body) = router.clone().oneshot(request.body(body).expect("a request")).await.expect("infallible").into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    (head.status, head.headers, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_add_is_told_that_the_catalog_is_away_and_when_to_come_back() {
    let store = stocked().await;
    let node = Node::start(of(&store)).await;
    let settings = RemoteCatalogSettings { copy_age_max: Duration::from_millis(300), ..node.settings() };
    let remote = RemoteCatalog::connect(settings).expect("an address");
    assert!(remote.caught_up(PATIENCE).await);
    let keys = DevIssuer::ephemeral().expect("a key").keys();
    let app = Arc::new(shop(&store, &remote));
    let router = rest::router(Edge::new(app, Arc::new(keys), Metrics::new(Registry::default()), &EdgeConfig::default()));

    let (_, headers, cart) = ask(&router, "", "POST", "/api/v1/cart", json!({})).await;
    let token = headers["x-session-token"].to_str().expect("a token").to_owned();
    let path = format!("/api/v1/cart/{}", cart["id"].as_str().expect("an id"));
    let (items, item) = (format!("{path}/items"), json!({ "productId": BookId(1).to_string(), "quantity": 1 }));
    let (status, ..) = ask(&router, &token, "POST", &items, item.clone()).await;
    assert_eq!(status, StatusCode::CREATED);

    node.stop().await;
    until_it_is(Freshness::Stale, &remote).await;
    let (status, headers, problem) = ask(&router, &token, "POST", &items, item).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("CATALOG_UNAVAILABLE")));
    assert!(headers.contains_key("retry-after"));
    let (status, _, cart) = ask(&router, &token, "GET", &path, Value::Null).await;
    assert_eq!((status, cart["items"].as_array().map(Vec::len)), (StatusCode::OK, Some(1)));
    let (status, ..) = ask(&router, &token, "GET", "/api/v1/books?limit=1", Value::Null).await;
    assert_eq!(status, StatusCode::OK);
}
