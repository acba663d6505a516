//! The events and actions of a span, all partitions in one order.
//!
//! Within a partition they go as a task takes them. Across partitions they go by event time, as brands see it: a partition
//! that was written sooner does not run ahead. Like a replay it is nobody's member and commits no offsets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use firewatch_domain::EventTime;
use firewatch_engine::{DecodeResult, Input, Record, Stream};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::backoff::Stopwatch;
use crate::client_context::{ReaderContext, create_consumer};
use crate::merge::{NextInput, next_input};
use crate::partition_reader::{PartitionReader, poll_client};
use crate::span::{Span, SpanBounds, resolve_spans};
use crate::{Formats, KafkaSettings, RunError, Topics, client_error};

/// Longest wait for records that are known to be there.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Wait for a record before looking at the time.
const POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// A record of a span.
#[derive(Debug)]
pub struct SpanRecord {
    /// The place of its log among [`Recording::logs`].
    pub log: usize,
    /// Its offset there.
    pub offset: i64,
    /// What it is, or why it cannot be taken.
    pub record: DecodeResult,
}

/// A record, and when it was written.
type PendingRecord = Option<(i64, SpanRecord)>;

/// One partition of both streams.
struct Partition {
    events: PartitionReader,
    actions: PartitionReader,
    /// The next event and the next action.
    heads: [PendingRecord; 2],
    /// The latest event time so far, that of its next record included.
    event_time: EventTime,
    /// Whose turn it is.
    next_input: Option<NextInput>,
}

/// The records of a span, in order.
pub struct SpanReader {
    consumer: Arc<BaseConsumer<ReaderContext>>,
    formats: Formats,
    logs: Vec<String>,
    records: u64,
    partitions: Vec<Partition>,
    /// The order of the partitions whose next record is at hand.
    ready: BinaryHeap<Reverse<(EventTime, usize)>>,
    /// Partitions whose next record is not read yet.
    unread: Vec<usize>,
}

impl SpanReader {
    /// Finds the span and begins to read it.
    ///
    /// # Errors
    /// When no broker answers, or the span is empty or not in the log.
    pub fn open(live: (&KafkaSettings, &Topics), edges: &SpanBounds) -> Result<Self, RunError> {
        let (settings, topics) = live;
        let spans = resolve_spans(live, edges)?;
        let consumer = Arc::new(create_consumer(settings)?);
        let streams = [(topics.events.as_str(), Stream::Events), (topics.actions.as_str(), Stream::Actions)];
        let mut wanted = TopicPartitionList::new();
        for (i, span) in (0..).zip(&spans) {
            for (topic, stream) in streams {
                let from = Offset::Offset(span.offsets(stream).start);
                wanted.add_partition_offset(topic, i, from).map_err(client_error("start reading"))?;
            }
        }
        let mut partitions = Vec::new();
        for (i, span) in (0..).zip(&spans) {
            let open_reader = |(topic, stream)| {
                let span = span.offsets(stream);
                PartitionReader::open(&consumer, (topic, i), stream, (span.start, Some(span.end)))
            };
            let [events, actions] = streams.map(open_reader);
            let (events, actions, heads) = (events?, actions?, [None, None]);
            partitions.push(Partition {
                events,
                actions,
                heads,
                event_time: EventTime::EARLIEST,
                next_input: None,
            });
        }
        consumer.assign(&wanted).map_err(client_error("start reading"))?;
        let names = |i: usize| streams.map(|(topic, _)| format!("{topic} [{i}]"));
        Ok(Self {
            consumer,
            formats: settings.formats.clone(),
            logs: (0..spans.len()).flat_map(names).collect(),
            records: spans.iter().map(Span::records).sum(),
            unread: (0..partitions.len()).collect(),
            partitions,
            ready: BinaryHeap::new(),
        })
    }

    /// The logs that are read, each a topic and its partition.
    #[must_use]
    pub fn logs(&self) -> &[String] {
        &self.logs
    }

    /// How many records there are, markers of transactions among them.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Reads on until every partition has its next record at hand, or none.
    fn fill_all(&mut self) -> Result<(), RunError> {
        let start = Stopwatch::start();
        while let Some(&i) = self.unread.last() {
            if self.partitions[i].fill_heads(i, &self.formats)? {
                self.unread.pop();
                let Partition { event_time: clock, next_input: next, .. } = &self.partitions[i];
                self.ready.extend(next.map(|_| Reverse((*clock, i))));
                continue;
            }
            poll_client(&self.consumer)?;
            if start.elapsed() > READ_TIMEOUT {
                let problem = format!("{} could not be read to its end", self.logs[2 * i]);
                return Err(RunError::Timeout(problem));
            }
        }
        Ok(())
    }
}

impl Partition {
    /// Reads the next event and the next action; tells whether both are at hand, as far as there are any.
    fn fill_heads(&mut self, i: usize, formats: &Formats) -> Result<bool, RunError> {
        let logs = (2 * i..).zip([&self.events, &self.actions]);
        for ((log, reader), head) in logs.zip(&mut self.heads) {
            if head.is_none() && !reader.is_exhausted() {
                let next = reader.poll(POLL_TIMEOUT)?;
                *head =
                    next.map(|message| decode_record((log, reader.stream), &message, formats)).transpose()?;
                if head.is_none() && !reader.is_exhausted() {
                    return Ok(false);
                }
            }
        }
        let [event, action] = self.heads.each_ref().map(|head| head.as_ref().map(|(written, _)| *written));
        self.next_input = next_input(event, action, true);
        let at = self
            .next_input
            .and_then(|next| self.head_mut(next).as_ref()?.1.record.as_ref().map(Record::at).ok());
        self.event_time = self.event_time.max(at.unwrap_or(self.event_time));
        Ok(true)
    }

    fn head_mut(&mut self, input: NextInput) -> &mut PendingRecord {
        let [event, action] = &mut self.heads;
        if input == NextInput::Event { event } else { action }
    }
}

impl Iterator for SpanReader {
    type Item = Result<SpanRecord, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(e) = self.fill_all() {
            return Some(Err(e));
        }
        let Reverse((_, i)) = self.ready.pop()?;
        self.unread.push(i);
        let partition = &mut self.partitions[i];
        let input = partition.next_input.take()?;
        partition.head_mut(input).take().map(|(_, record)| Ok(record))
    }
}

fn decode_record(
    (log, stream): (usize, Stream),
    message: &BorrowedMessage<'_>,
    formats: &Formats,
) -> Result<(i64, SpanRecord), RunError> {
    let record = formats.decode(&Input {
        stream,
        topic: message.topic(),
        partition: u32::try_from(message.partition()).unwrap_or_default(),
        offset: message.offset(),
        arrival: message.timestamp().to_millis().map_or(EventTime::END, EventTime::from_millis),
        key: message.key(),
        trace: None,
        value: message.payload().unwrap_or_default(),
    })?;
    Ok((
        message.timestamp().to_millis().unwrap_or_default(),
        SpanRecord { log, offset: message.offset(), record },
    ))
}
