//! Each fault is planted, and some seed must see it; how many it takes is printed for the table in
//! `docs/reliability.md`.

use crate::run;
use std::collections::BTreeSet;
use std::path::Path;

/// Seeds that are tried before a fault counts as unseen.
const SEEDS: u64 = 300;

/// Every fault, and a word of what the simulator says when it sees it, where there is but one way to see it.
const FAULTS: &[(&str, &str)] = &[
    ("stock-oversold", "more than there is"),
    ("last-copy-kept", "refused though there is enough"),
    ("settle-clears-cart", "its events say"),
    ("settled-twice", "taken out twice"),
    ("merged-twice", "still there"),
    ("shipping-forgotten", "not add up"),
    ("lost-update", ""),
    ("cart-answers-dropped", "two answers"),
    ("cart-owner-not-compared", "another's cart"),
    ("if-match-ignored", "conditional add"),
    ("body-not-compared", "under a used key"),
    ("delivered-before-published", "published"),
    ("checkout-owner-not-compared", "another's checkout"),
    ("number-from-clock", "has the number of"),
    ("price-not-renewed", "any more"),
    ("total-not-compared", "nobody agreed to"),
    ("cart-version-not-compared", ""),
    ("checkout-version-not-compared", ""),
    ("two-checkouts-a-cart", ""),
    ("coupon-limit-off-by-one", "times"),
    ("inbox-not-consulted", "a consumer knows"),
    ("outbox-apart", ""),
    ("expiry-ignores-payment", ""),
    ("new-key-on-retry", ""),
    ("unknown-is-declined", ""),
    ("captured-before-recorded", ""),
    ("authorization-kept", ""),
    ("stock-kept-on-decline", ""),
    ("released-twice", ""),
    ("coupon-kept", ""),
    ("order-answer-dropped", ""),
    ("stock-kept-on-cancel", ""),
    ("refunded-twice", ""),
    ("budget-not-checked", "spent/POT: used"),
    ("person-limit-ignored", "used 2 times, Some(1) are allowed"),
    ("use-kept-on-cancel", "known"),
    ("gift-not-held", ""),
    ("pricebook-of-yesterday", "any more"),
];

#[test]
#[expect(clippy::print_stdout, reason = "the table is what it prints")]
fn every_planted_fault_is_seen() {
    let mut unseen = Vec::new();
    for (fault, sign) in FAULTS {
        domain::plant(Some(fault));
        let seen = (1..=SEEDS).find_map(|seed| run(seed).err().map(|violation| (seed, violation.what)));
        match &seen {
            Some((seeds, what)) => println!("{fault:32} {seeds:3}  {}", what.lines().next().unwrap_or_default()),
            None => unseen.push(*fault),
        }
        assert!(seen.is_none_or(|(_, what)| what.contains(sign)), "{fault} is seen for something else");
    }
    domain::plant(None);
    assert!(unseen.is_empty(), "not seen within {SEEDS} seeds: {unseen:?}");
}

/// So that no fault lies about in the code that nobody tries.
#[test]
fn every_planted_fault_is_tried() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut planted = BTreeSet::new();
    for name in ["domain", "app", "memory", "sim"] {
        collect(&crates.join(name).join("src"), &mut planted);
    }
    let tried: BTreeSet<_> = FAULTS.iter().map(|(fault, _)| (*fault).to_owned()).collect();
    assert_eq!(planted, tried);
}

fn collect(directory: &Path, planted: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, planted);
        } else {
            let text = std::fs::read_to_string(&path).expect("a source");
            let names = text.split("planted(\"").skip(1).filter_map(|rest| rest.split('"').next());
            planted.extend(names.map(str::to_owned));
        }
    }
}
