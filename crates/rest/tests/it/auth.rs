use crate::shop::{Shop, book};
use app::ports::Clock;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use domain::ids::CustomerId;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rest::auth::{DevIssuer, Keys, Role};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

fn base64url(text: &str) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        out.extend((0..=chunk.len()).map(|i| char::from(digits[(bits >> (18 - 6 * i) & 63) as usize])));
    }
    out
}

/// An issuer whose tokens can be bent at will.
struct Forge {
    key: EncodingKey,
    keys: Keys,
    now: u64,
}

impl Forge {
    fn new(now: u64) -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key");
        let public = pair.public_key().as_ref().try_into().expect("32 bytes");
        let keys = Keys::new("us", "shop");
        keys.replace(&[("k1".to_owned(), public)]);
        Self { key: EncodingKey::from_ed_der(pair.to_pkcs8().expect("a document").as_ref()), keys, now }
    }

    fn claims(&self, change: Value) -> Value {
        let mut claims = json!({ "iss": "us", "aud": "shop", "sub": "ada", "exp": self.now + 60, "roles": ["customer"] });
        for (name, value) in change.as_object().expect("an object") {
            match value {
                Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    fn header(change: impl FnOnce(&mut Header)) -> Header {
        let mut header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::EdDSA) };
        change(&mut header);
        header
    }

    fn token(&self, claims: Value) -> String {
        self.signed(&Self::header(|_| ()), &self.claims(claims))
    }

    fn signed(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.key).expect("a token")
    }
}

