use crate::shop::{Shop, address};
use serde_json::{Value, json};

/// Bodies of `POST /cart/{id}/items`, and what they are answered with.
#[tokio::test]
async fn hostile_bodies_are_told_what_is_wrong() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    let items = format!("{}/items", shop.cart(&ada, 0).await);
    let product = shop.product();
    let with = |quantity: &str| format!("{{\"productId\":\"{product}\",\"quantity\":{quantity}}}");
    for (body, status, code, field) in [
        (String::new(), 400, "VALIDATION_FAILED", ""),
        ("null".into(), 400, "VALIDATION_FAILED", ""),
        ("[]".into(), 400, "VALIDATION_FAILED", ""),
        ("7".into(), 400, "VALIDATION_FAILED", ""),
        ("{".into(), 400, "VALIDATION_FAILED", ""),
        ("{}".into(), 400, "VALIDATION_FAILED", "productId"),
        ("{} {}".into(), 400, "VALIDATION_FAILED", ""),
        ("\u{feff}{}".into(), 400, "VALIDATION_FAILED", ""),
        ("[".repeat(200), 400, "VALIDATION_FAILED", ""),
        (format!("{{\"productId\":\"{product}\",\"quantity\":1,\"quantity\":2}}"), 400, "VALIDATION_FAILED", ""),
        (format!("{{\"productId\":\"{product}\",\"quantity\":1,\"price\":1}}"), 400, "VALIDATION_FAILED", "price"),
        (format!("{{\"productId\":\"{product}\",\"quantity\":1,\"productid\":1}}"), 400, "VALIDATION_FAILED", "productid"),
        (format!("{{\"productId\":\"{product}\",\"quantity\":1,\"__proto__\":{{}}}}"), 400, "VALIDATION_FAILED", "__proto__"),
        (with("null"), 400, "VALIDATION_FAILED", "quantity"),
        (with("1.0"), 400, "VALIDATION_FAILED", "quantity"),
        (with("1.5"), 400, "VALIDATION_FAILED", "quantity"),
        (with("1e0"), 400, "VALIDATION_FAILED", "quantity"),
        (with("1e400"), 400, "VALIDATION_FAILED", ""),
        (with("01"), 400, "VALIDATION_FAILED", ""),
        (with("+1"), 400, "VALIDATION_FAILED", ""),
        (with("0x1"), 400, "VALIDATION_FAILED", ""),
        (with("\"1\""), 400, "VALIDATION_FAILED", "quantity"),
        (with("true"), 400, "VALIDATION_FAILED", "quantity"),
        (with("[1]"), 400, "VALIDATION_FAILED", "quantity"),
        (with("NaN"), 400, "VALIDATION_FAILED", ""),
        (with("99999999999999999999"), 400, "VALIDATION_FAILED", "quantity"),
        (with("18446744073709551615"), 400, "VALIDATION_FAILED", "quantity"),
        (with("0"), 422, "QUANTITY_INVALID", "quantity"),
        (with("-1"), 422, "QUANTITY_INVALID", "quantity"),
        (with("-0"), 400, "VALIDATION_FAILED", "quantity"),
        (with("1000"), 422, "QUANTITY_INVALID", "quantity"),
        (with("9223372036854775807"), 422, "QUANTITY_INVALID", "quantity"),
        ("{\"productId\":7,\"quantity\":1}".into(), 400, "VALIDATION_FAILED", "productId"),
        ("{\"productId\":\"nope\",\"quantity\":1}".into(), 404, "PRODUCT_NOT_FOUND", "productId"),
        ("{\"productId\":\"nope\",\"quantity\":\"1\"}".into(), 400, "VALIDATION_FAILED", "productId"),
        ("{\"productId\":\"book_01J9ZQ4T000000000000000000\",\"quantity\":1}".into(), 404, "PRODUCT_NOT_FOUND", "-"),
    ] {
        let answer = shop.ask("POST", &items).by(&ada).raw(body.clone()).send().await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{body}: {}", answer.json);
        assert!(field == "-" || answer.json["errors"][0]["field"] == field, "{body}: {}", answer.json);
    }
    let empty = shop.ask("GET", items.trim_end_matches("/items")).by(&ada).send().await.ok();
    assert_eq!((&empty.json["items"], &empty.json["version"]), (&json!([]), &json!(1)));
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    let body = json!({
        "currency": "usd",
        "couponCodes": ["ok", "n o"],
        "items": [shop.item(1), { "productId": 1, "quantity": "1", "x": 1 }, "y", { "quantity": 2.5 }],
        "z": null,
    });
    let answer = shop.ask("POST", "/api/v1/cart").by(&ada).json(&body).send().await.is(400, "VALIDATION_FAILED");
    let mut errors: Vec<_> = answer.json["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|e| format!("{} {}", e["field"], e["code"]).replace('"', ""))
        .collect();
    errors.sort();
    assert_eq!(
        errors,
        [
            "couponCodes[1] INVALID",
            "currency INVALID",
            "items[1].productId WRONG_TYPE",
            "items[1].quantity WRONG_TYPE",
            "items[1].x UNKNOWN_FIELD",
            "items[2] WRONG_TYPE",
            "items[3].productId REQUIRED",
            "items[3].quantity WRONG_TYPE",
            "z UNKNOWN_FIELD",
        ]
    );
}

