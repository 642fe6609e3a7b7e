//! The sentences of [`Catalog`](app::ports::Catalog) and [`SearchIndex`](app::ports::SearchIndex).

use crate::Subject;
use crate::fixtures::{
    START, answer, at, book, book_event, edition, heading, heading_id, mark, move_stock, moved, new_books, put_book, put_heading, race,
    sku, text, usd,
};
use app::ports::{BookWrite, Catalog, CatalogChange, CatalogSaved, Committed, Freshness, HeadingWrite};
use domain::catalog::{Book, Edition, Heading, HeadingKind, Ratings};
use domain::event::BookEvent;
use domain::ids::{BookId, EditionId, Sku, Version};
use domain::order::Actor;
use domain::pricing::{PriceLine, Why};
use domain::stock::{StockChange, StockLevel};
use domain::text::Text;
use std::sync::Arc;

/// One test for each sentence of [`Catalog`](app::ports::Catalog) and [`SearchIndex`](app::ports::SearchIndex).
#[macro_export]
macro_rules! catalog {
    ($make:expr) => {
        $crate::tests! { catalog, $make,
            a_saved_change_is_in_every_snapshot_taken_after_its_answer
            a_snapshot_does_not_change
            an_acknowledged_move_is_in_the_level
            the_count_of_changes_grows_with_the_snapshot_and_the_levels
            who_holds_the_catalog_knows_it_fresh
            a_write_holds_only_while_the_stored_version_is_the_expected_one
            of_two_saves_at_once_with_one_expected_version_exactly_one_is_done
            skus_are_unique
            of_two_books_at_once_with_one_sku_one_is_done_and_the_other_told
            names_of_headings_are_unique_within_their_kind_without_case
            a_heading_that_a_book_still_names_cannot_be_deleted
            a_stock_move_the_level_refuses_is_short
            every_line_becomes_true_or_none
            what_an_edition_was_sold_at_is_listed_newest_first_and_before_a_place
            an_answer_whose_key_is_answered_gives_the_first_answer_and_changes_nothing
            the_books_that_match_every_word_are_found
            any_text_is_a_valid_query
            the_most_relevant_come_first
            a_saved_book_is_found_at_once
        }
    };
}

/// What a save came to, in a form that can be compared.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Done,
    Conflict,
    SkuTaken(Sku),
    NameTaken,
    Referenced(u64),
    StockShort(u32),
    Answered(String),
}

async fn save(catalog: &dyn Catalog, change: CatalogChange) -> Outcome {
    match catalog.save(change, START).await.expect("a store that works") {
        CatalogSaved::Done => Outcome::Done,
        CatalogSaved::Conflict => Outcome::Conflict,
        CatalogSaved::SkuTaken(sku) => Outcome::SkuTaken(sku),
        CatalogSaved::NameTaken => Outcome::NameTaken,
        CatalogSaved::Referenced(books) => Outcome::Referenced(books),
        CatalogSaved::StockShort { available } => Outcome::StockShort(available),
        CatalogSaved::Answered(answer) => Outcome::Answered(String::from_utf8_lossy(&answer.body).into_owned()),
    }
}

async fn done(catalog: &dyn Catalog, change: CatalogChange) {
    let note = format!("{change:?}");
    assert_eq!(save(catalog, change).await, Outcome::Done, "{note}");
}

fn books(writes: impl IntoIterator<Item = BookWrite>) -> CatalogChange {
    CatalogChange { books: writes.into_iter().collect(), ..CatalogChange::default() }
}

fn headings(writes: impl IntoIterator<Item = HeadingWrite>) -> CatalogChange {
    CatalogChange { headings: writes.into_iter().collect(), ..CatalogChange::default() }
}

fn delete_book(n: u128, expected: u64) -> BookWrite {
    BookWrite::Delete { id: BookId(n), expected: Version(expected) }
}

fn delete_heading(kind: HeadingKind, n: u128, expected: u64) -> HeadingWrite {
    HeadingWrite::Delete { id: heading_id(kind, n), expected: Version(expected) }
}

/// The same at another version.
fn at_version(book: Book, version: u64) -> Book {
    Book { version: Version(version), ..book }
}

fn stored(on: &Subject, n: u128) -> Option<Book> {
    on.catalog.snapshot().book(BookId(n)).map(|b| (**b).clone())
}

