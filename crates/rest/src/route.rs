//! The table of routes, and what every request goes through: the guard of its route, and the trace around
//! everything.

use crate::call::Call;
use crate::edge::Edge;
use crate::limit::Group;
use crate::metrics::RouteMetrics;
use crate::problem::{Answer, Failure};
use crate::trace::Trace;
use crate::{auth, cart, catalog, checkout, docs, health, order, payment, pricing, rules, session};
use app::{Caller, traced};
use axum::Router;
use axum::extract::Request;
use axum::http::header::{ALLOW, CACHE_CONTROL};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter};
use domain::catalog::HeadingKind::{self, Author, Category, Publisher};
use domain::pricing::RuleKind::{self, ExchangeRate, Promotion, ShippingOption, Stacking, TaxRate};
use domain::refusal::Refusal;
use domain::trace::TraceContext;
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::future::{Future, Ready, ready};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::time::Instant;

/// Who may come in at all. Whose things they may see is decided inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// No credentials are looked at, nothing is limited.
    Open,
    Anyone,
    /// A shopper, known or guest.
    Owner,
    Admin,
}

impl Access {
    fn check(self, caller: &Caller) -> Result<(), Refusal> {
        match self {
            Self::Open | Self::Anyone => Ok(()),
            Self::Owner => caller.owner().map(drop),
            Self::Admin => caller.ensure_admin(),
        }
    }
}

/// What a handler and its guard know of the route.
#[derive(Debug)]
pub(crate) struct Route {
    pub path: &'static str,
    /// Requests in which a card number might turn up.
    pub refuses_cards: bool,
    access: Access,
    group: Group,
    /// Answers are for one caller's eyes.
    private: bool,
    metrics: RouteMetrics,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

pub(crate) fn address_of(request: &Request) -> IpAddr {
    request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip())
}

type Serve = dyn FnOnce(MethodRouter, Arc<Edge>, Arc<Route>) -> MethodRouter;

struct Entry {
    method: Method,
    path: &'static str,
    access: Access,
    /// Adds the handler, behind everything that comes before it, to the methods of its path.
    serve: Box<Serve>,
}

fn entry<H, F>(method: Method, path: &'static str, access: Access, handler: H) -> Entry
where
    H: Fn(Call) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let filter = MethodFilter::try_from(method.clone()).expect("invariant: the table names plain methods");
    let serve = move |methods: MethodRouter, edge: Arc<Edge>, route: Arc<Route>| {
        methods.on(filter, move |request: Request| answer(Arc::clone(&edge), Arc::clone(&route), handler.clone(), request))
    };
    Entry { method, path, access, serve: Box::new(serve) }
}

