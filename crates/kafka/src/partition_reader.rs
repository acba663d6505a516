//! One partition of a stream as it is read, with where it has come to.
//!
//! It has a queue of its own, because the client tells the end of a partition without its topic.

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

/// Longer than a partition is without a leader, by far.
const LEADER_FAILOVER_TIME: Duration = Duration::from_secs(20);
/// Between the last record and a partition's end there may be markers of transactions, which are never handed out.
/// A record that is there comes within this time.
pub(crate) const TRANSACTION_MARKER_GRACE: Duration = Duration::from_millis(50);

/// One stream's partition.
pub(crate) struct PartitionReader {
    pub stream: Stream,
    pub topic: String,
    pub queue: PartitionQueue<ReaderContext>,
    /// Nothing is read from here on; the log's end when there is none.
    pub stop_offset: Option<i64>,
    /// The offset after the last record handed out.
    pub next_offset: Cell<i64>,
    /// Nothing follows the last record handed out, as far as was known then.
    pub at_eof: Cell<bool>,
    /// The end of the log as last asked for, and since when it is there.
    pub end_offset: Cell<i64>,
    pub end_since: Cell<Stopwatch>,
}

impl PartitionReader {
    /// One that will be read from a position up to an end, if one is given. It takes its queue before the consumer is assigned
    /// to it: what is fetched sooner would come by way of the consumer.
    pub fn open(
        consumer: &Arc<BaseConsumer<ReaderContext>>,
        (topic, partition): (&str, i32),
        stream: Stream,
        (from, until): (i64, Option<i64>),
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

    /// The next record, if one comes in time.
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

    /// How long a tail is waited for before it is taken for markers. Events may be held up while their partition changes
    /// its leader, and no action may overtake them.
    fn end_grace(&self) -> Duration {
        if self.stream == Stream::Events { LEADER_FAILOVER_TIME } else { TRANSACTION_MARKER_GRACE }
    }

    /// Whether it is read to the end last asked for. What is left at an end that has been there for a while is markers.
    pub fn at_end(&self) -> bool {
        self.next_offset.get() >= self.end_offset.get()
            || (self.at_eof.get() && self.end_since.get().elapsed() >= self.end_grace())
    }

    /// Whether nothing more comes of one that has an end. Before that end there may be markers, so the log's own counts too.
    pub fn is_exhausted(&self) -> bool {
        self.at_eof.get() || self.stop_offset.is_some_and(|until| self.next_offset.get() >= until)
    }
}

/// Lets the client do what it has to. A record that came this way came before its stream had a queue of its own.
pub(crate) fn poll_client(consumer: &BaseConsumer<ReaderContext>) -> Result<(), RunError> {
    match consumer.poll(Duration::ZERO) {
        None => Ok(()),
        Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => {
            Err(RunError::Timeout("a record came before it could be told whose it is".into()))
        }
        Some(Err(e)) => check_error(e, "the topics"),
    }
}

/// Most of what the client reports it mends by itself; what it cannot mend is an error.
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
