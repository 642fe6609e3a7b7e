//! One request as its handler sees it: who asks, for what, and how to answer.

use crate::edge::Edge;
use crate::once::{Scope, body_print};
use crate::problem::{Answer, Failure};
use crate::query::Query;
use crate::reply::{REPLAYED, unpack};
use crate::route::{Route, address_of};
use crate::{body, cursor, once};
use app::{Answered, App, Caller, Once};
use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LINK};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::ids::Version;
use domain::refusal::Refusal;
use foldhash::fast::FixedState;
use serde::Serialize;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use wire::explain::Audience;
use wire::page::PageBody;
use wire::{Json, Object, read};

/// Headers of an answer with rate limits and all; asking for more makes room for twice as many.
pub(crate) const HEADERS_ROOM: usize = 12;

pub(crate) const SESSION_TOKEN: HeaderName = HeaderName::from_static("x-session-token");

pub(crate) struct Call {
    pub edge: Arc<Edge>,
    pub caller: Caller,
    /// Where the request comes from.
    pub address: IpAddr,
    route: Arc<Route>,
    method: Method,
    uri: Uri,
    ids: RawPathParams,
    headers: HeaderMap,
    key: Option<String>,
    body: Bytes,
    /// The print of the body, once it is read and only if there is an idempotency key.
    print: Option<[u8; 32]>,
    /// The token of a session that was opened for this call.
    token: Option<String>,
}

/// Headers and bodies hold secrets.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Call({} {})", self.method, self.route.path)
    }
}

impl Call {
    /// Takes a request in, with its whole body.
    pub(crate) async fn take(edge: Arc<Edge>, route: Arc<Route>, caller: Caller, request: Request) -> Result<Self, Failure> {
        let address = address_of(&request);
        let (mut parts, body) = request.into_parts();
        let not_found = || Failure::new(404, "NOT_FOUND", "There is nothing here.");
        let ids = RawPathParams::from_request_parts(&mut parts, &()).await.map_err(|_| not_found())?;
        let writes = !parts.method.is_safe();
        let key = if writes { once::key(&parts.headers)? } else { None };
        let body = if writes && parts.method != Method::DELETE {
            body::read(&parts.headers, body, edge.body_timeout).await?
        } else {
            Bytes::new()
        };
        Ok(Self {
            edge,
            caller,
            address,
            route,
            method: parts.method,
            uri: parts.uri,
            ids,
            headers: parts.headers,
            key,
            body,
            print: None,
            token: None,
        })
    }

    pub(crate) fn app(&self) -> &App {
        &self.edge.app
    }

