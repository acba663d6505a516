//! Reads the wall clock; no other module does.

use firewatch_domain::EventTime;

/// Returns the current time.
#[expect(clippy::disallowed_methods, reason = "the shell lends its clock to everything below")]
pub fn now() -> EventTime {
    EventTime::from_millis(jiff::Timestamp::now().as_millisecond())
}
