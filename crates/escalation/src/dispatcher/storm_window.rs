//! The windows in which complaints are counted for storms: at least ten seconds, whatever the step of decisions.

use firewatch_domain::{Duration, EventTime};

use crate::Policy;

/// Minimum length of the windows in which complaints are counted.
pub(super) const STORM_STEP: Duration = Duration::from_secs(10);
/// Span over which a storm's recent members count.
pub(super) const RECENT: Duration = Duration::from_mins(5);

/// Returns the first end of a window after `from` that ends a storm window.
pub(super) fn window_end(from: EventTime, step: Duration) -> EventTime {
    let boundary = from.floor(STORM_STEP) + STORM_STEP;
    let steps = ((boundary - from).as_millis() + step.as_millis() - 1) / step.as_millis();
    from + Duration::from_millis(steps * step.as_millis())
}

/// Returns whether a window that ends now also ends a storm window.
pub(super) fn ends_storm_window(now: EventTime, step: Duration) -> bool {
    (now - step).floor(STORM_STEP) != now.floor(STORM_STEP)
}

/// Returns the number of storm windows over which recent members count.
pub(super) fn recent_windows(policy: &Policy) -> usize {
    (RECENT.as_millis() / policy.windows.step.as_millis().max(STORM_STEP.as_millis())).max(1) as usize
}
