use crate::digest::first_half;
use domain::cart::Owner;
use domain::ids::CustomerId;
use domain::order::Actor;
use domain::person::Email;
use domain::pricing::{Shopper, Who};
use domain::refusal::Refusal;
use domain::session::Session;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Who asks. Made by an edge from credentials it has checked.
#[derive(Clone, Debug)]
pub enum Caller {
    Anonymous,
    Guest(Arc<Session>),
    /// A customer, and what the identity provider says of them as a shopper.
    Customer(CustomerId, Arc<Shopper>),
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
            Self::Customer(id, _) | Self::Admin(id) => Ok(Owner::Customer(id.clone())),
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
            Self::Guest(_) | Self::Customer(..) => Err(Refusal::Forbidden),
        }
    }

    /// Who buys, as far as it is known. Guests are known by their e-mail address, once they have given it.
    pub(crate) fn shopper(&self, email: Option<&Email>) -> Shopper {
        let told = match self {
            Self::Customer(_, told) => (**told).clone(),
            Self::Anonymous | Self::Guest(_) | Self::Admin(_) => Shopper::default(),
        };
        Shopper { who: self.owner().ok().and_then(|owner| who(&owner, email)), ..told }
    }

    pub(crate) fn actor(&self) -> Actor {
        match self {
            Self::Anonymous | Self::Guest(_) => Actor::Guest,
            Self::Customer(id, _) => Actor::Customer(id.clone()),
            Self::Admin(id) => Actor::Admin(id.clone()),
        }
    }
}

/// The person behind an owner: the account, else the e-mail address, compared without case. Only a fingerprint is kept.
pub(crate) fn who(owner: &Owner, email: Option<&Email>) -> Option<Who> {
    let name = match owner {
        Owner::Customer(id) => format!("customer/{id}"),
        Owner::Guest(_) => format!("email/{}", email?.as_str().to_lowercase()),
    };
    Some(Who(first_half(Sha256::new_with_prefix(name))))
}
