//! Conversion of scalars that JSON lacks: bytes and times.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::ser::{Error as _, Serializer};
use serde_json::Value;

use crate::WireError;

/// Encodes bytes as base64.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Writes Unix nanoseconds as RFC 3339, with milliseconds as in our records, or more digits if needed.
pub fn time<S: Serializer>(nanos: i128, to: S) -> Result<S::Ok, S::Error> {
    let time = Timestamp::from_nanosecond(nanos);
    let time = time.map_err(|_| S::Error::custom("the time is not between the years -9999 and 9999"))?;
    match nanos % 1_000_000 {
        0 => to.collect_str(&format_args!("{time:.3}")),
        _ => to.collect_str(&time),
    }
}

/// Parses an RFC 3339 time into Unix milliseconds.
pub fn millis(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// Returns the error for a value that does not fit the schema. It names the type, not the value.
pub fn unfit(value: &Value) -> WireError {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    WireError::new(format!("{kind} does not fit the schema"))
}