#[tokio::test]
async fn bodies_are_bounded_json() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    let items = format!("{}/items", shop.cart(&ada, 0).await);
    let body = shop.item(1).to_string();
    shop.ask("POST", &items).by(&ada).untyped(body.clone()).send().await.is(415, "MEDIA_TYPE_UNSUPPORTED");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "multipart/form-data"] {
        let answer = shop.ask("POST", &items).by(&ada).with("content-type", kind).untyped(body.clone()).send().await;
        answer.is(415, "MEDIA_TYPE_UNSUPPORTED");
    }
    let zipped = shop.ask("POST", &items).by(&ada).with("content-encoding", "gzip").raw(body.clone()).send().await;
    zipped.is(415, "MEDIA_TYPE_UNSUPPORTED");
    let fits = format!("{body}{}", " ".repeat(256 * 1024 - body.len()));
    shop.ask("POST", &items).by(&ada).raw(fits.clone()).send().await.is(201, "");
    shop.ask("POST", &items).by(&ada).raw(format!("{fits} ")).send().await.is(413, "BODY_TOO_LARGE");
    shop.ask("POST", &items).by(&ada).raw(b"{\"productId\":\"\xff\"}".to_vec()).send().await.is(400, "VALIDATION_FAILED");
    shop.ask("POST", "/api/v1/cart").by(&ada).send().await.is(200, "");
}

#[tokio::test]
async fn lists_are_bounded() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    let cart = shop.cart(&ada, 0).await;
    let codes: Vec<String> = (0..11).map(|n| format!("C{n}")).collect();
    let many = |n: usize| vec![json!({ "op": "clear" }); n];
    let entries = |n: usize| Value::Object((0..n).map(|i| (format!("k{i}"), json!("v"))).collect());
    for (patch, status, code) in [
        (json!({ "couponCodes": codes }), 422, "COUPONS_TOO_MANY"),
        (json!({ "operations": many(101) }), 422, "OPERATIONS_TOO_MANY"),
        (json!({ "operations": many(100) }), 200, ""),
        (json!({ "metadata": entries(21) }), 400, "VALIDATION_FAILED"),
        (json!({ "metadata": entries(20) }), 200, ""),
        (json!({ "metadata": { "": "x" } }), 400, "VALIDATION_FAILED"),
        (json!({ "metadata": { "k": 1 } }), 400, "VALIDATION_FAILED"),
        (json!({ "note": "x".repeat(1001) }), 400, "VALIDATION_FAILED"),
        (json!({ "note": "x".repeat(1000) }), 200, ""),
        (json!({ "note": "a\u{0}b" }), 400, "VALIDATION_FAILED"),
        (json!({ "operations": [{ "op": "steal" }] }), 400, "VALIDATION_FAILED"),
        (json!({ "operations": [{ "op": "clear", "itemId": "x" }] }), 400, "VALIDATION_FAILED"),
        (json!({ "operations": [{ "op": "remove", "itemId": "x" }] }), 404, "ITEM_NOT_FOUND"),
        (json!({}), 200, ""),
    ] {
        let answer = shop.ask("PATCH", &cart).by(&ada).json(&patch).send().await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{patch}: {}", answer.json);
    }
    let items = vec![shop.item(1); 501];
    shop.ask("POST", "/api/v1/cart").by("gst_nope").json(&json!({})).send().await.is(401, "UNAUTHENTICATED");
    shop.ask("POST", "/api/v1/cart").json(&json!({ "items": items })).send().await.is(422, "CART_FULL");
}

