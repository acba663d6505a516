//! Metrics of `firewatch ingest`: payloads of raw topics into events.

use prometheus::{Error, IntCounterVec, Registry};

use crate::Descriptor;

const PAYLOADS: Descriptor =
    Descriptor::counter("firewatch_payloads_total", &["source"], "Payloads of platforms read, by source.");
const EVENTS: Descriptor = Descriptor::counter(
    "firewatch_payload_events_total",
    &["source", "kind"],
    "Events that payloads told, by source and kind.",
);
const REJECTED: Descriptor = Descriptor::counter(
    "firewatch_payload_rejected_total",
    &["source", "reason"],
    "Payloads, or parts of one, that were rejected, by source and reason.",
);

pub(crate) const ALL: &[Descriptor] = &[PAYLOADS, EVENTS, REJECTED];

/// Metrics of the ingest stage.
#[derive(Clone)]
pub struct IngestMetrics {
    payloads: IntCounterVec,
    events: IntCounterVec,
    rejected: IntCounterVec,
}

impl IngestMetrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, Error> {
        Ok(Self {
            payloads: PAYLOADS.int_counter(registry)?,
            events: EVENTS.int_counter(registry)?,
            rejected: REJECTED.int_counter(registry)?,
        })
    }

    /// Counts a source's committed payloads, each of the events decoded from them by kind, and each rejection by reason.
    pub fn committed(&self, source: &str, payloads: u64, kinds: &[&str], rejected: &[&str]) {
        self.payloads.with_label_values(&[source]).inc_by(payloads);
        kinds.iter().for_each(|kind| self.events.with_label_values(&[source, *kind]).inc());
        rejected.iter().for_each(|reason| self.rejected.with_label_values(&[source, *reason]).inc());
    }

    #[cfg(test)]
    pub(crate) fn touch_all(&self) {
        self.committed("s", 1, &["post"], &["bad_json"]);
    }
}
