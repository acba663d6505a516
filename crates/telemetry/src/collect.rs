//! Metrics of `firewatch collect`: payloads written to raw topics, and gaps.

use prometheus::{CounterVec, Error, IntCounterVec, Registry};

use crate::Descriptor;

const COLLECTED: Descriptor = Descriptor::counter(
    "firewatch_collected_total",
    &["source", "what"],
    "Occurrences at a source: connected, taken (payload stored), left_out (payload dropped) or trouble (error).",
);
const GAPS: Descriptor = Descriptor::counter(
    "firewatch_gap_seconds_total",
    &["source"],
    "Seconds of a source's stream in which data may be missing.",
);

pub(crate) const ALL: &[Descriptor] = &[COLLECTED, GAPS];

/// Metrics of the collector.
#[derive(Clone)]
pub struct CollectMetrics {
    collected: IntCounterVec,
    gaps: CounterVec,
}

impl CollectMetrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, Error> {
        Ok(Self { collected: COLLECTED.int_counter(registry)?, gaps: GAPS.float_counter(registry)? })
    }

    /// Counts an occurrence at a source: `connected`, `taken`, `left_out` or `trouble`.
    pub fn occurred(&self, source: &str, what: &str) {
        self.collected.with_label_values(&[source, what]).inc();
    }

    /// Adds the length of a gap, in seconds. Negative values count as 0.
    pub fn gap(&self, source: &str, seconds: f64) {
        self.gaps.with_label_values(&[source]).inc_by(seconds.max(0.0));
    }

    #[cfg(test)]
    pub(crate) fn touch_all(&self) {
        self.occurred("s", "taken");
        self.gap("s", 1.0);
    }
}
