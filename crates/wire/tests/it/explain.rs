//! An explanation says everything: what it says adds up to what is paid.

use crate::golden::{check, text, usd};
use domain::catalog::{Format, Offer};
use domain::ids::{BookId, CouponCode, EditionId, PromotionGroup, PromotionId, ShippingOptionId, Sku, TaxName};
use domain::money::{Money, Ppm};
use domain::person::Country;
use domain::pricing::{
    Assessed, Basis, Benefit, Budget, Context, Counter, Destination, Due, Given, Line, Minimum, Needs, Off, Part, Place, Promotion, Quote,
    QuotedLine, Rules, Selector, ShippingOption, Shopper, Stacking, Target, TaxRate, Tier, Trigger, Usage, Who, Window, quote,
};
use domain::quantity::Quantity;
use domain::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use wire::explain::{Audience, Explained};
use wire::{QuoteBody, TotalsBody};

const NOW: Timestamp = Timestamp(1_750_000_000_000_000);

fn offers() -> BTreeMap<EditionId, Offer> {
    let offer = |n: u128, title: &str, format, list: i64, unit: i64| Offer {
        edition: EditionId(n),
        book: BookId(n),
        sku: Sku::parse(&format!("SKU-{n}")).expect("a sku"),
        title: text(title),
        image_url: None,
        format,
        list_price: usd(list),
        unit_price: usd(unit),
        available: 100,
        weight_g: 350,
        headings: Arc::default(),
    };
    let offers = [
        offer(1, "Dune", Format::Paperback, 1499, 1299),
        offer(2, "Emma", Format::Hardcover, 2333, 2333),
        offer(3, "Ulysses", Format::Ebook, 850, 850),
        offer(4, "Walden", Format::Paperback, 700, 699),
        offer(5, "A bookmark", Format::Paperback, 250, 250),
    ];
    offers.into_iter().map(|o| (o.edition, o)).collect()
}

fn off(ppm: u32) -> Off {
    Off::Rate(Ppm(ppm))
}

fn only(edition: u128) -> Target {
    Target { any: vec![Selector::Edition(EditionId(edition))], ..Target::default() }
}

fn automatic(id: &str, benefit: Benefit) -> Promotion {
    Promotion::automatic(PromotionId::parse(id).expect("an id"), text(id), benefit)
}

fn coupon(code: &str, benefit: Benefit) -> Promotion {
    Promotion::coupon(CouponCode::parse(code).expect("a code"), text(code), benefit)
}

fn below(amount: i64, basis: Basis) -> Needs {
    Needs { minimum: Some(Minimum { amount: usd(amount), basis }), ..Needs::default() }
}

/// One of everything.
fn promotions() -> Vec<Promotion> {
    let all = Target::default;
    let group = || Stacking::BestOf(PromotionGroup::parse("group").expect("a group"));
    let tiers = vec![Tier { from: 3, off: off(100_000) }, Tier { from: 6, off: Off::Price(usd(500)) }];
    let spend = vec![Tier { from: usd(4000), off: off(50_000) }, Tier { from: usd(8000), off: Off::Amount(usd(1000)) }];
    let three_for_two = Benefit::BuyGet { buy: all(), buy_count: 2, get: all(), get_count: 1, off: Ppm::ONE, times_max: Some(3) };
    let pair = vec![Part { of: only(1), count: 1 }, Part { of: only(2), count: 1 }];
    vec![
        automatic("each", Benefit::Each { of: only(2), off: Off::Amount(usd(133)) }),
        automatic("full-price", Benefit::Each { of: Target { full_price_only: true, ..all() }, off: off(33_333) }),
        automatic("tiers", Benefit::Tiers { of: all(), tiers }),
        automatic("three-for-two", three_for_two),
        automatic("pair", Benefit::Bundle { parts: pair, off: Off::Price(usd(2999)), times_max: None }),
        Promotion { needs: below(5000, Basis::Discounted), ..automatic("spend", Benefit::Spend { tiers: spend }) },
        Promotion { cap: Some(usd(250)), ..automatic("capped", Benefit::Goods { of: all(), off: off(200_000) }) },
        Promotion { stacking: group(), ..automatic("best-a", Benefit::Goods { of: only(1), off: off(150_000) }) },
        Promotion { stacking: group(), ..automatic("best-b", Benefit::Each { of: all(), off: off(20_000) }) },
        Promotion { needs: below(3000, Basis::Subtotal), ..automatic("gift", Benefit::Gift { edition: EditionId(5) }) },
        automatic("shipping", Benefit::Shipping { off: Off::Amount(usd(99)) }),
        Promotion { window: Window { from: Some(NOW), to: Some(NOW) }, ..automatic("over", Benefit::Goods { of: all(), off: off(1) }) },
        Promotion { stacking: Stacking::Exclusive, ..automatic("alone", Benefit::Goods { of: only(4), off: off(900_000) }) },
        coupon("TEN", Benefit::Goods { of: all(), off: off(100_000) }),
        coupon("FIVE", Benefit::Goods { of: all(), off: Off::Amount(usd(500)) }),
        coupon("WALDEN", Benefit::Gift { edition: EditionId(4) }),
        Promotion {
            budget: Budget { amount: Some(usd(1000)), ..Budget::default() },
            ..coupon("LAST", Benefit::Each { of: all(), off: Off::Price(usd(1)) })
        },
        coupon("SHIP", Benefit::Shipping { off: off(1_000_000) }),
        Promotion { needs: Needs { first_order: true, ..Needs::default() }, ..coupon("FIRST", Benefit::Goods { of: all(), off: off(1) }) },
    ]
}

