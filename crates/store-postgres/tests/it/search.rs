//! What is found is what the embedded store finds, on the demo's catalog.

use crate::servers::Database;
use crate::start::settings;
use app::ports::{Catalog, CatalogChange, CatalogSaved, SearchIndex};
use conformance::fixtures::{START, book, heading, put_book, put_heading};
use domain::catalog::{Book, Heading, HeadingKind};
use domain::text::Text;
use std::collections::{BTreeMap, BTreeSet};
use store_embedded::EmbeddedStore;
use store_postgres::PgStore;
use tempfile::TempDir;

const DEMO: &str = include_str!("../../../../fixtures/catalog/books.jsonl");

#[derive(serde::Deserialize)]
struct Line {
    title: String,
    subtitle: Option<String>,
    description: Option<String>,
    authors: Vec<String>,
}

fn demo() -> CatalogChange {
    let lines: Vec<Line> = DEMO.lines().map(|line| serde_json::from_str(line).expect("a book")).collect();
    let names: BTreeSet<&String> = lines.iter().flat_map(|line| &line.authors).collect();
    let authors: BTreeMap<&String, Heading> = (1..).zip(names).map(|(n, name)| (name, heading(HeadingKind::Author, n, name))).collect();
    let books = (1..).zip(&lines).map(|(n, line)| Book {
        title: Text::parse(&line.title).expect("a title"),
        subtitle: line.subtitle.as_deref().and_then(Text::parse),
        description: line.description.as_deref().and_then(Text::parse_block),
        authors: line.authors.iter().map(|name| authors[name].id).collect(),
        ..book(n)
    });
    let books = books.map(|book| put_book(book, 0)).collect();
    CatalogChange { books, headings: authors.values().map(|author| put_heading(author.clone(), 0)).collect(), ..CatalogChange::default() }
}

/// Every word of the catalog, beginnings of it, and words together with the next.
fn queries() -> BTreeSet<String> {
    let mut queries: BTreeSet<String> = [
        "",
        "L'Étranger",
        "etranger",
        "ÉTRANGER",
        "o'brien",
        "the of",
        "-- ;",
        "С",
        "война",
        "Война и",
        "日本",
        "社",
        "한",
        "ال",
        "Łem",
        "lem",
        "1984",
        "19",
    ]
    .map(str::to_owned)
    .into();
    for line in DEMO.lines() {
        let line: Line = serde_json::from_str(line).expect("a book");
        let texts = [Some(line.title), line.subtitle, line.description, Some(line.authors.join(" "))];
        let text = texts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let words: Vec<_> = text.split_whitespace().collect();
        for pair in words.windows(2).step_by(5) {
            queries.insert(pair[0].to_owned());
            queries.insert(pair.join(" "));
            queries.insert(pair[0].chars().take(3).collect());
        }
    }
    queries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_books_are_found_as_in_the_embedded_store() {
    let (database, dir) = (Database::fresh(), TempDir::new().expect("a temporary directory"));
    let postgres = PgStore::connect(settings(&database)).await.expect("a store");
    let embedded = EmbeddedStore::open(dir.path()).expect("a store");
    for saved in [Catalog::save(&postgres, demo(), START).await, Catalog::save(&embedded, demo(), START).await] {
        assert!(matches!(saved.expect("a store that works"), CatalogSaved::Done));
    }
    let queries = queries();
    assert!(queries.len() > 2_000, "{}", queries.len());
    let (mut differences, mut found) = (Vec::new(), 0);
    for query in queries {
        let mut here = postgres.matches(&query, 10_000).await.expect("a store that works");
        let mut there = embedded.matches(&query, 10_000).await.expect("a store that works");
        here.sort_unstable();
        there.sort_unstable();
        found += here.len();
        if here != there {
            differences.push(format!("{query:?}: {here:?}, embedded {there:?}"));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!(found > 10_000, "{found}");
}
