use crate::read::{Object, Value};
use crate::scalar::{self, Show};
use domain::catalog::{Format, HeadingId, HeadingKind};
use domain::ids::{BookId, EditionId};
use domain::limits::RULE_PARTS_MAX;
use domain::pricing::{Part, Selector, Target};
use serde::Serialize;

/// What a promotion is for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetBody {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    any: Vec<SelectorBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    except: Vec<SelectorBody>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    full_price_only: bool,
}

impl TargetBody {
    /// Left out where it is everything.
    pub(super) fn unless_all(target: &Target) -> Option<Self> {
        let all = |list: &[Selector]| list.iter().map(SelectorBody::from).collect();
        let body = || Self { any: all(&target.any), except: all(&target.except), full_price_only: target.full_price_only };
        (!target.is_all()).then(body)
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum SelectorBody {
    VariantId(Show<EditionId>),
    ProductId(Show<BookId>),
    AuthorId(Show<HeadingId>),
    CategoryId(Show<HeadingId>),
    PublisherId(Show<HeadingId>),
    Format(&'static str),
}

impl From<&Selector> for SelectorBody {
    fn from(selector: &Selector) -> Self {
        match selector {
            Selector::Edition(id) => Self::VariantId(Show(*id)),
            Selector::Book(id) => Self::ProductId(Show(*id)),
            Selector::Heading(id) => match id.kind {
                HeadingKind::Author => Self::AuthorId(Show(*id)),
                HeadingKind::Category => Self::CategoryId(Show(*id)),
                HeadingKind::Publisher => Self::PublisherId(Show(*id)),
            },
            Selector::Format(format) => Self::Format(format.as_str()),
        }
    }
}

/// Everything, where the member is left out.
pub(super) fn target_of(o: &mut Object<'_, '_>, name: &str) -> Option<Target> {
    if o.has(name) { o.required(name, |v| v.object(target)) } else { Some(Target::default()) }
}

fn target(o: &mut Object<'_, '_>) -> Option<Target> {
    let any = o.optional("any", selectors);
    let except = o.optional("except", selectors);
    let full_price_only = o.optional("fullPriceOnly", |v| v.bool());
    Some(Target { any: any.unwrap_or_default(), except: except.unwrap_or_default(), full_price_only: full_price_only.unwrap_or(false) })
}

fn selectors(value: Value<'_, '_>) -> Option<Vec<Selector>> {
    value.list(RULE_PARTS_MAX, "TOO_MANY", |v| v.object(selector))
}

const SELECTORS: [&str; 6] = ["variantId", "productId", "authorId", "categoryId", "publisherId", "format"];

fn selector(o: &mut Object<'_, '_>) -> Option<Selector> {
    let mut named = SELECTORS.into_iter().filter(|name| o.has(name));
    let (Some(name), None) = (named.next(), named.next()) else {
        return o.wrong("productId", "REQUIRED", format!("Name one thing by {}.", SELECTORS.join(", ")));
    };
    let heading = |kind| move |text: &str| HeadingId::parse(text).filter(|id| id.kind == kind).map(Selector::Heading);
    o.required(name, |v| match name {
        "variantId" => v.parsed(|text| EditionId::parse(text).map(Selector::Edition), "the id of an edition"),
        "productId" => v.parsed(|text| BookId::parse(text).map(Selector::Book), "the id of a book"),
        "authorId" => v.parsed(heading(HeadingKind::Author), "the id of an author"),
        "categoryId" => v.parsed(heading(HeadingKind::Category), "the id of a category"),
        "publisherId" => v.parsed(heading(HeadingKind::Publisher), "the id of a publisher"),
        _ => format(v).map(Selector::Format),
    })
}

pub(super) fn format(value: Value<'_, '_>) -> Option<Format> {
    value.parsed(Format::parse, "hardcover, paperback, ebook or audiobook")
}

/// So many copies of something.
#[derive(Debug, Serialize)]
pub struct PartBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<TargetBody>,
    count: u32,
}

impl From<&Part> for PartBody {
    fn from(part: &Part) -> Self {
        Self { of: TargetBody::unless_all(&part.of), count: part.count }
    }
}

pub(super) fn part(o: &mut Object<'_, '_>) -> Option<Part> {
    let of = target_of(o, "of");
    let count = o.required("count", scalar::count);
    Some(Part { of: of?, count: count? })
}
