use super::Strategy;
use super::*;
use crate::catalog::{Format, Offer};
use crate::ids::Sku;
use crate::limits::QUANTITY_MAX;
use proptest::prelude::*;

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("USD").expect("a currency")).expect("in range")
}

fn quantity(n: i64) -> Quantity {
    Quantity::new(n).expect("a quantity")
}

const LIFETIMES: Lifetimes = Lifetimes { guest: Duration::from_secs(30), customer: Duration::from_secs(90), empty: Duration::from_secs(6) };

/// Editions 1 to 600 cost their number in dollars; edition 13 is sold out, edition 14 costs euros.
struct Shelf;

impl Offers for Shelf {
    fn offer(&self, edition: EditionId) -> Option<Offer> {
        let n = u32::try_from(edition.0).ok().filter(|n| (1..=600).contains(n))?;
        let price = match n {
            14 => Money::new(1400, Currency::parse("EUR")?).ok()?,
            n => usd(i64::from(n) * 100),
        };
        Some(Offer {
            edition,
            book: BookId(edition.0),
            sku: Sku::parse("SKU")?,
            title: Text::parse("A book")?,
            image_url: None,
            format: Format::Paperback,
            list_price: price,
            unit_price: price,
            available: if n == 13 { 0 } else { 10 },
            weight_g: 0,
            headings: std::sync::Arc::default(),
        })
    }
}

fn empty(n: u128) -> Cart {
    Cart::create(CartId(n), Owner::Guest(SessionId(n)), usd(0).currency(), &LIFETIMES, Timestamp(0)).cart
}

fn cart(n: u128, items: &[(u128, i64)]) -> Cart {
    let adds: Vec<_> = items.iter().map(|(e, q)| add(*e, *q)).collect();
    decide(&empty(n), &adds).expect("items that can be added").cart
}

fn add(edition: u128, n: i64) -> Command {
    Command::Add { edition: EditionId(edition), quantity: quantity(n) }
}

fn set(item: u128, n: i64) -> Command {
    Command::Set { item: ItemId(item), quantity: (n > 0).then(|| quantity(n)) }
}

fn give_up(edition: u128, n: i64) -> Command {
    Command::GiveUp(Line { edition: EditionId(edition), quantity: quantity(n) })
}

fn decide(cart: &Cart, commands: &[Command]) -> Result<Decided, Refusal> {
    cart.decide(commands, &Shelf, &LIFETIMES, Timestamp(1_000_000))
}

fn items(cart: &Cart) -> Vec<(u128, u32)> {
    cart.items.iter().map(|i| (i.edition.0, i.quantity.get())).collect()
}

#[test]
fn commands_change_a_cart_or_refuse() {
    let sold_out = Refusal::OutOfStock { short: vec![Short { edition: EditionId(13), sku: Sku::parse("SKU"), wanted: 1, available: 0 }] };
    type Case<'a> = (&'a [(u128, i64)], Vec<Command>, Result<Vec<(u128, u32)>, Refusal>);
    let cases: Vec<Case<'_>> = vec![
        (&[], vec![add(1, 1)], Ok(vec![(1, 1)])),
        (&[(1, 1)], vec![add(1, 2)], Ok(vec![(1, 3)])),
        (&[(1, 1)], vec![add(2, 1), add(1, 1)], Ok(vec![(1, 2), (2, 1)])),
        (&[(1, 999)], vec![add(1, 1)], Err(Refusal::QuantityInvalid { got: 1000 })),
        (&[], vec![add(601, 1)], Err(Refusal::ProductNotFound)),
        (&[], vec![add(13, 1)], Err(sold_out)),
        (&[], vec![add(14, 1)], Err(Refusal::CurrencyUnavailable)),
        (&[(1, 1)], vec![set(1, 5)], Ok(vec![(1, 5)])),
        (&[(1, 1)], vec![set(1, 0)], Ok(vec![])),
        (&[(1, 1)], vec![set(2, 1)], Err(Refusal::ItemNotFound)),
        (&[(1, 1), (2, 2)], vec![Command::Clear], Ok(vec![])),
        (&[(1, 3), (2, 1)], vec![give_up(1, 2)], Ok(vec![(1, 1), (2, 1)])), // one more was added than was bought
        (&[(1, 1), (2, 1)], vec![give_up(1, 2), give_up(3, 1)], Ok(vec![(2, 1)])), // fewer than were bought, and none
        (&[(1, 1)], vec![add(2, 1), set(3, 1)], Err(Refusal::ItemNotFound)), // all or nothing
        (&[(1, 1)], vec![Command::Currency(Currency::parse("EUR").expect("a currency"))], Err(Refusal::CurrencyFixed)),
        (&[], vec![Command::Currency(Currency::parse("EUR").expect("a currency")), add(14, 1)], Ok(vec![(14, 1)])),
        (&[], vec![add(1, 1); 101], Err(Refusal::OperationsTooMany)),
    ];
    for (before, commands, after) in cases {
        let got = decide(&cart(1, before), &commands).map(|d| items(&d.cart));
        assert_eq!(got, after, "{commands:?} on {before:?}");
    }
}

