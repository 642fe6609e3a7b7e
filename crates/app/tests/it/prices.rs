//! Rules are changed while shoppers shop.

use crate::world::{STOCK, World, add, admin, buy, cart, customer, fresh, once, order, process, start, usd};
use app::ports::{Answer, PortError, PriceChange, Prices, PricesSaved};
use app::{Answered, App, BookInput, Calculate, Caller, CodeView, EditionInput, Error, Issue, Ports, PutRule, Simulate};
use async_trait::async_trait;
use conformance::fixtures::{self, code, text};
use domain::catalog::Format;
use domain::ids::{BookId, CouponCode, EditionId, PromotionId, Sku, Version};
use domain::limits::{CODES_CHUNK, EXPRESSION_MAX};
use domain::money::{Money, Ppm};
use domain::pricing::{
    Audited, Batch, Benefit, Budget, Conditions, Deed, Facts, Fault, Issued, Needs, Off, Pricebook, Promotion, Rule, RuleFault, RuleKey,
    RuleKind, Selector, Shopper, Target, Trigger, Window,
};
use domain::refusal::Refusal;
use domain::text::Text;
use domain::time::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

fn id(name: &str) -> PromotionId {
    PromotionId::parse(name).expect("an id")
}

fn key(name: &str) -> RuleKey {
    RuleKey::promotion(&id(name))
}

fn dollars(minor: i64) -> Money {
    Money::new(minor, usd()).expect("an amount")
}

fn goods(off: Off) -> Benefit {
    Benefit::Goods { of: Target::default(), off }
}

/// So much off for everybody.
fn automatic(name: &str, minor: i64) -> Promotion {
    Promotion::automatic(id(name), text(name), goods(Off::Amount(dollars(minor))))
}

fn put(rule: impl Into<Rule>, creates: bool) -> PutRule {
    PutRule { rule: rule.into(), if_match: None, creates, reason: Some(text("a test")) }
}

async fn create(app: &App, rule: impl Into<Rule>) {
    fresh(app.put_rule(&admin(), put(rule, true), None).await.expect("a rule"));
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("a refusal was expected: {other:?}"),
    }
}

/// Pays what alice saw, after something happened meanwhile.
async fn pay_after(world: &World, app: &App, coupon: Option<&str>, meanwhile: impl AsyncFnOnce()) -> (Money, Result<Money, Refusal>) {
    let alice = customer("alice");
    cart(app, &alice, vec![add(1, 1)], coupon).await.expect("a cart");
    let seen = start(app, &alice).await.expect("a checkout").checkout;
    meanwhile().await;
    let paid = app.process(&alice, process(seen.id, "tok_visa", seen.quote.total), once("first", 0)).await;
    let paid = match paid {
        Ok(answered) => Ok(order(fresh(answered)).quote.total),
        Err(Error::Refused(refusal)) => Err(refusal),
        Err(other) => panic!("{other}"),
    };
    world.settle(app).await;
    (seen.quote.total, paid)
}

/// As after [`pay_after`]: nothing was charged, and the shopper may agree to the new total.
async fn agrees_to(app: &App, total: Money) {
    let alice = customer("alice");
    let again = start(app, &alice).await.expect("a checkout").checkout;
    assert_eq!(again.quote.total, total);
    let paid = app.process(&alice, process(again.id, "tok_visa", total), once("second", 0)).await.expect("paid");
    assert_eq!(order(fresh(paid)).quote.total, total);
}

#[tokio::test]
async fn a_rule_that_changes_in_mid_checkout_is_told_as_a_new_total() {
    let world = World::new().await;
    let app = world.app();
    create(&app, automatic("SALE", 50)).await;
    let change = async || drop(app.put_rule(&admin(), put(automatic("SALE", 20), false), None).await.expect("a rule"));
    let (seen, paid) = pay_after(&world, &app, None, change).await;
    let refusal = paid.expect_err("another total");
    let Refusal::PriceChanged { expected, total } = refusal else { panic!("{refusal:?}") };
    assert_eq!(expected, seen);
    assert!(total.minor() > seen.minor());
    assert_eq!(world.payments.charges().len(), 0);
    agrees_to(&app, total).await;
}

