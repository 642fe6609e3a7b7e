use crate::call::{Call, json, linked};
use crate::problem::{Answer, Failure};
use crate::query::Query;
use crate::reply;
use app::{BookQuery, BookSort, BookView, HeadingView, StockView};
use bytes::Bytes;
use domain::catalog::{HeadingId, HeadingKind};
use domain::ids::{BookId, EditionId};
use domain::limits::SEARCH_MAX;
use domain::refusal::Refusal;
use wire::catalog::{BookBody, BookPageBody, HeadingBody, PriceBody, StockBody};

fn book_id(call: &Call) -> Result<BookId, Failure> {
    call.id("id", BookId::parse, Refusal::ProductNotFound)
}

fn replaced(view: &BookView) -> Bytes {
    reply::ok(view.book.version, &BookBody::from(view))
}

fn created(view: &BookView) -> Bytes {
    reply::created(view.book.version, &format!("/api/v1/books/{}", view.book.id), &BookBody::from(view))
}

fn deleted(_: &()) -> Bytes {
    reply::no_content()
}

fn moved(view: &StockView) -> Bytes {
    reply::plain(&StockBody::from(view))
}

fn sort(text: &str) -> Option<BookSort> {
    Some(match text {
        "relevance" => BookSort::Relevance,
        "title" => BookSort::Title,
        "-title" => BookSort::TitleDown,
        "price" => BookSort::Price,
        "-price" => BookSort::PriceDown,
        "year" => BookSort::Year,
        "-year" => BookSort::YearDown,
        _ => return None,
    })
}

fn search(text: &str) -> Option<String> {
    (text.chars().count() <= SEARCH_MAX).then(|| text.trim().to_owned())
}

fn price(text: &str) -> Option<i64> {
    text.parse().ok().filter(|n| *n >= 0)
}

/// The position of the last book of a page, and the book.
fn place(bytes: [u8; 24]) -> Option<(BookId, usize)> {
    let (at, id) = bytes.split_first_chunk::<8>()?;
    Some((BookId(u128::from_be_bytes(id.try_into().ok()?)), usize::try_from(u64::from_be_bytes(*at)).ok()?))
}

fn place_bytes((id, at): (BookId, usize)) -> Vec<u8> {
    [&(at as u64).to_be_bytes()[..], &id.0.to_be_bytes()].concat()
}

fn book_query(call: &Call, query: &mut Query) -> Result<BookQuery, Failure> {
    let mut under = |name, kind| query.get(name, |text| HeadingId::parse(text).filter(|h| h.kind == kind), "an id");
    let headings = [("author", HeadingKind::Author), ("category", HeadingKind::Category), ("publisher", HeadingKind::Publisher)];
    let headings = headings.into_iter().filter_map(|(name, kind)| under(name, kind)).collect();
    Ok(BookQuery {
        search: query.get("search", search, "at most 200 characters").filter(|text| !text.is_empty()),
        headings,
        min_price: query.get("minPrice", price, "an amount in minor units"),
        max_price: query.get("maxPrice", price, "an amount in minor units"),
        in_stock: query.flag("inStock"),
        sort: query.get("sort", sort, "relevance, title, -title, price, -price, year or -year"),
        limit: query.limit(),
        after: call.after(query)?.and_then(place),
    })
}

pub(crate) async fn books(call: Call) -> Answer {
    let mut query = call.query()?;
    let asked = book_query(&call, &mut query)?;
    query.end()?;
    let page = call.app().books(&asked).await?;
    let cursor = page.next.map(|place| call.cursor(&place_bytes(place)));
    let link = cursor.as_deref().map(|c| call.link(c));
    Ok(linked(json(&BookPageBody::of(&page, cursor)), link))
}

pub(crate) async fn book(call: Call) -> Answer {
    call.no_query()?;
    let view = call.app().book(book_id(&call)?).await?;
    Ok(call.show(view.book.version, &BookBody::from(&view)))
}

pub(crate) async fn create_book(mut call: Call) -> Answer {
    call.no_query()?;
    let book = call.read(wire::catalog::book)?;
    let answered = call.app().create_book(&call.caller, book, call.once(created)).await?;
    call.answer(answered, created)
}

pub(crate) async fn replace_book(mut call: Call) -> Answer {
    call.no_query()?;
    let book = call.read(wire::catalog::book)?;
    let (id, if_match, once) = (book_id(&call)?, call.if_match()?, call.once(replaced));
    let answered = call.app().replace_book(&call.caller, id, book, if_match, once).await?;
    call.answer(answered, replaced)
}

