//! A span of the input: which records of each partition are read once more.
//!
//! It is given for the events; actions go along by time, as they do when tasks take the two in order.

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

/// Longest wait for an answer.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// A new leader is known by then.
const LEADER_CHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Wait for a record before looking at the time.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// Where a span begins, or ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanBound {
    /// Where the log begins, for a beginning; where it ends by now, for an end.
    Log,
    /// At the first record that was written at this time or later.
    Time(EventTime),
    /// At these offsets of the events' partitions; where the log begins or ends, for those left out.
    Offsets(BTreeMap<u32, i64>),
}

/// One partition's part of a span: of each stream, the first offset, and the one after the last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Span {
    pub(crate) first: Positions,
    pub(crate) end: Positions,
}

impl Span {
    /// The offsets of a stream.
    #[must_use]
    pub fn offsets(&self, stream: Stream) -> Range<i64> {
        let at = |positions: &Positions| positions.get(&stream).copied().unwrap_or_default();
        at(&self.first)..at(&self.end)
    }

    /// Records of events and actions, markers of transactions among them.
    #[must_use]
    pub fn records(&self) -> u64 {
        [Stream::Events, Stream::Actions]
            .map(|s| self.offsets(s))
            .iter()
            .map(|r| (r.end - r.start) as u64)
            .sum()
    }
}

/// Between what a span lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanBounds {
    /// The first record.
    pub from: SpanBound,
    /// The record after the last.
    pub to: SpanBound,
}

/// Each partition's part of the span between two edges.
pub(crate) fn resolve_spans(
    (settings, topics): (&KafkaSettings, &Topics),
    bounds: &SpanBounds,
) -> Result<Vec<Span>, RunError> {
    let partitions = input_partition_count(settings, topics)?;
    let surveyor = OffsetResolver::new(settings, topics)?;
    let spans: Vec<Span> = (0..partitions)
        .map(|partition| surveyor.resolve_span(partition, &bounds.from, &bounds.to))
        .collect::<Result<_, RunError>>()?;
    if spans.iter().all(|span| span.records() == 0) {
        let problem = "nothing was written in this span; give other edges, or `log` for all that there is";
        return Err(RunError::Topics(format!("{}: {problem}", topics.events)));
    }
    Ok(spans)
}

/// Who asks about offsets.
struct OffsetResolver<'a> {
    settings: &'a KafkaSettings,
    topics: &'a Topics,
    consumer: BaseConsumer<ReaderContext>,
}

impl<'a> OffsetResolver<'a> {
    fn new(settings: &'a KafkaSettings, topics: &'a Topics) -> Result<Self, RunError> {
        Ok(Self { settings, topics, consumer: create_consumer(settings)? })
    }

    /// One partition's part of the span between two edges.
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

    /// The offset of an edge; none where the log itself begins or ends.
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
        offset_at_time(&self.consumer, (self.topic(stream), partition as i32), time)
            .map(|at| Some(at.unwrap_or(log.end)))
    }

    fn checked_offset(&self, partition: u32, offset: i64, log: &Range<i64>) -> Result<i64, RunError> {
        if (log.start..=log.end).contains(&offset) {
            return Ok(offset);
        }
        Err(RunError::Topics(format!(
            "{} [{partition}] has the offsets {} to {}, and {offset} is not among them",
            self.topics.events, log.start, log.end,
        )))
    }

    fn topic(&self, stream: Stream) -> &'a str {
        if stream == Stream::Actions { &self.topics.actions } else { &self.topics.events }
    }

    /// When the first event at an offset or after it was written, milliseconds; none when there is none.
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
                // The client tries again by itself and has told what is wrong.
                Some(Err(_)) | None => {}
            }
        }
        Err(RunError::Timeout(format!("{topic} [{partition}] could not be read at offset {offset}")))
    }
}

/// Where a log begins and ends. For a moment after a topic was made, and while it changes its leader, the broker that is asked
/// does not know, and is asked again.
pub(crate) fn log_bounds(
    consumer: &impl Consumer<ReaderContext>,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), RunError> {
    let start = Stopwatch::start();
    loop {
        let watermarks = consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
        match watermarks.map_err(client_error(format!("ask where {topic} begins and ends"))) {
            Err(e) if e.remedy() == Remedy::Redo && start.elapsed() < LEADER_CHANGE_TIMEOUT => {
                pause(POLL_TIMEOUT);
            }
            answered => return answered,
        }
    }
}

/// The first offset whose record was written at a time or later; none when there is no such record.
pub(crate) fn offset_at_time(
    consumer: &BaseConsumer<ReaderContext>,
    (topic, partition): (&str, i32),
    millis: i64,
) -> Result<Option<i64>, RunError> {
    let asking = || client_error(format!("ask {topic} for a time"));
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
