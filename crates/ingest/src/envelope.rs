//! Takes payloads out of the envelopes in which tools write them to a raw topic: Kafka Connect's JSON with schemas,
//! which is its default, and CloudEvents in structured mode.

use std::borrow::Cow;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::decode_output::{not_relevant, unknown_payload};
use crate::{MAX_PAYLOAD_BYTES, Result};

/// Names that an envelope has. Most payloads have none of them.
static MARKS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| ["\"schema\"", "\"specversion\""].map(Finder::new));

#[derive(Debug, Deserialize)]
struct Envelope<'a> {
    /// Fields of Kafka Connect. The schema is present, and `null` for content without one.
    #[serde(borrow, default, deserialize_with = "present")]
    schema: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    /// Fields of CloudEvents.
    #[serde(borrow)]
    specversion: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    data_base64: Option<String>,
}

/// The part of a schema of Kafka Connect that says how its content is written.
#[derive(Debug, Default, Deserialize)]
struct Schema {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Reads a field that may be `null`, which counts as present.
fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(
    from: D,
) -> std::result::Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// What an envelope holds.
pub(crate) struct Content<'a> {
    /// The name of its field.
    pub field: &'static str,
    pub payload: Cow<'a, [u8]>,
}

/// Returns the content of an envelope; `None` for what is none.
pub(crate) fn content(payload: &[u8]) -> Option<Result<Content<'_>>> {
    let may_be_one = MARKS.iter().any(|mark| mark.find(payload).is_some());
    if !may_be_one || payload.len() > MAX_PAYLOAD_BYTES {
        return None;
    }
    let Envelope { schema, payload, specversion, data, data_base64 } =
        serde_json::from_slice(payload).ok()?;
    if specversion.is_some() {
        return Some(match (data_base64, data) {
            (Some(text), _) => match STANDARD.decode(text).map(Cow::Owned) {
                Ok(payload) => Ok(Content { field: "data_base64", payload }),
                Err(_) => Err(unknown_payload("a CloudEvent whose `data_base64` is not base64")),
            },
            (None, Some(data)) => Ok(Content { field: "data", payload: unquoted(data) }),
            (None, None) => Err(not_relevant("a CloudEvent without `data`")),
        });
    }
    let (schema, payload) = (schema?, payload?);
    if payload.get() == "null" {
        return Some(Err(not_relevant("a tombstone: a record of Kafka Connect without content")));
    }
    let Schema { kind } = serde_json::from_str(schema.get()).unwrap_or_default();
    if kind.as_deref() != Some("bytes") {
        return Some(Ok(Content { field: "payload", payload: unquoted(payload) }));
    }
    Some(match STANDARD.decode(unquoted(payload)).map(Cow::Owned) {
        Ok(payload) => Ok(Content { field: "payload", payload }),
        Err(_) => Err(unknown_payload("bytes of Kafka Connect whose `payload` is not base64")),
    })
}

/// Returns the content itself, which may be written as a JSON string.
fn unquoted(content: &RawValue) -> Cow<'_, [u8]> {
    match serde_json::from_str::<String>(content.get()) {
        Ok(text) => Cow::Owned(text.into_bytes()),
        Err(_) => Cow::Borrowed(content.get().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_envelope_holds() {
        let check = |envelope: &str, expected: Option<(&str, &str)>| {
            let found = content(envelope.as_bytes()).map(|found| found.unwrap());
            let found =
                found.map(|found| (found.field, String::from_utf8(found.payload.into_owned()).unwrap()));
            assert_eq!(found.as_ref().map(|(name, text)| (*name, text.as_str())), expected, "{envelope}");
        };
        check(r#"{"schema":{"type":"string"},"payload":"{\"a\":1}"}"#, Some(("payload", r#"{"a":1}"#)));
        check(r#"{"schema":null,"payload":{"a":1}}"#, Some(("payload", r#"{"a":1}"#)));
        check(r#"{"specversion":"1.0","id":"1","data":{"a":1}}"#, Some(("data", r#"{"a":1}"#)));
        check(r#"{"specversion":"1.0","data_base64":"eyJhIjoxfQ=="}"#, Some(("data_base64", r#"{"a":1}"#)));
        check(r#"{"payload":{"a":1}}"#, None);
        check(r#"{"schema":{"type":"bytes"},"payload":"eyJhIjoxfQ=="}"#, Some(("payload", r#"{"a":1}"#)));
        check(r#"{"schema":null}"#, None);
        check(r#"{"text":"\"schema\""}"#, None);
        check(r#"[{"schema":null,"payload":1}]"#, None);
        let fault = |envelope: &str| content(envelope.as_bytes()).unwrap().err().unwrap().detail;
        assert!(fault(r#"{"specversion":"1.0","data_base64":"-"}"#).contains("not base64"));
        assert!(fault(r#"{"specversion":"1.0"}"#).contains("without `data`"));
        assert!(fault(r#"{"schema":{"type":"bytes"},"payload":"-"}"#).contains("not base64"));
        assert!(fault(r#"{"schema":null,"payload":null}"#).contains("tombstone"));
    }
}
