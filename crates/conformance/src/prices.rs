//! The sentences of [`Prices`](app::ports::Prices).

use crate::Subject;
use crate::fixtures::{START, answer, at, code, mark, race, rules, text, usd};
use app::ports::{CodeWrite, PriceChange, Prices, PricesSaved, RuleWrite};
use domain::ids::{CouponCode, CustomerId, PromotionId, Version};
use domain::order::Actor;
use domain::pricing::{Audited, Batch, Benefit, Deed, Issued, Kept, Off, Promotion, Rule, RuleKey, RuleKind, Target, Trigger, Why};
use domain::time::Timestamp;
use std::sync::Arc;

/// One test for each sentence of [`Prices`](app::ports::Prices).
#[macro_export]
macro_rules! prices {
    ($make:expr) => {
        $crate::tests! { prices, $make,
            a_saved_change_is_in_every_pricebook_taken_after_its_answer
            as_long_as_no_rule_changes_the_pricebook_is_the_same_one
            a_pricebook_does_not_change
            a_write_holds_only_while_the_stored_version_is_the_expected_one
            of_two_saves_at_once_with_one_expected_version_exactly_one_is_done
            codes_of_a_batch_hold_only_while_it_has_as_many_as_expected
            a_code_leads_to_one_promotion_whether_it_is_named_or_issued
            promotions_may_swap_their_codes_in_one_change
            of_two_promotions_at_once_with_one_code_one_is_done_and_the_other_told
            an_answer_whose_key_is_answered_gives_the_first_answer_and_changes_nothing
            every_line_becomes_true_or_none
            every_rule_put_or_deleted_and_the_beginning_of_a_batch_leave_a_line_in_the_audit
            the_audit_is_newest_first_of_one_rule_and_before_a_place
            a_code_is_found_as_it_was_issued
            codes_of_a_promotion_come_in_their_order_after_one
        }
    };
}

/// What a save came to, in a form that can be compared.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Done,
    Conflict,
    CodeTaken(CouponCode),
    Answered(String),
}

async fn save_at(prices: &dyn Prices, change: PriceChange, now: Timestamp) -> Outcome {
    match prices.save(change, now).await.expect("a store that works") {
        PricesSaved::Done => Outcome::Done,
        PricesSaved::Conflict => Outcome::Conflict,
        PricesSaved::CodeTaken(code) => Outcome::CodeTaken(code),
        PricesSaved::Answered(answer) => Outcome::Answered(String::from_utf8_lossy(&answer.body).into_owned()),
    }
}

async fn save(prices: &dyn Prices, change: PriceChange) -> Outcome {
    save_at(prices, change, START).await
}

async fn done(prices: &dyn Prices, change: PriceChange) {
    let note = format!("{change:?}");
    assert_eq!(save(prices, change).await, Outcome::Done, "{note}");
}

fn why() -> Why {
    Why { actor: Actor::Admin(CustomerId::parse("boss").expect("an id")), reason: Some(text("spring")) }
}

fn id(name: &str) -> PromotionId {
    PromotionId::parse(name).expect("an id")
}

/// A promotion of its name for these codes.
fn promotion(name: &str, off: i64, codes: &[&str]) -> Rule {
    let benefit = Benefit::Goods { of: Target::default(), off: Off::Amount(usd(off)) };
    let trigger = Trigger::Codes(codes.iter().map(|c| code(c)).collect());
    Rule::Promotion(Promotion { trigger, ..Promotion::automatic(id(name), text(name), benefit) })
}

fn put(rule: Rule, expected: u64) -> RuleWrite {
    let kept = Kept { rule, version: Version(expected + 1), updated_at: START };
    RuleWrite::Put { kept: Arc::new(kept), expected: Version(expected) }
}

fn delete(name: &str, expected: u64) -> RuleWrite {
    RuleWrite::Delete { key: RuleKey::promotion(&id(name)), expected: Version(expected) }
}

fn writes(rules: impl IntoIterator<Item = RuleWrite>) -> PriceChange {
    PriceChange { rules: rules.into_iter().collect(), ..PriceChange::by(why()) }
}

