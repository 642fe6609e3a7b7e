use crate::call::Call;
use crate::problem::{Answer, Failure};
use crate::reply;
use app::SessionView;
use bytes::Bytes;
use domain::ids::SessionId;
use domain::refusal::Refusal;
use wire::session::SessionBody;

fn session_id(call: &Call) -> Result<SessionId, Failure> {
    call.id("id", SessionId::parse, Refusal::SessionNotFound)
}

fn changed(view: &SessionView) -> Bytes {
    reply::ok(view.session.version, &SessionBody::from(view))
}

/// The token is in this answer only, so it is never stored for a replay: sent again, it opens another session.
pub(crate) async fn open(mut call: Call) -> Answer {
    call.no_query()?;
    let device = call.read_or_empty(wire::session::open_session)?;
    let new = call.app().open_session(device).await?;
    let location = format!("/api/v1/session/{}", new.session.id);
    call.packed(&reply::created(new.session.version, &location, &SessionBody::from(&new)))
}

pub(crate) async fn mine(call: Call) -> Answer {
    show_one(call, None).await
}

pub(crate) async fn show(call: Call) -> Answer {
    let id = session_id(&call)?;
    show_one(call, Some(id)).await
}

async fn show_one(call: Call, id: Option<SessionId>) -> Answer {
    call.no_query()?;
    let view = call.app().session(&call.caller, id).await?;
    Ok(call.show(view.session.version, &SessionBody::from(&view)))
}

pub(crate) async fn patch(mut call: Call) -> Answer {
    call.no_query()?;
    let change = call.read(wire::session::change_session)?;
    let (id, if_match, once) = (session_id(&call)?, call.if_match()?, call.once(changed));
    let answered = call.app().update_session(&call.caller, Some(id), change, if_match, once).await?;
    call.answer(answered, changed)
}

pub(crate) async fn end_mine(call: Call) -> Answer {
    end_one(call, None).await
}

pub(crate) async fn end(call: Call) -> Answer {
    let id = session_id(&call)?;
    end_one(call, Some(id)).await
}

async fn end_one(call: Call, id: Option<SessionId>) -> Answer {
    call.no_query()?;
    call.app().end_session(&call.caller, id).await?;
    call.packed(&reply::no_content())
}
