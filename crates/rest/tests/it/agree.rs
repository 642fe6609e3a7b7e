//! A total is the same wherever it is shown: not nearly, but byte for byte.

use crate::shop::{Answer, Shop, address, book, usd};
use serde_json::{Value, json};

/// The totals in a body, as they were written.
fn totals(body: &str) -> &str {
    let start = body.find("\"totals\":").unwrap_or_else(|| panic!("no totals: {body}")) + "\"totals\":".len();
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (n, byte) in body[start..].bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &body[start..=start + n];
        }
    }
    panic!("torn: {body}")
}

/// A quote without its items is its totals.
fn of_quote(body: &str) -> String {
    let (totals, _) = body.split_once(",\"items\":").unwrap_or_else(|| panic!("no items: {body}"));
    format!("{totals}}}")
}

fn text(answer: Answer) -> String {
    String::from_utf8(answer.ok().bytes).expect("text")
}

fn automatic(id: &str, benefit: Value) -> Value {
    json!({ "id": id, "label": id, "trigger": "automatic", "benefit": benefit })
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

/// What is in a shop, and the promotions it has besides the two codes every shop has.
struct Case {
    name: &'static str,
    promotions: Vec<Value>,
    codes: &'static [&'static str],
}

fn cases(gift: &Value) -> Vec<Case> {
    let rate = |ppm: u32| json!({ "ratePpm": ppm });
    let three_for_two = json!({ "kind": "buy_get", "buyCount": 2, "getCount": 1, "ratePpm": 1_000_000 });
    let tiers = json!({ "kind": "tiers", "tiers": [{ "from": 2, "off": rate(33_333) }, { "from": 5, "off": { "price": usd(777) } }] });
    let spend = json!({ "kind": "spend", "tiers": [{ "from": usd(1000), "off": rate(50_000) }, { "from": usd(5000), "off": { "amount": usd(700) } }] });
    let bundle = json!({ "kind": "bundle", "parts": [{ "count": 1 }, { "count": 2, "of": { "any": [{ "format": "paperback" }] } }], "off": rate(70_000) });
    let gift = json!({ "kind": "gift", "variantId": gift });
    let goods = |off: Value| json!({ "kind": "goods", "off": off });
    let shipping = json!({ "kind": "shipping", "off": { "price": usd(99) } });
    let best = |id: &str, ppm| with(automatic(id, goods(rate(ppm))), "stacking", json!({ "bestOf": "one" }));
    let needs = |conditions: Value| with(automatic("needs", goods(rate(90_000))), "conditions", conditions);
    vec![
        Case { name: "none", promotions: vec![], codes: &[] },
        Case { name: "codes", promotions: vec![], codes: &["TEN", "FIVE", "NOPE"] },
        Case { name: "each", promotions: vec![automatic("each", json!({ "kind": "each", "off": rate(123_456) }))], codes: &["TEN"] },
        Case { name: "tiers", promotions: vec![automatic("tiers", tiers.clone())], codes: &[] },
        Case { name: "3 for 2", promotions: vec![automatic("3for2", three_for_two.clone())], codes: &["FIVE"] },
        Case { name: "bundle", promotions: vec![automatic("bundle", bundle)], codes: &[] },
        Case { name: "spend", promotions: vec![automatic("spend", spend.clone())], codes: &[] },
        Case { name: "gift", promotions: vec![automatic("gift", gift.clone())], codes: &["TEN"] },
        Case { name: "shipping", promotions: vec![automatic("shipping", shipping.clone())], codes: &[] },
        Case { name: "capped", promotions: vec![with(automatic("capped", goods(rate(500_000))), "cap", usd(101))], codes: &["TEN"] },
        Case {
            name: "a budget by amount",
            promotions: vec![with(
                automatic("budget", goods(rate(500_000))),
                "budget",
                json!({ "amount": usd(333), "usesPerCustomer": 1 }),
            )],
            codes: &[],
        },
        Case { name: "groups", promotions: vec![best("a", 40_000), best("b", 60_000)], codes: &["FIVE"] },
        Case { name: "alone", promotions: vec![with(automatic("alone", goods(rate(1))), "stacking", json!("exclusive"))], codes: &["TEN"] },
        Case { name: "first order", promotions: vec![needs(json!({ "firstOrder": true }))], codes: &[] },
        Case {
            name: "a minimum",
            promotions: vec![needs(json!({ "minimum": { "amount": usd(7000), "basis": "discounted" } }))],
            codes: &["FIVE", "TEN"],
        },
        Case {
            name: "all at once",
            promotions: vec![
                automatic("tiers", tiers),
                automatic("3for2", three_for_two),
                automatic("spend", spend),
                automatic("gift", gift),
                automatic("shipping", shipping),
            ],
            codes: &["FIVE", "TEN"],
        },
    ]
}