fn codes(promotions: &[Promotion]) -> Vec<CouponCode> {
    let named = promotions.iter().filter_map(|p| if let Trigger::Codes(codes) = &p.trigger { codes.first().cloned() } else { None });
    named.chain([CouponCode::parse("NOPE").expect("a code")]).collect()
}

fn rules(promotions: Vec<Promotion>) -> Rules {
    let rate = |country: &str, tax: &str, ppm, included, shipping_taxed| {
        let place = Place::country(Country::parse(country).expect("a country"));
        let tax = TaxRate::of(TaxName::parse(tax).expect("a name"), place, text(tax), Ppm(ppm));
        TaxRate { included, shipping_taxed, ..tax }
    };
    let taxes = vec![
        rate("US", "SALES", 82_500, false, false),
        rate("CA", "GST", 50_000, false, true),
        rate("CA", "PST", 70_000, false, false),
        rate("DE", "VAT", 70_000, true, true),
    ];
    let standard = ShippingOption::flat(ShippingOptionId::parse("standard").expect("an id"), text("Standard"), usd(499));
    Rules::new(promotions, taxes, vec![ShippingOption { free_from: Some(usd(9000)), ..standard }])
}

struct Asked {
    lines: Vec<Line>,
    promotions: Vec<Promotion>,
    codes: Vec<CouponCode>,
    country: Option<&'static str>,
    tax_exempt: bool,
    stack_max: Option<u32>,
    /// Whether a tax provider says what is due, and that it is inside the prices.
    assessed: Option<bool>,
}

/// A tenth of everything, and nothing, as a tax provider might say.
fn assessed(quote: &Quote, included: bool) -> Assessed {
    let tenth = |amount: Money| Money::new(amount.minor() / 10, amount.currency()).expect("in range");
    let left = |line: &QuotedLine| line.total.minus(line.discount).expect("in range");
    let lines = quote.lines.iter().map(|line| (line.item, tenth(left(line)))).collect();
    let due = Due { code: text("X"), label: text("Due"), rate: None, lines, shipping: tenth(quote.shipping) };
    let nothing = Due { code: text("Y"), label: text("Not due"), rate: Some(Ppm(0)), lines: vec![], shipping: usd(0) };
    Assessed { included, taxes: vec![due, nothing], estimated: false }
}

fn priced(asked: Asked) -> Quote {
    let rules = rules(asked.promotions).with_stack_max(asked.stack_max);
    let given: Vec<Given> = asked.codes.iter().map(|code| rules.given(code)).collect();
    let spent = Counter::Spent(PromotionId::parse("LAST").expect("an id"));
    let shopper = Shopper { who: Some(Who([1; 16])), orders: Some(1), tax_exempt: asked.tax_exempt, ..Shopper::default() };
    let context = Context {
        destination: asked.country.map(|c| Destination::country(Country::parse(c).expect("a country"))),
        shopper,
        usage: Usage(BTreeMap::from([(spent, 300)])),
        ..Context::cart(usd(0).currency())
    };
    let priced = |context: &Context| quote(&asked.lines, &given, &offers(), &rules, context, NOW).expect("in range");
    let by_table = priced(&context);
    match asked.assessed.filter(|_| asked.country.is_some()) {
        Some(included) => priced(&Context { assessed: Some(assessed(&by_table, included)), ..context }),
        None => by_table,
    }
}

