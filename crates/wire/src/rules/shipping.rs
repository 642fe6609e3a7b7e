use super::place::{PlaceBody, place};
use crate::read::{Object, Value};
use crate::scalar::{self, MoneyBody};
use domain::ids::ShippingOptionId;
use domain::limits::RULE_PARTS_MAX;
use domain::pricing::{RuleId, Scale, ShippingOption, ShippingStep};
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShippingOptionBody<'a> {
    id: &'a str,
    label: &'a str,
    active: bool,
    /// Everywhere, when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    zones: Vec<PlaceBody<'a>>,
    #[serde(flatten)]
    scale: ScaleBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    free_from: Option<MoneyBody>,
    per_parcel: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum ScaleBody {
    Price(MoneyBody),
    ByWeight(Vec<WeightStepBody>),
    ByAmount(Vec<AmountStepBody>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WeightStepBody {
    from_grams: u32,
    price: MoneyBody,
}

#[derive(Debug, Serialize)]
struct AmountStepBody {
    from: MoneyBody,
    price: MoneyBody,
}

impl From<&Scale> for ScaleBody {
    fn from(scale: &Scale) -> Self {
        match scale {
            Scale::Flat(price) => Self::Price(MoneyBody(*price)),
            Scale::Weight(steps) => {
                Self::ByWeight(steps.iter().map(|s| WeightStepBody { from_grams: s.from, price: MoneyBody(s.price) }).collect())
            }
            Scale::Amount(steps) => {
                Self::ByAmount(steps.iter().map(|s| AmountStepBody { from: MoneyBody(s.from), price: MoneyBody(s.price) }).collect())
            }
        }
    }
}

impl<'a> From<&'a ShippingOption> for ShippingOptionBody<'a> {
    fn from(option: &'a ShippingOption) -> Self {
        Self {
            id: option.id.as_str(),
            label: option.label.as_str(),
            active: option.active,
            zones: option.zones.iter().map(PlaceBody::from).collect(),
            scale: (&option.scale).into(),
            free_from: option.free_from.map(MoneyBody),
            per_parcel: option.per_parcel,
        }
    }
}

pub(super) fn shipping_option(o: &mut Object<'_, '_>, id: Option<&RuleId>) -> Option<ShippingOption> {
    let label = o.required("label", scalar::line);
    let active = o.optional("active", |v| v.bool());
    let zones = o.optional("zones", |v| v.list(RULE_PARTS_MAX, "TOO_MANY", |v| v.object(place)));
    let scale = scale(o);
    let free_from = o.optional("freeFrom", scalar::price);
    let per_parcel = o.optional("perParcel", |v| v.bool());
    Some(ShippingOption {
        id: ShippingOptionId::parse(id?.as_str())?,
        label: label?,
        active: active.unwrap_or(true),
        zones: zones.unwrap_or_default(),
        scale: scale?,
        free_from,
        per_parcel: per_parcel.unwrap_or(false),
    })
}

fn scale(o: &mut Object<'_, '_>) -> Option<Scale> {
    let given = ["price", "byWeight", "byAmount"].into_iter().filter(|name| o.has(name)).count();
    let flat = o.optional("price", scalar::price).map(Scale::Flat);
    let weight = o.optional("byWeight", |v| steps(v, "fromGrams", |v| scalar::within(v, 0, u32::MAX))).map(Scale::Weight);
    let amount = o.optional("byAmount", |v| steps(v, "from", scalar::price)).map(Scale::Amount);
    if given != 1 {
        return o.wrong("price", "REQUIRED", "Give one of `price`, `byWeight` and `byAmount`.");
    }
    flat.or(weight).or(amount)
}

fn steps<T>(value: Value<'_, '_>, name: &str, from: impl Fn(Value<'_, '_>) -> Option<T>) -> Option<Vec<ShippingStep<T>>> {
    value.some()?.list(RULE_PARTS_MAX, "TOO_MANY", |v| {
        v.object(|o| {
            let (from, price) = (o.required(name, &from), o.required("price", scalar::price));
            Some(ShippingStep { from: from?, price: price? })
        })
    })
}
