//! Versions and idempotency keys.

use crate::shop::Shop;
use serde_json::json;

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_has_no_effect() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    let cart = shop.cart(&ada, 0).await;
    let items = format!("{cart}/items");
    let add = |key: &'static str, quantity| shop.ask("POST", &items).by(&ada).key(key).json(&shop.item(quantity)).send();
    let first = add("k1", 2).await.is(201, "");
    assert_eq!(first.header("idempotent-replayed"), "");
    add("k2", 3).await.is(201, "");
    let again = add("k1", 2).await.is(201, "");
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!((&again.bytes, again.header("etag"), again.header("location")), (&first.bytes, first.header("etag"), cart.as_str()));
    add("k1", 1).await.is(422, "IDEMPOTENCY_KEY_REUSED");
    let now = shop.ask("GET", &cart).by(&ada).send().await.ok();
    assert_eq!(now.json["items"][0]["quantity"], 5);
}

#[tokio::test]
async fn how_a_body_is_spelled_does_not_matter() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    let items = format!("{}/items", shop.cart(&ada, 0).await);
    let (product, variant) = (shop.product(), &shop.book["editions"][0]["id"]);
    let send = |body: String| shop.ask("POST", &items).by(&ada).key("k").raw(body).send();
    send(format!("{{\"productId\":\"{product}\",\"variantId\":{variant},\"quantity\":2}}")).await.is(201, "");
    let again = send(format!("{{ \"quantity\" : 2, \"variantId\":{variant},\n\"productId\":\"\\u{:04x}{}\" }}", b'b', &product[1..])).await;
    assert_eq!(again.is(201, "").header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn a_key_belongs_to_its_caller_and_its_route() {
    let shop = Shop::new().await;
    let (ada, bob) = (shop.customer("ada"), shop.customer("bob"));
    let (hers, his) = (shop.cart(&ada, 0).await, shop.cart(&bob, 0).await);
    for (token, path, quantity) in [(&ada, &hers, 1), (&bob, &his, 2)] {
        let added = shop.ask("POST", &format!("{path}/items")).by(token).key("same").json(&shop.item(quantity)).send().await.is(201, "");
        assert_eq!(added.header("idempotent-replayed"), "");
        let patched = shop.ask("PATCH", path).by(token).key("same").json(&json!({ "note": "n" })).send().await.is(200, "");
        assert_eq!(patched.header("idempotent-replayed"), "");
    }
}

#[tokio::test]
async fn every_write_can_be_repeated() {
    let shop = Shop::new().await;
    let (ada, admin) = (shop.customer("ada"), shop.admin());
    let cart = shop.cart(&ada, 1).await;
    let item = format!("{cart}/items/{}", shop.ask("GET", &cart).by(&ada).send().await.str("/items/0/id"));
    let stock = format!("/api/v1/books/{}/editions/{}/stock", shop.product(), shop.book["editions"][0]["id"].as_str().expect("an id"));
    let author = format!("/api/v1/authors/{}", shop.book["authors"][0]["id"].as_str().expect("an id"));
    for (method, path, token, body, status) in [
        ("PATCH", &item, &ada, json!({ "quantity": 3 }), 200),
        ("PATCH", &cart, &ada, json!({ "couponCodes": ["ten"] }), 200),
        ("DELETE", &format!("{cart}/items"), &ada, json!(null), 200),
        ("DELETE", &cart, &ada, json!(null), 204),
        ("POST", &"/api/v1/cart".to_owned(), &ada, json!({ "items": [shop.item(1)] }), 201),
        ("POST", &"/api/v1/checkout/session".to_owned(), &ada, json!({ "email": "ada@example.com" }), 201),
        ("POST", &stock, &admin, json!({ "delta": 5, "reason": "delivery" }), 200),
        ("PUT", &author, &admin, json!({ "name": "F. Herbert" }), 200),
        ("POST", &"/api/v1/publishers".to_owned(), &admin, json!({ "name": "Ace" }), 201),
        ("POST", &"/api/v1/books".to_owned(), &admin, crate::shop::book("MESSIAH"), 201),
    ] {
        let send = || {
            let ask = shop.ask(method, path).by(token).key("once");
            if body.is_null() { ask.send() } else { ask.json(&body).send() }
        };
        let first = send().await.is(status, "");
        let again = send().await.is(status, "");
        assert_eq!((again.header("idempotent-replayed"), &again.bytes), ("true", &first.bytes), "{method} {path}");
    }
}

#[tokio::test]
async fn keys_are_visible_ascii_and_bounded() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    let items = format!("{}/items", shop.cart(&ada, 0).await);
    for (key, status, code) in [
        ("k".to_owned(), 201, ""),
        ("k".repeat(255), 201, ""),
        ("k".repeat(256), 400, "IDEMPOTENCY_KEY_INVALID"),
        (String::new(), 400, "IDEMPOTENCY_KEY_INVALID"),
        ("a b".to_owned(), 400, "IDEMPOTENCY_KEY_INVALID"),
        ("schlüssel".to_owned(), 400, "IDEMPOTENCY_KEY_INVALID"),
    ] {
        let answer = shop.ask("POST", &items).by(&ada).key(&key).json(&shop.item(1)).send().await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{key}");
    }
    let twice = shop.ask("POST", &items).by(&ada).key("a").key("b").json(&shop.item(1)).send().await;
    twice.is(400, "IDEMPOTENCY_KEY_INVALID");
}

#[tokio::test]
async fn a_stale_version_is_refused_and_a_known_one_not_sent_again() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    let cart = shop.cart(&ada, 1).await;
    let read = shop.ask("GET", &cart).by(&ada).send().await.ok();
    let etag = read.header("etag").to_owned();
    let version = format!("\"{}\"", read.json["version"]);
    assert_eq!(etag.split('.').next(), version.strip_suffix('"'));
    for (tags, status) in [
        (etag.as_str(), 304),
        ("*", 304),
        ("\"999\", W/\"1\"", 200),
        (&format!("\"999\", {etag}"), 304),
        (&format!("W/{etag}"), 304),
        ("\"999\"", 200),
        ("2", 200),
        (&version, 200),
    ] {
        let answer = shop.ask("GET", &cart).by(&ada).with("if-none-match", tags).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (status, etag.as_str()), "{tags}");
        assert_eq!(answer.bytes.is_empty(), status == 304);
    }
    for (tag, status, code) in [
        ("\"999\"", 412, "VERSION_MISMATCH"),
        ("*", 200, ""),
        (&etag, 412, "VERSION_MISMATCH"),
        ("\"3.0abc\"", 200, ""),
        ("\"4\"", 200, ""),
        ("\"5.\"", 400, "VALIDATION_FAILED"),
        ("\"5.xyz\"", 400, "VALIDATION_FAILED"),
        ("7", 400, "VALIDATION_FAILED"),
        ("W/\"2\"", 400, "VALIDATION_FAILED"),
        ("\"2\", \"3\"", 400, "VALIDATION_FAILED"),
        ("\"two\"", 400, "VALIDATION_FAILED"),
        ("\"\"", 400, "VALIDATION_FAILED"),
    ] {
        let answer = shop.ask("PATCH", &cart).by(&ada).with("if-match", tag).json(&json!({ "note": tag })).send().await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{tag}: {}", answer.json);
        assert!(status != 412 || answer.header("etag").starts_with('"') && answer.json["currentVersion"].is_u64());
    }
}
