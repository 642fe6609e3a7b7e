//! A running store and its clients.

use crate::scale::Recipe;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::any::Any;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The store under test, killed when dropped: one process, or several nodes and what stands beside them.
pub struct Shop {
    nodes: Vec<Child>,
    /// Where requests are answered: by the process, or by what shares them out.
    pub listen: SocketAddr,
    /// Where each node does.
    addresses: Vec<SocketAddr>,
    /// How they are started, where there are several.
    recipe: Option<Recipe>,
    _beside: Vec<Box<dyn Any + Send + Sync>>,
}

/// The binary these tests were built with, or the one that `SHOP_BIN` names.
pub fn binary() -> PathBuf {
    std::env::var_os("SHOP_BIN").map_or_else(|| env!("CARGO_BIN_EXE_cartwright").into(), PathBuf::from)
}

/// How often a test repeats itself: what the variable says, else as often as fits beside the other tests.
pub fn scale(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

pub fn command(dir: &Path) -> Command {
    let mut command = Command::new(binary());
    command.env_clear().arg("--data-dir").arg(dir);
    command
}

impl Shop {
    /// Starts a store on `dir` and waits until it is ready.
    pub fn start(dir: &Path, variables: &[(&str, &str)]) -> Self {
        Self::try_start(dir, variables).expect("the store gets ready")
    }

    pub fn try_start(dir: &Path, variables: &[(&str, &str)]) -> Result<Self, String> {
        Self::try_start_by(command(dir), variables)
    }

    /// Starts the store by a command that ends in the binary and its data directory.
    pub fn try_start_by(mut command: Command, variables: &[(&str, &str)]) -> Result<Self, String> {
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--log", "json"])
            .env("CARTWRIGHT_RATE_LIMITS__ENABLED", "false")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let listen = ready(&mut child)?;
        Ok(Self { nodes: vec![child], listen, addresses: vec![listen], recipe: None, _beside: vec![] })
    }

    /// Nodes that are started by a recipe, and what stands beside them.
    pub fn of(
        nodes: Vec<Child>,
        addresses: Vec<SocketAddr>,
        listen: SocketAddr,
        recipe: Recipe,
        beside: Vec<Box<dyn Any + Send + Sync>>,
    ) -> Self {
        Self { nodes, listen, addresses, recipe: Some(recipe), _beside: beside }
    }

    /// One node is gone, as with a power switch.
    pub fn kill_node(&mut self, n: usize) {
        self.nodes[n].kill().expect("killed");
        self.nodes[n].wait().expect("ended");
    }

    /// A node that has ended is there again, where it was; `only` is what it alone is told.
    pub fn start_node(&mut self, n: usize, only: &[(&str, &str)]) -> Result<(), String> {
        let recipe = self.recipe.as_ref().expect("there are several");
        (self.nodes[n], _) = recipe.start(n, self.addresses[n], only)?;
        Ok(())
    }

    /// Each of the nodes, past what shares requests out.
    pub fn nodes(&self) -> Vec<String> {
        self.addresses.iter().map(SocketAddr::to_string).collect()
    }

    /// As a power switch would, but for the page cache.
    pub fn kill(mut self) {
        self.nodes.iter_mut().for_each(|node| node.kill().expect("killed"));
        for node in &mut self.nodes {
            node.wait().expect("ended");
        }
    }

    /// As a power switch would, the first of its nodes.
    pub fn kill_one(&mut self) {
        self.nodes[0].kill().and_then(|()| self.nodes[0].wait()).expect("killed");
    }

    /// Stands still until what is given back is dropped; its clients wait.
    pub fn pause(&self) -> Paused<'_> {
        self.signal("-STOP");
        Paused(self)
    }

    fn signal(&self, signal: &str) {
        let nodes = self.nodes.iter().map(|node| node.id().to_string());
        let done = Command::new("kill").arg(signal).args(nodes).status().expect("kill runs");
        assert!(done.success());
    }

    /// Asks it to stop; says how it ended, or how the first of its nodes did that ended badly.
    pub fn stop(mut self) -> Option<i32> {
        self.signal("-TERM");
        let ends: Vec<_> = self.nodes.iter_mut().map(|node| node.wait().expect("ended").code()).collect();
        ends.into_iter().find(|end| *end != Some(0)).unwrap_or(Some(0))
    }

    /// How it, or one of its nodes, ended by itself, if it does within this time.
    pub async fn ended_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let ended = async {
            loop {
                if let Some(status) = self.nodes.iter_mut().find_map(|node| node.try_wait().expect("a child")) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(time, ended).await.ok()
    }

    pub fn client(&self) -> Client {
        let http = Http::builder(TokioExecutor::new()).build(HttpConnector::new());
        Client { http, base: format!("http://{}", self.listen), token: None }
    }

    /// A client with a guest session of its own.
    pub async fn guest(&self) -> Client {
        self.client().guest().await
    }

    pub fn admin(&self, dir: &Path) -> Client {
        self.client().with(token(dir, "root", "admin"))
    }

    pub fn customer(&self, dir: &Path, sub: &str) -> Client {
        self.client().with(token(dir, sub, "customer"))
    }
}

/// One of the binary's simulators of a provider, killed when dropped.
pub struct Provider {
    child: Child,
    pub listen: SocketAddr,
}

impl Provider {
    /// Starts it there, by these arguments, the command first.
    pub fn start(listen: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cartwright"))
            .env_clear()
            .args(arguments)
            .args(["--log", "json", "--listen", listen])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let listen = ready(&mut child).expect("the provider gets ready");
        Self { child, listen }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args([name, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(done.success());
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A process that goes on when this is dropped.
pub struct Paused<'a>(&'a Shop);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.signal("-CONT");
    }
}

/// Waits until it says so; where it listens, or else all it said.
pub fn ready(child: &mut Child) -> Result<SocketAddr, String> {
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut said = String::new();
    let listen = loop {
        let Some(Ok(line)) = lines.next() else {
            child.wait().expect("ended");
            return Err(said);
        };
        let log: Value = serde_json::from_str(&line).unwrap_or_default();
        if log["fields"]["message"] == "ready" {
            break log["fields"]["listen"].as_str().and_then(|l| l.parse().ok()).expect("where it listens");
        }
        said.push_str(&line);
        said.push('\n');
    };
    // Keeps the pipe from filling up.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Ok(listen)
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.nodes.iter_mut().for_each(|node| drop(node.kill()));
        self.nodes.iter_mut().for_each(|node| drop(node.wait()));
    }
}

pub fn token(dir: &Path, sub: &str, role: &str) -> String {
    let output = command(dir).args(["token", "--sub", sub, "--role", role]).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[derive(Clone)]
pub struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    base: String,
    token: Option<String>,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }

    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

/// A key nobody has used before.
pub fn key() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Client {
    pub fn with(mut self, token: String) -> Self {
        self.token = Some(token);
        self
    }

    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// The same connections, another server.
    pub fn at(mut self, host: &str) -> Self {
        self.base = format!("http://{host}");
        self
    }

    /// The same connections, another guest.
    pub async fn guest(&self) -> Self {
        let session = self.post("/session", json!({})).await.expect(201);
        self.clone().with(session["token"].as_str().expect("a token").to_owned())
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Result<Answer, String> {
        let root = ["/health", "/metrics", "/openapi", "/docs", "/.well", "/payment-simulator", "/api"].iter().any(|p| path.starts_with(p));
        let base = if root { "" } else { "/api/v1" };
        let uri = format!("{}{base}{path}", self.base);
        let mut request = Request::builder().method(&method).uri(&uri);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body: Bytes = body.into();
        if !body.is_empty() && !headers.iter().any(|(n, _)| *n == "content-type") {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|e| e.to_string())?;
        let sent = tokio::time::timeout(Duration::from_secs(60), self.http.request(request)).await.map_err(|_| "no answer in a minute")?;
        let (parts, body) = sent.map_err(|e| e.to_string())?.into_parts();
        let bytes = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&text).unwrap_or_default();
        let answer = Answer { status: parts.status.as_u16(), headers: parts.headers, text, body };
        if answer.status >= 502 && answer.text.starts_with("<html>") {
            return Err(format!("no node is left behind the balancer: {}", answer.text));
        }
        crate::schema::check(&method, &uri, &answer);
        Ok(answer)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await.expect("an answer")
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[], body.to_string()).await.expect("an answer")
    }

    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[("idempotency-key", key)], body.to_string()).await.expect("an answer")
    }

    /// A new cart with these items; its id.
    pub async fn cart(&self, items: Value) -> String {
        let cart = self.post("/cart", json!({ "items": items })).await.expect(201);
        cart["id"].as_str().expect("an id").to_owned()
    }

    /// The checkout of the caller's cart, filled in.
    pub async fn checkout(&self) -> Value {
        self.post("/checkout/session", json!({ "email": "ada@example.com", "shippingAddress": address() })).await.expect(201)
    }

    pub async fn process(&self, checkout: &Value, token: &str, key: &str) -> Answer {
        self.try_process(checkout, token, key).await.expect("an answer")
    }

    pub async fn try_process(&self, checkout: &Value, token: &str, key: &str) -> Result<Answer, String> {
        let body = json!({ "sessionId": checkout["id"], "paymentToken": token, "expectedTotal": checkout["totals"]["total"] });
        self.send(Method::POST, "/checkout/process", &[("idempotency-key", key)], body.to_string()).await
    }

    /// Writes a book down with one edition; gives (book, edition).
    pub async fn new_book(&self, sku: &str, price: i64, stock: u32) -> (String, String) {
        let edition = json!({ "sku": sku, "format": "paperback", "price": usd(price), "stock": stock });
        let input = json!({ "title": format!("Book {sku}"), "authors": ["A. Tester"], "categories": ["Tests"], "language": "en", "editions": [edition] });
        let book = self.post("/books", input).await.expect(201);
        let id = |v: &Value| v["id"].as_str().expect("an id").to_owned();
        (id(&book), id(&book["editions"][0]))
    }
}

pub fn usd(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}

pub fn address() -> Value {
    json!({ "name": "Ada Lovelace", "line1": "12 Analytical Way", "city": "San Francisco", "region": "CA", "postalCode": "94105", "country": "US" })
}

pub fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}
