//! The shop's rules about prices: one set of handlers for every kind.

use crate::call::Call;
use crate::edge::Edge;
use crate::pricing::start;
use crate::problem::{Answer, Failure};
use crate::query::Query;
use crate::reply;
use app::{App, Caller, CodeView, PutRule, RuleView};
use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse;
use bytes::Bytes;
use domain::ids::{CouponCode, PromotionId, Version};
use domain::limits::{COUPON_CODE_MAX, REASON_MAX};
use domain::person::{Country, Region};
use domain::pricing::{Batch, Kept, Rule, RuleKey, RuleKind, Trigger};
use domain::refusal::Refusal;
use domain::text::Text;
use futures_util::stream::{self, StreamExt};
use std::sync::Arc;
use wire::rules::{BatchBody, ChangeBody, CodeBody, KeptBody, RuleInput, codes_csv, new_rule, parse_rule_id, replaced_rule, stacking_id};

fn noun(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::Promotion => "promotions",
        RuleKind::TaxRate => "tax-rates",
        RuleKind::ShippingOption => "shipping-options",
        RuleKind::ExchangeRate => "exchange-rates",
        RuleKind::Stacking => "stacking",
    }
}

/// The rule a path names; of stacking there is one.
fn key(call: &Call, kind: RuleKind) -> Result<RuleKey, Failure> {
    let id = match kind {
        RuleKind::Stacking => stacking_id(),
        _ => call.id("id", parse_rule_id, Refusal::RuleNotFound)?,
    };
    Ok(RuleKey { kind, id })
}

fn promotion_id(call: &Call) -> Result<PromotionId, Failure> {
    call.id("id", PromotionId::parse, Refusal::RuleNotFound)
}

fn created(view: &RuleView) -> Bytes {
    let RuleKey { kind, id } = view.rule.key();
    reply::created(view.version, &format!("/api/v1/pricing/{}/{id}", noun(kind)), &KeptBody::from(&**view))
}

fn replaced(view: &RuleView) -> Bytes {
    reply::ok(view.version, &KeptBody::from(&**view))
}

fn deleted(_: &()) -> Bytes {
    reply::no_content()
}

fn issued(batch: &Batch) -> Bytes {
    reply::made(&format!("/api/v1/pricing/promotions/{}/codes", batch.promotion), &BatchBody::from(batch))
}

/// Ways to ship that are switched off are the shop's own business.
fn is_for(rule: &Rule, caller: &Caller) -> bool {
    caller.is_admin() || !matches!(rule, Rule::ShippingOption(option) if !option.active)
}

/// Which rules of a kind a query asks for.
fn wanted(kind: RuleKind, query: &mut Query) -> Box<dyn Fn(&Rule) -> bool + Send> {
    match kind {
        RuleKind::Promotion => {
            let active = query.flag("active");
            let code = query.get("code", |text| CouponCode::parse(&text.to_uppercase()), "a coupon code");
            let names = |trigger: &Trigger, code: &CouponCode| matches!(trigger, Trigger::Codes(codes) if codes.contains(code));
            Box::new(move |rule| {
                let Rule::Promotion(p) = rule else { return false };
                active.is_none_or(|active| p.active == active) && code.as_ref().is_none_or(|code| names(&p.trigger, code))
            })
        }
        RuleKind::TaxRate => {
            let country = query.get("country", Country::parse, "an ISO 3166-1 alpha-2 code");
            let region = query.get("region", |text| Region::parse(&text.to_uppercase()), "a region");
            Box::new(move |rule| {
                let Rule::TaxRate { rate, .. } = rule else { return false };
                country.is_none_or(|c| rate.place.country == c) && (region.is_none() || rate.place.region == region)
            })
        }
        RuleKind::ShippingOption | RuleKind::ExchangeRate | RuleKind::Stacking => Box::new(|_| true),
    }
}