/// Book 1 by author 1 in category 2 from publisher 3, with two editions (1 and 2), one of them on sale.
fn dune() -> Book {
    let on_sale = Edition { sale_price: Some(usd(99)), ..edition(2) };
    Book {
        title: text("Dune"),
        authors: vec![heading_id(HeadingKind::Author, 1)],
        categories: vec![heading_id(HeadingKind::Category, 2)],
        publisher: Some(heading_id(HeadingKind::Publisher, 3)),
        editions: vec![edition(1), on_sale],
        ..book(1)
    }
}

fn dunes_headings() -> [Heading; 3] {
    [
        heading(HeadingKind::Author, 1, "Frank Herbert"),
        heading(HeadingKind::Category, 2, "Science Fiction"),
        heading(HeadingKind::Publisher, 3, "Chilton Books"),
    ]
}

fn new_dune() -> CatalogChange {
    CatalogChange { headings: dunes_headings().map(|h| put_heading(h, 0)).into(), ..new_books([dune()]) }
}

pub async fn a_saved_change_is_in_every_snapshot_taken_after_its_answer(on: &Subject) {
    assert!(on.catalog.snapshot().is_empty());
    done(&*on.catalog, new_dune()).await;
    let snapshot = on.catalog.snapshot();
    assert_eq!(stored(on, 1), Some(dune()));
    for heading in dunes_headings() {
        assert_eq!(snapshot.heading(heading.id).map(|h| (**h).clone()), Some(heading.clone()));
        assert_eq!(snapshot.heading_by_name(heading.id.kind, heading.name.as_str()).map(|h| h.id), Some(heading.id));
        assert_eq!(snapshot.uses(heading.id), 1);
    }
    assert_eq!((snapshot.edition_by_sku(&sku(2)), snapshot.len()), (Some(EditionId(2)), 1));
    let bare = Book {
        subtitle: None,
        description: None,
        authors: vec![],
        publisher: None,
        published_year: None,
        isbn13: None,
        image_url: None,
        editions: vec![edition(1)],
        ratings: Ratings::default(),
        updated_at: at(1),
        ..at_version(dune(), 2)
    };
    done(&*on.catalog, books([put_book(bare.clone(), 1)])).await;
    assert_eq!(stored(on, 1), Some(bare));
    assert_eq!(on.catalog.snapshot().edition_by_sku(&sku(2)), None);
    done(&*on.catalog, books([delete_book(1, 2)])).await;
    assert_eq!(stored(on, 1), None);
    done(&*on.catalog, headings([delete_heading(HeadingKind::Author, 1, 1)])).await;
    assert!(on.catalog.snapshot().heading(heading_id(HeadingKind::Author, 1)).is_none());
}

pub async fn a_snapshot_does_not_change(on: &Subject) {
    done(&*on.catalog, new_books([book(1)])).await;
    let before = on.catalog.snapshot();
    done(&*on.catalog, books([delete_book(1, 1), put_book(book(2), 0)])).await;
    assert_eq!(before.book(BookId(1)).map(|b| (**b).clone()), Some(book(1)));
    assert_eq!((before.len(), before.book(BookId(2)).is_none()), (1, true));
}

pub async fn an_acknowledged_move_is_in_the_level(on: &Subject) {
    assert_eq!(on.catalog.level(EditionId(1)), StockLevel::default());
    let stock = vec![moved(1, StockChange::Count(7), "import")];
    done(&*on.catalog, CatalogChange { stock, ..new_books([book(1)]) }).await;
    assert_eq!(on.catalog.level(EditionId(1)), StockLevel { on_hand: 7, reserved: 0, moves: 1 });
    let reserve = move_stock([moved(1, StockChange::Reserve(2), "order")]);
    let committed = on.ledger.commit(reserve, START).await.expect("a store that works");
    assert!(matches!(committed, Committed::Done), "{committed:?}");
    assert_eq!(on.catalog.level(EditionId(1)), StockLevel { on_hand: 7, reserved: 2, moves: 2 });
    assert_eq!(on.ledger.stock(EditionId(1)).await.expect("a store that works"), on.catalog.level(EditionId(1)));
}

pub async fn the_count_of_changes_grows_with_the_snapshot_and_the_levels(on: &Subject) {
    let before = on.catalog.changes();
    done(&*on.catalog, new_books([book(1)])).await;
    let with_book = on.catalog.changes();
    let stock = vec![moved(1, StockChange::Count(7), "import")];
    done(&*on.catalog, CatalogChange { stock, ..CatalogChange::default() }).await;
    let counted = on.catalog.changes();
    on.ledger.commit(move_stock([moved(1, StockChange::Reserve(2), "order")]), START).await.expect("a store that works");
    let reserved = on.catalog.changes();
    assert!(before < with_book && with_book < counted && counted < reserved, "{before} {with_book} {counted} {reserved}");
}