/// The next codes of batch 7, which is to have four, for promotion `A`.
fn issue(expected: u32, codes: &[&str]) -> PriceChange {
    let batch = Batch { id: 7, promotion: id("A"), count: 4 };
    let codes = codes.iter().map(|c| code(c)).collect();
    PriceChange { codes: Some(CodeWrite { batch, uses_max: Some(1), expected, codes }), ..PriceChange::by(why()) }
}

fn issued(text: &str, at: Timestamp) -> Issued {
    Issued { code: code(text), promotion: id("A"), uses_max: Some(1), batch: 7, at }
}

async fn audit(on: &Subject) -> Vec<Audited> {
    on.prices.audit(None, None, 100).await.expect("a store that works")
}

async fn codes(on: &Subject, of: &str, after: Option<&str>, limit: usize) -> Vec<Issued> {
    on.prices.codes(&id(of), after.map(code).as_ref(), limit).await.expect("a store that works")
}

pub async fn a_saved_change_is_in_every_pricebook_taken_after_its_answer(on: &Subject) {
    assert!(on.prices.book().is_empty());
    let first: Vec<RuleWrite> = rules().into_iter().map(|rule| put(rule, 0)).collect();
    done(&*on.prices, writes(first.clone())).await;
    let book = on.prices.book();
    for (write, rule) in first.iter().zip(rules()) {
        assert_eq!(book.get(&write.key()).map(|kept| (&kept.rule, kept.version)), Some((&rule, Version(1))));
    }
    let changed = promotion("TEN", 100, &["TEN", "ZEHN"]);
    done(&*on.prices, writes([put(changed.clone(), 1)])).await;
    let book = on.prices.book();
    assert_eq!(book.get(&changed.key()).map(|kept| (&kept.rule, kept.version)), Some((&changed, Version(2))));
    assert!(book.rules().coupon(&code("ZEHN")).is_some());
    done(&*on.prices, writes([delete("TEN", 2)])).await;
    let book = on.prices.book();
    assert!(book.get(&changed.key()).is_none() && book.rules().coupon(&code("TEN")).is_none());
    assert_eq!(book.of(RuleKind::TaxRate).count(), 1);
}

pub async fn as_long_as_no_rule_changes_the_pricebook_is_the_same_one(on: &Subject) {
    done(&*on.prices, writes([put(promotion("A", 100, &[]), 0)])).await;
    let book = on.prices.book();
    done(&*on.prices, issue(0, &["A-1"])).await;
    save(&*on.prices, writes([put(promotion("A", 200, &[]), 7)])).await;
    assert!(Arc::ptr_eq(&book, &on.prices.book()));
    done(&*on.prices, writes([put(promotion("A", 200, &[]), 1)])).await;
    assert!(!Arc::ptr_eq(&book, &on.prices.book()));
}

pub async fn a_pricebook_does_not_change(on: &Subject) {
    let first = promotion("A", 100, &["ONE"]);
    done(&*on.prices, writes([put(first.clone(), 0)])).await;
    let book = on.prices.book();
    done(&*on.prices, writes([put(promotion("A", 200, &["TWO"]), 1), put(promotion("B", 200, &[]), 0)])).await;
    assert_eq!(book.get(&first.key()).map(|kept| &kept.rule), Some(&first));
    assert_eq!(book.of(RuleKind::Promotion).count(), 1);
    assert!(book.rules().coupon(&code("ONE")).is_some() && book.rules().coupon(&code("TWO")).is_none());
}

pub async fn a_write_holds_only_while_the_stored_version_is_the_expected_one(on: &Subject) {
    for (write, outcome) in [
        (put(promotion("A", 100, &[]), 1), Outcome::Conflict),
        (delete("A", 0), Outcome::Conflict),
        (delete("A", 1), Outcome::Conflict),
        (put(promotion("A", 100, &[]), 0), Outcome::Done),
        (put(promotion("A", 100, &[]), 0), Outcome::Conflict),
        (put(promotion("A", 200, &[]), 1), Outcome::Done),
        (delete("A", 1), Outcome::Conflict),
        (delete("A", 2), Outcome::Done),
        (delete("A", 2), Outcome::Conflict),
        (put(promotion("A", 100, &[]), 0), Outcome::Done),
    ] {
        let note = format!("{write:?}");
        assert_eq!(save(&*on.prices, writes([write])).await, outcome, "{note}");
    }
}

