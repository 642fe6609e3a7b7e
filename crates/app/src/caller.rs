use domain::cart::Owner;
use domain::ids::CustomerId;
use domain::order::Actor;
use domain::refusal::Refusal;
use domain::session::Session;
use std::sync::Arc;

/// Who asks. Made by an edge from credentials it has checked.
#[derive(Clone, Debug)]
pub enum Caller {
    Anonymous,
    Guest(Arc<Session>),
    Customer(CustomerId),
    Admin(CustomerId),
}

impl Caller {
    /// Whose carts, checkouts and orders the caller may see and change.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] for nobody in particular.
    pub fn owner(&self) -> Result<Owner, Refusal> {
        match self {
            Self::Anonymous => Err(Refusal::Unauthenticated),
            Self::Guest(session) => Ok(match &session.customer {
                Some(customer) => Owner::Customer(customer.clone()),
                None => Owner::Guest(session.id),
            }),
            Self::Customer(id) | Self::Admin(id) => Ok(Owner::Customer(id.clone())),
        }
    }

    pub fn is_admin(&self) -> bool {
        matches!(self, Self::Admin(_))
    }

    /// # Errors
    /// [`Refusal::Unauthenticated`] or [`Refusal::Forbidden`].
    pub fn ensure_admin(&self) -> Result<(), Refusal> {
        match self {
            Self::Admin(_) => Ok(()),
            Self::Anonymous => Err(Refusal::Unauthenticated),
            Self::Guest(_) | Self::Customer(_) => Err(Refusal::Forbidden),
        }
    }

    pub(crate) fn actor(&self) -> Actor {
        match self {
            Self::Anonymous | Self::Guest(_) => Actor::Guest,
            Self::Customer(id) => Actor::Customer(id.clone()),
            Self::Admin(id) => Actor::Admin(id.clone()),
        }
    }
}