pub(crate) async fn delete_book(call: Call) -> Answer {
    call.no_query()?;
    let (id, if_match, once) = (book_id(&call)?, call.if_match()?, call.once(deleted));
    let answered = call.app().delete_book(&call.caller, id, if_match, once).await?;
    call.answer(answered, deleted)
}

pub(crate) async fn move_stock(mut call: Call) -> Answer {
    call.no_query()?;
    let (input, reason) = call.read(wire::catalog::move_stock)?;
    let edition = call.id("editionId", EditionId::parse, Refusal::ProductNotFound)?;
    let (book, once) = (book_id(&call)?, call.once(moved));
    let answered = call.app().move_stock(&call.caller, book, edition, input, reason, once).await?;
    call.answer(answered, moved)
}

pub(crate) async fn prices(call: Call) -> Answer {
    let mut query = call.query()?;
    let (limit, before) = (query.limit(), call.after(&mut query)?.map(u64::from_be_bytes));
    query.end()?;
    let edition = call.id("editionId", EditionId::parse, Refusal::ProductNotFound)?;
    let mut page = call.app().price_history(&call.caller, book_id(&call)?, edition, before, limit + 1).await?;
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|(place, _)| place.to_be_bytes());
    Ok(call.page(page.iter().map(|(_, line)| PriceBody::from(line)).collect(), next.as_ref().map(|b| &b[..])))
}

// Authors, categories and publishers are one thing under three names.

fn heading_id(call: &Call, kind: HeadingKind) -> Result<HeadingId, Failure> {
    let missing = match kind {
        HeadingKind::Author => Refusal::AuthorNotFound,
        HeadingKind::Category => Refusal::CategoryNotFound,
        HeadingKind::Publisher => Refusal::PublisherNotFound,
    };
    call.id("id", |text| HeadingId::parse(text).filter(|h| h.kind == kind), missing)
}

fn renamed(view: &HeadingView) -> Bytes {
    reply::ok(view.heading.version, &HeadingBody::from(view))
}

fn named(view: &HeadingView) -> Bytes {
    let list = match view.heading.id.kind {
        HeadingKind::Author => "authors",
        HeadingKind::Category => "categories",
        HeadingKind::Publisher => "publishers",
    };
    reply::created(view.heading.version, &format!("/api/v1/{list}/{}", view.heading.id), &HeadingBody::from(view))
}

pub(crate) async fn headings(kind: HeadingKind, call: Call) -> Answer {
    let mut query = call.query()?;
    let limit = query.limit();
    let search = query.get("search", search, "at most 200 characters");
    let after = call.after(&mut query)?.map(|bytes| HeadingId { kind, bits: u128::from_be_bytes(bytes) });
    query.end()?;
    let mut page = call.app().headings(kind, search.as_deref(), after, limit + 1).await?;
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|h| h.heading.id.bits.to_be_bytes());
    Ok(call.page(page.iter().map(HeadingBody::from).collect(), next.as_ref().map(|b| &b[..])))
}

pub(crate) async fn heading(kind: HeadingKind, call: Call) -> Answer {
    call.no_query()?;
    let view = call.app().heading(heading_id(&call, kind)?).await?;
    Ok(call.show(view.heading.version, &HeadingBody::from(&view)))
}

pub(crate) async fn create_heading(kind: HeadingKind, mut call: Call) -> Answer {
    call.no_query()?;
    let name = call.read(wire::catalog::name)?;
    let answered = call.app().create_heading(&call.caller, kind, name, call.once(named)).await?;
    call.answer(answered, named)
}

pub(crate) async fn rename_heading(kind: HeadingKind, mut call: Call) -> Answer {
    call.no_query()?;
    let name = call.read(wire::catalog::name)?;
    let (id, if_match, once) = (heading_id(&call, kind)?, call.if_match()?, call.once(renamed));
    let answered = call.app().rename_heading(&call.caller, id, name, if_match, once).await?;
    call.answer(answered, renamed)
}

pub(crate) async fn delete_heading(kind: HeadingKind, call: Call) -> Answer {
    call.no_query()?;
    let (id, if_match, once) = (heading_id(&call, kind)?, call.if_match()?, call.once(deleted));
    let answered = call.app().delete_heading(&call.caller, id, if_match, once).await?;
    call.answer(answered, deleted)
}
