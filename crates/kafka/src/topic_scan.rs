//! Reads what topics hold now, or what was written to them in a time range.
//!
//! Reports on alerts and on what people did about them are built from these records.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use firewatch_domain::EventTime;
use firewatch_engine::Stream;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};

use crate::backoff::Stopwatch;
use crate::client_context::{ReaderContext, create_consumer};
use crate::kafka_log::KafkaQueue;
use crate::log::RecordQueue;
use crate::metadata::fetch_topic_metadata;
use crate::partition_reader::PartitionReader;
use crate::record_io::{ReceivedRecord, decode_message};
use crate::span::{REQUEST_TIMEOUT, log_bounds, offset_at_time};
use crate::topic_admin::not_authorized;
use crate::{Formats, KafkaSettings, RunError, client_error};

/// Longest wait for a record before the timeout is checked.
const POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// A half-open range of the times at which records were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeRange {
    /// First time, inclusive; the beginning of the log when absent.
    pub from: Option<EventTime>,
    /// End of the range, exclusive; the current end of the log when absent.
    pub to: Option<EventTime>,
}

/// Passes the records of topics to `sink`, one partition after another, until `sink` breaks.
///
/// # Errors
/// When no broker answers or a topic does not exist.
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
            logs.push(LogRange { topic, partition, offsets: from..until });
        }
    }
    scan_logs(settings, &consumer, logs, sink)
}

/// Passes the last records of each partition of a topic to `sink`, at most `per_partition` of each, until `sink`
/// breaks. Returns the number of partitions.
///
/// # Errors
/// As [`scan_topics`].
pub(crate) fn scan_last(
    settings: &KafkaSettings,
    topic: &str,
    per_partition: u32,
    sink: &mut dyn FnMut(&ReceivedRecord) -> ControlFlow<()>,
) -> Result<u32, RunError> {
    let consumer = Arc::new(create_consumer(settings)?);
    let partitions = partition_ids(&consumer, topic)?;
    let last = |&partition: &i32| {
        let (low, high) = log_bounds(&*consumer, topic, partition)?;
        Ok(LogRange { topic, partition, offsets: low.max(high - i64::from(per_partition))..high })
    };
    let logs: Result<Vec<LogRange<'_>>, RunError> = partitions.iter().map(last).collect();
    scan_logs(settings, &consumer, logs?, sink)?;
    Ok(partitions.len() as u32)
}

/// A range of the records of one partition.
struct LogRange<'a> {
    topic: &'a str,
    partition: i32,
    offsets: Range<i64>,
}

fn scan_logs(
    settings: &KafkaSettings,
    consumer: &Arc<BaseConsumer<ReaderContext>>,
    logs: Vec<LogRange<'_>>,
    sink: &mut dyn FnMut(&ReceivedRecord) -> ControlFlow<()>,
) -> Result<(), RunError> {
    let mut wanted = TopicPartitionList::new();
    for LogRange { topic, partition, offsets } in &logs {
        wanted
            .add_partition_offset(topic, *partition, Offset::Offset(offsets.start))
            .map_err(client_error("start reading"))?;
    }
    let readers: Result<Vec<PartitionReader>, RunError> = logs
        .into_iter()
        // Only readers of live logs depend on the stream.
        .map(|LogRange { topic, partition, offsets }| {
            let queue = KafkaQueue::split_from(consumer, topic, partition)?;
            Ok(PartitionReader::new(queue, topic, Stream::Events, offsets.start, Some(offsets.end)))
        })
        .collect();
    let readers = readers?;
    consumer.assign(&wanted).map_err(client_error("start reading"))?;
    for reader in &readers {
        if scan_partition(&settings.formats, reader, sink)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Returns the records of a key in a topic, and whether the timeout cut the search short. Searches all
/// partitions, because producers need not share a partitioner.
///
/// # Errors
/// When no broker answers or the topic does not exist.
pub fn find_by_key(
    settings: &KafkaSettings,
    topic: &str,
    key: &str,
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

/// Returns where topics end now: the offset after the last record, by topic and partition.
///
/// # Errors
/// When no broker answers or a topic does not exist.
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
    formats: &Formats,
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
        reader.queue.service_client()?;
        if since.elapsed() > REQUEST_TIMEOUT {
            return Err(RunError::Timeout(format!("could not read {} to its end in time", reader.topic)));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn partition_ids(consumer: &BaseConsumer<ReaderContext>, topic: &str) -> Result<Vec<i32>, RunError> {
    let metadata = fetch_topic_metadata(consumer, topic, REQUEST_TIMEOUT)?;
    let all: Vec<i32> =
        metadata.topics().iter().flat_map(|t| t.partitions()).map(|partition| partition.id()).collect();
    if metadata
        .topics()
        .iter()
        .filter_map(|t| t.error())
        .map(RDKafkaErrorCode::from)
        .any(|code| code == RDKafkaErrorCode::TopicAuthorizationFailed)
    {
        return Err(not_authorized(topic));
    }
    if all.is_empty() {
        return Err(RunError::Topics(format!(
            "topic {topic} does not exist; create it with `firewatch topics create`"
        )));
    }
    Ok(all)
}

/// Returns the first offset of a time range in a partition, and the offset after its last.
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
            offset_at_time(consumer, topic, partition, time.as_millis()).map(|at| at.unwrap_or(high))
        }
    };
    let from = at(range.from, low)?;
    Ok((from, at(range.to, high)?.max(from)))
}
