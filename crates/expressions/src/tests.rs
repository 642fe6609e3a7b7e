use super::*;
use crate::kind::{FACTS, Kind, LINE, One};
use crate::limits::{DEPTH_MAX, NESTING_MAX, OPERATORS_MAX};
use domain::catalog::{Format, HeadingId, HeadingKind, Offer};
use domain::ids::{BookId, EditionId, PromotionId, Segment, Sku};
use domain::limits::{BOOK_AUTHORS_MAX, BOOK_CATEGORIES_MAX, CART_ITEMS_MAX};
use domain::money::{Currency, Money};
use domain::person::{Country, Region};
use domain::pricing::{Benefit, Context, Destination, Evaluator, Line, Off, Promotion, Quote, Rules, Shopper, Target, Who, WhyNot, quote};
use domain::quantity::Quantity;
use domain::time::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::hint::black_box;

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("USD").expect("a currency")).expect("in range")
}

/// An edition with its price and what its book is under; the bits of its ids are its number.
fn offer(number: u128, list: i64, unit: i64, format: Format, headings: &[(HeadingKind, u128)]) -> Offer {
    Offer {
        edition: EditionId(number),
        book: BookId(number),
        sku: Sku::parse(&format!("SKU-{number}")).expect("a sku"),
        title: Text::parse("A book").expect("a title"),
        image_url: None,
        format,
        list_price: usd(list),
        unit_price: usd(unit),
        available: 100,
        weight_g: 300,
        headings: headings.iter().map(|(kind, bits)| HeadingId { kind: *kind, bits: *bits }).collect(),
    }
}

/// A cart that can be priced, and who buys it.
struct Shop {
    lines: Vec<Line>,
    offers: BTreeMap<EditionId, Offer>,
    context: Context,
}

impl Shop {
    fn new(goods: Vec<(i64, Offer)>, context: Context) -> Self {
        let line = |(count, offer): &(i64, Offer)| Line { edition: offer.edition, quantity: Quantity::new(*count).expect("a quantity") };
        let lines = goods.iter().map(line).collect();
        let context = Context { evaluator: Evaluator(Some(Arc::new(Cel::default()))), ..context };
        Self { lines, offers: goods.into_iter().map(|(_, offer)| (offer.edition, offer)).collect(), context }
    }

    /// Two paperbacks on sale at 12.99 by two authors, a hardcover at 30.00, an e-book at 8.50 without an author; for a shopper in Berlin with
    /// three orders.
    fn small() -> Self {
        use HeadingKind::{Author, Category, Publisher};
        let goods = vec![
            (2, offer(1, 1499, 1299, Format::Paperback, &[(Author, 1), (Author, 2), (Category, 1), (Publisher, 1)])),
            (1, offer(2, 3000, 3000, Format::Hardcover, &[(Author, 1), (Category, 1), (Category, 2), (Publisher, 2)])),
            (3, offer(3, 850, 850, Format::Ebook, &[(Category, 2)])),
        ];
        let shopper = Shopper {
            who: Some(Who([1; 16])),
            orders: Some(3),
            segments: vec![Segment::parse("gold").expect("a segment"), Segment::parse("teacher").expect("a segment")],
            birthday: None,
            tax_exempt: false,
        };
        let destination = Destination {
            country: Country::parse("DE").expect("a country"),
            region: Region::parse("BE"),
            city: Text::parse("Berlin"),
            postal_code: Text::parse("10115"),
        };
        Self::new(goods, Context { destination: Some(destination), shopper, ..Context::cart(usd(0).currency()) })
    }

    /// As many lines, authors, categories and segments as there may be.
    fn largest() -> Self {
        let authors = (0..BOOK_AUTHORS_MAX as u128).map(|n| (HeadingKind::Author, n));
        let headings: Vec<_> = authors.chain((0..BOOK_CATEGORIES_MAX as u128).map(|n| (HeadingKind::Category, n))).collect();
        let goods = (0..CART_ITEMS_MAX as u128).map(|n| (999, offer(n, 1499, 1299, Format::Paperback, &headings))).collect();
        let segments = (0..limits::SEGMENTS_MAX).map(|n| Segment::parse(&format!("segment-{n}")).expect("a segment")).collect();
        Self::new(goods, Context { shopper: Shopper { segments, ..Shopper::default() }, ..Context::cart(usd(0).currency()) })
    }

