//! Where goods go, and the places rules are for.

use crate::limits::{NAME_MAX, POSTAL_CODE_MAX};
use crate::person::{Address, Country, Region};
use crate::text::Text;

/// Where the goods go: what tax and shipping depend on. What is left out is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    pub country: Country,
    pub region: Option<Region>,
    pub city: Option<Text<NAME_MAX>>,
    pub postal_code: Option<Text<POSTAL_CODE_MAX>>,
}

impl Destination {
    pub fn country(country: Country) -> Self {
        Self { country, region: None, city: None, postal_code: None }
    }
}

impl From<&Address> for Destination {
    fn from(address: &Address) -> Self {
        Self {
            country: address.country,
            region: address.region.clone(),
            city: Some(address.city.clone()),
            postal_code: Some(address.postal_code.clone()),
        }
    }
}

/// A place a rule is for: a country, or the part of it that every given field names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub country: Country,
    pub region: Option<Region>,
    /// Compared without case.
    pub city: Option<Text<NAME_MAX>>,
    pub postal: Option<PostalRange>,
}

impl Place {
    pub fn country(country: Country) -> Self {
        Self { country, region: None, city: None, postal: None }
    }

    /// How closely this place names the destination, `None` when it is elsewhere: a range of postal codes is
    /// closer than a city, a city closer than a region, a region closer than its country.
    pub fn closeness(&self, to: &Destination) -> Option<u8> {
        let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
        let region = self.region.as_ref().map(|r| to.region.as_ref() == Some(r));
        let city = self.city.as_ref().map(|c| to.city.as_ref().is_some_and(|there| same(c.as_str(), there.as_str())));
        let postal = self.postal.as_ref().map(|p| to.postal_code.as_ref().is_some_and(|code| p.contains(code.as_str())));
        let parts = [(region, 1), (city, 2), (postal, 4)];
        let elsewhere = self.country != to.country || parts.iter().any(|(part, _)| *part == Some(false));
        (!elsewhere).then(|| parts.iter().filter(|(part, _)| part.is_some()).map(|(_, weight)| weight).sum())
    }
}

/// Postal codes from one to another, both included, compared as text without spaces and hyphens. Codes longer
/// than the bounds are compared by their beginning: `94105-1234` is in `94100` to `94199`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostalRange {
    from: String,
    to: String,
}

impl PostalRange {
    /// The bounds have the same length once spaces and hyphens are gone, and are in order.
    pub fn new(from: &str, to: &str) -> Option<Self> {
        let (from, to) = (plain(from), plain(to));
        let possible = (1..=POSTAL_CODE_MAX).contains(&from.len()) && from.len() == to.len() && from.is_ascii() && to.is_ascii();
        (possible && from <= to).then_some(Self { from, to })
    }

    pub fn from(&self) -> &str {
        &self.from
    }

    pub fn to(&self) -> &str {
        &self.to
    }

    fn contains(&self, code: &str) -> bool {
        let code = plain(code);
        code.get(..self.from.len()).is_some_and(|start| self.from.as_str() <= start && start <= self.to.as_str())
    }
}

fn plain(code: &str) -> String {
    code.chars().filter(|c| !" -".contains(*c)).map(|c| c.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(country: &str, region: &str, city: &str, postal: &str) -> Place {
        Place {
            country: Country::parse(country).expect("a country"),
            region: Region::parse(region),
            city: Text::parse(city),
            postal: postal.split_once("..").map(|(from, to)| PostalRange::new(from, to).expect("a range")),
        }
    }

    #[test]
    fn a_place_is_as_close_as_what_it_names() {
        let to = Destination {
            country: Country::parse("US").expect("a country"),
            region: Region::parse("CA"),
            city: Text::parse("San Francisco"),
            postal_code: Text::parse("94105-1234"),
        };
        for (country, region, city, postal, closeness) in [
            ("US", "", "", "", Some(0)),
            ("DE", "", "", "", None),
            ("US", "CA", "", "", Some(1)),
            ("US", "NY", "", "", None),
            ("US", "", "san francisco", "", Some(2)),
            ("US", "CA", "Oakland", "", None),
            ("US", "", "", "94100..94199", Some(4)),
            ("US", "CA", "San Francisco", "94105..94105", Some(7)),
            ("US", "", "", "94200..94299", None),
            ("US", "", "", "941051234..941051299", Some(4)),
            ("US", "", "", "9410512345..9410512399", None),
        ] {
            assert_eq!(place(country, region, city, postal).closeness(&to), closeness, "{country} {region} {city} {postal}");
        }
    }

    #[test]
    fn what_is_not_known_of_a_destination_is_not_assumed() {
        let to = Destination::country(Country::parse("US").expect("a country"));
        for (region, city, postal) in [("CA", "", ""), ("", "Oakland", ""), ("", "", "94100..94199")] {
            assert_eq!(place("US", region, city, postal).closeness(&to), None, "{region} {city} {postal}");
        }
    }

    #[test]
    fn a_range_has_bounds_of_one_length_in_order() {
        for (from, to, valid) in [
            ("10115", "14199", true),
            ("SW1A 1AA", "SW1A-9ZZ", true),
            ("2", "10", false),
            ("b", "a", false),
            ("", "", false),
            ("é", "é", false),
        ] {
            assert_eq!(PostalRange::new(from, to).is_some(), valid, "{from}..{to}");
        }
    }
}
