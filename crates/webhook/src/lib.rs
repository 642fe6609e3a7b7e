//! Signatures of webhooks, by the Standard Webhooks specification (symmetric, `v1`): a base64 of the HMAC-SHA256 of
//! `id.timestamp.body` under a shared secret, in the header `webhook-signature`.

mod limits;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::time::Timestamp;
use limits::{AGE_MAX, ID_MAX, SECRET_MAX, SECRET_MIN, SIGNATURES_MAX};

pub const ID: &str = "webhook-id";
pub const TIMESTAMP: &str = "webhook-timestamp";
pub const SIGNATURE: &str = "webhook-signature";

/// What the sender and the receiver share, and nobody else. Written as `whsec_` and base64.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a webhook secret is `whsec_` and the base64 of 24 to 64 bytes")]
pub struct NoSecret;

impl Secret {
    /// # Errors
    /// It is not `whsec_` and the base64 of 24 to 64 bytes.
    pub fn parse(text: &str) -> Result<Self, NoSecret> {
        let bytes = text.strip_prefix("whsec_").and_then(|base64| STANDARD.decode(base64).ok()).ok_or(NoSecret)?;
        if (SECRET_MIN..=SECRET_MAX).contains(&bytes.len()) { Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes))) } else { Err(NoSecret) }
    }

    /// The value of the header [`SIGNATURE`] for a message sent at this many seconds since 1970.
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{id}.{seconds}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

/// What a message says of itself, as its headers have it. Nothing in it is true before it is verified.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claims<'a> {
    pub id: &'a str,
    pub timestamp: &'a str,
    pub signature: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    #[error("The webhook's headers are missing or cannot be read.")]
    Headers,
    #[error("The webhook's signature is not by any secret known here.")]
    Signature,
    #[error("The webhook was signed more than five minutes ago, or in the future.")]
    Age,
}

/// Accepts a message that was signed by one of the secrets within five minutes of `now`; says when it was signed.
///
/// The time is told only of a message that is known to be genuine.
///
/// # Errors
/// What speaks against it.
pub fn verify(secrets: &[Secret], claims: Claims<'_>, body: &[u8], now: Timestamp) -> Result<Timestamp, Forged> {
    let seconds = signed_at(claims.timestamp).filter(|_| (1..=ID_MAX).contains(&claims.id.len())).ok_or(Forged::Headers)?;
    let message = [format!("{}.{}.", claims.id, claims.timestamp).as_bytes(), body].concat();
    let by_us = |tag: &[u8]| secrets.iter().any(|secret| hmac::verify(&secret.0, &message, tag).is_ok());
    let signatures = claims.signature.split(' ').take(SIGNATURES_MAX).filter_map(|s| s.strip_prefix("v1,"));
    if !signatures.filter_map(|base64| STANDARD.decode(base64).ok()).any(|tag| by_us(&tag)) {
        return Err(Forged::Signature);
    }
    let at = Timestamp(seconds.saturating_mul(1_000_000));
    let age = at.until(now).max(now.until(at));
    if age <= AGE_MAX { Ok(at) } else { Err(Forged::Age) }
}

