//! Keys of the parts in which a brand's state is written.

use firewatch_domain::EventTime;

/// Key of one part of a brand's state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatePartKey {
    /// Everything that has no part of its own.
    Core,
    /// Usual volume. It changes hourly.
    Profile,
    /// Volume of the last two hours. It changes every five minutes.
    History,
    /// An incident, by id.
    Incident(String),
    /// A pending signal, by time and id.
    Pending(EventTime, String),
}
