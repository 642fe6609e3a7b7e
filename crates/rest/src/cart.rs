use crate::call::Call;
use crate::problem::{Answer, Failure};
use crate::reply;
use app::{Caller, CartView, MergeCart, Opened, Operation};
use bytes::Bytes;
use domain::cart::Cart;
use domain::ids::{CartId, ItemId};
use domain::refusal::Refusal;
use std::sync::Arc;
use wire::TotalsBody;
use wire::cart::CartBody;
use wire::explain::{Audience, Explained};

fn cart_id(call: &Call) -> Result<CartId, Failure> {
    call.id("id", CartId::parse, Refusal::CartNotFound)
}

fn item_id(call: &Call) -> Result<ItemId, Failure> {
    call.id("itemId", ItemId::parse, Refusal::ItemNotFound)
}

fn location(view: &CartView) -> String {
    format!("/api/v1/cart/{}", view.cart.id)
}

fn changed(view: &CartView) -> Bytes {
    reply::ok(view.cart.version, &CartBody::from(view))
}

fn added(view: &CartView) -> Bytes {
    reply::created(view.cart.version, &location(view), &CartBody::from(view))
}

fn opened(opened: &Opened) -> Bytes {
    if opened.created { added(&opened.view) } else { changed(&opened.view) }
}

/// Prices and prints a cart, unless nothing has changed since it was printed last. An explanation is made anew.
async fn shown(call: &Call, cart: Arc<Cart>, explain: Option<Audience>) -> Answer {
    if explain.is_some() {
        let (view, _) = call.app().price_cart(&call.caller, cart).await?;
        return Ok(call.show(view.cart.version, &Explained::of(CartBody::from(&view), &view.quote, explain)));
    }
    let rendered = match call.edge.rendered.get(call.app(), &cart) {
        Some(rendered) => rendered,
        None => {
            let (view, basis) = call.app().price_cart(&call.caller, cart).await?;
            call.edge.rendered.print(&view, basis)
        }
    };
    Ok(call.show_bytes(rendered.body.clone(), rendered.tag.clone()))
}

fn deleted(_: &()) -> Bytes {
    reply::no_content()
}

pub(crate) async fn open(mut call: Call) -> Answer {
    call.no_query()?;
    let open = call.read_or_empty(wire::cart::open_cart)?;
    if matches!(call.caller, Caller::Anonymous) {
        call.become_guest().await?;
    }
    let answered = call.app().open_cart(&call.caller, open, call.once(opened)).await?;
    call.answer(answered, opened)
}

pub(crate) async fn mine(call: Call) -> Answer {
    let explain = call.explain()?;
    shown(&call, call.app().my_unpriced_cart(&call.caller, call.seen()).await?, explain).await
}

pub(crate) async fn show(call: Call) -> Answer {
    let explain = call.explain()?;
    shown(&call, call.app().unpriced_cart(&call.caller, cart_id(&call)?, call.seen()).await?, explain).await
}

pub(crate) async fn totals(call: Call) -> Answer {
    let explain = call.explain()?;
    let view = call.app().cart(&call.caller, cart_id(&call)?).await?;
    Ok(call.show(view.cart.version, &Explained::of(TotalsBody::from(&view.quote), &view.quote, explain)))
}

async fn change(call: Call, operations: Vec<Operation>, render: fn(&CartView) -> Bytes) -> Answer {
    call.no_query()?;
    let (id, if_match, once) = (cart_id(&call)?, call.if_match()?, call.once(render));
    let answered = call.app().change_cart(&call.caller, id, operations, if_match, once).await?;
    call.answer(answered, render)
}

pub(crate) async fn patch(mut call: Call) -> Answer {
    let operations = call.read(wire::cart::change_cart)?;
    change(call, operations, changed).await
}

pub(crate) async fn add_item(mut call: Call) -> Answer {
    let item = call.read(wire::cart::add_item)?;
    change(call, vec![Operation::Add(item)], added).await
}

pub(crate) async fn set_item(mut call: Call) -> Answer {
    let quantity = call.read(wire::cart::set_quantity)?;
    let item = item_id(&call)?;
    change(call, vec![Operation::Set { item, quantity }], changed).await
}

pub(crate) async fn remove_item(call: Call) -> Answer {
    let item = item_id(&call)?;
    change(call, vec![Operation::Set { item, quantity: None }], changed).await
}

pub(crate) async fn clear(call: Call) -> Answer {
    change(call, vec![Operation::Clear], changed).await
}

pub(crate) async fn delete(call: Call) -> Answer {
    call.no_query()?;
    let (id, if_match, once) = (cart_id(&call)?, call.if_match()?, call.once(deleted));
    let answered = call.app().delete_cart(&call.caller, id, if_match, once).await?;
    call.answer(answered, deleted)
}

pub(crate) async fn merge(mut call: Call) -> Answer {
    let mut query = call.query()?;
    let dry_run = query.flag("dryRun").unwrap_or(false);
    query.end()?;
    let merge = MergeCart { dry_run, ..call.read(wire::cart::merge_cart)? };
    let answered = call.app().merge_cart(&call.caller, cart_id(&call)?, merge, call.if_match()?, call.once(changed)).await?;
    call.answer(answered, changed)
}
