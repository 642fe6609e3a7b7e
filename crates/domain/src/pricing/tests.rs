use super::*;
use crate::catalog::Offer;
use crate::ids::{PromotionId, Segment, TaxName};
use crate::money::{Nano, Ppm};
use crate::person::Country;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("USD").expect("a currency")).expect("in range")
}

fn text<const N: usize>(text: &str) -> Text<N> {
    Text::parse(text).expect("a short text")
}

fn code(text: &str) -> CouponCode {
    CouponCode::parse(text).expect("a code")
}

fn country(text: &str) -> Country {
    Country::parse(text).expect("a country")
}

fn to(place: &str) -> Destination {
    let (c, region) = place.split_once('-').map_or((place, None), |(c, r)| (c, Some(text(r))));
    Destination { region, ..Destination::country(country(c)) }
}

/// Editions 1, 2, … at these prices; a pair is (list, sale). Edition 9 is an e-book at 10.00.
fn offers(prices: &[(i64, Option<i64>)]) -> BTreeMap<EditionId, Offer> {
    let offer = |n: u128, list, unit, format| Offer {
        edition: EditionId(n),
        book: BookId(n),
        sku: Sku::parse(&format!("SKU-{n}")).expect("a sku"),
        title: text("A book"),
        image_url: None,
        format,
        list_price: usd(list),
        unit_price: usd(unit),
        available: 100,
        weight_g: 0,
        headings: Arc::default(),
    };
    let paper =
        prices.iter().zip(1u128..).map(|((list, sale), n)| (EditionId(n), offer(n, *list, sale.unwrap_or(*list), Format::Paperback)));
    paper.chain([(EditionId(9), offer(9, 1000, 1000, Format::Ebook))]).collect()
}

fn rules() -> Rules {
    let coupon = |name: &str, off| Promotion::coupon(code(name), text(name), Benefit::Goods { of: Target::default(), off });
    let rate = |place: &str, ppm, included, shipping_taxed| {
        let Destination { country, region, .. } = to(place);
        let place = Place { region, ..Place::country(country) };
        let tax = TaxName::parse("VAT").expect("a name");
        TaxRate { included, shipping_taxed, ..TaxRate::of(tax, place, text("Tax"), Ppm(ppm)) }
    };
    let option = |id: &str, price, free_from: Option<i64>, countries: &[&str]| ShippingOption {
        free_from: free_from.map(usd),
        zones: countries.iter().map(|c| Place::country(country(c))).collect(),
        ..ShippingOption::flat(ShippingOptionId::parse(id).expect("an id"), text(id), usd(price))
    };
    let minimum = Minimum { amount: usd(5000), basis: Basis::Subtotal };
    Rules::new(
        vec![
            coupon("TEN", Off::Rate(Ppm(100_000))),
            coupon("ALL", Off::Rate(Ppm(1_000_000))),
            coupon("FIVE", Off::Amount(usd(500))),
            coupon("BIG", Off::Amount(usd(1_000_000))),
            Promotion { needs: Needs { minimum: Some(minimum), ..Needs::default() }, ..coupon("MIN50", Off::Amount(usd(500))) },
            Promotion { window: Window { from: None, to: Some(Timestamp(10)) }, ..coupon("PAST", Off::Amount(usd(500))) },
            Promotion { window: Window { from: Some(Timestamp(1000)), to: None }, ..coupon("SOON", Off::Amount(usd(500))) },
        ],
        vec![
            rate("US-CA", 72_500, false, false),
            rate("DE", 70_000, true, true),
            rate("GB", 0, true, false),
            rate("CA", 50_000, false, true),
        ],
        vec![option("standard", 499, Some(3500), &["US", "DE"]), option("express", 1499, None, &["US"])],
    )
}

fn given(codes: &[&str], rules: &Rules) -> Vec<Given> {
    codes.iter().map(|c| rules.given(&code(c))).collect()
}

