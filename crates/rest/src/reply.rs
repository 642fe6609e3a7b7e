//! What a write answers, packed so that the stored answer to an idempotency key and the answer that is sent
//! are the same bytes: a head that says how to send the rest, then the body.
//!
//! ```text
//! 1 | status u16 | version u64 (0: none) | length of location u16 | location | body
//! ```

use crate::call::{HEADERS_ROOM, etag};
use crate::problem::Failure;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use domain::checkout::PaymentError;
use domain::ids::Version;
use serde::Serialize;

const FORMAT: u8 = 1;
const HEAD: usize = 13;
/// Room for a cart of a few items, so that most answers are written without growing.
const ROOM: usize = 4096;
const DECLINED: u16 = 402;

pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

pub(crate) fn ok(version: Version, body: &impl Serialize) -> Bytes {
    pack(200, Some(version), "", body)
}

pub(crate) fn created(version: Version, location: &str, body: &impl Serialize) -> Bytes {
    pack(201, Some(version), location, body)
}

/// Something new that has no version.
pub(crate) fn made(location: &str, body: &impl Serialize) -> Bytes {
    pack(201, None, location, body)
}

pub(crate) fn plain(body: &impl Serialize) -> Bytes {
    pack(200, None, "", body)
}

pub(crate) fn accepted(location: &str, body: &impl Serialize) -> Bytes {
    pack(202, None, location, body)
}

pub(crate) fn no_content() -> Bytes {
    head(204, None, "").into()
}

/// A declined payment is an answer too, and is replayed: its problem is made anew for each request.
pub(crate) fn declined(error: &PaymentError) -> Bytes {
    pack(DECLINED, None, "", &(&error.code, &error.detail))
}

fn head(status: u16, version: Option<Version>, location: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ROOM);
    bytes.push(FORMAT);
    bytes.extend(status.to_be_bytes());
    bytes.extend(version.map_or(0, |v| v.0).to_be_bytes());
    bytes.extend(u16::try_from(location.len()).expect("invariant: locations are short").to_be_bytes());
    bytes.extend(location.as_bytes());
    bytes
}

fn pack(status: u16, version: Option<Version>, location: &str, body: &impl Serialize) -> Bytes {
    let mut bytes = head(status, version, location);
    serde_json::to_writer(&mut bytes, body).expect("invariant: answers are plain structs with text keys");
    bytes.into()
}

/// The response a packed answer describes.
pub(crate) fn unpack(packed: &Bytes) -> Result<Response, Failure> {
    let (status, version, location, body) = parts(packed).ok_or_else(Failure::internal)?;
    if status == DECLINED {
        let (code, detail) = serde_json::from_slice(&body).map_err(|_| Failure::internal())?;
        return Err(wire::checkout::declined(&PaymentError { code, detail }).into());
    }
    let status = StatusCode::from_u16(status).map_err(|_| Failure::internal())?;
    let tag = (version != 0).then(|| etag(Version(version), &body));
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = HeaderMap::with_capacity(HEADERS_ROOM);
    let headers = response.headers_mut();
    if status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(tag) = tag {
        headers.insert(ETAG, tag);
    }
    if let Some(location) = HeaderValue::from_maybe_shared(location).ok().filter(|l| !l.is_empty()) {
        headers.insert(LOCATION, location);
    }
    Ok(response)
}

fn parts(packed: &Bytes) -> Option<(u16, u64, Bytes, Bytes)> {
    let head = packed.get(..HEAD).filter(|head| head[0] == FORMAT)?;
    let status = u16::from_be_bytes(head[1..3].try_into().ok()?);
    let version = u64::from_be_bytes(head[3..11].try_into().ok()?);
    let body = HEAD + usize::from(u16::from_be_bytes(head[11..13].try_into().ok()?));
    (packed.len() >= body).then(|| (status, version, packed.slice(HEAD..body), packed.slice(body..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        for (packed, status, etag, location) in [
            (ok(Version(7), &"x"), 200, Some("\"7."), None),
            (created(Version(1), "/a/b", &"x"), 201, Some("\"1."), Some("/a/b")),
            (made("/a/b", &"x"), 201, None, Some("/a/b")),
            (plain(&"x"), 200, None, None),
            (accepted("/a", &"x"), 202, None, Some("/a")),
            (no_content(), 204, None, None),
        ] {
            let response = unpack(&packed).expect("an answer");
            let header = |name| response.headers().get(name).map(|v: &HeaderValue| v.to_str().expect("text").to_owned());
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(header(ETAG).as_deref().map(|tag| &tag[..3]), etag);
            assert_eq!(header(LOCATION).as_deref(), location);
        }
        for torn in [&b""[..], &[FORMAT], &[2; 20], &[FORMAT, 0, 200, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9]] {
            assert!(unpack(&Bytes::from_static(b"")).is_err() && parts(&Bytes::copy_from_slice(torn)).is_none(), "{torn:?}");
        }
    }
}
