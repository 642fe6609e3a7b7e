//! Who calls: session tokens, and JWTs of an issuer whose keys are known here.

use crate::limits::{KID_MAX, SEGMENTS_MAX, TOKEN_MAX, VERIFIED_MAX};
use crate::problem::Failure;
use app::{App, Caller};
use arc_swap::ArcSwap;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::ids::{CustomerId, Segment};
use domain::pricing::Shopper;
use domain::time::{MonthDay, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Clocks of issuers differ from ours by this much at most.
const LEEWAY: Duration = Duration::from_secs(30);
/// What session tokens begin with; a JWT cannot.
const SESSION_PREFIX: &str = "gst_";

#[derive(Debug, Deserialize, Serialize)]
struct Claims {
    iss: String,
    aud: Value,
    sub: String,
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    #[serde(default)]
    roles: Vec<String>,
    /// Groups of customers the shop has named.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    segments: Value,
    /// As OpenID Connect has it: `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    birthdate: Value,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    tax_exempt: Value,
}

impl Claims {
    /// What is said of the customer as a shopper. A claim of another shape than ours says nothing: what a foreign issuer means
    /// by it is unknown, and no reason to refuse its customer.
    fn shopper(&self) -> Shopper {
        let segments = self.segments.as_array().into_iter().flatten().filter_map(|s| Segment::parse(s.as_str()?));
        Shopper {
            segments: segments.take(SEGMENTS_MAX).collect(),
            birthday: self.birthdate.as_str().and_then(MonthDay::of_date),
            tax_exempt: self.tax_exempt == true,
            ..Shopper::default()
        }
    }
}

#[derive(Clone)]
struct Verified {
    caller: Caller,
    not_before: Timestamp,
    /// The first instant at which the token is of no use any more, leeway included.
    expires: Timestamp,
}

/// The keys of an issuer, and what its tokens must say. The algorithm comes from the key, never from a token.
pub struct Keys {
    issuer: String,
    audience: String,
    keys: ArcSwap<HashMap<String, Key>>,
    verified: Cache<[u8; 32], Verified>,
}

#[derive(Clone)]
struct Key {
    decoding: Arc<DecodingKey>,
    /// The public half as it is published.
    jwk: Value,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("issuer", &self.issuer).field("audience", &self.audience).finish_non_exhaustive()
    }
}

impl Keys {
    /// No keys yet: no JWT is accepted.
    pub fn new(issuer: &str, audience: &str) -> Self {
        Self { issuer: issuer.into(), audience: audience.into(), keys: ArcSwap::default(), verified: Cache::new(VERIFIED_MAX) }
    }

    /// Puts Ed25519 public keys (name and 32 bytes) in place of all others. Tokens of keys that are gone are
    /// refused from here on. A name that no token may carry is passed over.
    pub fn replace(&self, keys: &[(String, [u8; 32])]) {
        let key = |(kid, public): &(String, [u8; 32])| {
            let x = URL_SAFE_NO_PAD.encode(public);
            let decoding = DecodingKey::from_ed_components(&x).ok().filter(|_| is_kid(kid))?;
            let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x });
            Some((kid.clone(), Key { decoding: Arc::new(decoding), jwk }))
        };
        self.keys.store(Arc::new(keys.iter().filter_map(key).collect()));
        self.verified.clear();
    }

    /// The public keys as a JSON Web Key Set.
    pub fn jwks(&self) -> String {
        let keys = self.keys.load();
        let mut keys: Vec<_> = keys.iter().collect();
        keys.sort_by_key(|(kid, _)| kid.as_str());
        json!({ "keys": keys.into_iter().map(|(_, key)| &key.jwk).collect::<Vec<_>>() }).to_string()
    }

    /// The caller a token stands for, if it is good at `now`.
    pub fn check(&self, token: &str, now: Timestamp) -> Option<Caller> {
        if token.len() > TOKEN_MAX {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let verified = match self.verified.get(&digest) {
            Some(verified) => verified,
            None => {
                let verified = self.verify(token)?;
                if now < verified.expires {
                    self.verified.insert(digest, verified.clone());
                }
                verified
            }
        };
        (verified.not_before <= now && now < verified.expires).then_some(verified.caller)
    }

    fn verify(&self, token: &str) -> Option<Verified> {
        let header = decode_header(token).ok().filter(is_plain)?;
        let key = header.kid.as_deref().filter(|kid| is_kid(kid)).and_then(|kid| self.keys.load().get(kid).cloned())?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        // Time is checked by the caller, against the clock it was given.
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        let claims = decode::<Claims>(token, &key.decoding, &validation).ok()?.claims;
        let (id, shopper) = (CustomerId::parse(&claims.sub)?, Arc::new(claims.shopper()));
        let caller = if claims.roles.iter().any(|r| r == "admin") { Caller::Admin(id) } else { Caller::Customer(id, shopper) };
        let not_before = at(claims.nbf.unwrap_or(0).saturating_sub(LEEWAY.as_secs()));
        Some(Verified { caller, not_before, expires: at(claims.exp).plus(LEEWAY) })
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000))
}

