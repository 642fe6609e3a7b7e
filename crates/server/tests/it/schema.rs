//! Every answer is what `openapi.yaml` says: its status is described there, and its headers and body are as described.

use crate::shop::{Answer, Client, Shop, address, dir, key, usd};
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Method};
use jsonschema::{Draft, Registry, Validator};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

/// Answers of one store to one operation with one status whose bodies are all checked. A test that asks for more
/// of the same is about load: of those that follow, every [`SAMPLE`]th is checked.
const CHECKED: u64 = 500;
const SAMPLE: u64 = 50;
/// What the document is called where a schema points into it.
const DOCUMENT: &str = "urn:openapi";
/// Headers that mean something to a client; one of these that is not described is a surprise.
const TOLD: [&str; 7] = ["etag", "location", "link", "idempotent-replayed", "x-session-token", "retry-after", "www-authenticate"];

static OPENAPI: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(rest::OPENAPI).expect("the description is JSON"));
static REGISTRY: LazyLock<Registry<'static>> = LazyLock::new(|| {
    let registry = Registry::new().draft(Draft::Draft202012).add(DOCUMENT, &*OPENAPI);
    registry.and_then(|r| r.prepare()).expect("references in the description lead somewhere")
});
/// Templates of paths, those with fewer parameters first: `/cart/mine` would be meant before `/cart/{id}`.
static PATHS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let mut paths: Vec<&str> = OPENAPI["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    paths.sort_by_key(|path| path.matches('{').count());
    paths
});
/// Compiled once, when first needed; nothing where an operation has no such status.
static DESCRIBED: LazyLock<Mutex<HashMap<String, Option<Arc<Described>>>>> = LazyLock::new(Mutex::default);
static SEEN: LazyLock<Mutex<HashMap<String, u64>>> = LazyLock::new(Mutex::default);

/// One status of one operation.
struct Described {
    headers: HashMap<String, (bool, Validator)>,
    /// By media type; empty where there is no body.
    bodies: HashMap<String, Validator>,
}

/// # Panics
/// The answer is not as described.
pub fn check(method: &Method, uri: &str, answer: &Answer) {
    let (store, path) = split(uri);
    let told = || format!("{method} {path} answered {} {}", answer.status, answer.text);
    let template = PATHS.iter().find(|template| fits(template, path));
    let operation = template.map(|template| (*template, &OPENAPI["paths"][*template]));
    let name = if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
    let Some((template, _)) = operation.filter(|(_, item)| item.get(&name).is_some()) else {
        if template.is_some() || path.starts_with("/api/") {
            refuses(method, template.is_some(), answer, &told);
        }
        return;
    };
    let pointer = format!("/paths/{}/{name}/responses/{}", template.replace('/', "~1"), answer.status);
    let described = described(&pointer).unwrap_or_else(|| panic!("the status is not described: {}", told()));
    described.check_headers(&answer.headers, &told);
    if method == Method::HEAD {
        return assert!(answer.text.is_empty(), "a body: {}", told());
    }
    if is_due(format!("{store} {pointer}")) {
        described.check_body(answer, &told);
    }
}

/// What is not in the description is not there.
fn refuses(method: &Method, known_path: bool, answer: &Answer, told: &dyn Fn() -> String) {
    if known_path && method == Method::OPTIONS {
        return assert_eq!(answer.status, 204, "{}", told());
    }
    assert_eq!(answer.status, if known_path { 405 } else { 404 }, "the request is not described: {}", told());
    let problem = described("/components/responses/Unexpected").expect("described");
    problem.check_headers(&answer.headers, told);
    if method != Method::HEAD {
        problem.check_body(answer, told);
    }
}

