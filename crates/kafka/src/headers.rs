//! Headers of the records that firewatch writes: CloudEvents attributes in binary mode, and the trace
//! context.
//!
//! Sources: CloudEvents Kafka protocol binding 1.0.2; W3C Trace Context.

use rdkafka::Message;
use rdkafka::message::{Header, Headers, OwnedHeaders};

use firewatch_domain::{Event, EventTime};
use firewatch_engine::{Effect, Input, Stream};
use firewatch_wire::Format;

/// Name and value of a header.
pub(crate) type HeaderPair = (&'static str, String);

/// Returns the headers of an effect in a format; `traceparent` is that of the record that caused it.
pub(crate) fn effect_headers(effect: &Effect, format: Format, traceparent: Option<&str>) -> Vec<HeaderPair> {
    let mut headers = vec![
        ("content-type", format.media_type().to_owned()),
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", effect.id().to_owned()),
        ("ce_source", "/firewatch".to_owned()),
        ("ce_type", format!("firewatch.{}.v1", effect.kind())),
    ];
    if let Some(at) = effect.at() {
        headers.push(("ce_time", at.to_string()));
    }
    if let Some(subject) = effect.key().and_then(|k| std::str::from_utf8(k).ok()) {
        headers.push(("ce_subject", subject.to_owned()));
    }
    if let Some(parent) = effect.trace().or(traceparent) {
        headers.push(("traceparent", parent.to_owned()));
    }
    headers
}

/// Returns the headers of an event decoded from a source's payload; `traceparent` is that of the payload.
pub(crate) fn event_headers(
    event: &Event,
    source: &str,
    format: Format,
    traceparent: Option<&str>,
) -> Vec<HeaderPair> {
    let mut headers = vec![
        ("content-type", format.media_type().to_owned()),
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", format!("{}/{}", event.conversation, event.id)),
        ("ce_source", format!("/firewatch/ingest/{source}")),
        ("ce_type", "firewatch.event.v1".to_owned()),
        ("ce_time", event.at.to_string()),
        ("ce_subject", event.conversation.clone()),
    ];
    headers.extend(traceparent.map(|parent| ("traceparent", parent.to_owned())));
    headers
}

pub(crate) fn to_kafka_headers(headers: &[HeaderPair]) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |all, (key, value)| {
        all.insert(Header { key, value: Some(value.as_bytes()) })
    })
}

/// Returns the `traceparent` of a record, if it has one.
pub(crate) fn traceparent(headers: Option<&impl Headers>) -> Option<String> {
    let header = headers?.iter().find(|h| h.key.eq_ignore_ascii_case("traceparent"))?;
    let value = std::str::from_utf8(header.value?).ok()?;
    // Version 00 has 2 + 32 + 16 + 2 hexadecimal digits and dashes; a value longer than 128 bytes is not
    // forwarded.
    (value.len() <= 128).then(|| value.to_owned())
}

/// Returns a record as the engine reads it. `trace` is its `traceparent`; `now` stands in for a missing
/// timestamp.
pub(crate) fn to_input<'a>(
    stream: Stream,
    record: &'a impl Message,
    trace: Option<&'a str>,
    now: impl FnOnce() -> EventTime,
) -> Input<'a> {
    Input {
        stream,
        topic: record.topic(),
        partition: u32::try_from(record.partition()).unwrap_or_default(),
        offset: record.offset(),
        arrival: record.timestamp().to_millis().map_or_else(now, EventTime::from_millis),
        key: record.key(),
        trace,
        value: record.payload().unwrap_or_default(),
    }
}
