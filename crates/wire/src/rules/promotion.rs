use super::benefit::{BenefitBody, benefit};
use super::target::{PartBody, part};
use super::window;
use crate::limits::{BIRTHDAY_DAYS_MAX, COUNT_MAX, PRIORITY_MAX};
use crate::read::{Object, Value};
use crate::scalar::{self, At, MoneyBody};
use domain::ids::{CouponCode, PromotionGroup, PromotionId, Segment};
use domain::limits::RULE_PARTS_MAX;
use domain::pricing::{Basis, Budget, Hours, Minimum, Needs, Promotion, RuleId, Stacking, Trigger};
use jiff::tz::TimeZone;
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PromotionBody<'a> {
    id: &'a str,
    label: &'a str,
    active: bool,
    trigger: TriggerBody<'a>,
    benefit: BenefitBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    conditions: Option<ConditionsBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<At>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hours: Vec<HoursBody>,
    priority: i32,
    stacking: StackingBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cap: Option<MoneyBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<BudgetBody>,
}

impl<'a> From<&'a Promotion> for PromotionBody<'a> {
    fn from(promotion: &'a Promotion) -> Self {
        Self {
            id: promotion.id.as_str(),
            label: promotion.label.as_str(),
            active: promotion.active,
            trigger: (&promotion.trigger).into(),
            benefit: (&promotion.benefit).into(),
            conditions: (promotion.needs != Needs::default()).then(|| (&promotion.needs).into()),
            starts_at: promotion.window.from.map(At),
            ends_at: promotion.window.to.map(At),
            hours: promotion.hours.iter().map(HoursBody::from).collect(),
            priority: promotion.priority,
            stacking: (&promotion.stacking).into(),
            cap: promotion.cap.map(MoneyBody),
            budget: (promotion.budget != Budget::default()).then(|| promotion.budget.into()),
        }
    }
}

pub(super) fn promotion(o: &mut Object<'_, '_>, id: Option<&RuleId>, zone: &TimeZone) -> Option<Promotion> {
    let label = o.required("label", scalar::line);
    let active = o.optional("active", |v| v.bool());
    let trigger = o.required("trigger", trigger);
    let benefit = o.required("benefit", |v| v.object(benefit));
    let needs = o.optional("conditions", |v| v.object(needs));
    let window = window(o, zone);
    let hours = o.optional("hours", |v| v.list(RULE_PARTS_MAX, "TOO_MANY", |v| v.object(hours)));
    let priority = o.optional("priority", priority);
    let stacking = o.optional("stacking", stacking);
    let cap = o.optional("cap", scalar::price);
    let budget = o.optional("budget", |v| v.object(budget));
    Some(Promotion {
        id: PromotionId::parse(id?.as_str())?,
        label: label?,
        active: active.unwrap_or(true),
        trigger: trigger?,
        benefit: benefit?,
        needs: needs.unwrap_or_default(),
        window,
        hours: hours.unwrap_or_default(),
        priority: priority.unwrap_or(0),
        stacking: stacking.unwrap_or(Stacking::Combine),
        cap,
        budget: budget.unwrap_or_default(),
    })
}

fn priority(value: Value<'_, '_>) -> Option<i32> {
    let n = value.int()?;
    let fits = i32::try_from(n).ok().filter(|_| n.abs() <= PRIORITY_MAX);
    fits.or_else(|| value.wrong("INVALID", format!("Must be between -{PRIORITY_MAX} and {PRIORITY_MAX}.")))
}

/// `"automatic"`, or the codes that bring it; those that were issued for it are not among them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum TriggerBody<'a> {
    Automatic,
    Codes(Vec<&'a str>),
}

impl<'a> From<&'a Trigger> for TriggerBody<'a> {
    fn from(trigger: &'a Trigger) -> Self {
        match trigger {
            Trigger::Automatic => Self::Automatic,
            Trigger::Codes(codes) => Self::Codes(codes.iter().map(CouponCode::as_str).collect()),
        }
    }
}

fn trigger(value: Value<'_, '_>) -> Option<Trigger> {
    if value.is_text() {
        return value.parsed(|text| (text == "automatic").then_some(Trigger::Automatic), "automatic, or an object with codes");
    }
    value.object(|o| Some(Trigger::Codes(o.required("codes", codes)?)))
}

fn codes(value: Value<'_, '_>) -> Option<Vec<CouponCode>> {
    value.list(RULE_PARTS_MAX, "TOO_MANY", scalar::coupon_code)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConditionsBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum: Option<MinimumBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    copies: Option<PartBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    segments: Vec<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    first_order: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    birthday_within_days: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expression: Option<&'a str>,
}

impl<'a> From<&'a Needs> for ConditionsBody<'a> {
    fn from(needs: &'a Needs) -> Self {
        Self {
            minimum: needs.minimum.map(MinimumBody::from),
            copies: needs.copies.as_ref().map(PartBody::from),
            segments: needs.segments.iter().map(Segment::as_str).collect(),
            first_order: needs.first_order,
            birthday_within_days: needs.birthday_within_days,
            expression: needs.expression.as_ref().map(|e| e.as_str()),
        }
    }
}