pub async fn who_holds_the_catalog_knows_it_fresh(on: &Subject) {
    assert_eq!(on.catalog.freshness(), Freshness::Fresh);
    done(&*on.catalog, new_books([book(1)])).await;
    assert_eq!(on.catalog.freshness(), Freshness::Fresh);
}

pub async fn a_write_holds_only_while_the_stored_version_is_the_expected_one(on: &Subject) {
    let author = |version| Heading { version: Version(version), ..heading(HeadingKind::Author, 1, "Ursula K. Le Guin") };
    let kind = HeadingKind::Author;
    for (change, outcome) in [
        (books([put_book(book(1), 1)]), Outcome::Conflict),
        (books([delete_book(1, 1)]), Outcome::Conflict),
        (books([put_book(book(1), 0)]), Outcome::Done),
        (books([put_book(book(1), 0)]), Outcome::Conflict),
        (books([put_book(at_version(book(1), 2), 1)]), Outcome::Done),
        (books([put_book(at_version(book(1), 2), 1)]), Outcome::Conflict),
        (books([delete_book(1, 1)]), Outcome::Conflict),
        (books([delete_book(1, 2)]), Outcome::Done),
        (books([delete_book(1, 2)]), Outcome::Conflict),
        (headings([put_heading(author(2), 1)]), Outcome::Conflict),
        (headings([put_heading(author(1), 0)]), Outcome::Done),
        (headings([put_heading(author(1), 0)]), Outcome::Conflict),
        (headings([put_heading(author(2), 1)]), Outcome::Done),
        (headings([delete_heading(kind, 1, 1)]), Outcome::Conflict),
        (headings([delete_heading(kind, 1, 2)]), Outcome::Done),
        (headings([delete_heading(kind, 1, 2)]), Outcome::Conflict),
    ] {
        let note = format!("{change:?}");
        assert_eq!(save(&*on.catalog, change).await, outcome, "{note}");
    }
    assert!(on.catalog.snapshot().is_empty());
}

pub async fn of_two_saves_at_once_with_one_expected_version_exactly_one_is_done(on: &Subject) {
    for round in 1..=10 {
        done(&*on.catalog, new_books([book(round)])).await;
        let outcomes = race(2, |racer| {
            let catalog = Arc::clone(&on.catalog);
            let next = Book { title: text(&format!("Racer {racer}")), ..at_version(book(round), 2) };
            async move { save(&*catalog, books([put_book(next, 1)])).await }
        })
        .await;
        assert!(outcomes.contains(&Outcome::Done) && outcomes.contains(&Outcome::Conflict), "{outcomes:?}");
    }
}

/// Edition `n` under the SKU of another.
fn sold_as(n: u32, other: u32) -> Edition {
    Edition { sku: sku(other), ..edition(n) }
}

pub async fn skus_are_unique(on: &Subject) {
    let with =
        |n: u32, editions: Vec<(u32, u32)>| Book { editions: editions.into_iter().map(|(id, sku)| sold_as(id, sku)).collect(), ..book(n) };
    done(&*on.catalog, new_books([with(1, vec![(1, 1), (2, 2)])])).await;
    for (change, outcome) in [
        (new_books([with(2, vec![(3, 3), (4, 2)])]), Outcome::SkuTaken(sku(2))),
        (new_books([with(2, vec![(3, 3), (4, 3)])]), Outcome::SkuTaken(sku(3))),
        (new_books([with(2, vec![(3, 3)]), with(3, vec![(4, 3)])]), Outcome::SkuTaken(sku(3))),
        (books([put_book(at_version(with(1, vec![(1, 1), (2, 2), (5, 5)]), 2), 1)]), Outcome::Done),
        (books([put_book(at_version(with(1, vec![(1, 1)]), 3), 2)]), Outcome::Done),
        (new_books([with(2, vec![(3, 2)])]), Outcome::Done),
        (books([delete_book(1, 3)]), Outcome::Done),
        (new_books([with(4, vec![(6, 1)])]), Outcome::Done),
    ] {
        let note = format!("{change:?}");
        assert_eq!(save(&*on.catalog, change).await, outcome, "{note}");
    }
    assert_eq!(on.catalog.snapshot().edition_by_sku(&sku(1)), Some(EditionId(6)));
}

