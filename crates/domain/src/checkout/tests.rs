use super::*;
use crate::cart::Lifetimes;
use crate::ids::{PaymentToken, SessionId};
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

fn attempt(n: u128) -> Attempt {
    let usd = Currency::parse("USD").expect("a currency");
    Attempt {
        id: AttemptId(n),
        token: PaymentToken::parse("tok_visa").expect("a token"),
        amount: Money::zero(usd),
        order: OrderId(n),
        number: crate::order::Number::from_random(1),
        mark: OnceMark { key: [1; 16], fingerprint: [1; 16] },
        started_at: Timestamp(0),
        reserved_until: Timestamp(20_000_000),
        tries: 0,
        return_url: None,
        challenge: None,
    }
}

#[test]
fn goods_are_held_longer_for_who_is_active_but_not_beyond_the_end() {
    let ttl = Duration::from_secs(20);
    let s = |seconds: i64| Timestamp(seconds * 1_000_000);
    let challenged = Checkout { attempt: Some(attempt(1)), ..checkout(State::Challenged) };
    for (state, held, now, longer) in [
        (State::Challenged, 20, 5, None),
        (State::Challenged, 20, 10, None),
        (State::Challenged, 20, 11, Some(31)),
        (State::Challenged, 45, 44, Some(60)),
        (State::Challenged, 60, 59, None),
        (State::Challenged, 65, 61, None),
        (State::Open, 20, 11, None),
        (State::Capturing, 20, 11, None),
    ] {
        let attempt = challenged.attempt.clone().map(|a| Attempt { reserved_until: s(held), ..a });
        let checkout = Checkout { state, attempt, ..challenged.clone() };
        assert_eq!(checkout.held_longer(ttl, s(now)), longer.map(s), "{state:?}, held until {held}, at {now}");
    }
}

#[test]
fn earlier_attempts_are_remembered_up_to_a_bound() {
    let mut tried = checkout(State::Open);
    for n in 1..=ATTEMPTS_KEPT_MAX as u128 + 3 {
        tried.attempt(attempt(n));
    }
    let kept: Vec<u128> = tried.earlier.iter().map(|a| a.0).collect();
    assert_eq!(kept, (3..=ATTEMPTS_KEPT_MAX as u128 + 2).collect::<Vec<_>>());
    assert_eq!(tried.current().id.0, ATTEMPTS_KEPT_MAX as u128 + 3);
}

#[test]
fn money_of_an_attempt_that_is_over_goes_back() {
    for (state, now) in [
        (State::Open, MoneyOf::Nothing),
        (State::Authorizing, MoneyOf::Use),
        (State::Challenged, MoneyOf::Use),
        (State::Capturing, MoneyOf::Use),
        (State::Undoing { then: AfterUndo::Open }, MoneyOf::Use),
        (State::Completed { settled: true }, MoneyOf::Use),
        (State::Canceled { settled: true }, MoneyOf::Nothing),
        (State::Expired { settled: false }, MoneyOf::Nothing),
    ] {
        let mut paying = checkout(state);
        paying.attempt(attempt(1));
        paying.attempt(attempt(2));
        assert_eq!(paying.money_of(AttemptId(2)), now, "{state:?}");
        assert_eq!(paying.money_of(AttemptId(1)), MoneyOf::Nothing, "{state:?}, the attempt before");
        assert_eq!(paying.money_of(AttemptId(3)), MoneyOf::Another, "{state:?}, of another checkout");
    }
    assert_eq!(checkout(State::Open).money_of(AttemptId(1)), MoneyOf::Another);
}
