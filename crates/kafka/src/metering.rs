//! Turns what the engine did with records into metrics, once the records are committed.

use firewatch_domain::EventTime;
use firewatch_engine::{Fold, Handled, Outcome, Stream, Task};
use firewatch_telemetry::{EngineMetrics, StateSize};

/// Counts a record and its outcome.
pub(crate) fn handled(metrics: &EngineMetrics, stream: Stream, handled: &Handled) {
    let outcome = match handled.outcome {
        Outcome::Scored => "scored",
        Outcome::Folded(Fold::UnknownConversation) => "unknown_conversation",
        Outcome::Folded(_) => "folded",
        Outcome::Forwarded => "forwarded",
        Outcome::Rejected(code) => {
            metrics.rejection(stream.as_str(), code.as_str());
            "rejected"
        }
    };
    metrics.record(stream.as_str(), outcome);
}

/// Records the time from a record's event time and from its arrival to its commit, in seconds.
pub(crate) fn committed(
    metrics: &EngineMetrics,
    now: EventTime,
    event_time: Option<EventTime>,
    arrival: EventTime,
) {
    metrics.latency(event_time.map(|at| (now - at).as_secs()), (now - arrival).as_secs());
}

/// Returns the size of a task's state.
pub(crate) fn state_size(task: &Task) -> StateSize {
    StateSize {
        conversations: task.conversations(),
        complaints: task.complaints(),
        bytes: task.state_bytes(),
    }
}
