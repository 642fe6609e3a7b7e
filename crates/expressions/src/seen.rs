//! A quote as conditions see it: nothing is converted, every value is read where it is when a condition asks for it.

use crate::limits::SEGMENTS_MAX;
use cel::ExecutionError;
use cel::common::traits::{Container, Indexer, Sizer};
use cel::common::types::{CelBool, CelInt, CelList, CelString, Type};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use domain::catalog::{HeadingId, HeadingKind};
use domain::limits::CART_ITEMS_MAX;
use domain::pricing::{Context, Facts, Quote, QuotedLine};
use std::sync::{Arc, OnceLock};

/// What the names of a condition stand for.
pub struct Seen<'a> {
    quote: &'a Quote,
    context: &'a Context,
    headings: &'a [Arc<[HeadingId]>],
    lines: OnceLock<CelList<'a>>,
    segments: OnceLock<CelList<'a>>,
}

impl<'a> Seen<'a> {
    /// `None` when there are more lines or segments than there may be, so that the steps that were counted would not hold.
    pub fn of(facts: &'a Facts<'_>) -> Option<Self> {
        let Facts { quote, headings, context } = facts;
        let fits = quote.lines.len() <= CART_ITEMS_MAX && context.shopper.segments.len() <= SEGMENTS_MAX;
        let whole = quote.lines.len() == headings.len();
        (fits && whole).then(|| Self { quote, context, headings, lines: OnceLock::new(), segments: OnceLock::new() })
    }

    fn lines(&self) -> &CelList<'a> {
        self.lines.get_or_init(|| {
            let lines = self.quote.lines.iter().zip(self.headings);
            let seen = lines.map(|(line, headings)| Box::new(Line { line, headings }) as Box<dyn Val + 'a>);
            CelList::from(seen.collect::<Vec<_>>())
        })
    }

    fn segments(&self) -> &CelList<'a> {
        self.segments.get_or_init(|| {
            let segments = self.context.shopper.segments.iter().map(|segment| CelString::from(segment.as_str()));
            CelList::from(segments.map(|segment| Box::new(segment) as Box<dyn Val + 'a>).collect::<Vec<_>>())
        })
    }
}

impl VariableResolver for Seen<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let (shopper, destination) = (&self.context.shopper, self.context.destination.as_ref());
        Some(match name {
            "cart.currency" => text(self.quote.currency.code()),
            "cart.subtotal" => number(self.quote.subtotal.minor()),
            "cart.itemCount" => number(capped(self.quote.item_count)),
            "cart.lines" => CowVal::Borrowed(self.lines()),
            "shopper.known" => truth(shopper.who.is_some()),
            "shopper.orders" => number(capped(shopper.orders.unwrap_or(0))),
            "shopper.segments" => CowVal::Borrowed(self.segments()),
            "shopper.taxExempt" => truth(shopper.tax_exempt),
            "destination.country" => text(destination.map_or("", |d| d.country.as_str())),
            "destination.region" => text(destination.and_then(|d| d.region.as_ref()).map_or("", |r| r.as_str())),
            "destination.city" => text(destination.and_then(|d| d.city.as_ref()).map_or("", |c| c.as_str())),
            "destination.postalCode" => text(destination.and_then(|d| d.postal_code.as_ref()).map_or("", |p| p.as_str())),
            _ => return None,
        })
    }
}

/// One of `cart.lines`.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    line: &'a QuotedLine,
    headings: &'a [HeadingId],
}

impl<'a> Line<'a> {
    fn part<'b>(&self, name: &str) -> Option<CowVal<'b, 'a>> {
        let line = self.line;
        Some(match name {
            "productId" => spelled(&line.book),
            "variantId" => spelled(&line.edition),
            "sku" => text(line.sku.as_str()),
            "format" => text(line.format.as_str()),
            "quantity" => number(i64::from(line.quantity.get())),
            "unitPrice" => number(line.unit_price.minor()),
            "listPrice" => number(line.list_price.minor()),
            "total" => number(line.total.minor()),
            "onSale" => truth(line.unit_price.minor() < line.list_price.minor()),
            "authors" => CowVal::owned(self.under(HeadingKind::Author)),
            "categories" => CowVal::owned(self.under(HeadingKind::Category)),
            "publisher" => self.under(HeadingKind::Publisher).iter().next().map_or_else(|| text(""), spelled),
            _ => return None,
        })
    }

    fn under(&self, kind: HeadingKind) -> Ids<'a> {
        Ids { headings: self.headings, kind }
    }
}

static LINE: Type = Type::new_unspecified_type("line");

impl Val for Line<'_> {
    fn get_type(&self) -> &Type {
        &LINE
    }

    fn cel_type() -> &'static Type {
        &LINE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}

impl Indexer for Line<'_> {
    fn get<'b, 'v>(&'b self, name: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = name.downcast_ref::<CelString<'_>>().map_or("", |name| name.inner());
        self.part(name).ok_or_else(|| ExecutionError::no_such_key(name))
    }

    fn steal<'v>(self: Box<Self>, name: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(name).map(CowVal::into_owned)
    }
}

/// The authors or the categories of a line: texts for a condition, although they are never spelled, because all it can do is ask
/// for one of them and how many there are. Going through them for every line takes more steps than there may be.
#[derive(Clone, Copy, Debug)]
struct Ids<'a> {
    headings: &'a [HeadingId],
    kind: HeadingKind,
}

impl<'a> Ids<'a> {
    fn iter(self) -> impl Iterator<Item = &'a HeadingId> {
        self.headings.iter().filter(move |id| id.kind == self.kind)
    }
}

impl Val for Ids<'_> {
    fn get_type(&self) -> &Type {
        CelList::cel_type()
    }

    fn cel_type() -> &'static Type {
        CelList::cel_type()
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}

impl Container for Ids<'_> {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        let wanted = value.downcast_ref::<CelString<'_>>().and_then(|id| HeadingId::parse(id.inner()));
        Ok(wanted.is_some_and(|wanted| self.iter().any(|id| *id == wanted)))
    }
}

impl Sizer for Ids<'_> {
    fn size(&self) -> CelInt {
        CelInt::from(i64::try_from(self.iter().count()).unwrap_or(i64::MAX))
    }
}

/// `list.sum()`: the sum of numbers, in whatever order they come.
pub fn sum<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let of_numbers = || ExecutionError::function_error("sum", "a sum is of numbers");
    let mut numbers = arguments.first().and_then(|list| list.as_iterable()).ok_or_else(of_numbers)?.iter();
    let mut sum = 0_i128;
    while let Some(number) = numbers.next() {
        sum += i128::from(*number.downcast_ref::<CelInt>().ok_or_else(of_numbers)?.inner());
    }
    i64::try_from(sum).map(number).map_err(|_| ExecutionError::function_error("sum", "out of range"))
}

fn text<'b, 'v>(text: &'v str) -> CowVal<'b, 'v> {
    CowVal::owned(CelString::from(text))
}

fn spelled<'b, 'v>(id: &impl ToString) -> CowVal<'b, 'v> {
    CowVal::owned(CelString::from(id.to_string()))
}

fn number<'b, 'v>(number: i64) -> CowVal<'b, 'v> {
    CowVal::owned(CelInt::from(number))
}

fn truth<'b, 'v>(truth: bool) -> CowVal<'b, 'v> {
    CowVal::owned(CelBool::from(truth))
}

fn capped(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