/// `http://store/path?query` as store and path.
fn split(uri: &str) -> (&str, &str) {
    let rest = uri.strip_prefix("http://").expect("an address");
    let (store, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    (store, path.split(['?', '#']).next().unwrap_or_default())
}

fn fits(template: &str, path: &str) -> bool {
    let same = |(wanted, got): (&str, &str)| if wanted.starts_with('{') { !got.is_empty() } else { wanted == got };
    template.split('/').count() == path.split('/').count() && template.split('/').zip(path.split('/')).all(same)
}

fn is_due(of: String) -> bool {
    let mut seen = SEEN.lock().expect("not poisoned");
    let count = seen.entry(of).or_default();
    *count += 1;
    *count <= CHECKED || count.is_multiple_of(SAMPLE)
}

fn described(pointer: &str) -> Option<Arc<Described>> {
    let mut described = DESCRIBED.lock().expect("not poisoned");
    described.entry(pointer.to_owned()).or_insert_with(|| Described::at(pointer).map(Arc::new)).clone()
}

/// What is at `pointer`, or at the end of the reference there, and where that is.
fn resolve(pointer: &str) -> Option<(String, &'static Value)> {
    let found = OPENAPI.pointer(pointer)?;
    match found["$ref"].as_str() {
        Some(target) => resolve(target.strip_prefix('#').expect("a reference into the same document")),
        None => Some((pointer.to_owned(), found)),
    }
}

fn validator(pointer: &str) -> Validator {
    let escaped = pointer.replace('{', "%7B").replace('}', "%7D");
    let schema = json!({ "$ref": format!("{DOCUMENT}#{escaped}") });
    let options = jsonschema::options().with_draft(Draft::Draft202012).with_registry(&REGISTRY).should_validate_formats(true);
    options.build(&schema).unwrap_or_else(|error| panic!("{pointer}: {error}"))
}

impl Described {
    fn at(pointer: &str) -> Option<Self> {
        let (pointer, response) = resolve(pointer)?;
        let names = |of: &str| response[of].as_object().into_iter().flat_map(|map| map.keys().cloned()).collect::<Vec<_>>();
        let header = |name: String| {
            let (pointer, header) = resolve(&format!("{pointer}/headers/{name}")).expect("a header");
            (name.to_lowercase(), (header["required"] == true, validator(&format!("{pointer}/schema"))))
        };
        let body = |kind: String| (kind.clone(), validator(&format!("{pointer}/content/{}/schema", kind.replace('/', "~1"))));
        Some(Self { headers: names("headers").into_iter().map(header).collect(), bodies: names("content").into_iter().map(body).collect() })
    }

    fn check_headers(&self, headers: &HeaderMap, told: &dyn Fn() -> String) {
        for (name, (required, validator)) in &self.headers {
            let Some(value) = headers.get(name) else {
                assert!(!required, "without {name}: {}", told());
                continue;
            };
            let text = value.to_str().expect("text");
            let value = text.parse::<u64>().map_or_else(|_| json!(text), |n| json!(n));
            assert!(validator.is_valid(&value) || validator.is_valid(&json!(text)), "{name} is {text}: {}", told());
        }
        for name in TOLD {
            assert!(self.headers.contains_key(name) || !headers.contains_key(name), "{name} is not described: {}", told());
        }
    }

    fn check_body(&self, answer: &Answer, told: &dyn Fn() -> String) {
        let kind = answer.header(CONTENT_TYPE.as_str()).split(';').next().unwrap_or_default();
        if self.bodies.is_empty() {
            return assert!(kind.is_empty() && answer.text.is_empty(), "a body: {}", told());
        }
        let validator = self.bodies.get(kind).unwrap_or_else(|| panic!("{kind} is not described: {}", told()));
        let text = json!(answer.text);
        let body = if kind.ends_with("json") { &answer.body } else { &text };
        let wrong: Vec<String> = validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{}: {}", wrong.join("; "), told());
    }
}

#[test]
fn an_answer_that_is_not_as_described_is_noticed() {
    let answer = |status: u16, kind: &str, body: Value| {
        let headers = [("x-request-id", "1"), ("content-type", kind), ("www-authenticate", "Bearer")];
        let header = |(name, value): (&str, &str)| (name.parse().expect("a name"), value.parse().expect("a value"));
        let headers: HeaderMap = headers.into_iter().filter(|(name, _)| status == 401 || *name != "www-authenticate").map(header).collect();
        Answer { status, headers, text: body.to_string(), body }
    };
    let problem = || {
        json!({ "type": "about:blank", "title": "Unauthorized", "status": 401, "detail": "No.", "instance": "/", "code": "UNAUTHENTICATED",
            "traceId": "0123456789abcdef0123456789abcdef" })
    };
    let without = |name: &str| {
        let mut body = problem();
        body.as_object_mut().expect("an object").remove(name);
        body
    };
    let (json, told) = ("application/json", "application/problem+json");
    for (method, path, answer, fine) in [
        (Method::GET, "/health", answer(200, json, json!({ "status": "ok" })), true),
        (Method::GET, "/health?a=1", answer(200, json, json!({ "status": "ok" })), true),
        (Method::GET, "/health", answer(200, json, json!({})), false),
        (Method::GET, "/health", answer(200, json, json!({ "status": "ok", "more": 1 })), false),
        (Method::GET, "/health", answer(200, told, json!({ "status": "ok" })), false),
        (Method::GET, "/health", answer(500, told, problem()), false),
        (Method::GET, "/api/v1/cart/cart_1", answer(401, told, problem()), true),
        (Method::GET, "/api/v1/cart/cart_1", answer(401, told, without("code")), false),
        (Method::GET, "/api/v1/cart/cart_1", answer(401, json, problem()), false),
        (Method::POST, "/api/v1/cart/cart_1", answer(405, told, problem()), true),
        (Method::POST, "/api/v1/cart/cart_1", answer(200, json, json!({})), false),
        (Method::GET, "/api/v1/none", answer(404, told, problem()), true),
        (Method::GET, "/api/v1/none", answer(404, told, without("traceId")), false),
        (Method::GET, "/api/v1/none", answer(200, json, json!({})), false),
        (Method::GET, "/favicon.ico", answer(200, json, json!({})), true),
    ] {
        let shown = format!("{method} {path} {} {}", answer.status, answer.text);
        let outcome = std::panic::catch_unwind(|| check(&method, &format!("http://store{path}"), &answer));
        assert_eq!(outcome.is_ok(), fine, "{shown}");
    }
}

#[test]
fn the_examples_of_the_description_are_as_described() {
    let mut checked = 0;
    let examples = OPENAPI["components"]["examples"].as_object().expect("examples");
    for (name, example) in examples {
        let of = if OPENAPI["components"]["schemas"].get(name).is_some() { name } else { "Problem" };
        let wrong: Vec<String> =
            validator(&format!("/components/schemas/{of}")).iter_errors(&example["value"]).map(|e| e.to_string()).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
        checked += 1;
    }
    for (path, item) in OPENAPI["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let place = "requestBody/content/application~1json";
            let Some(example) = operation.pointer(&format!("/{place}/example")) else { continue };
            let pointer = format!("/paths/{}/{method}/{place}/schema", path.replace('/', "~1"));
            let wrong: Vec<String> = validator(&pointer).iter_errors(example).map(|e| e.to_string()).collect();
            assert!(wrong.is_empty(), "{method} {path}: {wrong:?}");
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
}

/// Where objects are in a value.
fn objects(value: &Value, at: &str) -> Vec<String> {
    let deeper = |(name, value): (String, &Value)| objects(value, &format!("{at}/{name}"));
    match value {
        Value::Object(members) => {
            let inner = members.iter().flat_map(|(name, value)| deeper((name.clone(), value)));
            inner.chain([at.to_owned()]).collect()
        }
        Value::Array(list) => list.iter().enumerate().flat_map(|(n, value)| deeper((n.to_string(), value))).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_member_more_or_less_is_noticed_wherever_it_is() {
    for (of, optional) in [
        ("Cart", &[][..]),
        ("Checkout", &["email", "shippingAddress", "shippingOptionId"]),
        ("Order", &[]),
        ("Book", &["publisher", "publishedYear"]),
    ] {
        let example = &OPENAPI["components"]["examples"][of]["value"];
        let validator = validator(&format!("/components/schemas/{of}"));
        assert!(validator.is_valid(example), "{of}");
        for at in objects(example, "") {
            let names: Vec<String> = example.pointer(&at).and_then(Value::as_object).expect("an object").keys().cloned().collect();
            let other = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
                let mut example = example.clone();
                change(example.pointer_mut(&at).and_then(Value::as_object_mut).expect("an object"));
                example
            };
            assert!(!validator.is_valid(&other(&|o| drop(o.insert("surprise".into(), json!(1))))), "{of}{at}: one more");
            let optional = [optional, &["region", "salePrice", "itemId"]].concat();
            for name in names.iter().filter(|name| !optional.contains(&name.as_str())) {
                assert!(!validator.is_valid(&other(&|o| drop(o.remove(name)))), "{of}{at}: without {name}");
            }
        }
    }
}

/// Operations of the description that `store` has not yet answered with success.
fn unseen(store: &str) -> Vec<String> {
    let seen = SEEN.lock().expect("not poisoned");
    let was_seen = |operation: &str| {
        let prefix = format!("{store} {operation}/responses/2");
        seen.keys().any(|of| of.starts_with(&prefix))
    };
    let items = OPENAPI["paths"].as_object().expect("paths").iter();
    let operations = items.flat_map(|(path, item)| {
        let methods = item.as_object().expect("operations").keys().filter(|name| *name != "parameters");
        methods.map(move |name| format!("/paths/{}/{name}", path.replace('/', "~1")))
    });
    operations.filter(|operation| !was_seen(operation)).collect()
}

async fn ask(client: &Client, method: Method, path: &str, body: Value) -> Answer {
    client.send(method, path, &[], body.to_string()).await.expect("an answer")
}

async fn patch(client: &Client, path: &str, body: Value) -> Answer {
    ask(client, Method::PATCH, path, body).await
}

async fn delete(client: &Client, path: &str) -> Answer {
    client.send(Method::DELETE, path, &[], "").await.expect("an answer")
}

fn id(of: &Value) -> String {
    of["id"].as_str().expect("an id").to_owned()
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A notice of the payment provider, about a checkout nobody knows.
#[expect(clippy::disallowed_methods, reason = "a notice is signed as of now")]
async fn hear(client: &Client) -> Answer {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let seconds = i64::try_from(since.as_secs()).expect("before the end of time");
    let data = json!({
        "id": "pay_00000000000000000000000001", "checkout": "chk_00000000000000000000000001", "status": "authorized",
        "amount": usd(1), "refunded": usd(0),
    });
    let body = json!({ "type": "payment.authorized", "timestamp": "2025-06-15T15:06:40Z", "data": data }).to_string();
    let signature = webhook::Secret::parse(SECRET).expect("a secret").sign("msg_1", seconds, body.as_bytes());
    let at = seconds.to_string();
    let headers = [(webhook::ID, "msg_1"), (webhook::TIMESTAMP, at.as_str()), (webhook::SIGNATURE, signature.as_str())];
    client.send(Method::POST, "/payments/webhook", &headers, body).await.expect("an answer")
}

/// One rule of every kind, with all it can say.
fn rules(book: &str, edition: &str) -> [(&'static str, Value); 4] {
    let target = json!({ "any": [{ "productId": book }, { "variantId": edition }, { "format": "ebook" }], "fullPriceOnly": true });
    let place = json!({ "country": "US", "region": "HI", "city": "Hilo", "postalCodes": { "from": "96720", "to": "96721" } });
    let promotion = json!({
        "id": "everything", "label": "Everything", "active": false, "trigger": { "codes": ["EVERYTHING"] }, "cap": usd(900),
        "benefit": { "kind": "bundle", "parts": [{ "of": target, "count": 2 }], "off": { "ratePpm": 100_000 }, "timesMax": 3 },
        "conditions": {
            "minimum": { "amount": usd(100), "basis": "discounted" }, "copies": { "of": { "except": [{ "format": "audiobook" }] }, "count": 2 },
            "segments": ["gold"], "firstOrder": true, "birthdayWithinDays": 7,
        },
        "startsAt": "2026-12-01T00:00:00", "endsAt": "2027-01-01T00:00:00Z", "hours": [{ "weekday": "friday", "from": "16:00", "to": "24:00" }],
        "priority": -1, "stacking": { "bestOf": "season" }, "budget": { "uses": 10, "usesPerCustomer": 1, "amount": usd(5000) }, "reason": "A test",
    });
    let tax = json!({
        "id": "hilo", "tax": "LOCAL", "label": "Hilo", "ratePpm": 5000, "formats": ["hardcover"], "included": false, "shippingTaxed": true,
        "rounding": "half_up", "level": "total", "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2027-01-01T00:00:00Z", "source": "Nobody",
    });
    let option = json!({
        "id": "canoe", "label": "Canoe", "zones": [place], "freeFrom": usd(9000), "perParcel": true,
        "byAmount": [{ "from": usd(0), "price": usd(500) }, { "from": usd(5000), "price": usd(300) }],
    });
    let rate =
        json!({ "id": "gbp-usd", "from": "GBP", "to": "USD", "rate": "1.267531", "since": "2026-11-28T00:00:00Z", "source": "A bank" });
    let in_hilo = place.as_object().expect("an object").clone().into_iter().chain(tax.as_object().expect("an object").clone());
    [("promotions", promotion), ("tax-rates", Value::Object(in_hilo.collect())), ("shipping-options", option), ("exchange-rates", rate)]
}

/// All that can be done with rules of prices.
async fn rule_operations_succeed(admin: &Client, client: &Client, book: &str, edition: &str) {
    for (noun, body) in rules(book, edition) {
        let (list, one) = (format!("/pricing/{noun}"), format!("/pricing/{noun}/{}", id(&body)));
        let valid = validator(&format!("/paths/~1api~1v1~1pricing~1{noun}/post/requestBody/content/application~1json/schema"));
        let wrong: Vec<String> = valid.iter_errors(&body).map(|e| e.to_string()).collect();
        assert!(wrong.is_empty(), "{noun}: {wrong:?}");
        admin.post(&list, body.clone()).await.expect(201);
        admin.post(&list, body.clone()).await.expect(409);
        let reader = if noun == "promotions" { admin } else { client };
        reader.get(&format!("{list}?limit=1")).await.expect(200);
        let read = reader.get(&one).await;
        reader.send(Method::GET, &one, &[("if-none-match", read.header("etag"))], "").await.expect("an answer").expect(304);
        let replaced = [("if-match", read.header("etag"))];
        admin.send(Method::PUT, &one, &replaced, body.to_string()).await.expect("an answer").expect(200);
        admin.send(Method::PUT, &one, &replaced, body.to_string()).await.expect("an answer").expect(412);
        if noun == "promotions" {
            let codes = format!("{one}/codes");
            admin.post(&codes, json!({ "count": 3, "prefix": "A", "usesMax": 2, "reason": "A test" })).await.expect(201);
            admin.get(&format!("{codes}?limit=2")).await.expect(200);
            assert_eq!(admin.get(&format!("{codes}.csv")).await.text.lines().count(), 4);
        }
        delete(admin, &format!("{one}?reason=Over")).await.expect(204);
        admin.get(&one).await.expect(404);
    }
    admin.get("/pricing/stacking").await.expect(200);
    ask(admin, Method::PUT, "/pricing/stacking", json!({ "promotionsMax": 3, "reason": "A test" })).await.expect(200);
    admin.get("/pricing/history?limit=100").await.expect(200);
    let draft = json!({ "kind": "promotion", "id": "draft", "label": "Draft", "trigger": "automatic",
        "benefit": { "kind": "tiers", "tiers": [{ "from": 2, "off": { "ratePpm": 50_000 } }] } });
    let drafts = json!([draft, { "kind": "stacking", "promotionsMax": null }]);
    let simulate = json!({ "items": [{ "productId": book, "quantity": 3 }], "couponCodes": ["WELCOME10", "NONE"], "shippingAddress": address(),
        "drafts": drafts, "without": [{ "kind": "promotion", "id": "FIVER" }], "at": "2026-12-01T00:00:00",
        "shopper": { "segments": ["gold"], "birthdate": "1990-11-28", "taxExempt": true, "newcomer": true } });
    admin.post("/pricing/simulate", simulate).await.expect(200);
}

#[tokio::test]
async fn every_operation_succeeds_as_described() {
    let dir = dir();
    let shop = Shop::start(dir.path(), &[("CARTWRIGHT_PAYMENTS__WEBHOOK_SECRET", SECRET)]);
    let (admin, client) = (shop.admin(dir.path()), shop.client());
    for path in ["/health", "/api/v1/health"] {
        for part in ["", "/live", "/ready", "/detailed", "/metrics"] {
            client.get(&format!("{path}{part}")).await.expect(200);
        }
    }
    for path in ["/metrics", "/openapi.json", "/docs", "/.well-known/jwks.json", "/pricing/discounts", "/pricing/tax-rates"] {
        client.get(path).await.expect(200);
    }

    let (book, edition) = admin.new_book("SCHEMA-1", 1000, 10).await;
    let (path, stock) = (format!("/books/{book}"), format!("/books/{book}/editions/{edition}/stock"));
    let full = json!({
        "title": "All of it", "subtitle": "And more", "description": "Two\nlines", "authors": ["A. Tester"], "categories": [], "publisher": "Press",
        "language": "en", "publishedYear": -400, "isbn13": "9780306406157", "imageUrl": "https://example.com/a.png",
        "editions": [{ "sku": "SCHEMA-1", "format": "audiobook", "price": usd(1000), "salePrice": usd(900) }],
    });
    ask(&admin, Method::PUT, &path, full).await.expect(200);
    admin.get(&path).await.expect(200);
    admin.get("/books?search=all&sort=-price&limit=1").await.expect(200);
    admin.post(&stock, json!({ "delta": 5, "reason": "Delivery" })).await.expect(200);
    let (gone, _) = admin.new_book("SCHEMA-2", 1000, 10).await;
    delete(&admin, &format!("/books/{gone}")).await.expect(204);
    for list in ["/authors", "/categories", "/publishers"] {
        let one = format!("{list}/{}", id(&admin.post(list, json!({ "name": "Somebody" })).await.expect(201)));
        client.get(&format!("{list}?search=some&limit=1")).await.expect(200);
        client.get(&one).await.expect(200);
        ask(&admin, Method::PUT, &one, json!({ "name": "Somebody Else" })).await.expect(200);
        delete(&admin, &one).await.expect(204);
    }

    let item = json!({ "productId": book, "quantity": 2 });
    let quote = json!({ "items": [item], "couponCodes": ["NONE"], "shippingAddress": address() });
    client.post("/pricing/calculate", quote.clone()).await.expect(200);
    client.post("/pricing/calculate?explain=true", quote).await.expect(200);
    rule_operations_succeed(&admin, &client, &book, &edition).await;
    admin.get(&format!("/books/{book}/editions/{edition}/prices")).await.expect(200);
    client.post("/cart", json!({})).await.expect(201);
    let guest = shop.guest().await;
    let cart = format!("/cart/{}", guest.cart(json!([item])).await);
    let change = json!({ "couponCodes": ["NONE"], "note": "A gift", "metadata": { "a": "b" }, "operations": [{ "op": "clear" }] });
    patch(&guest, &cart, change).await.expect(200);
    let filled = guest.post(&format!("{cart}/items"), item.clone()).await.expect(201);
    let line = format!("{cart}/items/{}", id(&filled["items"][0]));
    patch(&guest, &line, json!({ "quantity": 3 })).await.expect(200);
    delete(&guest, &line).await.expect(200);
    delete(&guest, &format!("{cart}/items")).await.expect(200);
    for path in [&format!("{cart}?explain=true"), &format!("{cart}/totals?explain=true")] {
        guest.get(path).await.expect(200);
    }
    for path in ["/cart", &cart, &format!("{cart}/totals")] {
        let answer = guest.get(path).await;
        let again = guest.send(Method::GET, path, &[("if-none-match", answer.header("etag"))], "").await.expect("an answer");
        assert_eq!((answer.status, again.status), (200, 304), "{path}");
    }
    guest.post(&format!("{cart}/items"), item.clone()).await.expect(201);
    let customer = shop.customer(dir.path(), "ada");
    let into = format!("/cart/{}", customer.cart(json!([])).await);
    customer.post(&format!("{into}/merge"), json!({ "sourceSessionToken": guest.token() })).await.expect(200);

    let checkout = customer.post("/checkout/session", json!({})).await.expect(201);
    let path = format!("/checkout/session/{}", id(&checkout));
    patch(&customer, &path, json!({ "email": "ada@example.com" })).await.expect(200);
    customer.get(&path).await.expect(200);
    customer.get(&format!("{path}?explain=true")).await.expect(200);
    delete(&customer, &path).await.expect(200);
    let mut orders = Vec::new();
    for _ in 0..2 {
        let checkout = customer.checkout().await;
        let done = customer.process(&checkout, "tok_visa", &key()).await.expect(200);
        customer.post(&format!("/checkout/session/{}/resume", id(&checkout)), json!({})).await.expect(200);
        orders.push(format!("/orders/{}", id(&done["order"])));
        customer.post("/cart", json!({ "items": [item] })).await.expect(201);
    }
    customer.get("/orders?limit=1").await.expect(200);
    customer.get(&orders[0]).await.expect(200);
    customer.get(&format!("{}?explain=true", orders[0])).await.expect(200);
    patch(
        &customer,
        &orders[0],
        json!({ "shippingAddress": { "company": "Engines", "line2": "Left", "phone": "1", "name": "A", "line1": "B",
        "city": "C", "postalCode": "1", "country": "US" } }),
    )
    .await
    .expect(200);
    patch(&admin, &orders[0], json!({ "status": "processing" })).await.expect(200);
    let order = customer.get(&orders[0]).await.expect(200);
    let one = json!({ "items": [{ "itemId": order["items"][0]["id"], "quantity": 1 }], "reason": "A torn page" });
    admin.post(&format!("{}/refunds", orders[0]), one).await.expect(201);
    hear(&client).await.expect(204);
    delete(&customer, &orders[1]).await.expect(200);
    for order in &orders {
        customer.get(&format!("{order}/events")).await.expect(200);
    }
    let cart = customer.get("/cart").await.expect(200);
    delete(&customer, &format!("/cart/{}", id(&cart))).await.expect(204);

    let session = format!("/session/{}", id(&guest.get("/session").await.expect(200)));
    guest.get(&session).await.expect(200);
    patch(&guest, &session, json!({ "device": "Test", "extend": true })).await.expect(200);
    delete(&guest, &session).await.expect(204);
    delete(&shop.guest().await, "/session").await.expect(204);
    assert_eq!(unseen(&shop.listen.to_string()), Vec::<String>::new());
}

#[tokio::test]
async fn refusals_tell_their_facts_as_described() {
    let dir = dir();
    let shop = Shop::start(dir.path(), &[("CARTWRIGHT_DEMO_CATALOG", "false")]);
    let (admin, guest) = (shop.admin(dir.path()), shop.guest().await);
    let (book, edition) = admin.new_book("FACTS-1", 1000, 10).await;
    let (out, _) = admin.new_book("FACTS-2", 1000, 0).await;
    let cart = format!("/cart/{}", guest.cart(json!([{ "productId": book, "quantity": 998 }])).await);
    let checkout = guest.post("/checkout/session", json!({})).await.expect(201);
    let process = json!({ "sessionId": id(&checkout), "paymentToken": "tok_visa", "expectedTotal": usd(1) });
    let sku = json!({ "title": "T", "authors": ["A. Tester"], "categories": [], "language": "en",
        "editions": [{ "sku": "FACTS-1", "format": "ebook", "price": usd(1) }] });
    let author = format!("/authors/{}", id(&admin.get("/authors").await.expect(200)["items"][0]));
    let items = format!("{cart}/items");
    let once = [("idempotency-key", "once")];
    let senseless = json!({ "tax": "LOCAL", "country": "US", "label": "Inside", "ratePpm": 1, "included": true });
    let (none, stale, text) = ([], [("if-match", "\"99\"")], [("content-type", "text/plain")]);
    for (client, method, path, headers, body, status, code, fact) in [
        (&guest, Method::POST, &*items, &none[..], json!({ "productId": out, "quantity": 1 }), 409, "OUT_OF_STOCK", "short"),
        (&guest, Method::POST, &items, &none, json!({ "productId": book, "quantity": 2 }), 422, "QUANTITY_INVALID", "quantity"),
        (&guest, Method::POST, &items, &none, json!({ "productId": book, "quantity": 0 }), 422, "QUANTITY_INVALID", "errors"),
        (&guest, Method::POST, &items, &none, json!({ "productId": book, "quantity": "1" }), 400, "VALIDATION_FAILED", "errors"),
        (&guest, Method::POST, &items, &stale, json!({ "productId": book, "quantity": 1 }), 412, "VERSION_MISMATCH", "currentVersion"),
        (&guest, Method::POST, &items, &text, json!({}), 415, "MEDIA_TYPE_UNSUPPORTED", "detail"),
        (&guest, Method::POST, &items, &none, json!({ "productId": "x".repeat(300_000) }), 413, "BODY_TOO_LARGE", "detail"),
        (&guest, Method::PATCH, &cart, &none, json!({ "currency": "EUR" }), 409, "CURRENCY_FIXED", "detail"),
        (&guest, Method::PATCH, &cart, &once, json!({ "note": "a" }), 200, "", "note"),
        (&guest, Method::PATCH, &cart, &once, json!({ "note": "b" }), 422, "IDEMPOTENCY_KEY_REUSED", "detail"),
        (&guest, Method::POST, "/checkout/process", &none, process.clone(), 400, "IDEMPOTENCY_KEY_REQUIRED", "detail"),
        (&guest, Method::POST, "/checkout/process", &once, process, 409, "CHECKOUT_INCOMPLETE", "missing"),
        (&guest, Method::POST, "/books", &none, json!({}), 403, "FORBIDDEN", "detail"),
        (&guest, Method::GET, "/pricing/promotions", &none, json!({}), 403, "FORBIDDEN", "detail"),
        (&admin, Method::GET, "/pricing/promotions/none", &none, json!({}), 404, "RULE_NOT_FOUND", "detail"),
        (&admin, Method::POST, "/pricing/promotions/none/codes", &none, json!({ "count": 1 }), 404, "RULE_NOT_FOUND", "detail"),
        (&admin, Method::POST, "/pricing/promotions/FIVER/codes", &none, json!({ "count": 100_001 }), 422, "CODES_INVALID", "detail"),
        (&admin, Method::PUT, "/pricing/promotions/FIVER", &none, json!({ "label": 1 }), 400, "VALIDATION_FAILED", "errors"),
        (&admin, Method::POST, "/pricing/tax-rates", &none, senseless, 422, "RULE_INVALID", "errors"),
        (&admin, Method::POST, "/books", &none, sku, 409, "SKU_TAKEN", "sku"),
        (&admin, Method::POST, "/authors", &none, json!({ "name": "A. Tester" }), 409, "NAME_TAKEN", "detail"),
        (&admin, Method::DELETE, &author, &none, json!({}), 409, "REFERENCED", "count"),
        (
            &admin,
            Method::POST,
            &format!("/books/{book}/editions/{edition}/stock"),
            &none,
            json!({ "delta": -11, "reason": "Lost" }),
            409,
            "STOCK_SHORT",
            "available",
        ),
        (&admin, Method::GET, "/books?cursor=x", &none, json!({}), 400, "CURSOR_INVALID", "detail"),
    ] {
        let body = if method == Method::GET { String::new() } else { body.to_string() };
        let answer = client.send(method.clone(), path, headers, body).await.expect("an answer");
        assert_eq!(
            (answer.status, answer.code(), answer.body.get(fact).is_some()),
            (status, code, true),
            "{method} {path}: {}",
            answer.text
        );
    }
}
