//! What has no form of its own in JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use crate::Fault;

/// A number of 32 bits as it is written, and not as 64 bits would tell it: 0.1 is no 0.10000000149.
pub fn short(x: f32) -> Value {
    x.to_string().parse::<f64>().unwrap_or(f64::NAN).into()
}

pub fn base64(bytes: &[u8]) -> Value {
    STANDARD.encode(bytes).into()
}

/// A time so many `unit`s (in nanoseconds) after 1970, in RFC 3339.
pub fn time(n: i128, unit: i128) -> Result<Value, Fault> {
    let time = n.checked_mul(unit).and_then(|nanos| Timestamp::from_nanosecond(nanos).ok());
    time.map(|time| time.to_string().into())
        .ok_or_else(|| Fault::new("the time is not between the years -9999 and 9999"))
}

/// Milliseconds from 1970 to a time in RFC 3339.
pub fn millis(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// What a value is, without telling it.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