#[tokio::test]
async fn a_rule_that_is_deleted_or_switched_off_in_mid_checkout_is_told_as_a_new_total() {
    for delete in [true, false] {
        let world = World::new().await;
        let app = world.app();
        create(&app, automatic("SALE", 50)).await;
        let end = async || {
            if delete {
                fresh(app.delete_rule(&admin(), key("SALE"), None, None, None).await.expect("deleted"));
            } else {
                let off = Promotion { active: false, ..automatic("SALE", 50) };
                fresh(app.put_rule(&admin(), put(off, false), None).await.expect("a rule"));
            }
        };
        let (seen, paid) = pay_after(&world, &app, None, end).await;
        assert!(matches!(paid, Err(Refusal::PriceChanged { expected, .. }) if expected == seen), "{paid:?}");
    }
}

#[tokio::test]
async fn a_promotion_that_ends_in_mid_checkout_is_told_as_a_new_total() {
    let world = World::new().await;
    let app = world.app();
    let to = app.now().plus(Duration::from_secs(60));
    create(&app, Promotion { window: Window { from: None, to: Some(to) }, ..automatic("SALE", 50) }).await;
    let (seen, paid) = pay_after(&world, &app, None, async || world.clock.advance(Duration::from_secs(61))).await;
    assert!(matches!(paid, Err(Refusal::PriceChanged { expected, .. }) if expected == seen), "{paid:?}");
}

#[tokio::test]
async fn a_code_that_is_used_up_in_mid_checkout_is_refused_by_name() {
    let world = World::new().await;
    let app = world.app();
    let others = async || {
        for name in ["bob", "carol"] {
            let shopper = customer(name);
            cart(&app, &shopper, vec![add(2, 1)], Some("TWICE")).await.expect("a cart");
            let seen = start(&app, &shopper).await.expect("a checkout").checkout;
            fresh(app.process(&shopper, process(seen.id, "tok_visa", seen.quote.total), once(name, 0)).await.expect("paid"));
        }
    };
    let (_, paid) = pay_after(&world, &app, Some("TWICE"), others).await;
    assert_eq!(paid, Err(Refusal::CouponExhausted { code: "TWICE".into() }));
}

#[tokio::test]
async fn of_two_first_orders_at_once_one_has_the_discount() {
    let world = World::new().await;
    let app = world.app();
    create(&app, Promotion { needs: Needs { first_order: true, ..Needs::default() }, ..automatic("FIRST", 50) }).await;
    // The same person: two guests with one e-mail address.
    let (one, other) = (world.guest(&app).await, world.guest(&app).await);
    let mut seen = Vec::new();
    for guest in [&one, &other] {
        cart(&app, guest, vec![add(1, 1)], None).await.expect("a cart");
        seen.push(start(&app, guest).await.expect("a checkout").checkout);
    }
    assert!(seen.iter().all(|c| c.quote.discount == dollars(50)));
    let pay = |guest: &Caller, n: usize, key: &'static str| {
        let (guest, ask) = (guest.clone(), process(seen[n].id, "tok_visa", seen[n].quote.total));
        let app = &app;
        async move { app.process(&guest, ask, once(key, 0)).await }
    };
    let (first, second) = tokio::join!(pay(&one, 0, "one"), pay(&other, 1, "two"));
    let paid = [first, second].into_iter().filter(Result::is_ok).count();
    assert_eq!(paid, 1);
    world.settle(&app).await;
    let orders: Vec<_> = world.orders().await.into_iter().filter(|o| o.quote.discount == dollars(50)).collect();
    assert_eq!(orders.len(), 1);
}

#[tokio::test]
async fn a_gift_that_goes_out_of_stock_in_mid_checkout_is_told() {
    let world = World::new().await;
    let app = world.app();
    let gift = Promotion::automatic(id("GIFT"), text("A book for you"), Benefit::Gift { edition: EditionId(3) });
    create(&app, gift).await;
    let alice = customer("alice");
    cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    let seen = start(&app, &alice).await.expect("a checkout").checkout;
    assert!(seen.quote.lines.iter().any(|l| l.gift && l.edition == EditionId(3)));
    // Without the promotion for others, who buy all of them.
    let bob = customer("bob");
    cart(&app, &bob, vec![add(3, i64::from(STOCK))], None).await.expect("a cart");
    let all = start(&app, &bob).await.expect("a checkout").checkout;
    fresh(app.process(&bob, process(all.id, "tok_visa", all.quote.total), once("bob", 0)).await.expect("paid"));
    let paid = app.process(&alice, process(seen.id, "tok_visa", seen.quote.total), once("alice", 0)).await;
    // Its price and its discount went together: the total is the same, and yet it is not what was agreed to.
    assert_eq!(refused(paid), Refusal::CartChanged { total: seen.quote.total });
    let paid = app.process(&alice, process(seen.id, "tok_visa", seen.quote.total), once("alice again", 0)).await;
    let bought = order(fresh(paid.expect("paid")));
    assert!(bought.quote.lines.iter().all(|l| !l.gift));
    world.settle(&app).await;
    assert_eq!(world.stock(3).await, (0, 0));
}

