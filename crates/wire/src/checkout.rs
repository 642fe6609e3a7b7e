use crate::order::OrderBody;
use crate::problem::{Problem, kind_name};
use crate::read::{Object, Value};
use crate::scalar::{self, At, MoneyBody, Private, Show};
use crate::totals::{PricedItemBody, TotalsBody, priced_items};
use app::{CheckoutView, Process, ShippingOffer, StartCheckout};
use domain::checkout::{Checkout, Details, PaymentError, State};
use domain::ids::{CartId, CheckoutId, OrderId, PaymentToken, ShippingOptionId, Version};
use domain::limits::URL_MAX;
use domain::money::Money;
use domain::order::Order;
use domain::person::{Address, Country, Email};
use domain::refusal::Refusal;
use domain::text::Text;
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckoutBody<'a> {
    id: Show<CheckoutId>,
    cart_id: Show<CartId>,
    cart_version: u64,
    status: &'static str,
    missing: Vec<&'static str>,
    items: Vec<PricedItemBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<Private<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shipping_address: Option<AddressBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_address: Option<AddressBody<'a>>,
    shipping_options: Vec<ShippingOptionBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shipping_option_id: Option<&'a str>,
    totals: TotalsBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_action: Option<NextActionBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<Show<OrderId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<PaymentErrorBody<'a>>,
    version: u64,
    expires_at: At,
}

impl<'a> From<&'a CheckoutView> for CheckoutBody<'a> {
    fn from(view: &'a CheckoutView) -> Self {
        let checkout = &view.checkout;
        Self {
            id: Show(checkout.id),
            cart_id: Show(checkout.cart),
            cart_version: checkout.cart_version.0,
            status: status(checkout),
            missing: checkout.missing().into_iter().map(|m| m.as_str()).collect(),
            items: priced_items(&checkout.quote),
            email: checkout.email.as_ref().map(|e| Private(e.as_str())),
            shipping_address: checkout.shipping_address.as_ref().map(AddressBody::from),
            billing_address: checkout.billing_address.as_ref().map(AddressBody::from),
            shipping_options: view.options.iter().map(ShippingOptionBody::from).collect(),
            shipping_option_id: chosen(checkout),
            totals: (&checkout.quote).into(),
            next_action: next_action(checkout),
            order_id: order_id(checkout),
            last_error: checkout.last_error.as_ref().map(PaymentErrorBody::from),
            version: checkout.version.0,
            expires_at: At(checkout.expires_at),
        }
    }
}

/// What the client sees of a state.
fn status(checkout: &Checkout) -> &'static str {
    match checkout.state {
        State::Open if checkout.is_ready() => "ready",
        State::Open => "incomplete",
        state => kind_name(state.kind()),
    }
}

/// The chosen way of shipping, or the one the quote took.
fn chosen(checkout: &Checkout) -> Option<&str> {
    checkout.shipping_option.as_ref().or(checkout.quote.shipping_option.as_ref()).map(ShippingOptionId::as_str)
}

/// What the customer has to do before the payment can go on.
#[derive(Debug, Serialize)]
struct NextActionBody<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    url: &'a str,
}

fn next_action(checkout: &Checkout) -> Option<NextActionBody<'_>> {
    let attempt = checkout.attempt.as_ref().filter(|_| checkout.state == State::Challenged)?;
    Some(NextActionBody { kind: "redirect", url: attempt.challenge.as_deref()? })
}

/// The order exists once the payment was authorized.
fn order_id(checkout: &Checkout) -> Option<Show<OrderId>> {
    let placed = matches!(checkout.state, State::Capturing | State::Completed { .. });
    checkout.attempt.as_ref().filter(|_| placed).map(|a| Show(a.order))
}

#[derive(PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressBody<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    company: Option<&'a str>,
    line1: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line2: Option<&'a str>,
    city: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    postal_code: &'a str,
    country: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<&'a str>,
}

impl std::fmt::Debug for AddressBody<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AddressBody(*** {})", self.country)
    }
}

impl<'a> From<&'a Address> for AddressBody<'a> {
    fn from(a: &'a Address) -> Self {
        Self {
            name: a.name.as_str(),
            company: a.company.as_ref().map(Text::as_str),
            line1: a.line1.as_str(),
            line2: a.line2.as_ref().map(Text::as_str),
            city: a.city.as_str(),
            region: a.region.as_ref().map(Text::as_str),
            postal_code: a.postal_code.as_str(),
            country: a.country.as_str(),
            phone: a.phone.as_ref().map(Text::as_str),
        }
    }
}

#[derive(Debug, Serialize)]
struct ShippingOptionBody<'a> {
    id: &'a str,
    label: &'a str,
    price: MoneyBody,
}

impl<'a> From<&'a ShippingOffer> for ShippingOptionBody<'a> {
    fn from(offer: &'a ShippingOffer) -> Self {
        Self { id: offer.id.as_str(), label: offer.label.as_str(), price: MoneyBody(offer.price) }
    }
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct PaymentErrorBody<'a> {
    /// The provider's code in the spelling of ours.
    code: String,
    detail: &'a str,
}