fn lines(quantities: &[(u128, i64)]) -> Vec<Line> {
    quantities.iter().map(|(n, q)| Line { edition: EditionId(*n), quantity: Quantity::new(*q).expect("a quantity") }).collect()
}

fn price(goods: &[(u128, i64)], codes: &[&str], place: Option<&str>, shipping: Option<&str>) -> Quote {
    let shipping = shipping.map(|s| ShippingOptionId::parse(s).expect("an id"));
    let context = Context { destination: place.map(to), shipping, ..Context::cart(usd(0).currency()) };
    let (rules, offers) = (rules(), offers(&[(1000, None), (2000, Some(1500)), (333, None)]));
    quote(&lines(goods), &given(codes, &rules), &offers, &rules, &context, Timestamp(100)).expect("in range")
}

#[test]
fn quotes_add_up_as_a_shopkeeper_would_by_hand() {
    // goods, codes, destination, shipping → subtotal, discount, shipping, tax, total, settled
    type Case<'a> = (&'a [(u128, i64)], &'a [&'a str], Option<&'a str>, Option<&'a str>, [i64; 5], bool);
    let cases: &[Case<'_>] = &[
        (&[], &[], None, None, [0, 0, 0, 0, 0], false),
        (&[(1, 1)], &[], None, None, [1000, 0, 0, 0, 1000], false),
        (&[(1, 2), (2, 1)], &[], None, None, [3500, 0, 0, 0, 3500], false),
        (&[(1, 1)], &["TEN"], None, None, [1000, 100, 0, 0, 900], false),
        (&[(3, 1)], &["TEN"], None, None, [333, 33, 0, 0, 300], false),
        (&[(1, 1)], &["TEN", "FIVE"], None, None, [1000, 600, 0, 0, 400], false),
        (&[(1, 1)], &["FIVE", "TEN"], None, None, [1000, 550, 0, 0, 450], false),
        (&[(1, 1)], &["BIG"], None, None, [1000, 1000, 0, 0, 0], false),
        (&[(1, 1)], &["ALL", "FIVE"], None, None, [1000, 1000, 0, 0, 0], false),
        (&[(1, 1)], &[], Some("US-CA"), None, [1000, 0, 499, 72, 1571], true), // 72.5 → even 72
        (&[(1, 1)], &[], Some("US-CA"), Some("express"), [1000, 0, 1499, 72, 2571], true),
        (&[(1, 1)], &[], Some("US"), None, [1000, 0, 499, 0, 1499], true),
        (&[(1, 4)], &[], Some("US"), None, [4000, 0, 0, 0, 4000], true),
        (&[(1, 1), (9, 3)], &[], Some("US"), None, [4000, 0, 0, 0, 4000], true), // e-books count for free shipping
        (&[(1, 4)], &["TEN"], Some("US"), None, [4000, 400, 0, 0, 3600], true),
        (&[(1, 4)], &["FIVE", "TEN"], Some("US"), None, [4000, 850, 499, 0, 3649], true),
        (&[(1, 1)], &[], Some("DE"), None, [1000, 0, 499, 98, 1499], true), // included: 65 + 33
        (&[(1, 1)], &[], Some("FR"), None, [1000, 0, 0, 0, 1000], false),   // nobody ships there
        (&[(1, 1)], &[], Some("DE"), Some("express"), [1000, 0, 0, 65, 1000], false), // not offered there
        (&[(9, 1)], &[], Some("CA"), None, [1000, 0, 0, 50, 1050], true),   // e-book: nothing to ship
        (&[(7, 1)], &[], None, None, [0, 0, 0, 0, 0], false),               // no such edition
    ];
    for (goods, codes, place, shipping, sums, settled) in cases {
        let q = price(goods, codes, *place, *shipping);
        let got = [q.subtotal, q.discount, q.shipping, q.tax, q.total].map(Money::minor);
        assert_eq!((got, q.settled), (*sums, *settled), "{goods:?} {codes:?} to {place:?} by {shipping:?}");
    }
}