pub async fn of_two_books_at_once_with_one_sku_one_is_done_and_the_other_told(on: &Subject) {
    for round in 1..=10_u32 {
        let outcomes = race(2, |racer| {
            let catalog = Arc::clone(&on.catalog);
            let n = round * 10 + racer;
            let new = Book { editions: vec![sold_as(n, round)], ..book(n) };
            async move { save(&*catalog, new_books([new])).await }
        })
        .await;
        assert!(outcomes.contains(&Outcome::Done) && outcomes.contains(&Outcome::SkuTaken(sku(round))), "{outcomes:?}");
    }
}

pub async fn names_of_headings_are_unique_within_their_kind_without_case(on: &Subject) {
    use HeadingKind::{Author, Category};
    let new = |kind, n, name| headings([put_heading(heading(kind, n, name), 0)]);
    let renamed =
        |n, name, version: u64| headings([put_heading(Heading { version: Version(version + 1), ..heading(Author, n, name) }, version)]);
    for (change, outcome) in [
        (new(Author, 1, "Stanisław Lem"), Outcome::Done),
        (new(Author, 2, "Stanisław Lem"), Outcome::NameTaken),
        (new(Author, 2, "STANISŁAW LEM"), Outcome::NameTaken),
        (new(Category, 2, "Stanisław Lem"), Outcome::Done),
        (new(Author, 3, "Octavia Butler"), Outcome::Done),
        (renamed(3, "stanisław lem", 1), Outcome::NameTaken),
        (renamed(3, "Octavia E. Butler", 1), Outcome::Done),
        (renamed(3, "OCTAVIA E. BUTLER", 2), Outcome::Done),
        (new(Author, 4, "Octavia Butler"), Outcome::Done),
        (headings([put_heading(heading(Author, 5, "Twin"), 0), put_heading(heading(Author, 6, "twin"), 0)]), Outcome::NameTaken),
        (headings([delete_heading(Author, 1, 1)]), Outcome::Done),
        (new(Author, 2, "Stanisław Lem"), Outcome::Done),
    ] {
        let note = format!("{change:?}");
        assert_eq!(save(&*on.catalog, change).await, outcome, "{note}");
    }
}

pub async fn a_heading_that_a_book_still_names_cannot_be_deleted(on: &Subject) {
    done(&*on.catalog, new_dune()).await;
    done(&*on.catalog, new_books([Book { authors: dune().authors, ..book(9) }])).await;
    for (kind, n, books) in [(HeadingKind::Author, 1, 2), (HeadingKind::Category, 2, 1), (HeadingKind::Publisher, 3, 1)] {
        let outcome = save(&*on.catalog, headings([delete_heading(kind, n, 1)])).await;
        assert_eq!(outcome, Outcome::Referenced(books), "{kind:?}");
    }
    let together = CatalogChange { books: vec![delete_book(1, 1)], ..headings([delete_heading(HeadingKind::Publisher, 3, 1)]) };
    done(&*on.catalog, together).await;
    assert_eq!(save(&*on.catalog, headings([delete_heading(HeadingKind::Author, 1, 1)])).await, Outcome::Referenced(1));
    done(&*on.catalog, books([delete_book(9, 1)])).await;
    done(&*on.catalog, headings([delete_heading(HeadingKind::Author, 1, 1)])).await;
    assert!(on.catalog.snapshot().headings(HeadingKind::Author).is_empty());
}

pub async fn a_stock_move_the_level_refuses_is_short(on: &Subject) {
    let stock = |change, cause| CatalogChange { stock: vec![moved(1, change, cause)], ..CatalogChange::default() };
    done(&*on.catalog, new_books([book(1)])).await;
    for (change, outcome, on_hand) in [
        (stock(StockChange::Receive(5), "a"), Outcome::Done, 5),
        (stock(StockChange::Receive(5), "a"), Outcome::Done, 5),
        (stock(StockChange::Receive(-6), "b"), Outcome::StockShort(5), 5),
        (stock(StockChange::Count(3), "c"), Outcome::Done, 3),
        (stock(StockChange::Receive(-3), "d"), Outcome::Done, 0),
    ] {
        let note = format!("{change:?}");
        assert_eq!(save(&*on.catalog, change).await, outcome, "{note}");
        assert_eq!(on.catalog.level(EditionId(1)).on_hand, on_hand, "{note}");
    }
    let pending = on.outbox.pending(10).await.expect("a store that works");
    let told: Vec<_> = pending.iter().map(|p| (p.event.sequence, p.event.event.name())).collect();
    assert_eq!(told, vec![(1, "stock.received"), (2, "stock.counted"), (3, "stock.received")]);
}