#[tokio::test]
async fn bad_tokens_are_all_alike() {
    let shop = Shop::new().await;
    let now = shop.clock.now().millis() / 1000;
    let forge = Forge::new(now);
    let at = shop.clock.now();
    let good = forge.token(json!({}));
    assert!(forge.keys.check(&good, at).is_some() && forge.keys.check(&good, at).is_some(), "twice: the second from memory");
    let admin = forge.token(json!({ "roles": ["admin"] }));
    assert!(forge.keys.check(&admin, at).is_some_and(|c| c.is_admin()));
    assert!(forge.keys.check(&forge.token(json!({ "aud": ["other", "shop"] })), at).is_some());
    assert!(forge.keys.check(&forge.token(json!({ "exp": now - 29 })), at).is_some(), "within the leeway");
    let with = |change: fn(&mut Header)| forge.signed(&Forge::header(change), &forge.claims(json!({})));
    let parts: Vec<&str> = good.split('.').collect();
    let head = |json: &str| format!("{}.{}.{}", base64url(json), parts[1], parts[2]);
    let hs256 = |secret: &[u8]| {
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, &forge.claims(json!({})), &EncodingKey::from_secret(secret)).expect("a token")
    };
    let other = Forge::new(now).token(json!({}));
    let bad = [
        ("empty parts", "..".to_owned()),
        ("one part", "abc".to_owned()),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{good}.x")),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("a signature cut short", good[..good.len() - 4].to_owned()),
        ("another's signature", format!("{}.{}.{}", parts[0], parts[1], other.split('.').nth(2).expect("a signature"))),
        (
            "claims changed afterwards",
            format!("{}.{}.{}", parts[0], base64url(&forge.claims(json!({ "sub": "eve" })).to_string()), parts[2]),
        ),
        ("alg none", head(r#"{"alg":"none","kid":"k1"}"#)),
        ("alg None", head(r#"{"alg":"None","kid":"k1"}"#)),
        ("alg none, unsigned", format!("{}.{}.", base64url(r#"{"alg":"none","kid":"k1"}"#), parts[1])),
        ("alg RS256", head(r#"{"alg":"RS256","kid":"k1"}"#)),
        ("alg missing", head(r#"{"kid":"k1"}"#)),
        ("HMAC with the public key's name", hs256(b"k1")),
        ("HMAC with the key set", hs256(forge.keys.jwks().as_bytes())),
        ("HMAC with nothing", hs256(b"")),
        ("another key under our name", other.clone()),
        ("no key named", with(|h| h.kid = None)),
        ("an unknown key", with(|h| h.kid = Some("k2".to_owned()))),
        ("a key named like a path", with(|h| h.kid = Some("../../dev/null".to_owned()))),
        ("a key named like a query", with(|h| h.kid = Some("k1' OR 1=1".to_owned()))),
        ("a key with an endless name", with(|h| h.kid = Some("k".repeat(65)))),
        ("a key brought along by address", with(|h| h.jku = Some("https://evil.example/jwks".to_owned()))),
        ("a certificate brought along by address", with(|h| h.x5u = Some("https://evil.example/x5u".to_owned()))),
        ("a certificate brought along", with(|h| h.x5c = Some(vec!["MIIB".to_owned()]))),
        ("something that must be understood", with(|h| h.crit = Some(vec!["exp".to_owned()]))),
        ("a key brought along", head(r#"{"alg":"EdDSA","kid":"k1","jwk":{"kty":"OKP","crv":"Ed25519","x":"AAAA"}}"#)),
        ("another kind of token", with(|h| h.typ = Some("dpop+jwt".to_owned()))),
        ("expired", forge.token(json!({ "exp": now - 31 }))),
        ("no expiry", forge.token(json!({ "exp": null }))),
        ("an expiry that is text", forge.token(json!({ "exp": (now + 60).to_string() }))),
        ("an expiry below zero", forge.token(json!({ "exp": -1 }))),
        ("not yet good", forge.token(json!({ "nbf": now + 31 }))),
        ("another issuer", forge.token(json!({ "iss": "them" }))),
        ("no issuer", forge.token(json!({ "iss": null }))),
        ("another audience", forge.token(json!({ "aud": "bank" }))),
        ("no audience", forge.token(json!({ "aud": null }))),
        ("no subject", forge.token(json!({ "sub": null }))),
        ("an empty subject", forge.token(json!({ "sub": "" }))),
        ("a subject with a line break", forge.token(json!({ "sub": "ada\nroot" }))),
        ("roles that are text", forge.token(json!({ "roles": "admin" }))),
        ("endless", format!("{good}{}", "A".repeat(9000))),
    ];
    for (what, token) in &bad {
        assert!(forge.keys.check(token, at).is_none(), "{what}");
    }
    for (what, token) in bad.iter().filter(|(_, t)| t.len() < 9000) {
        let answer = shop.ask("GET", "/api/v1/orders").by(token).send().await;
        assert_eq!((answer.status.as_u16(), answer.code()), (401, "UNAUTHENTICATED"), "{what}");
    }
}

#[tokio::test]
async fn the_header_is_one_bearer_token() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    for (header, status) in [
        (format!("Bearer {ada}"), 200),
        (format!("bearer {ada}"), 200),
        (format!("Basic {ada}"), 401),
        (format!("Bearer  {ada}"), 401),
        (format!("Bearer {ada} x"), 401),
        ("Bearer".to_owned(), 401),
        ("Bearer ".to_owned(), 401),
        (ada.clone(), 401),
        ("Bearer gst_".to_owned(), 401),
        (format!("Bearer gst_{}", "0".repeat(64)), 401),
    ] {
        let answer = shop.ask("GET", "/api/v1/orders").with("authorization", &header).send().await;
        assert_eq!(answer.status.as_u16(), status, "{header}");
    }
    shop.ask("GET", "/api/v1/orders").by(&ada).by(&ada).send().await.is(401, "UNAUTHENTICATED");
    // Even where anyone may call, credentials that are shown have to be good.
    shop.ask("GET", "/api/v1/books").by("nope").send().await.is(401, "UNAUTHENTICATED");
    shop.clock.advance(Duration::from_secs(86_400 + 31));
    shop.ask("GET", "/api/v1/orders").by(&ada).send().await.is(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_key_that_is_gone_opens_nothing_any_more() {
    let forge = Forge::new(1_000_000);
    let at = domain::time::Timestamp(1_000_000_000_000);
    let token = forge.token(json!({}));
    assert!(forge.keys.check(&token, at).is_some());
    forge.keys.replace(&[]);
    assert!(forge.keys.check(&token, at).is_none());
}

#[tokio::test]
async fn who_may_do_what() {
    let shop = Shop::new().await;
    let (ada, admin) = (shop.customer("ada"), shop.admin());
    let guest = shop.ask("POST", "/api/v1/session").send().await.is(201, "").str("/token");
    let one = format!("/api/v1/books/{}", shop.product());
    let stock = format!("{one}/editions/{}/stock", shop.book["editions"][0]["id"].as_str().expect("an id"));
    // Method, path, body, then the answer to: nobody, a guest, a customer, an admin.
    for (method, path, body, answers) in [
        ("GET", "/api/v1/books", json!(null), [200, 200, 200, 200]),
        ("GET", &one, json!(null), [200, 200, 200, 200]),
        ("GET", "/api/v1/pricing/discounts", json!(null), [200, 200, 200, 200]),
        ("GET", "/api/v1/cart", json!(null), [401, 404, 404, 404]),
        ("GET", "/api/v1/orders", json!(null), [401, 200, 200, 200]),
        ("GET", "/api/v1/orders?paymentStatus=captured", json!(null), [401, 403, 403, 200]),
        ("GET", "/api/v1/orders?customerId=bob", json!(null), [401, 403, 403, 200]),
        ("GET", "/api/v1/session", json!(null), [401, 200, 404, 404]),
        ("POST", "/api/v1/books", book("NEW"), [401, 403, 403, 201]),
        ("PUT", &one, book("DUNE"), [401, 403, 403, 200]),
        ("POST", &stock, json!({ "delta": 1, "reason": "found" }), [401, 403, 403, 200]),
        ("POST", "/api/v1/authors", json!({ "name": "Ursula" }), [401, 403, 403, 201]),
        ("POST", "/api/v1/authors", json!({}), [401, 403, 403, 400]),
        ("POST", "/api/v1/checkout/process", json!({}), [401, 400, 400, 400]),
    ] {
        let callers = [None, Some(&guest), Some(&ada), Some(&admin)];
        for (caller, status) in callers.into_iter().zip(answers) {
            let mut ask = shop.ask(method, path);
            if let Some(token) = caller {
                ask = ask.by(token);
            }
            let answer = if body.is_null() { ask.send().await } else { ask.json(&body).send().await };
            assert_eq!(answer.status.as_u16(), status, "{method} {path} by {caller:?}: {}", answer.json);
        }
    }
}

#[tokio::test]
async fn what_is_anothers_is_not_there() {
    let shop = Shop::new().await;
    let (ada, eve) = (shop.customer("ada"), shop.customer("eve"));
    let order = format!("/api/v1/orders/{}", shop.order(&ada).await["id"].as_str().expect("an id"));
    let cart = shop.ask("GET", "/api/v1/cart").by(&ada).send().await.ok();
    let cart_path = format!("/api/v1/cart/{}", cart.str("/id"));
    shop.ask("POST", &format!("{cart_path}/items")).by(&ada).json(&shop.item(1)).send().await.ok();
    let item = format!("{cart_path}/items/{}", shop.ask("GET", &cart_path).by(&ada).send().await.str("/items/0/id"));
    let checkout = shop.ask("POST", "/api/v1/checkout/session").by(&ada).json(&json!({})).send().await.is(201, "");
    let checkout_path = format!("/api/v1/checkout/session/{}", checkout.str("/id"));
    let guest = shop.ask("POST", "/api/v1/session").send().await.is(201, "");
    let session = format!("/api/v1/session/{}", guest.str("/id"));
    let pay = json!({ "sessionId": checkout.json["id"], "paymentToken": "tok_visa", "expectedTotal": checkout.json["totals"]["total"] });
    let to = |path: &str, noun: &str| {
        let (path, noun) = (path.to_owned(), noun.to_owned());
        move |method: &'static str, tail: &str, body: Value| (method, format!("{path}{tail}"), body, noun.clone())
    };
    let (carts, orders) = (to(&cart_path, "CART_NOT_FOUND"), to(&order, "ORDER_NOT_FOUND"));
    let (checkouts, sessions) = (to(&checkout_path, "CHECKOUT_NOT_FOUND"), to(&session, "SESSION_NOT_FOUND"));
    for (method, path, body, code) in [
        carts("GET", "", json!(null)),
        carts("GET", "/totals", json!(null)),
        carts("PATCH", "", json!({ "note": "mine" })),
        carts("POST", "/items", shop.item(1)),
        carts("DELETE", "/items", json!(null)),
        carts("DELETE", "", json!(null)),
        to(&item, "CART_NOT_FOUND")("PATCH", "", json!({ "quantity": 9 })),
        to(&item, "CART_NOT_FOUND")("DELETE", "", json!(null)),
        orders("GET", "", json!(null)),
        orders("GET", "/events", json!(null)),
        orders("PATCH", "", json!({ "shippingAddress": crate::shop::address() })),
        orders("DELETE", "", json!(null)),
        checkouts("GET", "", json!(null)),
        checkouts("PATCH", "", json!({ "email": "eve@example.com" })),
        checkouts("DELETE", "", json!(null)),
        to("/api/v1/checkout/process", "CHECKOUT_NOT_FOUND")("POST", "", pay),
        to("/api/v1/checkout/session", "CART_NOT_FOUND")("POST", "", json!({ "cartId": cart.json["id"] })),
        sessions("GET", "", json!(null)),
        sessions("PATCH", "", json!({ "extend": true })),
        sessions("DELETE", "", json!(null)),
    ] {
        let ask = shop.ask(method, &path).by(&eve).key("k");
        let theirs = if body.is_null() { ask.send().await } else { ask.json(&body).send().await };
        assert_eq!((theirs.status.as_u16(), theirs.code()), (404, code.as_str()), "{method} {path}: {}", theirs.json);
    }
    assert_eq!(shop.ask("GET", "/api/v1/orders").by(&eve).send().await.ok().json["items"], json!([]));
}

#[test]
fn a_key_is_made_once_and_for_its_owner() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("token-key.pk8");
    let at = domain::time::Timestamp(1_000_000_000_000);
    let first = DevIssuer::open(&path).expect("a key");
    let token = first.token(&CustomerId::parse("ada").expect("an id"), Role::Customer, Duration::from_secs(60), at);
    let again = DevIssuer::open(&path).expect("the same key");
    assert!(again.keys().check(&token, at).is_some() && first.keys().jwks() == again.keys().jwks());
    let files: Vec<_> = std::fs::read_dir(directory.path()).expect("a listing").map(|f| f.expect("a file")).collect();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].metadata().expect("metadata").permissions().mode() & 0o777, 0o600);
    std::fs::write(files[0].path(), b"not a key").expect("written");
    assert!(DevIssuer::open(&path).is_err());
}

#[tokio::test]
async fn claims_about_a_shopper_of_another_shape_say_nothing() {
    let shop = Shop::new().await;
    let forge = Forge::new(shop.clock.now().millis() / 1000);
    let many: Vec<String> = (0..200).map(|n| format!("s{n}")).collect();
    for (claims, segments, birthday, tax_exempt) in [
        (json!({}), 0, None, false),
        (json!({ "segments": ["gold", "old"], "birthdate": "1990-11-28", "tax_exempt": true }), 2, Some((11, 28)), true),
        (json!({ "segments": ["gold", "a b", 7, null, "", ["x"]], "birthdate": "0000-02-29" }), 1, Some((2, 29)), false),
        (json!({ "segments": "gold", "birthdate": 19_901_128, "tax_exempt": "true" }), 0, None, false),
        (json!({ "segments": { "gold": true }, "birthdate": "28.11.1990", "tax_exempt": 1 }), 0, None, false),
        (json!({ "segments": many, "birthdate": "1990-02-30", "tax_exempt": [] }), 50, None, false),
        (json!({ "segments": ["gold".repeat(20)], "birthdate": "1990", "tax_exempt": false }), 0, None, false),
    ] {
        let caller = forge.keys.check(&forge.token(claims.clone()), shop.clock.now());
        let Some(app::Caller::Customer(_, shopper)) = caller else { panic!("{claims}: {caller:?}") };
        let day = shopper.birthday.map(|day| (day.month(), day.day()));
        assert_eq!((shopper.segments.len(), day, shopper.tax_exempt), (segments, birthday, tax_exempt), "{claims}");
        assert_eq!((shopper.who, shopper.orders), (None, None), "a token does not say who has ordered before");
    }
}
