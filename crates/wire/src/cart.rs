use crate::read::{Object, Value};
use crate::say::Say;
use crate::scalar::{self, At, MoneyBody, Show};
use crate::totals::{TotalsBody, discount};
use app::{AddItem, CartView, MergeCart, OpenCart, Operation};
use domain::cart::{Cart, CartStatus, Item, Metadata, Owner, Strategy, Warning};
use domain::ids::{BookId, CartId, EditionId, ItemId};
use domain::limits::{CART_ITEMS_MAX, METADATA_ENTRIES_MAX, METADATA_KEY_MAX, METADATA_VALUE_MAX, OPERATIONS_MAX};
use domain::money::Money;
use domain::pricing::{Quote, QuotedLine};
use domain::quantity::Quantity;
use domain::text::Text;
use serde::Serialize;
use std::fmt::{self, Display};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CartBody<'a> {
    id: Show<CartId>,
    owner: OwnerBody<'a>,
    status: &'static str,
    currency: &'static str,
    version: u64,
    items: Vec<ItemBody<'a>>,
    coupon_codes: Vec<&'a str>,
    totals: TotalsBody<'a>,
    warnings: Vec<WarningBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<MetadataBody<'a>>,
    created_at: At,
    updated_at: At,
    expires_at: At,
}

impl<'a> From<&'a CartView> for CartBody<'a> {
    fn from(view: &'a CartView) -> Self {
        let cart = &*view.cart;
        Self {
            id: Show(cart.id),
            owner: (&cart.owner).into(),
            status: match cart.status() {
                CartStatus::Active => "active",
                CartStatus::Checkout => "checkout",
                CartStatus::Converted => "converted",
            },
            currency: cart.currency.code(),
            version: cart.version.0,
            items: items(cart, &view.quote),
            coupon_codes: cart.coupons.iter().map(|c| c.as_str()).collect(),
            totals: (&view.quote).into(),
            warnings: view.warnings.iter().map(WarningBody::from).collect(),
            note: cart.note.as_ref().map(|n| n.as_str()),
            metadata: (!cart.metadata.is_empty()).then_some(MetadataBody(&cart.metadata)),
            created_at: At(cart.created_at),
            updated_at: At(cart.updated_at),
            expires_at: At(cart.expires_at),
        }
    }
}

#[derive(Debug, Serialize)]
struct OwnerBody<'a> {
    kind: &'static str,
    id: Show<OwnerId<'a>>,
}

#[derive(Debug)]
struct OwnerId<'a>(&'a Owner);

impl Display for OwnerId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Owner::Guest(session) => session.fmt(f),
            Owner::Customer(customer) => customer.fmt(f),
        }
    }
}

impl<'a> From<&'a Owner> for OwnerBody<'a> {
    fn from(owner: &'a Owner) -> Self {
        let kind = match owner {
            Owner::Guest(_) => "guest",
            Owner::Customer(_) => "customer",
        };
        Self { kind, id: Show(OwnerId(owner)) }
    }
}

#[derive(Debug)]
struct MetadataBody<'a>(&'a Metadata);

impl Serialize for MetadataBody<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(k, v)| (k.as_str(), v.as_str())))
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemBody<'a> {
    id: Show<ItemId>,
    product_id: Show<BookId>,
    variant_id: Show<EditionId>,
    sku: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<&'a str>,
    quantity: u32,
    unit_price: MoneyBody,
    list_price: MoneyBody,
    line_total: MoneyBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<MoneyBody>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gift: bool,
    available_quantity: u32,
    added_at: At,
    updated_at: At,
}

/// Items with what the quote says of them. The quote's lines are in the order of the items, without those
/// that cannot be sold: these are shown at the price last seen, as none available and worth nothing. Gifts that were
/// added come last.
fn items<'a>(cart: &'a Cart, quote: &'a Quote) -> Vec<ItemBody<'a>> {
    let mut lines = quote.lines.iter().peekable();
    let mut items: Vec<_> = cart.items.iter().map(|item| item_body(item, lines.next_if(|l| l.item == item.id))).collect();
    items.extend(lines.map(|gift| gift_body(gift, cart)));
    items
}

/// A gift is not in the cart: it is there as long as its promotion applies to what is.
fn gift_body<'a>(line: &'a QuotedLine, cart: &Cart) -> ItemBody<'a> {
    ItemBody {
        id: Show(line.item),
        product_id: Show(line.book),
        variant_id: Show(line.edition),
        sku: line.sku.as_str(),
        title: line.title.as_str(),
        image_url: line.image_url.as_ref().map(|url| url.as_str()),
        quantity: line.quantity.get(),
        unit_price: MoneyBody(line.unit_price),
        list_price: MoneyBody(line.list_price),
        line_total: MoneyBody(line.total),
        discount: discount(line),
        gift: line.gift,
        available_quantity: line.available,
        added_at: At(cart.updated_at),
        updated_at: At(cart.updated_at),
    }
}