fn line(edition: u128, quantity: i64) -> Line {
    Line { edition: EditionId(edition), quantity: Quantity::new(quantity).expect("a quantity") }
}

fn asked() -> impl Strategy<Value = Asked> {
    let lines = vec(0..=7i64, 4).prop_map(|n| (1..).zip(n).filter(|(_, n)| *n > 0).map(|(edition, n)| line(edition, n)).collect());
    let promotions = promotions();
    let codes = codes(&promotions);
    let chosen =
        (prop::sample::subsequence(promotions.clone(), 0..=promotions.len()), prop::sample::subsequence(codes, 0..=5).prop_shuffle());
    let country = prop::sample::select(vec![None, Some("US"), Some("CA"), Some("DE"), Some("FR")]);
    let stack_max = prop::option::weighted(0.2, 1..6u32);
    let told = prop::option::weighted(0.3, any::<bool>());
    let all = (lines, chosen, country, any::<bool>(), stack_max, told);
    all.prop_map(|(lines, (promotions, codes), country, tax_exempt, stack_max, assessed)| Asked {
        lines,
        promotions,
        codes,
        country,
        tax_exempt,
        stack_max,
        assessed,
    })
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.promotions.iter().map(|p| p.id.as_str()).collect();
        let Self { lines, codes, country, tax_exempt, stack_max, assessed, .. } = self;
        write!(f, "{lines:?} {names:?} {codes:?} {country:?} {tax_exempt} {stack_max:?} {assessed:?}")
    }
}