#[test]
fn a_coupon_that_does_not_apply_says_why() {
    for (name, why) in [
        ("NOPE", WhyNot::Unknown),
        ("PAST", WhyNot::Ended { at: Timestamp(10) }),
        ("SOON", WhyNot::NotYet { from: Timestamp(1000) }),
        ("MIN50", WhyNot::BelowMinimum { minimum: usd(5000), have: Some(usd(1000)) }),
    ] {
        let q = price(&[(1, 1)], &[name], None, None);
        let why_not: Vec<_> = q.not_applied.into_iter().map(|n| (n.code, n.why)).collect();
        assert_eq!((why_not, q.discount), (vec![(Some(code(name)), why)], usd(0)), "{name}");
    }
    assert_eq!(price(&[(1, 1)], &["ALL", "TEN"], None, None).not_applied[0].why, WhyNot::NothingLeft);
}

#[test]
fn every_amount_has_its_reason() {
    let q = price(&[(2, 2)], &["TEN"], Some("US-CA"), None);
    let reasons: Vec<_> = q.adjustments.iter().map(|a| (a.code.as_str(), a.amount.minor(), a.reason.clone())).collect();
    assert_eq!(
        reasons,
        [
            ("SALE", -1000, Reason::Sale { list: usd(4000) }),
            ("TEN", -300, Reason::Percentage { rate: Ppm(100_000), of: usd(3000) }),
            ("standard", 499, Reason::ShippingPrice),
            ("US-CA", 196, Reason::Tax { rate: Ppm(72_500), of: usd(2700), included: false }),
        ]
    );
}

/// Everybody's promotions on editions at 10.00, 20.00 (15.00 on sale) and 3.33.
fn promote(promotions: &[Promotion], goods: &[(u128, i64)], context: &Context) -> Quote {
    let rules = Rules::new(promotions.to_vec(), Vec::new(), rules().shipping().to_vec());
    let offers = offers(&[(1000, None), (2000, Some(1500)), (333, None)]);
    quote(&lines(goods), &[], &offers, &rules, context, Timestamp(100)).expect("in range")
}

fn automatic(id: &str, benefit: Benefit) -> Promotion {
    Promotion::automatic(PromotionId::parse(id).expect("an id"), text(id), benefit)
}

fn of_each(off: Off) -> Benefit {
    Benefit::Each { of: Target::default(), off }
}

fn whys(quote: &Quote) -> Vec<WhyNot> {
    quote.not_applied.iter().map(|n| n.why.clone()).collect()
}

#[test]
fn a_promotion_that_depends_on_who_buys_says_so() {
    let who = Who(*b"0123456789abcdef");
    let tenth = || automatic("TENTH", of_each(Off::Rate(Ppm(100_000))));
    let first = Promotion {
        needs: Needs { first_order: true, ..Needs::default() },
        budget: Budget { uses_each: Some(2), ..Budget::default() },
        ..tenth()
    };
    let gold = Promotion { needs: Needs { segments: vec![Segment::parse("gold").expect("a segment")], ..Needs::default() }, ..tenth() };
    let known = Shopper { who: Some(who), orders: Some(0), ..Shopper::default() };
    let used = Usage([(Counter::UsesBy(first.id.clone(), who), 1)].into());
    for (promotion, shopper, usage, expected) in [
        (&first, known.clone(), used, vec![WhyNot::UsedByShopper]), // a first order is there once, whatever the limit
        (&first, known.clone(), Usage::default(), vec![]),
        (&first, Shopper::default(), Usage::default(), vec![WhyNot::NeedsCustomer]),
        (&gold, known, Usage::default(), vec![WhyNot::NotInSegment]),
        (&gold, Shopper::default(), Usage::default(), vec![WhyNot::NeedsCustomer]),
    ] {
        let context = Context { shopper: shopper.clone(), usage, ..Context::cart(usd(0).currency()) };
        let q = promote(std::slice::from_ref(promotion), &[(1, 1)], &context);
        assert_eq!(whys(&q), expected, "{promotion:?} for {shopper:?}");
    }
}

