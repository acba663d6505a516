//! A span of the input: the records of each partition that are read again.
//!
//! The bounds apply to the events. The actions follow by time, because tasks merge the two streams by time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use firewatch_domain::EventTime;
use firewatch_engine::Stream;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::backoff::{Stopwatch, pause};
use crate::client_context::{ReaderContext, create_consumer};
use crate::error::Remedy;
use crate::positions::Positions;
use crate::topic_admin::input_partition_count;
use crate::{KafkaSettings, RunError, Topics, client_error};

/// Longest wait for a broker's answer.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Time within which a new leader is known.
const LEADER_CHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a record before the timeout is checked.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// The start or the end of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanBound {
    /// The beginning of the log for a start; its current end for an end.
    Log,
    /// The first record written at this time or later.
    Time(EventTime),
    /// Offsets of the events topic by partition. A partition left out uses the beginning or the end of its
    /// log.
    Offsets(BTreeMap<u32, i64>),
}

/// One partition's part of a span: for each stream the first offset, and the offset after the last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Span {
    pub(crate) first: Positions,
    pub(crate) end: Positions,
}

impl Span {
    /// Returns the offsets of a stream as a half-open range.
    #[must_use]
    pub fn offsets(&self, stream: Stream) -> Range<i64> {
        let at = |positions: &Positions| positions.get(&stream).copied().unwrap_or_default();
        at(&self.first)..at(&self.end)
    }

    /// Returns the number of events and actions, including transaction markers.
    #[must_use]
    pub fn records(&self) -> u64 {
        [Stream::Events, Stream::Actions]
            .map(|s| self.offsets(s))
            .iter()
            .map(|r| (r.end - r.start) as u64)
            .sum()
    }
}

/// The bounds of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanBounds {
    /// The first record.
    pub from: SpanBound,
    /// The record after the last.
    pub to: SpanBound,
}

/// Resolves the bounds of a span to offsets, for each partition. Fails when the span is empty.
pub(crate) fn resolve_spans(
    settings: &KafkaSettings,
    topics: &Topics,
    bounds: &SpanBounds,
) -> Result<Vec<Span>, RunError> {
    let partitions = input_partition_count(settings, topics)?;
    let surveyor = OffsetResolver::new(settings, topics)?;
    let spans: Vec<Span> = (0..partitions)
        .map(|partition| surveyor.resolve_span(partition, &bounds.from, &bounds.to))
        .collect::<Result<_, RunError>>()?;
    if spans.iter().all(|span| span.records() == 0) {
        let problem = "nothing was written in this span; give other bounds, or `log` for the whole log";
        return Err(RunError::Span(format!("{}: {problem}", topics.events)));
    }
    Ok(spans)
}

/// Resolves span bounds to offsets.
struct OffsetResolver<'a> {
    settings: &'a KafkaSettings,
    topics: &'a Topics,
    consumer: BaseConsumer<ReaderContext>,
}

impl<'a> OffsetResolver<'a> {
    fn new(settings: &'a KafkaSettings, topics: &'a Topics) -> Result<Self, RunError> {
        Ok(Self { settings, topics, consumer: create_consumer(settings)? })
    }

    /// Resolves one partition's part of a span.
    fn resolve_span(&self, partition: u32, from: &SpanBound, to: &SpanBound) -> Result<Span, RunError> {
        let mut span = Span::default();
        let logs = [(Stream::Events, &self.topics.events), (Stream::Actions, &self.topics.actions)];
        for (stream, topic) in logs {
            let (low, high) = log_bounds(&self.consumer, topic, partition as i32)?;
            let log = low..high;
            let first = self.resolve_bound(stream, partition, from, &log)?.unwrap_or(low);
            let end = self.resolve_bound(stream, partition, to, &log)?.unwrap_or(high);
            span.first.insert(stream, first);
            span.end.insert(stream, end.max(first));
        }
        Ok(span)
    }

