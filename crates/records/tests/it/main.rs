//! What was once written is read for ever: every file of `golden/` is a record some version wrote.

mod fixtures;
mod quotes;
mod rules;

use domain::cart::Cart;
use domain::event::{Event, Outgoing, Subject};
use domain::ids::OrderId;
use records::Damaged;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1").join(name)
}

/// The records of a file, one a line.
fn lines(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(golden(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    text.lines().map(str::to_owned).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("two hexadecimal digits")).collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("JSON")
}

/// Each value is what its golden line says, and the line is what it is written as.
fn agrees<T: PartialEq + Debug>(name: &str, values: &[T], encode: fn(&T) -> Vec<u8>, decode: fn(&[u8]) -> Result<T, Damaged>) {
    let lines = lines(name);
    assert_eq!(lines.len(), values.len(), "{name}");
    for (line, value) in lines.iter().zip(values) {
        assert_eq!(&decode(line.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}")), value);
        assert_eq!(&text(encode(value)), line, "{name}");
    }
}

/// Each value is what its line means, though it is written differently by now; and what is written now reads as the same.
fn still_reads<T: PartialEq + Debug>(name: &str, values: &[T], encode: fn(&T) -> Vec<u8>, decode: fn(&[u8]) -> Result<T, Damaged>) {
    let lines = lines(name);
    assert_eq!(lines.len(), values.len(), "{name}");
    for (line, value) in lines.iter().zip(values) {
        assert_eq!(&decode(line.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}")), value);
        assert_eq!(&decode(&encode(value)).unwrap_or_else(|e| panic!("{name}: {e}")), value);
    }
}

#[test]
fn carts_of_version_1() {
    let lines = lines("cart.hex");
    let carts = fixtures::carts();
    assert_eq!(lines.len(), carts.len());
    for (line, cart) in lines.iter().zip(&carts) {
        assert_eq!(&records::decode_cart(&unhex(line)).expect("a cart"), cart);
        assert_eq!(&hex(&records::encode_cart(cart)), line);
    }
}

/// The pieces of a cart on one line: head, details, items, marks.
fn pieces(cart: &Cart) -> String {
    let short = [records::encode_cart_head(cart), records::encode_cart_details(cart)];
    let items = cart.items.iter().map(records::encode_cart_item);
    let marks = cart.marks.iter().map(records::encode_cart_mark);
    short.into_iter().chain(items).chain(marks).map(|piece| hex(&piece)).collect::<Vec<_>>().join(" ")
}

#[test]
fn pieces_of_carts_of_version_1() {
    let lines = lines("cart_pieces.hex");
    let carts = fixtures::carts();
    assert_eq!(lines.len(), carts.len());
    for (line, cart) in lines.iter().zip(&carts) {
        let stored: Vec<_> = line.split(' ').map(unhex).collect();
        let (items, marks) = stored[2..].split_at(cart.items.len());
        let items = items.iter().map(|item| records::decode_cart_item(item).expect("an item")).collect();
        let marks = marks.iter().map(|mark| records::decode_cart_mark(mark).expect("a mark")).collect();
        assert_eq!(&records::decode_cart_pieces(&stored[0], &stored[1], items, marks).expect("a cart"), cart);
        assert_eq!(&pieces(cart), line);
    }
}

#[test]
fn json_records_of_version_1() {
    still_reads("checkout.json", &fixtures::checkouts(), records::encode_checkout, records::decode_checkout);
    still_reads("recorded.json", &fixtures::history(), records::encode_recorded, records::decode_recorded);
    still_reads("order.json", &[fixtures::order()], records::encode_order, records::decode_order);
    agrees("book.json", &fixtures::books(), records::encode_book, records::decode_book);
    agrees("heading.json", &fixtures::headings(), records::encode_heading, records::decode_heading);
    agrees("session.json", &fixtures::sessions(), records::encode_session, records::decode_session);
    still_reads("outgoing.json", &fixtures::outgoing(), records::encode_outgoing, records::decode_outgoing);
}

/// What has grown since: fields and events that the first records do not have.
#[test]
fn json_records_as_they_have_grown() {
    still_reads("checkout_challenged.json", &[fixtures::challenged_checkout()], records::encode_checkout, records::decode_checkout);
    agrees("recorded_refunds.json", &fixtures::later_history(), records::encode_recorded, records::decode_recorded);
    still_reads("order_refunded.json", &[fixtures::refunded_order()], records::encode_order, records::decode_order);
    agrees("checkout_promoted.json", &[fixtures::promoted_checkout()], records::encode_checkout, records::decode_checkout);
    agrees("checkout_assessed.json", &fixtures::assessed_checkouts(), records::encode_checkout, records::decode_checkout);
    agrees("book_heavy.json", &[fixtures::heavy_book()], records::encode_book, records::decode_book);
    agrees("recorded_refused.json", &fixtures::refused_history(), records::encode_recorded, records::decode_recorded);
    still_reads("order_refused.json", &[fixtures::refused_order()], records::encode_order, records::decode_order);
    agrees("outgoing_refused.json", &fixtures::refused_outgoing(), records::encode_outgoing, records::decode_outgoing);
    agrees("outgoing_traced.json", &fixtures::traced_outgoing(), records::encode_outgoing, records::decode_outgoing);
    agrees("rule.json", &rules::kept(), records::encode_kept, records::decode_kept);
    agrees("rule_audit.json", &rules::audited(), records::encode_audited, records::decode_audited);
    agrees("price_line.json", &rules::price_lines(), records::encode_price_line, records::decode_price_line);
    agrees("outgoing_refunds.json", &fixtures::later_outgoing(), records::encode_outgoing, records::decode_outgoing);
}

/// Only for a format that has no file yet: what exists is never written again.
#[test]
#[ignore = "writes the golden files of a new record"]
fn golden_files_are_written_once() {
    fn json<T>(values: &[T], encode: fn(&T) -> Vec<u8>) -> Vec<String> {
        values.iter().map(encode).map(text).collect()
    }
    for (name, lines) in [
        ("cart.hex", fixtures::carts().iter().map(records::encode_cart).map(|c| hex(&c)).collect()),
        ("cart_pieces.hex", fixtures::carts().iter().map(pieces).collect()),
        ("book.json", json(&fixtures::books(), records::encode_book)),
        ("heading.json", json(&fixtures::headings(), records::encode_heading)),
        ("session.json", json(&fixtures::sessions(), records::encode_session)),
        ("recorded_refunds.json", json(&fixtures::later_history(), records::encode_recorded)),
        ("outgoing_refunds.json", json(&fixtures::later_outgoing(), records::encode_outgoing)),
        ("rule.json", json(&rules::kept(), records::encode_kept)),
        ("rule_audit.json", json(&rules::audited(), records::encode_audited)),
        ("price_line.json", json(&rules::price_lines(), records::encode_price_line)),
        ("checkout_promoted.json", json(&[fixtures::promoted_checkout()], records::encode_checkout)),
        ("checkout_assessed.json", json(&fixtures::assessed_checkouts(), records::encode_checkout)),
        ("book_heavy.json", json(&[fixtures::heavy_book()], records::encode_book)),
        ("recorded_refused.json", json(&fixtures::refused_history(), records::encode_recorded)),
        ("outgoing_traced.json", json(&fixtures::traced_outgoing(), records::encode_outgoing)),
        ("outgoing_refused.json", json(&fixtures::refused_outgoing(), records::encode_outgoing)),
    ] {
        if !golden(name).exists() {
            std::fs::write(golden(name), lines.join("\n") + "\n").expect("a file");
        }
        assert_eq!(self::lines(name), lines, "{name}");
    }
}

#[test]
fn every_event_is_tagged_by_its_name() {
    let outgoing = fixtures::outgoing();
    for event in &outgoing {
        let json: serde_json::Value = serde_json::from_slice(&records::encode_outgoing(event)).expect("JSON");
        assert_eq!(json["v"], 1);
        assert_eq!(json["type"], event.event.name());
        assert_eq!(json["id"], event.id());
        assert_eq!(json["subject"], event.subject.to_string());
        assert_eq!(json["sequence"], event.sequence);
        assert_eq!(json["time"], event.at.micros());
    }
    for recorded in fixtures::history().into_iter().chain(fixtures::later_history()).chain(fixtures::refused_history()) {
        let json: serde_json::Value = serde_json::from_slice(&records::encode_recorded(&recorded)).expect("JSON");
        assert_eq!(json["type"], recorded.event.name());
        let event = Outgoing::new(Subject::Order(OrderId(7)), recorded.sequence, recorded.at, Event::Order(recorded.event.clone()));
        for trace in fixtures::traced_outgoing().into_iter().map(|traced| traced.trace).chain([None]) {
            let event = Outgoing { trace, ..event.clone() };
            let whole = [&records::encode_outgoing_head(&event), records::said(&records::encode_recorded(&recorded))].concat();
            assert_eq!(text(whole), text(records::encode_outgoing(&event)), "what an order tells is said as it is recorded");
        }
    }
    let mut names: Vec<_> = outgoing.iter().map(|e| e.event.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), outgoing.len(), "one golden line an event");
}

#[test]
fn a_newer_format_is_refused_and_said_to_be_newer() {
    let newer = |bytes: Vec<u8>| text(bytes).replacen("{\"v\":1,", "{\"v\":2,", 1).into_bytes();
    let mut cart = records::encode_cart(&fixtures::carts()[0]);
    cart[0] = 2;
    for (what, refused) in [
        ("cart", records::decode_cart(&cart).map(drop)),
        ("checkout", records::decode_checkout(&newer(records::encode_checkout(&fixtures::checkouts()[0]))).map(drop)),
        ("order event", records::decode_recorded(&newer(records::encode_recorded(&fixtures::history()[0]))).map(drop)),
        ("order", records::decode_order(&newer(records::encode_order(&fixtures::order()))).map(drop)),
        ("book", records::decode_book(&newer(records::encode_book(&fixtures::books()[0]))).map(drop)),
        ("heading", records::decode_heading(&newer(records::encode_heading(&fixtures::headings()[0]))).map(drop)),
        ("session", records::decode_session(&newer(records::encode_session(&fixtures::sessions()[0]))).map(drop)),
        ("rule", records::decode_kept(&newer(records::encode_kept(&rules::kept()[0]))).map(drop)),
        ("line of the audit", records::decode_audited(&newer(records::encode_audited(&rules::audited()[0]))).map(drop)),
        ("line of the price history", records::decode_price_line(&newer(records::encode_price_line(&rules::price_lines()[0]))).map(drop)),
        ("event", records::decode_outgoing(&newer(records::encode_outgoing(&fixtures::outgoing()[0]))).map(drop)),
    ] {
        let damaged = refused.expect_err("refused");
        assert_eq!(damaged.what, what);
        let message = damaged.to_string();
        let expected =
            format!("the stored {what} cannot be read: it has format 2, written by a newer version; this one reads up to format 1");
        assert_eq!(message, expected);
    }
}

#[test]
fn what_is_damaged_is_refused() {
    let cart = records::encode_cart(&fixtures::carts()[0]);
    let mut longer = cart.clone();
    longer.push(0);
    let mut zero = cart.clone();
    zero[0] = 0;
    for (bytes, said) in [
        (&cart[..cart.len() - 1], "end"),
        (&longer, "1 bytes follow its end"),
        (&zero, "there is no format 0"),
        (&[], "it is empty"),
        (&[1], "end"),
    ] {
        let message = records::decode_cart(bytes).expect_err("refused").to_string();
        assert!(message.contains(said), "{message}");
    }
    let session = text(records::encode_session(&fixtures::sessions()[0]));
    for (from, to, said) in [
        ("ses_", "cart_", "this is no SessionId"),
        ("{\"v\":1,", "{", "missing field `v`"),
        ("\"v\":1", "\"v\":0", "there is no format 0"),
        ("\"version\":", "\"versio\":", "missing field `version`"),
        ("}", "", "EOF"),
    ] {
        let wrong = session.replacen(from, to, 1);
        assert_ne!(wrong, session, "{from}");
        let message = records::decode_session(wrong.as_bytes()).expect_err(&wrong).to_string();
        assert!(message.contains(said), "{wrong}: {message}");
    }
}

#[test]
fn damage_is_told_without_telling_personal_data() {
    let checkout = text(records::encode_checkout(&fixtures::checkouts()[0]));
    let wrong = checkout.replace("ada@example.com", "ada_example.com");
    assert_ne!(wrong, checkout);
    let message = records::decode_checkout(wrong.as_bytes()).expect_err("no address").to_string();
    assert!(message.contains("this is no Email") && !message.contains("ada"), "{message}");
}

#[test]
fn an_event_of_another_kind_of_subject_is_refused() {
    let stock = fixtures::outgoing().into_iter().find(|e| matches!(e.event, Event::Stock(_))).expect("one of each");
    let wrong = Outgoing { event: Event::Session(domain::session::SessionEvent::Ended), ..stock };
    assert!(records::decode_outgoing(&records::encode_outgoing(&wrong)).is_err());
}