fn minor(value: &Value) -> i64 {
    value["amount"].as_i64().unwrap_or_else(|| panic!("an amount: {value}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn explained(quote: &Quote, audience: Audience) -> Value {
    serde_json::to_value(Explained::of(QuoteBody::from(quote), quote, Some(audience))).expect("JSON")
}

/// Adds up what the explanation says, by what its lines are about.
fn sums(explanation: &Value) -> Result<Value, String> {
    let (mut running, mut sums) = (0, BTreeMap::<&str, i64>::new());
    for step in list(&explanation["steps"]) {
        let mut changed = 0;
        for line in list(&step["lines"]) {
            let amount = minor(&line["amount"]);
            let parts: i64 = list(&line["items"]).iter().map(|item| minor(&item["amount"])).sum();
            let shipping = line.get("shipping").map_or(0, minor);
            if !list(&line["items"]).is_empty() && parts + shipping != amount {
                return Err(format!("parts of {line}"));
            }
            let of = match line["kind"].as_str().unwrap_or_default() {
                "item" => "subtotal",
                "sale" => "sale",
                "promotion" | "coupon" | "exemption" => "discount",
                "shipping" => "shipping",
                "tax" => "tax",
                other => return Err(format!("a line of kind {other}")),
            };
            *sums.entry(of).or_default() += amount;
            changed += if line["included"] == true { 0 } else { amount };
        }
        running += changed;
        if (minor(&step["amount"]), minor(&step["subtotal"])) != (changed, running) {
            return Err(format!("{running} after {step}"));
        }
    }
    let sum = |of| sums.get(of).copied().unwrap_or(0);
    Ok(serde_json::json!([sum("subtotal"), -sum("discount"), sum("shipping"), sum("tax"), running]))
}

/// The order of steps in which a quote is computed.
const STEPS: [&str; 7] = ["goods", "items", "cart", "codes", "gifts", "shipping", "tax"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn the_totals_follow_from_the_explanation_alone(asked in asked()) {
        let quote = priced(asked);
        let body = explained(&quote, Audience::Shopkeeper);
        let explanation = &body["explanation"];
        let totals = serde_json::json!(["subtotal", "discount", "shipping", "tax", "total"].map(|of| minor(&body[of])));
        prop_assert_eq!(sums(explanation), Ok(totals), "{}", explanation);
        prop_assert_eq!(minor(&explanation["total"]["amount"]), quote.total.minor());
        let steps: Vec<_> = list(&explanation["steps"]).iter().map(|s| STEPS.iter().position(|name| s["step"] == *name)).collect();
        prop_assert!(steps.iter().all(Option::is_some) && steps.is_sorted(), "{:?}", steps);
        // Nothing that happened is left out, nor anything that did not.
        let told = list(&explanation["steps"]).iter().flat_map(|s| list(&s["lines"])).count();
        prop_assert_eq!(told, quote.lines.len() + quote.adjustments.len());
        prop_assert_eq!(list(&explanation["notApplied"]).len(), quote.not_applied.len());
        // What it says of each item is what the item bears.
        for line in &quote.lines {
            let of = |kinds: &[&str]| -> i64 {
                let lines = list(&explanation["steps"]).iter().flat_map(|s| list(&s["lines"])).filter(|l| kinds.contains(&l["kind"].as_str().unwrap_or_default()));
                let items = lines.flat_map(|l| list(&l["items"])).filter(|item| item["itemId"] == line.item.to_string());
                items.map(|item| minor(&item["amount"])).sum()
            };
            let bears = (of(&["item"]), -of(&["promotion", "coupon", "exemption"]), of(&["tax"]));
            prop_assert_eq!(bears, (line.total.minor(), line.discount.minor(), line.tax.minor()), "{}", line.title);
        }
    }

    #[test]
    fn an_explanation_changes_nothing_else(asked in asked()) {
        let quote = priced(asked);
        let mut body = explained(&quote, Audience::Shopper);
        body.as_object_mut().expect("an object").remove("explanation");
        prop_assert_eq!(&body, &serde_json::to_value(QuoteBody::from(&quote)).expect("JSON"));
        let plain = serde_json::to_value(Explained::of(TotalsBody::from(&quote), &quote, None)).expect("JSON");
        prop_assert_eq!(plain, serde_json::to_value(TotalsBody::from(&quote)).expect("JSON"));
    }
}

#[test]
fn a_shopper_does_not_hear_what_a_shop_keeps_to_itself() {
    let promotions = || promotions().into_iter().filter(|p| ["over", "gift", "TEN"].contains(&p.id.as_str())).collect::<Vec<_>>();
    let asked = |promotions| Asked {
        lines: vec![line(1, 1)],
        promotions,
        codes: vec![CouponCode::parse("NOPE").expect("a code")],
        country: None,
        tax_exempt: false,
        stack_max: None,
        assessed: None,
    };
    let quote = priced(asked(promotions()));
    let told = |audience| -> Vec<String> {
        let body = explained(&quote, audience);
        let name = |not: &Value| not.get("code").or(not.get("promotionId")).and_then(Value::as_str).unwrap_or_default().to_owned();
        list(&body["explanation"]["notApplied"]).iter().map(name).collect()
    };
    assert_eq!(told(Audience::Shopkeeper), ["NOPE", "over", "gift"]);
    assert_eq!(told(Audience::Shopper), ["NOPE", "gift"]);
}

#[test]
fn an_explanation() {
    let quote = priced(Asked {
        lines: vec![line(1, 3), line(2, 1), line(3, 1)],
        promotions: promotions().into_iter().filter(|p| !["alone", "best-a", "best-b", "tiers"].contains(&p.id.as_str())).collect(),
        codes: ["TEN", "LAST", "FIRST", "NOPE"].map(|code| CouponCode::parse(code).expect("a code")).to_vec(),
        country: Some("US"),
        tax_exempt: false,
        stack_max: None,
        assessed: None,
    });
    check("explanation.json", &Explained::of(QuoteBody::from(&quote), &quote, Some(Audience::Shopkeeper)));
}

#[test]
fn what_is_missing_is_an_amount() {
    let promotions = promotions().into_iter().filter(|p| p.id.as_str() == "gift").collect();
    let quote = priced(Asked {
        lines: vec![line(1, 1)],
        promotions,
        codes: vec![],
        country: None,
        tax_exempt: false,
        stack_max: None,
        assessed: None,
    });
    let body = explained(&quote, Audience::Shopper);
    let not = &body["explanation"]["notApplied"][0];
    assert_eq!(not["reason"], "It needs goods worth 30.00 USD; there are 12.99 USD.");
    assert_eq!(minor(&not["missing"]), 3000 - 1299);
}
