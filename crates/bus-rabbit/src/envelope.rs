//! Around the body of a message: CloudEvents 1.0 in the AMQP binding. Out go binary ones, whose attributes are
//! headers named `cloudEvents_…` and whose body is the data alone. Both kinds come in.

use crate::topology::{table, text};
use domain::event::Outgoing;
use domain::trace::TraceContext;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use wire::At;

/// Kept on disk, also where the queue could do without.
const PERSISTENT: u8 = 2;
const JSON: &str = "application/json";
/// As the binding prefers it; then the spellings others use.
const PREFIXES: [&str; 4] = ["cloudEvents_", "cloudEvents:", "ce_", "ce-"];

/// The envelope of an event of this shop.
pub fn properties(event: &Outgoing, source: &str) -> BasicProperties {
    let mut headers = table([
        ("cloudEvents_specversion", text("1.0")),
        ("cloudEvents_id", text(&event.id())),
        ("cloudEvents_source", text(source)),
        ("cloudEvents_type", text(event.event.name())),
        ("cloudEvents_subject", text(&event.subject.to_string())),
        ("cloudEvents_time", text(&At(event.at).to_string())),
        ("cloudEvents_sequence", text(&event.sequence.to_string())),
    ]);
    for (name, value) in event.trace.iter().flat_map(TraceContext::fields) {
        headers.insert(name.into(), text(value));
        headers.insert(format!("{}{name}", PREFIXES[0]).into(), text(value));
    }
    BasicProperties::default()
        .with_content_type(JSON.into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(event.id().as_str().into())
        .with_type(event.event.name().into())
        .with_timestamp(u64::try_from(event.at.micros() / 1_000_000).unwrap_or_default())
        .with_headers(headers)
}

/// What is on the envelope of a message, and what is in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    pub id: String,
    pub source: String,
    /// The CloudEvents `type`.
    pub name: String,
    /// A number, if the sender counts.
    pub sequence: Option<String>,
    pub trace: Option<TraceContext>,
    pub body: Cow<'a, [u8]>,
}

impl<'a> Envelope<'a> {
    /// # Errors
    /// What is missing.
    pub fn open(properties: &BasicProperties, body: &'a [u8]) -> Result<Self, String> {
        let content = properties.content_type().as_ref().map_or("", |t| t.as_str());
        if content.starts_with("application/cloudevents+json") {
            return Self::structured(body);
        }
        let attribute = |name| properties.headers().as_ref().and_then(|headers| attribute(headers, name));
        let required = |name| attribute(name).ok_or_else(|| format!("there is no header {}{name}", PREFIXES[0]));
        let (id, source, name) = (required("id")?, required("source")?, required("type")?);
        let trace = properties.headers().as_ref().and_then(trace_of);
        Ok(Self { id, source, name, sequence: attribute("sequence"), trace, body: Cow::Borrowed(body) })
    }

    fn structured(body: &'a [u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Event<'a> {
            id: String,
            source: String,
            #[serde(rename = "type")]
            name: String,
            sequence: Option<Sequence>,
            traceparent: Option<String>,
            tracestate: Option<String>,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Sequence {
            Number(u64),
            Text(String),
        }
        let Event { id, source, name, sequence, traceparent, tracestate, data } =
            serde_json::from_slice(body).map_err(|e| e.to_string())?;
        let sequence = sequence.map(|sequence| match sequence {
            Sequence::Number(n) => n.to_string(),
            Sequence::Text(text) => text,
        });
        let trace = traceparent.and_then(|parent| TraceContext::parse(&parent, tracestate.as_deref()));
        Ok(Self { id, source, name, sequence, trace, body: Cow::Borrowed(data.map_or("{}", RawValue::get).as_bytes()) })
    }
}

/// As whoever sent the message last says; else as whoever wrote the event does.
fn trace_of(headers: &FieldTable) -> Option<TraceContext> {
    let sent = |name| headers.inner().get(name).and_then(written);
    let of_message = sent("traceparent").and_then(|parent| TraceContext::parse(&parent, sent("tracestate").as_deref()));
    of_message.or_else(|| TraceContext::parse(&attribute(headers, "traceparent")?, attribute(headers, "tracestate").as_deref()))
}

fn attribute(headers: &FieldTable, name: &str) -> Option<String> {
    PREFIXES.iter().find_map(|prefix| headers.inner().get(format!("{prefix}{name}").as_str())).and_then(written)
}

fn written(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        AMQPValue::ShortShortInt(n) => Some(n.to_string()),
        AMQPValue::ShortShortUInt(n) => Some(n.to_string()),
        AMQPValue::ShortInt(n) => Some(n.to_string()),
        AMQPValue::ShortUInt(n) => Some(n.to_string()),
        AMQPValue::LongInt(n) => Some(n.to_string()),
        AMQPValue::LongUInt(n) => Some(n.to_string()),
        AMQPValue::LongLongInt(n) => Some(n.to_string()),
        _ => None,
    }
}
