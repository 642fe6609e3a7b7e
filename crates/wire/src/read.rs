//! Reading requests. Everything that is wrong with a body is told at once, each with the path of its field;
//! what comes out cannot be wrong.

use crate::json::Json;
use crate::limits::{ERRORS_MAX, NAME_TOLD_MAX};
use std::borrow::Cow;
use std::cell::RefCell;

/// Something wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// `items[2].quantity`; empty for the body itself.
    pub field: String,
    pub code: &'static str,
    pub message: String,
}

/// Everything that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    pub errors: Vec<FieldError>,
}

impl Invalid {
    pub fn one(field: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self { errors: vec![FieldError { field: field.to_owned(), code, message: message.into() }] }
    }

    /// What all the errors are about, when it is one thing: it then is what the whole answer is about.
    pub fn only_code(&self) -> Option<&'static str> {
        let first = self.errors.first()?.code;
        self.errors.iter().all(|e| e.code == first).then_some(first)
    }
}

#[derive(Debug, Default)]
struct Errors(RefCell<Vec<FieldError>>);

impl Errors {
    fn note<T>(&self, field: String, code: &'static str, message: impl Into<String>) -> Option<T> {
        let mut errors = self.0.borrow_mut();
        if errors.len() < ERRORS_MAX {
            errors.push(FieldError { field, code, message: message.into() });
        }
        None
    }
}

/// Reads a body that must be an object; nothing at all counts as an empty one.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read<'a, T>(body: Option<Json<'a>>, read: impl FnOnce(&mut Object<'_, 'a>) -> Option<T>) -> Result<T, Invalid> {
    let errors = Errors::default();
    let root = Value { json: body.unwrap_or(Json::Object(Vec::new())), path: String::new(), errors: &errors };
    let value = root.object(read);
    let errors = errors.0.into_inner();
    match value {
        Some(value) if errors.is_empty() => Ok(value),
        _ if errors.is_empty() => Err(Invalid::one("", "INVALID", "The body cannot be read.")),
        _ => Err(Invalid { errors }),
    }
}

/// A value at its place in the body.
#[derive(Debug)]
pub struct Value<'r, 'a> {
    json: Json<'a>,
    path: String,
    errors: &'r Errors,
}

impl<'r, 'a> Value<'r, 'a> {
    /// Notes an error here.
    pub fn wrong<T>(&self, code: &'static str, message: impl Into<String>) -> Option<T> {
        self.errors.note(self.path.clone(), code, message)
    }

    fn wrong_kind<T>(&self, wanted: &str) -> Option<T> {
        self.wrong("WRONG_TYPE", format!("Must be {wanted}, not {}.", self.json.kind()))
    }

    pub fn is_text(&self) -> bool {
        matches!(self.json, Json::Text(_))
    }

    pub fn text(&self) -> Option<&str> {
        match &self.json {
            Json::Text(text) => Some(text),
            _ => self.wrong_kind("a string"),
        }
    }

    /// A text that `parse` accepts.
    pub fn parsed<T>(&self, parse: impl FnOnce(&str) -> Option<T>, wanted: &str) -> Option<T> {
        let text = self.text()?;
        parse(text).or_else(|| self.wrong("INVALID", format!("Must be {wanted}.")))
    }

    /// An integer, written as one: neither `1.0` nor `"1"`.
    pub fn int(&self) -> Option<i64> {
        match &self.json {
            Json::Int(n) => i64::try_from(*n).ok().or_else(|| self.wrong("INVALID", "Is too large.")),
            _ => self.wrong_kind("an integer"),
        }
    }

    pub fn bool(&self) -> Option<bool> {
        match &self.json {
            Json::Bool(b) => Some(*b),
            _ => self.wrong_kind("a boolean"),
        }
    }

