//! Query strings: known parameters only, each at most once.

use crate::limits::NAME_TOLD_MAX;
use crate::problem::Failure;
use axum::extract::Query as Pairs;
use axum::http::Uri;
use domain::limits::{PAGE_DEFAULT, PAGE_MAX};
use wire::{FieldError, Invalid};

#[derive(Debug)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl Query {
    pub(crate) fn of(uri: &Uri) -> Result<Self, Failure> {
        let Pairs(pairs) = Pairs::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Failure::from(Invalid::one("", "INVALID", "The query string cannot be read.")))?;
        Ok(Self { pairs, errors: Vec::new() })
    }

    /// A parameter that may be left out.
    pub(crate) fn get<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Option<T>, wanted: &str) -> Option<T> {
        let at = self.pairs.iter().position(|(other, _)| other == name)?;
        let (_, text) = self.pairs.remove(at);
        let value = parse(&text);
        if value.is_none() {
            self.wrong(name, "INVALID", format!("Must be {wanted}."));
        }
        value
    }

    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        self.get(name, |text| text.parse().ok(), "true or false")
    }

    pub(crate) fn limit(&mut self) -> usize {
        let limit = self.get("limit", |t| t.parse().ok().filter(|n| (1..=PAGE_MAX).contains(n)), "an integer between 1 and 100");
        limit.unwrap_or(PAGE_DEFAULT)
    }

    /// Notes that a parameter is needed beside another.
    pub(crate) fn missing<T>(&mut self, name: &str) -> Option<T> {
        self.wrong(name, "REQUIRED", "Is required here.".to_owned());
        None
    }

    fn wrong(&mut self, name: &str, code: &'static str, message: String) {
        self.errors.push(FieldError { field: name.chars().take(NAME_TOLD_MAX).collect(), code, message });
    }

    /// Refuses what nobody asked for: a second value of a parameter, or one that is not known here.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        for (name, _) in std::mem::take(&mut self.pairs) {
            self.wrong(&name, "UNKNOWN_PARAMETER", "Is not a parameter of this request, or is given twice.".to_owned());
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Invalid { errors: self.errors }.into()) }
    }
}
