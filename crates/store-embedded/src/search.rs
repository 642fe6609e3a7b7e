//! Full text over title, authors and description.

use crate::EmbeddedStore;
use crate::columns::{change, limit};
use crate::fault::Fault;
use app::ports::{PortError, SearchIndex};
use async_trait::async_trait;
use domain::catalog::{Book, HeadingKind};
use domain::ids::BookId;
use rusqlite::Connection;

const PORT: &str = "search";

/// A word found in the title counts most, then one among the authors.
const MATCHES: &str = "SELECT b.id FROM books_fts f JOIN books b ON b.number = f.rowid
                       WHERE books_fts MATCH ?1 ORDER BY bm25(books_fts, 10.0, 5.0, 1.0), b.number LIMIT ?2";

/// Combining accents belong to the letter before them.
fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&c)
}

/// Every word quoted, the last one open at its end; none when the text has no word.
fn query(text: &str) -> Option<String> {
    let words: Vec<_> = text.split(|c| !is_of_a_word(c)).filter(|w| w.chars().any(char::is_alphanumeric)).collect();
    (!words.is_empty()).then(|| format!("\"{}\"*", words.join("\" \"")))
}

/// Enters a stored book into the index.
pub fn index(on: &Connection, number: i64, book: &Book) -> Result<(), Fault> {
    let title = [Some(book.title.as_str()), book.subtitle.as_ref().map(|s| s.as_str())].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let mut authors = Vec::new();
    let name = "SELECT name FROM headings WHERE kind = ?1 AND id = ?2";
    for author in &book.authors {
        authors.extend(crate::columns::value::<String>(on, name, (HeadingKind::Author.prefix(), author.bits.to_be_bytes()))?);
    }
    let sql = "INSERT OR REPLACE INTO books_fts (rowid, title, authors, description) VALUES (?1, ?2, ?3, ?4)";
    change(on, sql, (number, title, authors.join(" "), book.description.as_ref().map_or("", |d| d.as_str())))?;
    Ok(())
}

pub fn remove(on: &Connection, number: i64) -> rusqlite::Result<()> {
    change(on, "DELETE FROM books_fts WHERE rowid = ?1", [number]).map(drop)
}

#[async_trait]
impl SearchIndex for EmbeddedStore {
    async fn matches(&self, text: &str, most: usize) -> Result<Vec<BookId>, PortError> {
        let Some(query) = query(text) else { return Ok(Vec::new()) };
        let find = move |on: &Connection| {
            let mut statement = on.prepare_cached(MATCHES)?;
            let found = statement.query_map((query, limit(most)), |row| Ok(BookId(u128::from_be_bytes(row.get(0)?))))?;
            Ok(found.collect::<Result<Vec<_>, _>>()?)
        };
        self.readers().range(PORT, find).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_a_query() {
        for (text, expected) in [
            ("dune", Some(r#""dune"*"#)),
            ("the left hand", Some(r#""the" "left" "hand"*"#)),
            (r#"  "quoted" OR NEAR(x*) "#, Some(r#""quoted" "OR" "NEAR" "x"*"#)),
            ("o'brien 1984", Some(r#""o" "brien" "1984"*"#)),
            ("cafe\u{301}", Some("\"cafe\u{301}\"*")),
            ("título:日本", Some(r#""título" "日本"*"#)),
            ("\u{301} -- '\";", None),
            ("", None),
        ] {
            assert_eq!(query(text).as_deref(), expected, "{text}");
        }
    }
}