#[test]
fn an_amount_of_a_rule_may_be_any_amount() {
    let most = usd(crate::limits::AMOUNT_MAX);
    let set = Part { of: Target::default(), count: 1 };
    for (benefit, discount) in [
        (of_each(Off::Amount(most)), 2000),
        (of_each(Off::Price(most)), 0),
        (Benefit::Bundle { parts: vec![set], off: Off::Amount(most), times_max: None }, 2000),
    ] {
        let q = promote(&[automatic("ANY", benefit.clone())], &[(1, 2)], &Context::cart(usd(0).currency()));
        assert_eq!(q.discount, usd(discount), "{benefit:?}");
    }
}

#[test]
fn copies_count_by_what_they_are_worth_whatever_line_they_are_on() {
    // 4000 less 0.025 % is 3999 on each of two lines of four: copies at 1000, 1000, 1000 and 999, twice.
    let less = || automatic("A", of_each(Off::Rate(Ppm(250))));
    let all = Target::default;
    let sets = Benefit::Bundle { parts: vec![Part { of: all(), count: 1 }], off: Off::Price(usd(999)), times_max: Some(7) };
    let two = Benefit::BuyGet { buy: all(), buy_count: 1, get: all(), get_count: 1, off: Ppm::ONE, times_max: Some(2) };
    for (benefit, discount) in [(sets, 2 + 6), (two, 2 + 2 * 999)] {
        let offers = offers(&[(1000, None), (1000, None)]);
        let rules = Rules::new(vec![less(), automatic("B", benefit.clone())], Vec::new(), Vec::new());
        let q = quote(&lines(&[(1, 4), (2, 4)]), &[], &offers, &rules, &Context::cart(usd(0).currency()), Timestamp(100));
        assert_eq!(q.expect("in range").discount, usd(discount), "{benefit:?}");
    }
}

#[test]
fn an_exclusive_promotion_for_shipping_that_cannot_hold_excludes_nobody() {
    let minimum = Minimum { amount: usd(5000), basis: Basis::Discounted };
    let alone = Promotion {
        stacking: Stacking::Exclusive,
        needs: Needs { minimum: Some(minimum), ..Needs::default() },
        ..automatic("ALONE", Benefit::Shipping { off: Off::Rate(Ppm::ONE) })
    };
    let less = automatic("LESS", Benefit::Shipping { off: Off::Amount(usd(100)) });
    let context = Context { destination: Some(to("US")), ..Context::cart(usd(0).currency()) };
    let q = promote(&[alone, less], &[(1, 1)], &context);
    assert_eq!((q.shipping, whys(&q)), (usd(399), vec![WhyNot::BelowMinimum { minimum: usd(5000), have: Some(usd(1000)) }]));
}

#[test]
fn a_gift_is_converted_like_other_goods_and_not_added_when_it_is_worth_nothing() {
    let gift = || automatic("GIFT", Benefit::Gift { edition: EditionId(3) });
    let euro = Currency::parse("EUR").expect("a currency");
    // 3.33 dollars at 0.5 are 1.665 euros, half even; at 0.001 they are none.
    for (rate, subtotal, discount, expected) in [(500_000_000, 666, 166, vec![]), (1_000_000, 1, 0, vec![WhyNot::NothingLeft])] {
        let rate = ExchangeRate { from: usd(0).currency(), to: euro, rate: Nano(rate), since: Timestamp(0), source: None };
        let rules = Rules::new(vec![gift()], Vec::new(), Vec::new()).with_rates(vec![rate.clone()]);
        let offers = offers(&[(1000, None), (1000, None), (333, None)]);
        let q = quote(&lines(&[(1, 1)]), &[], &offers, &rules, &Context::cart(euro), Timestamp(100)).expect("in range");
        assert_eq!((q.subtotal.minor(), q.discount.minor(), whys(&q)), (subtotal, discount, expected), "{rate:?}");
    }
}