    /// A header's text; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as it came.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.body
    }

    /// An id of the path. One that was never given out is one that is not there.
    pub(crate) fn id<T>(&self, name: &str, parse: impl FnOnce(&str) -> Option<T>, missing: Refusal) -> Result<T, Failure> {
        let text = self.ids.iter().find(|(n, _)| *n == name).map_or("", |(_, id)| id);
        parse(text).ok_or_else(|| missing.into())
    }

    /// The query string, of which every parameter has to be taken.
    pub(crate) fn query(&self) -> Result<Query, Failure> {
        Query::of(&self.uri)
    }

    /// Refuses any query string: for routes that know no parameters.
    pub(crate) fn no_query(&self) -> Result<(), Failure> {
        if self.uri.query().is_none_or(str::is_empty) { Ok(()) } else { self.query()?.end() }
    }

    /// For whom the price is to be explained, where that is all a query may ask for.
    pub(crate) fn explain(&self) -> Result<Option<Audience>, Failure> {
        if self.uri.query().is_none_or(str::is_empty) {
            return Ok(None);
        }
        let mut query = self.query()?;
        let explain = query.flag("explain").unwrap_or(false);
        query.end()?;
        let audience = if self.caller.is_admin() { Audience::Shopkeeper } else { Audience::Shopper };
        Ok(explain.then_some(audience))
    }

    /// The place a cursor stands for.
    pub(crate) fn after<const N: usize>(&self, query: &mut Query) -> Result<Option<[u8; N]>, Failure> {
        let cursor = query.get("cursor", |text| Some(text.to_owned()), "a cursor");
        cursor.map(|cursor| cursor::open(self.route.path, &cursor)).transpose()
    }

    pub(crate) fn cursor(&self, place: &[u8]) -> String {
        cursor::seal(self.route.path, place)
    }

    /// Reads the body, which must be there.
    pub(crate) fn read<T>(&mut self, shape: impl FnOnce(&mut Object<'_, '_>) -> Option<T>) -> Result<T, Failure> {
        if self.body.is_empty() {
            return Err(wire::Invalid::one("", "REQUIRED", "A body is required.").into());
        }
        self.read_or_empty(shape)
    }

    /// Reads the body; nothing at all counts as an empty object.
    pub(crate) fn read_or_empty<T>(&mut self, shape: impl FnOnce(&mut Object<'_, '_>) -> Option<T>) -> Result<T, Failure> {
        let json = match &self.body[..] {
            b"" => None,
            bytes => Some(Json::parse(bytes).map_err(|wrong| Failure::from(wire::Invalid::one("", "JSON_INVALID", wrong)))?),
        };
        if self.route.refuses_cards && json.as_ref().is_some_and(wire::holds_card_number) {
            let detail = "Card numbers must not be sent here; send a token of the payment provider. Nothing was kept.";
            return Err(Failure::new(422, "CARD_DATA_REFUSED", detail));
        }
        if self.key.is_some() {
            self.print = Some(body_print(json.as_ref()));
        }
        Ok(read(json, shape)?)
    }

    /// The version the write expects; any for `*` or no `If-Match`.
    pub(crate) fn if_match(&self) -> Result<Option<Version>, Failure> {
        let mut values = self.headers.get_all(IF_MATCH).iter();
        let Some(value) = values.next() else { return Ok(None) };
        match (value.as_bytes(), values.next()) {
            (b"*", None) => Ok(None),
            (tag, None) => version_of(tag).map(Some).ok_or_else(bad_if_match),
            (_, Some(_)) => Err(bad_if_match()),
        }
    }

    /// The newest version the client says it has.
    pub(crate) fn seen(&self) -> Option<Version> {
        self.none_match().filter_map(version_of).max()
    }

    fn none_match(&self) -> impl Iterator<Item = &[u8]> {
        let tags = self.headers.get_all(IF_NONE_MATCH).iter().flat_map(|v| v.as_bytes().split(|b| *b == b','));
        tags.map(<[u8]>::trim_ascii).map(|tag| tag.strip_prefix(b"W/").unwrap_or(tag))
    }

    /// The idempotency record to commit with the effect, if the request has a key. After the body was read.
    pub(crate) fn once<T>(&self, render: fn(&T) -> Bytes) -> Option<Once<T>> {
        let key = self.key.as_deref()?;
        let scope = Scope {
            caller: &self.caller,
            method: self.method.as_str(),
            route: self.route.path,
            ids: &self.ids,
            query: self.uri.query().unwrap_or_default(),
        };
        Some(Once { mark: scope.mark(key, self.print.unwrap_or_else(|| body_print(None))), render })
    }

    /// The same where a key is required.
    pub(crate) fn must_once<T>(&self, render: fn(&T) -> Bytes) -> Result<Once<T>, Failure> {
        let missing = || Failure::new(400, "IDEMPOTENCY_KEY_REQUIRED", "This needs an Idempotency-Key, so that it is safe to repeat.");
        self.once(render).ok_or_else(missing)
    }

    /// Opens a guest session for a caller without one; its token goes out with the answer.
    pub(crate) async fn become_guest(&mut self) -> Result<(), Failure> {
        let new = self.app().open_session(None).await?;
        self.caller = Caller::Guest(new.session);
        self.token = Some(new.token);
        Ok(())
    }

    /// Answers a write: as rendered now, or as the first time.
    pub(crate) fn answer<T>(&self, answered: Answered<T>, render: fn(&T) -> Bytes) -> Answer {
        match answered {
            Answered::Fresh(value) => self.packed(&render(&value)),
            Answered::Again(packed) => {
                let replayed = HeaderMap::from_iter([(REPLAYED, HeaderValue::from_static("true"))]);
                match self.packed(&packed) {
                    Ok(mut response) => {
                        response.headers_mut().extend(replayed);
                        Ok(response)
                    }
                    Err(failure) => Err(failure.with(replayed)),
                }
            }
        }
    }

    pub(crate) fn packed(&self, packed: &Bytes) -> Answer {
        let mut response = unpack(packed)?;
        if let Some(token) = self.token.as_deref().and_then(|t| HeaderValue::from_str(t).ok()) {
            response.headers_mut().insert(SESSION_TOKEN, token);
        }
        Ok(response)
    }

    /// Answers a read of something with a version; a client that has it already is told so.
    pub(crate) fn show(&self, version: Version, body: &impl Serialize) -> Response {
        let bytes = Bytes::from(to_json(body));
        let tag = etag(version, &bytes);
        self.show_bytes(bytes, tag)
    }

    pub(crate) fn show_bytes(&self, bytes: Bytes, tag: HeaderValue) -> Response {
        let mut response = if self.has_already(&tag) { StatusCode::NOT_MODIFIED.into_response() } else { json_bytes(bytes) };
        response.headers_mut().insert(ETAG, tag);
        response
    }

    fn has_already(&self, current: &HeaderValue) -> bool {
        self.none_match().any(|tag| tag == b"*" || tag == current.as_bytes())
    }

    /// Answers with a page, and a link to the next one.
    pub(crate) fn page<T: Serialize>(&self, items: Vec<T>, next: Option<&[u8]>) -> Response {
        let next_cursor = next.map(|place| self.cursor(place));
        let link = next_cursor.as_deref().map(|c| self.link(c));
        linked(json(&PageBody { items, next_cursor }), link)
    }

    /// The address of the next page: this one's with another cursor.
    pub(crate) fn link(&self, cursor: &str) -> String {
        let others = self.uri.query().unwrap_or_default().split('&').filter(|p| !p.is_empty() && !p.starts_with("cursor="));
        let query: Vec<&str> = others.collect();
        let amp = if query.is_empty() { "" } else { "&" };
        format!("<{}?{}{amp}cursor={cursor}>; rel=\"next\"", self.uri.path(), query.join("&"))
    }
}