pub async fn of_two_saves_at_once_with_one_expected_version_exactly_one_is_done(on: &Subject) {
    for round in 1..=10 {
        let name = format!("P{round}");
        done(&*on.prices, writes([put(promotion(&name, 1, &[]), 0)])).await;
        let outcomes = race(2, |racer| {
            let prices = Arc::clone(&on.prices);
            let next = promotion(&name, 2 + i64::from(racer), &[]);
            async move { save(&*prices, writes([put(next, 1)])).await }
        })
        .await;
        assert!(outcomes.contains(&Outcome::Done) && outcomes.contains(&Outcome::Conflict), "{outcomes:?}");
    }
}

pub async fn codes_of_a_batch_hold_only_while_it_has_as_many_as_expected(on: &Subject) {
    done(&*on.prices, writes([put(promotion("A", 100, &[]), 0)])).await;
    for (change, outcome, there) in [
        (issue(1, &["A-1"]), Outcome::Conflict, 0),
        (issue(0, &["A-1", "A-2"]), Outcome::Done, 2),
        (issue(0, &["A-3"]), Outcome::Conflict, 2),
        (issue(2, &["A-3", "A-4"]), Outcome::Done, 4),
        (issue(2, &["A-5"]), Outcome::Conflict, 4),
    ] {
        let note = format!("{change:?}");
        assert_eq!(save(&*on.prices, change).await, outcome, "{note}");
        assert_eq!(on.prices.batch(7).await.expect("a store that works"), there, "{note}");
    }
    assert_eq!(codes(on, "A", None, 10).await.len(), 4);
    assert_eq!(on.prices.batch(8).await.expect("a store that works"), 0);
}

pub async fn a_code_leads_to_one_promotion_whether_it_is_named_or_issued(on: &Subject) {
    done(&*on.prices, writes([put(promotion("A", 100, &["ONE"]), 0)])).await;
    done(&*on.prices, issue(0, &["A-1"])).await;
    let taken = |text: &str| Outcome::CodeTaken(code(text));
    for (change, outcome) in [
        (writes([put(promotion("B", 100, &["ONE"]), 0)]), taken("ONE")),
        (writes([put(promotion("B", 100, &["A-1"]), 0)]), taken("A-1")),
        (writes([put(promotion("B", 100, &["NEW"]), 0), put(promotion("C", 100, &["NEW"]), 0)]), taken("NEW")),
        (writes([put(promotion("A", 100, &["ONE", "A-1"]), 1)]), taken("A-1")),
        (issue(1, &["A-1"]), taken("A-1")),
        (issue(1, &["ONE"]), taken("ONE")),
        (writes([put(promotion("A", 100, &["ONE", "TWO"]), 1)]), Outcome::Done),
        (writes([put(promotion("A", 100, &["TWO"]), 2)]), Outcome::Done),
        (writes([put(promotion("B", 100, &["ONE"]), 0)]), Outcome::Done),
        (writes([delete("A", 3)]), Outcome::Done),
        (writes([put(promotion("B", 100, &["TWO", "A-1"]), 1)]), taken("A-1")),
        (issue(1, &["TWO"]), Outcome::Done),
    ] {
        let note = format!("{change:?}");
        assert_eq!(save(&*on.prices, change).await, outcome, "{note}");
    }
}

pub async fn promotions_may_swap_their_codes_in_one_change(on: &Subject) {
    done(&*on.prices, writes([put(promotion("A", 100, &["ONE"]), 0), put(promotion("B", 100, &["TWO"]), 0)])).await;
    done(&*on.prices, writes([put(promotion("A", 100, &["TWO"]), 1), put(promotion("B", 100, &["ONE"]), 1)])).await;
    let book = on.prices.book();
    assert_eq!(book.rules().coupon(&code("TWO")).map(|p| &p.id), Some(&id("A")));
}

