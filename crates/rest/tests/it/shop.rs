//! A shop in memory behind the router, and a client that checks what holds for every answer.

use app::TimeZone;
use app::ports::{Clock, Payments};
use app::{App, Policy, Ports, TaxFallback};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use domain::cart::Lifetimes;
use domain::ids::{CouponCode, CustomerId, ShippingOptionId, TaxName};
use domain::money::{Currency, Money, Ppm};
use domain::order::CaptureWhen;
use domain::person::Country;
use domain::pricing::{Benefit, Off, Place, Promotion, Rule, ShippingOption, Target, TaxRate};
use domain::text::Text;
use http_body_util::BodyExt;
use memory::simulator::PaymentSimulator;
use memory::{ManualClock, MemoryStore, SeededEntropy};
use prometheus_client::registry::Registry;
use rest::auth::{DevIssuer, Role};
use rest::{Edge, EdgeConfig, Metrics, Peer, RateLimits};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tower::ServiceExt;

/// Of the next shop: what two shops make up is not the same.
static SEED: AtomicU64 = AtomicU64::new(7);

const DAY: Duration = Duration::from_secs(86_400);

pub struct Shop {
    pub edge: Arc<Edge>,
    pub router: Router,
    pub clock: ManualClock,
    pub issuer: DevIssuer,
    pub store: MemoryStore,
    pub book: Value,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
    pub json: Value,
}

impl Answer {
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().expect("text"))
    }

    pub fn str(&self, pointer: &str) -> String {
        self.json.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} in {}", self.json)).to_owned()
    }

    #[track_caller]
    pub fn is(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{}", self.json);
        self
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.is_success(), "{} {}", self.status, self.json);
        self
    }
}

/// A request in the making.
pub struct Ask<'a> {
    shop: &'a Shop,
    request: axum::http::request::Builder,
    body: Vec<u8>,
}

impl Ask<'_> {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub fn by(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// From this address.
    pub fn from(mut self, address: &str) -> Self {
        self.request = self.request.extension(Peer(SocketAddr::new(address.parse().expect("an address"), 1)));
        self
    }

    pub fn key(self, key: &str) -> Self {
        self.with("idempotency-key", key)
    }

    pub fn json(self, body: &Value) -> Self {
        self.raw(body.to_string())
    }

    pub fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.with("content-type", "application/json")
    }

    /// A body of no stated type.
    pub fn untyped(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub async fn send(self) -> Answer {
        let request: Request<Body> = self.request.body(Body::from(self.body)).expect("a request");
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let (parts, body) = self.shop.router.clone().oneshot(request).await.expect("infallible").into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes().to_vec();
        let json = serde_json::from_slice(&bytes).unwrap_or_default();
        let answer = Answer { status: parts.status, headers: parts.headers, bytes, json };
        answer.is_sound(&method, &path);
        answer
    }
}

impl Answer {
    /// What holds for every answer.
    fn is_sound(&self, method: &Method, path: &str) {
        assert!(!self.header("x-request-id").is_empty(), "{path}");
        assert_eq!(self.header("x-content-type-options"), "nosniff");
        if self.status.as_u16() < 400 {
            return;
        }
        assert_eq!(self.header("content-type"), "application/problem+json", "{path}");
        assert!(self.status.as_u16() != 401 || self.header("www-authenticate").starts_with("Bearer"));
        if *method == Method::HEAD {
            return assert!(self.bytes.is_empty());
        }
        assert_eq!((&self.json["status"], &self.json["instance"]), (&json!(self.status.as_u16()), &json!(path)));
        assert!(!self.code().is_empty() && self.json["traceId"].as_str().is_some_and(|t| t.len() == 32), "{}", self.json);
        assert!(["type", "title", "detail"].iter().all(|m| self.json[m].is_string()), "{}", self.json);
    }
}

impl Shop {
    pub async fn new() -> Self {
        let limits = RateLimits { enabled: false, ..RateLimits::default() };
        Self::with(EdgeConfig { rate_limits: limits, answer_within: Duration::from_secs(10), ..EdgeConfig::default() }).await
    }

    pub async fn with(config: EdgeConfig) -> Self {
        let clock = ManualClock::new();
        Self::on(config, Arc::new(clock.clone()), clock, Arc::new(PaymentSimulator::in_memory(Duration::from_millis(50)))).await
    }

    pub async fn on(config: EdgeConfig, ticking: Arc<dyn Clock>, clock: ManualClock, payments: Arc<dyn Payments>) -> Self {
        Self::by(config, ticking, clock, payments, policy()).await
    }

    /// A shop, its provider, and when its orders are paid.
    pub async fn capturing(capture: CaptureWhen) -> (Self, PaymentSimulator) {
        let clock = ManualClock::new();
        let payments = PaymentSimulator::in_memory(Duration::from_millis(50)).with_challenges_at("https://psp.example/challenges");
        let limits = RateLimits { enabled: false, ..RateLimits::default() };
        let config = EdgeConfig { rate_limits: limits, ..EdgeConfig::default() };
        let ports = Arc::new(payments.clone());
        (Self::by(config, Arc::new(clock.clone()), clock, ports, Policy { capture, ..policy() }).await, payments)
    }