#[tokio::test]
async fn a_rule_has_versions_and_an_audit() {
    let world = World::new().await;
    let app = world.app();
    let boss = admin();
    assert_eq!(refused(app.put_rule(&boss, put(automatic("SALE", 50), false), None).await), Refusal::RuleNotFound);
    let first = fresh(app.put_rule(&boss, put(automatic("SALE", 50), true), Some(once("put", 0))).await.expect("a rule"));
    assert_eq!(first.version, Version(1));
    let again = app.put_rule(&boss, put(automatic("SALE", 50), true), Some(once("put", 0))).await.expect("the first answer");
    assert!(matches!(again, Answered::Again(_)), "{again:?}");
    assert_eq!(refused(app.put_rule(&boss, put(automatic("SALE", 50), true), Some(once("put", 1))).await), Refusal::IdempotencyKeyReused);
    assert_eq!(refused(app.put_rule(&boss, put(automatic("SALE", 50), true), None).await), Refusal::RuleExists);
    let stale = PutRule { if_match: Some(Version(7)), ..put(automatic("SALE", 20), false) };
    assert_eq!(refused(app.put_rule(&boss, stale, None).await), Refusal::VersionMismatch { current: Version(1) });
    let second = fresh(app.put_rule(&boss, put(automatic("SALE", 20), false), None).await.expect("a rule"));
    assert_eq!((second.version, app.rule(&boss, &key("SALE")).expect("a rule")), (Version(2), Arc::clone(&second)));
    let stale = app.delete_rule(&boss, key("SALE"), Some(Version(1)), None, None).await;
    assert_eq!(refused(stale), Refusal::VersionMismatch { current: Version(2) });
    fresh(app.delete_rule(&boss, key("SALE"), Some(Version(2)), None, None).await.expect("deleted"));
    assert_eq!(refused(app.delete_rule(&boss, key("SALE"), None, None, None).await), Refusal::RuleNotFound);
    assert_eq!(refused(app.rule(&boss, &key("SALE"))), Refusal::RuleNotFound);
    let history = app.rule_history(&boss, Some(&key("SALE")), None, 10).await.expect("a history");
    let deeds: Vec<_> = history.iter().map(|line| (&line.deed, line.why.reason.as_ref().map(|r| r.as_str()))).collect();
    let (one, two) = (Box::new(first.rule.clone()), Box::new(second.rule.clone()));
    assert_eq!(
        deeds,
        [
            (&Deed::Deleted { before: two.clone() }, None),
            (&Deed::Put { before: Some(one.clone()), after: two }, Some("a test")),
            (&Deed::Put { before: None, after: one }, Some("a test")),
        ]
    );
    let promotions = app.rules_of(&boss, RuleKind::Promotion).expect("rules");
    assert_eq!(promotions.iter().map(|p| p.rule.key().id.to_string()).collect::<Vec<_>>(), ["FREE", "TEN", "TWICE"]);
}

