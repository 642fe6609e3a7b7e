//! Taxes of a provider elsewhere, and what the shop does when it hangs, dies or lies.

use crate::shop::{Answer, Client, Provider, Shop, address, command, dir, key};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;

/// A tenth of everything, shipping too, in California; the shop's own table takes 7.25 % of goods alone.
const RULES: &str = r#"
[[tax]]
country = "US"
region = "CA"
label = "A tenth"
rate_ppm = 100000
shipping_taxed = true
"#;

/// `cartwright tax-simulator` with [`RULES`].
fn provider(dir: &Path, listen: &str) -> Provider {
    let (rules, config) = (dir.join("rules.toml"), dir.join("config.toml"));
    std::fs::write(&rules, RULES).expect("written");
    std::fs::write(&config, format!("[pricing]\nrules = {rules:?}\n")).expect("written");
    Provider::start(listen, &["tax-simulator", "--config", config.to_str().expect("a path")])
}

async fn shop_of(dir: &Path, url: &str, fallback: &str) -> (Shop, String) {
    let shop = Shop::start(
        dir,
        &[
            ("CARTWRIGHT_TAXES__PROVIDER", "http"),
            ("CARTWRIGHT_TAXES__URL", url),
            ("CARTWRIGHT_TAXES__TIMEOUT", "1s"),
            ("CARTWRIGHT_TAXES__FALLBACK", fallback),
        ],
    );
    let (book, _) = shop.admin(dir).new_book("TAXED", 2000, 100).await;
    (shop, book)
}

/// A guest with one copy, at 20.00 and 4.99 of shipping, on the way to California.
async fn checked_out(shop: &Shop, book: &str) -> (Client, Answer) {
    let guest = shop.guest().await;
    guest.cart(json!([{ "productId": book, "quantity": 1 }])).await;
    let details = json!({ "email": "ada@example.com", "shippingAddress": address() });
    let answer = guest.post("/checkout/session", details).await;
    (guest, answer)
}

/// The tax, and whether it is said to be an estimate: the member is there only then.
fn tax(totals: &Value) -> (i64, bool) {
    assert!(totals.get("taxEstimated").is_none_or(|told| *told == true), "{totals}");
    (totals["tax"]["amount"].as_i64().expect("an amount"), totals.get("taxEstimated").is_some())
}

#[track_caller]
fn refused(answer: &Answer) {
    assert_eq!((answer.status, answer.code(), answer.header("retry-after")), (503, "TAX_UNAVAILABLE", "1"), "{}", answer.text);
}

