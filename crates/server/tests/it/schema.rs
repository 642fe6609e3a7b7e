//! Every answer is what `openapi.yaml` says: its status is described there, and its headers and body are as described.

use crate::shop::Answer;
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
static DESCRIBED: LazyLock<Mutex<HashMap<(String, u16), Option<Arc<Described>>>>> = LazyLock::new(Mutex::default);
static SEEN: LazyLock<Mutex<HashMap<(String, u16), u64>>> = LazyLock::new(Mutex::default);

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
        return if template.is_some() || path.starts_with("/api/") { refuses(method, template.is_some(), answer, &told) };
    };
    let pointer = format!("/paths/{}/{name}/responses/{}", template.replace('/', "~1"), answer.status);
    let described = described(&pointer, answer.status).unwrap_or_else(|| panic!("{}: the status is not described", told()));
    described.check_headers(&answer.headers, &told);
    if method == Method::HEAD {
        return assert!(answer.text.is_empty(), "{}: a body", told());
    }
    if is_due(format!("{store} {pointer}"), answer.status) {
        described.check_body(answer, &told);
    }
}

/// What is not in the description is not there.
fn refuses(method: &Method, known_path: bool, answer: &Answer, told: &dyn Fn() -> String) {
    if known_path && method == Method::OPTIONS {
        return assert_eq!(answer.status, 204, "{}", told());
    }
    assert_eq!(answer.status, if known_path { 405 } else { 404 }, "{}: it is not described", told());
    let problem = described("/components/responses/Unexpected", 0).expect("described");
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

fn is_due(of: String, status: u16) -> bool {
    let mut seen = SEEN.lock().expect("not poisoned");
    let count = seen.entry((of, status)).or_default();
    *count += 1;
    *count <= CHECKED || count.is_multiple_of(SAMPLE)
}

fn described(pointer: &str, status: u16) -> Option<Arc<Described>> {
    let mut described = DESCRIBED.lock().expect("not poisoned");
    described.entry((pointer.to_owned(), status)).or_insert_with(|| Described::at(pointer).map(Arc::new)).clone()
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
                assert!(!required, "{}: without {name}", told());
                continue;
            };
            let text = value.to_str().expect("text");
            let value = text.parse::<u64>().map_or_else(|_| json!(text), |n| json!(n));
            assert!(validator.is_valid(&value) || validator.is_valid(&json!(text)), "{}: {name} is {text}", told());
        }
        for name in TOLD {
            assert!(self.headers.contains_key(name) || !headers.contains_key(name), "{}: {name} is not described", told());
        }
    }

    fn check_body(&self, answer: &Answer, told: &dyn Fn() -> String) {
        let kind = answer.header(CONTENT_TYPE.as_str()).split(';').next().unwrap_or_default();
        if self.bodies.is_empty() {
            return assert!(kind.is_empty() && answer.text.is_empty(), "{}: a body", told());
        }
        let validator = self.bodies.get(kind).unwrap_or_else(|| panic!("{}: {kind} is not described", told()));
        let text = json!(answer.text);
        let body = if kind.ends_with("json") { &answer.body } else { &text };
        let wrong: Vec<String> = validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{}: {}", told(), wrong.join("; "));
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
        let wrong: Vec<String> = validator(&format!("/components/schemas/{of}")).iter_errors(&example["value"]).map(|e| e.to_string()).collect();
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