#[test]
fn the_version_counts_events_and_nothing_happens_twice() {
    let before = cart(1, &[(1, 1), (2, 2)]);
    assert_eq!(before.version, Version(3));
    for (command, events) in [
        (add(1, 1), vec!["cart.item_added"]),
        (set(1, 1), vec![]),
        (set(1, 2), vec!["cart.item_quantity_updated"]),
        (set(1, 0), vec!["cart.item_removed"]),
        (Command::Clear, vec!["cart.cleared"]),
        (give_up(2, 1), vec!["cart.item_quantity_updated"]),
        (give_up(2, 5), vec!["cart.item_removed"]),
        (give_up(3, 1), vec![]),
        (Command::Coupons(vec![]), vec![]),
        (Command::Note(Note::parse("gift")), vec!["cart.updated"]),
        (Command::LetGo { checkout: CheckoutId(1) }, vec![]),
        (Command::Hold { checkout: CheckoutId(1) }, vec!["cart.updated"]),
    ] {
        let after = decide(&before, std::slice::from_ref(&command)).expect("possible");
        let got: Vec<_> = after.events.iter().map(|e| e.event.name()).collect();
        assert_eq!(got, events, "{command:?}");
        assert_eq!(after.cart.version.0, before.version.0 + events.len() as u64, "{command:?}");
        assert!(after.events.iter().zip(4..).all(|(e, n)| e.sequence == n), "{command:?}");
    }
}

#[test]
fn a_cart_is_full_at_its_limit() {
    let many: Vec<_> = (1..=501).filter(|n| ![13, 14].contains(n)).chain([502]).map(|n| (n, 1)).collect();
    let full = many.chunks(100).fold(empty(1), |c, chunk| {
        let adds: Vec<_> = chunk.iter().map(|(e, q)| add(*e, *q)).collect();
        decide(&c, &adds).expect("room").cart
    });
    assert_eq!(full.items.len(), 500);
    assert_eq!(decide(&full, &[add(503, 1)]).map(|d| d.cart), Err(Refusal::CartFull));
    assert!(decide(&full, &[add(1, 1)]).is_ok());
}

#[test]
fn settling_takes_out_exactly_what_was_bought() {
    let line = |e, n| Line { edition: EditionId(e), quantity: quantity(n) };
    for (before, bought, after) in [
        (&[(1, 2), (2, 1)][..], vec![line(1, 2), line(2, 1)], vec![]),
        (&[(1, 3), (2, 1)], vec![line(1, 2), line(2, 1)], vec![(1, 1)]), // one more was added meanwhile
        (&[(1, 1), (3, 1)], vec![line(1, 2), line(2, 1)], vec![(3, 1)]), // some were taken out meanwhile
    ] {
        let settle = Command::Settle { checkout: CheckoutId(7), order: OrderId(7), bought, coupons: vec![] };
        let once = decide(&cart(1, before), std::slice::from_ref(&settle)).expect("possible").cart;
        assert_eq!(items(&once), after);
        assert_eq!(decide(&once, &[settle]).expect("possible").cart, once);
    }
}

