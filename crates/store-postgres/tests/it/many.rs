//! Ten thousand books and a hundred thousand codes. How long they take is printed, not asserted.
#![expect(clippy::print_stdout, reason = "the figures are what it prints")]

use crate::copies::soon;
use crate::servers::Database;
use crate::start::settings;
use app::ports::{Catalog, CatalogChange, CatalogSaved, CodeWrite, PriceChange, Prices, PricesSaved};
use conformance::fixtures::{START, book, code, heading, moved, put_book, put_heading};
use domain::catalog::{Book, HeadingKind};
use domain::ids::{CouponCode, PromotionId};
use domain::limits::{CODES_CHUNK, CODES_MAX};
use domain::order::Actor;
use domain::pricing::{Batch, Why};
use domain::stock::StockChange;
use domain::text::Text;
use store_postgres::PgStore;
use tokio::time::Instant;

const BOOKS: u32 = 10_000;

/// A thousand books by two hundred new authors, with a description as long as most, ten copies of each.
fn thousand(first: u32) -> CatalogChange {
    let author = |n: u32| heading(HeadingKind::Author, u128::from(first + n / 5), &format!("Author {} of {}", n / 5, first));
    let description = |n: u32| {
        (0..60).map(|word| format!("word{}", n.wrapping_mul(7919).wrapping_add(word * 104_729) % 5000)).collect::<Vec<_>>().join(" ")
    };
    let numbers = || first..first + 1000;
    CatalogChange {
        headings: (0..1000).step_by(5).map(|n| put_heading(author(n), 0)).collect(),
        books: numbers()
            .map(|n| put_book(Book { authors: vec![author(n - first).id], description: Text::parse_block(&description(n)), ..book(n) }, 0))
            .collect(),
        stock: numbers().map(|n| moved(n.into(), StockChange::Count(10), "import")).collect(),
        ..CatalogChange::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_books_are_saved_and_read() {
    let database = Database::fresh();
    let (one, other) =
        (PgStore::connect(settings(&database)).await.expect("a store"), PgStore::connect(settings(&database)).await.expect("a store"));
    let begun = Instant::now();
    for first in (1..=BOOKS).step_by(1000) {
        let saved = Catalog::save(&one, thousand(first), START).await.expect("a store that works");
        assert!(matches!(saved, CatalogSaved::Done), "{saved:?}");
    }
    println!("{BOOKS} books saved in {:?}", begun.elapsed());
    soon("all books", || other.snapshot().len() == BOOKS as usize).await;
    println!("and seen by another node after {:?}", begun.elapsed());
    let begun = Instant::now();
    let third = PgStore::connect(settings(&database)).await.expect("a store");
    println!("a node that starts has them after {:?}", begun.elapsed());
    assert_eq!(third.snapshot().len(), BOOKS as usize);
    for of in [&one, &other, &third] {
        soon("all levels", || (1..=BOOKS).all(|n| of.level(domain::ids::EditionId(n.into())).on_hand == 10)).await;
    }
}

/// As scattered as real ones, in order.
fn all() -> Vec<CouponCode> {
    let mut codes: Vec<_> = (0..u64::from(CODES_MAX)).map(|n| code(&format!("{:016X}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)))).collect();
    codes.sort_unstable();
    codes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_codes_are_issued() {
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    let promotion = PromotionId::parse("SPRING").expect("an id");
    let batch = Batch { id: 1, promotion: promotion.clone(), count: CODES_MAX };
    let begun = Instant::now();
    let mut there = 0;
    for codes in all().chunks(CODES_CHUNK) {
        let write = CodeWrite { batch: batch.clone(), uses_max: Some(1), expected: there, codes: codes.to_vec() };
        let change = PriceChange { codes: Some(write), ..PriceChange::by(Why { actor: Actor::System, reason: None }) };
        let saved = Prices::save(&store, change, START).await.expect("a store that works");
        assert!(matches!(saved, PricesSaved::Done), "{saved:?}");
        there += u32::try_from(codes.len()).expect("few");
    }
    println!("{CODES_MAX} codes issued in {:?}", begun.elapsed());
    assert_eq!(store.batch(1).await.expect("a store that works"), CODES_MAX);
    assert_eq!(store.codes(&promotion, None, 3).await.expect("a store that works").len(), 3);
}