/// A shop with three books and these promotions.
async fn shop(promotions: &[Value]) -> (Shop, Vec<Value>) {
    let shop = Shop::new().await;
    let mut items = vec![shop.item(4)];
    for (sku, price, quantity) in [("EMMA", 2333, 2), ("WALDEN", 699, 3)] {
        let body = with(book(sku), "editions", json!([{ "sku": sku, "format": "paperback", "price": usd(price), "stock": 100 }]));
        let book = shop.ask("POST", "/api/v1/books").by(&shop.admin()).json(&body).send().await.ok().json;
        items.push(json!({ "productId": book["id"], "variantId": book["editions"][0]["id"], "quantity": quantity }));
    }
    for promotion in promotions {
        shop.ask("POST", "/api/v1/pricing/promotions").by(&shop.admin()).json(promotion).send().await.is(201, "");
    }
    (shop, items)
}

/// The same id in every shop: chance is seeded.
async fn bookmark() -> Value {
    let (_, items) = shop(&[]).await;
    items[2]["variantId"].clone()
}

#[tokio::test]
async fn cart_checkout_and_order_show_the_same_totals_byte_for_byte() {
    for Case { name, promotions, codes } in cases(&bookmark().await) {
        let (shop, items) = shop(&promotions).await;
        let customer = shop.customer("ada");
        let (ask, get) =
            (|method, path: &str| shop.ask(method, path).by(&customer), |path: &str| shop.ask("GET", path).by(&customer).send());
        let calculate = |body: Value| ask("POST", "/api/v1/pricing/calculate").json(&body).send();
        let goods = json!({ "items": items, "couponCodes": codes });

        let created = text(ask("POST", "/api/v1/cart").json(&goods).send().await);
        let quoted = of_quote(&text(calculate(goods.clone()).await));
        let cart = text(get("/api/v1/cart").await);
        let path = format!("/api/v1/cart/{}", serde_json::from_str::<Value>(&cart).expect("JSON")["id"].as_str().expect("an id"));
        for (place, shown) in [
            ("created", totals(&created)),
            ("cart", totals(&cart)),
            ("explained cart", totals(&text(get(&format!("{path}?explain=true")).await))),
            ("totals", &text(get(&format!("{path}/totals")).await)),
        ] {
            assert_eq!(shown, quoted, "{name}: {place}");
        }

        let to = json!({ "email": "ada@example.com", "shippingAddress": address() });
        let checkout = ask("POST", "/api/v1/checkout/session").json(&to).send().await.is(201, "");
        let sent = with(goods, "shippingAddress", address());
        let quoted = of_quote(&text(calculate(sent).await));
        let started = checkout.json.clone();
        let path = format!("/api/v1/checkout/session/{}", checkout.str("/id"));
        for (place, shown) in [
            ("checkout", totals(&text(checkout))),
            ("read checkout", totals(&text(get(&path).await))),
            ("explained checkout", totals(&text(get(&format!("{path}?explain=true")).await))),
        ] {
            assert_eq!(shown, quoted, "{name}: {place}");
        }

        let paid = text(shop.process(&customer, &started, "tok_visa", "pay").await.is(200, ""));
        let order = serde_json::from_str::<Value>(&paid).expect("JSON")["order"]["id"].as_str().expect("an id").to_owned();
        for (place, shown) in [
            ("placed order", totals(&paid)),
            ("order", totals(&text(get(&format!("/api/v1/orders/{order}")).await))),
            ("explained order", totals(&text(get(&format!("/api/v1/orders/{order}?explain=true")).await))),
        ] {
            assert_eq!(shown, quoted, "{name}: {place}");
        }
    }
}

#[tokio::test]
async fn an_explanation_is_there_when_it_is_asked_for() {
    let (shop, items) = shop(&[automatic("ten", json!({ "kind": "goods", "off": { "ratePpm": 100_000 } }))]).await;
    let customer = shop.customer("ada");
    let get = |path: String| shop.ask("GET", &path).by(&customer).send();
    let cart = shop.ask("POST", "/api/v1/cart").by(&customer).json(&json!({ "items": items })).send().await.is(201, "");
    let path = format!("/api/v1/cart/{}", cart.str("/id"));
    for query in ["", "?explain=false"] {
        assert!(get(format!("{path}{query}")).await.is(200, "").json.get("explanation").is_none(), "{query}");
    }
    for query in ["?explain=1", "?explain=", "?explain=true&explain=true", "?explained=true"] {
        get(format!("{path}{query}")).await.is(400, "VALIDATION_FAILED");
    }
    let explained = get(format!("{path}?explain=true")).await.is(200, "");
    let plain = get(path.clone()).await.is(200, "");
    assert_ne!(explained.header("etag"), plain.header("etag"));
    let line = &explained.json["explanation"]["steps"][1]["lines"][0];
    assert_eq!((&line["promotionId"], &line["arithmetic"]), (&json!("ten"), &json!("10 % of 103.63 USD: -10.36 USD")));
    let again = shop.ask("GET", &format!("{path}?explain=true")).by(&customer).with("if-none-match", explained.header("etag")).send().await;
    again.is(304, "");
}