fn bad_if_match() -> Failure {
    wire::Invalid::one("If-Match", "INVALID", "Must be one strong ETag such as \"7\", or *.").into()
}

/// A strong validator: the version, and a print of the body, because prices, stock and warnings move without
/// a new version: `"7.3f…"`.
pub(crate) fn etag(version: Version, body: &[u8]) -> HeaderValue {
    // With a fixed seed, so that every node and every start gives the same print.
    let mut print = FixedState::default().build_hasher();
    print.write(body);
    HeaderValue::try_from(format!("\"{}.{:x}\"", version.0, print.finish())).expect("invariant: digits and quotes")
}

/// The version in an ETag; its print does not count for a write.
fn version_of(tag: &[u8]) -> Option<Version> {
    let text = std::str::from_utf8(tag.strip_prefix(b"\"")?.strip_suffix(b"\"")?).ok()?;
    let (version, print) = text.split_once('.').unwrap_or((text, "0"));
    let plain = |text: &str, digit: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|b| digit(&b));
    let fits = plain(version, u8::is_ascii_digit) && plain(print, u8::is_ascii_hexdigit);
    version.parse().ok().filter(|_| fits).map(Version)
}

pub(crate) fn to_json(body: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4096);
    serde_json::to_writer(&mut bytes, body).expect("invariant: answers are plain structs with text keys");
    bytes
}

fn json_bytes(bytes: Bytes) -> Response {
    let mut response = Response::new(Body::from(bytes));
    // Room for what every answer gets on its way out.
    *response.headers_mut() = HeaderMap::with_capacity(HEADERS_ROOM);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(crate) fn json(body: &impl Serialize) -> Response {
    json_bytes(to_json(body).into())
}

pub(crate) fn linked(mut response: Response, link: Option<String>) -> Response {
    if let Some(link) = link.and_then(|l| HeaderValue::try_from(l).ok()) {
        response.headers_mut().insert(LINK, link);
    }
    response
}
