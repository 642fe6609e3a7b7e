use crate::call::{Call, json};
use crate::problem::{Answer, Failure};
use domain::ids::CouponCode;
use domain::refusal::Refusal;
use serde::Serialize;
use wire::QuoteBody;
use wire::explain::Explained;
use wire::pricing::{COUPON_KINDS, CouponBody, SimulatedBody, coupon_kind};

pub(crate) async fn calculate(mut call: Call) -> Answer {
    let explain = call.explain()?;
    let ask = call.read(wire::pricing::calculate)?;
    let quote = call.app().calculate(&call.caller, ask).await?;
    Ok(json(&Explained::of(QuoteBody::from(&quote), &quote, explain)))
}

pub(crate) async fn discounts(call: Call) -> Answer {
    let mut query = call.query()?;
    let code = query.get("code", |text| CouponCode::parse(&text.to_uppercase()), "a coupon code");
    let kind = query.get("kind", |text| COUPON_KINDS.into_iter().find(|k| *k == text), &COUPON_KINDS.join(", "));
    let (limit, start) = (query.limit(), start(&call, &mut query)?);
    query.end()?;
    let mut active = call.app().discounts().await?;
    active.retain(|a| code.as_ref().is_none_or(|c| a.code == *c) && kind.is_none_or(|k| coupon_kind(&a.promotion.benefit) == k));
    Ok(part(&call, active.iter().map(CouponBody::from).collect(), start, limit))
}

pub(crate) async fn simulate(mut call: Call) -> Answer {
    call.no_query()?;
    let zone = call.app().policy().time_zone.clone();
    let asked = call.read(|o| wire::pricing::simulate(o, &zone))?;
    let simulated = call.app().simulate(&call.caller, asked).await?;
    Ok(json(&SimulatedBody::of(&simulated).map_err(Refusal::from)?))
}

pub(crate) fn start(call: &Call, query: &mut crate::query::Query) -> Result<usize, Failure> {
    Ok(call.after(query)?.map_or(0, |bytes| usize::try_from(u64::from_be_bytes(bytes)).unwrap_or(usize::MAX)))
}

/// A page of a short list that is there as a whole.
fn part<T: Serialize>(call: &Call, mut all: Vec<T>, start: usize, limit: usize) -> axum::response::Response {
    let mut page = all.split_off(start.min(all.len()));
    let next = (page.len() > limit).then(|| ((start + limit) as u64).to_be_bytes());
    page.truncate(limit);
    call.page(page, next.as_ref().map(|b| &b[..]))
}
