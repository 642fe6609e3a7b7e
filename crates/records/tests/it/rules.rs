//! Rules with every variant somewhere, and a property over rules nobody thought of.

use domain::catalog::{Format, HeadingId, HeadingKind};
use domain::ids::{BookId, CouponCode, CustomerId, EditionId, PromotionGroup, PromotionId, Segment, ShippingOptionId, TaxName, Version};
use domain::money::{Currency, Money, Nano, Ppm, Rounding};
use domain::order::Actor;
use domain::person::Country;
use domain::pricing::{
    Audited, Basis, Benefit, Budget, Deed, ExchangeRate, Hours, Kept, Level, Minimum, Needs, Off, Part, Place, PostalRange, PriceLine,
    Promotion, Rule, RuleId, RuleKey, Scale, Selector, ShippingOption, ShippingStep, Stacking, Target, TaxRate, Tier, Trigger, Why, Window,
};
use domain::text::Text;
use domain::time::Timestamp;
use proptest::prelude::*;

const fn at(seconds: i64) -> Timestamp {
    Timestamp(1_750_000_000_123_456 + seconds * 1_000_000)
}

fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::parse(text).expect("a text")
}

fn euro() -> Currency {
    Currency::parse("EUR").expect("a currency")
}

fn money(minor: i64) -> Money {
    Money::new(minor, euro()).expect("an amount")
}

fn targets() -> Target {
    let heading = |kind, bits| Selector::Heading(HeadingId { kind, bits });
    Target {
        any: vec![
            Selector::Edition(EditionId(1)),
            Selector::Book(BookId(2)),
            heading(HeadingKind::Author, 3),
            heading(HeadingKind::Category, 4),
            heading(HeadingKind::Publisher, 5),
        ],
        except: vec![Selector::Format(Format::Audiobook)],
        full_price_only: true,
    }
}

fn benefits() -> Vec<Benefit> {
    let (of, part) = (targets, |count| Part { of: targets(), count });
    vec![
        Benefit::Each { of: of(), off: Off::Price(money(499)) },
        Benefit::Tiers {
            of: of(),
            tiers: vec![Tier { from: 3, off: Off::Rate(Ppm(50_000)) }, Tier { from: 10, off: Off::Amount(money(100)) }],
        },
        Benefit::BuyGet { buy: of(), buy_count: 2, get: Target::default(), get_count: 1, off: Ppm::ONE, times_max: Some(4) },
        Benefit::Bundle { parts: vec![part(1), part(2)], off: Off::Price(money(2_000)), times_max: None },
        Benefit::Gift { edition: EditionId(9) },
        Benefit::Goods { of: of(), off: Off::Amount(money(700)) },
        Benefit::Spend { tiers: vec![Tier { from: money(5_000), off: Off::Rate(Ppm(100_000)) }] },
        Benefit::Shipping { off: Off::Rate(Ppm::ONE) },
    ]
}

/// Something in every field.
fn promotion(n: usize, benefit: Benefit) -> Promotion {
    Promotion {
        id: PromotionId::parse(&format!("P-{n}")).expect("an id"),
        label: text("Spring – 10 % off"),
        active: n != 1,
        trigger: if n == 2 { Trigger::Automatic } else { Trigger::Codes(vec![CouponCode::parse("SPRING_10").expect("a code")]) },
        benefit,
        needs: Needs {
            minimum: Some(Minimum { amount: money(2_500), basis: if n == 3 { Basis::Discounted } else { Basis::Subtotal } }),
            copies: Some(Part { of: targets(), count: 2 }),
            segments: vec![Segment::parse("gold").expect("a segment")],
            first_order: true,
            birthday_within_days: Some(3),
            expression: Some(text("cart.items > 3")),
        },
        window: Window { from: Some(at(0)), to: Some(at(60)) },
        hours: vec![Hours { weekday: 5, from_minute: 960, to_minute: 1_080 }],
        priority: -7,
        stacking: match n {
            4 => Stacking::BestOf(PromotionGroup::parse("spring").expect("a group")),
            5 => Stacking::Exclusive,
            _ => Stacking::Combine,
        },
        cap: Some(money(1_000)),
        budget: Budget { uses: Some(100), uses_each: Some(1), amount: Some(money(100_000)) },
    }
}

fn place() -> Place {
    Place {
        region: Some(text("CA")),
        city: Some(text("San Francisco")),
        postal: PostalRange::new("94100", "94199"),
        ..Place::country(Country::parse("US").expect("a country"))
    }
}

fn tax(rounding: Rounding, level: Level) -> TaxRate {
    let tax = TaxName::parse("SALES").expect("a name");
    TaxRate {
        formats: vec![Format::Ebook],
        included: true,
        shipping_taxed: true,
        rounding,
        level,
        window: Window { from: Some(at(0)), to: None },
        source: Some(text("cdtfa.ca.gov, 2025-10-01")),
        ..TaxRate::of(tax, place(), text("Sales tax"), Ppm(72_500))
    }
}

fn shipping(scale: Scale) -> ShippingOption {
    let flat = ShippingOption::flat(ShippingOptionId::parse("standard").expect("an id"), text("Standard"), money(499));
    ShippingOption { zones: vec![place()], scale, free_from: Some(money(3_500)), per_parcel: true, active: false, ..flat }
}

