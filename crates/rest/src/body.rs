//! Bodies: bounded in size and time, JSON or nothing.

use crate::limits::{BODY_MAX, LEFTOVER_MAX, LEFTOVER_TIME_MAX};
use crate::problem::Failure;
use axum::body::{Body, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::time::Duration;
use tokio::time::timeout;

fn too_large() -> Failure {
    Failure::new(413, "BODY_TOO_LARGE", format!("A body may have at most {BODY_MAX} bytes."))
}

/// The whole body.
///
/// # Errors
/// It is too large, too slow, or of a type that is not read here.
pub(crate) async fn read(headers: &HeaderMap, mut body: Body, within: Duration) -> Result<Bytes, Failure> {
    if body.size_hint().lower() > BODY_MAX as u64 {
        if !headers.contains_key(EXPECT) {
            let_go_by(body).await;
        }
        return Err(too_large());
    }
    let collected = timeout(within, Limited::new(&mut body, BODY_MAX).collect());
    let bytes = match collected.await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let_go_by(body).await;
            return Err(too_large());
        }
        Ok(Err(_)) => return Err(Failure::new(400, "BODY_INCOMPLETE", "The body ended early.")),
        Err(_) => return Err(Failure::new(408, "BODY_TIMEOUT", "The body took too long to arrive.")),
    };
    if !bytes.is_empty() && (!is_json(headers) || !is_plain(headers)) {
        return Err(Failure::new(415, "MEDIA_TYPE_UNSUPPORTED", "Bodies must be sent as application/json, not compressed."));
    }
    Ok(bytes)
}

/// A client that is still sending would not hear the answer: what it has left goes by unread, up to a bound.
async fn let_go_by(mut body: Body) {
    let going = async {
        let mut left = LEFTOVER_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // Whether it ended or not, the answer is the same.
    drop(timeout(LEFTOVER_TIME_MAX, going).await);
}

/// A compressed body could become any size.
fn is_plain(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().all(|v| v.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// `application/json` or `application/…+json`, in UTF-8 if it says so.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next().and_then(|v| v.to_str().ok()), values.next()) else { return false };
    let mut parts = value.split(';').map(|part| part.trim().to_ascii_lowercase());
    let kind = parts.next().unwrap_or_default();
    let json = kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"));
    json && parts.all(|p| p.strip_prefix("charset=").is_none_or(|c| matches!(c.trim_matches('"'), "utf-8" | "utf8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_many_spellings() {
        for (value, json) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json;charset=\"utf-8\"", true),
            ("application/merge-patch+json", true),
            ("application/json; charset=latin1", false),
            ("text/json", false),
            ("application/jsonp", false),
            ("text/plain", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().expect("a value"))]);
            assert_eq!(is_json(&headers), json, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