pub async fn of_two_promotions_at_once_with_one_code_one_is_done_and_the_other_told(on: &Subject) {
    for round in 1..=10 {
        let wanted = format!("CODE-{round}");
        let outcomes = race(2, |racer| {
            let prices = Arc::clone(&on.prices);
            let new = promotion(&format!("P{round}-{racer}"), 1, &[&wanted]);
            async move { save(&*prices, writes([put(new, 0)])).await }
        })
        .await;
        assert!(outcomes.contains(&Outcome::Done) && outcomes.contains(&Outcome::CodeTaken(code(&wanted))), "{outcomes:?}");
    }
}

pub async fn an_answer_whose_key_is_answered_gives_the_first_answer_and_changes_nothing(on: &Subject) {
    let answered = |rule, body: &str| PriceChange { answer: Some(answer(1, body, START)), ..writes([put(rule, 0)]) };
    done(&*on.prices, answered(promotion("A", 100, &[]), "first")).await;
    let again = save(&*on.prices, answered(promotion("B", 100, &[]), "second")).await;
    assert_eq!(again, Outcome::Answered("first".into()));
    assert_eq!(on.prices.book().of(RuleKind::Promotion).count(), 1);
    assert_eq!(audit(on).await.len(), 1);
    let first = on.prices.answer(mark(1).key).await.expect("a store that works");
    assert_eq!(first, Some(answer(1, "first", START)));
    assert_eq!(on.prices.answer(mark(2).key).await.expect("a store that works"), None);
}

pub async fn every_line_becomes_true_or_none(on: &Subject) {
    done(&*on.prices, writes([put(promotion("A", 100, &["ONE"]), 0)])).await;
    let whole = PriceChange {
        codes: issue(0, &["A-1", "A-2"]).codes,
        answer: Some(answer(1, "saved", START)),
        ..writes([put(promotion("A", 200, &["TWO"]), 1), put(promotion("B", 100, &["THREE"]), 0)])
    };
    let broken = |change: PriceChange, rule| PriceChange { rules: change.rules.into_iter().chain([rule]).collect(), ..change };
    for wrong in [
        broken(whole.clone(), put(promotion("C", 100, &[]), 3)),
        broken(whole.clone(), put(promotion("C", 100, &["THREE"]), 0)),
        PriceChange { codes: issue(0, &["A-1", "A-1"]).codes, ..whole.clone() },
        PriceChange { codes: issue(0, &["A-1", "TWO"]).codes, ..whole.clone() },
        PriceChange { codes: issue(5, &["A-1"]).codes, ..whole.clone() },
    ] {
        let note = format!("{wrong:?}");
        assert_ne!(save(&*on.prices, wrong).await, Outcome::Done, "{note}");
        let book = on.prices.book();
        assert!(book.rules().coupon(&code("ONE")).is_some() && book.rules().coupon(&code("THREE")).is_none(), "{note}");
        assert_eq!((audit(on).await.len(), codes(on, "A", None, 10).await.len()), (1, 0), "{note}");
        assert_eq!(on.prices.answer(mark(1).key).await.expect("a store that works"), None, "{note}");
        assert_eq!(on.prices.batch(7).await.expect("a store that works"), 0, "{note}");
    }
    done(&*on.prices, whole).await;
    assert_eq!((audit(on).await.len(), codes(on, "A", None, 10).await.len()), (4, 2));
    assert!(on.prices.book().rules().coupon(&code("THREE")).is_some());
}

pub async fn every_rule_put_or_deleted_and_the_beginning_of_a_batch_leave_a_line_in_the_audit(on: &Subject) {
    let (first, second) = (promotion("A", 100, &["ONE"]), promotion("A", 200, &[]));
    let stacking = Rule::Stacking { most: Some(2) };
    save_at(&*on.prices, writes([put(first.clone(), 0), put(stacking.clone(), 0)]), at(1)).await;
    let without_reason = PriceChange { why: Why { actor: Actor::System, reason: None }, ..writes([put(second.clone(), 1)]) };
    save_at(&*on.prices, without_reason, at(2)).await;
    save_at(&*on.prices, issue(0, &["A-1"]), at(3)).await;
    save_at(&*on.prices, issue(1, &["A-2"]), at(4)).await;
    save_at(&*on.prices, writes([delete("A", 2)]), at(5)).await;
    let lines = audit(on).await;
    let told: Vec<_> = lines.iter().rev().map(|line| (line.key.clone(), line.at, line.why.clone(), line.deed.clone())).collect();
    let (key, system) = (first.key(), Why { actor: Actor::System, reason: None });
    let boxed = |rule: &Rule| Box::new(rule.clone());
    assert_eq!(
        told,
        [
            (key.clone(), at(1), why(), Deed::Put { before: None, after: boxed(&first) }),
            (stacking.key(), at(1), why(), Deed::Put { before: None, after: boxed(&stacking) }),
            (key.clone(), at(2), system, Deed::Put { before: Some(boxed(&first)), after: boxed(&second) }),
            (key.clone(), at(3), why(), Deed::Issued { batch: 7, count: 4 }),
            (key, at(5), why(), Deed::Deleted { before: boxed(&second) }),
        ]
    );
}

