//! This process as a member of the consumer group: which partitions are ours, and handing them over.
//!
//! The member only holds partitions of the events topic; each task reads for itself. librdkafka calls back on the
//! thread that polls. Partitions are given up there and then, once their tasks have committed: afterwards another
//! member reads on from it. Cooperative rebalancing leaves all other tasks at work meanwhile.

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

/// Within this time a member hears of a rebalance: a heartbeat, and what the client then tells.
const STEADY_AFTER: Duration = Duration::from_secs(1);

/// The member as a client.
pub(crate) type GroupMember = BaseConsumer<GroupContext>;

/// What the callbacks share with the run loop.
pub(crate) struct GroupContext {
    events: String,
    workers: Arc<Workers>,
    /// Partitions that became ours and have no task yet.
    newly_assigned: Mutex<BTreeSet<u32>>,
    /// Since when no rebalance has been under way, as far as the client has told.
    steady_since: Mutex<Option<Stopwatch>>,
    reported_errors: ReportedErrors,
}

/// Joins the group.
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
        settings.member_config().create_with_context(group).map_err(client_error("make the consumer"))?;
    member.subscribe(&[&topics.events]).map_err(client_error("subscribe"))?;
    Ok(member)
}

impl GroupContext {
    /// Partitions that became ours since this was last asked.
    pub fn take_newly_assigned(&self) -> BTreeSet<u32> {
        std::mem::take(&mut *lock(&self.newly_assigned))
    }

    /// Whether no rebalance is under way. In the middle of one, the client would go without a word, and the group would
    /// wait for it until its session is over.
    pub fn is_steady(&self) -> bool {
        lock(&self.steady_since).is_some_and(|since| since.elapsed() >= STEADY_AFTER)
    }

    fn own_partitions(&self, partitions: &TopicPartitionList) -> Vec<u32> {
        let all = partitions.elements_for_topic(&self.events);
        all.iter().filter_map(|p| u32::try_from(p.partition()).ok()).collect()
    }
}

/// Lets the client do what it has to, for a while.
pub(crate) fn poll_group(member: &GroupMember, wait: Duration) -> Result<(), RunError> {
    match member.poll(wait) {
        Some(Err(e @ KafkaError::MessageConsumptionFatal(_))) => {
            Err(RunError::Client("stay in the group".into(), e))
        }
        Some(Err(e)) if is_refusal(&e) => Err(RunError::Client("join the group".into(), e)),
        // Its partitions are paused; a record that slipped through is read by its task as well.
        _ => Ok(()),
    }
}

/// Lets tools know how far a partition has come. Nothing depends on it, so it is neither waited for nor tried again.
pub(crate) fn report_offsets<'a>(
    member: &GroupMember,
    partition: i32,
    next: impl IntoIterator<Item = (&'a str, i64)>,
) {
    let mut offsets = TopicPartitionList::new();
    for (topic, next) in next {
        // It is refused for offsets below zero only.
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
            // Another member may have them already: then there is nothing to finish.
            self.workers.stop_workers(&gone, member.assignment_lost());
        }
    }

    fn post_rebalance(&self, member: &GroupMember, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            // Tasks read for themselves.
            if let Err(e) = member.pause(partitions) {
                eprintln!("kafka consumer: pause: {e}");
            }
            self.reported_errors.reset();
            lock(&self.newly_assigned).extend(self.own_partitions(partitions));
            self.workers.mark_joined();
        }
    }
}
