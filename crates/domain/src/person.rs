//! Who a purchase is for. Personal data: its `Debug` never shows it.

use crate::limits::{ADDRESS_LINE_MAX, EMAIL_MAX, NAME_MAX, PHONE_MAX, POSTAL_CODE_MAX};
use crate::text::Text;
use std::fmt;
use std::sync::Arc;

/// An e-mail address: something on both sides of one `@`, a dot in the domain, no white space. Whether it
/// can be delivered is found out by sending.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(Arc<str>);

impl Email {
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@')?;
        let plain = |part: &str| !part.is_empty() && part.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '@');
        let dotted = domain.contains('.') && !domain.starts_with('.') && !domain.ends_with('.');
        (text.len() <= EMAIL_MAX && plain(local) && plain(domain) && dotted).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(***)")
    }
}

/// ISO 3166-1 alpha-2, upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 2] = text.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("invariant: two ASCII letters")
    }
}

/// A region of a country as its post writes it (`CA`, `ON`), upper case: what tax tables are keyed by.
pub type Region = Text<50>;

#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub name: Text<NAME_MAX>,
    pub company: Option<Text<NAME_MAX>>,
    pub line1: Text<ADDRESS_LINE_MAX>,
    pub line2: Option<Text<ADDRESS_LINE_MAX>>,
    pub city: Text<NAME_MAX>,
    pub region: Option<Region>,
    pub postal_code: Text<POSTAL_CODE_MAX>,
    pub country: Country,
    pub phone: Option<Text<PHONE_MAX>>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address(*** {})", self.country.as_str())
    }
}
