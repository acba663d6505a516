//! Metrics of `firewatch ingest`: payloads of raw topics decoded to events.

use prometheus::{Error, IntCounterVec, Registry};

use crate::Descriptor;

const PAYLOADS: Descriptor =
    Descriptor::counter("firewatch_payloads_total", &["source"], "Platform payloads read, by source.");
const EVENTS: Descriptor = Descriptor::counter(
    "firewatch_payload_events_total",
    &["source", "kind"],
    "Events decoded from payloads, by source and kind.",
);
const REJECTED: Descriptor = Descriptor::counter(
    "firewatch_payload_rejected_total",
    &["source", "reason"],
    "Rejected payloads or parts of payloads, by source and reason.",
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

    /// Counts committed payloads of a source, with the kinds of their events and the reasons of their
    /// rejections.
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
