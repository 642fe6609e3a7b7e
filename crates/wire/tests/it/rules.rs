//! Rules, there and back.

use domain::catalog::{Format, HeadingId, HeadingKind};
use domain::ids::{BookId, CouponCode, EditionId, PromotionGroup, PromotionId, Segment, ShippingOptionId, TaxName};
use domain::money::{Currency, Money, Nano, Ppm, Rounding};
use domain::person::Country;
use domain::pricing::{
    Basis, Benefit, Budget, ExchangeRate, Hours, Level, Minimum, Needs, Off, Part, Place, PostalRange, Promotion, Rule, RuleId, RuleKind,
    Scale, Selector, ShippingOption, ShippingStep, Stacking, Target, TaxRate, Tier, Trigger, Window,
};
use domain::text::Text;
use domain::time::Timestamp;
use jiff::tz::TimeZone;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use wire::rules::{RuleBody, new_rule, parse_rule_id, replaced_rule};
use wire::{Invalid, Json, read};

fn fresh() -> RuleId {
    parse_rule_id("fresh").expect("a name")
}

fn written(kind: RuleKind, body: &str, zone: &TimeZone) -> Result<Rule, Invalid> {
    read(Some(Json::parse(body.as_bytes()).expect("JSON")), |o| new_rule(kind, o, fresh(), zone)).map(|input| input.rule)
}

fn money() -> impl Strategy<Value = Money> {
    let currency = prop::sample::select(vec!["USD", "JPY", "KWD"]);
    (0..=9_007_199_254_740_991i64, currency).prop_map(|(n, c)| Money::new(n, Currency::parse(c).expect("a currency")).expect("in range"))
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_-]{1,64}"
}

fn label<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> {
    "[a-zäöü\"\\\\<>&%☃ -]{0,20}[a-z\"]".prop_map(|text| Text::parse(&text).expect("a line"))
}

fn code() -> impl Strategy<Value = CouponCode> {
    "[A-Z0-9_-]{1,64}".prop_map(|text| CouponCode::parse(&text).expect("a code"))
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (-60_000_000_000_000_000i64..200_000_000_000_000_000).prop_map(Timestamp)
}

fn window() -> impl Strategy<Value = Window> {
    (option::of(instant()), option::of(instant())).prop_map(|(from, to)| Window { from, to })
}

fn count() -> impl Strategy<Value = u32> {
    1..=1_000_000_000u32
}

fn off() -> impl Strategy<Value = Off> {
    prop_oneof![(0..=1_000_000u32).prop_map(|n| Off::Rate(Ppm(n))), money().prop_map(Off::Amount), money().prop_map(Off::Price)]
}

fn format() -> impl Strategy<Value = Format> {
    prop::sample::select(Format::ALL.to_vec())
}