pub(crate) async fn list(kind: RuleKind, call: Call) -> Answer {
    let mut query = call.query()?;
    let wanted = wanted(kind, &mut query);
    let (limit, start) = (query.limit(), start(&call, &mut query)?);
    query.end()?;
    let book = call.app().pricebook();
    let mut page: Vec<&Arc<Kept>> =
        book.of(kind).filter(|kept| is_for(&kept.rule, &call.caller) && wanted(&kept.rule)).skip(start).take(limit + 1).collect();
    let next = (page.len() > limit).then(|| ((start + limit) as u64).to_be_bytes());
    page.truncate(limit);
    Ok(call.page(page.into_iter().map(|kept| KeptBody::from(&**kept)).collect(), next.as_ref().map(|b| &b[..])))
}

pub(crate) async fn show(kind: RuleKind, call: Call) -> Answer {
    call.no_query()?;
    let (book, key) = (call.app().pricebook(), key(&call, kind)?);
    let kept = book.get(&key).filter(|kept| is_for(&kept.rule, &call.caller)).ok_or(Refusal::RuleNotFound)?;
    Ok(call.show(kept.version, &KeptBody::from(&**kept)))
}

pub(crate) async fn create(kind: RuleKind, mut call: Call) -> Answer {
    call.no_query()?;
    let (fresh, zone) = (call.app().fresh_rule_id(), call.app().policy().time_zone.clone());
    let RuleInput { rule, reason } = call.read(|o| new_rule(kind, o, fresh, &zone))?;
    let put = PutRule { rule, if_match: None, creates: true, reason };
    let answered = call.app().put_rule(&call.caller, put, call.once(created)).await?;
    call.answer(answered, created)
}

pub(crate) async fn replace(kind: RuleKind, mut call: Call) -> Answer {
    call.no_query()?;
    let (key, zone) = (key(&call, kind)?, call.app().policy().time_zone.clone());
    // How promotions go together is always there to be put, whether or not somebody has put it before.
    let creates = kind == RuleKind::Stacking && call.app().pricebook().get(&key).is_none();
    let RuleInput { rule, reason } = call.read(|o| replaced_rule(kind, o, key.id, &zone))?;
    let put = PutRule { rule, if_match: call.if_match()?, creates, reason };
    let answered = call.app().put_rule(&call.caller, put, call.once(replaced)).await?;
    call.answer(answered, replaced)
}

pub(crate) async fn delete(kind: RuleKind, call: Call) -> Answer {
    let mut query = call.query()?;
    let reason = query.get("reason", Text::<REASON_MAX>::parse, "at most 200 characters");
    query.end()?;
    let (key, if_match, once) = (key(&call, kind)?, call.if_match()?, call.once(deleted));
    let answered = call.app().delete_rule(&call.caller, key, if_match, reason, once).await?;
    call.answer(answered, deleted)
}

pub(crate) async fn stacking(call: Call) -> Answer {
    call.no_query()?;
    let book = call.app().pricebook();
    let kept = book.get(&key(&call, RuleKind::Stacking)?);
    let body = kept.map_or_else(KeptBody::unlimited, |kept| KeptBody::from(&**kept));
    Ok(call.show(kept.map_or(Version(0), |kept| kept.version), &body))
}

pub(crate) async fn issue(mut call: Call) -> Answer {
    call.no_query()?;
    let (issue, reason) = call.read(wire::rules::issue)?;
    let answered = call.app().issue_codes(&call.caller, promotion_id(&call)?, issue, reason, call.once(issued)).await?;
    call.answer(answered, issued)
}

/// A code as a cursor holds it: filled up with zeros, which no code contains.
fn place(code: &CouponCode) -> [u8; COUPON_CODE_MAX] {
    let mut place = [0; COUPON_CODE_MAX];
    place[..code.as_str().len()].copy_from_slice(code.as_str().as_bytes());
    place
}

fn code_at(place: [u8; COUPON_CODE_MAX]) -> Option<CouponCode> {
    CouponCode::parse(std::str::from_utf8(&place).ok()?.trim_end_matches('\0'))
}