fn price_line(n: u128, minor: i64) -> PriceLine {
    let why = Why { actor: Actor::System, reason: Some(text("import")) };
    PriceLine { edition: EditionId(n), at: START, list: usd(minor), sale: Some(usd(minor - 1)), why }
}

pub async fn what_an_edition_was_sold_at_is_listed_newest_first_and_before_a_place(on: &Subject) {
    let line = price_line;
    for lines in [vec![line(1, 100), line(2, 300)], vec![line(1, 200)], vec![line(1, 150)]] {
        done(&*on.catalog, CatalogChange { prices: lines, ..CatalogChange::default() }).await;
    }
    let all = on.catalog.prices(EditionId(1), None, 10).await.expect("a store that works");
    assert_eq!(all.iter().map(|(_, line)| line.clone()).collect::<Vec<_>>(), [line(1, 150), line(1, 200), line(1, 100)]);
    let before = on.catalog.prices(EditionId(1), Some(all[0].0), 1).await.expect("a store that works");
    assert_eq!(before, all[1..2]);
    assert_eq!(on.catalog.prices(EditionId(3), None, 10).await.expect("a store that works"), []);
}

pub async fn every_line_becomes_true_or_none(on: &Subject) {
    done(&*on.catalog, new_books([book(9)])).await;
    let whole = CatalogChange {
        stock: vec![moved(1, StockChange::Receive(5), "a"), moved(1, StockChange::Receive(-5), "b")],
        outbox: vec![book_event(1, 1, BookEvent::Created)],
        answer: Some(answer(1, "saved", START)),
        prices: vec![price_line(1, 100)],
        ..new_dune()
    };
    let broken_headings = {
        let mut broken = whole.clone();
        broken.headings.push(delete_heading(HeadingKind::Author, 7, 1));
        broken
    };
    for (change, outcome) in [
        (broken_headings, Outcome::Conflict),
        (CatalogChange { books: vec![put_book(dune(), 0), delete_book(9, 2)], ..whole.clone() }, Outcome::Conflict),
        (
            CatalogChange { books: vec![put_book(Book { editions: vec![sold_as(1, 9)], ..dune() }, 0)], ..whole.clone() },
            Outcome::SkuTaken(sku(9)),
        ),
        (
            CatalogChange { stock: vec![moved(1, StockChange::Receive(5), "a"), moved(1, StockChange::Receive(-6), "b")], ..whole.clone() },
            Outcome::StockShort(5),
        ),
    ] {
        assert_eq!(save(&*on.catalog, change).await, outcome);
        let snapshot = on.catalog.snapshot();
        assert_eq!((snapshot.len(), snapshot.headings(HeadingKind::Author).len()), (1, 0), "after {outcome:?}");
        assert_eq!(on.catalog.level(EditionId(1)), StockLevel::default(), "after {outcome:?}");
        assert_eq!(on.catalog.answer(mark(1).key).await.expect("a store that works"), None, "after {outcome:?}");
        assert_eq!(on.outbox.pending(10).await.expect("a store that works"), vec![], "after {outcome:?}");
        assert_eq!(on.catalog.prices(EditionId(1), None, 10).await.expect("a store that works"), [], "after {outcome:?}");
    }
    done(&*on.catalog, whole).await;
    assert_eq!(on.catalog.prices(EditionId(1), None, 10).await.expect("a store that works").len(), 1);
    assert_eq!(stored(on, 1), Some(dune()));
    assert_eq!(on.catalog.answer(mark(1).key).await.expect("a store that works"), Some(answer(1, "saved", START)));
    assert_eq!(on.outbox.pending(10).await.expect("a store that works").len(), 3);
}

pub async fn an_answer_whose_key_is_answered_gives_the_first_answer_and_changes_nothing(on: &Subject) {
    let change = |n, body| CatalogChange { answer: Some(answer(1, body, START)), ..new_books([book(n)]) };
    done(&*on.catalog, change(1, "first")).await;
    for n in [1, 2] {
        assert_eq!(save(&*on.catalog, change(n, "second")).await, Outcome::Answered("first".to_owned()));
    }
    assert_eq!(on.catalog.snapshot().len(), 1);
}

