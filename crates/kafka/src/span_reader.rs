//! Reads the events and actions of a span, with all partitions merged into one order.
//!
//! Within a partition the order is that of a task. Across partitions it is by event time, as brands see it,
//! so that a partition written sooner does not run ahead. Like a replay, the reader joins no group and
//! commits no offsets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use firewatch_domain::EventTime;
use firewatch_engine::{DecodeResult, Record, Stream};
use rdkafka::consumer::Consumer;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::backoff::Stopwatch;
use crate::client_context::create_consumer;
use crate::headers::to_input;
use crate::kafka_log::KafkaQueue;
use crate::log::RecordQueue;
use crate::merge::{NextInput, next_input};
use crate::partition_reader::PartitionReader;
use crate::span::{Span, SpanBounds, resolve_spans};
use crate::{Formats, KafkaSettings, RunError, Topics, client_error};

/// Longest wait for records that are known to exist.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a record before the timeout is checked.
const POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// A record of a span.
#[derive(Debug)]
pub struct SpanRecord {
    /// Index of its log in [`SpanReader::logs`].
    pub log: usize,
    /// Its offset there.
    pub offset: i64,
    /// The decoded record, or the reason for its rejection.
    pub record: DecodeResult,
}

/// A record with its Kafka timestamp in milliseconds; `None` until it is read.
type PendingRecord = Option<(i64, SpanRecord)>;

/// One partition of the events and of the actions.
struct Partition {
    events: PartitionReader,
    actions: PartitionReader,
    /// The next event and the next action.
    heads: [PendingRecord; 2],
    /// Latest event time so far, including that of the next record.
    event_time: EventTime,
    /// The stream whose record comes next.
    next_input: Option<NextInput>,
}

/// Iterates over the records of a span in order.
pub struct SpanReader {
    formats: Formats,
    logs: Vec<String>,
    records: u64,
    partitions: Vec<Partition>,
    /// Partitions whose next record is read, ordered by event time.
    ready: BinaryHeap<Reverse<(EventTime, usize)>>,
    /// Partitions whose next record is not read yet.
    unread: Vec<usize>,
}

impl SpanReader {
    /// Resolves the bounds of the span and starts to read it.
    ///
    /// # Errors
    /// When no broker answers, or the span is empty or not within the log.
    pub fn open(settings: &KafkaSettings, topics: &Topics, bounds: &SpanBounds) -> Result<Self, RunError> {
        let spans = resolve_spans(settings, topics, bounds)?;
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
                let (queue, span) = (KafkaQueue::split_from(&consumer, topic, i)?, span.offsets(stream));
                Ok(PartitionReader::new(queue, topic, stream, span.start, Some(span.end)))
            };
            let [events, actions]: [Result<_, RunError>; 2] = streams.map(open_reader);
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
            formats: settings.formats.clone(),
            logs: (0..spans.len()).flat_map(names).collect(),
            records: spans.iter().map(Span::records).sum(),
            unread: (0..partitions.len()).collect(),
            partitions,
            ready: BinaryHeap::new(),
        })
    }

    /// Returns the logs that are read, each as a topic and its partition.
    #[must_use]
    pub fn logs(&self) -> &[String] {
        &self.logs
    }

    /// Returns the number of records in the span, including transaction markers.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Reads until the next record of every partition is read, or the partition has no more.
    fn fill_all(&mut self) -> Result<(), RunError> {
        let start = Stopwatch::start();
        while let Some(&i) = self.unread.last() {
            if self.partitions[i].fill_heads(i, &self.formats)? {
                self.unread.pop();
                let Partition { event_time: clock, next_input: next, .. } = &self.partitions[i];
                self.ready.extend(next.map(|_| Reverse((*clock, i))));
                continue;
            }
            self.partitions[i].events.queue.service_client()?;
            if start.elapsed() > READ_TIMEOUT {
                let problem = format!("could not read {} to its end in time", self.logs[2 * i]);
                return Err(RunError::Timeout(problem));
            }
        }
        Ok(())
    }
}

impl Partition {
    /// Reads the next event and the next action. Returns whether both are read, as far as there are any.
    fn fill_heads(&mut self, i: usize, formats: &Formats) -> Result<bool, RunError> {
        let logs = (2 * i..).zip([&self.events, &self.actions]);
        for ((log, reader), head) in logs.zip(&mut self.heads) {
            if head.is_none() && !reader.is_exhausted() {
                let next = reader.poll(POLL_TIMEOUT)?;
                *head =
                    next.map(|message| decode_record(log, reader.stream, &message, formats)).transpose()?;
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
    log: usize,
    stream: Stream,
    message: &BorrowedMessage<'_>,
    formats: &Formats,
) -> Result<(i64, SpanRecord), RunError> {
    let record = formats.decode(&to_input(stream, message, None, || EventTime::END))?;
    Ok((
        message.timestamp().to_millis().unwrap_or_default(),
        SpanRecord { log, offset: message.offset(), record },
    ))
}