    /// Hands over the facts as the pricing engine has them before discounts.
    fn with_facts<T>(&self, look: impl FnOnce(&Facts<'_>) -> T) -> T {
        let priced = self.quote(&Rules::default());
        let headings: Vec<_> = self.lines.iter().map(|line| Arc::clone(&self.offers[&line.edition].headings)).collect();
        look(&Facts { quote: &priced, headings: &headings, context: &self.context })
    }

    fn quote(&self, rules: &Rules) -> Quote {
        quote(&self.lines, &[], &self.offers, rules, &self.context, Timestamp(0)).expect("in range")
    }
}

/// `Some(true)` is yes, `Some(false)` no, `None` cannot be told.
fn holds(source: &str, shop: &Shop) -> Option<bool> {
    let condition = compile(source).unwrap_or_else(|refused| panic!("{source}: {refused}"));
    shop.with_facts(|facts| condition.holds(facts))
}

#[test]
fn a_condition_holds_or_not_or_cannot_be_told() {
    const BOOK_1: &str = "book_00000000000000000000000001";
    let shop = Shop::small();
    for (source, expected) in [
        ("true", Some(true)),
        ("cart.currency == 'USD'", Some(true)),
        ("cart.subtotal == 8148 && cart.itemCount == 6", Some(true)),
        ("cart.subtotal > 10000 || shopper.orders < 1", Some(false)),
        ("shopper.known && !shopper.taxExempt && shopper.orders == 3", Some(true)),
        ("'gold' in shopper.segments", Some(true)),
        ("'silver' in shopper.segments", Some(false)),
        ("shopper.segments.exists(s, s.startsWith('teach'))", Some(true)),
        ("destination.country in ['AT', 'DE']", Some(true)),
        ("destination.region == 'BE' && destination.city.contains('erl')", Some(true)),
        ("destination.postalCode >= '10000' && destination.postalCode < '11000'", Some(true)),
        ("cart.lines.size() == 3 && size(cart.lines) == 3 && size('Köln') == 4", Some(true)),
        ("cart.lines.exists(l, l.format == 'ebook')", Some(true)),
        ("cart.lines.all(l, l.format in ['ebook', 'audiobook'])", Some(false)),
        ("cart.lines.exists_one(l, l.onSale)", Some(true)),
        ("cart.lines.exists(l, l.onSale && l.unitPrice == 1299 && l.listPrice == 1499 && l.total == 2598)", Some(true)),
        ("cart.lines.exists(l, l.sku == 'SKU-3' && l.quantity == 3 && l.authors.size() == 0 && l.publisher == '')", Some(true)),
        ("cart.lines.exists(l, l.sku.endsWith('-2') && l.publisher == 'pub_00000000000000000000000002')", Some(true)),
        (&format!("cart.lines.exists(l, l.productId == '{BOOK_1}' && l.variantId == 'ed_00000000000000000000000001')"), Some(true)),
        ("cart.lines.exists(l, 'aut_00000000000000000000000002' in l.authors)", Some(true)),
        ("cart.lines.exists(l, 'aut_00000000000000000000000003' in l.authors)", Some(false)),
        ("cart.lines.exists(l, 'cat_00000000000000000000000002' in l.authors)", Some(false)),
        ("cart.lines.exists(l, 'anything' in l.authors)", Some(false)),
        (&format!("cart.lines.exists(l, {})", [3, 4, 5, 6, 2].map(|n| format!("'cat_{n:026}' in l.categories")).join(" || ")), Some(true)),
        ("cart.lines.filter(l, 'cat_00000000000000000000000002' in l.categories).map(l, l.quantity).sum() == 4", Some(true)),
        ("cart.lines.filter(l, l.quantity > 9).map(l, l.total).sum() == 0", Some(true)),
        ("cart.lines.filter(l, l.onSale).all(l, l.authors.size() == 2)", Some(true)),
        ("(shopper.known ? cart.lines : cart.lines.filter(l, l.onSale)).size() == 3", Some(true)),
        ("[3, 1, 2].map(n, n * n).exists(n, n == 9)", Some(true)),
        ("cart.lines.exists(cart, cart.quantity == 3)", Some(true)),
        ("7 / 2 == 3 && 7 % 2 == 1 && -7 / 2 == -3 && 2 - 3 == -1", Some(true)),
        ("'it\\'s' == \"it's\" // a remark", Some(true)),
        ("cart.subtotal\n  > 8147", Some(true)),
        // What cannot be told: the arithmetic has no answer.
        ("1 / (cart.itemCount - 6) > 0", None),
        ("1 % (cart.itemCount - 6) > 0", None),
        ("cart.subtotal * 9223372036854775807 > 0", None),
        ("9223372036854775807 + cart.itemCount > 0", None),
        ("-9223372036854775807 - cart.itemCount < 0", None),
        ("-(-9223372036854775807 - 1) > 0", None),
        ("(-9223372036854775807 - 1) / -1 > 0", None),
        ("(-9223372036854775807 - 1) % -1 == 0", None),
        ("cart.lines.map(l, 9223372036854775807).sum() > 0", None),
        ("cart.lines.all(l, 1 / 0 == 1)", None),
        // What the other side decides is told all the same.
        ("1 / 0 == 1 || true", Some(true)),
        ("cart.lines.exists(l, l.quantity == 3 || 1 / 0 == 1)", Some(true)),
    ] {
        assert_eq!(holds(source, &shop), expected, "{source}");
    }
}

#[test]
fn what_is_not_known_is_empty() {
    let shop = Shop::new(Vec::new(), Context::cart(usd(0).currency()));
    for source in [
        "cart.subtotal == 0 && cart.itemCount == 0 && cart.lines.size() == 0",
        "!shopper.known && shopper.orders == 0 && shopper.segments.size() == 0 && !shopper.taxExempt",
        "destination.country == '' && destination.region == '' && destination.city == '' && destination.postalCode == ''",
    ] {
        assert_eq!(holds(source, &shop), Some(true), "{source}");
    }
}

/// A condition that reads a value, and is true of every one.
fn reading(name: &str, kind: Kind) -> String {
    match kind {
        Kind::One(One::Truth) => format!("({name} || !{name})"),
        Kind::One(One::Number) => format!("{name} < {name} + 1"),
        Kind::One(One::Text) => format!("{name}.size() >= 0"),
        Kind::One(One::Line) => unreachable!("a line is in a list"),
        Kind::List(..) => format!("{name}.size() + {name}.map(n, 1).sum() >= 0"),
    }
}

#[test]
fn every_name_is_there_and_documented() {
    let money = include_str!("../../../docs/money.md");
    let shop = Shop::small();
    for (name, kind) in FACTS {
        assert!(money.contains(&format!("| `{name}` |")), "{name} is not in docs/money.md");
        assert_eq!(holds(&reading(name, *kind), &shop), Some(true), "{name}");
    }
    for (name, kind) in LINE {
        assert!(money.contains(&format!("| `l.{name}` |")), "{name} is not in docs/money.md");
        let source = match kind {
            Kind::One(_) => format!("cart.lines.all(l, {})", reading(&format!("l.{name}"), *kind)),
            Kind::List(..) => format!("cart.lines.all(l, l.{name}.size() >= 0 && !('' in l.{name}))"),
        };
        assert_eq!(holds(&source, &shop), Some(true), "{name}");
    }
}

#[test]
fn a_refusal_says_what_and_where() {
    for (source, words) in [
        ("", "a condition cannot be empty"),
        (" \n ", "a condition cannot be empty"),
        ("cart.subtotal >", "line 1, column 16: mismatched input '<EOF>'"),
        ("cart.subtotal > 5 5", "line 1, column 19: extraneous input '5'"),
        ("true &&\n&& true", "line 2, column 1: extraneous input '&&'"),
        ("a\u{7}b", "line 1, column 1: there are control characters in it"),
        ("99999999999999999999 > 1", "line 1, column 1: invalid int literal"),
        ("cart.subTotal > 1", "line 1, column 5: there is no `cart.subTotal`"),
        ("destination.city == 'Köln' && nothing", "line 1, column 31: there is no `nothing`"),
        ("destination.city == 'Köln' && && true", "line 1, column 31: extraneous input '&&'"),
        ("true\n  && now > 1", "line 2, column 6: there is no `now`"),
        ("cart == 1", "line 1, column 1: there is no `cart`"),
        (".cart.subtotal > 1", "line 1, column 6: there is no `.cart.subtotal`"),
        ("cart.lines.exists(l, l.weight > 1)", "line 1, column 23: there is no `weight`"),
        ("cart.lines.exists(l, true) && l.onSale", "line 1, column 32: there is no `l.onSale`"),
        ("cart.lines.exists(l, m.onSale)", "line 1, column 23: there is no `m.onSale`"),
        ("timestamp('2026-01-01T00:00:00Z') > 1", "line 1, column 10: there is no function `timestamp`"),
        ("destination.city.matches('B.*')", "line 1, column 25: there is no function `matches`"),
        ("destination.city.lowerAscii() == 'x'", "line 1, column 28: there is no function `lowerAscii`"),
        ("optional.of(1).hasValue()", "line 1, column 1: there is no `optional`"),
        ("has(cart.lines)", "line 1, column 4: there is no function `has`"),
        ("type(1) == int", "line 1, column 5: there is no function `type`"),
        ("string(1) == '1'", "line 1, column 7: there is no function `string`"),
        ("contains('a', 'a')", "line 1, column 9: `contains` cannot be used with a text"),
        ("cart.subtotal == '5'", "line 1, column 15: `==` cannot be used with a number and a text"),
        ("cart.subtotal && true", "line 1, column 15: `&&` cannot be used with a number and true or false"),
        ("destination.city + 'x' == 'x'", "line 1, column 18: `+` cannot be used with a text"),
        ("[1] + [2] == [1, 2]", "line 1, column 5: `+` cannot be used with a list of numbers"),
        ("cart.lines == cart.lines", "line 1, column 12: `==` cannot be used with a list of lines"),
        ("cart.lines[0].onSale", "line 1, column 11: `[ ]` cannot be used with a list of lines and a number"),
        ("[1, 'a'].size() == 2", "line 1, column 1: `[ ]` cannot be used with a number and a text"),
        ("[[1], [2]].size() == 2", "line 1, column 1: `[ ]` cannot be used with a list of numbers"),
        ("[].size() == 0", "line 1, column 1: a list has at least one element"),
        ("'a' in cart.currency", "line 1, column 5: `in` cannot be used with a text"),
        ("1 in ['a']", "line 1, column 3: `in` cannot be used with a number and a list of texts"),
        ("shopper.segments.sum() > 1", "line 1, column 21: `sum` cannot be used with a list of texts"),
        ("cart.subtotal.exists(x, true)", "line 1, column 21: `exists` cannot be used with a number"),
        ("cart.lines.exists(l, l.quantity)", "line 1, column 18: `exists` cannot be used with a number"),
        ("cart.lines.map(l, l.authors).size() > 1", "line 1, column 15: `map` cannot be used with a list of texts"),
        ("cart.lines.exists(1, true)", "line 1, column 19: the first argument is a name of your own for each element"),
        ("cart.lines.exists(l)", "line 1, column 19: there is no `l`"),
        ("cart.subtotal.cents == 1", "line 1, column 14: `.cents` cannot be used with a number"),
        ("cart.lines.exists(l, l == l)", "line 1, column 24: `==` cannot be used with a line"),
        ("true ? 1 : 'a'", "line 1, column 6: `? :` cannot be used with true or false and a number and a text"),
        ("cart.subtotal > 12.99", "line 1, column 17: numbers are whole: 1299 for 12.99, without a suffix"),
        ("cart.subtotal > 12u", "line 1, column 17: numbers are whole: 1299 for 12.99, without a suffix"),
        ("null == null", "line 1, column 1: conditions have no bytes and no `null`"),
        ("b'a' == b'a'", "line 1, column 1: conditions have no bytes and no `null`"),
        (&format!("'{}' == ''", "a".repeat(201)), "line 1, column 1: a text has at most 200 characters"),
        (&format!("[1].exists({}, true)", "a".repeat(65)), "line 1, column 12: a name of your own has at most 64 letters"),
        ("_size_(1) == 1", "line 1, column 7: there is no function `_size_`"),
        ("{'a': 1}.a == 1", "line 1, column 1: conditions have no maps and no structures"),
        ("cart{}", "line 1, column 5: conditions have no maps and no structures"),
        ("cart.?subtotal == 1", "line 1, column 5: unsupported syntax '.?'"),
        ("cart.subtotal", "a condition is true or false, and this one gives a number"),
        ("cart.lines.filter(l, l.onSale)", "a condition is true or false, and this one gives a list of lines"),
        (
            "cart.lines.exists(l, cart.lines.exists(m, m.sku == l.sku))",
            "it may take 4757505 steps on the largest cart, at most 30000 are allowed",
        ),
        (
            "cart.lines.exists(l, l.categories.exists(c, c == 'x'))",
            "it may take 137505 steps on the largest cart, at most 30000 are allowed",
        ),
        (
            "shopper.segments.exists(s, shopper.segments.exists(t, s == t))",
            "it may take 131505 steps on the largest cart, at most 30000 are allowed",
        ),
    ] {
        let refused = compile(source).map(|_| ()).expect_err(source);
        assert_eq!(refused.to_string(), words, "{source}");
    }
}
#[test]
fn a_condition_is_bounded_before_it_is_parsed() {
    let nested = |open: &str, n: usize, close: &str| format!("{}true{}", open.repeat(n), close.repeat(n));
    let chain = |link: &str, n: usize| format!("1{} > 0", link.repeat(n));
    let (many, few) = (OPERATORS_MAX + 1, OPERATORS_MAX - 10);
    let (deep, fits) = (usize::from(NESTING_MAX) + 1, usize::from(NESTING_MAX) - 2);
    let operators = Err(Refused::TooManyOperators { count: many, max: OPERATORS_MAX });
    let rows = [
        (nested("(", 10_000, ")"), Err(Refused::TooLong { length: 20_004, max: EXPRESSION_MAX })),
        (nested("(", many, ""), operators.clone()),
        (chain("+1", OPERATORS_MAX), operators),
        (nested("(", few, ")"), Err(Refused::TooDeep)),
        (nested("(", few, ""), Err(Refused::TooDeep)),
        (nested("[", few, ""), Err(Refused::TooDeep)),
        (nested("{1:", few / 2, "}"), Err(Refused::TooDeep)),
        (nested("!(", few / 2, ")"), Err(Refused::TooDeep)),
        (nested("size(", few / 2, ")"), Err(Refused::TooDeep)),
        (nested("true?true:", few / 4, ""), Err(Refused::TooDeep)),
        (chain("+1", few), Err(Refused::TooDeep)),
        (chain("<1", few), Err(Refused::TooDeep)),
        (chain(".a", few), Err(Refused::TooDeep)),
        (chain("[0]", few), Err(Refused::TooDeep)),
        (chain(" in 1", 390), Err(Refused::TooDeep)),
        (nested("(", deep, ")"), Err(Refused::TooDeep)),
        (nested("(", fits, ")"), Ok(())),
        (chain("+1", DEPTH_MAX - 2), Ok(())),
        (nested("true&&", 200, ""), Ok(())),
        (nested("!", few, ""), Ok(())),
    ];
    // Half of what a thread of the server has.
    let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(move || {
        for (source, expected) in rows {
            let start = source.chars().take(20).collect::<String>();
            assert_eq!(compile(&source).map(|_| ()), expected, "{} letters: {start}…", source.len());
        }
    });
    thread.expect("a thread").join().expect("the rows agree, and the stack is large enough");
}

#[test]
fn facts_beyond_what_was_counted_cannot_be_told() {
    let mut shop = Shop::largest();
    assert_eq!(holds("cart.lines.size() == 500 && shopper.segments.size() == 100", &shop), Some(true));
    shop.context.shopper.segments.push(Segment::parse("one-more").expect("a segment"));
    assert_eq!(holds("true", &shop), None);
    shop.context.shopper.segments.clear();
    assert_eq!(holds("true", &shop), Some(true));
    let more = offer(CART_ITEMS_MAX as u128, 100, 100, Format::Ebook, &[]);
    shop.lines.push(Line { edition: more.edition, quantity: Quantity::ONE });
    shop.offers.insert(more.edition, more);
    assert_eq!(holds("true", &shop), None);
}

#[test]
fn a_promotion_applies_when_its_condition_holds() {
    for (source, why) in [
        ("cart.subtotal >= 8148", None),
        ("cart.subtotal >= 8149", Some(WhyNot::ConditionUnmet)),
        ("1 / (cart.itemCount - 6) > 0", Some(WhyNot::ConditionFailed)),
    ] {
        let benefit = Benefit::Goods { of: Target::default(), off: Off::Amount(usd(100)) };
        let id = PromotionId::parse("OWN").expect("an id");
        let mut promotion = Promotion::automatic(id, Text::parse("Our own").expect("a label"), benefit);
        promotion.needs.expression = Text::parse(source);
        let quote = Shop::small().quote(&Rules::new(vec![promotion], Vec::new(), Vec::new()));
        assert_eq!(quote.discount, usd(if why.is_none() { 100 } else { 0 }), "{source}");
        assert_eq!(quote.not_applied.first().map(|n| &n.why), why.as_ref(), "{source}");
    }
}

/// Pieces of the language, and what is almost one.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "cart", "cart.subtotal", "cart.lines", "shopper.segments", "destination.city", "l", "m", "l.quantity", "l.authors", "l.sku", ".exists(l, ",
    ".all(m, ", ".map(l, ", ".filter(l, ", ".exists_one(m, ", ".sum()", ".size()", "size(", ".contains(", ".startsWith('", "has(", "(", ")",
    "[", "]", "{", "}", "&&", "||", "!", "?", ":", "==", "!=", "<", ">=", "+", "-", "*", "/", "%", " in ", ",", ".", "'", "\"", "'''", "r'", "b\"",
    "\\", "\\u00", "`", "//", "\n", "0", "1", "-9223372036854775808", "9223372036854775807", "0x", "1e", "1.5", "1u", "true", "false", "null",
    "@result", "__", "as", "optional.none()", ".?", "[?", "ü", "🦀",
];

