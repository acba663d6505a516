//! Metrics of the engine: records, effects, latency, lag, state and policies.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Error, Histogram, HistogramVec, IntCounterVec, IntGaugeVec, Registry};

use crate::Descriptor;

/// What becomes of a record.
const OUTCOMES: [&str; 5] = ["scored", "folded", "rejected", "forwarded", "unknown_conversation"];

const RECORDS: Descriptor = Descriptor::counter(
    "firewatch_records_total",
    &["stream", "outcome"],
    "Records read, by stream and outcome: `scored`, `folded`, `rejected`, `forwarded` to the partition where the \
     conversation lives, or `unknown_conversation` for an action on a conversation that is not followed, or an answer or \
     deletion of one whose brand is not known.",
);
const REJECTED: Descriptor = Descriptor::counter(
    "firewatch_rejected_total",
    &["stream", "reason"],
    "Records rejected, by stream and reason.",
);
const EFFECTS: Descriptor =
    Descriptor::counter("firewatch_effects_total", &["kind"], "Records written, by kind.");
const LATENCY: Descriptor = Descriptor::histogram(
    "firewatch_latency_seconds",
    &["since"],
    "Time from a record's event time or its arrival to the commit of its effects.",
);
const LAG: Descriptor = Descriptor::gauge(
    "firewatch_lag_records",
    &["stream", "partition"],
    "Records not read yet, by stream and partition.",
);
const CONVERSATIONS: Descriptor = Descriptor::gauge(
    "firewatch_conversations",
    &["partition"],
    "Conversations in the state of a partition.",
);
const COMPLAINTS: Descriptor = Descriptor::gauge(
    "firewatch_complaints",
    &["partition"],
    "Complaints that are open or waiting in the dispatchers of a partition.",
);
const STATE_BYTES: Descriptor =
    Descriptor::gauge("firewatch_state_bytes", &["partition"], "Size of a partition's committed state.");
const ROUNDS: Descriptor = Descriptor::counter(
    "firewatch_rounds_total",
    &["end"],
    "Transaction rounds: committed, or aborted and repeated.",
);
const MISSED: Descriptor = Descriptor::counter(
    "firewatch_missed_total",
    &["stream"],
    "Records deleted from their topic before they were read.",
);
const POLICY: Descriptor = Descriptor::gauge(
    "firewatch_policy_info",
    &["version", "hash"],
    "Always 1; the labels identify the active policy.",
);
const POLICIES: Descriptor = Descriptor::counter(
    "firewatch_policies_total",
    &["end"],
    "Policy files read while running: taken or refused.",
);
const RESTORED: Descriptor = Descriptor::gauge(
    "firewatch_restored_entries",
    &["partition"],
    "Changelog entries restored when the partition was assigned.",
);
const RESTORES: Descriptor =
    Descriptor::histogram("firewatch_restore_seconds", &[], "Time to restore a partition's state.");

pub(crate) const ALL: &[Descriptor] = &[
    RECORDS,
    REJECTED,
    EFFECTS,
    LATENCY,
    LAG,
    CONVERSATIONS,
    COMPLAINTS,
    STATE_BYTES,
    ROUNDS,
    MISSED,
    POLICY,
    POLICIES,
    RESTORED,
    RESTORES,
];

/// Streams that have a lag.
const STREAMS: [&str; 3] = ["events", "actions", "signals"];

/// The size of one partition's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateSize {
    /// Number of conversations.
    pub conversations: usize,
    /// Number of complaints that are open or waiting in the partition's dispatchers.
    pub complaints: usize,
    /// Size of the committed entries, in bytes.
    pub bytes: usize,
}

/// Metrics of the engine.
#[derive(Clone)]
pub struct EngineMetrics {
    records: IntCounterVec,
    rejected: IntCounterVec,
    effects: IntCounterVec,
    latency: HistogramVec,
    lag: IntGaugeVec,
    conversations: IntGaugeVec,
    complaints: IntGaugeVec,
    state_bytes: IntGaugeVec,
    rounds: IntCounterVec,
    missed: IntCounterVec,
    policy: IntGaugeVec,
    policies: IntCounterVec,
    restored: IntGaugeVec,
    restores: Histogram,
}

