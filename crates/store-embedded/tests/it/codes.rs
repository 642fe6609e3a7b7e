//! A hundred thousand codes are written while others save their carts.

#![expect(clippy::disallowed_methods, reason = "the test is a task beside others, and prints how long they take")]

use app::ports::{Carts, CodeWrite, PriceChange, Prices, PricesSaved};
use conformance::fixtures::{START, cart_of, code, guest, save_cart};
use domain::ids::{CouponCode, PromotionId};
use domain::limits::{CODES_CHUNK, CODES_MAX};
use domain::order::Actor;
use domain::pricing::{Batch, Why};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use store_embedded::{EmbeddedStore, verify};
use tempfile::TempDir;

/// As scattered as real ones, in order.
fn all() -> Vec<CouponCode> {
    let mut codes: Vec<_> = (0..u64::from(CODES_MAX)).map(|n| code(&format!("{:016X}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)))).collect();
    codes.sort_unstable();
    codes
}

async fn issue(store: &EmbeddedStore, expected: u32, codes: &[CouponCode]) -> Duration {
    let promotion = PromotionId::parse("SPRING").expect("an id");
    let batch = Batch { id: 1, promotion, count: CODES_MAX };
    let why = Why { actor: Actor::System, reason: None };
    let write = CodeWrite { batch, uses_max: Some(1), expected, codes: codes.to_vec() };
    let begun = Instant::now();
    let saved = Prices::save(store, PriceChange { codes: Some(write), ..PriceChange::by(why) }, START).await.expect("saved codes");
    assert!(matches!(saved, PricesSaved::Done), "{saved:?}");
    begun.elapsed()
}

fn told(what: &str, mut spans: Vec<Duration>) -> String {
    spans.sort_unstable();
    let at = |permille: usize| spans[(spans.len() - 1) * permille / 1000];
    format!("{what}: {} of them, half within {:?}, 99 % within {:?}, the longest {:?}", spans.len(), at(500), at(990), at(1000))
}

/// Saves new carts from the `first` on, one after the other, while it is wanted; how long each took.
async fn save_carts(store: EmbeddedStore, first: u128, wanted: impl Fn(u128) -> bool) -> Vec<Duration> {
    let mut spans = Vec::new();
    for n in (first..).take_while(|n| wanted(*n)) {
        let begun = Instant::now();
        Carts::save(&store, save_cart(&cart_of(n, guest(n), START), 0), START).await.expect("a saved cart");
        spans.push(begun.elapsed());
    }
    spans
}

/// Prints how long others wait; nothing is asserted about time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the figures are what it prints")]
async fn a_hundred_thousand_codes_are_written_between_the_changes_of_others() {
    let dir = TempDir::new().expect("a temporary directory");
    let store = EmbeddedStore::open(dir.path()).expect("a store");
    println!("{}", told("saved carts before", save_carts(store.clone(), 1, |n| n <= 200).await));
    let done = Arc::new(AtomicBool::new(false));
    let others = {
        let (store, done) = (store.clone(), Arc::clone(&done));
        tokio::spawn(save_carts(store, 1_000, move |_| !done.load(Ordering::Relaxed)))
    };
    let (mut chunks, mut there) = (Vec::new(), 0);
    for codes in all().chunks(CODES_CHUNK) {
        chunks.push(issue(&store, there, codes).await);
        there += u32::try_from(codes.len()).expect("few");
    }
    done.store(true, Ordering::Relaxed);
    println!("{}", told("chunks", chunks));
    println!("{}", told("saved carts meanwhile", others.await.expect("all saves")));
    drop(store);
    assert_eq!(verify(dir.path()).expect("a sound store").codes, u64::from(CODES_MAX));
}
