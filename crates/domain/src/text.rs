//! Strings with a bound. Empty and control characters are refused at the door, so nothing inside has to ask.

use std::fmt;
use std::sync::Arc;

/// 1 to `MAX` characters, trimmed, without control characters. Clones are cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text<const MAX: usize>(Arc<str>);

impl<const MAX: usize> Text<MAX> {
    /// One line.
    pub fn parse(text: &str) -> Option<Self> {
        Self::checked(text, |c| !c.is_control())
    }

    /// Paragraphs: line breaks and tabs are allowed.
    pub fn parse_block(text: &str) -> Option<Self> {
        Self::checked(text, |c| !c.is_control() || c == '\n' || c == '\t')
    }

    fn checked(text: &str, allowed: fn(char) -> bool) -> Option<Self> {
        let text = text.trim();
        let fits = !text.is_empty() && text.chars().count() <= MAX && text.chars().all(allowed);
        fits.then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}