fn selector() -> impl Strategy<Value = Selector> {
    let heading = (prop::sample::select(HeadingKind::ALL.to_vec()), any::<u128>());
    prop_oneof![
        any::<u128>().prop_map(|n| Selector::Edition(EditionId(n))),
        any::<u128>().prop_map(|n| Selector::Book(BookId(n))),
        heading.prop_map(|(kind, bits)| Selector::Heading(HeadingId { kind, bits })),
        format().prop_map(Selector::Format),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    let parts = (vec(selector(), 0..3), vec(selector(), 0..3), any::<bool>());
    parts.prop_map(|(any, except, full_price_only)| Target { any, except, full_price_only })
}

fn part() -> impl Strategy<Value = Part> {
    (target(), count()).prop_map(|(of, count)| Part { of, count })
}

fn tiers<T: std::fmt::Debug>(from: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<Tier<T>>> {
    vec((from, off()).prop_map(|(from, off)| Tier { from, off }), 1..4)
}

fn benefit() -> impl Strategy<Value = Benefit> {
    let buy_get = (target(), count(), target(), count(), 0..=1_000_000u32, option::of(count()));
    let bundle = (vec(part(), 1..3), off(), option::of(count()));
    prop_oneof![
        (target(), off()).prop_map(|(of, off)| Benefit::Each { of, off }),
        (target(), tiers(count())).prop_map(|(of, tiers)| Benefit::Tiers { of, tiers }),
        buy_get.prop_map(|(buy, buy_count, get, get_count, off, times_max)| Benefit::BuyGet {
            buy,
            buy_count,
            get,
            get_count,
            off: Ppm(off),
            times_max
        }),
        bundle.prop_map(|(parts, off, times_max)| Benefit::Bundle { parts, off, times_max }),
        any::<u128>().prop_map(|n| Benefit::Gift { edition: EditionId(n) }),
        (target(), off()).prop_map(|(of, off)| Benefit::Goods { of, off }),
        tiers(money()).prop_map(|tiers| Benefit::Spend { tiers }),
        off().prop_map(|off| Benefit::Shipping { off }),
    ]
}

fn needs() -> impl Strategy<Value = Needs> {
    let basis = prop::sample::select(vec![Basis::Subtotal, Basis::Discounted]);
    let minimum = option::of((money(), basis).prop_map(|(amount, basis)| Minimum { amount, basis }));
    let segments = vec(name().prop_map(|text| Segment::parse(&text).expect("a segment")), 0..3);
    let expression = option::of("[a-z<>\" \n]{0,40}[a-z]".prop_map(|text| Text::parse_block(&text).expect("a text")));
    let all = (minimum, option::of(part()), segments, any::<bool>(), option::of(0..=183u16), expression);
    all.prop_map(|(minimum, copies, segments, first_order, birthday_within_days, expression)| Needs {
        minimum,
        copies,
        segments,
        first_order,
        birthday_within_days,
        expression,
    })
}

fn promotion() -> impl Strategy<Value = Rule> {
    let trigger = prop_oneof![Just(Trigger::Automatic), vec(code(), 0..3).prop_map(Trigger::Codes)];
    let group = name().prop_map(|text| Stacking::BestOf(PromotionGroup::parse(&text).expect("a group")));
    let stacking = prop_oneof![Just(Stacking::Combine), Just(Stacking::Exclusive), group];
    let hours = (1..=7u8, 0..=1440u16, 0..=1440u16);
    let hours = vec(hours.prop_map(|(weekday, from_minute, to_minute)| Hours { weekday, from_minute, to_minute }), 0..3);
    let budget = (option::of(0..=1_000_000_000u32), option::of(count()), option::of(money()));
    let budget = budget.prop_map(|(uses, uses_each, amount)| Budget { uses, uses_each, amount });
    let what = (name(), label(), any::<bool>(), trigger, benefit(), needs());
    let how = (window(), hours, -1_000_000..=1_000_000i32, stacking, option::of(money()), budget);
    (what, how).prop_map(|((id, label, active, trigger, benefit, needs), (window, hours, priority, stacking, cap, budget))| {
        let id = PromotionId::parse(&id).expect("an id");
        Rule::Promotion(Promotion { id, label, active, trigger, benefit, needs, window, hours, priority, stacking, cap, budget })
    })
}

fn place() -> impl Strategy<Value = Place> {
    let country = prop::sample::select(vec!["US", "DE", "JP"]).prop_map(|code| Country::parse(code).expect("a country"));
    let region = option::of("[A-Z]{1,4}".prop_map(|text| Text::parse(&text).expect("a region")));
    let postal = option::of((0..50_000u32, 0..50_000u32)).prop_map(|range| {
        range.map(|(from, more)| PostalRange::new(&format!("{from:05}"), &format!("{:05}", from + more)).expect("a range"))
    });
    (country, region, option::of(label()), postal).prop_map(|(country, region, city, postal)| Place { country, region, city, postal })
}

fn tax_rate() -> impl Strategy<Value = Rule> {
    let rounding = prop::sample::select(vec![Rounding::HalfEven, Rounding::HalfUp, Rounding::Down]);
    let level = prop::sample::select(vec![Level::Line, Level::Total]);
    let what = (name(), name(), place(), label(), 0..=1_000_000u32, vec(format(), 0..3));
    let how = (any::<bool>(), any::<bool>(), rounding, level, window(), option::of(label()));
    (what, how).prop_map(|((id, tax, place, label, rate, formats), (included, shipping_taxed, rounding, level, window, source))| {
        let tax = TaxName::parse(&tax).expect("a name");
        let rate = TaxRate { tax, place, label, rate: Ppm(rate), formats, included, shipping_taxed, rounding, level, window, source };
        Rule::TaxRate { id: parse_rule_id(&id).expect("a name"), rate }
    })
}

fn steps<T: std::fmt::Debug>(from: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<ShippingStep<T>>> {
    vec((from, money()).prop_map(|(from, price)| ShippingStep { from, price }), 1..4)
}

fn shipping_option() -> impl Strategy<Value = Rule> {
    let scale =
        prop_oneof![money().prop_map(Scale::Flat), steps(any::<u32>()).prop_map(Scale::Weight), steps(money()).prop_map(Scale::Amount)];
    let all = (name(), label(), any::<bool>(), vec(place(), 0..3), scale, option::of(money()), any::<bool>());
    all.prop_map(|(id, label, active, zones, scale, free_from, per_parcel)| {
        let id = ShippingOptionId::parse(&id).expect("an id");
        Rule::ShippingOption(ShippingOption { id, label, active, zones, scale, free_from, per_parcel })
    })
}

fn exchange_rate() -> impl Strategy<Value = Rule> {
    (name(), 1..=u64::MAX, instant(), option::of(label())).prop_map(|(id, rate, since, source)| {
        let currency = |code| Currency::parse(code).expect("a currency");
        let rate = ExchangeRate { from: currency("EUR"), to: currency("KWD"), rate: Nano(rate), since, source };
        Rule::ExchangeRate { id: parse_rule_id(&id).expect("a name"), rate }
    })
}

fn stacking() -> impl Strategy<Value = Rule> {
    option::of(count()).prop_map(|most| Rule::Stacking { most })
}

fn any_rule() -> impl Strategy<Value = Rule> {
    prop_oneof![4 => promotion(), 1 => tax_rate(), 1 => shipping_option(), 1 => exchange_rate(), 1 => stacking()]
}

proptest! {
    #[test]
    fn reading_what_was_printed_gives_the_same_rule(rule in any_rule()) {
        let printed = serde_json::to_string(&RuleBody::from(&rule)).expect("JSON");
        let again = written(rule.key().kind, &printed, &TimeZone::UTC);
        prop_assert_eq!(again, Ok(rule), "{}", printed);
    }
}

#[test]
fn a_name_is_given_or_made_and_never_changed() {
    let body = |id: &str| {
        format!("{{{id}\"from\":\"EUR\",\"to\":\"USD\",\"rate\":\"1.0825\",\"since\":\"2026-11-28T00:00:00Z\",\"reason\":\"ECB\"}}")
    };
    let id_of = |rule: Result<Rule, Invalid>| rule.map(|rule| rule.key().id.to_string());
    assert_eq!(id_of(written(RuleKind::ExchangeRate, &body(""), &TimeZone::UTC)), Ok("fresh".into()));
    assert_eq!(id_of(written(RuleKind::ExchangeRate, &body("\"id\":\"eur-usd\","), &TimeZone::UTC)), Ok("eur-usd".into()));
    let replaced = |body: &str| {
        read(Some(Json::parse(body.as_bytes()).expect("JSON")), |o| replaced_rule(RuleKind::ExchangeRate, o, fresh(), &TimeZone::UTC))
            .map(|input| (input.rule.key().id.to_string(), input.reason.map(|r| r.to_string())))
            .map_err(|invalid| invalid.errors.into_iter().map(|e| e.field).collect::<Vec<_>>())
    };
    assert_eq!(replaced(&body("")), Ok(("fresh".into(), Some("ECB".into()))));
    assert_eq!(replaced(&body("\"id\":\"fresh\",")), Ok(("fresh".into(), Some("ECB".into()))));
    assert_eq!(replaced(&body("\"id\":\"other\",")), Err(vec!["id".into()]));
    assert_eq!(replaced(&body("\"id\":\"a b\",")), Err(vec!["id".into()]));
}

#[test]
fn a_time_without_an_offset_is_by_the_shops_clock() {
    let zone = TimeZone::get("Europe/Berlin").expect("a zone");
    let since = |text: &str| {
        let body = format!("{{\"from\":\"EUR\",\"to\":\"USD\",\"rate\":\"1\",\"since\":\"{text}\"}}");
        match written(RuleKind::ExchangeRate, &body, &zone) {
            Ok(Rule::ExchangeRate { rate, .. }) => wire::At(rate.since).to_string(),
            Ok(_) => "another rule".into(),
            Err(invalid) => invalid.errors[0].code.into(),
        }
    };
    for (text, at) in [
        ("2026-11-27T00:00:00", "2026-11-26T23:00:00Z"),
        ("2026-06-01T00:00", "2026-05-31T22:00:00Z"),
        ("2026-06-01T00:00:00+05:30", "2026-05-31T18:30:00Z"),
        ("2026-06-01T00:00:00Z", "2026-06-01T00:00:00Z"),
        // The clock skips from 2 to 3, and shows the hour from 2 to 3 twice.
        ("2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
        ("2026-06-01", "INVALID"),
        ("2026-06-01T25:00:00", "INVALID"),
        ("2026-06-01T00:00:00[Europe/Berlin]", "INVALID"),
        ("2026-06-01 00:00:00", "INVALID"),
        ("", "INVALID"),
    ] {
        assert_eq!(since(text), at, "{text}");
    }
}

/// What is wrong, by field.
fn faults(kind: RuleKind, body: &str) -> Vec<(String, &'static str)> {
    match written(kind, body, &TimeZone::UTC) {
        Ok(rule) => panic!("{body} is read as {rule:?}"),
        Err(invalid) => invalid.errors.into_iter().map(|e| (e.field, e.code)).collect(),
    }
}

#[test]
fn what_is_wrong_with_a_rule_is_told_field_by_field() {
    let with = |member: &str| {
        format!("{{\"label\":\"a\",\"trigger\":\"automatic\",\"benefit\":{{\"kind\":\"goods\",\"off\":{{\"ratePpm\":1}}}},{member}}}")
    };
    let of = |benefit: &str| format!("{{\"label\":\"a\",\"trigger\":\"automatic\",\"benefit\":{benefit}}}");
    let many = vec!["{\"format\":\"ebook\"}"; 101].join(",");
    for (body, field, code) in [
        ("{}".to_owned(), "label", "REQUIRED"),
        (with("\"surprise\":1"), "surprise", "UNKNOWN_FIELD"),
        (with("\"priority\":1000001"), "priority", "INVALID"),
        (with("\"priority\":1.0"), "priority", "WRONG_TYPE"),
        (with("\"priority\":99999999999999999999"), "priority", "WRONG_TYPE"),
        (with("\"cap\":{\"amount\":-1,\"currency\":\"USD\"}"), "cap.amount", "INVALID"),
        (with("\"cap\":{\"amount\":9007199254740992,\"currency\":\"USD\"}"), "cap.amount", "INVALID"),
        (with("\"stacking\":\"alone\""), "stacking", "INVALID"),
        (with("\"stacking\":{\"bestOf\":\"a b\"}"), "stacking.bestOf", "INVALID"),
        (with("\"stacking\":{}"), "stacking.bestOf", "REQUIRED"),
        (with("\"startsAt\":\"tomorrow\""), "startsAt", "INVALID"),
        (with("\"hours\":[{\"weekday\":\"someday\",\"from\":\"16:00\",\"to\":\"18:00\"}]"), "hours[0].weekday", "INVALID"),
        (with("\"hours\":[{\"weekday\":\"friday\",\"from\":\"16:60\",\"to\":\"18:00\"}]"), "hours[0].from", "INVALID"),
        (with("\"hours\":[{\"weekday\":\"friday\",\"from\":\"16:00\",\"to\":\"24:01\"}]"), "hours[0].to", "INVALID"),
        (with("\"hours\":[{\"weekday\":\"friday\",\"from\":\"+4:00\",\"to\":\"24:00\"}]"), "hours[0].from", "INVALID"),
        (with("\"conditions\":{\"birthdayWithinDays\":184}"), "conditions.birthdayWithinDays", "INVALID"),
        (with("\"conditions\":{\"segments\":[\"a b\"]}"), "conditions.segments[0]", "INVALID"),
        (
            with("\"conditions\":{\"minimum\":{\"amount\":{\"amount\":1,\"currency\":\"USD\"},\"basis\":\"x\"}}"),
            "conditions.minimum.basis",
            "INVALID",
        ),
        (with("\"budget\":{\"uses\":-1}"), "budget.uses", "INVALID"),
        (with("\"budget\":{\"usesPerCustomer\":0}"), "budget.usesPerCustomer", "INVALID"),
        (with("\"budget\":{\"uses\":1000000001}"), "budget.uses", "INVALID"),
        (of("{\"kind\":\"free\"}"), "benefit.kind", "INVALID"),
        (of("{\"kind\":\"goods\"}"), "benefit.off", "REQUIRED"),
        (of("{\"kind\":\"goods\",\"off\":{}}"), "benefit.off.ratePpm", "REQUIRED"),
        (of("{\"kind\":\"goods\",\"off\":{\"ratePpm\":1000001}}"), "benefit.off.ratePpm", "INVALID"),
        (of("{\"kind\":\"goods\",\"off\":{\"ratePpm\":0.1}}"), "benefit.off.ratePpm", "WRONG_TYPE"),
        (
            of("{\"kind\":\"goods\",\"off\":{\"ratePpm\":1,\"price\":{\"amount\":1,\"currency\":\"USD\"}}}"),
            "benefit.off.ratePpm",
            "REQUIRED",
        ),
        (of("{\"kind\":\"goods\",\"of\":{\"any\":[{}]},\"off\":{\"ratePpm\":1}}"), "benefit.of.any[0].productId", "REQUIRED"),
        (
            of("{\"kind\":\"goods\",\"of\":{\"any\":[{\"format\":\"ebook\",\"productId\":\"x\"}]},\"off\":{\"ratePpm\":1}}"),
            "benefit.of.any[0].productId",
            "REQUIRED",
        ),
        (
            of("{\"kind\":\"goods\",\"of\":{\"any\":[{\"authorId\":\"cat_00000000000000000000000001\"}]},\"off\":{\"ratePpm\":1}}"),
            "benefit.of.any[0].authorId",
            "INVALID",
        ),
        (of(&format!("{{\"kind\":\"goods\",\"of\":{{\"any\":[{many}]}},\"off\":{{\"ratePpm\":1}}}}")), "benefit.of.any", "TOO_MANY"),
        (of("{\"kind\":\"bundle\",\"parts\":[],\"off\":{\"ratePpm\":1}}"), "benefit.parts", "REQUIRED"),
        (of("{\"kind\":\"bundle\",\"parts\":[{\"count\":0}],\"off\":{\"ratePpm\":1}}"), "benefit.parts[0].count", "INVALID"),
        (of("{\"kind\":\"tiers\",\"tiers\":[{\"from\":4294967296,\"off\":{\"ratePpm\":1}}]}"), "benefit.tiers[0].from", "INVALID"),
        (of("{\"kind\":\"gift\",\"variantId\":\"x\"}"), "benefit.variantId", "INVALID"),
        (of("{\"kind\":\"gift\",\"variantId\":null}"), "benefit.variantId", "REQUIRED"),
        (of("[]"), "benefit", "WRONG_TYPE"),
        (
            "{\"label\":\"a\",\"trigger\":\"always\",\"benefit\":{\"kind\":\"shipping\",\"off\":{\"ratePpm\":1}}}".into(),
            "trigger",
            "INVALID",
        ),
        (
            "{\"label\":\"a\",\"trigger\":{\"codes\":[\"a b\"]},\"benefit\":{\"kind\":\"shipping\",\"off\":{\"ratePpm\":1}}}".into(),
            "trigger.codes[0]",
            "INVALID",
        ),
        ("{\"label\":\"a\",\"trigger\":1,\"benefit\":{\"kind\":\"shipping\",\"off\":{\"ratePpm\":1}}}".into(), "trigger", "WRONG_TYPE"),
        (
            "{\"id\":\"a/b\",\"label\":\"a\",\"trigger\":\"automatic\",\"benefit\":{\"kind\":\"shipping\",\"off\":{\"ratePpm\":1}}}".into(),
            "id",
            "INVALID",
        ),
    ] {
        let faults = faults(RuleKind::Promotion, &body);
        assert!(faults.contains(&(field.to_owned(), code)), "{body}: {faults:?}");
    }
    for (kind, body, field, code) in [
        (RuleKind::TaxRate, "{\"tax\":\"VAT\",\"country\":\"de\",\"label\":\"a\",\"ratePpm\":1}", "country", "INVALID"),
        (RuleKind::TaxRate, "{\"tax\":\"VAT\",\"country\":\"DE\",\"label\":\"a\",\"ratePpm\":-1}", "ratePpm", "INVALID"),
        (
            RuleKind::TaxRate,
            "{\"tax\":\"VAT\",\"country\":\"DE\",\"label\":\"a\",\"ratePpm\":1,\"rounding\":\"up\"}",
            "rounding",
            "INVALID",
        ),
        (
            RuleKind::TaxRate,
            "{\"tax\":\"VAT\",\"country\":\"DE\",\"label\":\"a\",\"ratePpm\":1,\"postalCodes\":{\"from\":\"2\",\"to\":\"10\"}}",
            "postalCodes.to",
            "INVALID",
        ),
        (RuleKind::ShippingOption, "{\"label\":\"a\"}", "price", "REQUIRED"),
        (RuleKind::ShippingOption, "{\"label\":\"a\",\"byWeight\":[]}", "byWeight", "REQUIRED"),
        (
            RuleKind::ShippingOption,
            "{\"label\":\"a\",\"byWeight\":[{\"fromGrams\":-1,\"price\":{\"amount\":1,\"currency\":\"USD\"}}]}",
            "byWeight[0].fromGrams",
            "INVALID",
        ),
        (
            RuleKind::ShippingOption,
            "{\"label\":\"a\",\"price\":{\"amount\":1,\"currency\":\"USD\"},\"zones\":[{}]}",
            "zones[0].country",
            "REQUIRED",
        ),
        (
            RuleKind::ExchangeRate,
            "{\"from\":\"EUR\",\"to\":\"USD\",\"rate\":1.0825,\"since\":\"2026-01-01T00:00:00Z\"}",
            "rate",
            "WRONG_TYPE",
        ),
        (RuleKind::ExchangeRate, "{\"from\":\"EUR\",\"to\":\"XXX\",\"rate\":\"1\",\"since\":\"2026-01-01T00:00:00Z\"}", "to", "INVALID"),
        (RuleKind::Stacking, "{\"promotionsMax\":0}", "promotionsMax", "INVALID"),
        (RuleKind::Stacking, "{\"most\":1}", "most", "UNKNOWN_FIELD"),
    ] {
        let faults = faults(kind, body);
        assert!(faults.contains(&(field.to_owned(), code)), "{body}: {faults:?}");
    }
}
