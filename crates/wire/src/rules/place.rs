use crate::read::Object;
use crate::scalar;
use domain::limits::POSTAL_CODE_MAX;
use domain::person::{Country, Region};
use domain::pricing::{Place, PostalRange};
use serde::Serialize;

/// A place a rule is for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceBody<'a> {
    country: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    city: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postal_codes: Option<PostalCodesBody<'a>>,
}

#[derive(Debug, Serialize)]
struct PostalCodesBody<'a> {
    from: &'a str,
    to: &'a str,
}

impl<'a> From<&'a Place> for PlaceBody<'a> {
    fn from(place: &'a Place) -> Self {
        Self {
            country: place.country.as_str(),
            region: place.region.as_ref().map(|r| r.as_str()),
            city: place.city.as_ref().map(|c| c.as_str()),
            postal_codes: place.postal.as_ref().map(|p| PostalCodesBody { from: p.from(), to: p.to() }),
        }
    }
}

pub(super) fn place(o: &mut Object<'_, '_>) -> Option<Place> {
    let country = o.required("country", |v| v.parsed(Country::parse, "an ISO 3166-1 alpha-2 code such as US"));
    let region = o.optional("region", |v| v.parsed(|text| Region::parse(&text.to_uppercase()), "1 to 50 characters"));
    let city = o.optional("city", scalar::line);
    let postal = o.optional("postalCodes", |v| v.object(postal_codes));
    Some(Place { country: country?, region, city, postal })
}

fn postal_codes(o: &mut Object<'_, '_>) -> Option<PostalRange> {
    let from = o.required("from", scalar::line::<POSTAL_CODE_MAX>);
    let to = o.required("to", scalar::line::<POSTAL_CODE_MAX>);
    let range = PostalRange::new(from?.as_str(), to?.as_str());
    range.or_else(|| o.wrong("to", "INVALID", "Must be as long as `from`, and not before it."))
}
