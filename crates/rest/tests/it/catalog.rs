use crate::shop::{Shop, book, usd};
use serde_json::{Value, json};

#[tokio::test]
async fn books_are_written_found_and_removed() {
    let shop = Shop::new().await;
    let admin = shop.admin();
    let mut messiah = book("MESSIAH");
    messiah["title"] = json!("Dune Messiah");
    let created = shop.ask("POST", "/api/v1/books").by(&admin).json(&messiah).send().await.is(201, "");
    let path = created.header("location").to_owned();
    assert_eq!((created.str("/authors/0/name"), &created.json["editions"][0]["availableQuantity"]), ("Frank Herbert".into(), &json!(1000)));
    shop.ask("POST", "/api/v1/books").by(&admin).json(&messiah).send().await.is(409, "SKU_TAKEN");
    let found = shop.ask("GET", "/api/v1/books?search=messiah").send().await.is(200, "");
    assert_eq!(
        (&found.json["total"], found.str("/items/0/id"), found.str("/facets/formats/0/id")),
        (&json!(1), created.str("/id"), "paperback".into())
    );
    let mut seen: Vec<Value> = Vec::new();
    let mut page = shop.ask("GET", "/api/v1/books?limit=1").send().await.is(200, "");
    loop {
        seen.push(page.json["items"][0]["title"].clone());
        let link = page.header("link").to_owned();
        let Some(next) = link.strip_prefix('<').and_then(|l| l.strip_suffix(">; rel=\"next\"")) else { break };
        page = shop.ask("GET", next).send().await.is(200, "");
    }
    assert_eq!(seen, ["Dune", "Dune Messiah"]);
    messiah["editions"][0]["salePrice"] = usd(800);
    shop.ask("PUT", &path).by(&admin).with("if-match", "\"9\"").json(&messiah).send().await.is(412, "VERSION_MISMATCH");
    let replaced = shop.ask("PUT", &path).by(&admin).with("if-match", "\"1\"").json(&messiah).send().await.is(200, "");
    assert_eq!((replaced.header("etag").split('.').next(), &replaced.json["editions"][0]["salePrice"]), (Some("\"2"), &usd(800)));
    let stock = format!("{path}/editions/{}/stock", created.str("/editions/0/id"));
    for (body, status, on_hand) in [
        (json!({ "delta": -1, "reason": "lost" }), 200, 999),
        (json!({ "set": 5, "reason": "counted" }), 200, 5),
        (json!({ "delta": -6, "reason": "lost" }), 409, 0),
        (json!({ "delta": 1, "set": 1, "reason": "both" }), 400, 0),
        (json!({ "reason": "neither" }), 400, 0),
        (json!({ "delta": 1 }), 400, 0),
        (json!({ "delta": 1_000_001, "reason": "too many" }), 400, 0),
    ] {
        let moved = shop.ask("POST", &stock).by(&admin).json(&body).send().await;
        assert_eq!((moved.status.as_u16(), moved.json["onHand"].as_i64().unwrap_or(0)), (status, on_hand), "{body}: {}", moved.json);
    }
    shop.ask("DELETE", &path).by(&admin).send().await.is(204, "");
    shop.ask("GET", &path).send().await.is(404, "PRODUCT_NOT_FOUND");
}

#[tokio::test]
async fn a_book_must_make_sense() {
    let shop = Shop::new().await;
    let admin = shop.admin();
    let bent = |pointer: &str, value: Value| {
        let mut book = book("BENT");
        *book.pointer_mut(pointer).expect("a member") = value;
        book
    };
    for (body, field) in [
        (bent("/title", json!("")), "title"),
        (bent("/title", json!("x".repeat(501))), "title"),
        (bent("/authors", json!([])), "authors"),
        (bent("/authors", json!("Frank")), "authors"),
        (bent("/language", json!("e")), "language"),
        (bent("/publishedYear", json!(10_000)), "publishedYear"),
        (bent("/isbn13", json!("9780441172718")), "isbn13"),
        (bent("/editions", json!([])), "editions"),
        (bent("/editions/0/format", json!("scroll")), "editions[0].format"),
        (bent("/editions/0/price", usd(-1)), "editions[0].price.amount"),
        (bent("/editions/0/price", json!({ "amount": 1, "currency": "USD", "x": 1 })), "editions[0].price.x"),
        (bent("/editions/0/price/amount", json!(9.99)), "editions[0].price.amount"),
        (bent("/editions/0/price/amount", json!(9_007_199_254_740_992_i64)), "editions[0].price.amount"),
        (bent("/editions/0/salePrice", usd(1000)), "editions[0].salePrice"),
        (bent("/editions/0/stock", json!(-1)), "editions[0].stock"),
        (bent("/editions/0/sku", json!("a b")), "editions[0].sku"),
    ] {
        let answer = shop.ask("POST", "/api/v1/books").by(&admin).json(&body).send().await.is(400, "VALIDATION_FAILED");
        assert_eq!(answer.json["errors"][0]["field"], field, "{}", answer.json);
    }
}