#[tokio::test]
async fn only_an_admin_decides() {
    let world = World::new().await;
    let app = world.app();
    let alice = customer("alice");
    let issue = Issue { count: 1, prefix: None, uses_max: None };
    assert_eq!(refused(app.put_rule(&alice, put(automatic("SALE", 50), true), None).await), Refusal::Forbidden);
    assert_eq!(refused(app.delete_rule(&alice, key("TEN"), None, None, None).await), Refusal::Forbidden);
    assert_eq!(refused(app.rules_of(&alice, RuleKind::Promotion)), Refusal::Forbidden);
    assert_eq!(refused(app.rule(&Caller::Anonymous, &key("TEN"))), Refusal::Unauthenticated);
    assert_eq!(refused(app.rule_history(&alice, None, None, 1).await), Refusal::Forbidden);
    assert_eq!(refused(app.issue_codes(&alice, id("TEN"), issue, None, None).await), Refusal::Forbidden);
    assert_eq!(refused(app.codes(&alice, &id("TEN"), None, 1).await), Refusal::Forbidden);
    assert_eq!(refused(app.simulate(&alice, simulate(vec![])).await), Refusal::Forbidden);
    assert_eq!(refused(app.price_history(&alice, BookId(1), EditionId(1), None, 1).await), Refusal::Forbidden);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_field() {
    let world = World::new().await;
    let app = world.app();
    let of = |selector| Target { any: vec![selector], ..Target::default() };
    let on = |of| Promotion { benefit: Benefit::Goods { of, off: Off::Rate(Ppm(1)) }, ..automatic("NEW", 1) };
    let coupon = |text: &str| Promotion { trigger: Trigger::Codes(vec![code(text)]), ..automatic("NEW", 1) };
    let expression = Needs { expression: Some(text("true")), ..Needs::default() };
    let not_there = |id: String| Fault::NotInCatalog { id };
    for (rule, fault) in [
        (automatic("NEW", 0), Fault::NotPositive.of("off")),
        (coupon("TEN"), Fault::CodeTaken { code: code("TEN") }.of("codes")),
        (on(of(Selector::Book(BookId(99)))), not_there(BookId(99).to_string()).of("targets")),
        (on(of(Selector::Edition(EditionId(99)))), not_there(EditionId(99).to_string()).of("targets")),
        (
            Promotion { benefit: Benefit::Gift { edition: EditionId(99) }, ..automatic("NEW", 1) },
            not_there(EditionId(99).to_string()).of("gift"),
        ),
        (
            Promotion { needs: expression, ..automatic("NEW", 1) },
            Fault::ConditionInvalid { why: "this shop knows no language for conditions".into() }.of("expression"),
        ),
    ] {
        let note = format!("{rule:?}");
        let RuleFault { field, fault } = fault;
        let refusal = Refusal::RuleInvalid { fault: fault.of(field) };
        assert_eq!(refused(app.put_rule(&admin(), put(rule.clone(), true), None).await), refusal, "{note}");
        assert_eq!(refused(app.simulate(&admin(), simulate(vec![rule.into()])).await), refusal, "{note}");
    }
    create(&app, on(of(Selector::Book(BookId(1))))).await;
}

fn simulate(drafts: Vec<Rule>) -> Simulate {
    let items = vec![add(1, 2)];
    let ask = Calculate { items, coupons: vec![], destination: None, shipping: None, currency: None };
    Simulate { ask, drafts, without: vec![], shopper: None, at: None }
}

#[tokio::test]
async fn a_simulation_prices_by_rules_that_are_not_there_and_saves_nothing() {
    let world = World::new().await;
    let app = world.app();
    create(&app, automatic("SALE", 50)).await;
    let book = app.pricebook();
    let simulated =
        app.simulate(&admin(), simulate(vec![automatic("SALE", 70).into(), automatic("NEW", 10).into()])).await.expect("quotes");
    assert_eq!((simulated.before.discount, simulated.after.discount), (dollars(50), dollars(80)));
    let without = Simulate { without: vec![key("SALE")], ..simulate(vec![]) };
    let simulated = app.simulate(&admin(), without).await.expect("quotes");
    assert_eq!((simulated.before.discount, simulated.after.discount), (dollars(50), dollars(0)));
    let gold = Needs { segments: vec![domain::ids::Segment::parse("gold").expect("a segment")], ..Needs::default() };
    let shopper = Shopper { segments: gold.segments.clone(), ..Shopper::default() };
    let for_gold = Simulate {
        shopper: Some(shopper),
        at: Some(app.now().plus(Duration::from_secs(86_400))),
        ..simulate(vec![
            Promotion { needs: gold, ..automatic("GOLD", 5) }.into(),
            Promotion { window: Window { from: Some(app.now().plus(Duration::from_secs(60))), to: None }, ..automatic("LATER", 3) }.into(),
        ])
    };
    let simulated = app.simulate(&admin(), for_gold).await.expect("quotes");
    assert_eq!((simulated.before.discount, simulated.after.discount), (dollars(50), dollars(58)));
    let unknown = Simulate { without: vec![key("NONE")], ..simulate(vec![]) };
    assert_eq!(refused(app.simulate(&admin(), unknown).await), Refusal::RuleNotFound);
    assert!(Arc::ptr_eq(&book, &app.pricebook()));
}

#[tokio::test]
async fn issued_codes_are_hard_to_guess_and_each_counts_its_uses() {
    let world = World::new().await;
    let app = world.app();
    create(&app, Promotion { trigger: Trigger::Codes(vec![]), ..automatic("SPRING", 50) }).await;
    let issue = Issue { count: 3, prefix: Some(code("SPRING")), uses_max: Some(1) };
    let batch = fresh(app.issue_codes(&admin(), id("SPRING"), issue, Some(text("campaign")), None).await.expect("codes"));
    assert_eq!(batch.count, 3);
    let codes = app.codes(&admin(), &id("SPRING"), None, 10).await.expect("codes");
    assert_eq!(codes.len(), 3);
    for CodeView { issued, used } in &codes {
        let chance = issued.code.as_str().strip_prefix("SPRING-").expect("the prefix");
        assert!(chance.len() == 13 && !chance.contains(['I', 'L', 'O', 'U']), "{chance}");
        assert_eq!((issued.batch, issued.uses_max, *used), (batch.id, Some(1), 0));
    }
    let given = codes[1].issued.code.as_str();
    let alice = customer("alice");
    cart(&app, &alice, vec![add(1, 1)], Some(given)).await.expect("a cart");
    let seen = start(&app, &alice).await.expect("a checkout").checkout;
    assert_eq!(seen.quote.discount, dollars(50));
    fresh(app.process(&alice, process(seen.id, "tok_visa", seen.quote.total), once("pay", 0)).await.expect("paid"));
    let used: Vec<_> = app.codes(&admin(), &id("SPRING"), None, 10).await.expect("codes").iter().map(|c| c.used).collect();
    assert_eq!(used, [0, 1, 0]);
    let ask = |text: &str| Calculate { coupons: vec![code(text)], ..simulate(vec![]).ask };
    for (text, discount) in [(given, 0), (codes[0].issued.code.as_str(), 50), ("SPRING-0000000000000", 0)] {
        assert_eq!(app.calculate(&customer("bob"), ask(text)).await.expect("a quote").discount, dollars(discount), "{text}");
    }
    let second = app.codes(&admin(), &id("SPRING"), Some(&codes[0].issued.code), 1).await.expect("codes");
    assert_eq!(second[0].issued, codes[1].issued);
}

#[tokio::test]
async fn codes_are_issued_for_a_promotion_that_goes_by_them_and_in_bounds() {
    let world = World::new().await;
    let app = world.app();
    create(&app, automatic("SALE", 50)).await;
    let issue = |count, prefix: Option<&str>| Issue { count, prefix: prefix.map(code), uses_max: None };
    let long = "A".repeat(33);
    for (promotion, issue, refusal) in [
        ("NONE", issue(1, None), Refusal::RuleNotFound),
        ("SALE", issue(1, None), Refusal::CodesNotUsed),
        ("TEN", issue(0, None), Refusal::CodesInvalid),
        ("TEN", issue(100_001, None), Refusal::CodesInvalid),
        ("TEN", issue(1, Some(&long)), Refusal::CodesInvalid),
    ] {
        let note = format!("{promotion} {issue:?}");
        assert_eq!(refused(app.issue_codes(&admin(), id(promotion), issue, None, None).await), refusal, "{note}");
    }
}

/// A store of prices that fails after some saves.
struct Stumbling {
    store: memory::MemoryStore,
    saves: AtomicU32,
}

#[async_trait]
impl Prices for Stumbling {
    fn book(&self) -> Arc<Pricebook> {
        self.store.book()
    }
    async fn save(&self, change: PriceChange, now: Timestamp) -> Result<PricesSaved, PortError> {
        if self.saves.fetch_sub(1, Ordering::Relaxed) == 1 {
            return Err(PortError::unavailable("prices", "stumbled"));
        }
        Prices::save(&self.store, change, now).await
    }
    async fn issued(&self, code: &CouponCode) -> Result<Option<Issued>, PortError> {
        self.store.issued(code).await
    }
    async fn codes(&self, promotion: &PromotionId, after: Option<&CouponCode>, limit: usize) -> Result<Vec<Issued>, PortError> {
        self.store.codes(promotion, after, limit).await
    }
    async fn batch(&self, id: u128) -> Result<u32, PortError> {
        self.store.batch(id).await
    }
    async fn audit(&self, of: Option<&RuleKey>, before: Option<u64>, limit: usize) -> Result<Vec<Audited>, PortError> {
        self.store.audit(of, before, limit).await
    }
    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        Prices::answer(&self.store, key).await
    }
}