/// Book 1 is Dune; 2 is "Dune Messiah", by the same author; 3 only tells of dunes; 4 is in French.
async fn shelf(on: &Subject) {
    done(&*on.catalog, new_dune()).await;
    let told = |description| Text::parse_block(description);
    let herbert = dune().authors;
    let shelf = [
        Book { title: text("Dune Messiah"), authors: herbert, description: told("The second book."), ..book(12) },
        Book { title: text("The Sahara"), description: told("Sand, wind and one great dune.\nA journey."), ..book(13) },
        Book { title: text("L'Étranger"), description: told("A man, a beach & the sun."), ..book(14) },
    ];
    done(&*on.catalog, new_books(shelf)).await;
}

async fn found(on: &Subject, query: &str) -> Vec<u128> {
    let mut found = ranked(on, query, 10).await;
    found.sort_unstable();
    found
}

async fn ranked(on: &Subject, query: &str, limit: usize) -> Vec<u128> {
    on.search.matches(query, limit).await.expect("a store that works").iter().map(|id| id.0).collect()
}

pub async fn the_books_that_match_every_word_are_found(on: &Subject) {
    shelf(on).await;
    for (query, ids) in [
        ("dune", vec![1, 12, 13]),
        ("DUNE", vec![1, 12, 13]),
        ("herbert", vec![1, 12]),
        ("Herbert Dune", vec![1, 12]),
        ("dune messiah", vec![12]),
        ("messiah dune", vec![12]),
        ("sahara dune", vec![13]),
        ("journey", vec![13]),
        // The last word matches by its beginning, the others as a whole.
        ("du", vec![1, 12, 13]),
        ("dune mes", vec![12]),
        ("du messiah", vec![]),
        ("une", vec![]),
        ("étr", vec![14]),
        ("dune étranger", vec![]),
        ("chilton", vec![]),
        ("nothing", vec![]),
    ] {
        assert_eq!(found(on, query).await, ids, "{query}");
    }
}

pub async fn any_text_is_a_valid_query(on: &Subject) {
    shelf(on).await;
    let dunes = vec![1, 12, 13];
    for (query, ids) in [
        ("\"dune", dunes.clone()),
        ("dune*", dunes.clone()),
        ("(dune", dunes.clone()),
        ("dune)", dunes.clone()),
        ("-dune", dunes.clone()),
        ("^dune", dunes.clone()),
        ("dune:", dunes.clone()),
        ("dune ' !!!", dunes),
        ("title: dune", vec![]),
        ("NEAR(dune", vec![]),
        ("dune OR sahara", vec![]),
    ] {
        assert_eq!(found(on, query).await, ids, "{query}");
    }
    for query in ["", " ", "***", "\"", "'); DROP TABLE books; --", "AND", "OR NOT", "\u{0}", "日本語", "🦀"] {
        let found = on.search.matches(query, 2).await;
        assert!(found.as_ref().is_ok_and(|ids| ids.len() <= 2), "{query}: {found:?}");
    }
}

pub async fn the_most_relevant_come_first(on: &Subject) {
    shelf(on).await;
    let ids = ranked(on, "dune", 10).await;
    assert_eq!((ids.len(), ids.last()), (3, Some(&13)), "a title says more than a description");
    assert_eq!(ranked(on, "dune", 2).await, ids[..2]);
    assert_eq!(ranked(on, "dune", 10).await, ids, "asked again");
}

pub async fn a_saved_book_is_found_at_once(on: &Subject) {
    shelf(on).await;
    let renamed = Book { title: text("Arrakis"), ..at_version(dune(), 2) };
    done(&*on.catalog, books([put_book(renamed, 1)])).await;
    assert_eq!((found(on, "dune").await, found(on, "arrakis").await), (vec![12, 13], vec![1]));
    let pen_name = Heading { version: Version(2), ..heading(HeadingKind::Author, 1, "A Pen Name") };
    done(&*on.catalog, headings([put_heading(pen_name, 1)])).await;
    assert_eq!((found(on, "herbert").await, found(on, "pen name").await), (vec![], vec![1, 12]));
    done(&*on.catalog, books([delete_book(1, 2)])).await;
    assert_eq!(found(on, "arrakis").await, Vec::<u128>::new());
}