    /// Returns the offset of a bound; `None` for the beginning or the end of the log itself.
    fn resolve_bound(
        &self,
        stream: Stream,
        partition: u32,
        edge: &SpanBound,
        log: &Range<i64>,
    ) -> Result<Option<i64>, RunError> {
        let time = match edge {
            SpanBound::Log => return Ok(None),
            SpanBound::Time(at) => at.as_millis(),
            SpanBound::Offsets(offsets) => {
                let Some(&offset) = offsets.get(&partition) else { return Ok(None) };
                if stream == Stream::Events {
                    return self.checked_offset(partition, offset, log).map(Some);
                }
                match self.timestamp_at(partition, offset)? {
                    Some(time) => time,
                    None => return Ok(Some(log.end)),
                }
            }
        };
        offset_at_time(&self.consumer, self.topic(stream), partition as i32, time)
            .map(|at| Some(at.unwrap_or(log.end)))
    }

    fn checked_offset(&self, partition: u32, offset: i64, log: &Range<i64>) -> Result<i64, RunError> {
        if (log.start..=log.end).contains(&offset) {
            return Ok(offset);
        }
        Err(RunError::Span(format!(
            "{} [{partition}]: offset {offset} is outside the log, which has {} to {}",
            self.topics.events, log.start, log.end,
        )))
    }

    fn topic(&self, stream: Stream) -> &'a str {
        if stream == Stream::Actions { &self.topics.actions } else { &self.topics.events }
    }

    /// Returns the timestamp of the first event at an offset or after it, in milliseconds; `None` if there is
    /// none.
    fn timestamp_at(&self, partition: u32, offset: i64) -> Result<Option<i64>, RunError> {
        let topic = &self.topics.events;
        let consumer = create_consumer(self.settings)?;
        let mut wanted = TopicPartitionList::new();
        wanted
            .add_partition_offset(topic, partition as i32, Offset::Offset(offset))
            .and_then(|()| consumer.assign(&wanted))
            .map_err(client_error(format!("read {topic}")))?;
        let start = Stopwatch::start();
        while start.elapsed() < REQUEST_TIMEOUT {
            match consumer.poll(POLL_TIMEOUT) {
                Some(Ok(event)) => return Ok(event.timestamp().to_millis()),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                // The client retries by itself and has logged the problem.
                Some(Err(_)) | None => {}
            }
        }
        Err(RunError::Timeout(format!("could not read {topic} [{partition}] at offset {offset} in time")))
    }
}

/// Returns the first offset of a log and the offset after its last. Asks again for a while, because a broker
/// may not know them just after a topic was created or while its leader changes.
pub(crate) fn log_bounds(
    consumer: &impl Consumer<ReaderContext>,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), RunError> {
    let start = Stopwatch::start();
    loop {
        let watermarks = consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
        match watermarks.map_err(client_error(format!("fetch the first and last offset of {topic}"))) {
            Err(e) if e.remedy() == Remedy::Redo && start.elapsed() < LEADER_CHANGE_TIMEOUT => {
                pause(POLL_TIMEOUT);
            }
            answered => return answered,
        }
    }
}

/// Returns the first offset whose record was written at a time (milliseconds) or later; `None` if there is
/// none.
pub(crate) fn offset_at_time(
    consumer: &BaseConsumer<ReaderContext>,
    topic: &str,
    partition: i32,
    millis: i64,
) -> Result<Option<i64>, RunError> {
    let asking = || client_error(format!("look up a time in {topic}"));
    let mut requested = TopicPartitionList::new();
    requested.add_partition_offset(topic, partition, Offset::Offset(millis)).map_err(asking())?;
    let offsets = consumer.offsets_for_times(requested, REQUEST_TIMEOUT).map_err(asking())?;
    let found = offsets.find_partition(topic, partition);
    found.as_ref().map_or(Ok(()), |found| found.error()).map_err(asking())?;
    Ok(found.and_then(|found| if let Offset::Offset(at) = found.offset() { Some(at) } else { None }))
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;

    #[test]
    fn log_bounds_are_requested_again_after_a_leader_change() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let settings = KafkaSettings::local(&cluster.bootstrap_servers(), "g");
        let moving = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 6];
        cluster.request_errors(RDKafkaApiKey::ListOffsets, &moving);
        assert_eq!(log_bounds(&create_consumer(&settings).unwrap(), "t", 0).unwrap(), (0, 0));
    }
}