#[rustfmt::skip]
fn table() -> Vec<Entry> {
    use Access::{Admin, Anyone, Open, Owner};
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PUT: Method = Method::PUT;
    const PATCH: Method = Method::PATCH;
    const DELETE: Method = Method::DELETE;
    let mut table = vec![
        entry(POST,   "/api/v1/cart",                                  Anyone, cart::open),
        entry(GET,    "/api/v1/cart",                                  Owner,  cart::mine),
        entry(GET,    "/api/v1/cart/{id}",                             Owner,  cart::show),
        entry(PATCH,  "/api/v1/cart/{id}",                             Owner,  cart::patch),
        entry(DELETE, "/api/v1/cart/{id}",                             Owner,  cart::delete),
        entry(POST,   "/api/v1/cart/{id}/items",                       Owner,  cart::add_item),
        entry(DELETE, "/api/v1/cart/{id}/items",                       Owner,  cart::clear),
        entry(PATCH,  "/api/v1/cart/{id}/items/{itemId}",              Owner,  cart::set_item),
        entry(DELETE, "/api/v1/cart/{id}/items/{itemId}",              Owner,  cart::remove_item),
        entry(GET,    "/api/v1/cart/{id}/totals",                      Owner,  cart::totals),
        entry(POST,   "/api/v1/cart/{id}/merge",                       Owner,  cart::merge),
        entry(POST,   "/api/v1/checkout/session",                      Owner,  checkout::start),
        entry(GET,    "/api/v1/checkout/session/{id}",                 Owner,  checkout::show),
        entry(PATCH,  "/api/v1/checkout/session/{id}",                 Owner,  checkout::patch),
        entry(DELETE, "/api/v1/checkout/session/{id}",                 Owner,  checkout::cancel),
        entry(POST,   "/api/v1/checkout/session/{id}/resume",          Owner,  checkout::resume),
        entry(POST,   "/api/v1/checkout/process",                      Owner,  checkout::process),
        entry(POST,   "/api/v1/payments/webhook",                      Open,   payment::webhook),
        entry(GET,    "/api/v1/orders",                                Owner,  order::list),
        entry(GET,    "/api/v1/orders/{id}",                           Owner,  order::show),
        entry(PATCH,  "/api/v1/orders/{id}",                           Owner,  order::patch),
        entry(DELETE, "/api/v1/orders/{id}",                           Owner,  order::cancel),
        entry(GET,    "/api/v1/orders/{id}/events",                    Owner,  order::events),
        entry(POST,   "/api/v1/orders/{id}/refunds",                   Admin,  order::refund),
        entry(POST,   "/api/v1/pricing/calculate",                     Anyone, pricing::calculate),
        entry(GET,    "/api/v1/pricing/discounts",                     Anyone, pricing::discounts),
        entry(POST,   "/api/v1/pricing/simulate",                      Admin,  pricing::simulate),
        entry(GET,    "/api/v1/pricing/history",                       Admin,  rules::history),
        entry(GET,    "/api/v1/pricing/stacking",                      Admin,  rules::stacking),
        entry(PUT,    "/api/v1/pricing/stacking",                      Admin,  |call: Call| rules::replace(Stacking, call)),
        entry(GET,    "/api/v1/pricing/promotions/{id}/codes",         Admin,  rules::codes),
        entry(POST,   "/api/v1/pricing/promotions/{id}/codes",         Admin,  rules::issue),
        entry(GET,    "/api/v1/pricing/promotions/{id}/codes.csv",     Admin,  rules::codes_file),
        entry(POST,   "/api/v1/session",                               Anyone, session::open),
        entry(GET,    "/api/v1/session",                               Owner,  session::mine),
        entry(DELETE, "/api/v1/session",                               Owner,  session::end_mine),
        entry(GET,    "/api/v1/session/{id}",                          Owner,  session::show),
        entry(PATCH,  "/api/v1/session/{id}",                          Owner,  session::patch),
        entry(DELETE, "/api/v1/session/{id}",                          Owner,  session::end),
        entry(GET,    "/api/v1/books",                                 Anyone, catalog::books),
        entry(POST,   "/api/v1/books",                                 Admin,  catalog::create_book),
        entry(GET,    "/api/v1/books/{id}",                            Anyone, catalog::book),
        entry(PUT,    "/api/v1/books/{id}",                            Admin,  catalog::replace_book),
        entry(DELETE, "/api/v1/books/{id}",                            Admin,  catalog::delete_book),
        entry(POST,   "/api/v1/books/{id}/editions/{editionId}/stock", Admin,  catalog::move_stock),
        entry(GET,    "/api/v1/books/{id}/editions/{editionId}/prices", Admin, catalog::prices),
        entry(GET,    "/api/v1/health",                                Open,   health::ready),
        entry(GET,    "/api/v1/health/live",                           Open,   health::live),
        entry(GET,    "/api/v1/health/ready",                          Open,   health::ready),
        entry(GET,    "/api/v1/health/detailed",                       Open,   health::detailed),
        entry(GET,    "/api/v1/health/metrics",                        Open,   health::metrics),
        entry(GET,    "/health",                                       Open,   health::ready),
        entry(GET,    "/health/live",                                  Open,   health::live),
        entry(GET,    "/health/ready",                                 Open,   health::ready),
        entry(GET,    "/health/detailed",                              Open,   health::detailed),
        entry(GET,    "/health/metrics",                               Open,   health::metrics),
        entry(GET,    "/metrics",                                      Open,   health::metrics),
        entry(GET,    "/openapi.json",                                 Open,   docs::openapi),
        entry(GET,    "/docs",                                         Open,   docs::page),
        entry(GET,    "/.well-known/jwks.json",                        Open,   docs::jwks),
    ];
    table.extend(headings(Author,    "/api/v1/authors",    "/api/v1/authors/{id}"));
    table.extend(headings(Category,  "/api/v1/categories", "/api/v1/categories/{id}"));
    table.extend(headings(Publisher, "/api/v1/publishers", "/api/v1/publishers/{id}"));
    table.extend(kept(Promotion,      Admin,  "/api/v1/pricing/promotions",       "/api/v1/pricing/promotions/{id}"));
    table.extend(kept(TaxRate,        Anyone, "/api/v1/pricing/tax-rates",        "/api/v1/pricing/tax-rates/{id}"));
    table.extend(kept(ShippingOption, Anyone, "/api/v1/pricing/shipping-options", "/api/v1/pricing/shipping-options/{id}"));
    table.extend(kept(ExchangeRate,   Anyone, "/api/v1/pricing/exchange-rates",   "/api/v1/pricing/exchange-rates/{id}"));
    table
}