#[tokio::test]
async fn a_repeat_after_a_crash_issues_what_is_missing() {
    let world = World::new().await;
    let chunk = u32::try_from(CODES_CHUNK).expect("small");
    let issue = || Issue { count: 3 * chunk + 7, prefix: None, uses_max: None };
    let stumbling = Stumbling { store: world.store.clone(), saves: AtomicU32::new(3) };
    let app = App::new(Ports { prices: Arc::new(stumbling), ..world.ports() }, world.policy());
    let broken = app.issue_codes(&admin(), id("TEN"), issue(), None, Some(once("issue", 0))).await;
    assert!(matches!(broken, Err(Error::Port(_))), "{broken:?}");
    let count = async || world.store.codes(&id("TEN"), None, usize::MAX).await.expect("codes").len();
    assert_eq!(count().await, 2 * CODES_CHUNK);
    let app = world.app();
    let batch: Batch = fresh(app.issue_codes(&admin(), id("TEN"), issue(), None, Some(once("issue", 0))).await.expect("codes"));
    assert_eq!(count().await, 3 * CODES_CHUNK + 7);
    let again = app.issue_codes(&admin(), id("TEN"), issue(), None, Some(once("issue", 0))).await.expect("the first answer");
    assert!(matches!(again, Answered::Again(_)), "{again:?}");
    assert_eq!(count().await, 3 * CODES_CHUNK + 7);
    let all = world.store.codes(&id("TEN"), None, usize::MAX).await.expect("codes");
    assert!(all.iter().all(|issued| issued.batch == batch.id));
    assert_eq!(all.iter().map(|issued| &issued.code).collect::<BTreeSet<_>>().len(), all.len());
    let begun = app.rule_history(&admin(), Some(&key("TEN")), None, 10).await.expect("a history");
    assert_eq!(begun.iter().filter(|line| matches!(line.deed, Deed::Issued { .. })).count(), 1);
}

