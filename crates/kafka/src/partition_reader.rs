//! Reads one partition of a stream and tracks the position in it.
//!
//! Each partition has its own client queue, because the client reports the end of a partition without its
//! topic.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use firewatch_engine::Stream;
use rdkafka::Message;
use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;

use crate::RunError;
use crate::backoff::Stopwatch;
use crate::client_context::ReaderContext;

/// Much longer than a partition is without a leader during a failover.
const LEADER_FAILOVER_TIME: Duration = Duration::from_secs(20);
/// Wait after which a gap before the end offset counts as transaction markers, which the client never
/// delivers. A record that exists arrives within this time.
pub(crate) const TRANSACTION_MARKER_GRACE: Duration = Duration::from_millis(50);

/// Reads one partition of one stream's topic.
pub(crate) struct PartitionReader {
    pub stream: Stream,
    pub topic: String,
    pub queue: PartitionQueue<ReaderContext>,
    /// Where to stop reading, exclusive; `None` follows the log.
    pub stop_offset: Option<i64>,
    /// The offset after the last record delivered.
    pub next_offset: Cell<i64>,
    /// Whether the client reported the end of the log after the last record delivered.
    pub at_eof: Cell<bool>,
    /// End offset of the log as fetched last, and when it last changed.
    pub end_offset: Cell<i64>,
    pub end_since: Cell<Stopwatch>,
}

impl PartitionReader {
    /// Opens a reader from the offset `from` up to `until`, if given. Call this before the consumer is
    /// assigned the partition: records fetched earlier would arrive on the consumer's own queue.
    pub fn open(
        consumer: &Arc<BaseConsumer<ReaderContext>>,
        topic: &str,
        partition: i32,
        stream: Stream,
        from: i64,
        until: Option<i64>,
    ) -> Result<Self, RunError> {
        let queue = consumer
            .split_partition_queue(topic, partition)
            .ok_or_else(|| RunError::Topics(format!("{topic} has no partition {partition}")))?;
        Ok(Self {
            stream,
            topic: topic.to_owned(),
            queue,
            stop_offset: until,
            next_offset: Cell::new(from),
            at_eof: Cell::new(false),
            end_offset: Cell::new(until.unwrap_or_default()),
            end_since: Cell::new(Stopwatch::start()),
        })
    }

    /// Returns the next record, if one arrives within `wait`.
    pub fn poll(&self, wait: Duration) -> Result<Option<BorrowedMessage<'_>>, RunError> {
        let is_beyond = |offset: i64| self.stop_offset.is_some_and(|until| offset >= until);
        if is_beyond(self.next_offset.get()) {
            return Ok(None);
        }
        match self.queue.poll(wait) {
            None => Ok(None),
            Some(Ok(message)) => {
                self.next_offset.set(message.offset() + 1);
                self.at_eof.set(false);
                Ok(Some(message).filter(|m| !is_beyond(m.offset())))
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {
                self.at_eof.set(true);
                Ok(None)
            }
            Some(Err(e)) => check_error(e, &self.topic).map(|()| None),
        }
    }

    /// How long a gap before the end offset is waited for before it counts as transaction markers. Events may
    /// be held up while their partition changes its leader, and no action may overtake them.
    fn end_grace(&self) -> Duration {
        if self.stream == Stream::Events { LEADER_FAILOVER_TIME } else { TRANSACTION_MARKER_GRACE }
    }

    /// Returns whether the log is read up to the end offset fetched last. A gap before an end offset that has
    /// been unchanged for a while consists of transaction markers.
    pub fn at_end(&self) -> bool {
        self.next_offset.get() >= self.end_offset.get()
            || (self.at_eof.get() && self.end_since.get().elapsed() >= self.end_grace())
    }

    /// Returns whether a reader with a stop offset has delivered all its records. Transaction markers may
    /// precede that offset, so the end of the log counts too.
    pub fn is_exhausted(&self) -> bool {
        self.at_eof.get() || self.stop_offset.is_some_and(|until| self.next_offset.get() >= until)
    }
}

/// Lets the client do its background work. A record on the consumer's own queue arrived before its partition
/// had a queue, which is an error.
pub(crate) fn poll_client(consumer: &BaseConsumer<ReaderContext>) -> Result<(), RunError> {
    match consumer.poll(Duration::ZERO) {
        None => Ok(()),
        Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => {
            Err(RunError::Timeout("received a record before its partition queue was set up".into()))
        }
        Some(Err(e)) => check_error(e, "the topics"),
    }
}

/// Returns an error only for problems that the client cannot resolve by itself.
fn check_error(e: KafkaError, what: &str) -> Result<(), RunError> {
    let lasting = matches!(
        e.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
        )
    ) || matches!(e, KafkaError::MessageConsumptionFatal(_));
    if lasting { Err(RunError::Client(format!("read {what}"), e)) } else { Ok(()) }
}