fn item_body<'a>(item: &'a Item, line: Option<&'a QuotedLine>) -> ItemBody<'a> {
    ItemBody {
        id: Show(item.id),
        product_id: Show(item.book),
        variant_id: Show(item.edition),
        sku: line.map_or("", |l| l.sku.as_str()),
        title: line.map_or("", |l| l.title.as_str()),
        image_url: line.and_then(|l| l.image_url.as_ref()).map(|url| url.as_str()),
        quantity: item.quantity.get(),
        unit_price: MoneyBody(line.map_or(item.seen_price, |l| l.unit_price)),
        list_price: MoneyBody(line.map_or(item.seen_price, |l| l.list_price)),
        line_total: MoneyBody(line.map_or(Money::zero(item.seen_price.currency()), |l| l.total)),
        discount: line.and_then(discount),
        gift: false,
        available_quantity: line.map_or(0, |l| l.available),
        added_at: At(item.added_at),
        updated_at: At(item.updated_at),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WarningBody<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_id: Option<Show<ItemId>>,
    detail: Show<Say<'a, Warning>>,
}

impl<'a> From<&'a Warning> for WarningBody<'a> {
    fn from(warning: &'a Warning) -> Self {
        let (code, item) = match warning {
            Warning::PriceChanged { item, .. } => ("PRICE_CHANGED", Some(*item)),
            Warning::LowStock { item, .. } => ("LOW_STOCK", Some(*item)),
            Warning::Unavailable { item } => ("UNAVAILABLE", Some(*item)),
            Warning::CouponNotApplicable(_) => ("COUPON_NOT_APPLICABLE", None),
        };
        Self { code, item_id: item.map(Show), detail: Show(Say(warning)) }
    }
}

/// `POST /cart`.
pub fn open_cart(o: &mut Object<'_, '_>) -> Option<OpenCart> {
    let currency = o.optional("currency", scalar::currency);
    let items = o.optional("items", add_items);
    let coupons = o.optional("couponCodes", scalar::coupon_codes);
    Some(OpenCart { currency, items: items.unwrap_or_default(), coupons: coupons.unwrap_or_default() })
}

pub(crate) fn add_items(value: Value<'_, '_>) -> Option<Vec<AddItem>> {
    value.list(CART_ITEMS_MAX, "CART_FULL", |v| v.object(add_item))
}

/// `POST /cart/{id}/items`.
pub fn add_item(o: &mut Object<'_, '_>) -> Option<AddItem> {
    let product = o.required("productId", scalar::book_id);
    let variant = o.optional("variantId", scalar::edition_id);
    let quantity = o.required("quantity", scalar::quantity);
    Some(AddItem { product: product?, variant, quantity: quantity? })
}

/// `PATCH /cart/{id}/items/{itemId}`: 0 removes.
pub fn set_quantity(o: &mut Object<'_, '_>) -> Option<Option<Quantity>> {
    o.required("quantity", scalar::quantity_or_zero)
}

/// `PATCH /cart/{id}`: what replaces the whole first, then the operations in their order.
pub fn change_cart(o: &mut Object<'_, '_>) -> Option<Vec<Operation>> {
    let mut changes = Vec::new();
    changes.extend(o.optional("currency", scalar::currency).map(Operation::Currency));
    changes.extend(o.optional("couponCodes", scalar::coupon_codes).map(Operation::Coupons));
    changes.extend(o.clearable("note", scalar::block).map(Operation::Note));
    changes.extend(o.clearable("metadata", metadata).map(|m| Operation::Metadata(m.unwrap_or_default())));
    let room = OPERATIONS_MAX - changes.len();
    changes.extend(o.optional("operations", |v| v.list(room, "OPERATIONS_TOO_MANY", |v| v.object(operation))).unwrap_or_default());
    Some(changes)
}

fn operation(o: &mut Object<'_, '_>) -> Option<Operation> {
    let op = o.required("op", |v| {
        let known = |text: &str| ["add", "set", "remove", "clear"].into_iter().find(|op| *op == text);
        v.parsed(known, "add, set, remove or clear")
    })?;
    match op {
        "add" => add_item(o).map(Operation::Add),
        "set" => {
            let item = o.required("itemId", scalar::item_id);
            let quantity = o.required("quantity", scalar::quantity_or_zero);
            Some(Operation::Set { item: item?, quantity: quantity? })
        }
        "remove" => Some(Operation::Set { item: o.required("itemId", scalar::item_id)?, quantity: None }),
        _ => Some(Operation::Clear),
    }
}

fn metadata(value: Value<'_, '_>) -> Option<Metadata> {
    let entries = value.entries()?;
    if let Some((_, v)) = entries.get(METADATA_ENTRIES_MAX) {
        return v.wrong("TOO_MANY", format!("At most {METADATA_ENTRIES_MAX} entries are allowed."));
    }
    let entry = |(name, v): (std::borrow::Cow<'_, str>, Value<'_, '_>)| {
        let Some(name) = Text::<METADATA_KEY_MAX>::parse(&name) else {
            return v.wrong("INVALID", format!("A key must have 1 to {METADATA_KEY_MAX} characters without control characters."));
        };
        Some((name, scalar::block::<METADATA_VALUE_MAX>(v)?))
    };
    entries.into_iter().map(entry).collect()
}

/// `POST /cart/{id}/merge`.
pub fn merge_cart(o: &mut Object<'_, '_>) -> Option<MergeCart> {
    let token =
        o.required("sourceSessionToken", |v| v.parsed(|text| (1..=512).contains(&text.len()).then(|| text.to_owned()), "a session token"));
    let strategy = o.optional("strategy", |v| v.parsed(Strategy::parse, "sum, max, source or target"));
    Some(MergeCart { source_token: token?, strategy: strategy.unwrap_or(Strategy::Sum), dry_run: false })
}
