//! The page where a customer meets a challenge.

use crate::{served, simulator};
use app::ports::{Authorize, ChargeStatus, Payments};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use conformance::fixtures::authorize;
use domain::ids::AttemptId;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use payments_http::{CHALLENGES, challenges};
use std::sync::{Arc, Mutex};

const KEY: AttemptId = AttemptId(7);
const BACK: &str = "https://shop.example/checkout?a=1&b=\"2\"";

async fn ask(address: std::net::SocketAddr, method: Method, path: &str) -> (StatusCode, HeaderMap, String) {
    let request =
        Request::builder().method(method).uri(format!("http://{address}{CHALLENGES}/{path}")).body(Body::empty()).expect("a request");
    let answer = Client::builder(TokioExecutor::new()).build_http().request(request).await.expect("an answer");
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    (head.status, head.headers, String::from_utf8(bytes.to_vec()).expect("text"))
}

#[tokio::test]
async fn a_customer_approves_or_denies_and_goes_back_to_the_shop() {
    for (answer, approved) in [("approve", true), ("deny", false)] {
        for return_url in [None, Some(BACK.to_owned())] {
            let simulator = simulator();
            let request = Authorize { return_url: return_url.clone(), ..authorize("tok_requires_action") };
            simulator.authorize(KEY, &request).await.expect("an answer");
            let told = Arc::new(Mutex::new(Vec::new()));
            let told_too = Arc::clone(&told);
            let answered = Arc::new(move |key, _| {
                told_too.lock().expect("a lock").push(key);
                Box::pin(std::future::ready(())) as _
            });
            let address = served(challenges(simulator.clone(), answered)).await;

            let (status, headers, page) = ask(address, Method::GET, &KEY.to_string()).await;
            assert!(page.contains("12.99 USD") && page.contains("/approve\"") && page.contains("/deny\""), "{page}");
            assert_eq!((status, headers["cache-control"].to_str().expect("text")), (StatusCode::OK, "no-store"));
            for _ in 0..2 {
                let (status, headers, _) = ask(address, Method::POST, &format!("{KEY}/{answer}")).await;
                let to = headers.get("location").map(|to| to.to_str().expect("text").to_owned());
                assert_eq!((status, to), (if return_url.is_some() { StatusCode::SEE_OTHER } else { StatusCode::OK }, return_url.clone()));
            }
            let charge = simulator.find(KEY).await.expect("an answer").expect("a charge");
            assert_eq!(charge.status == ChargeStatus::Authorized, approved, "{charge:?}");
            assert_eq!(*told.lock().expect("a lock"), [KEY, KEY]);
            let (_, _, page) = ask(address, Method::GET, &KEY.to_string()).await;
            assert!(page.contains(if approved { "is approved" } else { "is denied" }) && !page.contains("b=\"2"), "{page}");
        }
    }
}

#[tokio::test]
async fn there_is_a_page_only_for_a_challenge() {
    let simulator = simulator();
    simulator.authorize(KEY, &authorize("tok_visa")).await.expect("an answer");
    let none: Router = challenges(simulator.clone(), Arc::new(|_, _| panic!("nothing was answered")));
    let address = served(none).await;
    for (method, path) in [
        (Method::GET, KEY.to_string()),
        (Method::GET, AttemptId(8).to_string()),
        (Method::GET, "nothing".to_owned()),
        (Method::POST, format!("{KEY}/approve")),
        (Method::POST, format!("{}/deny", AttemptId(8))),
    ] {
        assert_eq!(ask(address, method, &path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(simulator.find(KEY).await.expect("an answer").expect("a charge").status, ChargeStatus::Authorized);
}