#[test]
fn a_lifetime_slides_with_every_change() {
    let bare = empty(1);
    assert_eq!(bare.expires_at, Timestamp(6_000_000));
    let used = decide(&bare, &[add(1, 1)]).expect("possible").cart;
    assert_eq!(used.expires_at, Timestamp(31_000_000));
    let customer = Cart { owner: Owner::Customer(CustomerId::parse("alice").expect("an id")), ..used.clone() };
    assert_eq!(decide(&customer, &[add(1, 1)]).expect("possible").cart.expires_at, Timestamp(91_000_000));
    assert!(used.is_live(Timestamp(30_999_999)) && !used.is_live(Timestamp(31_000_000)));
}

#[test]
fn a_cart_remembers_its_last_sixteen_keys() {
    let mut cart = empty(1);
    for n in 0..17 {
        cart.remember(OnceMark { key: [n; 16], fingerprint: [0; 16] });
    }
    assert_eq!((cart.mark([0; 16]).is_some(), cart.mark([1; 16]).is_some(), cart.marks.len()), (false, true, 16));
}

fn merge(target: &Cart, source: &Cart, strategy: Strategy) -> Result<Cart, Refusal> {
    decide(target, &[Command::Merge { source: Box::new(source.clone()), strategy }]).map(|d| d.cart)
}

#[test]
fn merging_resolves_what_is_in_both() {
    for (strategy, target, source, after) in [
        (Strategy::Sum, &[(1, 1), (2, 2)][..], &[(2, 3), (3, 4)][..], vec![(1, 1), (2, 5), (3, 4)]),
        (Strategy::Max, &[(1, 1), (2, 2)], &[(2, 3), (3, 4)], vec![(1, 1), (2, 3), (3, 4)]),
        (Strategy::Source, &[(1, 1), (2, 2)], &[(2, 1), (3, 4)], vec![(1, 1), (2, 1), (3, 4)]),
        (Strategy::Target, &[(1, 1), (2, 2)], &[(2, 1), (3, 4)], vec![(1, 1), (2, 2), (3, 4)]),
        (Strategy::Sum, &[(1, 600)], &[(1, 600)], vec![(1, 999)]),
        (Strategy::Sum, &[], &[(1, 2)], vec![(1, 2)]),
        (Strategy::Source, &[(1, 2)], &[], vec![(1, 2)]),
    ] {
        let got = merge(&cart(1, target), &cart(2, source), strategy).map(|c| items(&c));
        assert_eq!(got, Ok(after), "{strategy:?} {target:?} + {source:?}");
    }
    assert_eq!(merge(&cart(1, &[(1, 1)]), &cart(1, &[(1, 1)]), Strategy::Sum), Err(Refusal::MergeSourceInvalid));
}

proptest! {
    #[test]
    fn merging_loses_no_edition_and_twice_is_once(
        target in proptest::collection::btree_map(1u128..12, 1i64..=999, 0..8),
        source in proptest::collection::btree_map(1u128..12, 1i64..=999, 0..8),
        strategy in proptest::sample::select(Strategy::ALL.to_vec()),
    ) {
        let list = |m: &BTreeMap<u128, i64>| m.iter().map(|(e, q)| (*e, *q)).collect::<Vec<_>>();
        let (a, b) = (cart(1, &list(&target)), cart(2, &list(&source)));
        let once = merge(&a, &b, strategy).expect("fits");
        for edition in target.keys().chain(source.keys()) {
            prop_assert!(once.items.iter().any(|i| i.edition.0 == *edition));
        }
        for item in &once.items {
            let (ours, theirs) = (target.get(&item.edition.0).copied().unwrap_or(0), source.get(&item.edition.0).copied().unwrap_or(0));
            let got = i64::from(item.quantity.get());
            prop_assert!(got <= (ours + theirs).min(i64::from(QUANTITY_MAX)) && got >= 1);
        }
        prop_assert_eq!(merge(&once, &b, strategy).expect("a no-op"), once);
    }
}