pub async fn the_audit_is_newest_first_of_one_rule_and_before_a_place(on: &Subject) {
    for n in 0..4 {
        done(&*on.prices, writes([put(promotion("A", 100 + n, &[]), n.unsigned_abs()), put(promotion(&format!("B{n}"), 1, &[]), 0)])).await;
    }
    let all = audit(on).await;
    assert_eq!(all.len(), 8);
    assert!(all.windows(2).all(|pair| pair[0].sequence > pair[1].sequence));
    let key = RuleKey::promotion(&id("A"));
    let of_a: Vec<_> = all.iter().filter(|line| line.key == key).cloned().collect();
    let read = |of: Option<&RuleKey>, before, limit| {
        let (prices, of) = (Arc::clone(&on.prices), of.cloned());
        async move { prices.audit(of.as_ref(), before, limit).await.expect("a store that works") }
    };
    assert_eq!(read(Some(&key), None, 10).await, of_a);
    assert_eq!(read(Some(&key), Some(of_a[1].sequence), 1).await, of_a[2..3]);
    assert_eq!(read(None, Some(all[2].sequence), 3).await, all[3..6]);
    assert_eq!(read(None, Some(all[7].sequence), 3).await, []);
}

pub async fn a_code_is_found_as_it_was_issued(on: &Subject) {
    done(&*on.prices, writes([put(promotion("A", 100, &["NAMED"]), 0)])).await;
    save_at(&*on.prices, issue(0, &["A-1"]), at(3)).await;
    let unlimited = issue(0, &["A-2"]).codes.expect("codes");
    let unlimited = CodeWrite { uses_max: None, batch: Batch { id: 8, ..unlimited.batch }, ..unlimited };
    save_at(&*on.prices, PriceChange { codes: Some(unlimited), ..PriceChange::by(why()) }, at(4)).await;
    let second = Issued { uses_max: None, batch: 8, ..issued("A-2", at(4)) };
    for (text, found) in [("A-1", Some(issued("A-1", at(3)))), ("A-2", Some(second)), ("A-3", None), ("NAMED", None)] {
        assert_eq!(on.prices.issued(&code(text)).await.expect("a store that works"), found, "{text}");
    }
}

pub async fn codes_of_a_promotion_come_in_their_order_after_one(on: &Subject) {
    done(&*on.prices, writes([put(promotion("A", 100, &["A-25"]), 0), put(promotion("B", 100, &[]), 0)])).await;
    done(&*on.prices, issue(0, &["A-3", "A-1"])).await;
    done(&*on.prices, issue(2, &["A-4", "A-2"])).await;
    let other = CodeWrite { batch: Batch { id: 9, promotion: id("B"), count: 1 }, uses_max: None, expected: 0, codes: vec![code("A-22")] };
    done(&*on.prices, PriceChange { codes: Some(other), ..PriceChange::by(why()) }).await;
    for (after, limit, expected) in [
        (None, 10, vec!["A-1", "A-2", "A-3", "A-4"]),
        (None, 3, vec!["A-1", "A-2", "A-3"]),
        (Some("A-2"), 10, vec!["A-3", "A-4"]),
        (Some("A-27"), 1, vec!["A-3"]),
        (Some("A-4"), 10, vec![]),
    ] {
        let found: Vec<_> = codes(on, "A", after, limit).await.into_iter().map(|issued| issued.code.to_string()).collect();
        assert_eq!(found, expected, "{after:?} {limit}");
    }
    assert_eq!(codes(on, "B", None, 10).await.len(), 1);
}
