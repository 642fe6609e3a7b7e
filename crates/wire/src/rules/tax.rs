use super::place::{PlaceBody, place};
use super::target::format;
use super::window;
use crate::read::Object;
use crate::scalar::{self, At};
use domain::ids::TaxName;
use domain::limits::RULE_PARTS_MAX;
use domain::money::Rounding;
use domain::pricing::{Level, RuleId, TaxRate};
use jiff::tz::TimeZone;
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaxRateBody<'a> {
    id: &'a str,
    tax: &'a str,
    #[serde(flatten)]
    place: PlaceBody<'a>,
    label: &'a str,
    rate_ppm: u32,
    /// All goods, when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    formats: Vec<&'static str>,
    included: bool,
    shipping_taxed: bool,
    rounding: &'static str,
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
}

impl<'a> TaxRateBody<'a> {
    pub fn of(id: &'a RuleId, rate: &'a TaxRate) -> Self {
        Self {
            id: id.as_str(),
            tax: rate.tax.as_str(),
            place: (&rate.place).into(),
            label: rate.label.as_str(),
            rate_ppm: rate.rate.0,
            formats: rate.formats.iter().map(|f| f.as_str()).collect(),
            included: rate.included,
            shipping_taxed: rate.shipping_taxed,
            rounding: match rate.rounding {
                Rounding::HalfEven => "half_even",
                Rounding::HalfUp => "half_up",
                Rounding::Down => "down",
            },
            level: match rate.level {
                Level::Line => "line",
                Level::Total => "total",
            },
            starts_at: rate.window.from.map(At),
            ends_at: rate.window.to.map(At),
            source: rate.source.as_ref().map(|s| s.as_str()),
        }
    }
}

pub(super) fn tax_rate(o: &mut Object<'_, '_>, zone: &TimeZone) -> Option<TaxRate> {
    let tax = o.required("tax", |v| v.parsed(TaxName::parse, "the name of a tax, such as VAT"));
    let place = place(o);
    let label = o.required("label", scalar::line);
    let rate = o.required("ratePpm", scalar::ppm);
    let formats = o.optional("formats", |v| v.list(RULE_PARTS_MAX, "TOO_MANY", format));
    let included = o.optional("included", |v| v.bool());
    let shipping_taxed = o.optional("shippingTaxed", |v| v.bool());
    let rounding = o.optional("rounding", |v| v.parsed(rounding, "half_even, half_up or down"));
    let level = o.optional("level", |v| v.parsed(level, "line or total"));
    let window = window(o, zone);
    let source = o.optional("source", scalar::line);
    let plain = TaxRate::of(tax?, place?, label?, rate?);
    Some(TaxRate {
        formats: formats.unwrap_or_default(),
        included: included.unwrap_or(false),
        shipping_taxed: shipping_taxed.unwrap_or(false),
        rounding: rounding.unwrap_or(plain.rounding),
        level: level.unwrap_or(plain.level),
        window,
        source,
        ..plain
    })
}

fn rounding(text: &str) -> Option<Rounding> {
    Some(match text {
        "half_even" => Rounding::HalfEven,
        "half_up" => Rounding::HalfUp,
        "down" => Rounding::Down,
        _ => return None,
    })
}

fn level(text: &str) -> Option<Level> {
    Some(match text {
        "line" => Level::Line,
        "total" => Level::Total,
        _ => return None,
    })
}