#[tokio::test]
async fn first_rules_are_for_a_shop_that_never_had_one() {
    let world = World { store: memory::MemoryStore::new(), ..World::new().await };
    let app = world.app();
    let wrong = vec![automatic("SALE", 0).into(), automatic("OTHER", 5).into()];
    assert!(matches!(refused(app.first_rules(wrong, text("first start")).await), Refusal::RuleInvalid { .. }));
    assert!(!app.has_decided_on_prices().await.expect("read"));
    assert_eq!(app.first_rules(fixtures::rules(), text("first start")).await.expect("rules"), 3);
    assert_eq!(app.first_rules(vec![automatic("SALE", 50).into()], text("again")).await.expect("none"), 0);
    fresh(app.delete_rule(&admin(), key("TEN"), None, None, None).await.expect("deleted"));
    assert_eq!(app.first_rules(fixtures::rules(), text("first start")).await.expect("none"), 0);
    let history = app.rule_history(&admin(), None, None, 10).await.expect("a history");
    assert_eq!(history.last().and_then(|line| line.why.reason.as_ref()).map(|r| r.as_str()), Some("first start"));
}

#[tokio::test]
async fn a_rendered_cart_is_shown_until_a_rule_changes() {
    let world = World::new().await;
    let app = world.app();
    let alice = customer("alice");
    let id = cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    let stored = app.unpriced_cart(&alice, id, None).await.expect("a cart");
    let (_, basis) = app.price_cart(&alice, Arc::clone(&stored)).await.expect("a price");
    assert!(app.still_shows(&basis, &stored));
    create(&app, automatic("SALE", 50)).await;
    assert!(!app.still_shows(&basis, &stored));
    let (view, basis) = app.price_cart(&alice, Arc::clone(&stored)).await.expect("a price");
    assert_eq!((view.quote.discount, app.still_shows(&basis, &stored)), (dollars(50), true));
    // What is limited may change with anybody's order.
    create(&app, Promotion { budget: Budget { uses: Some(1), ..Budget::default() }, ..automatic("ONCE", 5) }).await;
    let (_, basis) = app.price_cart(&alice, Arc::clone(&stored)).await.expect("a price");
    assert!(!app.still_shows(&basis, &stored));
}

