//! What has no form of its own in JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::ser::{Error as _, Serializer};
use serde_json::Value;

use crate::WireError;

pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Writes a time so many nanoseconds after 1970 in RFC 3339; to the millisecond, as our records have it, unless it is more
/// exact.
pub fn time<S: Serializer>(nanos: i128, to: S) -> Result<S::Ok, S::Error> {
    let time = Timestamp::from_nanosecond(nanos);
    let time = time.map_err(|_| S::Error::custom("the time is not between the years -9999 and 9999"))?;
    match nanos % 1_000_000 {
        0 => to.collect_str(&format_args!("{time:.3}")),
        _ => to.collect_str(&time),
    }
}

/// Milliseconds from 1970 to a time in RFC 3339.
pub fn millis(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// That a value does not fit, without telling it.
pub fn unfit(value: &Value) -> WireError {
    let kind = match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    WireError::new(format!("{kind} does not fit the schema"))
}
