use std::fmt;

/// Why a text is no condition, in a sentence for its author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("a condition cannot be empty")]
    Empty,
    #[error("a condition has at most {max} characters, this one has {length}")]
    TooLong { length: usize, max: usize },
    #[error("a condition has at most {max} operators, points and brackets, this one has {count}")]
    TooManyOperators { count: usize, max: usize },
    #[error("it is nested too deep: use fewer brackets, or shorter chains")]
    TooDeep,
    #[error("{at}: {what}")]
    Unreadable { at: Place, what: String },
    #[error("{at}: there is no `{name}`")]
    UnknownName { at: Place, name: String },
    #[error("{at}: there is no function `{name}`")]
    UnknownFunction { at: Place, name: String },
    /// An operator, a function or a list with what it is not for.
    #[error("{at}: `{what}` cannot be used with {given}")]
    Unsuited { at: Place, what: String, given: String },
    /// A part of the language that conditions do without.
    #[error("{at}: {what}")]
    Unsupported { at: Place, what: &'static str },
    #[error("it may take {steps} steps on the largest cart, at most {max} are allowed")]
    TooManySteps { steps: u64, max: u64 },
    #[error("a condition is true or false, and this one gives {given}")]
    NotBoolean { given: &'static str },
}

/// A place in a condition's text without the blanks around it, both counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// Of the character at this byte.
    pub(crate) fn of(source: &str, byte: usize) -> Self {
        let before = source.char_indices().take_while(|(at, _)| *at < byte);
        before.fold(Self { line: 1, column: 1 }, |at, (_, c)| match c {
            '\n' => Self { line: at.line + 1, column: 1 },
            _ => Self { column: at.column + 1, ..at },
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}