#[tokio::test]
async fn card_numbers_are_refused_wherever_money_is_near() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    let cart = shop.cart(&ada, 1).await;
    let card = "4111 1111 1111 1111";
    let mut at_home = address();
    at_home["line2"] = json!(card);
    for (method, path, body) in [
        ("PATCH", cart.as_str(), json!({ "note": format!("take {card} please") })),
        ("PATCH", &cart, json!({ "metadata": { "4111111111111111": "x" } })),
        ("POST", "/api/v1/checkout/session", json!({ "shippingAddress": at_home })),
        (
            "POST",
            "/api/v1/checkout/process",
            json!({ "paymentToken": "4111111111111111", "expectedTotal": { "amount": 1, "currency": "USD" } }),
        ),
        ("POST", "/api/v1/checkout/process", json!({ "card": { "number": 4111111111111111_i64 } })),
        ("POST", "/api/v1/checkout/process", json!({ "paymentToken": "４１１１１１１１１１１１１１１１" })),
    ] {
        let answer = shop.ask(method, path).by(&ada).key("k").json(&body).send().await.is(422, "CARD_DATA_REFUSED");
        let told = String::from_utf8_lossy(&answer.bytes);
        assert!(!told.contains("4111 1111") && !told.contains("41111111"), "{told}");
    }
}

#[tokio::test]
async fn texts_are_stored_in_normal_form() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    let cart = shop.cart(&ada, 0).await;
    let answer = shop.ask("PATCH", &cart).by(&ada).json(&json!({ "note": "cafe\u{301}" })).send().await.ok();
    assert_eq!(answer.json["note"], "caf\u{e9}");
    let cleared = shop.ask("PATCH", &cart).by(&ada).json(&json!({ "note": null })).send().await.ok();
    assert!(cleared.json.get("note").is_none());
}

#[tokio::test]
async fn query_strings_hold_what_is_known_once() {
    let shop = Shop::new().await;
    let ada = shop.customer("ada");
    let cart = shop.cart(&ada, 1).await;
    for (path, status) in [
        (cart.clone(), 200),
        (format!("{cart}?"), 200),
        (format!("{cart}?x=1"), 400),
        ("/api/v1/books?limit=1".into(), 200),
        ("/api/v1/books?limit=0".into(), 400),
        ("/api/v1/books?limit=101".into(), 400),
        ("/api/v1/books?limit=1.0".into(), 400),
        ("/api/v1/books?limit=1&limit=1".into(), 400),
        ("/api/v1/books?Limit=1".into(), 400),
        ("/api/v1/books?search=dune&sort=-price&inStock=true&minPrice=0&maxPrice=10000".into(), 200),
        ("/api/v1/books?inStock=yes".into(), 400),
        ("/api/v1/books?sort=size".into(), 400),
        ("/api/v1/books?minPrice=-1".into(), 400),
        ("/api/v1/books?cursor=".into(), 400),
        ("/api/v1/books?cursor=AAAA".into(), 400),
        ("/api/v1/books?author=aut_x".into(), 400),
        ("/api/v1/orders?status=lost".into(), 400),
        ("/api/v1/orders?from=yesterday".into(), 400),
        ("/api/v1/orders?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00%2B01:00".into(), 200),
        ("/api/v1/orders?paymentStatus=captured".into(), 403),
        ("/api/v1/orders?customerId=somebody".into(), 403),
        ("/api/v1/pricing/tax-rates?country=US&region=tx".into(), 200),
        ("/api/v1/pricing/tax-rates?country=us".into(), 400),
        ("/api/v1/pricing/discounts?kind=fixed&code=five".into(), 200),
    ] {
        let answer = shop.ask("GET", &path).by(&ada).send().await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.json);
    }
}