impl EngineMetrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, Error> {
        Ok(Self {
            records: RECORDS.int_counter(registry)?,
            rejected: REJECTED.int_counter(registry)?,
            effects: EFFECTS.int_counter(registry)?,
            latency: LATENCY.histogram_vec(registry)?,
            lag: LAG.int_gauge(registry)?,
            conversations: CONVERSATIONS.int_gauge(registry)?,
            complaints: COMPLAINTS.int_gauge(registry)?,
            state_bytes: STATE_BYTES.int_gauge(registry)?,
            rounds: ROUNDS.int_counter(registry)?,
            missed: MISSED.int_counter(registry)?,
            policy: POLICY.int_gauge(registry)?,
            policies: POLICIES.int_counter(registry)?,
            restored: RESTORED.int_gauge(registry)?,
            restores: RESTORES.plain_histogram(registry)?,
        })
    }

    /// Counts a record of a stream, by one of [`OUTCOMES`].
    pub fn record(&self, stream: &str, outcome: &str) {
        self.records.with_label_values(&[stream, outcome]).inc();
    }

    /// Counts a rejected record of a stream, by reason.
    pub fn rejection(&self, stream: &str, reason: &str) {
        self.rejected.with_label_values(&[stream, reason]).inc();
    }

    /// Counts a written record, by kind.
    pub fn effect(&self, kind: &str) {
        self.effects.with_label_values(&[kind]).inc();
    }

    /// Counts a transaction round, by end: `committed` or `aborted`.
    pub fn round(&self, end: &str) {
        self.rounds.with_label_values(&[end]).inc();
    }

    /// Records the number of restored changelog entries of a partition, and the duration of the restore.
    pub fn restored(&self, partition: u32, entries: u64, took: Duration) {
        self.restored.with_label_values(&[&partition.to_string()]).set(entries as i64);
        self.restores.observe(took.as_secs_f64());
    }

    /// Counts records of a stream that were deleted from their topic before they were read.
    pub fn missed(&self, stream: &str, records: u64) {
        self.missed.with_label_values(&[stream]).inc_by(records);
    }

    /// Returns the number of conversations in all partitions.
    #[must_use]
    pub fn conversations(&self) -> usize {
        sum(&self.conversations) as usize
    }

    /// Returns the number of records of a stream with one of [`OUTCOMES`].
    #[must_use]
    pub fn records_with(&self, stream: &str, outcome: &str) -> u64 {
        self.records.with_label_values(&[stream, outcome]).get()
    }

    /// Returns the number of records read from a stream.
    #[must_use]
    pub fn records_read(&self, stream: &str) -> u64 {
        OUTCOMES.iter().map(|outcome| self.records_with(stream, outcome)).sum()
    }

    /// Returns the number of written records of a kind.
    #[must_use]
    pub fn effects_written(&self, kind: &str) -> u64 {
        self.effects.with_label_values(&[kind]).get()
    }

    /// Observes the seconds from a record's event time, if it has one, and from its arrival to the commit.
    /// Negative values count as 0.
    pub fn latency(&self, since_event: Option<f64>, since_arrival: f64) {
        if let Some(seconds) = since_event {
            self.latency.with_label_values(&["event"]).observe(seconds.max(0.0));
        }
        self.latency.with_label_values(&["arrival"]).observe(since_arrival.max(0.0));
    }

    /// Sets the number of records of a stream's partition that are not read yet.
    pub fn lag(&self, stream: &str, partition: u32, records: i64) {
        self.lag.with_label_values(&[stream, &partition.to_string()]).set(records);
    }

    /// Returns the number of records that are not read yet, in all streams and partitions.
    #[must_use]
    pub fn total_lag(&self) -> i64 {
        sum(&self.lag)
    }

    /// Sets the size of a partition's state.
    pub fn state(&self, partition: u32, size: StateSize) {
        let partition = partition.to_string();
        self.conversations.with_label_values(&[&partition]).set(size.conversations as i64);
        self.complaints.with_label_values(&[&partition]).set(size.complaints as i64);
        self.state_bytes.with_label_values(&[&partition]).set(size.bytes as i64);
    }

    /// Removes the gauges of a partition that is no longer assigned to this process.
    pub fn forget(&self, partition: u32) {
        let partition = partition.to_string();
        // Removal fails only for gauges that were never set.
        for gauge in [&self.conversations, &self.complaints, &self.state_bytes, &self.restored] {
            let _ = gauge.remove_label_values(&[&partition]);
        }
        for stream in STREAMS {
            let _ = self.lag.remove_label_values(&[stream, &partition]);
        }
    }

    /// Sets the active policy.
    pub fn policy(&self, version: &str, hash: &str) {
        self.policy.reset();
        self.policy.with_label_values(&[version, hash]).set(1);
    }

    /// Counts a policy file that was read while running, by end: `taken` or `refused`.
    pub fn policy_file(&self, end: &str) {
        self.policies.with_label_values(&[end]).inc();
    }

    #[cfg(test)]
    pub(crate) fn touch_all(&self) {
        self.record("events", "scored");
        self.rejection("events", "bad_json");
        self.effect("score");
        self.round("committed");
        self.restored(0, 1, Duration::ZERO);
        self.missed("events", 1);
        self.latency(Some(1.0), 1.0);
        self.lag("events", 0, 1);
        self.state(0, StateSize { conversations: 1, complaints: 1, bytes: 1 });
        self.policy("v", "h");
        self.policy_file("taken");
    }
}

fn sum(gauge: &IntGaugeVec) -> i64 {
    let families = gauge.collect();
    families.iter().flat_map(|family| family.get_metric()).map(|m| m.get_gauge().get_value() as i64).sum()
}
