//! Taxes of a provider: what it says counts, is asked once, and is stood in for as the shop has declared.

use crate::world::{World, add, cart, customer, details, fresh, once, order, process, start, usd};
use app::ports::{PortError, Taxes};
use app::{App, Calculate, Caller, CheckoutView, Error, Operation, TaxFallback};
use async_trait::async_trait;
use conformance::fixtures::{address, text};
use domain::checkout::Details;
use domain::ids::{CheckoutId, CustomerId, ItemId};
use domain::money::{Money, Ppm};
use domain::person::Address;
use domain::pricing::{Assessed, Destination, Due, Quote, Shopper, Taxable};
use domain::refusal::Refusal;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What the provider does next.
#[derive(Clone, Copy)]
enum Says {
    /// So many parts per million on everything, shipping too.
    Rate(u32),
    Down,
    /// This amount on the first line, whatever it is asked.
    First(i64, &'static str),
    OtherItem,
    ItemTwice,
}

struct Scripted {
    says: Mutex<Says>,
    asked: AtomicUsize,
}

impl Scripted {
    fn now_says(&self, says: Says) {
        *self.says.lock().expect("a lock") = says;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn money(minor: i64, currency: &str) -> Money {
    Money::new(minor, domain::money::Currency::parse(currency).expect("a currency")).expect("in range")
}

fn due(rate: Option<u32>, lines: Vec<(ItemId, Money)>, shipping: Money) -> Assessed {
    let tax = Due { code: text("US-CA-SF"), label: text("San Francisco"), rate: rate.map(Ppm), lines, shipping };
    Assessed { included: false, taxes: vec![tax], estimated: false }
}

#[async_trait]
impl Taxes for Scripted {
    async fn assess(&self, goods: &Taxable) -> Result<Assessed, PortError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let says = *self.says.lock().expect("a lock");
        let (first, nothing) = (goods.lines[0].item, money(0, "USD"));
        Ok(match says {
            Says::Down => return Err(PortError::unavailable("taxes", "down")),
            Says::Rate(rate) => {
                let part = |of: Money| of.share(Ppm(rate), domain::money::Rounding::HalfEven).expect("in range");
                due(Some(rate), goods.lines.iter().map(|line| (line.item, part(line.amount))).collect(), part(goods.shipping))
            }
            Says::First(minor, currency) => due(None, vec![(first, money(minor, currency))], nothing),
            Says::OtherItem => due(None, vec![(ItemId(99), money(1, "USD"))], nothing),
            Says::ItemTwice => due(None, vec![(first, money(1, "USD")), (first, money(1, "USD"))], nothing),
        })
    }
}

/// A shop whose provider takes 10 %, where its own table has 7.25 %.
async fn shop(tax_fallback: TaxFallback) -> (World, Arc<Scripted>) {
    let provider = Arc::new(Scripted { says: Mutex::new(Says::Rate(100_000)), asked: AtomicUsize::new(0) });
    (World { taxes: Some(provider.clone()), tax_fallback, ..World::new().await }, provider)
}

/// A cart of two copies of book 1 at 1.99, in a checkout: with shipping of 4.99 the provider takes 0.40 + 0.50.
async fn started(app: &App, who: &Caller) -> Result<CheckoutView, Error> {
    cart(app, who, vec![add(1, 2)], None).await?;
    start(app, who).await
}

async fn pay(app: &App, who: &Caller, id: CheckoutId, total: Money) -> Result<Quote, Error> {
    let key = format!("{:x}", id.0 & 0xffff_ffff);
    let paid = app.process(who, process(id, "tok_visa", total), once(&key, 0)).await?;
    Ok(order(fresh(paid)).quote)
}

async fn patched(app: &App, who: &Caller, id: CheckoutId, details: Details) -> Result<CheckoutView, Error> {
    Ok(fresh(app.update_checkout(who, id, details, None, None).await?))
}

fn moved(postal_code: &str) -> Details {
    Details { shipping_address: Some(Address { postal_code: text(postal_code), ..address() }), ..details() }
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, Error>) -> Refusal {
    match answer {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("a refusal was expected: {other:?}"),
    }
}

fn tax(quote: &Quote) -> (i64, bool) {
    assert!(quote.lines.iter().map(|l| l.tax.minor()).sum::<i64>() <= quote.tax.minor(), "{quote:?}");
    let parts = quote.subtotal.minor() - quote.discount.minor() + quote.shipping.minor() + quote.tax.minor();
    assert_eq!(quote.total.minor(), parts, "{quote:?}");
    (quote.tax.minor(), quote.tax_estimated)
}

#[tokio::test]
async fn what_the_provider_says_is_paid_and_it_is_asked_once() {
    let (world, provider) = shop(TaxFallback::Refuse).await;
    let (app, ada) = (world.app(), customer("ada"));
    let CheckoutView { checkout, .. } = started(&app, &ada).await.expect("started");
    assert_eq!(tax(&checkout.quote), (90, false));
    // Rates that change, or a provider that goes away, do not change what was seen.
    provider.now_says(Says::Rate(200_000));
    patched(&app, &ada, checkout.id, details()).await.expect("patched");
    provider.now_says(Says::Down);
    let paid = pay(&app, &ada, checkout.id, checkout.quote.total).await.expect("paid");
    assert_eq!((tax(&paid), provider.asked()), ((90, false), 1));
}

#[tokio::test]
async fn what_has_changed_is_asked_about_again() {
    let (world, provider) = shop(TaxFallback::Refuse).await;
    let (app, ada) = (world.app(), customer("ada"));
    let CheckoutView { checkout, .. } = started(&app, &ada).await.expect("started");
    provider.now_says(Says::Rate(200_000));
    let elsewhere = patched(&app, &ada, checkout.id, moved("94110")).await.expect("patched").checkout;
    assert_eq!((tax(&elsewhere.quote), provider.asked()), ((180, false), 2));
    let stale = refusal(pay(&app, &ada, checkout.id, checkout.quote.total).await);
    assert_eq!(stale, Refusal::PriceChanged { expected: checkout.quote.total, total: elsewhere.quote.total });
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn a_provider_that_cannot_say_is_stood_in_for_as_the_shop_has_declared() {
    let lies = [Says::First(-1, "USD"), Says::First(399, "USD"), Says::First(10, "EUR"), Says::OtherItem, Says::ItemTwice];
    for says in lies.into_iter().chain([Says::Down]) {
        // 7.25 % of 3.98 by the table; by the last rate 10 % of 3.98 and of shipping.
        for (fallback, known, expected) in [
            (TaxFallback::Table, false, Some(29)),
            (TaxFallback::Table, true, Some(29)),
            (TaxFallback::LastRate, false, Some(29)),
            (TaxFallback::LastRate, true, Some(90)),
            (TaxFallback::Refuse, true, None),
        ] {
            let (world, provider) = shop(fallback).await;
            let app = world.app();
            if known {
                // Somebody else in the same region, with other goods.
                cart(&app, &customer("bob"), vec![add(3, 1)], None).await.expect("a cart");
                let other = start(&app, &customer("bob")).await.expect("started");
                patched(&app, &customer("bob"), other.checkout.id, moved("90001")).await.expect("patched");
            }
            provider.now_says(says);
            let ada = customer("ada");
            match (started(&app, &ada).await, expected) {
                (Ok(view), Some(expected)) => {
                    assert_eq!(tax(&view.checkout.quote), (expected, true), "{fallback:?}, known: {known}");
                    let paid = pay(&app, &ada, view.checkout.id, view.checkout.quote.total).await.expect("paid");
                    assert_eq!(tax(&paid), (expected, true), "{fallback:?}, known: {known}");
                }
                (refused, None) => assert_eq!(refusal(refused), Refusal::TaxUnavailable),
                (Err(error), Some(_)) => panic!("{fallback:?}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn an_estimate_is_kept_by_paying_and_renewed_by_a_change() {
    let (world, provider) = shop(TaxFallback::Table).await;
    let (app, ada, bob) = (world.app(), customer("ada"), customer("bob"));
    provider.now_says(Says::Down);
    let kept = started(&app, &ada).await.expect("started").checkout;
    let renewed = started(&app, &bob).await.expect("started").checkout;
    provider.now_says(Says::Rate(100_000));
    assert_eq!(tax(&pay(&app, &ada, kept.id, kept.quote.total).await.expect("paid")), (29, true));
    assert_eq!(provider.asked(), 2);

    let view = patched(&app, &bob, renewed.id, Details::default()).await.expect("patched");
    assert_eq!((tax(&view.checkout.quote), provider.asked()), ((90, false), 3));
    let stale = refusal(pay(&app, &bob, renewed.id, renewed.quote.total).await);
    assert_eq!(stale, Refusal::PriceChanged { expected: renewed.quote.total, total: view.checkout.quote.total });
    assert_eq!(tax(&start(&app, &bob).await.expect("started again").checkout.quote), (90, false));
}

#[tokio::test]
async fn without_an_answer_nothing_is_paid_and_nothing_is_lost() {
    let (world, provider) = shop(TaxFallback::Refuse).await;
    let (app, ada) = (world.app(), customer("ada"));
    let CheckoutView { checkout, .. } = started(&app, &ada).await.expect("started");
    fresh(app.change_cart(&ada, checkout.cart, vec![Operation::Add(add(2, 1))], None, None).await.expect("added"));
    provider.now_says(Says::Down);
    assert_eq!(refusal(pay(&app, &ada, checkout.id, checkout.quote.total).await), Refusal::TaxUnavailable);
    assert_eq!(world.stock(1).await, (3, 0));
    provider.now_says(Says::Rate(100_000));
    let Refusal::CartChanged { total } = refusal(pay(&app, &ada, checkout.id, checkout.quote.total).await) else {
        panic!("another refusal")
    };
    let paid = pay(&app, &ada, checkout.id, total).await.expect("paid");
    assert_eq!(tax(&paid), (120, false));
}

#[tokio::test]
async fn a_provider_is_asked_only_when_there_is_something_to_ask() {
    let (world, provider) = shop(TaxFallback::Refuse).await;
    let app = world.app();
    let ask =
        |destination: Option<Destination>, items| Calculate { items, coupons: vec![], destination, shipping: None, currency: Some(usd()) };
    let (here, two) = (Some(Destination::from(&address())), vec![add(1, 2)]);
    let exempt = Shopper { tax_exempt: true, ..Shopper::default() };
    let exempt = Caller::Customer(CustomerId::parse("exempt").expect("an id"), Arc::new(exempt));
    for (caller, ask, expected, asked) in [
        (&Caller::Anonymous, ask(None, two.clone()), 0, 0),
        (&Caller::Anonymous, ask(here.clone(), vec![]), 0, 0),
        (&exempt, ask(here.clone(), two.clone()), 0, 0),
        (&Caller::Anonymous, ask(here.clone(), two.clone()), 90, 1),
    ] {
        let before = provider.asked();
        let quote = app.calculate(caller, ask).await.expect("a quote");
        assert_eq!((tax(&quote), provider.asked() - before), ((expected, false), asked));
    }
    provider.now_says(Says::Down);
    assert_eq!(refusal(app.calculate(&Caller::Anonymous, ask(here, two)).await), Refusal::TaxUnavailable);
}
