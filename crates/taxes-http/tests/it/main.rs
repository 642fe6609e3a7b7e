//! The shop's side and the provider's, over real sockets.

use app::ports::{DidItHappen, PortErrorKind, Taxes};
use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use conformance::fixtures::{tax_table, taxable, trace, usd};
use domain::money::Ppm;
use domain::pricing::{Due, Unbelievable};
use memory::{ManualClock, MemoryTaxes};
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use taxes_http::{HttpTaxes, Patience, provider};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Serves until the test's runtime ends.
async fn served(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, router).await });
    tasks.detach_all();
    address
}

fn taxes(address: SocketAddr, timeout: Duration) -> HttpTaxes {
    HttpTaxes::new(&format!("http://{address}"), Patience { timeout, retries_max: 1, ..Patience::default() }).expect("an address")
}

async fn subject() -> Arc<dyn Taxes> {
    let table = MemoryTaxes::new(tax_table(), Arc::new(ManualClock::new()));
    Arc::new(taxes(served(provider(Arc::new(table))).await, Duration::from_secs(8)))
}

conformance::taxes!(subject().await);

/// A provider that answers every question with this.
async fn saying(status: u16, body: &'static str) -> HttpTaxes {
    let answer = move || async move { (axum::http::StatusCode::from_u16(status).expect("a status"), body) };
    taxes(served(Router::new().route("/v1/assessments", post(answer))).await, Duration::from_secs(8))
}

#[tokio::test]
async fn who_cannot_say_says_so_by_an_error_after_which_nothing_has_changed() {
    let (unavailable, corrupt) = (PortErrorKind::Unavailable, PortErrorKind::Corrupt);
    for (status, body, kind) in [
        (500, "", unavailable),
        (503, "", unavailable),
        (429, "", unavailable),
        (504, "", PortErrorKind::Timeout),
        (404, "", corrupt),
        (204, "", corrupt),
        (200, "", corrupt),
        (200, "<html>", corrupt),
        (200, "null", corrupt),
        (200, r#"{"currency":"USD","included":false}"#, corrupt),
        (200, r#"{"currency":"usd","included":false,"taxes":[]}"#, corrupt),
        (200, r#"{"currency":"USD","included":false,"taxes":[],"certainly":true}"#, corrupt),
        (200, r#"{"currency":"USD","included":false,"taxes":[{"code":"","label":"Tax","lines":[]}]}"#, corrupt),
        (200, r#"{"currency":"USD","included":false,"taxes":[{"code":"US","label":"Tax","ratePpm":1000001,"lines":[]}]}"#, corrupt),
        (200, r#"{"currency":"USD","included":false,"taxes":[{"code":"US","label":"Tax","lines":[{"item":"1","amount":1}]}]}"#, corrupt),
        (
            200,
            r#"{"currency":"USD","included":false,"taxes":[{"code":"US","label":"Tax","lines":[],"shipping":9007199254740992}]}"#,
            corrupt,
        ),
        (200, r#"{"currency":"USD","included":false,"taxes":[{"code":"US","label":"Tax","lines":[],"shipping":1.5}]}"#, corrupt),
    ] {
        let error = saying(status, body).await.assess(&taxable("US", "CA", "")).await.expect_err(body);
        assert_eq!((error.port, error.kind, error.did_it_happen), ("taxes", kind, DidItHappen::No), "{status} {body}");
    }
}

#[tokio::test]
async fn a_call_is_in_the_trace_of_what_makes_it() {
    let echo = |headers: HeaderMap| async move {
        let [parent, state] = ["traceparent", "tracestate"].map(|name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("none"));
        format!(r#"{{"currency":"USD","included":true,"taxes":[{{"code":"{state}","label":"{parent}","lines":[]}}]}}"#)
    };
    let provider = taxes(served(Router::new().route("/v1/assessments", post(echo))).await, Duration::from_secs(8));
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (trace, told) in [(None, ["none", "none"]), (trace(None), [parent, "none"]), (trace(Some("a=1")), [parent, "a=1"])] {
        let assessed = app::traced(trace, provider.assess(&taxable("US", "CA", ""))).await.expect("an answer");
        assert_eq!([assessed.taxes[0].label.as_str(), assessed.taxes[0].code.as_str()], told);
    }
}

#[tokio::test]
async fn a_provider_that_hangs_or_is_not_there_has_an_end() {
    let hanging = served(Router::new().route("/v1/assessments", post(pending::<()>))).await;
    let error = taxes(hanging, Duration::from_millis(100)).assess(&taxable("US", "CA", "")).await.expect_err("hanging");
    assert_eq!((error.kind, error.did_it_happen), (PortErrorKind::Timeout, DidItHappen::No));

    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let error = taxes(gone, Duration::from_millis(100)).assess(&taxable("US", "CA", "")).await.expect_err("gone");
    assert_eq!((error.kind, error.did_it_happen), (PortErrorKind::Unavailable, DidItHappen::No));
}

#[tokio::test]
async fn what_is_well_formed_is_passed_on_for_the_shop_to_judge() {
    let silent = r#"{"currency":"USD","included":true,"taxes":[{"code":"US","label":"Tax","lines":[]}]}"#;
    let assessed = saying(200, silent).await.assess(&taxable("US", "CA", "")).await.expect("an answer");
    let due = |rate: Option<u32>| Due {
        code: domain::text::Text::parse("US").expect("a code"),
        label: domain::text::Text::parse("Tax").expect("a label"),
        rate: rate.map(Ppm),
        lines: vec![],
        shipping: usd(0),
    };
    assert_eq!((assessed.included, assessed.taxes), (true, vec![due(None)]));

    let euros = r#"{"currency":"EUR","included":true,"taxes":[{"code":"US","label":"Tax","lines":[],"shipping":1}]}"#;
    let goods = taxable("US", "CA", "");
    let assessed = saying(200, euros).await.assess(&goods).await.expect("an answer");
    assert_eq!(assessed.check(&goods), Err(Unbelievable::OtherCurrency));
}

#[tokio::test]
async fn a_question_that_is_none_is_refused() {
    let table: Arc<dyn Taxes> = Arc::new(MemoryTaxes::new(tax_table(), Arc::new(ManualClock::new())));
    for (body, status) in [
        (r#"{"currency":"USD","destination":{"country":"US"},"lines":[],"shipping":0}"#, 200),
        (r#"{"currency":"USD","destination":{"country":"us"},"lines":[],"shipping":0}"#, 400),
        (r#"{"currency":"USD","destination":{"country":"US","street":"x"},"lines":[],"shipping":0}"#, 400),
        (r#"{"currency":"USD","destination":{"country":"US"},"lines":[]}"#, 400),
        ("", 400),
    ] {
        let call = outbound::Call { method: outbound::Method::POST, path: "/v1/assessments", key: None, body: body.into() };
        let client =
            outbound::Client::new("taxes", &format!("http://{}", served(provider(Arc::clone(&table))).await), 10_000, Patience::default());
        let answer: Result<serde_json::Value, _> = client.expect("an address").call(call).await;
        assert_eq!(answer.is_ok(), status == 200, "{body}: {answer:?}");
    }
}