/// Pays; the totals of the order, as it is read afterwards.
async fn paid(guest: &Client, checkout: &Value) -> Value {
    let order = guest.process(checkout, "tok_visa", &key()).await.expect(200)["order"].clone();
    let read = guest.get(&format!("/orders/{}", order["id"].as_str().expect("an id"))).await.expect(200);
    assert_eq!(read["totals"], order["totals"]);
    assert_eq!(order["totals"]["total"], checkout["totals"]["total"], "the total seen is the total paid");
    read["totals"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tax_provider_that_hangs_and_dies_is_stood_in_for_as_declared() {
    for (fallback, expected) in [("last_rate", Some(250)), ("table", Some(145)), ("refuse", None)] {
        let (store, elsewhere) = (dir(), dir());
        let first = provider(elsewhere.path(), "127.0.0.1:0");
        let listen = first.listen.to_string();
        let (shop, book) = shop_of(store.path(), &first.url(), fallback).await;
        let (early, seen) = checked_out(&shop, &book).await;
        let seen = seen.expect(201);
        assert_eq!(tax(&seen["totals"]), (250, false), "{fallback}");

        first.signal("-STOP");
        let (hanging, while_hanging) = checked_out(&shop, &book).await;
        drop(first);
        let (gone, while_gone) = checked_out(&shop, &book).await;
        let ask = json!({ "items": [{ "productId": book, "quantity": 1 }], "shippingAddress": address() });
        let calculated = shop.client().post("/pricing/calculate", ask).await;
        match expected {
            None => [&while_hanging, &while_gone, &calculated].into_iter().for_each(refused),
            Some(expected) => {
                assert_eq!(tax(&calculated.expect(200)), (expected, true), "{fallback}");
                let while_hanging = while_hanging.expect(201);
                assert_eq!(tax(&while_hanging["totals"]), (expected, true), "{fallback}");
                assert_eq!(tax(&paid(&hanging, &while_hanging).await), (expected, true), "{fallback}");
                assert_eq!(tax(&while_gone.expect(201)["totals"]), (expected, true), "{fallback}");
            }
        }
        // What was seen before is paid as it was seen.
        assert_eq!(tax(&paid(&early, &seen).await), (250, false), "{fallback}");

        let _second = provider(elsewhere.path(), &listen);
        let known = until_known(&gone).await;
        assert_eq!(tax(&paid(&gone, &known).await), (250, false), "{fallback}");
    }
}

/// Starts the checkout again until its tax is no estimate: the breaker is open for a while.
async fn until_known(guest: &Client) -> Value {
    for _ in 0..600 {
        let answer = guest.post("/checkout/session", json!({ "email": "ada@example.com", "shippingAddress": address() })).await;
        if answer.status < 300 && !tax(&answer.body["totals"]).1 {
            return answer.body;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the provider is back and nobody notices");
}

/// What a liar answers, with the first item that was asked about.
type Lie = fn(&str) -> String;

/// A provider that answers every question by a lie, until the test's runtime ends.
async fn liar(lie: Lie) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let answer = move |request: Request<Incoming>| async move {
        let asked = request.into_body().collect().await.expect("a body").to_bytes();
        let asked: Value = serde_json::from_slice(&asked).expect("JSON");
        let told = lie(asked["lines"][0]["item"].as_str().expect("an item"));
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(told))))
    };
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer)));
        }
    });
    address
}

fn due(currency: &str, item: &str, amount: i64) -> String {
    let tax = json!({ "code": "US-CA", "label": "A lie", "lines": [{ "item": item, "amount": amount }] });
    json!({ "currency": currency, "included": false, "taxes": [tax] }).to_string()
}

const LIES: &[(&str, Lie)] = &[
    ("below zero", |item| due("USD", item, -1)),
    ("more than the goods", |item| due("USD", item, 2001)),
    ("another currency", |item| due("EUR", item, 1)),
    ("another item", |_| due("USD", "item_00000000000000000000000001", 1)),
    ("no item", |_| due("USD", "1", 1)),
    ("not JSON", |_| "<html>".to_owned()),
    ("not the protocol", |_| "{}".to_owned()),
];

