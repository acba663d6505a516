//! This process as a member of the consumer group: which partitions it owns, and how it hands them over.
//!
//! The member only holds partitions of the events topic; each task reads for itself. librdkafka calls back on
//! the thread that polls. The callback returns revoked partitions only once their tasks have committed,
//! because another member then continues from that commit. Cooperative rebalancing lets all other tasks work
//! meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, Statistics, TopicPartitionList};

use crate::backoff::Stopwatch;
use crate::client_context::{ReportedErrors, lock, log_line};
use crate::workers::Workers;
use crate::{KafkaSettings, RunError, Topics, client_error};

/// Time within which a member learns of a rebalance: one heartbeat, and the client's next statistics.
const STEADY_AFTER: Duration = Duration::from_secs(1);

/// The consumer that is this process's member of the group.
pub(crate) type GroupMember = BaseConsumer<GroupContext>;

/// State that the client's callbacks share with the run loop.
pub(crate) struct GroupContext {
    events: String,
    workers: Arc<Workers>,
    /// Assigned partitions that have no task yet.
    newly_assigned: Mutex<BTreeSet<u32>>,
    /// Since when no rebalance has been under way, according to the client's statistics.
    steady_since: Mutex<Option<Stopwatch>>,
    reported_errors: ReportedErrors,
}

/// Creates the consumer and subscribes it to the events topic.
pub(crate) fn join(
    settings: &KafkaSettings,
    topics: &Topics,
    workers: Arc<Workers>,
) -> Result<GroupMember, RunError> {
    let group = GroupContext {
        events: topics.events.clone(),
        workers,
        newly_assigned: Mutex::default(),
        steady_since: Mutex::default(),
        reported_errors: ReportedErrors::default(),
    };
    let member: GroupMember =
        settings.member_config().create_with_context(group).map_err(client_error("create the consumer"))?;
    member.subscribe(&[&topics.events]).map_err(client_error("subscribe"))?;
    Ok(member)
}

impl GroupContext {
    /// Takes the partitions that were assigned since the last call.
    pub fn take_newly_assigned(&self) -> BTreeSet<u32> {
        std::mem::take(&mut *lock(&self.newly_assigned))
    }

    /// Returns whether no rebalance is under way. A member that leaves during one does so without notice, and
    /// the group waits until its session times out.
    pub fn is_steady(&self) -> bool {
        lock(&self.steady_since).is_some_and(|since| since.elapsed() >= STEADY_AFTER)
    }

    fn own_partitions(&self, partitions: &TopicPartitionList) -> Vec<u32> {
        let all = partitions.elements_for_topic(&self.events);
        all.iter().filter_map(|p| u32::try_from(p.partition()).ok()).collect()
    }
}

/// Lets the client do its background work for up to `wait`. Fails when the group refuses the member for good.
pub(crate) fn poll_group(member: &GroupMember, wait: Duration) -> Result<(), RunError> {
    match member.poll(wait) {
        Some(Err(e @ KafkaError::MessageConsumptionFatal(_))) => {
            Err(RunError::Client("stay in the group".into(), e))
        }
        Some(Err(e)) if is_refusal(&e) => Err(RunError::Client("join the group".into(), e)),
        // The partitions are paused; a record that slips through is read by its task as well.
        _ => Ok(()),
    }
}

/// Reports a partition's positions to the group, for tools that show lag. Nothing depends on them, so the
/// commit is neither awaited nor retried.
pub(crate) fn report_offsets<'a>(
    member: &GroupMember,
    partition: i32,
    next: impl IntoIterator<Item = (&'a str, i64)>,
) {
    let mut offsets = TopicPartitionList::new();
    for (topic, next) in next {
        // Fails only for negative offsets.
        let _ = offsets.add_partition_offset(topic, partition, Offset::Offset(next));
    }
    let _ = member.commit(&offsets, CommitMode::Async);
}

fn is_refusal(e: &KafkaError) -> bool {
    let code = e.rdkafka_error_code();
    matches!(
        code,
        Some(RDKafkaErrorCode::GroupAuthorizationFailed | RDKafkaErrorCode::TopicAuthorizationFailed)
    )
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reported_errors.report_once("kafka consumer", &error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let mut since = lock(&self.steady_since);
        match statistics.cgrp {
            Some(group) if group.join_state == "steady" => {
                *since = since.or_else(|| Some(Stopwatch::start()));
            }
            _ => *since = None,
        }
    }
}

impl ConsumerContext for GroupContext {
    fn pre_rebalance(&self, member: &GroupMember, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            let gone = self.own_partitions(partitions);
            lock(&self.newly_assigned).retain(|partition| !gone.contains(partition));
            tracing::info!(partitions = ?gone, lost = member.assignment_lost(), "partitions revoked");
            // When another member owns them already, there is nothing to finish.
            self.workers.stop_workers(&gone, member.assignment_lost());
        }
    }

    fn post_rebalance(&self, member: &GroupMember, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            // The member holds partitions only; tasks read for themselves.
            if let Err(e) = member.pause(partitions) {
                tracing::warn!("kafka consumer: could not pause its partitions: {e}");
            }
            self.reported_errors.reset();
            let own = self.own_partitions(partitions);
            tracing::info!(partitions = ?own, "partitions assigned");
            lock(&self.newly_assigned).extend(own);
            self.workers.mark_joined();
        }
    }
}
