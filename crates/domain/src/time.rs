//! Points in event time and spans between them.
//!
//! The pure crates have no clock: a time is always an argument, and these are its types. Times are
//! milliseconds since 1970 UTC in memory and RFC 3339 on the wire.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Add, Sub};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z. It is RFC 3339 in UTC in JSON, and the plain
/// number in binary formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(i64);

/// A span of time in milliseconds; may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Duration(i64);

/// Error for text that is not an RFC 3339 time. It holds at most 40 characters of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeError(String);

impl EventTime {
    /// 2000-01-01T00:00:00Z. No platform is older, so an earlier time is an error.
    pub const EARLIEST: Self = Self(946_684_800_000);
    /// 9999-01-01T00:00:00Z: end of every stream, later than any record.
    pub const END: Self = Self(253_370_764_800_000);

    /// Creates a time from milliseconds since 1970 UTC.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns milliseconds since 1970 UTC.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Parses an RFC 3339 time with an offset. Fractions below a millisecond are truncated.
    ///
    /// # Errors
    /// When the text is not an RFC 3339 time; the error names it.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        text.parse::<Timestamp>().map(|t| Self(t.as_millisecond())).map_err(|_| TimeError(clip(text)))
    }

    /// Returns the start of the interval that contains this time. Intervals are `step` long and aligned to
    /// 1970.
    #[must_use]
    pub fn floor(self, step: Duration) -> Self {
        Self(self.0 - self.0.rem_euclid(step.0.max(1)))
    }

    /// Returns the earliest start of a `step`-long interval at or after this time.
    #[must_use]
    pub fn ceil(self, step: Duration) -> Self {
        let floor = self.floor(step);
        if floor == self { self } else { floor + step }
    }
}

impl Duration {
    /// A span of zero.
    pub const ZERO: Self = Self(0);

    /// Creates a span from milliseconds.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Creates a span from seconds.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Creates a span from minutes.
    #[must_use]
    pub const fn from_mins(mins: i64) -> Self {
        Self::from_secs(mins.saturating_mul(60))
    }

    /// Returns whole milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns seconds, with fraction.
    #[must_use]
    pub fn as_secs(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Returns minutes, with fraction.
    #[must_use]
    pub fn as_mins(self) -> f64 {
        self.as_secs() / 60.0
    }
}

impl Add<Duration> for EventTime {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Duration> for EventTime {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Sub for EventTime {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Duration {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Duration {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{} ms since 1970", self.0),
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0 / 1000;
        match secs.abs() {
            0..=119 => write!(f, "{secs} s"),
            120..=7199 => write!(f, "{} min", secs / 60),
            _ => write!(f, "{} h", secs / 3600),
        }
    }
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an RFC 3339 time such as 2026-03-10T14:05:00Z", self.0)
    }
}

impl std::error::Error for TimeError {}

impl Serialize for EventTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EventTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Self);
        }
        Self::parse(&Cow::<str>::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for EventTime {
    fn schema_name() -> Cow<'static, str> {
        "EventTime".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// Returns at most 40 characters of an invalid value, for messages.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_offsets_and_writes_utc_with_milliseconds() {
        let t = EventTime::parse("2026-03-10T16:05:00.1239+02:00").unwrap();
        assert_eq!(t.to_string(), "2026-03-10T14:05:00.123Z");
        assert!(EventTime::parse("yesterday").unwrap_err().to_string().contains("`yesterday`"));
    }

    #[test]
    fn slots_are_counted_from_1970_and_work_before_it() {
        let step = Duration::from_secs(30);
        assert_eq!(EventTime::from_millis(-1).floor(step), EventTime::from_millis(-30_000));
        assert_eq!(EventTime::from_millis(30_001).ceil(step), EventTime::from_millis(60_000));
        assert_eq!(EventTime::from_millis(60_000).ceil(step), EventTime::from_millis(60_000));
    }

    #[test]
    fn named_bounds_have_their_documented_values() {
        assert_eq!(EventTime::EARLIEST.to_string(), "2000-01-01T00:00:00.000Z");
        assert_eq!(EventTime::END.to_string(), "9999-01-01T00:00:00.000Z");
    }
}
