//! What other systems say: the bodies of messages, each read into the customer it is about and what it asks for.

use crate::read::{Object, Value};
use crate::{cart, scalar};
use app::{Bought, Named, Wish};
use domain::ids::{CustomerId, Sku};
use domain::limits::CART_ITEMS_MAX;

/// Whom a message is about, and what it wants.
pub type Said = (CustomerId, Wish);

/// What is read of messages of this type; nothing when nothing is known of it.
pub fn reader(name: &str) -> Option<fn(&mut Object<'_, '_>) -> Option<Said>> {
    match name {
        "cart.create" => Some(create),
        "cart.update" => Some(update),
        "cart.delete" => Some(delete),
        "order.placed" => Some(order_placed),
        _ => None,
    }
}

/// `cart.create`: as `POST /cart`, for a customer.
fn create(o: &mut Object<'_, '_>) -> Option<Said> {
    let customer = o.required("customerId", scalar::customer_id);
    let open = cart::open_cart(o);
    Some((customer?, Wish::Create(open?)))
}

/// `cart.update`: as `PATCH /cart/{id}`, on the cart the customer has.
fn update(o: &mut Object<'_, '_>) -> Option<Said> {
    let customer = o.required("customerId", scalar::customer_id);
    let if_match = o.optional("cartVersion", scalar::version);
    let operations = cart::change_cart(o);
    Some((customer?, Wish::Update { operations: operations?, if_match }))
}

/// `cart.delete`: as `DELETE /cart/{id}`.
fn delete(o: &mut Object<'_, '_>) -> Option<Said> {
    let customer = o.required("customerId", scalar::customer_id);
    let if_match = o.optional("cartVersion", scalar::version);
    Some((customer?, Wish::Delete { if_match }))
}

/// `order.placed` of another system, which says more than is read here.
fn order_placed(o: &mut Object<'_, '_>) -> Option<Said> {
    let customer = o.required("customerId", scalar::customer_id);
    let items = o.required("items", |v| v.list(CART_ITEMS_MAX, "TOO_MANY", bought));
    o.ignore_the_rest();
    Some((customer?, Wish::GiveUp(items?)))
}

fn bought(value: Value<'_, '_>) -> Option<Bought> {
    value.object(|o| {
        let what = match o.optional("variantId", scalar::edition_id) {
            Some(edition) => Some(Named::Edition(edition)),
            None => o.required("sku", |v| v.parsed(Sku::parse, "a SKU")).map(Named::Sku),
        };
        let quantity = o.required("quantity", scalar::quantity);
        o.ignore_the_rest();
        Some(Bought { what: what?, quantity: quantity? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Json, read};

    /// What becomes of a body: what is wanted of whom, or the fields that are wrong and how.
    fn told(name: &str, body: &str) -> String {
        let reader = reader(name).expect("a known type");
        match read(Some(Json::parse(body.as_bytes()).expect("JSON")), reader) {
            Ok((customer, wish)) => format!("{customer}: {wish:?}"),
            Err(invalid) => invalid.errors.iter().map(|e| format!("{} {}", e.field, e.code)).collect::<Vec<_>>().join(", "),
        }
    }

    #[test]
    fn a_message_says_what_is_wanted_or_what_is_wrong_with_it() {
        let (book, ed) = ("book_00000000000000000000000001", "ed_00000000000000000000000002");
        for (name, body, expected) in [
            ("cart.create", r#"{"customerId":"alice"}"#.to_owned(), "alice: Create(OpenCart { currency: None, items: [], coupons: [] })"),
            ("cart.create", r#"{"customerId":"a b","vip":true}"#.to_owned(), "customerId INVALID, vip UNKNOWN_FIELD"),
            (
                "cart.create",
                format!(r#"{{"items":[{{"productId":"{book}","quantity":0}}]}}"#),
                "customerId REQUIRED, items[0].quantity QUANTITY_INVALID",
            ),
            (
                "cart.update",
                r#"{"customerId":"alice","cartVersion":7,"operations":[{"op":"clear"}]}"#.to_owned(),
                "alice: Update { operations: [Clear], if_match: Some(Version(7)) }",
            ),
            (
                "cart.update",
                r#"{"customerId":"alice","cartVersion":-1,"operations":[{"op":"burn"}]}"#.to_owned(),
                "cartVersion INVALID, operations[0].op INVALID",
            ),
            ("cart.delete", r#"{"customerId":"alice"}"#.to_owned(), "alice: Delete { if_match: None }"),
            (
                "order.placed",
                format!(
                    r#"{{"customerId":"alice","orderId":9,"items":[{{"variantId":"{ed}","quantity":2,"price":1}},{{"sku":"A-1","quantity":1}}]}}"#
                ),
                "alice: GiveUp([Bought { what: Edition(ed_00000000000000000000000002), quantity: Quantity(2) }, Bought { what: Sku(A-1), quantity: Quantity(1) }])",
            ),
            ("order.placed", r#"{"customerId":"alice","items":[{"quantity":2}]}"#.to_owned(), "items[0].sku REQUIRED"),
        ] {
            assert_eq!(told(name, &body), expected, "{name} {body}");
        }
        assert!(reader("cart.created").is_none());
    }
}
