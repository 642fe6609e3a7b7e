//! The sentences of [`Taxes`], of a provider that goes by [`tax_table`](crate::fixtures::tax_table).

use crate::fixtures::{taxable, usd};
use app::ports::Taxes;
use domain::ids::ItemId;
use domain::money::Currency;
use domain::pricing::{Assessed, Taxable};
use std::sync::Arc;

/// One test for each sentence of [`Taxes`]; the expression gives a fresh `Arc<dyn Taxes>`.
#[macro_export]
macro_rules! taxes {
    ($make:expr) => {
        $crate::tests! { taxes, $make,
            what_is_due_is_due_on_each_line_and_on_shipping
            an_answer_is_of_the_goods_that_were_asked_about
            the_same_question_has_the_same_answer
            where_nothing_is_known_to_be_due_nothing_is
        }
    };
}

type Provider = Arc<dyn Taxes>;

async fn asked(on: &Provider, goods: &Taxable) -> Assessed {
    let assessed = on.assess(goods).await.expect("an answer");
    assert_eq!(assessed.check(goods), Ok(()), "{assessed:?}");
    assert!(!assessed.estimated, "{assessed:?}");
    assessed
}

pub async fn what_is_due_is_due_on_each_line_and_on_shipping(on: &Provider) {
    for (country, region, city, included, due) in [
        ("US", "CA", "Oakland", false, vec![("US-CA", Some(72_500), [145, 72], 0)]),
        ("US", "CA", "San Francisco", false, vec![("US-CA", Some(13_750), [28, 14], 0), ("US-CA", Some(72_500), [145, 72], 0)]),
        ("DE", "", "Berlin", true, vec![("DE", Some(70_000), [131, 0], 33), ("DE", Some(190_000), [0, 160], 0)]),
    ] {
        let assessed = asked(on, &taxable(country, region, city)).await;
        let of =
            |due: &domain::pricing::Due, n: u128| due.lines.iter().find(|(item, _)| *item == ItemId(n)).map_or(0, |(_, part)| part.minor());
        let found: Vec<_> =
            assessed.taxes.iter().map(|d| (d.code.as_str(), d.rate.map(|r| r.0), [of(d, 1), of(d, 2)], d.shipping.minor())).collect();
        assert_eq!((assessed.included, found), (included, due), "{country} {region} {city}");
    }
}

pub async fn an_answer_is_of_the_goods_that_were_asked_about(on: &Provider) {
    let whole = taxable("US", "CA", "Oakland");
    let paper = Taxable { lines: whole.lines[..1].to_vec(), ..whole.clone() };
    let items = |assessed: &Assessed| -> Vec<ItemId> { assessed.taxes.iter().flat_map(|due| &due.lines).map(|(item, _)| *item).collect() };
    assert_eq!(items(&asked(on, &whole).await), [ItemId(1), ItemId(2)]);
    assert_eq!(items(&asked(on, &paper).await), [ItemId(1)]);
    let yen =
        |of: domain::money::Money| domain::money::Money::new(of.minor(), Currency::parse("JPY").expect("a currency")).expect("in range");
    let mut japanese = Taxable { currency: yen(usd(0)).currency(), shipping: yen(whole.shipping), ..whole };
    for line in &mut japanese.lines {
        line.amount = yen(line.amount);
    }
    let assessed = asked(on, &japanese).await;
    assert!(assessed.taxes.iter().flat_map(|due| &due.lines).all(|(_, part)| part.currency() == japanese.currency), "{assessed:?}");
}

pub async fn the_same_question_has_the_same_answer(on: &Provider) {
    let goods = taxable("DE", "", "Berlin");
    let first = asked(on, &goods).await;
    asked(on, &taxable("US", "CA", "Oakland")).await;
    for _ in 0..2 {
        assert_eq!(asked(on, &goods).await, first);
    }
}

pub async fn where_nothing_is_known_to_be_due_nothing_is(on: &Provider) {
    for (country, region) in [("US", "OR"), ("FR", "")] {
        assert_eq!(asked(on, &taxable(country, region, "")).await.taxes, [], "{country} {region}");
    }
}