fn import(dir: &Path, arguments: &[&str]) -> (String, String) {
    let output = command(dir).args(["import", "taxes"]).args(arguments).output().expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_imported_table_is_what_quotes_go_by() {
    let store = dir();
    let (csv, first) = (store.path().join("rates.csv"), ["created", "updated", "unchanged"]);
    let header = "tax,country,region,city,postal_from,postal_to,label,rate_ppm,formats,included,shipping_taxed,rounding,level,valid_from,valid_to,source\n";
    let write = |rows: &str| std::fs::write(&csv, format!("{header}{rows}")).expect("written");
    let file = csv.to_str().expect("a path");
    write(
        "SALES,US,CA,,,,State,90000,,,,,,,,\nDISTRICT,US,CA,San Francisco,,,District,10000,,,true,,,,,\nSALES,US,CA,,,,Again,1,,,,,,,,\n",
    );
    let (said, bad) = import(store.path(), &[file, "--source", "A ministry", "--as-of", "2026-11-01"]);
    assert_eq!(bad, "line 4: the same tax in the same place as line 2\n");
    let together = "taxes of several names add up; see whether that is meant: US: DISTRICT, SALES\n";
    assert_eq!(said, format!("1 {}, 1 {}, 0 {}, 1 bad rows\n{together}", first[0], first[1], first[2]), "the demo has a rate of the state");
    let (said, _) = import(store.path(), &[file, "--source", "A ministry", "--as-of", "2026-11-01"]);
    assert_eq!(said, format!("0 created, 0 updated, 2 unchanged, 1 bad rows\n{together}"));
    write("SALES,US,CA,,,,State,80000,,,,,,,,\n");
    assert_eq!(import(store.path(), &[file]).0, format!("0 created, 1 updated, 0 unchanged, 0 bad rows\n{together}"));

    let shop = Shop::start(store.path(), &[]);
    let (book, _) = shop.admin(store.path()).new_book("IMPORTED", 2000, 100).await;
    // 8 % of 20.00, and 1 % of 24.99.
    let (_, answer) = checked_out(&shop, &book).await;
    assert_eq!(tax(&answer.expect(201)["totals"]), (185, false));
}

#[test]
fn the_real_tables_import_when_they_are_there() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/tax");
    for (name, arguments, said) in [
        ("eu_vat_rates.pypi-eu-vat-rates-data.json", &[][..], (45, 0)),
        ("vat_europe.csv", &[], (45, 0)),
        ("us_states.csv", &[], (46, 0)),
        ("ca_provinces.csv", &[], (18, 0)),
        ("sales_tax_rates.npm-sales-tax-2.23.0.json", &["--ebooks-rate", "DE=70000"], (0, 0)),
    ] {
        let file = data.join(name);
        if !file.is_file() {
            #[expect(clippy::print_stderr, reason = "a skipped test says so")]
            {
                eprintln!("skipped: {name} is not beside the project");
            }
            continue;
        }
        let (store, file) = (dir(), file.to_str().expect("a path").to_owned());
        let arguments: Vec<&str> = std::iter::once(file.as_str()).chain(arguments.iter().copied()).collect();
        let (first, bad) = import(store.path(), &arguments);
        let counts: Vec<usize> = first.lines().next().expect("a summary").split(' ').filter_map(|word| word.parse().ok()).collect();
        assert_eq!((counts[0] + counts[1] + counts[2], counts[3]), said, "{name}: {first}{bad}");
        let (again, _) = import(store.path(), &arguments);
        assert!(again.starts_with(&format!("0 created, 0 updated, {} unchanged", said.0)), "{name}: {again}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tax_provider_that_lies_is_not_believed() {
    for (fallback, expected) in [("table", Some(145)), ("refuse", None)] {
        for (name, lie) in LIES {
            let store = dir();
            let (shop, book) = shop_of(store.path(), &format!("http://{}", liar(*lie).await), fallback).await;
            let (guest, answer) = checked_out(&shop, &book).await;
            match expected {
                None => refused(&answer),
                Some(expected) => {
                    let checkout = answer.expect(201);
                    assert_eq!(tax(&checkout["totals"]), (expected, true), "{name}");
                    assert_eq!(tax(&paid(&guest, &checkout).await), (expected, true), "{name}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_tax_provider_says_is_told_with_its_reason() {
    let store = dir();
    let (shop, book) = shop_of(store.path(), &format!("http://{}", liar(|item| due("USD", item, 99)).await), "refuse").await;
    let (guest, answer) = checked_out(&shop, &book).await;
    let checkout = answer.expect(201);
    let taxes: Vec<_> = checkout["totals"]["adjustments"].as_array().expect("a list").iter().filter(|a| a["kind"] == "tax").collect();
    let reason = "Due on 20.00 USD, as the tax provider says.";
    assert_eq!(
        taxes,
        [&json!({ "kind": "tax", "code": "US-CA", "label": "A lie", "amount": { "amount": 99, "currency": "USD" }, "reason": reason })]
    );
    let path = format!("/checkout/session/{}", checkout["id"].as_str().expect("an id"));
    let patched =
        guest.send(Method::PATCH, &path, &[], json!({ "email": "b@example.com" }).to_string()).await.expect("an answer").expect(200);
    assert_eq!(patched["totals"], checkout["totals"]);
}