/// Texts that almost are conditions.
fn mutated() -> impl Strategy<Value = String> {
    let valid = proptest::sample::select(MEASURED);
    let edit = (any::<proptest::sample::Index>(), 0..12_usize, proptest::sample::select(PIECES));
    (valid, proptest::collection::vec(edit, 0..5)).prop_map(|(source, edits)| {
        let mut letters: Vec<char> = source.chars().collect();
        for (at, removed, piece) in edits {
            let at = at.index(letters.len() + 1);
            letters.splice(at..(at + removed).min(letters.len()), piece.chars());
        }
        letters.into_iter().collect()
    })
}

fn garbage() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::collection::vec(proptest::sample::select(PIECES), 0..30).prop_map(|pieces| pieces.concat()),
        "\\PC{0,60}",
        ".{0,60}",
    ]
}

fn one_of(words: &[&str], inside: &[&str], local: bool) -> BoxedStrategy<String> {
    let words: Vec<_> = words.iter().chain(if local { inside } else { &[] }).map(|word| (*word).to_owned()).collect();
    proptest::sample::select(words).boxed()
}

/// Numbers that fit together by the rules of the language; `l` is a line where `local` says so.
fn number(depth: u32, local: bool) -> BoxedStrategy<String> {
    let leaf =
        one_of(&["0", "-7", "cart.subtotal", "cart.itemCount", "shopper.orders"], &["l.quantity", "l.total", "l.authors.size()"], local);
    if depth == 0 {
        return leaf;
    }
    let (inner, each, part) = (number(depth - 1, local), number(depth - 1, true), truth(depth - 1, true));
    prop_oneof![
        leaf,
        (inner.clone(), one_of(&["+", "-"], &[], false), inner.clone()).prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
        (truth(depth - 1, local), inner.clone(), inner.clone()).prop_map(|(if_so, a, b)| format!("({if_so} ? {a} : {b})")),
        text(local).prop_map(|text| format!("size({text})")),
        (part, each).prop_map(|(part, each)| format!("cart.lines.filter(l, {part}).map(l, {each}).sum()")),
        proptest::collection::vec(inner, 1..4).prop_map(|numbers| format!("[{}].sum()", numbers.join(", "))),
    ]
    .boxed()
}

