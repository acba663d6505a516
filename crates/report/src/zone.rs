//! Local time for the days and hours of reports.

use firewatch_domain::{Duration, EventTime};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};
use thiserror::Error;

/// There is no time zone of this name.
#[derive(Debug, Error)]
#[error("{name:?}: unknown time zone; use a name such as America/New_York")]
pub struct UnknownZone {
    /// The name.
    pub name: String,
    #[source]
    cause: jiff::Error,
}

/// A named time zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Default for Zone {
    fn default() -> Self {
        Self { name: "UTC".into(), zone: TimeZone::UTC }
    }
}

impl Zone {
    /// Returns the zone with an IANA name such as `America/New_York`.
    ///
    /// # Errors
    /// When the name is unknown.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        let zone = TimeZone::get(name).map_err(|cause| UnknownZone { name: name.into(), cause })?;
        Ok(Self { name: name.into(), zone })
    }

    /// Returns the zone's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the local time as if it were UTC.
    #[must_use]
    pub fn wall_time(&self, at: EventTime) -> EventTime {
        let shift = Timestamp::from_millisecond(at.as_millis())
            .map_or(0, |instant| self.zone.to_offset(instant).seconds());
        at + Duration::from_secs(i64::from(shift))
    }

    /// Returns the local hour of the day, 0 to 23.
    #[must_use]
    pub fn hour(&self, at: EventTime) -> u32 {
        (self.wall_time(at).as_millis().rem_euclid(86_400_000) / 3_600_000) as u32
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_has_summer_time_and_half_hours() {
        let at = |text: &str| EventTime::parse(text).unwrap();
        let wall = |zone: &str, text: &str| Zone::named(zone).unwrap().wall_time(at(text)).to_string();
        assert_eq!(wall("America/New_York", "2026-01-10T03:00:00Z"), "2026-01-09T22:00:00.000Z");
        assert_eq!(wall("America/New_York", "2026-07-10T03:00:00Z"), "2026-07-09T23:00:00.000Z");
        assert_eq!(wall("Asia/Kolkata", "2026-07-10T20:00:00Z"), "2026-07-11T01:30:00.000Z");
        assert_eq!(Zone::default().hour(at("2026-07-10T20:59:59Z")), 20);
        let unknown = Zone::named("Mars/Olympus").unwrap_err().to_string();
        assert!(unknown.starts_with("\"Mars/Olympus\": unknown time zone"));
    }
}