impl<'a> From<&'a PaymentError> for PaymentErrorBody<'a> {
    fn from(error: &'a PaymentError) -> Self {
        Self { code: error.code.to_ascii_uppercase(), detail: &error.detail }
    }
}

/// A declined payment: 402 with the provider's reason.
pub fn declined(error: &PaymentError) -> Problem {
    let problem = Problem::from(&Refusal::PaymentDeclined { reason: error.code.clone() });
    Problem { detail: if error.detail.is_empty() { problem.detail } else { error.detail.clone() }, ..problem }
}

/// A checkout that was paid.
#[derive(Debug, Serialize)]
pub struct CompletedBody<'a> {
    status: &'static str,
    order: OrderBody<'a>,
}

impl<'a> From<&'a Order> for CompletedBody<'a> {
    fn from(order: &'a Order) -> Self {
        Self { status: "completed", order: order.into() }
    }
}

/// A checkout whose payment is still under way.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingBody<'a> {
    status: &'static str,
    checkout_id: Show<CheckoutId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_action: Option<NextActionBody<'a>>,
}

impl<'a> From<&'a Checkout> for WaitingBody<'a> {
    fn from(checkout: &'a Checkout) -> Self {
        let status = if checkout.state == State::Challenged { "requires_action" } else { "processing" };
        Self { status, checkout_id: Show(checkout.id), next_action: next_action(checkout) }
    }
}

impl WaitingBody<'_> {
    /// Before anything more is known of it.
    pub fn processing(id: CheckoutId) -> Self {
        Self { status: "processing", checkout_id: Show(id), next_action: None }
    }
}

/// `POST /checkout/session`.
pub fn start_checkout(o: &mut Object<'_, '_>) -> Option<StartCheckout> {
    let cart = o.optional("cartId", |v| scalar::id(v, CartId::parse, "CART_NOT_FOUND"));
    Some(StartCheckout { cart, details: details(o)? })
}

/// `PATCH /checkout/session/{id}`: fields that are left out stay as they are.
pub fn details(o: &mut Object<'_, '_>) -> Option<Details> {
    Some(Details {
        email: o.optional("email", |v| v.parsed(Email::parse, "an e-mail address")),
        shipping_address: o.optional("shippingAddress", |v| v.object(address)),
        billing_address: o.optional("billingAddress", |v| v.object(address)),
        shipping_option: o.optional("shippingOptionId", shipping_option),
    })
}

pub(crate) fn shipping_option(value: Value<'_, '_>) -> Option<ShippingOptionId> {
    value.parsed(ShippingOptionId::parse, "the id of a shipping option")
}

pub(crate) fn address(o: &mut Object<'_, '_>) -> Option<Address> {
    let name = o.required("name", scalar::line);
    let company = o.optional("company", scalar::line);
    let line1 = o.required("line1", scalar::line);
    let line2 = o.optional("line2", scalar::line);
    let city = o.required("city", scalar::line);
    // What tax tables are keyed by is in upper case.
    let region = o.optional("region", |v| v.parsed(|text| Text::parse(&text.to_uppercase()), "1 to 50 characters"));
    let postal_code = o.required("postalCode", scalar::line);
    let country = o.required("country", |v| v.parsed(Country::parse, "an ISO 3166-1 alpha-2 code such as US"));
    let phone = o.optional("phone", scalar::line);
    Some(Address { name: name?, company, line1: line1?, line2, city: city?, region, postal_code: postal_code?, country: country?, phone })
}

/// What a request to pay says; the checkout may be left out.
#[derive(Debug)]
pub struct ProcessInput {
    pub checkout: Option<CheckoutId>,
    token: Private<PaymentToken>,
    expected_total: Money,
    return_url: Option<Text<URL_MAX>>,
}

impl ProcessInput {
    pub fn of(self, checkout: CheckoutId, if_match: Option<Version>) -> Process {
        let Self { token: Private(token), expected_total, return_url, .. } = self;
        Process { checkout, token, expected_total, return_url, if_match }
    }
}

/// `POST /checkout/process`.
pub fn process(o: &mut Object<'_, '_>) -> Option<ProcessInput> {
    let checkout = o.optional("sessionId", |v| scalar::id(v, CheckoutId::parse, "CHECKOUT_NOT_FOUND"));
    let token = o.required("paymentToken", |v| v.parsed(PaymentToken::parse, "a token of the payment provider"));
    let expected_total = o.required("expectedTotal", scalar::price);
    let return_url = o.optional("returnUrl", scalar::web_address);
    Some(ProcessInput { checkout, token: Private(token?), expected_total: expected_total?, return_url })
}

/// `POST /checkout/session/{id}/resume` says nothing.
pub fn nothing(_: &mut Object<'_, '_>) -> Option<()> {
    Some(())
}