    /// A list of at most `max`, each read by `read`. A list that is too long is not read at all.
    pub fn list<T>(self, max: usize, code: &'static str, read: impl Fn(Value<'r, 'a>) -> Option<T>) -> Option<Vec<T>> {
        let Json::List(list) = self.json else { return self.wrong_kind("an array") };
        if list.len() > max {
            return self.errors.note(self.path, code, format!("Has {} entries; at most {max} are allowed.", list.len()));
        }
        let at = |(i, json)| read(Value { json, path: format!("{}[{i}]", self.path), errors: self.errors });
        let (wanted, read): (usize, Vec<T>) = (list.len(), list.into_iter().enumerate().filter_map(at).collect());
        (read.len() == wanted).then_some(read)
    }

    /// The value unless it is an empty list.
    pub fn some(self) -> Option<Self> {
        match &self.json {
            Json::List(list) if list.is_empty() => self.wrong("REQUIRED", "Must not be empty."),
            _ => Some(self),
        }
    }

    /// An object whose members are all taken by `read`.
    pub fn object<T>(self, read: impl FnOnce(&mut Object<'r, 'a>) -> Option<T>) -> Option<T> {
        let Json::Object(members) = self.json else { return self.wrong_kind("an object") };
        let mut object = Object { members, path: self.path, errors: self.errors };
        let value = read(&mut object);
        object.refuse_the_rest();
        value
    }

    /// The members of an object with names of the client's own.
    pub fn entries(self) -> Option<Vec<(Cow<'a, str>, Value<'r, 'a>)>> {
        let Json::Object(members) = self.json else { return self.wrong_kind("an object") };
        let at = |(name, json): (Cow<'a, str>, _)| {
            let path = format!("{}.{name}", self.path);
            (name, Value { json, path, errors: self.errors })
        };
        Some(members.into_iter().map(at).collect())
    }
}

/// The members of an object that are still to be read.
#[derive(Debug)]
pub struct Object<'r, 'a> {
    members: Vec<(Cow<'a, str>, Json<'a>)>,
    path: String,
    errors: &'r Errors,
}

impl<'r, 'a> Object<'r, 'a> {
    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The member as it is, `null` too.
    pub fn take(&mut self, name: &str) -> Option<Value<'r, 'a>> {
        let at = self.members.iter().position(|(other, _)| other == name)?;
        let (_, json) = self.members.swap_remove(at);
        Some(Value { json, path: self.path_of(name), errors: self.errors })
    }

    /// A member that may be left out; `null` is left out.
    pub fn optional<T>(&mut self, name: &str, read: impl FnOnce(Value<'r, 'a>) -> Option<T>) -> Option<T> {
        self.take(name).filter(|v| v.json != Json::Null).and_then(read)
    }

    pub fn required<T>(&mut self, name: &str, read: impl FnOnce(Value<'r, 'a>) -> Option<T>) -> Option<T> {
        match self.take(name) {
            Some(value) if value.json != Json::Null => read(value),
            _ => self.wrong(name, "REQUIRED", "Is required."),
        }
    }

    /// A member that `null` empties: `Some(None)`.
    pub fn clearable<T>(&mut self, name: &str, read: impl FnOnce(Value<'r, 'a>) -> Option<T>) -> Option<Option<T>> {
        let value = self.take(name)?;
        let empty = matches!(&value.json, Json::Null) || matches!(&value.json, Json::Text(text) if text.is_empty());
        if empty { Some(None) } else { read(value).map(Some) }
    }

    pub fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(other, json)| other == name && *json != Json::Null)
    }

    pub fn wrong<T>(&self, name: &str, code: &'static str, message: impl Into<String>) -> Option<T> {
        self.errors.note(self.path_of(name), code, message)
    }

    /// Members nobody asked for are fine: what is read was not written for this reader.
    pub fn ignore_the_rest(&mut self) {
        self.members.clear();
    }

    fn refuse_the_rest(&mut self) {
        for (name, _) in std::mem::take(&mut self.members) {
            // A stranger's name goes back as it came, but not at any length.
            let name: String = name.chars().take(NAME_TOLD_MAX).collect();
            self.wrong::<()>(&name, "UNKNOWN_FIELD", "Is not a field of this request.");
        }
    }
}