fn text(local: bool) -> BoxedStrategy<String> {
    one_of(&["''", "'DE'", "cart.currency", "destination.city"], &["l.sku", "l.format", "l.productId", "l.variantId", "l.publisher"], local)
}

fn truth(depth: u32, local: bool) -> BoxedStrategy<String> {
    let texts = one_of(&["shopper.segments", "['DE', 'gold']"], &["l.authors", "l.categories"], local);
    let leaf = prop_oneof![
        one_of(&["true", "shopper.known", "shopper.taxExempt"], &["l.onSale"], local),
        (text(local), one_of(&["==", "!=", "<", ">="], &[], false), text(local)).prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
        (text(local), one_of(&["contains", "startsWith", "endsWith"], &[], false), text(local))
            .prop_map(|(a, how, b)| format!("{a}.{how}({b})")),
        (text(local), texts).prop_map(|(a, list)| format!("{a} in {list}")),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let (inner, each, value) = (truth(depth - 1, local), truth(depth - 1, true), number(depth - 1, local));
    prop_oneof![
        leaf,
        (value.clone(), one_of(&["==", "!=", "<", "<=", ">", ">="], &[], false), value).prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
        (inner.clone(), one_of(&["&&", "||"], &[], false), inner.clone()).prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
        inner.prop_map(|a| format!("!({a})")),
        (one_of(&["all", "exists", "exists_one"], &[], false), each).prop_map(|(how, each)| format!("cart.lines.{how}(l, {each})")),
    ]
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(source in prop_oneof![mutated(), garbage()]) {
        if let Ok(condition) = compile(&source) {
            for shop in [Shop::small(), Shop::new(Vec::new(), Context::cart(usd(0).currency()))] {
                shop.with_facts(|facts| condition.holds(facts));
            }
        }
    }

    #[test]
    fn what_fits_together_is_accepted_and_can_be_told(source in truth(3, false)) {
        match compile(&source) {
            Ok(condition) => {
                for shop in [Shop::small(), Shop::new(Vec::new(), Context::cart(usd(0).currency()))] {
                    prop_assert!(shop.with_facts(|facts| condition.holds(facts)).is_some());
                }
            }
            Err(Refused::TooManySteps { .. } | Refused::TooLong { .. }) => {}
            Err(refused) => prop_assert!(false, "{refused}"),
        }
    }
}

/// How long it takes to save a condition and to evaluate it, as a table:
/// `cargo test --profile dist -p expressions -- --ignored --nocapture measure`.
#[test]
#[ignore = "prints figures and promises none"]
#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
#[expect(clippy::print_stdout, reason = "prints figures")]
fn measure() {
    let best = |work: &mut dyn FnMut()| {
        let once = |work: &mut dyn FnMut()| {
            let start = std::time::Instant::now();
            work();
            start.elapsed()
        };
        (0..500).map(|_| once(work)).min().expect("some turns")
    };
    println!("| condition | steps | saving | three lines | 500 lines | ns a step |\n|---|---:|---:|---:|---:|---:|");
    let (small, largest) = (Shop::small(), Shop::largest());
    for source in MEASURED.iter().copied().map(str::to_owned).chain(searches()) {
        let saving = best(&mut || _ = black_box(compile(&source)));
        let predicate = compile(&source).expect("within the limits");
        let time = |shop: &Shop| shop.with_facts(|facts| best(&mut || _ = black_box(predicate.holds(facts))));
        let (steps, few, many) = (steps(&source).expect("checked"), time(&small), time(&largest));
        let step = many.as_nanos() / u128::from(steps);
        let name = source.chars().take(100).collect::<String>();
        println!("| `{name}` | {steps} | {saving:.1?} | {few:.1?} | {many:.1?} | {step} |");
    }
}

/// Each makes the worst of something else: no element decides before the last.
const MEASURED: &[&str] = &[
    "cart.subtotal >= 5000000000 && destination.country == 'DE'",
    "cart.lines.exists(l, l.format == 'hardcover')",
    "cart.lines.exists(l, 'cat_00000000000000000000000009' in l.categories && l.quantity >= 1000)",
    "cart.lines.filter(l, 'cat_00000000000000000000000001' in l.categories).map(l, l.quantity).sum() >= 3",
    "cart.lines.all(l, l.sku.size() > 0)",
    "cart.lines.exists_one(l, l.onSale || !l.onSale)",
    "cart.lines.exists(l, !(!(!(!(!true)))))",
    "cart.lines.exists(l, l.quantity + 1 + 2 + 3 + 4 + 5 + 6 == 0)",
    "cart.lines.exists(l, l.quantity / 0 == 1 || l.quantity / 0 == 1)",
    "cart.lines.exists(l, 'none' in shopper.segments)",
    "cart.lines.exists(l, l.sku in ['A-1', 'A-2', 'A-3', 'A-4', 'A-5', 'A-6', 'A-7', 'A-8'])",
    "cart.lines.exists(l, cart.subtotal + shopper.orders < l.total)",
    "cart.lines.exists(l, l.productId == 'book_00000000000000000000000XYZ')",
];

/// Long texts, searched in vain.
fn searches() -> Vec<String> {
    let letters = |n| "a".repeat(n);
    vec![
        format!("['{}'].exists(a, ['{}b'].exists(b, cart.lines.exists(l, a.contains(b))))", letters(200), letters(100)),
        format!("cart.lines.exists(l, ['{}'].size() == 0)", letters(200)),
    ]
}