/// Plain digits, so that what was signed has one spelling.
fn signed_at(text: &str) -> Option<i64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const NOW: i64 = 1_750_000_000;

    fn secret(text: &str) -> Secret {
        Secret::parse(text).expect("a secret")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    #[test]
    fn a_secret_has_one_form() {
        let bytes = |n: usize| format!("whsec_{}", STANDARD.encode(vec![7; n]));
        for (text, good) in [
            (OURS.to_owned(), true),
            (bytes(24), true),
            (bytes(64), true),
            (bytes(23), false),
            (bytes(65), false),
            (OURS.replace("whsec_", ""), false),
            ("whsec_?".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(Secret::parse(&text).is_ok(), good, "{text}");
        }
        assert_eq!(format!("{:?}", secret(OURS)), "***");
    }

    #[test]
    fn it_signs_as_the_reference_library_does() {
        let theirs = standardwebhooks::Webhook::new(OURS).expect("a secret");
        for (id, seconds, body) in
            [("msg_1", NOW, "{}"), ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#), ("é", 0, "")]
        {
            assert_eq!(secret(OURS).sign(id, seconds, body.as_bytes()), theirs.sign(id, seconds, body.as_bytes()).expect("a signature"));
        }
    }

    #[test]
    fn the_vector_of_the_specification_is_accepted() {
        let claims = Claims {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            timestamp: "1614265330",
            signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        };
        let verified = verify(&[secret(OURS)], claims, br#"{"test": 2432232314}"#, at(1_614_265_330));
        assert_eq!(verified, Ok(at(1_614_265_330)));
    }

    #[test]
    fn a_message_is_accepted_as_it_was_signed_and_soon_or_not_at_all() {
        let signed = secret(OURS).sign("msg_1", NOW, b"body");
        let bare = signed.strip_prefix("v1,").expect("a version");
        let now = NOW.to_string();
        for (what, id, timestamp, signature, body, when, verified) in [
            ("as it is", "msg_1", now.as_str(), signed.clone(), "body", NOW, Ok(at(NOW))),
            ("late", "msg_1", &now, signed.clone(), "body", NOW + 300, Ok(at(NOW))),
            ("early", "msg_1", &now, signed.clone(), "body", NOW - 300, Ok(at(NOW))),
            ("among others", "msg_1", &now, format!("v1a,x v1,eA== {signed}"), "body", NOW, Ok(at(NOW))),
            ("too late", "msg_1", &now, signed.clone(), "body", NOW + 301, Err(Forged::Age)),
            ("from the future", "msg_1", &now, signed.clone(), "body", NOW - 301, Err(Forged::Age)),
            ("another id", "msg_2", &now, signed.clone(), "body", NOW, Err(Forged::Signature)),
            ("another time", "msg_1", "1750000001", signed.clone(), "body", NOW, Err(Forged::Signature)),
            ("another body", "msg_1", &now, signed.clone(), "Body", NOW, Err(Forged::Signature)),
            ("another version", "msg_1", &now, format!("v2,{bare}"), "body", NOW, Err(Forged::Signature)),
            ("a part of it", "msg_1", &now, signed[..20].to_owned(), "body", NOW, Err(Forged::Signature)),
            ("no signature", "msg_1", &now, String::new(), "body", NOW, Err(Forged::Signature)),
            ("another secret", "msg_1", &now, secret(OLD).sign("msg_1", NOW, b"body"), "body", NOW, Err(Forged::Signature)),
            ("no id", "", &now, secret(OURS).sign("", NOW, b"body"), "body", NOW, Err(Forged::Headers)),
            ("no time", "msg_1", "", signed.clone(), "body", NOW, Err(Forged::Headers)),
            ("a time with a sign", "msg_1", "+1750000000", signed.clone(), "body", NOW, Err(Forged::Headers)),
            ("a time out of range", "msg_1", "99999999999999999999", signed.clone(), "body", NOW, Err(Forged::Headers)),
        ] {
            let claims = Claims { id, timestamp, signature: &signature };
            assert_eq!(verify(&[secret(OURS)], claims, body.as_bytes(), at(when)), verified, "{what}");
        }
    }

    #[test]
    fn while_secrets_are_changed_both_are_good_and_without_any_nothing_is() {
        let body = b"body";
        for (by, known, good) in [(OURS, &[OURS, OLD][..], true), (OLD, &[OURS, OLD], true), (OLD, &[OURS], false), (OURS, &[], false)] {
            let signature = secret(by).sign("msg_1", NOW, body);
            let claims = Claims { id: "msg_1", timestamp: &NOW.to_string(), signature: &signature };
            let known: Vec<_> = known.iter().map(|text| secret(text)).collect();
            assert_eq!(verify(&known, claims, body, at(NOW)).is_ok(), good, "{by}");
        }
    }
}
