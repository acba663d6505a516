//! Parses JSON into a type, or returns a rejection with the path of the field and the reason.

use firewatch_domain::RejectionCode as Code;
use serde::Deserialize;
use serde_path_to_error::Segment;

use crate::json_values::{Items, OneOrMany};
use crate::{MAX_PAYLOAD_BYTES, MAX_RECORD_BYTES, Rejection, Result};

const RECORD_HINT: &str = "counts are integers from 0, ids are strings, times RFC 3339 strings";
const PAYLOAD_HINT: &str = "give the payload as the platform sends it";

/// Parses a record of our own schema: one JSON object.
pub(crate) fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    let text = text(bytes, MAX_RECORD_BYTES)?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Rejection::new(
            Code::MalformedJson,
            "the record does not start with `{`; give one JSON object",
        ));
    }
    serde_json::from_str(text).map_err(|_| explain::<T>(text, RECORD_HINT))
}

/// Parses a platform payload: one JSON object, or an array of objects.
pub(crate) fn payload<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<OneOrMany<T>> {
    let text = text(bytes, MAX_PAYLOAD_BYTES)?;
    match text.trim_ascii_start().as_bytes().first() {
        Some(b'{') => serde_json::from_str(text)
            .map(|one| OneOrMany::One(Box::new(one)))
            .map_err(|_| explain_payload::<T>(text)),
        Some(b'[') => {
            serde_json::from_str(text).map(OneOrMany::Many).map_err(|_| explain_payload::<Items<T>>(text))
        }
        _ => Err(Rejection::new(
            Code::MalformedJson,
            "the payload starts with neither `{` nor `[`; give it as the platform sends it",
        )),
    }
}

/// Parses a platform payload that must be a single object.
pub(crate) fn one<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    match payload(bytes)? {
        OneOrMany::One(one) => Ok(*one),
        OneOrMany::Many(_) => Err(Rejection::new(Code::UnknownPayload, "a list; give one payload at a time")),
    }
}

fn text(bytes: &[u8], max_bytes: usize) -> Result<&str> {
    if bytes.is_empty() {
        return Err(Rejection::new(Code::Empty, "the record has no bytes; send no tombstones to this topic"));
    }
    if bytes.len() > max_bytes {
        let detail = format!("the record has {} bytes; the maximum is {max_bytes}", bytes.len());
        return Err(Rejection::new(Code::TooLarge, detail));
    }
    if is_utf32(bytes) {
        return Err(Rejection::new(Code::NotUtf8, "the text is UTF-32; encode it as UTF-8"));
    }
    if is_utf16(bytes) {
        return Err(Rejection::new(Code::NotUtf8, "the text is UTF-16; encode it as UTF-8"));
    }
    // Some programs begin a file with a byte order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|e| {
        Rejection::new(
            Code::NotUtf8,
            format!("byte {} is not UTF-8; encode records as UTF-8", e.valid_up_to()),
        )
    })
}

/// Returns whether a text is in UTF-16: it begins with its byte order mark, or every other byte is 0.
fn is_utf16(bytes: &[u8]) -> bool {
    matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, b'{' | b'[', ..] | [b'{' | b'[', 0, ..])
}

/// Returns whether a text is in UTF-32: it begins with its byte order mark, or with a character of four bytes.
fn is_utf32(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0xff, 0xfe, 0, 0, ..]
            | [0, 0, 0xfe, 0xff, ..]
            | [0, 0, 0, b'{' | b'[', ..]
            | [b'{' | b'[', 0, 0, 0, ..]
    )
}

/// Like [`explain`], with the field as a pointer.
fn explain_payload<'a, T: Deserialize<'a>>(text: &'a str) -> Rejection {
    let parser = &mut serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(parser) {
        Err(e) if e.inner().is_data() => at_field(&e),
        _ => explain::<T>(text, PAYLOAD_HINT),
    }
}

/// Returns the rejection for a field of the wrong type, which it names by its pointer.
pub(crate) fn at_field(error: &serde_path_to_error::Error<serde_json::Error>) -> Rejection {
    let mut pointer = String::new();
    for segment in error.path() {
        pointer.push_str(&match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { .. } | Segment::Unknown => String::new(),
        });
    }
    Rejection::from_json(error.inner(), &pointer, PAYLOAD_HINT)
}

/// Parses a failed text again with path tracking, which is slower, to find the field.
fn explain<'a, T: Deserialize<'a>>(text: &'a str, remedy: &str) -> Rejection {
    let parser = &mut serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(parser) {
        Err(e) => Rejection::from_json(e.inner(), &e.path().to_string(), remedy),
        Ok(_) => Rejection::new(
            Code::MalformedJson,
            "more text follows the object; give one JSON object per record",
        ),
    }
}