fn headings(kind: HeadingKind, list: &'static str, one: &'static str) -> [Entry; 5] {
    use Access::{Admin, Anyone};
    [
        entry(Method::GET, list, Anyone, move |call: Call| catalog::headings(kind, call)),
        entry(Method::POST, list, Admin, move |call: Call| catalog::create_heading(kind, call)),
        entry(Method::GET, one, Anyone, move |call: Call| catalog::heading(kind, call)),
        entry(Method::PUT, one, Admin, move |call: Call| catalog::rename_heading(kind, call)),
        entry(Method::DELETE, one, Admin, move |call: Call| catalog::delete_heading(kind, call)),
    ]
}

/// Rules of a kind, which some may read and shopkeepers change.
fn kept(kind: RuleKind, readers: Access, list: &'static str, one: &'static str) -> [Entry; 5] {
    [
        entry(Method::GET, list, readers, move |call: Call| rules::list(kind, call)),
        entry(Method::POST, list, Access::Admin, move |call: Call| rules::create(kind, call)),
        entry(Method::GET, one, readers, move |call: Call| rules::show(kind, call)),
        entry(Method::PUT, one, Access::Admin, move |call: Call| rules::replace(kind, call)),
        entry(Method::DELETE, one, Access::Admin, move |call: Call| rules::delete(kind, call)),
    ]
}

/// Every route: its method and the template of its path.
pub fn routes() -> Vec<(Method, &'static str)> {
    table().into_iter().map(|e| (e.method, e.path)).collect()
}

/// The whole edge.
pub fn router(edge: Arc<Edge>) -> Router {
    routed(edge, table())
}

/// What a node answers that serves nobody else: how it is.
pub fn health_router(edge: Arc<Edge>) -> Router {
    routed(edge, table().into_iter().filter(|e| e.path.starts_with("/health") || e.path == "/metrics").collect())
}

fn routed(edge: Arc<Edge>, table: Vec<Entry>) -> Router {
    let mut paths: BTreeMap<&str, MethodRouter> = BTreeMap::new();
    for (path, allowed) in allowed(&table) {
        let edge = Arc::clone(&edge);
        let fallback = move |request: Request| otherwise(&edge, request, |method| not_allowed(method, allowed.clone()));
        paths.insert(path, MethodRouter::new().fallback(fallback));
    }
    for entry in table {
        let route = Arc::new(route_of(&entry, &edge));
        let methods = paths.remove(entry.path).expect("invariant: every path has its methods");
        paths.insert(entry.path, (entry.serve)(methods, Arc::clone(&edge), route));
    }
    let router = paths.into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    // Without a state to come, handlers are made once and not for every request.
    router.fallback(move |request: Request| otherwise(&edge, request, |_| not_found().into_response())).with_state(())
}

/// The answer where no route has one.
fn otherwise(edge: &Edge, request: Request, answer: impl FnOnce(Method) -> Response) -> Ready<Response> {
    let trace = Trace::begin(edge, &request);
    ready(trace.end(edge, answer(request.into_parts().0.method)))
}