pub(crate) async fn codes(call: Call) -> Answer {
    let mut query = call.query()?;
    let (limit, after) = (query.limit(), call.after(&mut query)?.and_then(code_at));
    query.end()?;
    call.app().rule(&call.caller, &key(&call, RuleKind::Promotion)?)?;
    let mut page = call.app().codes(&call.caller, &promotion_id(&call)?, after.as_ref(), limit + 1).await?;
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|view| place(&view.issued.code));
    Ok(call.page(page.iter().map(CodeBody::from).collect(), next.as_ref().map(|b| &b[..])))
}

/// Codes read for one piece of a file: a few tens of kilobytes.
const CODES_AT_ONCE: usize = 1000;

/// A file of codes on its way out.
struct File {
    edge: Arc<Edge>,
    caller: Caller,
    promotion: PromotionId,
    /// What was read last; nothing more comes after a piece that is not full.
    codes: Vec<CodeView>,
}

impl File {
    async fn read_on(&mut self) -> Result<(), app::Error> {
        let after = self.codes.last().map(|view| view.issued.code.clone());
        let app: &App = &self.edge.app;
        self.codes = app.codes(&self.caller, &self.promotion, after.as_ref(), CODES_AT_ONCE).await?;
        Ok(())
    }

    /// The next piece, and the file after it. A failure half way ends the connection: a file that ends early is not a file.
    async fn piece(mut self) -> Option<(Result<Bytes, app::Error>, Self)> {
        if self.codes.len() < CODES_AT_ONCE {
            return None;
        }
        let read = self.read_on().await;
        let piece = read.map(|()| codes_csv(&self.codes).into());
        if piece.is_err() {
            self.codes.clear();
        }
        Some((piece, self))
    }
}

/// All codes of a promotion as a file, however many, without holding more than a piece of it.
pub(crate) async fn codes_file(call: Call) -> Answer {
    call.no_query()?;
    call.app().rule(&call.caller, &key(&call, RuleKind::Promotion)?)?;
    let mut file = File { edge: Arc::clone(&call.edge), caller: call.caller.clone(), promotion: promotion_id(&call)?, codes: Vec::new() };
    file.read_on().await?;
    let head = Bytes::from(format!("{}{}", wire::rules::CODES_HEAD, codes_csv(&file.codes)));
    let disposition = format!("attachment; filename=\"{}-codes.csv\"", file.promotion);
    let rest = stream::unfold(file, File::piece);
    let body = Body::from_stream(stream::once(async { Ok(head) }).chain(rest));
    let headers = [(CONTENT_TYPE, "text/csv; charset=utf-8"), (CONTENT_DISPOSITION, &disposition)];
    Ok((headers, body).into_response())
}

/// The rule a history is asked about; a kind of which there are many needs an id.
fn subject(query: &mut Query) -> Option<RuleKey> {
    let kind = query.get("kind", RuleKind::parse, "promotion, tax_rate, shipping_option, exchange_rate or stacking");
    let id = query.get("id", parse_rule_id, "the id of a rule");
    match (kind, id) {
        (Some(RuleKind::Stacking), None) => Some(RuleKey { kind: RuleKind::Stacking, id: stacking_id() }),
        (Some(kind), Some(id)) => Some(RuleKey { kind, id }),
        (None, None) => None,
        (Some(_), None) => query.missing("id"),
        (None, Some(_)) => query.missing("kind"),
    }
}

pub(crate) async fn history(call: Call) -> Answer {
    let mut query = call.query()?;
    let (limit, before) = (query.limit(), call.after(&mut query)?.map(u64::from_be_bytes));
    let of = subject(&mut query);
    query.end()?;
    let mut page = call.app().rule_history(&call.caller, of.as_ref(), before, limit + 1).await?;
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|line| line.sequence.to_be_bytes());
    Ok(call.page(page.iter().map(ChangeBody::from).collect(), next.as_ref().map(|b| &b[..])))
}
