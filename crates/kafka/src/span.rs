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

use crate::client::{Reading, reader};
use crate::error::Remedy;
use crate::positions::Positions;
use crate::topics::same_input_partitions;
use crate::wait::{Since, pause};
use crate::{KafkaSettings, RunError, Topics, doing};

/// Longest wait for an answer.
pub(crate) const ASK: Duration = Duration::from_secs(20);
/// A new leader is known by then.
const SETTLED: Duration = Duration::from_secs(10);
/// Wait for a record before looking at the time.
const GLANCE: Duration = Duration::from_millis(100);

/// Where a span begins, or ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edge {
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
    pub fn of(&self, stream: Stream) -> Range<i64> {
        let at = |positions: &Positions| positions.get(&stream).copied().unwrap_or_default();
        at(&self.first)..at(&self.end)
    }

    /// Records of events and actions, markers of transactions among them.
    #[must_use]
    pub fn records(&self) -> u64 {
        [Stream::Events, Stream::Actions].map(|s| self.of(s)).iter().map(|r| (r.end - r.start) as u64).sum()
    }
}

/// Between what a span lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edges {
    /// The first record.
    pub from: Edge,
    /// The record after the last.
    pub to: Edge,
}

/// Each partition's part of the span between two edges.
pub(crate) fn spans(
    (settings, topics): (&KafkaSettings, &Topics),
    edges: &Edges,
) -> Result<Vec<Span>, RunError> {
    let partitions = same_input_partitions(settings, topics)?;
    let surveyor = Surveyor::new(settings, topics)?;
    let spans: Vec<Span> = (0..partitions)
        .map(|partition| surveyor.span(partition, &edges.from, &edges.to))
        .collect::<Result<_, RunError>>()?;
    if spans.iter().all(|span| span.records() == 0) {
        let problem = "nothing was written in this span; give other edges, or `log` for all that there is";
        return Err(RunError::Topics(format!("{}: {problem}", topics.events)));
    }
    Ok(spans)
}

/// Who asks about offsets.
struct Surveyor<'a> {
    settings: &'a KafkaSettings,
    topics: &'a Topics,
    consumer: BaseConsumer<Reading>,
}

impl<'a> Surveyor<'a> {
    fn new(settings: &'a KafkaSettings, topics: &'a Topics) -> Result<Self, RunError> {
        Ok(Self { settings, topics, consumer: reader(settings)? })
    }

    /// One partition's part of the span between two edges.
    fn span(&self, partition: u32, from: &Edge, to: &Edge) -> Result<Span, RunError> {
        let mut span = Span::default();
        let logs = [(Stream::Events, &self.topics.events), (Stream::Actions, &self.topics.actions)];
        for (stream, topic) in logs {
            let (low, high) = bounds(&self.consumer, topic, partition as i32)?;
            let log = low..high;
            let first = self.offset(stream, partition, from, &log)?.unwrap_or(low);
            let end = self.offset(stream, partition, to, &log)?.unwrap_or(high);
            span.first.insert(stream, first);
            span.end.insert(stream, end.max(first));
        }
        Ok(span)
    }

    /// The offset of an edge; none where the log itself begins or ends.
    fn offset(
        &self,
        stream: Stream,
        partition: u32,
        edge: &Edge,
        log: &Range<i64>,
    ) -> Result<Option<i64>, RunError> {
        let time = match edge {
            Edge::Log => return Ok(None),
            Edge::Time(at) => at.as_millis(),
            Edge::Offsets(offsets) => {
                let Some(&offset) = offsets.get(&partition) else { return Ok(None) };
                if stream == Stream::Events {
                    return self.within(partition, offset, log).map(Some);
                }
                match self.time_of(partition, offset)? {
                    Some(time) => time,
                    None => return Ok(Some(log.end)),
                }
            }
        };
        first_since(&self.consumer, (self.topic(stream), partition as i32), time)
            .map(|at| Some(at.unwrap_or(log.end)))
    }

    fn within(&self, partition: u32, offset: i64, log: &Range<i64>) -> Result<i64, RunError> {
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
    fn time_of(&self, partition: u32, offset: i64) -> Result<Option<i64>, RunError> {
        let topic = &self.topics.events;
        let consumer = reader(self.settings)?;
        let mut wanted = TopicPartitionList::new();
        wanted
            .add_partition_offset(topic, partition as i32, Offset::Offset(offset))
            .and_then(|()| consumer.assign(&wanted))
            .map_err(doing(format!("read {topic}")))?;
        let start = Since::now();
        while start.elapsed() < ASK {
            match consumer.poll(GLANCE) {
                Some(Ok(event)) => return Ok(event.timestamp().to_millis()),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                // The client tries again by itself and has told what is wrong.
                Some(Err(_)) | None => {}
            }
        }
        Err(RunError::Late(format!("{topic} [{partition}] could not be read at offset {offset}")))
    }
}

/// Where a log begins and ends. For a moment after a topic was made, and while it changes its leader, the broker that is asked
/// does not know, and is asked again.
pub(crate) fn bounds(
    consumer: &impl Consumer<Reading>,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), RunError> {
    let start = Since::now();
    loop {
        let told = consumer.fetch_watermarks(topic, partition, ASK);
        match told.map_err(doing(format!("ask where {topic} begins and ends"))) {
            Err(e) if e.remedy() == Remedy::Redo && start.elapsed() < SETTLED => pause(GLANCE),
            told => return told,
        }
    }
}

/// The first offset whose record was written at a time or later; none when there is no such record.
pub(crate) fn first_since(
    consumer: &BaseConsumer<Reading>,
    (topic, partition): (&str, i32),
    millis: i64,
) -> Result<Option<i64>, RunError> {
    let asking = || doing(format!("ask {topic} for a time"));
    let mut asked = TopicPartitionList::new();
    asked.add_partition_offset(topic, partition, Offset::Offset(millis)).map_err(asking())?;
    let told = consumer.offsets_for_times(asked, ASK).map_err(asking())?;
    let found = told.find_partition(topic, partition);
    found.as_ref().map_or(Ok(()), |found| found.error()).map_err(asking())?;
    Ok(found.and_then(|found| if let Offset::Offset(at) = found.offset() { Some(at) } else { None }))
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;

    #[test]
    fn a_log_that_changes_its_leader_is_asked_again() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let settings = KafkaSettings::local(&cluster.bootstrap_servers(), "g");
        let moving = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 6];
        cluster.request_errors(RDKafkaApiKey::ListOffsets, &moving);
        assert_eq!(bounds(&reader(&settings).unwrap(), "t", 0).unwrap(), (0, 0));
    }
}