fn route_of(entry: &Entry, edge: &Edge) -> Route {
    let under = |noun: &str| entry.path.strip_prefix("/api/v1/").is_some_and(|p| p == noun || p.split('/').next() == Some(noun));
    let group = match (under("cart"), under("checkout") && entry.method != Method::GET) {
        (true, _) => Group::Cart,
        (_, true) => Group::Checkout,
        _ => Group::Other,
    };
    Route {
        path: entry.path,
        refuses_cards: under("cart") || under("checkout"),
        access: entry.access,
        group,
        private: entry.access == Access::Admin || ["cart", "checkout", "orders", "session"].into_iter().any(under),
        metrics: edge.metrics.route(&entry.method, entry.path),
    }
}

fn not_found() -> Failure {
    Failure::new(404, "NOT_FOUND", "There is nothing here.")
}

/// The methods of each path, as `Allow` tells them.
fn allowed(table: &[Entry]) -> BTreeMap<&'static str, HeaderValue> {
    let mut allowed: BTreeMap<&str, String> = BTreeMap::new();
    for Entry { method, path, .. } in table {
        let methods = allowed.entry(path).or_insert_with(|| "OPTIONS".to_owned());
        *methods = format!("{method}, {}{methods}", if method == Method::GET { "HEAD, " } else { "" });
    }
    let value = |methods| HeaderValue::try_from(methods).expect("invariant: names of methods");
    allowed.into_iter().map(|(path, methods)| (path, value(methods))).collect()
}

/// The path is known, the method is not: says which ones are.
fn not_allowed(method: Method, allowed: HeaderValue) -> Response {
    let headers = HeaderMap::from_iter([(ALLOW, allowed)]);
    match method {
        Method::OPTIONS => (StatusCode::NO_CONTENT, headers).into_response(),
        _ => Failure::new(405, "METHOD_NOT_ALLOWED", "This method is not known here.").with(headers).into_response(),
    }
}

/// Everything between the network and a handler, and back.
async fn answer<H, F>(edge: Arc<Edge>, route: Arc<Route>, handler: H, request: Request) -> Response
where
    H: Fn(Call) -> F + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let trace = Trace::begin(&edge, &request);
    let started = Instant::now();
    let outcome = AssertUnwindSafe(pass(&edge, &route, trace.context(), handler, request)).catch_unwind().await;
    let answer = outcome.unwrap_or_else(|_| Err(Failure::panicked()));
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    if route.private {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    route.metrics.answered(response.status(), started.elapsed());
    trace.end(&edge, response)
}

async fn pass<H, F>(edge: &Arc<Edge>, route: &Arc<Route>, trace: Option<TraceContext>, handler: H, request: Request) -> Answer
where
    H: Fn(Call) -> F + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    if route.access == Access::Open {
        return run(edge, route, trace, Caller::Anonymous, handler, request).await;
    }
    let address = address_of(&request);
    let caller = match auth::caller(&edge.app, &edge.keys, request.headers()).await {
        Ok(caller) => caller,
        // Guessing at credentials is paid for like having none.
        Err(failure) => return Err(failure.with(edge.limits.spend(route.group, &Caller::Anonymous, address).await?)),
    };
    let left = edge.limits.spend(route.group, &caller, address).await?;
    if let Err(refusal) = route.access.check(&caller) {
        return Err(Failure::from(refusal).with(left));
    }
    match run(edge, route, trace, caller, handler, request).await {
        Ok(mut response) => {
            response.headers_mut().extend(left);
            Ok(response)
        }
        Err(failure) => Err(failure.with(left)),
    }
}

/// Runs the handler, in the trace of the request. Writes are seen through to their end, whatever becomes of the client.
async fn run<H, F>(
    edge: &Arc<Edge>,
    route: &Arc<Route>,
    trace: Option<TraceContext>,
    caller: Caller,
    handler: H,
    request: Request,
) -> Answer
where
    H: Fn(Call) -> F + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let writes = !request.method().is_safe();
    let call = Call::take(Arc::clone(edge), Arc::clone(route), caller, request).await?;
    // Few requests name a trace, and only they pay for it.
    match (trace, writes) {
        (None, true) => edge.see_through(handler(call)).await,
        (None, false) => handler(call).await,
        (trace, true) => edge.see_through(traced(trace, handler(call))).await,
        (trace, false) => Box::pin(traced(trace, handler(call))).await,
    }
}
