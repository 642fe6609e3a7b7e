use super::*;
use crate::cart::Lifetimes;
use crate::ids::SessionId;
use crate::money::Currency;
use crate::pricing::{Context, Rules, quote};
use std::collections::BTreeMap;

fn checkout(state: State) -> Checkout {
    let usd = Currency::parse("USD").expect("a currency");
    let hour = Duration::from_secs(3600);
    let lifetimes = Lifetimes { guest: hour, customer: hour, empty: hour };
    let cart = Cart::create(CartId(1), Owner::Guest(SessionId(1)), usd, &lifetimes, Timestamp(0)).cart;
    let quote = quote(&[], &[], &BTreeMap::new(), &Rules::default(), &Context::cart(usd), Timestamp(0)).expect("nothing to add up");
    Checkout { state, ..Checkout::start(CheckoutId(1), &cart, quote, Duration::from_secs(60), Timestamp(0)).0 }
}

fn states() -> Vec<State> {
    use State::*;
    let undoing = [AfterUndo::Open, AfterUndo::Canceled, AfterUndo::Failed].map(|then| Undoing { then });
    let over = [true, false].into_iter().flat_map(|settled| [Completed { settled }, Canceled { settled }, Expired { settled }]);
    [Open, Authorizing, Challenged, Capturing].into_iter().chain(undoing).chain(over).collect()
}

#[test]
fn only_listed_steps_are_possible() {
    for from in states() {
        for to in states() {
            let went = checkout(from).go(to, Timestamp(5));
            let listed = TRANSITIONS.contains(&(from.kind(), to.kind()));
            assert_eq!(went, if listed { Ok(()) } else { Err(Refusal::CheckoutState { state: from.kind() }) }, "{from:?} → {to:?}");
        }
    }
}

#[test]
fn an_ended_checkout_leads_nowhere_and_every_other_can_end() {
    let mut ends = vec![Kind::Completed, Kind::Canceled, Kind::Expired];
    for end in &ends {
        assert!(TRANSITIONS.iter().all(|(from, _)| from != end), "{end:?}");
    }
    for _ in 0..TRANSITIONS.len() {
        ends.extend(TRANSITIONS.iter().filter(|(_, to)| ends.contains(to)).map(|(from, _)| *from).collect::<Vec<_>>());
        ends.sort();
        ends.dedup();
    }
    assert_eq!(ends.len(), 8);
}

#[test]
fn only_an_open_checkout_in_time_can_be_changed() {
    let expired = Err(Refusal::CheckoutExpired);
    for (state, at, answer) in [
        (State::Open, 59_999_999, Ok(())),
        (State::Open, 60_000_000, expired.clone()),
        (State::Expired { settled: true }, 0, expired),
        (State::Authorizing, 0, Err(Refusal::CheckoutState { state: Kind::Authorizing })),
        (State::Completed { settled: false }, 0, Err(Refusal::CheckoutState { state: Kind::Completed })),
    ] {
        assert_eq!(checkout(state).ensure_open(Timestamp(at)), answer, "{state:?} at {at}");
    }
}
