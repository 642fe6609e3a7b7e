//! A hundred thousand codes are written while others save their carts.

#![expect(clippy::disallowed_methods, reason = "the test is a task beside others, and prints how long they take")]

use app::ports::{Carts, CodeWrite, PriceChange, Prices, PricesSaved};
use conformance::fixtures::{START, cart_of, code, guest, save_cart};
use domain::ids::PromotionId;
use domain::limits::{CODES_CHUNK, CODES_MAX};
use domain::order::Actor;
use domain::pricing::{Batch, Why};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use store_embedded::{EmbeddedStore, verify};
use tempfile::TempDir;

async fn issue(store: &EmbeddedStore, chunk: u32, size: u32) -> Duration {
    let promotion = PromotionId::parse("SPRING").expect("an id");
    let batch = Batch { id: 1, promotion, count: CODES_MAX };
    // As scattered as real ones.
    let fresh = |n: u32| code(&format!("{:016X}", u64::from(chunk * size + n).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    let codes = (0..size).map(fresh).collect();
    let why = Why { actor: Actor::System, reason: None };
    let write = CodeWrite { batch, uses_max: Some(1), expected: chunk * size, codes };
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

/// Prints how long others wait; nothing is asserted about time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the figures are what it prints")]
async fn a_hundred_thousand_codes_are_written_between_the_changes_of_others() {
    let dir = TempDir::new().expect("a temporary directory");
    let store = EmbeddedStore::open(dir.path()).expect("a store");
    let done = Arc::new(AtomicBool::new(false));
    let others = {
        let (store, done) = (store.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            let mut spans = Vec::new();
            for n in 1.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let begun = Instant::now();
                Carts::save(&store, save_cart(&cart_of(n, guest(n), START), 0), START).await.expect("a saved cart");
                spans.push(begun.elapsed());
            }
            spans
        })
    };
    let size = u32::try_from(CODES_CHUNK).expect("small");
    let mut chunks = Vec::new();
    for chunk in 0..CODES_MAX / size {
        chunks.push(issue(&store, chunk, size).await);
    }
    done.store(true, Ordering::Relaxed);
    println!("{}", told("chunks", chunks));
    println!("{}", told("saved carts meanwhile", others.await.expect("all saves")));
    drop(store);
    assert_eq!(verify(dir.path()).expect("a sound store").codes, u64::from(CODES_MAX));
}
