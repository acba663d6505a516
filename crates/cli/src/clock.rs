//! The one place that reads the wall clock.

use firewatch_domain::EventTime;

/// The present.
#[expect(clippy::disallowed_methods, reason = "the shell lends its clock to everything below")]
pub fn now() -> EventTime {
    EventTime::from_millis(jiff::Timestamp::now().as_millisecond())
}