#[tokio::test]
async fn a_rendered_cart_does_not_promise_a_gift_that_is_gone() {
    let world = World::new().await;
    let app = world.app();
    create(&app, Promotion::automatic(id("GIFT"), text("A gift"), Benefit::Gift { edition: EditionId(2) })).await;
    let alice = customer("alice");
    let id = cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    let stored = app.unpriced_cart(&alice, id, None).await.expect("a cart");
    let (view, basis) = app.price_cart(&alice, Arc::clone(&stored)).await.expect("a price");
    assert!(view.quote.lines.iter().any(|line| line.gift));
    let bob = customer("bob");
    cart(&app, &bob, vec![add(2, STOCK.into())], None).await.expect("a cart");
    let all = start(&app, &bob).await.expect("a checkout").checkout;
    app.process(&bob, process(all.id, "tok_visa", all.quote.total), once("all", 0)).await.expect("paid");
    assert!(!app.still_shows(&basis, &stored));
}

/// A language of one sentence: whoever has ordered before.
struct Regulars;

impl Conditions for Regulars {
    fn check(&self, _: &Text<EXPRESSION_MAX>) -> Result<(), String> {
        Ok(())
    }

    fn holds(&self, _: &Text<EXPRESSION_MAX>, facts: &Facts<'_>) -> Option<bool> {
        facts.context.shopper.orders.map(|orders| orders > 0)
    }
}

#[tokio::test]
async fn a_condition_is_told_how_often_a_shopper_has_ordered() {
    let world = World::new().await;
    let app = App::new(Ports { expressions: Arc::new(Regulars), ..world.ports() }, world.policy());
    let needs = Needs { expression: Some(text("regulars")), ..Needs::default() };
    create(&app, Promotion { needs, ..automatic("REGULARS", 50) }).await;
    let alice = customer("alice");
    let off = async || {
        let ask = Calculate { items: vec![add(1, 1)], coupons: vec![], destination: None, shipping: None, currency: None };
        app.calculate(&alice, ask).await.expect("a quote").discount
    };
    assert_eq!(off().await, dollars(0));
    cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    buy(&app, &alice, "tok_visa").await.expect("paid");
    assert_eq!(off().await, dollars(50));
}

#[tokio::test]
async fn every_change_of_a_price_is_told_with_who_made_it() {
    let world = World::new().await;
    let app = world.app();
    let input = |price, sale: Option<i64>| BookInput {
        reason: None,
        title: text("Dune"),
        subtitle: None,
        description: None,
        authors: vec![],
        categories: vec![],
        publisher: None,
        language: text("en"),
        published_year: None,
        isbn13: None,
        image_url: None,
        editions: vec![EditionInput {
            sku: Sku::parse("DUNE").expect("a SKU"),
            format: Format::Paperback,
            price: dollars(price),
            sale_price: sale.map(dollars),
            weight_g: None,
            stock: None,
        }],
        ratings: None,
    };
    let book = fresh(app.create_book(&admin(), input(1_000, None), None).await.expect("a book")).book;
    let edition = book.editions[0].id;
    fresh(app.replace_book(&admin(), book.id, input(1_000, Some(800)), None, None).await.expect("a book"));
    fresh(app.replace_book(&admin(), book.id, input(1_000, Some(800)), None, None).await.expect("a book"));
    app.import(&[input(1_100, None)]).await.expect("imported");
    app.import(&[input(1_100, None)]).await.expect("imported");
    let lines = app.price_history(&admin(), book.id, edition, None, 10).await.expect("a history");
    let told: Vec<_> =
        lines.iter().map(|(_, l)| (l.list.minor(), l.sale.map(Money::minor), l.why.reason.as_ref().map(|r| r.as_str()))).collect();
    assert_eq!(told, [(1_100, None, Some("import")), (1_000, Some(800), None), (1_000, None, None)]);
    let before = app.price_history(&admin(), book.id, edition, Some(lines[0].0), 1).await.expect("a history");
    assert_eq!(before, lines[1..2]);
    assert_eq!(refused(app.price_history(&admin(), BookId(1), edition, None, 10).await), Refusal::ProductNotFound);
}