fn needs(o: &mut Object<'_, '_>) -> Option<Needs> {
    let minimum = o.optional("minimum", |v| v.object(minimum));
    let copies = o.optional("copies", |v| v.object(part));
    let segments = o.optional("segments", |v| v.list(RULE_PARTS_MAX, "TOO_MANY", segment));
    let first_order = o.optional("firstOrder", |v| v.bool());
    let days = o.optional("birthdayWithinDays", |v| scalar::within(v, 0, BIRTHDAY_DAYS_MAX));
    let expression = o.optional("expression", scalar::block);
    Some(Needs {
        minimum,
        copies,
        segments: segments.unwrap_or_default(),
        first_order: first_order.unwrap_or(false),
        birthday_within_days: days.and_then(|days| u16::try_from(days).ok()),
        expression,
    })
}

pub(crate) fn segment(value: Value<'_, '_>) -> Option<Segment> {
    value.parsed(Segment::parse, "1 to 64 letters, digits, dashes or underscores")
}

#[derive(Debug, Serialize)]
struct MinimumBody {
    amount: MoneyBody,
    basis: &'static str,
}

impl From<Minimum> for MinimumBody {
    fn from(minimum: Minimum) -> Self {
        let basis = match minimum.basis {
            Basis::Subtotal => "subtotal",
            Basis::Discounted => "discounted",
        };
        Self { amount: MoneyBody(minimum.amount), basis }
    }
}

fn minimum(o: &mut Object<'_, '_>) -> Option<Minimum> {
    let amount = o.required("amount", scalar::price);
    let known = |text: &str| match text {
        "subtotal" => Some(Basis::Subtotal),
        "discounted" => Some(Basis::Discounted),
        _ => None,
    };
    let basis = o.optional("basis", |v| v.parsed(known, "subtotal or discounted"));
    Some(Minimum { amount: amount?, basis: basis.unwrap_or(Basis::Subtotal) })
}

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

#[derive(Debug, Serialize)]
struct HoursBody {
    weekday: &'static str,
    from: String,
    to: String,
}

impl From<&Hours> for HoursBody {
    fn from(hours: &Hours) -> Self {
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let day = usize::from(hours.weekday).saturating_sub(1).min(6);
        Self { weekday: WEEKDAYS[day], from: clock(hours.from_minute), to: clock(hours.to_minute) }
    }
}

fn hours(o: &mut Object<'_, '_>) -> Option<Hours> {
    let day = |text: &str| (1u8..).zip(WEEKDAYS).find(|(_, name)| *name == text).map(|(n, _)| n);
    let weekday = o.required("weekday", |v| v.parsed(day, &WEEKDAYS.join(", ")));
    let from = o.required("from", minute);
    let to = o.required("to", minute);
    Some(Hours { weekday: weekday?, from_minute: from?, to_minute: to? })
}

/// `16:00`; `24:00` is the end of the day.
fn minute(value: Value<'_, '_>) -> Option<u16> {
    let two = |text: &str| (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<u16>().ok()).flatten();
    let parse = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute) = (two(hour)?, two(minute).filter(|m| *m < 60)?);
        Some(hour * 60 + minute).filter(|m| *m <= 24 * 60)
    };
    value.parsed(parse, "a time of day such as 16:00, at most 24:00")
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum StackingBody<'a> {
    Combine,
    BestOf(&'a str),
    Exclusive,
}

impl<'a> From<&'a Stacking> for StackingBody<'a> {
    fn from(stacking: &'a Stacking) -> Self {
        match stacking {
            Stacking::Combine => Self::Combine,
            Stacking::BestOf(group) => Self::BestOf(group.as_str()),
            Stacking::Exclusive => Self::Exclusive,
        }
    }
}

fn stacking(value: Value<'_, '_>) -> Option<Stacking> {
    if value.is_text() {
        let known = |text: &str| match text {
            "combine" => Some(Stacking::Combine),
            "exclusive" => Some(Stacking::Exclusive),
            _ => None,
        };
        return value.parsed(known, "combine, exclusive, or an object with bestOf");
    }
    let group = |v: Value<'_, '_>| v.parsed(PromotionGroup::parse, "1 to 64 letters, digits, dashes or underscores");
    value.object(|o| Some(Stacking::BestOf(o.required("bestOf", group)?)))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BudgetBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    uses: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uses_per_customer: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<MoneyBody>,
}

impl From<Budget> for BudgetBody {
    fn from(budget: Budget) -> Self {
        Self { uses: budget.uses, uses_per_customer: budget.uses_each, amount: budget.amount.map(MoneyBody) }
    }
}

fn budget(o: &mut Object<'_, '_>) -> Option<Budget> {
    Some(Budget {
        uses: o.optional("uses", |v| scalar::within(v, 0, COUNT_MAX)),
        uses_each: o.optional("usesPerCustomer", scalar::count),
        amount: o.optional("amount", scalar::price),
    })
}