    async fn by(config: EdgeConfig, ticking: Arc<dyn Clock>, clock: ManualClock, payments: Arc<dyn Payments>, policy: Policy) -> Self {
        let store = MemoryStore::new().with_rules(rules());
        let entropy = Arc::new(SeededEntropy::new(SEED.fetch_add(1, Ordering::Relaxed)));
        let ports = Ports { payments, clock: ticking, entropy, ..memory::ports(Arc::new(store.clone())) };
        let issuer = DevIssuer::ephemeral().expect("a key");
        let app = Arc::new(App::new(ports, policy));
        let edge = Edge::new(app, Arc::new(issuer.keys()), Metrics::new(Registry::default()), &config);
        edge.set_ready(true);
        let mut shop = Self { router: rest::router(Arc::clone(&edge)), edge, clock, issuer, store, book: Value::Null };
        shop.book = shop.ask("POST", "/api/v1/books").by(&shop.admin()).json(&book("DUNE")).send().await.ok().json;
        shop
    }

    pub fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        Ask { shop: self, request: Request::builder().method(method).uri(path), body: Vec::new() }
    }

    pub fn token(&self, who: &str, role: Role) -> String {
        self.issuer.token(&CustomerId::parse(who).expect("an id"), role, DAY, self.clock.now())
    }

    pub fn customer(&self, who: &str) -> String {
        self.token(who, Role::Customer)
    }

    pub fn admin(&self) -> String {
        self.token("boss", Role::Admin)
    }

    pub fn product(&self) -> &str {
        self.book["id"].as_str().expect("an id")
    }

    /// The edition of the book that every shop has.
    pub fn item(&self, quantity: u32) -> Value {
        json!({ "productId": self.product(), "variantId": self.book["editions"][0]["id"], "quantity": quantity })
    }

    /// A customer's cart, with copies of the book added; its path.
    pub async fn cart(&self, token: &str, quantity: u32) -> String {
        let cart = self.ask("POST", "/api/v1/cart").by(token).send().await.ok();
        let path = format!("/api/v1/cart/{}", cart.str("/id"));
        if quantity > 0 {
            self.ask("POST", &format!("{path}/items")).by(token).json(&self.item(quantity)).send().await.is(201, "");
        }
        path
    }

    /// A checkout that is ready to be paid.
    pub async fn ready_checkout(&self, token: &str) -> Value {
        self.cart(token, 2).await;
        let body = json!({ "email": "ada@example.com", "shippingAddress": address() });
        let checkout = self.ask("POST", "/api/v1/checkout/session").by(token).json(&body).send().await.is(201, "");
        assert_eq!((checkout.str("/status"), &checkout.json["missing"]), ("ready".into(), &json!([])), "{}", checkout.json);
        checkout.json
    }

    pub async fn process(&self, token: &str, checkout: &Value, payment: &str, key: &str) -> Answer {
        let body = json!({ "sessionId": checkout["id"], "paymentToken": payment, "expectedTotal": checkout["totals"]["total"] });
        self.ask("POST", "/api/v1/checkout/process").by(token).key(key).json(&body).send().await
    }

    /// A paid order.
    pub async fn order(&self, token: &str) -> Value {
        let checkout = self.ready_checkout(token).await;
        let paid = self.process(token, &checkout, "tok_visa", checkout["id"].as_str().expect("an id")).await.is(200, "");
        paid.json["order"].clone()
    }
}

pub fn address() -> Value {
    json!({ "name": "Ada Byron", "line1": "12 Main St", "city": "Austin", "region": "tx", "postalCode": "78701", "country": "US" })
}

pub fn book(sku: &str) -> Value {
    json!({
        "title": "Dune", "authors": ["Frank Herbert"], "categories": ["Science Fiction"], "publisher": "Chilton", "language": "en",
        "publishedYear": 1965, "isbn13": "9780441172719",
        "editions": [{ "sku": sku, "format": "paperback", "price": usd(1000), "salePrice": usd(900), "stock": 1000 }],
    })
}

pub fn usd(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}

fn money(amount: i64) -> Money {
    Money::new(amount, Currency::parse("USD").expect("a currency")).expect("in range")
}

fn policy() -> Policy {
    Policy {
        currency: Currency::parse("USD").expect("a currency"),
        time_zone: TimeZone::UTC,
        carts: Lifetimes { guest: 30 * DAY, customer: 90 * DAY, empty: DAY },
        checkout_ttl: Duration::from_secs(1800),
        reservation_ttl: Duration::from_secs(600),
        capture: CaptureWhen::AtOnce,
        tax_fallback: TaxFallback::Refuse,
        session_ttl: 30 * DAY,
        events_keep: DAY,
    }
}

fn rules() -> Vec<Rule> {
    let text = |text: &str| Text::parse(text).expect("a text");
    let coupon = |code: &str, off| {
        Promotion::coupon(CouponCode::parse(code).expect("a code"), text(code), Benefit::Goods { of: Target::default(), off })
    };
    let us = Country::parse("US").expect("a country");
    let texas = Place { region: Some(Text::parse("TX").expect("a region")), ..Place::country(us) };
    let standard = ShippingOption::flat(ShippingOptionId::parse("standard").expect("an id"), text("Standard"), money(499));
    vec![
        coupon("TEN", Off::Rate(Ppm(100_000))).into(),
        coupon("FIVE", Off::Amount(money(500))).into(),
        Rule::tax(TaxRate::of(TaxName::parse("SALES").expect("a name"), texas, text("Sales tax"), Ppm(82_500))),
        ShippingOption { zones: vec![Place::country(us)], ..standard }.into(),
    ]
}