fn rules() -> Vec<Rule> {
    let steps = vec![ShippingStep { from: 0, price: money(499) }, ShippingStep { from: 2_000, price: money(999) }];
    let by_amount = vec![ShippingStep { from: money(0), price: money(499) }];
    let rate = ExchangeRate {
        from: euro(),
        to: Currency::parse("JPY").expect("a currency"),
        rate: Nano(162_400_000_000),
        since: at(0),
        source: Some(text("ECB")),
    };
    let promotions = benefits().into_iter().enumerate().map(|(n, benefit)| Rule::Promotion(promotion(n, benefit)));
    let named = |text: &str| RuleId::parse(text).expect("an id");
    let others = [
        Rule::tax(tax(Rounding::HalfEven, Level::Line)),
        Rule::TaxRate { id: named("Kalifornien, E-Books"), rate: tax(Rounding::HalfUp, Level::Total) },
        Rule::TaxRate { id: named("down"), rate: tax(Rounding::Down, Level::Total) },
        shipping(Scale::Flat(money(499))).into(),
        shipping(Scale::Weight(steps)).into(),
        shipping(Scale::Amount(by_amount)).into(),
        Rule::ExchangeRate { id: named("EUR-JPY"), rate },
        Rule::Stacking { most: Some(3) },
        Rule::Stacking { most: None },
    ];
    promotions.chain(others).collect()
}

pub fn kept() -> Vec<Kept> {
    rules().into_iter().zip(1..).map(|(rule, n)| Kept { rule, version: Version(n), updated_at: at(0) }).collect()
}

fn why(actor: Actor) -> Why {
    Why { actor, reason: Some(text("spring sale")) }
}

pub fn audited() -> Vec<Audited> {
    let mut rules = rules().into_iter().map(Box::new);
    let (first, second) = (rules.next().expect("a rule"), rules.next().expect("a rule"));
    let admin = Actor::Admin(CustomerId::parse("boss").expect("an id"));
    let key = first.key();
    let line = |sequence, actor, deed| Audited { sequence, key: key.clone(), at: at(1), why: why(actor), deed };
    vec![
        line(1, Actor::System, Deed::Put { before: None, after: first.clone() }),
        line(2, admin.clone(), Deed::Put { before: Some(first), after: second.clone() }),
        line(3, admin.clone(), Deed::Issued { batch: 0x0123_4567_89ab_cdef, count: 100_000 }),
        Audited { why: Why { actor: admin.clone(), reason: None }, ..line(4, admin, Deed::Deleted { before: second }) },
        Audited {
            key: RuleKey::promotion(&PromotionId::parse("P-9").expect("an id")),
            ..line(5, Actor::System, Deed::Issued { batch: 1, count: 1 })
        },
    ]
}

pub fn price_lines() -> Vec<PriceLine> {
    let line = |sale| PriceLine { edition: EditionId(7), at: at(2), list: money(1_299), sale, why: why(Actor::System) };
    vec![line(None), line(Some(money(999)))]
}

fn any_money() -> impl Strategy<Value = Money> {
    (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(money)
}

fn any_off() -> impl Strategy<Value = Off> {
    prop_oneof![any::<u32>().prop_map(|n| Off::Rate(Ppm(n))), any_money().prop_map(Off::Amount), any_money().prop_map(Off::Price)]
}

fn any_target() -> impl Strategy<Value = Target> {
    let selector = prop_oneof![
        any::<u128>().prop_map(|n| Selector::Edition(EditionId(n))),
        any::<u128>().prop_map(|n| Selector::Book(BookId(n))),
        any::<u128>().prop_map(|bits| Selector::Heading(HeadingId { kind: HeadingKind::Author, bits })),
        prop::sample::select(&Format::ALL[..]).prop_map(Selector::Format),
    ];
    let some = || prop::collection::vec(selector.clone(), 0..4);
    (some(), some(), any::<bool>()).prop_map(|(any, except, full_price_only)| Target { any, except, full_price_only })
}

fn any_benefit() -> impl Strategy<Value = Benefit> {
    let tiers = prop::collection::vec((any::<u32>(), any_off()).prop_map(|(from, off)| Tier { from, off }), 0..4);
    let parts = prop::collection::vec((any_target(), any::<u32>()).prop_map(|(of, count)| Part { of, count }), 0..4);
    prop_oneof![
        (any_target(), any_off()).prop_map(|(of, off)| Benefit::Each { of, off }),
        (any_target(), tiers).prop_map(|(of, tiers)| Benefit::Tiers { of, tiers }),
        (parts, any_off(), any::<Option<u32>>()).prop_map(|(parts, off, times_max)| Benefit::Bundle { parts, off, times_max }),
        any::<u128>().prop_map(|n| Benefit::Gift { edition: EditionId(n) }),
        prop::collection::vec((any_money(), any_off()).prop_map(|(from, off)| Tier { from, off }), 0..4)
            .prop_map(|tiers| Benefit::Spend { tiers }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_rule_is_read_as_it_was_written(
        benefit in any_benefit(),
        cap in prop::option::of(any_money()),
        (uses, uses_each, priority) in (any::<Option<u32>>(), any::<Option<u32>>(), any::<i32>()),
        (from, to) in (any::<Option<i64>>(), any::<Option<i64>>()),
        version in any::<u64>(),
    ) {
        let promotion = Promotion {
            cap,
            priority,
            budget: Budget { uses, uses_each, amount: cap },
            window: Window { from: from.map(Timestamp), to: to.map(Timestamp) },
            ..promotion(0, benefit)
        };
        let kept = Kept { rule: promotion.into(), version: Version(version), updated_at: at(0) };
        let again = records::decode_kept(&records::encode_kept(&kept)).expect("a rule");
        prop_assert_eq!(again, kept);
    }
}
