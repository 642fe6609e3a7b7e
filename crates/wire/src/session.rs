use crate::read::Object;
use crate::scalar::{self, At, Private, Show};
use app::{NewSession, SessionChange, SessionView};
use domain::ids::{CartId, SessionId};
use domain::limits::DEVICE_MAX;
use domain::session::Session;
use domain::text::Text;
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionBody<'a> {
    id: Show<SessionId>,
    /// In the one answer that creates the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Private<&'a str>>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cart_id: Option<Show<CartId>>,
    expires_at: At,
    version: u64,
}

impl<'a> SessionBody<'a> {
    fn of(session: &'a Session, token: Option<&'a str>, cart: Option<CartId>) -> Self {
        Self {
            id: Show(session.id),
            token: token.map(Private),
            kind: if session.customer.is_some() { "customer" } else { "guest" },
            customer_id: session.customer.as_ref().map(|c| c.as_str()),
            device: session.device.as_ref().map(Text::as_str),
            cart_id: cart.map(Show),
            expires_at: At(session.expires_at),
            version: session.version.0,
        }
    }
}

impl<'a> From<&'a NewSession> for SessionBody<'a> {
    fn from(new: &'a NewSession) -> Self {
        Self::of(&new.session, Some(&new.token), None)
    }
}

impl<'a> From<&'a SessionView> for SessionBody<'a> {
    fn from(view: &'a SessionView) -> Self {
        Self::of(&view.session, None, view.cart)
    }
}

/// `POST /session`. The outer option says whether it could be read.
pub fn open_session(o: &mut Object<'_, '_>) -> Option<Option<Text<DEVICE_MAX>>> {
    Some(o.optional("device", scalar::line))
}

/// `PATCH /session/{id}`.
pub fn change_session(o: &mut Object<'_, '_>) -> Option<SessionChange> {
    Some(SessionChange { device: o.optional("device", scalar::line), extend: o.optional("extend", |v| v.bool()).unwrap_or(false) })
}