#[tokio::test]
async fn authors_categories_and_publishers_are_alike() {
    let shop = Shop::new().await;
    let admin = shop.admin();
    for (list, missing) in [("authors", "AUTHOR_NOT_FOUND"), ("categories", "CATEGORY_NOT_FOUND"), ("publishers", "PUBLISHER_NOT_FOUND")] {
        let list = format!("/api/v1/{list}");
        let created = shop.ask("POST", &list).by(&admin).json(&json!({ "name": "Zed" })).send().await.is(201, "");
        shop.ask("POST", &list).by(&admin).json(&json!({ "name": "ZED" })).send().await.is(409, "NAME_TAKEN");
        let one = created.header("location").to_owned();
        let renamed = shop.ask("PUT", &one).by(&admin).with("if-match", "\"1\"").json(&json!({ "name": "Zoe" })).send().await.is(200, "");
        assert_eq!((renamed.str("/name"), renamed.header("etag").split('.').next()), ("Zoe".into(), Some("\"2")));
        shop.ask("GET", &one).with("if-none-match", renamed.header("etag")).send().await.is(304, "");
        let first = shop.ask("GET", &format!("{list}?limit=1")).send().await.is(200, "");
        let used = format!("{list}/{}", first.str("/items/0/id"));
        let second = shop.ask("GET", &format!("{list}?limit=1&cursor={}", first.str("/nextCursor"))).send().await.is(200, "");
        assert_eq!((second.str("/items/0/name"), &second.json["nextCursor"]), ("Zoe".into(), &Value::Null));
        shop.ask("DELETE", &used).by(&admin).send().await.is(409, "REFERENCED");
        shop.ask("DELETE", &one).by(&admin).send().await.is(204, "");
        shop.ask("GET", &one).send().await.is(404, missing);
        shop.ask("GET", &format!("{list}/{}", shop.product())).send().await.is(404, missing);
    }
}

#[tokio::test]
async fn anything_can_be_priced() {
    let shop = Shop::new().await;
    let ask = json!({ "items": [shop.item(1), shop.item(1)], "couponCodes": ["TEN"], "shippingAddress": crate::shop::address() });
    let quote = shop.ask("POST", "/api/v1/pricing/calculate").json(&ask).send().await.is(200, "");
    assert_eq!((&quote.json["subtotal"], &quote.json["discount"], &quote.json["final"]), (&usd(1800), &usd(180), &json!(true)));
    assert_eq!(quote.json["items"][0]["quantity"], 2);
    shop.ask("POST", "/api/v1/pricing/calculate").json(&json!({ "items": [] })).send().await.is(400, "VALIDATION_FAILED");
    let discounts = shop.ask("GET", "/api/v1/pricing/discounts?limit=1").send().await.is(200, "");
    assert_eq!((discounts.str("/items/0/code"), &discounts.json["items"][0]["amount"]), ("FIVE".into(), &usd(500)));
    let next =
        shop.ask("GET", &format!("/api/v1/pricing/discounts?limit=1&cursor={}", discounts.str("/nextCursor"))).send().await.is(200, "");
    assert_eq!((&next.json["items"][0]["ratePpm"], &next.json["nextCursor"]), (&json!(100_000), &Value::Null));
    let rates = shop.ask("GET", "/api/v1/pricing/tax-rates?country=US").send().await.is(200, "");
    assert_eq!(
        rates.json["items"],
        json!([{ "id": "US-TX-SALES", "tax": "SALES", "country": "US", "region": "TX", "label": "Sales tax", "ratePpm": 82_500, "included": false,
            "shippingTaxed": false, "rounding": "half_even", "level": "line", "version": 1, "updatedAt": "1970-01-01T00:00:00Z" }])
    );
}
