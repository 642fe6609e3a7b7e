//! Quotes with every kind, reason and count that there is.

use crate::fixtures::{at, bits, code, copies, option, text, usd};
use domain::catalog::Format;
use domain::ids::{BookId, EditionId, ItemId, PromotionId, Sku};
use domain::money::{Currency, Ppm};
use domain::pricing::{Adjustment, AdjustmentKind, Counter, Limited, Line, NotApplied, Off, Quote, QuotedLine, Reason, Use, Who, WhyNot};

fn adjustment(kind: AdjustmentKind, code: &str, amount: i64, item: Option<ItemId>, reason: Reason) -> Adjustment {
    let promotion = (kind == AdjustmentKind::Coupon).then(|| PromotionId::parse(code).expect("an id"));
    Adjustment { item, promotion, ..Adjustment::new(kind, code.into(), text("A label"), usd(amount), reason) }
}

/// Not a sum anyone would compute: every kind of reason is in it.
pub fn quote() -> Quote {
    let why = [
        WhyNot::Unknown,
        WhyNot::NotYet { from: at(100) },
        WhyNot::Ended { at: at(-100) },
        WhyNot::Exhausted,
        WhyNot::BelowMinimum { minimum: usd(5000), have: None },
        WhyNot::OtherCurrency,
        WhyNot::NothingLeft,
    ];
    let line = |n: u128, format| QuotedLine {
        item: ItemId(bits(n)),
        edition: EditionId(bits(n)),
        book: BookId(bits(n + 100)),
        sku: Sku::parse("SKU-1_a.b").expect("a SKU"),
        title: text("Dune"),
        image_url: (n == 1).then(|| text("https://example.com/dune.jpg")),
        format,
        quantity: copies(2),
        list_price: usd(1499),
        unit_price: usd(1299),
        total: usd(2598),
        discount: usd(260),
        tax: usd(170),
        available: 5,
        weight_g: 0,
        gift: false,
        converted_from: None,
    };
    use AdjustmentKind::{Coupon, Sale, Shipping, Tax};
    let used = |id: &str| Use { counter: Counter::Uses(PromotionId::parse(id).expect("an id")), by: 1, limit: None };
    Quote {
        currency: Currency::parse("USD").expect("a currency"),
        lines: (1..).zip(Format::ALL).map(|(n, format)| line(n, format)).collect(),
        unavailable: vec![Line { edition: EditionId(bits(9)), quantity: copies(1) }],
        subtotal: usd(10_392),
        discount: usd(1_040),
        shipping: usd(499),
        tax: usd(680),
        total: usd(10_531),
        item_count: 8,
        tax_included: true,
        tax_estimated: false,
        settled: true,
        shipping_option: Some(option()),
        adjustments: vec![
            adjustment(Sale, "SALE", -400, Some(ItemId(bits(1))), Reason::Sale { list: usd(2998) }),
            adjustment(Coupon, "TEN", -1000, None, Reason::Percentage { rate: Ppm(100_000), of: usd(10_000) }),
            adjustment(Coupon, "WELCOME-5", -40, None, Reason::Fixed { of: usd(40) }),
            adjustment(Shipping, "standard-us", 499, None, Reason::ShippingPrice),
            adjustment(Shipping, "free", 0, None, Reason::ShippingFree { from: usd(5000) }),
            adjustment(Shipping, "DIGITAL", 0, None, Reason::NothingToShip),
            adjustment(Tax, "US-CA", 680, None, Reason::Tax { rate: Ppm(72_500), of: usd(9_352), included: true }),
        ],
        not_applied: why.into_iter().map(|why| NotApplied { code: Some(code("NOPE")), promotion: None, label: None, why }).collect(),
        uses: vec![used("TEN"), used("WELCOME-5")],
    }
}

/// What quotes have grown by since promotions: every kind, reason and count that [`quote`] does not have.
pub fn promoted_quote() -> Quote {
    let id = || PromotionId::parse("summer-sale").expect("an id");
    let (rate, amount, price) = (Off::Rate(Ppm(100_000)), Off::Amount(usd(100)), Off::Price(usd(500)));
    let of = usd(2598);
    let reasons = [
        Reason::Price { price: usd(500), of },
        Reason::Each { off: rate, copies: 2, of },
        Reason::Tier { from: 2, off: amount, copies: 2, of },
        Reason::Spend { from: usd(1000), off: price, of },
        Reason::BuyGet { bought: 2, gotten: 1, rate: Ppm(500_000), of },
        Reason::Bundle { sets: 3, off: price, of },
        Reason::Gift,
        Reason::Shipping { off: rate, of },
        Reason::Exempt { of },
    ];
    let adjusted = reasons.into_iter().map(|reason| Adjustment {
        shares: vec![(ItemId(bits(1)), usd(-60)), (ItemId(bits(2)), usd(-40))],
        promotion: Some(id()),
        limited: Some(Limited::Cap),
        ..Adjustment::new(AdjustmentKind::Promotion, "summer-sale".into(), text("A label"), usd(-100), reason)
    });
    let mut adjustments: Vec<_> = adjusted.collect();
    adjustments[1].limited = Some(Limited::Budget);
    adjustments[8].kind = AdjustmentKind::Exemption;
    let why = [
        WhyNot::Inactive,
        WhyNot::OffHours,
        WhyNot::UsedByShopper,
        WhyNot::BelowCopies { least: 3, have: 2 },
        WhyNot::NothingMatches,
        WhyNot::NotInSegment,
        WhyNot::NotFirstOrder,
        WhyNot::NotBirthday,
        WhyNot::NeedsCustomer,
        WhyNot::ConditionUnmet,
        WhyNot::ConditionFailed,
        WhyNot::BetterInGroup { by: id() },
        WhyNot::Excluded { by: id() },
        WhyNot::StackFull { max: 3 },
        WhyNot::GivenTwice,
        WhyNot::OutOfStock,
        WhyNot::NoShipping,
    ];
    let not_applied = why.into_iter().map(|why| NotApplied { code: None, promotion: Some(id()), label: Some(text("A label")), why });
    let who = Who(*b"0123456789abcdef");
    let counters = [Counter::UsesBy(id(), who), Counter::Spent(id()), Counter::Code(code("A1-B2")), Counter::Orders(who)];
    let uses = counters.into_iter().map(|counter| Use { counter, by: 7, limit: Some(10) }).collect();
    let mut quote = Quote { adjustments, not_applied: not_applied.collect(), uses, ..quote() };
    for line in &mut quote.lines {
        *line = QuotedLine { weight_g: 350, gift: true, converted_from: Some(usd(99)), ..line.clone() };
    }
    quote
}
