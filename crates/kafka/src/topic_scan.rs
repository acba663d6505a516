//! What topics hold now, or what was written to them between two times: for reports on what was told and done.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use firewatch_domain::EventTime;
use firewatch_engine::Stream;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};

use crate::backoff::Stopwatch;
use crate::client_context::{ReaderContext, create_consumer};
use crate::partition_reader::{PartitionReader, poll_client};
use crate::record_io::{ReceivedRecord, decode_message};
use crate::span::{REQUEST_TIMEOUT, log_bounds, offset_at_time};
use crate::{Formats, KafkaSettings, RunError, client_error};

/// Wait for a record before looking at the time.
const POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// Times between which records were written: from one on, and before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeRange {
    /// The first time; where the log begins when absent.
    pub from: Option<EventTime>,
    /// The time after the last; where the log ends by now when absent.
    pub to: Option<EventTime>,
}

/// Hands on the records of topics, a partition after the other, until it is told to break.
///
/// # Errors
/// When no broker answers or a topic is not there.
pub fn scan_topics(
    settings: &KafkaSettings,
    topics: &[String],
    range: TimeRange,
    sink: &mut dyn FnMut(&ReceivedRecord) -> ControlFlow<()>,
) -> Result<(), RunError> {
    let consumer = Arc::new(create_consumer(settings)?);
    let mut logs = Vec::new();
    for topic in topics {
        for partition in partition_ids(&consumer, topic)? {
            let (from, until) = span(&consumer, topic, partition, range)?;
            logs.push((topic.as_str(), partition, from, until));
        }
    }
    let mut wanted = TopicPartitionList::new();
    for (topic, partition, from, _) in &logs {
        wanted
            .add_partition_offset(topic, *partition, Offset::Offset(*from))
            .map_err(client_error("start reading"))?;
    }
    let readers: Result<Vec<PartitionReader>, RunError> = logs
        .into_iter()
        // Streams matter to those who follow live ones.
        .map(|(topic, i, from, until)| {
            PartitionReader::open(&consumer, (topic, i), Stream::Events, (from, Some(until)))
        })
        .collect();
    let readers = readers?;
    consumer.assign(&wanted).map_err(client_error("start reading"))?;
    for reader in &readers {
        if scan_partition((&consumer, &settings.formats), reader, sink)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// The records of a key in a topic, and whether there may be more than could be read in the time. All partitions are looked
/// through, as producers need not share a partitioner.
///
/// # Errors
/// When no broker answers or the topic is not there.
pub fn find_by_key(
    settings: &KafkaSettings,
    (topic, key): (&str, &str),
    range: TimeRange,
    timeout: Duration,
) -> Result<(Vec<ReceivedRecord>, bool), RunError> {
    let (mut found, mut is_cut) = (Vec::new(), false);
    let since = Stopwatch::start();
    scan_topics(settings, &[topic.to_owned()], range, &mut |record| {
        if record.key.as_deref() == Some(key.as_bytes()) {
            found.push(record.clone());
        }
        is_cut = since.elapsed() > timeout;
        if is_cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok((found, is_cut))
}

/// Where topics end now: the offset after the last by topic and partition.
///
/// # Errors
/// When no broker answers or a topic is not there.
pub fn fetch_end_offsets(
    settings: &KafkaSettings,
    topics: &[String],
) -> Result<BTreeMap<(String, u32), i64>, RunError> {
    let consumer = create_consumer(settings)?;
    let mut ends = BTreeMap::new();
    for topic in topics {
        for partition in partition_ids(&consumer, topic)? {
            let (_, end) = span(&consumer, topic, partition, TimeRange::default())?;
            ends.insert((topic.clone(), partition.unsigned_abs()), end);
        }
    }
    Ok(ends)
}

fn scan_partition(
    (consumer, formats): (&BaseConsumer<ReaderContext>, &Formats),
    reader: &PartitionReader,
    sink: &mut dyn FnMut(&ReceivedRecord) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, RunError> {
    let mut since = Stopwatch::start();
    while !reader.is_exhausted() {
        let message: Option<BorrowedMessage<'_>> = reader.poll(POLL_TIMEOUT)?;
        if let Some(message) = message {
            if sink(&decode_message(&message, formats)?).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            since = Stopwatch::start();
        }
        poll_client(consumer)?;
        if since.elapsed() > REQUEST_TIMEOUT {
            return Err(RunError::Timeout(format!("{} could not be read to its end", reader.topic)));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn partition_ids(consumer: &BaseConsumer<ReaderContext>, topic: &str) -> Result<Vec<i32>, RunError> {
    let metadata = consumer
        .fetch_metadata(Some(topic), REQUEST_TIMEOUT)
        .map_err(client_error(format!("ask about topic {topic}")))?;
    let all: Vec<i32> =
        metadata.topics().iter().flat_map(|t| t.partitions()).map(|partition| partition.id()).collect();
    if all.is_empty() {
        return Err(RunError::Topics(format!(
            "{topic} is not there; make it with `firewatch topics create`"
        )));
    }
    Ok(all)
}

/// The first offset, and the one after the last.
fn span(
    consumer: &BaseConsumer<ReaderContext>,
    topic: &str,
    partition: i32,
    range: TimeRange,
) -> Result<(i64, i64), RunError> {
    let (low, high) = log_bounds(consumer, topic, partition)?;
    let at = |time: Option<EventTime>, otherwise: i64| match time {
        None => Ok(otherwise),
        Some(time) => {
            offset_at_time(consumer, (topic, partition), time.as_millis()).map(|at| at.unwrap_or(high))
        }
    };
    let from = at(range.from, low)?;
    Ok((from, at(range.to, high)?.max(from)))
}
