//! What a runner counts. Stages hold no metrics; the runner meters each record once, here.

use firewatch_domain::{Duration, EventTime};
use firewatch_escalation::Policy;
use prometheus::core::Collector;
use prometheus::{
    CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::{Handled, Outcome, Stream, Task};

/// Bounds of the latency histograms, seconds.
const SECONDS: [f64; 14] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0];

/// The metrics of one process.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
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
    restored: IntGaugeVec,
    restores: Histogram,
    policy: IntGaugeVec,
    policies: IntCounterVec,
    payloads: IntCounterVec,
    taken_in: IntCounterVec,
    not_taken_in: IntCounterVec,
    collected: IntCounterVec,
    gaps: CounterVec,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// When a name is refused, which is a fault of the build.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        Ok(Self {
            records: register(
                &registry,
                IntCounterVec::new(
                    Opts::new("firewatch_records_total", "Records read, by stream and outcome."),
                    &["stream", "outcome"],
                ),
            )?,
            rejected: register(
                &registry,
                IntCounterVec::new(
                    Opts::new("firewatch_rejected_total", "Records rejected, by stream and reason."),
                    &["stream", "reason"],
                ),
            )?,
            effects: register(
                &registry,
                IntCounterVec::new(Opts::new("firewatch_effects_total", "Records written, by kind."), &["kind"]),
            )?,
            latency: register(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "firewatch_latency_seconds",
                        "Time to the commit of a record's effects, since its event time or since its arrival.",
                    )
                    .buckets(SECONDS.to_vec()),
                    &["since"],
                ),
            )?,
            lag: register(
                &registry,
                IntGaugeVec::new(
                    Opts::new("firewatch_lag_records", "Records not read yet."),
                    &["stream", "partition"],
                ),
            )?,
            conversations: register(
                &registry,
                IntGaugeVec::new(
                    Opts::new("firewatch_conversations", "Conversations in the state of a partition."),
                    &["partition"],
                ),
            )?,
            complaints: register(
                &registry,
                IntGaugeVec::new(
                    Opts::new(
                        "firewatch_complaints",
                        "Complaints open or waiting at the brands of a partition.",
                    ),
                    &["partition"],
                ),
            )?,
            state_bytes: register(
                &registry,
                IntGaugeVec::new(
                    Opts::new("firewatch_state_bytes", "Bytes of a partition's state as committed."),
                    &["partition"],
                ),
            )?,
            rounds: register(
                &registry,
                IntCounterVec::new(
                    Opts::new("firewatch_rounds_total", "Rounds of work, committed or aborted and done again."),
                    &["end"],
                ),
            )?,
            missed: register(
                &registry,
                IntCounterVec::new(
                    Opts::new("firewatch_missed_total", "Records deleted from their topic before they were read."),
                    &["stream"],
                ),
            )?,
            policy: register(
                &registry,
                IntGaugeVec::new(
                    Opts::new("firewatch_policy_info", "1 for the policy in force."),
                    &["version", "hash"],
                ),
            )?,
            policies: register(
                &registry,
                IntCounterVec::new(
                    Opts::new("firewatch_policies_total", "Policy files read while running: taken or refused."),
                    &["end"],
                ),
            )?,
            restored: register(
                &registry,
                IntGaugeVec::new(
                    Opts::new("firewatch_restored_entries", "Entries of state read back when the partition was taken over."),
                    &["partition"],
                ),
            )?,
            restores: register(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new("firewatch_restore_seconds", "Time to read a partition's state back.")
                        .buckets(SECONDS.to_vec()),
                ),
            )?,
            payloads: register(
                &registry,
                IntCounterVec::new(
                    Opts::new("firewatch_payloads_total", "Payloads of platforms read, by source."),
                    &["source"],
                ),
            )?,
            taken_in: register(
                &registry,
                IntCounterVec::new(
                    Opts::new("firewatch_payload_events_total", "Events that payloads told, by source and kind."),
                    &["source", "kind"],
                ),
            )?,
            not_taken_in: register(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "firewatch_payload_rejected_total",
                        "Payloads, or parts of one, that were rejected, by source and reason.",
                    ),
                    &["source", "reason"],
                ),
            )?,
            collected: register(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "firewatch_collected_total",
                        "What happened at a source: connected, taken, left_out, trouble.",
                    ),
                    &["source", "what"],
                ),
            )?,
            gaps: register(
                &registry,
                CounterVec::new(
                    Opts::new(
                        "firewatch_gap_seconds_total",
                        "Seconds of a source's stream of which something may be missing.",
                    ),
                    &["source"],
                ),
            )?,
            registry,
        })
    }

    /// Counts a record and what became of it.
    pub fn handled(&self, stream: Stream, handled: &Handled) {
        let outcome = match handled.outcome {
            Outcome::Scored => "scored",
            Outcome::Folded(_) => "folded",
            Outcome::Rejected(code) => {
                self.rejected.with_label_values(&[stream.as_str(), code.as_str()]).inc();
                "rejected"
            }
        };
        self.records.with_label_values(&[stream.as_str(), outcome]).inc();
    }

    /// Counts a record written, by its kind.
    pub fn effect(&self, kind: &str) {
        self.effects.with_label_values(&[kind]).inc();
    }

    /// Counts a round of reading, working and committing: `committed` or `aborted`.
    pub fn round(&self, end: &str) {
        self.rounds.with_label_values(&[end]).inc();
    }

    /// Notes what it took to read a partition's state back.
    pub fn restored(&self, partition: u32, entries: u64, took: std::time::Duration) {
        let partition = partition.to_string();
        self.restored.with_label_values(&[&partition]).set(entries as i64);
        self.restores.observe(took.as_secs_f64());
    }

    /// Counts records that were deleted before they were read.
    pub fn missed(&self, stream: Stream, records: u64) {
        self.missed.with_label_values(&[stream.as_str()]).inc_by(records);
    }

    /// Conversations of all partitions together.
    #[must_use]
    pub fn conversations(&self) -> usize {
        let families = self.conversations.collect();
        families.iter().flat_map(|f| f.get_metric()).map(|m| m.get_gauge().get_value() as usize).sum()
    }

    /// Records of a stream that came to an outcome: `scored`, `folded` or `rejected`.
    #[must_use]
    pub fn ended(&self, stream: &str, outcome: &str) -> u64 {
        self.records.with_label_values(&[stream, outcome]).get()
    }

    /// Records of a stream that were read.
    #[must_use]
    pub fn read(&self, stream: &str) -> u64 {
        ["scored", "folded", "rejected"].iter().map(|outcome| self.ended(stream, outcome)).sum()
    }

    /// Records of a kind that were written.
    #[must_use]
    pub fn written(&self, kind: &str) -> u64 {
        self.effects.with_label_values(&[kind]).get()
    }

    /// Notes how long a record took to its commit.
    pub fn committed(&self, now: EventTime, event_time: Option<EventTime>, arrival: EventTime) {
        if let Some(at) = event_time {
            self.latency.with_label_values(&["event"]).observe(seconds(now - at));
        }
        self.latency.with_label_values(&["arrival"]).observe(seconds(now - arrival));
    }

    /// Notes how far behind a partition is.
    pub fn lag(&self, stream: Stream, partition: u32, records: i64) {
        self.lag.with_label_values(&[stream.as_str(), &partition.to_string()]).set(records);
    }

    /// Records not read yet, all partitions together.
    #[must_use]
    pub fn total_lag(&self) -> i64 {
        let families = self.lag.collect();
        families.iter().flat_map(|f| f.get_metric()).map(|m| m.get_gauge().get_value() as i64).sum()
    }

    /// Notes the size of a partition's state.
    pub fn state(&self, partition: u32, task: &Task) {
        let partition = partition.to_string();
        self.conversations.with_label_values(&[&partition]).set(task.conversations() as i64);
        self.complaints.with_label_values(&[&partition]).set(task.complaints() as i64);
        self.state_bytes.with_label_values(&[&partition]).set(task.state_bytes() as i64);
    }

    /// Forgets a partition that this process no longer works on.
    pub fn forget(&self, partition: u32) {
        let partition = partition.to_string();
        // A partition that was never noted has nothing to remove.
        let _ = self.conversations.remove_label_values(&[&partition]);
        let _ = self.complaints.remove_label_values(&[&partition]);
        let _ = self.state_bytes.remove_label_values(&[&partition]);
        let _ = self.restored.remove_label_values(&[&partition]);
        for stream in [Stream::Events, Stream::Actions, Stream::Signals] {
            let _ = self.lag.remove_label_values(&[stream.as_str(), &partition]);
        }
    }

    /// The text that Prometheus scrapes.
    ///
    /// # Errors
    /// When a metric cannot be encoded.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Payloads of a source are committed, with the kinds of the events that they told and the reasons of what was rejected.
    pub fn taken_in(&self, source: &str, payloads: u64, kinds: &[&str], rejected: &[&str]) {
        self.payloads.with_label_values(&[source]).inc_by(payloads);
        kinds.iter().for_each(|kind| self.taken_in.with_label_values(&[source, *kind]).inc());
        rejected.iter().for_each(|reason| self.not_taken_in.with_label_values(&[source, *reason]).inc());
    }

    /// Something happened at a source: `connected`, `taken`, `left_out` or `trouble`.
    pub fn collected(&self, source: &str, what: &str) {
        self.collected.with_label_values(&[source, what]).inc();
    }

    /// Something may be missing of so many seconds of a source.
    pub fn gap(&self, source: &str, seconds: f64) {
        self.gaps.with_label_values(&[source]).inc_by(seconds.max(0.0));
    }

    /// A policy is in force from now on.
    pub fn policy(&self, policy: &Policy) {
        self.policy.reset();
        self.policy.with_label_values(&[policy.version.as_str(), policy.hash.as_str()]).set(1);
    }

    /// A policy file was read while running: `taken` or `refused`.
    pub fn policy_read(&self, end: &str) {
        self.policies.with_label_values(&[end]).inc();
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: Result<C, prometheus::Error>,
) -> Result<C, prometheus::Error> {
    let metric = metric?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn seconds(span: Duration) -> f64 {
    span.as_secs().max(0.0)
}
