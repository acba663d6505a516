//! The one place where the run loop turns outcomes into metrics.

use firewatch_domain::EventTime;
use firewatch_engine::{Handled, Outcome, Stream, Task};
use firewatch_telemetry::{EngineMetrics, StateSize};

/// Counts a record and its outcome.
pub(crate) fn handled(metrics: &EngineMetrics, stream: Stream, handled: &Handled) {
    let outcome = match handled.outcome {
        Outcome::Scored => "scored",
        Outcome::Folded(_) => "folded",
        Outcome::Rejected(code) => {
            metrics.rejection(stream.as_str(), code.as_str());
            "rejected"
        }
    };
    metrics.record(stream.as_str(), outcome);
}

/// Observes how long a record took to its commit, from its event time and from its arrival.
pub(crate) fn committed(metrics: &EngineMetrics, now: EventTime, times: (Option<EventTime>, EventTime)) {
    let (event_time, arrival) = times;
    metrics.latency(event_time.map(|at| (now - at).as_secs()), (now - arrival).as_secs());
}

/// The size of a task's state.
pub(crate) fn state_size(task: &Task) -> StateSize {
    StateSize {
        conversations: task.conversations(),
        complaints: task.complaints(),
        bytes: task.state_bytes(),
    }
}
