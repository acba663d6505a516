//! Keys of the parts in which a brand's state is written.

use firewatch_domain::{EventTime, IncidentId};

/// Key of one part of a brand's state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatePartKey {
    /// How far the sources have come. It changes with every watermark.
    Clock,
    /// Everything that has no part of its own.
    Core,
    /// Usual volume. It changes hourly.
    Profile,
    /// Volume of the last two hours. It changes every five minutes.
    History,
    /// An incident.
    Incident(IncidentId),
    /// A pending signal, by time and by its place among those of one time.
    Pending(EventTime, String),
    /// A pending action, by its place among the windows, its time and its id.
    Action(EventTime, EventTime, String),
}