fn is_kid(kid: &str) -> bool {
    (1..=KID_MAX).contains(&kid.len()) && kid.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// Nothing in the header that would bring a key along, or that has to be understood and is not.
fn is_plain(header: &Header) -> bool {
    header.alg == Algorithm::EdDSA
        && header.jku.is_none()
        && header.jwk.is_none()
        && header.x5u.is_none()
        && header.x5c.is_none()
        && header.crit.is_none()
        && header.enc.is_none()
        && header.zip.is_none()
        && header.typ.as_deref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt"))
}

/// The caller that the request's credentials stand for; nobody in particular without any.
pub(crate) async fn caller(app: &App, keys: &Keys, headers: &HeaderMap) -> Result<Caller, Failure> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(Caller::Anonymous) };
    let token = value.to_str().ok().filter(|_| values.next().is_none()).and_then(bearer).ok_or_else(refused)?;
    if token.starts_with(SESSION_PREFIX) {
        return app.session_of_token(token).await?.map(Caller::Guest).ok_or_else(refused);
    }
    keys.check(token, app.now()).ok_or_else(refused)
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let plain = !token.is_empty() && token.len() <= TOKEN_MAX && token.bytes().all(|b| b.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && plain).then_some(token)
}

fn refused() -> Failure {
    Failure::new(401, "UNAUTHENTICATED", "The token is not valid, or not any more.")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Customer,
    Admin,
}

/// What a token says of a customer as a shopper.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub segments: Vec<Segment>,
    /// `YYYY-MM-DD`
    pub birthdate: Option<String>,
    pub tax_exempt: bool,
}

/// An issuer of one's own, for development and for shops without an identity provider. Its key is a file that
/// only its owner can read; nodes that serve one store have the same.
pub struct DevIssuer {
    encoding: EncodingKey,
    kid: String,
    public: [u8; 32],
}

impl fmt::Debug for DevIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevIssuer").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl DevIssuer {
    pub const ISSUER: &str = "cartwright";
    pub const AUDIENCE: &str = "cartwright";

    /// The issuer whose key is in this file; one is made when there is none.
    ///
    /// # Errors
    /// The file cannot be read or written, or is not a key.
    pub fn open(path: &Path) -> io::Result<Self> {
        if !path.exists() {
            create_key(path)?;
        }
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Self::of(&fs::read(path)?)
    }

    /// An issuer whose key lives as long as the process.
    ///
    /// # Errors
    /// There is no chance to be had.
    pub fn ephemeral() -> io::Result<Self> {
        Self::of(&new_key()?)
    }

    fn of(pkcs8: &[u8]) -> io::Result<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
        let public: [u8; 32] = pair.public_key().as_ref().try_into().map_err(|_| io::Error::other("not an Ed25519 key"))?;
        let kid = URL_SAFE_NO_PAD.encode(&Sha256::digest(public)[..12]);
        Ok(Self { encoding: EncodingKey::from_ed_der(pkcs8), kid, public })
    }

    /// What checks this issuer's tokens.
    pub fn keys(&self) -> Keys {
        let keys = Keys::new(Self::ISSUER, Self::AUDIENCE);
        keys.replace(&[(self.kid.clone(), self.public)]);
        keys
    }

    /// A bearer token that is good for `ttl` from `now`.
    pub fn token(&self, sub: &CustomerId, role: Role, ttl: Duration, now: Timestamp) -> String {
        self.token_saying(sub, role, &Said::default(), ttl, now)
    }

    /// The same, with what it says of the customer as a shopper.
    pub fn token_saying(&self, sub: &CustomerId, role: Role, said: &Said, ttl: Duration, now: Timestamp) -> String {
        let roles = match role {
            Role::Customer => vec!["customer".to_owned()],
            Role::Admin => vec!["customer".to_owned(), "admin".to_owned()],
        };
        let exp = now.plus(ttl).millis() / 1000;
        let claims = Claims {
            iss: Self::ISSUER.into(),
            aud: Self::AUDIENCE.into(),
            sub: sub.to_string(),
            exp,
            nbf: None,
            roles,
            segments: if said.segments.is_empty() {
                Value::Null
            } else {
                json!(said.segments.iter().map(Segment::as_str).collect::<Vec<_>>())
            },
            birthdate: json!(said.birthdate),
            tax_exempt: if said.tax_exempt { json!(true) } else { Value::Null },
        };
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &claims, &self.encoding).expect("invariant: plain claims and a good key")
    }
}

fn new_key() -> io::Result<Vec<u8>> {
    let document = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8()).map_err(|_| io::Error::other("no key could be made"))?;
    Ok(document.as_ref().to_vec())
}

/// Writes a key so that it is there whole or not at all, and that of two processes that start together both
/// end up with the same one.
fn create_key(path: &Path) -> io::Result<()> {
    let draft = path.with_added_extension(std::process::id().to_string());
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&new_key()?)?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => path.parent().map_or(Ok(()), |directory| fs::File::open(directory)?.sync_all()),
    }
}
