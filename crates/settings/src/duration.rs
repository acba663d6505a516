//! Durations as settings have them: a whole number of `ms`, `s`, `m` or `h`.

use std::ops::RangeInclusive;

use firewatch_domain::Duration;
use serde_json::json;
use toml::Value;

use crate::Settings;

impl Settings {
    /// Returns a duration within a range of seconds. It is written as a whole number of `ms`, `s`, `m` or
    /// `h`.
    pub fn duration(&mut self, key: &str, default: Duration, seconds: RangeInclusive<f64>) -> Duration {
        let read = self.optional_duration(key, seconds);
        if let Some(schema) = self.key_schemas.last_mut().and_then(|key| key.schema.as_object_mut()) {
            schema.insert("default".into(), write_duration(default).into());
        }
        read.unwrap_or(default)
    }

    /// Returns a duration within a range of seconds, or `None` when the key is absent or rejected.
    pub fn optional_duration(&mut self, key: &str, seconds: RangeInclusive<f64>) -> Option<Duration> {
        let bound = |seconds: &f64| write_duration(Duration::from_millis((seconds * 1000.0) as i64));
        let range = format!("{} to {}", bound(seconds.start()), bound(seconds.end()));
        let pattern = "^[0-9]+ *(ms|s|m|h)$";
        self.record_key(key, json!({ "type": "string", "pattern": pattern, "x-range": range }));
        match self.read_value(key)? {
            Value::String(s) if parse_duration(&s).is_some_and(|d| seconds.contains(&d.as_secs())) => {
                parse_duration(&s)
            }
            other => {
                let range = format!(
                    "a duration such as \"30s\" or \"5m\", from {} to {} seconds",
                    seconds.start(),
                    seconds.end()
                );
                self.reject(key, &other, &range, None)
            }
        }
    }
}

/// Parses a duration such as `30s`: a whole number of `ms`, `s`, `m` or `h`. Returns `None` for anything
/// else.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().ok()?;
    let millis: i64 = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// Writes a duration as settings have it: a whole number of the largest unit that fits.
fn write_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let unit = units.into_iter().find(|(_, size)| ms != 0 && ms % size == 0);
    unit.map_or_else(|| format!("{ms}ms"), |(unit, size)| format!("{}{unit}", ms / size))
}
