//! The shop's rules about prices, as shopkeepers write them and as everybody may read them.

use crate::shop::{Answer, Shop, usd};
use app::ports::Clock;
use rest::auth::{Role, Said};
use serde_json::{Value, json};
use std::time::Duration;

const PRICING: &str = "/api/v1/pricing";

fn ten_percent(id: &str) -> Value {
    json!({ "id": id, "label": "10 % off", "trigger": "automatic", "benefit": { "kind": "goods", "off": { "ratePpm": 100_000 } } })
}

/// A list, what one may add to it, and how that is changed.
fn kinds() -> [(&'static str, Value, Value); 4] {
    let tax = |ppm: u32| json!({ "tax": "VAT", "country": "DE", "label": "VAT", "ratePpm": ppm, "included": true, "formats": ["ebook"] });
    let ship = |price: i64| json!({ "label": "By air", "byWeight": [{ "fromGrams": 0, "price": usd(price) }], "zones": [{ "country": "US", "region": "HI" }] });
    let rate = |rate: &str| json!({ "from": "EUR", "to": "USD", "rate": rate, "since": "2026-01-01T00:00:00Z", "source": "ECB" });
    let promotion = |active: bool| {
        let mut promotion = ten_percent("ten");
        promotion["active"] = json!(active);
        promotion.as_object_mut().expect("an object").remove("id");
        promotion
    };
    [
        ("promotions", promotion(true), promotion(false)),
        ("tax-rates", tax(70_000), tax(190_000)),
        ("shipping-options", ship(999), ship(1999)),
        ("exchange-rates", rate("1.0825"), rate("1.1")),
    ]
}

fn with(body: &Value, name: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[name] = value;
    body
}

/// Every member of `part` is in `whole`.
#[track_caller]
fn holds(whole: &Value, part: &Value) {
    for (name, value) in part.as_object().expect("an object") {
        assert_eq!(&whole[name], value, "{name} of {whole}");
    }
}

#[tokio::test]
async fn rules_of_every_kind_are_put_read_replaced_and_deleted() {
    let shop = Shop::new().await;
    let admin = shop.admin();
    for (noun, first, second) in kinds() {
        let list = format!("{PRICING}/{noun}");
        let one = format!("{list}/mine");
        let named = with(&with(&first, "id", json!("mine")), "reason", json!("A test"));
        let added = shop.ask("POST", &list).by(&admin).key("add").json(&named).send().await.is(201, "");
        holds(&added.json, &first);
        assert_eq!((added.header("location"), &added.json["version"], &added.json["id"]), (one.as_str(), &json!(1), &json!("mine")));
        assert!(added.header("etag").starts_with("\"1.") && added.json["updatedAt"].is_string());
        let again = shop.ask("POST", &list).by(&admin).key("add").json(&named).send().await.is(201, "");
        assert_eq!((again.header("idempotent-replayed"), &again.bytes), ("true", &added.bytes), "{noun}");
        shop.ask("POST", &list)
            .by(&admin)
            .key("add")
            .json(&with(&named, "reason", json!("Other")))
            .send()
            .await
            .is(422, "IDEMPOTENCY_KEY_REUSED");
        shop.ask("POST", &list).by(&admin).json(&named).send().await.is(409, "RULE_EXISTS");

        let read = shop.ask("GET", &one).by(&admin).send().await.is(200, "");
        assert_eq!((&read.json, read.header("etag")), (&added.json, added.header("etag")));
        shop.ask("GET", &one).by(&admin).with("if-none-match", read.header("etag")).send().await.is(304, "");
        let all = shop.ask("GET", &format!("{list}?limit=100")).by(&admin).send().await.is(200, "");
        assert!(all.json["items"].as_array().expect("items").contains(&added.json), "{noun}");

        let replaced = shop.ask("PUT", &one).by(&admin).with("if-match", added.header("etag")).json(&second).send().await.is(200, "");
        holds(&replaced.json, &second);
        assert_eq!(replaced.json["version"], 2);
        let stale =
            shop.ask("PUT", &one).by(&admin).with("if-match", added.header("etag")).json(&first).send().await.is(412, "VERSION_MISMATCH");
        assert_eq!(stale.json["currentVersion"], 2);
        shop.ask("PUT", &one).by(&admin).json(&with(&second, "id", json!("other"))).send().await.is(400, "VALIDATION_FAILED");
        shop.ask("PUT", &format!("{list}/none")).by(&admin).json(&second).send().await.is(404, "RULE_NOT_FOUND");

        shop.ask("DELETE", &one).by(&admin).with("if-match", "\"1\"").send().await.is(412, "VERSION_MISMATCH");
        shop.ask("DELETE", &format!("{one}?reason=Over")).by(&admin).key("gone").send().await.is(204, "");
        let again = shop.ask("DELETE", &format!("{one}?reason=Over")).by(&admin).key("gone").send().await.is(204, "");
        assert_eq!(again.header("idempotent-replayed"), "true");
        for method in ["GET", "DELETE"] {
            shop.ask(method, &one).by(&admin).send().await.is(404, "RULE_NOT_FOUND");
        }
        shop.ask("GET", &format!("{list}/{}", "a".repeat(65))).by(&admin).send().await.is(404, "RULE_NOT_FOUND");

        let kind = noun.trim_end_matches('s').replace('-', "_");
        let history = shop.ask("GET", &format!("{PRICING}/history?kind={kind}&id=mine")).by(&admin).send().await.is(200, "");
        let told: Vec<_> =
            history.json["items"].as_array().expect("items").iter().map(|c| (c["action"].clone(), c["reason"].clone())).collect();
        let expected = [("deleted", json!("Over")), ("changed", Value::Null), ("created", json!("A test"))].map(|(a, r)| (json!(a), r));
        assert_eq!(told, expected, "{noun}");
        let changed = &history.json["items"][1];
        holds(&changed["before"], &first);
        holds(&changed["after"], &second);
        assert_eq!((&changed["actor"], &changed["kind"], &changed["id"]), (&json!("admin:boss"), &json!(kind), &json!("mine")));
    }
}

#[tokio::test]
async fn a_rule_without_a_name_gets_one() {
    let shop = Shop::new().await;
    let (_, rate, _) = kinds().into_iter().nth(3).expect("exchange rates");
    let list = format!("{PRICING}/exchange-rates");
    let ask = |key| shop.ask("POST", &list).by(&shop.admin()).key(key).json(&rate).send();
    let (first, again, second) = (ask("1").await.is(201, ""), ask("1").await.is(201, ""), ask("2").await.is(201, ""));
    assert_eq!(first.str("/id"), again.str("/id"));
    assert_ne!(first.str("/id"), second.str("/id"));
    assert_eq!(first.header("location"), format!("{list}/{}", first.str("/id")));
}

#[tokio::test]
async fn only_shopkeepers_change_rules_and_read_what_is_the_shops_own() {
    let shop = Shop::new().await;
    let customer = shop.customer("ada");
    let own = ["promotions", "promotions/TEN", "promotions/TEN/codes", "promotions/TEN/codes.csv", "stacking", "history"];
    let open = ["tax-rates", "shipping-options", "exchange-rates", "tax-rates/US-TX-SALES", "shipping-options/standard", "discounts"];
    for noun in own {
        shop.ask("GET", &format!("{PRICING}/{noun}")).send().await.is(401, "UNAUTHENTICATED");
        shop.ask("GET", &format!("{PRICING}/{noun}")).by(&customer).send().await.is(403, "FORBIDDEN");
        let read = shop.ask("GET", &format!("{PRICING}/{noun}")).by(&shop.admin()).send().await.is(200, "");
        assert_eq!(read.header("cache-control"), "private, no-store", "{noun}");
    }
    for noun in open {
        shop.ask("GET", &format!("{PRICING}/{noun}")).send().await.is(200, "");
    }
    let writes = ["promotions", "tax-rates", "shipping-options", "exchange-rates", "promotions/TEN/codes", "simulate"];
    let writes = writes.into_iter().map(|noun| ("POST", noun)).chain([("PUT", "stacking")]);
    let changes = ["promotions/TEN", "tax-rates/US-TX-SALES", "shipping-options/standard", "exchange-rates/x"];
    let changes = changes.into_iter().flat_map(|noun| [("PUT", noun), ("DELETE", noun)]);
    for (method, noun) in writes.chain(changes) {
        let path = format!("{PRICING}/{noun}");
        shop.ask(method, &path).json(&json!({})).send().await.is(401, "UNAUTHENTICATED");
        shop.ask(method, &path).by(&customer).json(&json!({})).send().await.is(403, "FORBIDDEN");
    }
}

#[tokio::test]
async fn what_is_switched_off_is_the_shops_own_business() {
    let shop = Shop::new().await;
    let option = json!({ "id": "drone", "label": "Drone", "price": usd(9900), "active": false });
    shop.ask("POST", &format!("{PRICING}/shipping-options")).by(&shop.admin()).json(&option).send().await.is(201, "");
    let ids = |answer: Answer| -> Vec<String> {
        answer.json["items"].as_array().expect("items").iter().map(|o| o["id"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let path = format!("{PRICING}/shipping-options");
    assert_eq!(ids(shop.ask("GET", &path).send().await), ["standard"]);
    assert_eq!(ids(shop.ask("GET", &path).by(&shop.admin()).send().await), ["drone", "standard"]);
    shop.ask("GET", &format!("{path}/drone")).send().await.is(404, "RULE_NOT_FOUND");
    shop.ask("GET", &format!("{path}/drone")).by(&shop.admin()).send().await.is(200, "");
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let shop = Shop::new().await;
    let admin = shop.admin();
    for n in 0..5 {
        let mut promotion = ten_percent(&format!("auto-{n}"));
        promotion["active"] = json!(n % 2 == 0);
        shop.ask("POST", &format!("{PRICING}/promotions")).by(&admin).json(&promotion).send().await.is(201, "");
    }
    let (mut ids, mut path) = (Vec::new(), format!("{PRICING}/promotions?limit=3"));
    loop {
        let page = shop.ask("GET", &path).by(&admin).send().await.is(200, "");
        ids.extend(page.json["items"].as_array().expect("items").iter().map(|p| p["id"].as_str().unwrap_or_default().to_owned()));
        let Some(cursor) = page.json["nextCursor"].as_str() else { break };
        assert_eq!(page.header("link"), format!("<{PRICING}/promotions?limit=3&cursor={cursor}>; rel=\"next\""));
        path = format!("{PRICING}/promotions?limit=3&cursor={cursor}");
    }
    assert_eq!(ids, ["FIVE", "TEN", "auto-0", "auto-1", "auto-2", "auto-3", "auto-4"]);
    for (query, count) in [("active=false", 2), ("active=true", 5), ("code=ten", 1), ("code=none", 0), ("active=false&code=ten", 0)] {
        let page = shop.ask("GET", &format!("{PRICING}/promotions?{query}")).by(&admin).send().await.is(200, "");
        assert_eq!(page.json["items"].as_array().map(Vec::len), Some(count), "{query}");
    }
    for query in ["active=1", "code=a+b", "limit=0", "cursor=x", "surprise=1"] {
        shop.ask("GET", &format!("{PRICING}/promotions?{query}"))
            .by(&admin)
            .send()
            .await
            .is(400, if query == "cursor=x" { "CURSOR_INVALID" } else { "VALIDATION_FAILED" });
    }
}

#[tokio::test]
async fn a_rule_that_makes_no_sense_is_refused_with_the_reason() {
    let shop = Shop::new().await;
    let admin = shop.admin();
    let benefit = |benefit: Value| with(&ten_percent("x"), "benefit", benefit);
    let off = json!({ "ratePpm": 1 });
    for (noun, body, code) in [
        (
            "promotions",
            benefit(json!({ "kind": "spend", "tiers": [{ "from": usd(2), "off": off }, { "from": usd(1), "off": off }] })),
            "NOT_ASCENDING",
        ),
        ("promotions", benefit(json!({ "kind": "goods", "off": { "ratePpm": 0 } })), "NOT_POSITIVE"),
        ("promotions", benefit(json!({ "kind": "gift", "variantId": "ed_00000000000000000000000001" })), "NOT_IN_CATALOG"),
        (
            "promotions",
            benefit(json!({ "kind": "each", "of": { "any": [{ "productId": "book_00000000000000000000000001" }] }, "off": off })),
            "NOT_IN_CATALOG",
        ),
        ("promotions", with(&ten_percent("x"), "cap", json!({ "amount": 0, "currency": "USD" })), "NOT_POSITIVE"),
        (
            "promotions",
            with(&benefit(json!({ "kind": "goods", "off": { "amount": usd(100) } })), "cap", json!({ "amount": 1, "currency": "EUR" })),
            "CURRENCY_MIXED",
        ),
        (
            "promotions",
            with(&with(&ten_percent("x"), "startsAt", json!("2026-12-01T00:00:00")), "endsAt", json!("2026-12-01T00:00:00Z")),
            "WINDOW_EMPTY",
        ),
        ("promotions", with(&ten_percent("x"), "hours", json!([{ "weekday": "friday", "from": "18:00", "to": "16:00" }])), "HOURS_INVALID"),
        ("promotions", with(&ten_percent("x"), "trigger", json!({ "codes": ["TEN"] })), "CODE_TAKEN"),
        ("promotions", with(&ten_percent("x"), "conditions", json!({ "expression": "1 +" })), "CONDITION_INVALID"),
        ("tax-rates", json!({ "tax": "LOCAL", "country": "US", "label": "a", "ratePpm": 1, "included": true }), "INCLUDED_DISAGREES"),
        ("shipping-options", json!({ "label": "a", "byWeight": [{ "fromGrams": 1, "price": usd(1) }] }), "NOT_FROM_ZERO"),
        ("exchange-rates", json!({ "from": "EUR", "to": "EUR", "rate": "1", "since": "2026-01-01T00:00:00Z" }), "SAME_CURRENCY"),
    ] {
        let refused = shop.ask("POST", &format!("{PRICING}/{noun}")).by(&admin).json(&body).send().await;
        let told = refused.json["errors"][0].clone();
        assert_eq!((refused.status.as_u16(), refused.code(), &told["code"]), (422, "RULE_INVALID", &json!(code)), "{}", refused.json);
        assert!(told["message"].as_str().is_some_and(|m| m.ends_with('.')), "{told}");
    }
    let unread = shop.ask("POST", &format!("{PRICING}/promotions")).by(&admin).json(&json!({ "label": "a", "more": 1 })).send().await;
    let fields: Vec<_> =
        unread.is(400, "VALIDATION_FAILED").json["errors"].as_array().expect("errors").iter().map(|e| e["field"].clone()).collect();
    assert_eq!(fields, ["trigger", "benefit", "more"]);
}

#[tokio::test]
async fn promotions_go_together_as_the_shop_decides() {
    let shop = Shop::new().await;
    let (admin, path) = (shop.admin(), format!("{PRICING}/stacking"));
    let none = shop.ask("GET", &path).by(&admin).send().await.is(200, "");
    assert_eq!(none.json, json!({ "promotionsMax": null, "version": 0 }));
    shop.ask("PUT", &path)
        .by(&admin)
        .with("if-match", "\"3\"")
        .json(&json!({ "promotionsMax": 1 }))
        .send()
        .await
        .is(412, "VERSION_MISMATCH");
    let put = shop.ask("PUT", &path).by(&admin).key("k").json(&json!({ "promotionsMax": 1, "reason": "Enough" })).send().await.is(200, "");
    assert_eq!((&put.json["promotionsMax"], &put.json["version"]), (&json!(1), &json!(1)));
    let quote = json!({ "items": [shop.item(2)], "couponCodes": ["TEN", "FIVE"] });
    let priced = shop.ask("POST", &format!("{PRICING}/calculate")).json(&quote).send().await.is(200, "");
    assert_eq!(priced.json["notApplied"], json!([{ "code": "FIVE", "reason": "Only 1 promotions apply to one order." }]));
    let put = shop
        .ask("PUT", &path)
        .by(&admin)
        .with("if-match", put.header("etag"))
        .json(&json!({ "promotionsMax": null }))
        .send()
        .await
        .is(200, "");
    assert_eq!((&put.json["promotionsMax"], &put.json["version"]), (&Value::Null, &json!(2)));
    let history = shop.ask("GET", &format!("{PRICING}/history?kind=stacking")).by(&admin).send().await.is(200, "");
    assert_eq!(history.json["items"][1]["reason"], "Enough");
}

#[tokio::test]
async fn the_history_is_paged_and_names_whole_rules() {
    let shop = Shop::new().await;
    let admin = shop.admin();
    for n in 0..5 {
        shop.ask("POST", &format!("{PRICING}/promotions")).by(&admin).json(&ten_percent(&format!("p{n}"))).send().await.is(201, "");
    }
    let (mut ids, mut path) = (Vec::new(), format!("{PRICING}/history?limit=2"));
    while ids.len() < 20 {
        let page = shop.ask("GET", &path).by(&admin).send().await.is(200, "");
        ids.extend(page.json["items"].as_array().expect("items").iter().map(|c| c["id"].as_str().unwrap_or_default().to_owned()));
        let Some(cursor) = page.json["nextCursor"].as_str() else { break };
        path = format!("{PRICING}/history?limit=2&cursor={cursor}");
    }
    assert_eq!(&ids[..5], ["p4", "p3", "p2", "p1", "p0"]);
    for query in ["kind=promotion", "id=p1", "kind=nothing&id=p1", "kind=promotion&id=a%20b"] {
        shop.ask("GET", &format!("{PRICING}/history?{query}")).by(&admin).send().await.is(400, "VALIDATION_FAILED");
    }
    let none = shop.ask("GET", &format!("{PRICING}/history?kind=promotion&id=never")).by(&admin).send().await.is(200, "");
    assert_eq!(none.json, json!({ "items": [], "nextCursor": null }));
}

#[tokio::test]
async fn codes_are_issued_listed_and_used() {
    let shop = Shop::new().await;
    let (admin, path) = (shop.admin(), format!("{PRICING}/promotions/letters/codes"));
    let ask = |count: u32, key: &str| {
        shop.ask("POST", &path).by(&admin).key(key).json(&json!({ "count": count, "prefix": "xmas", "usesMax": 1 })).send()
    };
    ask(3, "early").await.is(404, "RULE_NOT_FOUND");
    shop.ask("GET", &path).by(&admin).send().await.is(404, "RULE_NOT_FOUND");
    shop.ask("GET", &format!("{path}.csv")).by(&admin).send().await.is(404, "RULE_NOT_FOUND");
    let mut promotion = ten_percent("letters");
    shop.ask("POST", &format!("{PRICING}/promotions")).by(&admin).json(&promotion).send().await.is(201, "");
    ask(3, "automatic").await.is(422, "CODES_NOT_USED");
    promotion["trigger"] = json!({ "codes": [] });
    shop.ask("PUT", &format!("{PRICING}/promotions/letters")).by(&admin).json(&promotion).send().await.is(200, "");

    let issued = ask(2500, "batch").await.is(201, "");
    assert_eq!((&issued.json["count"], issued.header("location")), (&json!(2500), path.as_str()));
    let again = ask(2500, "batch").await.is(201, "");
    assert_eq!((again.header("idempotent-replayed"), &again.bytes), ("true", &issued.bytes));
    ask(2501, "batch").await.is(422, "IDEMPOTENCY_KEY_REUSED");
    ask(100_001, "many").await.is(422, "CODES_INVALID");
    shop.ask("POST", &path).by(&admin).json(&json!({ "count": 0 })).send().await.is(400, "VALIDATION_FAILED");

    let (mut codes, mut next) = (Vec::new(), format!("{path}?limit=100"));
    loop {
        let page = shop.ask("GET", &next).by(&admin).send().await.is(200, "");
        codes.extend(page.json["items"].as_array().expect("items").iter().map(|c| c["code"].as_str().unwrap_or_default().to_owned()));
        let Some(cursor) = page.json["nextCursor"].as_str() else { break };
        next = format!("{path}?limit=100&cursor={cursor}");
    }
    assert_eq!(codes.len(), 2500);
    assert!(codes.iter().all(|c| c.starts_with("XMAS-") && c.len() == 18) && codes.is_sorted_by(|a, b| a < b));
    let file = shop.ask("GET", &format!("{path}.csv")).by(&admin).send().await.is(200, "");
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"letters-codes.csv\"");
    let text = String::from_utf8(file.bytes).expect("text");
    let rows: Vec<Vec<&str>> = text.split_terminator("\r\n").map(|row| row.split(',').collect()).collect();
    assert_eq!(rows[0], ["code", "used", "uses_max", "batch_id", "issued_at"]);
    assert_eq!(rows[1..].iter().map(|row| row[0]).collect::<Vec<_>>(), codes);
    assert!(rows[1..].iter().all(|row| row.len() == 5 && (row[1], row[2]) == ("0", "1") && row[3] == issued.json["batchId"]));

    let customer = shop.customer("ada");
    let cart = shop.cart(&customer, 2).await;
    shop.ask("PATCH", &cart).by(&customer).json(&json!({ "couponCodes": [codes[7]] })).send().await.is(200, "");
    let body = json!({ "email": "ada@example.com", "shippingAddress": crate::shop::address() });
    let checkout = shop.ask("POST", "/api/v1/checkout/session").by(&customer).json(&body).send().await.is(201, "");
    assert_eq!(checkout.json["totals"]["discount"], usd(180));
    shop.process(&customer, &checkout.json, "tok_visa", "pay").await.is(200, "");
    let used = shop.ask("GET", &format!("{path}?limit=10")).by(&admin).send().await.is(200, "");
    assert_eq!((&used.json["items"][7]["code"], &used.json["items"][7]["used"]), (&json!(codes[7]), &json!(1)));
    let quote = json!({ "items": [shop.item(1)], "couponCodes": [codes[7]] });
    let refused = shop.ask("POST", &format!("{PRICING}/calculate")).json(&quote).send().await.is(200, "");
    assert_eq!(refused.json["notApplied"][0]["reason"], "It has been used as often as it may be.");

    let told = shop.ask("GET", &format!("{PRICING}/discounts?limit=100")).send().await.is(200, "");
    assert!(!String::from_utf8_lossy(&told.bytes).contains("XMAS-"), "issued codes are nobody's to list");
    let history = shop.ask("GET", &format!("{PRICING}/history?kind=promotion&id=letters")).by(&admin).send().await.is(200, "");
    let batches: Vec<_> = history.json["items"].as_array().expect("items").iter().filter(|c| c["action"] == "codes_issued").collect();
    assert_eq!((batches.len(), &batches[0]["count"], &batches[0]["batchId"]), (1, &json!(2500), &issued.json["batchId"]));
}

#[tokio::test]
async fn drafts_are_tried_without_being_saved() {
    let shop = Shop::new().await;
    let (admin, path) = (shop.admin(), format!("{PRICING}/simulate"));
    let draft = with(&with(&ten_percent("draft"), "kind", json!("promotion")), "conditions", json!({ "segments": ["gold"] }));
    let ask = |extra: Value| {
        let mut body = json!({ "items": [shop.item(2)], "couponCodes": ["FIVE"], "drafts": [draft] });
        body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        shop.ask("POST", &path).by(&admin).json(&body).send()
    };
    let plain = ask(json!({})).await.is(200, "");
    assert_eq!(plain.json["difference"]["total"], usd(0));
    let gold = ask(json!({ "shopper": { "segments": ["gold"] } })).await.is(200, "");
    assert_eq!((&gold.json["before"]["total"], &gold.json["after"]["total"]), (&usd(1300), &usd(1120)));
    assert_eq!((&gold.json["difference"]["total"], &gold.json["difference"]["discount"]), (&usd(-180), &usd(180)));
    assert_eq!(gold.json["after"]["explanation"]["total"]["amount"], usd(1120));
    let without = ask(json!({ "without": [{ "kind": "promotion", "id": "FIVE" }], "drafts": [] })).await.is(200, "");
    assert_eq!(without.json["difference"]["total"], usd(500));
    let newcomers = with(&with(&ten_percent("new"), "kind", json!("promotion")), "conditions", json!({ "firstOrder": true }));
    let nobody = ask(json!({ "drafts": [newcomers], "shopper": {} })).await.is(200, "");
    let newcomer = ask(json!({ "drafts": [newcomers], "shopper": { "newcomer": true } })).await.is(200, "");
    assert_eq!((&nobody.json["difference"]["total"], &newcomer.json["difference"]["total"]), (&usd(0), &usd(-180)));
    let advent = with(&with(&ten_percent("advent"), "kind", json!("promotion")), "startsAt", json!("2026-12-01T00:00:00"));
    for (at, difference) in [("2026-11-30T23:59:59Z", 0), ("2026-12-01T00:00:00Z", -180)] {
        let then = ask(json!({ "drafts": [advent], "at": at })).await.is(200, "");
        assert_eq!(then.json["difference"]["total"], usd(difference), "{at}");
    }
    let dear = json!({ "kind": "shipping_option", "id": "standard", "label": "Dear", "price": usd(999) });
    let sent = ask(json!({ "drafts": [dear], "shippingAddress": crate::shop::address() })).await.is(200, "");
    assert_eq!(sent.json["difference"]["shipping"], usd(500));
    let stack =
        ask(json!({ "drafts": [{ "kind": "stacking", "promotionsMax": 1 }, with(&ten_percent("a"), "kind", json!("promotion"))] })).await;
    assert_eq!(stack.is(200, "").json["after"]["notApplied"][0]["code"], "FIVE");

    let wrong = with(&draft, "cap", json!({ "amount": 0, "currency": "USD" }));
    ask(json!({ "drafts": [wrong] })).await.is(422, "RULE_INVALID");
    ask(json!({ "without": [{ "kind": "promotion", "id": "none" }] })).await.is(404, "RULE_NOT_FOUND");
    ask(json!({ "drafts": [ten_percent("unkind")] })).await.is(400, "VALIDATION_FAILED");
    ask(json!({ "shopper": { "birthdate": "28.11.1990" } })).await.is(400, "VALIDATION_FAILED");
    shop.ask("GET", &format!("{PRICING}/promotions/draft")).by(&admin).send().await.is(404, "RULE_NOT_FOUND");
}

#[tokio::test]
async fn who_calls_counts() {
    let shop = Shop::new().await;
    for (id, conditions) in [
        ("gold", json!({ "segments": ["gold"] })),
        ("birthday", json!({ "birthdayWithinDays": 0 })),
        ("first", json!({ "firstOrder": true })),
    ] {
        let promotion = with(&ten_percent(id), "conditions", conditions);
        shop.ask("POST", &format!("{PRICING}/promotions")).by(&shop.admin()).json(&promotion).send().await.is(201, "");
    }
    let today = wire::At(shop.clock.now()).to_string()[..10].to_owned();
    let segment = |name: &str| domain::ids::Segment::parse(name).expect("a segment");
    let said = |segments: &[&str], birthdate: Option<&str>, tax_exempt| Said {
        segments: segments.iter().map(|name| segment(name)).collect(),
        birthdate: birthdate.map(str::to_owned),
        tax_exempt,
    };
    let quote = json!({ "items": [shop.item(2)], "shippingAddress": crate::shop::address() });
    for (said, applied, tax) in [
        (said(&[], None, false), &["first"][..], true),
        (said(&["silver", "gold"], None, false), &["first", "gold"], true),
        (said(&["silver"], Some("1990-02-30"), false), &["first"], true),
        (said(&[], Some(&today), true), &["birthday", "first"], false),
    ] {
        let customer = domain::ids::CustomerId::parse("ada").expect("an id");
        let token = shop.issuer.token_saying(&customer, Role::Customer, &said, Duration::from_secs(60), shop.clock.now());
        let priced = shop.ask("POST", &format!("{PRICING}/calculate")).by(&token).json(&quote).send().await.is(200, "");
        let kinds: Vec<_> = priced.json["adjustments"]
            .as_array()
            .expect("adjustments")
            .iter()
            .filter(|a| a["promotionId"].is_string())
            .map(|a| a["code"].clone())
            .collect();
        assert_eq!(kinds, applied, "{said:?}");
        assert_eq!(priced.json["tax"] != usd(0), tax, "{said:?}");
    }
    let nobody = shop.ask("POST", &format!("{PRICING}/calculate")).json(&quote).send().await.is(200, "");
    assert_eq!(nobody.json["discount"], usd(0));
}

#[tokio::test]
async fn what_an_edition_was_sold_at_is_kept() {
    let shop = Shop::new().await;
    let (admin, book) = (shop.admin(), format!("/api/v1/books/{}", shop.product()));
    let path = format!("{book}/editions/{}/prices", shop.book["editions"][0]["id"].as_str().expect("an id"));
    for (price, sale) in [(1000, Some(850)), (1200, None), (1200, None)] {
        let mut body = crate::shop::book("DUNE");
        body["editions"][0]["price"] = usd(price);
        body["editions"][0]["salePrice"] = sale.map_or(Value::Null, usd);
        body["editions"][0]["weightGrams"] = json!(350);
        body["reason"] = json!(format!("now {price}"));
        shop.ask("PUT", &book).by(&admin).json(&body).send().await.is(200, "");
    }
    let mut prices = Vec::new();
    let mut next = format!("{path}?limit=2");
    loop {
        let page = shop.ask("GET", &next).by(&admin).send().await.is(200, "");
        let items = page.json["items"].as_array().expect("items").clone();
        prices.extend(items.iter().map(|p| (p["price"]["amount"].clone(), p["salePrice"]["amount"].clone(), p["reason"].clone())));
        assert!(items.iter().all(|p| p["actor"] == "admin:boss"));
        let Some(cursor) = page.json["nextCursor"].as_str() else { break };
        next = format!("{path}?limit=2&cursor={cursor}");
    }
    let line = |price: i64, sale: Value, reason: Value| (json!(price), sale, reason);
    let lines =
        [line(1200, Value::Null, json!("now 1200")), line(1000, json!(850), json!("now 1000")), line(1000, json!(900), Value::Null)];
    assert_eq!(prices, lines, "a price that stays is no line");
    assert_eq!(shop.ask("GET", &book).send().await.is(200, "").json["editions"][0]["weightGrams"], 350);
    shop.ask("GET", &path).by(&shop.customer("ada")).send().await.is(403, "FORBIDDEN");
    shop.ask("GET", &path).send().await.is(401, "UNAUTHENTICATED");
    shop.ask("GET", &format!("{book}/editions/ed_00000000000000000000000001/prices")).by(&admin).send().await.is(404, "PRODUCT_NOT_FOUND");
}

/// Whatever a rule says, it is read or refused, and a price is quoted or refused.
#[tokio::test]
async fn hostile_rules_are_refused_and_leave_nothing_behind() {
    let shop = Shop::new().await;
    let (admin, path) = (shop.admin(), format!("{PRICING}/promotions"));
    let of = |benefit: &str| format!("{{\"id\":\"x\",\"label\":\"x\",\"trigger\":\"automatic\",\"benefit\":{benefit}}}");
    let goods = |of: &str, off: &str| format!("{{\"kind\":\"goods\",\"of\":{of},\"off\":{off}}}");
    let nested = format!("{}{{}}{}", "{\"any\":[".repeat(60), "]}".repeat(60));
    let selectors = |n: usize| format!("{{\"any\":[{}]}}", vec!["{\"format\":\"ebook\"}"; n].join(","));
    for body in [
        String::new(),
        "null".into(),
        "[]".into(),
        "[".repeat(200),
        of(&"{\"kind\":".repeat(200)),
        of("null"),
        of("{\"kind\":\"goods\",\"kind\":\"each\"}"),
        of("{\"kind\":[\"goods\"]}"),
        of(&goods(&nested, "{\"ratePpm\":1}")),
        of(&goods(&selectors(101), "{\"ratePpm\":1}")),
        of(&goods(&selectors(7000), "{\"ratePpm\":1}")),
        of(&goods("{}", "{\"ratePpm\":NaN}")),
        of(&goods("{}", "{\"ratePpm\":1e400}")),
        of(&goods("{}", "{\"ratePpm\":1e0}")),
        of(&goods("{}", "{\"ratePpm\":-1}")),
        of(&goods("{}", "{\"ratePpm\":4294967297}")),
        of(&goods("{}", "{\"ratePpm\":99999999999999999999999999999999999999999}")),
        of(&goods("{}", "{\"amount\":{\"amount\":9007199254740992,\"currency\":\"USD\"}}")),
        of(&goods("{}", "{\"amount\":{\"amount\":1,\"currency\":\"usd\"}}")),
        of(&goods("{}", "{\"amount\":{\"amount\":1,\"currency\":\"XXX\"}}")),
        of("{\"kind\":\"bundle\",\"parts\":[{\"count\":4294967295}],\"off\":{\"ratePpm\":1}}"),
        of("{\"kind\":\"gift\",\"variantId\":\"../../etc/passwd\"}"),
        of(&goods("{}", "{\"ratePpm\":1}")).replace("\"label\":\"x\"", &format!("\"label\":\"{}\"", "x".repeat(201))),
        of(&goods("{}", "{\"ratePpm\":1}")).replace("\"label\":\"x\"", "\"label\":\"\\u0000\""),
        of(&goods("{}", "{\"ratePpm\":1}")).replace("\"id\":\"x\"", "\"id\":\"\""),
        of(&goods("{}", "{\"ratePpm\":1}")).replace("\"id\":\"x\"", "\"__proto__\":{}"),
    ] {
        let shown: String = body.chars().take(200).collect();
        let answer = shop.ask("POST", &path).by(&admin).raw(body).send().await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, "VALIDATION_FAILED"), "{shown}: {}", answer.json);
        assert!(answer.bytes.len() < 20_000, "{shown}");
    }
    let history = shop.ask("GET", &format!("{PRICING}/history?limit=1")).by(&admin).send().await.is(200, "");
    assert_ne!(history.json["items"][0]["actor"], "admin:boss", "nothing was changed");
}

#[tokio::test]
async fn extreme_rules_never_break_a_quote() {
    const MOST: i64 = 9_007_199_254_740_991;
    let shop = Shop::new().await;
    let (admin, off) = (shop.admin(), json!({ "amount": usd(MOST) }));
    let promotion = |id: &str, benefit: Value| json!({ "id": id, "label": id, "trigger": "automatic", "benefit": benefit });
    let many = 1_000_000_000;
    for body in [
        promotion("each", json!({ "kind": "each", "off": off })),
        promotion(
            "tiers",
            json!({ "kind": "tiers", "tiers": [{ "from": 1, "off": { "price": usd(MOST) } }, { "from": many, "off": off }] }),
        ),
        promotion("buy", json!({ "kind": "buy_get", "buyCount": many, "getCount": many, "ratePpm": 1_000_000, "timesMax": many })),
        promotion("get", json!({ "kind": "buy_get", "buyCount": 1, "getCount": many, "ratePpm": 1, "timesMax": many })),
        promotion("bundle", json!({ "kind": "bundle", "parts": [{ "count": many }], "off": off, "timesMax": many })),
        promotion("one", json!({ "kind": "bundle", "parts": [{ "count": 1 }], "off": off, "timesMax": many })),
        promotion("spend", json!({ "kind": "spend", "tiers": [{ "from": usd(1), "off": off }, { "from": usd(MOST), "off": off }] })),
        promotion("ship", json!({ "kind": "shipping", "off": off })),
    ] {
        shop.ask("POST", &format!("{PRICING}/promotions")).by(&admin).json(&body).send().await.is(201, "");
        let quote = json!({ "items": [shop.item(999)], "shippingAddress": crate::shop::address() });
        let priced = shop.ask("POST", &format!("{PRICING}/calculate?explain=true")).json(&quote).send().await.is(200, "");
        let (total, worst) = (priced.json["total"]["amount"].as_i64(), 999 * 900 + 499 + 80_000);
        assert!(total.is_some_and(|n| (0..=worst).contains(&n)), "{body}: {}", priced.json["total"]);
        let path = format!("{PRICING}/promotions/{}", body["id"].as_str().expect("an id"));
        shop.ask("DELETE", &path).by(&admin).send().await.is(204, "");
    }
    let dear = json!({ "id": "dear", "label": "Dear", "price": usd(MOST), "zones": [{ "country": "US", "region": "TX" }] });
    shop.ask("POST", &format!("{PRICING}/shipping-options")).by(&admin).json(&dear).send().await.is(201, "");
    let quote = json!({ "items": [shop.item(1)], "shippingAddress": crate::shop::address(), "shippingOptionId": "dear" });
    shop.ask("POST", &format!("{PRICING}/calculate")).json(&quote).send().await.is(422, "AMOUNT_TOO_LARGE");
    let rate = json!({ "from": "USD", "to": "KWD", "rate": "18446744073.709551615", "since": "1970-01-01T00:00:00Z" });
    shop.ask("POST", &format!("{PRICING}/exchange-rates")).by(&admin).json(&rate).send().await.is(201, "");
    let quote = json!({ "items": [shop.item(999)], "currency": "KWD" });
    shop.ask("POST", &format!("{PRICING}/calculate")).json(&quote).send().await.is(422, "AMOUNT_TOO_LARGE");
}
