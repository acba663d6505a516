//! The events and actions of a span, all partitions in one order.
//!
//! Within a partition they go as a task takes them. Across partitions they go by event time, as brands see it: a partition
//! that was written sooner does not run ahead. Like a replay it is nobody's member and commits no offsets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use firewatch_domain::EventTime;
use firewatch_engine::{Decoded, Input, Record, Stream};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::client::{Reading, reader};
use crate::lane::{Lane, serve};
use crate::merge::{Turn, turn};
use crate::span::{Edges, Span, spans};
use crate::wait::Since;
use crate::{Formats, KafkaSettings, RunError, Topics, doing};

/// Longest wait for records that are known to be there.
const ASK: Duration = Duration::from_secs(30);
/// Wait for a record before looking at the time.
const GLANCE: Duration = Duration::from_millis(20);

/// A record of a span.
#[derive(Debug)]
pub struct Taken {
    /// The place of its log among [`Recording::logs`].
    pub log: usize,
    /// Its offset there.
    pub offset: i64,
    /// What it is, or why it cannot be taken.
    pub record: Decoded,
}

/// A record, and when it was written.
type Head = Option<(i64, Taken)>;

/// One partition of both streams.
struct Partition {
    events: Lane,
    actions: Lane,
    /// The next event and the next action.
    heads: [Head; 2],
    /// The latest event time so far, that of its next record included.
    clock: EventTime,
    /// Whose turn it is.
    next: Option<Turn>,
}

/// The records of a span, in order.
pub struct Recording {
    consumer: Arc<BaseConsumer<Reading>>,
    formats: Formats,
    logs: Vec<String>,
    records: u64,
    partitions: Vec<Partition>,
    /// The order of the partitions whose next record is at hand.
    turns: BinaryHeap<Reverse<(EventTime, usize)>>,
    /// Partitions whose next record is not read yet.
    behind: Vec<usize>,
}

impl Recording {
    /// Finds the span and begins to read it.
    ///
    /// # Errors
    /// When no broker answers, or the span is empty or not in the log.
    pub fn open(live: (&KafkaSettings, &Topics), edges: &Edges) -> Result<Self, RunError> {
        let (settings, topics) = live;
        let spans = spans(live, edges)?;
        let consumer = Arc::new(reader(settings)?);
        let streams = [(topics.events.as_str(), Stream::Events), (topics.actions.as_str(), Stream::Actions)];
        let mut wanted = TopicPartitionList::new();
        for (i, span) in (0..).zip(&spans) {
            for (topic, stream) in streams {
                let from = Offset::Offset(span.of(stream).start);
                wanted.add_partition_offset(topic, i, from).map_err(doing("start reading"))?;
            }
        }
        let mut partitions = Vec::new();
        for (i, span) in (0..).zip(&spans) {
            let lane = |(topic, stream)| {
                let span = span.of(stream);
                Lane::open(&consumer, (topic, i), stream, (span.start, Some(span.end)))
            };
            let [events, actions] = streams.map(lane);
            let (events, actions, heads) = (events?, actions?, [None, None]);
            partitions.push(Partition { events, actions, heads, clock: EventTime::EARLIEST, next: None });
        }
        consumer.assign(&wanted).map_err(doing("start reading"))?;
        let names = |i: usize| streams.map(|(topic, _)| format!("{topic} [{i}]"));
        Ok(Self {
            consumer,
            formats: settings.formats.clone(),
            logs: (0..spans.len()).flat_map(names).collect(),
            records: spans.iter().map(Span::records).sum(),
            behind: (0..partitions.len()).collect(),
            partitions,
            turns: BinaryHeap::new(),
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
    fn catch_up(&mut self) -> Result<(), RunError> {
        let start = Since::now();
        while let Some(&i) = self.behind.last() {
            if self.partitions[i].catch_up(i, &self.formats)? {
                self.behind.pop();
                let Partition { clock, next, .. } = &self.partitions[i];
                self.turns.extend(next.map(|_| Reverse((*clock, i))));
                continue;
            }
            serve(&self.consumer)?;
            if start.elapsed() > ASK {
                let problem = format!("{} could not be read to its end", self.logs[2 * i]);
                return Err(RunError::Late(problem));
            }
        }
        Ok(())
    }
}

impl Partition {
    /// Reads the next event and the next action; tells whether both are at hand, as far as there are any.
    fn catch_up(&mut self, i: usize, formats: &Formats) -> Result<bool, RunError> {
        let logs = (2 * i..).zip([&self.events, &self.actions]);
        for ((log, lane), head) in logs.zip(&mut self.heads) {
            if head.is_none() && !lane.is_over() {
                let next = lane.next(GLANCE)?;
                *head = next.map(|message| taken((log, lane.stream), &message, formats)).transpose()?;
                if head.is_none() && !lane.is_over() {
                    return Ok(false);
                }
            }
        }
        let [event, action] = self.heads.each_ref().map(|head| head.as_ref().map(|(written, _)| *written));
        self.next = turn(event, action, true);
        let at = self.next.and_then(|next| self.head(next).as_ref()?.1.record.as_ref().map(Record::at).ok());
        self.clock = self.clock.max(at.unwrap_or(self.clock));
        Ok(true)
    }

    fn head(&mut self, turn: Turn) -> &mut Head {
        let [event, action] = &mut self.heads;
        if turn == Turn::Event { event } else { action }
    }
}

impl Iterator for Recording {
    type Item = Result<Taken, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(e) = self.catch_up() {
            return Some(Err(e));
        }
        let Reverse((_, i)) = self.turns.pop()?;
        self.behind.push(i);
        let partition = &mut self.partitions[i];
        let turn = partition.next.take()?;
        partition.head(turn).take().map(|(_, taken)| Ok(taken))
    }
}

fn taken(
    (log, stream): (usize, Stream),
    message: &BorrowedMessage<'_>,
    formats: &Formats,
) -> Result<(i64, Taken), RunError> {
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
    Ok((message.timestamp().to_millis().unwrap_or_default(), Taken { log, offset: message.offset(), record }))
}