/// 10.00 to the US, where prices contain 5 % that does not touch shipping and 10 % that does.
fn with_two_taxes_inside(shopper: Shopper) -> Quote {
    let rate = |name: &str, ppm, shipping_taxed| {
        let tax = TaxName::parse(name).expect("a name");
        TaxRate { included: true, shipping_taxed, ..TaxRate::of(tax, Place::country(country("US")), text(name), Ppm(ppm)) }
    };
    let rules = Rules::new(Vec::new(), vec![rate("GST", 50_000, false), rate("VAT", 100_000, true)], rules().shipping().to_vec());
    let context = Context { destination: Some(to("US")), shopper, ..Context::cart(usd(0).currency()) };
    quote(&lines(&[(1, 1)]), &[], &offers(&[(1000, None)]), &rules, &context, Timestamp(100)).expect("in range")
}

#[test]
fn the_price_of_shipping_contains_only_the_taxes_that_touch_it() {
    let q = with_two_taxes_inside(Shopper::default());
    let taxes: Vec<_> = q.adjustments.iter().filter(|a| a.kind == AdjustmentKind::Tax).map(|a| a.amount.minor()).collect();
    // 1000 × 5 ÷ 115, 1000 × 10 ÷ 115, and of shipping 499 × 10 ÷ 110
    assert_eq!((taxes, q.tax), (vec![43, 87, 45], usd(175)));
}

#[test]
fn an_exemption_from_several_taxes_is_one_discount_of_the_goods() {
    let q = with_two_taxes_inside(Shopper { tax_exempt: true, ..Shopper::default() });
    let exemptions = q.adjustments.iter().filter(|a| a.code == "EXEMPT");
    let told: Vec<_> = exemptions.map(|a| (a.kind, a.amount.minor(), a.shares.clone(), a.reason.clone())).collect();
    let item = ItemId::from(EditionId(1));
    let expected = [
        (AdjustmentKind::Shipping, -45, vec![], Reason::Exempt { of: usd(499) }),
        (AdjustmentKind::Exemption, -130, vec![(item, usd(-130))], Reason::Exempt { of: usd(1000) }),
    ];
    assert_eq!((told.as_slice(), q.total), (expected.as_slice(), usd(1000 - 130 + 499 - 45)));
}

#[test]
fn what_spending_earns_is_told_of_what_is_left() {
    let tiers = vec![Tier { from: usd(1000), off: Off::Rate(Ppm(100_000)) }];
    let promotions = [automatic("A", of_each(Off::Amount(usd(100)))), automatic("B", Benefit::Spend { tiers })];
    let q = promote(&promotions, &[(1, 1)], &Context::cart(usd(0).currency()));
    let spent = q.adjustments.into_iter().find(|a| a.code == "B").map(|a| (a.amount, a.reason));
    assert_eq!(spent, Some((usd(-90), Reason::Spend { from: usd(1000), off: Off::Rate(Ppm(100_000)), of: usd(900) })));
}

