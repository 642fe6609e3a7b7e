//! Full text over title, authors and description. What a word is, is decided here and not by a dictionary of the server's, so
//! that it is the same on every server and as in the embedded store: letters and digits, without case, without the
//! accents of the Latin alphabet.

use crate::columns::{Id, limit};
use crate::limits::WORD_MAX;
use crate::{PgStore, queries};
use app::ports::{PortError, SearchIndex};
use async_trait::async_trait;
use domain::catalog::{Book, Heading};
use domain::ids::BookId;
use unicode_normalization::char::decompose_canonical;

const PORT: &str = "search";

/// The words of a book's own record, as the server writes a `tsvector`. A word found in the title counts most.
pub fn book_words(book: &Book) -> String {
    let subtitle = book.subtitle.as_ref().map_or("", |subtitle| subtitle.as_str());
    let description = book.description.as_ref().map_or("", |description| description.as_str());
    vector(&[(book.title.as_str(), 'A'), (subtitle, 'A'), (description, 'C')])
}

/// The words of a heading's name: those of authors are found with their books'.
pub fn heading_words(heading: &Heading) -> String {
    vector(&[(heading.name.as_str(), 'B')])
}

/// Each word with its place and the letter of its weight.
fn vector(texts: &[(&str, char)]) -> String {
    let words = texts.iter().flat_map(|(text, weight)| words(text).map(move |word| (word, weight)));
    words.enumerate().map(|(place, (word, weight))| format!("'{word}':{}{weight}", place + 1)).collect::<Vec<_>>().join(" ")
}

/// Every word, the last one open at its end, as the server writes a `tsquery`; none when the text has no word.
fn query(text: &str) -> Option<String> {
    let words: Vec<_> = words(text).map(|word| format!("'{word}'")).collect();
    (!words.is_empty()).then(|| format!("{}:*", words.join(" & ")))
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && !is_accent(c)).filter(|word| word.contains(char::is_alphanumeric));
    words.map(|word| {
        let mut folded: String = word.chars().flat_map(char::to_lowercase).filter_map(fold).collect();
        folded.truncate(folded.floor_char_boundary(WORD_MAX));
        folded
    })
}

/// A combining accent belongs to the letter before it.
fn is_accent(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

/// A small letter without what it is found without.
fn fold(c: char) -> Option<char> {
    if is_accent(c) {
        return None;
    }
    let mut base = None;
    decompose_canonical(c, |part| base = base.or(Some(part)));
    Some(match base {
        Some(latin) if latin.is_ascii_alphabetic() => latin,
        _ if c == 'ς' => 'σ',
        _ => c,
    })
}

#[async_trait]
impl SearchIndex for PgStore {
    async fn matches(&self, text: &str, most: usize) -> Result<Vec<BookId>, PortError> {
        let Some(query) = query(text) else { return Ok(Vec::new()) };
        let found = self.primary().read(queries::search::matches, &[&query, &limit(most)]).await;
        let found = found.map_err(|fault| fault.without_effect(PORT))?;
        Ok(found.iter().map(|row| BookId(row.get::<_, Id>(0).0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_a_query() {
        for (text, expected) in [
            ("dune", Some("'dune':*")),
            ("the LEFT hand", Some("'the' & 'left' & 'hand':*")),
            (r#"  "quoted" OR NEAR(x*) "#, Some("'quoted' & 'or' & 'near' & 'x':*")),
            ("o'brien\\ & 1984:*", Some("'o' & 'brien' & '1984':*")),
            ("cafe\u{301}", Some("'cafe':*")),
            ("título:日本", Some("'titulo' & '日本':*")),
            ("Ệ Ł ß Ō Й ΟΔΥΣΣΕΥΣ", Some("'e' & 'ł' & 'ß' & 'o' & 'й' & 'οδυσσευσ':*")),
            ("\u{301} -- '\";", None),
            ("\u{0}", None),
            ("", None),
        ] {
            assert_eq!(query(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_word_counts_by_where_it_is() {
        assert_eq!(vector(&[("Dune. Dune!", 'A'), ("", 'A'), ("A dune", 'C')]), "'dune':1A 'dune':2A 'a':3C 'dune':4C");
        assert_eq!(vector(&[("—", 'A')]), "");
        let long = "日".repeat(1000);
        assert_eq!(vector(&[(&long, 'A')]).len(), "'':1A".len() + 1998);
    }
}
