//! The command line and what surrounds the requests: import, backup, restore, check, start, stop.

use crate::scale::{self, try_start};
use crate::shop::{Shop, address, binary, command, dir, key, usd};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn run(dir: &Path, arguments: &[&str]) -> (bool, String, String) {
    let Output { status, stdout, stderr } = command(dir).args(arguments).output().expect("the binary runs");
    (status.success(), String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn an_import_reports_bad_rows_and_repeats_harmlessly() {
    let dir = dir();
    let file = dir.path().join("books.jsonl");
    let rows = [
        r#"{"id":1,"title":"One","authors":["A"],"genres":["Fiction"],"year":1999,"language":"en","price":999}"#,
        r#"{"id":2,"title":"","authors":["A"],"price":999}"#,
        r#"not json"#,
        r#"{"id":3,"title":"Three","authors":["A","B"],"price":1299,"isbn13":"9780441172718"}"#,
        r#"{"id":4,"title":"Four","editions":[{"sku":"FOUR-PB","format":"paperback","price":1000,"salePrice":2000}]}"#,
        r#"{"id":5,"title":"Five","editions":[{"sku":"FIVE-PB","format":"paperback","price":1000,"stock":3}]}"#,
        r#"{"id":6,"title":"Six"}"#,
    ];
    std::fs::write(&file, rows.join("\n")).expect("written");
    let import = ["import", "catalog", file.to_str().expect("text")];
    let (ok, said, bad) = run(dir.path(), &import);
    assert!(ok, "{bad}");
    assert_eq!(said, "2 created, 0 updated, 0 unchanged, 5 bad rows\n");
    for (line, reason) in [(2, "title"), (3, "expected"), (4, "isbn13"), (5, "salePrice"), (7, "price")] {
        assert!(bad.lines().any(|l| l.starts_with(&format!("line {line}: ")) && l.contains(reason)), "line {line}: {bad}");
    }
    assert_eq!(run(dir.path(), &import).1, "0 created, 0 updated, 2 unchanged, 5 bad rows\n");
}

#[tokio::test]
async fn a_token_says_who_buys() {
    let dir = dir();
    let shop = Shop::start(dir.path(), &[("CARTWRIGHT_DEMO_CATALOG", "false")]);
    let admin = shop.admin(dir.path());
    let (book, _) = admin.new_book("TOKEN-1", 1000, 10).await;
    let gold = json!({ "id": "gold", "label": "Gold", "trigger": "automatic", "benefit": { "kind": "goods", "off": { "ratePpm": 100_000 } },
        "conditions": { "segments": ["gold"], "birthdayWithinDays": 183 } });
    admin.post("/pricing/promotions", gold).await.expect(201);
    let quote = json!({ "items": [{ "productId": book, "quantity": 1 }], "shippingAddress": address() });
    let said = ["--segment", "gold", "--segment", "old", "--birthdate", "1990-11-28", "--tax-exempt"];
    for (said, discount, tax) in [(&[][..], 0, true), (&said[..2], 0, true), (&said, 100, false)] {
        let (ok, token, bad) = run(dir.path(), &[&["token", "--sub", "ada", "--role", "customer"], said].concat());
        assert!(ok, "{bad}");
        let priced = shop.client().with(token.trim().to_owned()).post("/pricing/calculate", quote.clone()).await.expect(200);
        assert_eq!((&priced["discount"], priced["tax"] != usd(0)), (&usd(discount), tax), "{said:?}: {priced}");
    }
    for wrong in [["--segment", "a b"], ["--birthdate", "1990-02-30"], ["--birthdate", "28.11.1990"]] {
        let (ok, _, bad) = run(dir.path(), &[&["token", "--sub", "ada", "--role", "customer"], &wrong[..]].concat());
        assert!(!ok && bad.contains(wrong[0]), "{wrong:?}: {bad}");
    }
}

#[test]
fn a_csv_imports_too() {
    let dir = dir();
    let file = dir.path().join("books.csv");
    std::fs::write(&file, "sku,title,authors,categories,price,stock\nA-1,\"One, two\",Ann; Bob,Fiction,999,5\nA-2,Three,Ann,,oops,5\n")
        .expect("written");
    let (ok, said, bad) = run(dir.path(), &["import", "catalog", file.to_str().expect("text")]);
    assert!(ok, "{bad}");
    assert_eq!(said, "1 created, 0 updated, 0 unchanged, 1 bad rows\n", "{bad}");
}

#[tokio::test]
async fn the_real_catalog_imports_whole_when_it_is_there() {
    let data = root().join("../shared/data/catalog");
    let (books, prices) = (data.join("books.jsonl.zst"), data.join("prices.csv.zst"));
    if !books.is_file() {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: the 10,000-book catalog is not beside the project");
        }
        return;
    }
    let dir = dir();
    let paths = [books, prices].map(|p| p.to_str().expect("text").to_owned());
    let (ok, said, bad) = run(dir.path(), &["import", "catalog", &paths[0], "--prices", &paths[1]]);
    assert!(ok, "{bad}");
    assert_eq!(said, "10000 created, 0 updated, 0 unchanged, 0 bad rows\n", "{bad}");
    let shop = Shop::start(dir.path(), &[]);
    let client = shop.client();
    let found = client.get("/books?search=hunger%20games&limit=3").await.expect(200);
    assert_eq!(found["items"][0]["title"], "The Hunger Games");
    assert!(client.get("/books?limit=1").await.expect(200)["total"].as_u64() >= Some(10_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_taken_while_serving_restores_whole() {
    let dir = dir();
    let shop = Shop::start(dir.path(), &[]);
    let (book, _) = shop.admin(dir.path()).new_book("BACKUP", 1000, 1000).await;
    let guest = shop.guest().await;
    guest.cart(json!([{ "productId": book, "quantity": 1 }])).await;
    let checkout = guest.checkout().await;
    let order = guest.process(&checkout, "tok_visa", &key()).await.expect(200)["order"].clone();
    let busy = {
        let (other, book) = (shop.guest().await, book.clone());
        tokio::spawn(async move {
            let id = other.cart(json!([])).await;
            for _ in 0..300 {
                other.post(&format!("/cart/{id}/items"), json!({ "productId": book, "quantity": 1 })).await.expect(201);
            }
        })
    };
    let copies = crate::shop::dir();
    let copy = copies.path().join("copy");
    let (ok, said, wrong) = run(dir.path(), &["backup", copy.to_str().expect("text")]);
    assert!(ok, "{said}{wrong}");
    let (again, _, wrong) = run(dir.path(), &["backup", copy.to_str().expect("text")]);
    assert!(!again && !wrong.is_empty(), "a backup does not overwrite another");
    busy.await.expect("served all the while");
    let restored = copies.path().join("restored");
    let (ok, said, wrong) = run(&restored, &["restore", copy.to_str().expect("text")]);
    assert!(ok, "{said}{wrong}");
    let second = Shop::start(&restored, &[]);
    let there =
        second.client().with(guest.token().to_owned()).get(&format!("/orders/{}", order["id"].as_str().expect("an id"))).await.expect(200);
    assert_eq!(there["totals"], order["totals"]);
    second.customer(&restored, "alice").get("/orders").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_scale_check_compares_what_postgresql_keeps_twice() {
    let (dir, engines) = (dir(), scale::engines());
    let shop = tokio::task::block_in_place(|| try_start(engines, &binary(), dir.path(), &[]).expect("ready"));
    let (book, _) = shop.admin(dir.path()).new_book("CHECKED", 1000, 10).await;
    let guest = shop.guest().await;
    guest.cart(json!([{ "productId": book, "quantity": 1 }])).await;
    let checkout = guest.checkout().await;
    guest.process(&checkout, "tok_visa", &key()).await.expect(200);
    let check = || {
        let mut check = command(dir.path());
        check.envs(scale::variables(engines, dir.path())).env("CARTWRIGHT_PAYMENTS__URL", "http://127.0.0.1:1").arg("check");
        let Output { status, stdout, stderr } = check.output().expect("the binary runs");
        (status.success(), String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned())
    };
    let (sound, said, why) = check();
    assert!(sound && said.contains("PostgreSQL is sound: 1 checkouts, 1 orders"), "{said}{why}");
    let [postgres, _] = scale::postgres_of(engines, dir.path());
    let one_more = "UPDATE stock SET on_hand = on_hand + 1 WHERE moves > 1";
    let changed = Command::new("psql").args([&postgres, "-q", "-c", one_more]).output().expect("psql runs");
    assert!(changed.status.success(), "{changed:?}");
    let (sound, _, why) = check();
    assert!(!sound && why.contains("not sound"), "{why}");
}

#[test]
fn check_prints_the_configuration_and_verifies_the_store() {
    let dir = dir();
    drop(Shop::start(dir.path(), &[]));
    let (ok, said, wrong) = run(dir.path(), &["check"]);
    assert!(ok, "{wrong}");
    assert!(said.contains("[rate_limits]") && said.contains("guest_ttl"), "{said}");
    std::fs::write(dir.path().join("cartwright.db"), "this is no database, and long enough to be one").expect("written");
    drop(std::fs::remove_file(dir.path().join("cartwright.db-wal")));
    let (ok, _, wrong) = run(dir.path(), &["check"]);
    assert!(!ok && !wrong.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_rebuilds_what_follows_and_names_the_order_whose_past_was_changed() {
    let dir = dir();
    let shop = Shop::start(dir.path(), &[]);
    let admin = shop.admin(dir.path());
    let (book, _) = admin.new_book("PAST", 1000, 1000).await;
    let guest = shop.guest().await;
    guest.cart(json!([{ "productId": book, "quantity": 2 }])).await;
    let checkout = guest.checkout().await;
    let order = guest.process(&checkout, "tok_visa", &key()).await.expect(200)["order"].clone();
    let refunds = format!("/orders/{}/refunds", order["id"].as_str().expect("an id"));
    // Two at 10.00 with 7.25 % of tax are 21.45.
    let one = json!({ "items": [{ "itemId": order["items"][0]["id"], "quantity": 1 }] });
    let refunded = admin.post(&refunds, one).await.expect(201);
    assert_eq!((&refunded["paymentStatus"], &refunded["refunds"][0]["amount"]["amount"]), (&json!("partially_refunded"), &json!(1073)));
    admin.post(&refunds, json!({ "amount": { "amount": 9999, "currency": "USD" } })).await.expect(409);
    drop(shop);
    let (ok, said, wrong) = run(dir.path(), &["check", "--rebuild"]);
    assert!(ok && said.contains("rebuilt and the same: 1 orders, 1 checkouts"), "{said}{wrong}");
    // The log is in the file once the server has stopped: one letter of who did it is changed there.
    drop(run(dir.path(), &["backup", dir.path().join("copy").to_str().expect("text")]));
    let copy = dir.path().join("copy");
    let file = copy.join("cartwright.db");
    let mut bytes = std::fs::read(&file).expect("a file");
    let event = b"\"sequence\":3,\"at\":";
    let at = bytes.windows(event.len()).position(|w| w == event).expect("the third event");
    let cause = b"\"cause\":\"pay_";
    let from = at + bytes[at..].windows(cause.len()).position(|w| w == cause).expect("its cause") + cause.len();
    bytes[from] ^= 1;
    std::fs::write(&file, &bytes).expect("written");
    let (ok, _, wrong) = run(&copy, &["check"]);
    let named = format!("{}: event 3 is not what was written", order["id"].as_str().expect("an id"));
    assert!(!ok && wrong.contains(&named), "{wrong}");
}

#[test]
fn a_wrong_configuration_is_told_in_a_sentence() {
    let dir = dir();
    for (variable, value, message) in
        [("CARTWRIGHT_CART__TLT", "2s", "tlt"), ("CARTWRIGHT_PRICING__RULES", "/no/such/file", "/no/such/file")]
    {
        let error = Shop::try_start(dir.path(), &[(variable, value)]).err().expect("refused");
        assert!(error.contains(message), "{error}");
    }
}

#[tokio::test]
async fn one_process_serves_a_data_directory() {
    let dir = dir();
    let first = Shop::start(dir.path(), &[]);
    let error = Shop::try_start(dir.path(), &[]).err().expect("refused");
    assert!(error.contains("in use"), "{error}");
    first.client().get("/health/ready").await.expect(200);
    first.kill();
    Shop::start(dir.path(), &[]).client().get("/health/ready").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_requests_finish() {
    let dir = dir();
    let shop = Shop::start(dir.path(), &[]);
    let (book, _) = shop.admin(dir.path()).new_book("STOP", 1000, 1000).await;
    let guest = shop.guest().await;
    guest.cart(json!([{ "productId": book, "quantity": 1 }])).await;
    let checkout = guest.checkout().await;
    let paying = tokio::spawn(async move { guest.process(&checkout, "tok_slow", &key()).await });
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(shop.stop(), Some(0));
    assert_eq!(paying.await.expect("answered").expect(200)["status"], "completed");
}

#[tokio::test]
async fn metrics_health_and_documents_are_there() {
    let dir = dir();
    let shop = Shop::start(dir.path(), &[]);
    let client = shop.client();
    client.get("/cart").await.expect(401);
    for path in
        ["/health", "/health/live", "/health/ready", "/health/detailed", "/api/v1/health", "/openapi.json", "/.well-known/jwks.json"]
    {
        assert_eq!(client.get(path).await.status, 200, "{path}");
    }
    let metrics = client.get("/metrics").await.text;
    assert!(metrics.contains("UNAUTHENTICATED") && metrics.contains("/api/v1/cart"), "{metrics}");
    let docs = client.get("/docs").await;
    assert!(
        docs.header("content-security-policy").contains("default-src 'none'") && docs.text.contains("<html"),
        "{}",
        docs.header("content-security-policy")
    );
}

/// The curl lines between the ```sh fences of a text, as one script.
fn curls(text: &str) -> String {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.trim_start().contains("curl ") {
            inside = true;
        }
        if inside {
            lines.push(line.trim());
            inside = line.trim_end().ends_with('\\');
        }
    }
    lines.join("\n")
}

fn sh(script: &str) -> String {
    let output = Command::new("sh").arg("-c").arg(script).stdin(Stdio::null()).output().expect("a shell");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn the_curls_of_the_readme_and_of_the_first_start_take_a_guest_to_a_paid_order() {
    let dir = dir();
    let out = dir.path().join("said");
    let mut child = command(&dir.path().join("data"))
        .args(["--listen", "127.0.0.1:0"])
        .stdout(std::fs::File::create(&out).expect("a file"))
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut said = String::new();
    for _ in 0..200 {
        said = std::fs::read_to_string(&out).expect("readable");
        if said.contains("checkout/process") && said.ends_with('\n') {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let script = curls(&said);
    let done = sh(&script);
    let listen = said.split("http://").nth(1).and_then(|t| t.split(['/', ' ', '\'', '\n']).next()).expect("where it listens").to_owned();
    let readme = std::fs::read_to_string(root().join("README.md")).expect("a README");
    let of_readme = curls(&readme.replace("127.0.0.1:8080", &listen));
    let done_again = sh(&of_readme);
    drop(child.kill());
    drop(child.wait());
    assert_eq!(script.matches("curl ").count(), 3, "{said}");
    assert!(done.contains("\"title\":\"Dune\"") && done.contains("\"status\":\"completed\""), "{script}\n{done}");
    assert!(done_again.contains("\"title\":\"Dune\"") && done_again.contains("\"status\":\"completed\""), "{of_readme}\n{done_again}");
}

/// The first block of a language after a heading of the README.
fn block<'a>(readme: &'a str, heading: &str, language: &str) -> &'a str {
    let (_, section) = readme.split_once(heading).unwrap_or_else(|| panic!("{heading} is in the README"));
    let (_, block) = section.split_once(&format!("```{language}\n")).expect("a block");
    block.split_once("\n```").expect("its end").0
}

#[tokio::test]
async fn the_explanation_in_the_readme_is_what_the_store_prints() {
    let dir = dir();
    let shop = Shop::start(dir.path(), &[]);
    let readme = std::fs::read_to_string(root().join("README.md")).expect("a README");
    let heading = "## A price that explains itself";
    let script = curls(block(&readme, heading, "sh")).replace("127.0.0.1:8080", &shop.listen.to_string());
    let said = sh(&script);
    let answer: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
    let printed: Value = serde_json::from_str(block(&readme, heading, "json")).expect("JSON");
    let applied = answer["adjustments"].as_array().into_iter().flatten().filter(|a| a["promotionId"].is_string()).count();
    assert_eq!((applied, &answer["explanation"]), (3, &printed), "printed: {said}");
}