proptest! {
    #[test]
    fn a_quote_is_the_sum_of_its_parts(
        goods in proptest::collection::vec((1u128..5, 1i64..=999), 0..12),
        prices in proptest::collection::vec((1i64..100_000, proptest::option::of(1i64..100_000)), 4),
        codes in proptest::collection::vec(proptest::sample::select(vec!["TEN", "ALL", "FIVE", "BIG", "MIN50", "NOPE"]), 0..4),
        place in proptest::option::of(proptest::sample::select(vec!["US-CA", "US", "DE", "GB", "CA", "FR"])),
    ) {
        let prices: Vec<_> = prices.into_iter().map(|(list, sale)| (list, sale.map(|s| s.min(list)))).collect();
        let context = Context { destination: place.map(to), ..Context::cart(usd(0).currency()) };
        let rules = rules();
        let q = quote(&lines(&goods), &given(&codes, &rules), &offers(&prices), &rules, &context, Timestamp(100)).expect("in range");
        let sum = |f: fn(&QuotedLine) -> Money| Money::sum(q.currency, q.lines.iter().map(f)).expect("in range");
        prop_assert_eq!(sum(|l| l.total), q.subtotal);
        prop_assert_eq!(sum(|l| l.discount), q.discount);
        prop_assert!(q.lines.iter().all(|l| (0..=l.total.minor()).contains(&l.discount.minor())));
        let on_top = if q.tax_included { 0 } else { q.tax.minor() };
        prop_assert_eq!(q.subtotal.minor() - q.discount.minor() + q.shipping.minor() + on_top, q.total.minor());
        let coupons: i64 = q.adjustments.iter().filter(|a| a.kind == AdjustmentKind::Coupon).map(|a| a.amount.minor()).sum();
        prop_assert_eq!(-coupons, q.discount.minor());
        prop_assert!(q.total.minor() >= 0);
    }

    /// A provider with the shop's own table says what the table says.
    #[test]
    fn an_assessment_by_the_table_is_what_the_table_comes_to(
        goods in proptest::collection::btree_map(1u128..5, 1i64..=99, 1..5),
        prices in proptest::collection::vec((1i64..100_000, Just(None)), 4),
        place in proptest::sample::select(vec!["US-CA", "US", "DE", "GB", "CA", "FR"]),
        estimated in any::<bool>(),
    ) {
        let context = Context { destination: Some(to(place)), ..Context::cart(usd(0).currency()) };
        let (rules, offers, now) = (rules(), offers(&prices), Timestamp(100));
        let goods: Vec<_> = goods.into_iter().collect();
        let priced = |context: &Context| quote(&lines(&goods), &given(&["TEN"], &rules), &offers, &rules, context, now).expect("in range");
        let by_table = priced(&context);
        let goods = Taxable::of(&by_table, &to(place)).expect("in range").expect("goods");
        let assessed = Assessed { estimated, ..goods.at(rules.taxes(), now).expect("in range") };
        prop_assert_eq!(assessed.check(&goods), Ok(()));
        let q = priced(&Context { assessed: Some(assessed.clone()), ..context.clone() });
        prop_assert_eq!((&q.lines, q.tax, q.total, q.tax_included), (&by_table.lines, by_table.tax, by_table.total, by_table.tax_included));
        prop_assert_eq!(q.tax_estimated, estimated);
        let exempt = Context { assessed: Some(assessed), shopper: Shopper { tax_exempt: true, ..Shopper::default() }, ..context };
        prop_assert_eq!(priced(&exempt).tax, usd(0));
    }
}

#[test]
fn ways_to_ship_are_offered_to_the_exempt_at_the_price_they_are_quoted_at() {
    let rules = rules();
    let offers = offers(&[(3500, None)]);
    for (tax_exempt, total) in [(false, 3500), (true, 3500 - 229)] {
        let shopper = Shopper { tax_exempt, ..Shopper::default() };
        let context = Context { destination: Some(to("DE")), shopper, ..Context::cart(usd(0).currency()) };
        let q = quote(&lines(&[(1, 1)]), &[], &offers, &rules, &context, Timestamp(100)).expect("in range");
        let [standard] = rules.shipping_to(&to("DE"), usd(0).currency())[..] else { panic!("one way goes there") };
        let offered = standard.price_for(&q.parcels().expect("in range")).expect("in range");
        assert_eq!((q.total, q.shipping, offered), (usd(total), usd(0), usd(0)), "free from 35.00, exempt: {tax_exempt}");
    }
}
