//! The log as Kafka: transactional producers, and a client queue for each partition that is read.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};

use crate::client_context::{ReaderContext, create_consumer};
use crate::end_offsets::EndOffsets;
use crate::log::{Log, Polled, ReadStart, RecordQueue};
use crate::span::log_bounds;
use crate::transactional_producer::TransactionalProducer;
use crate::{KafkaSettings, RunError, client_error};

/// Longest wait for a seek.
const SEEK_TIMEOUT: Duration = Duration::from_secs(10);

/// A Kafka cluster, as the workers of a process use it.
pub(crate) struct KafkaLog {
    settings: KafkaSettings,
    end_offsets: EndOffsets,
}

impl KafkaLog {
    /// Creates the clients that all workers share; nothing is connected yet.
    pub fn new(settings: &KafkaSettings) -> Result<Self, RunError> {
        Ok(Self { settings: settings.clone(), end_offsets: EndOffsets::new(settings)? })
    }
}

impl Log for KafkaLog {
    type Writer = TransactionalProducer;
    type Queue = KafkaQueue;

    fn open_writer(&self, partition: u32) -> Result<TransactionalProducer, RunError> {
        TransactionalProducer::open(&self.settings, partition)
    }

    fn open_queues(&self, partition: u32, starts: &[ReadStart<'_>]) -> Result<Vec<KafkaQueue>, RunError> {
        let consumer = Arc::new(create_consumer(&self.settings)?);
        let partition = partition as i32;
        let (mut queues, mut assigned) = (Vec::new(), TopicPartitionList::new());
        for start in starts {
            queues.push(KafkaQueue::split_from(&consumer, start.topic, partition)?);
            assigned
                .add_partition_offset(start.topic, partition, start.offset)
                .map_err(client_error("start reading"))?;
        }
        consumer.assign(&assigned).map_err(client_error("start reading"))?;
        Ok(queues)
    }

    fn bounds(&self, topics: &[&str], partition: u32) -> Result<Vec<Range<i64>>, RunError> {
        // A new client, because an old one may hold leaders that have changed since.
        let consumer = create_consumer(&self.settings)?;
        let bounds = |topic: &&str| {
            let (low, high) = log_bounds(&consumer, topic, partition as i32)?;
            Ok(low..high)
        };
        topics.iter().map(bounds).collect()
    }

    fn end_offsets(&self, topics: &[&str], partition: u32) -> Result<Vec<i64>, RunError> {
        self.end_offsets.fetch(topics, partition as i32)
    }
}

/// A client's queue for one partition. The client reports the end of a partition without its topic, so each
/// partition has a queue of its own.
pub(crate) struct KafkaQueue {
    consumer: Arc<BaseConsumer<ReaderContext>>,
    topic: String,
    partition: i32,
    queue: PartitionQueue<ReaderContext>,
}

impl KafkaQueue {
    /// Splits the queue of a partition from a consumer's own. Call this before the consumer is assigned the
    /// partition: records fetched earlier would arrive on the consumer's own queue.
    pub fn split_from(
        consumer: &Arc<BaseConsumer<ReaderContext>>,
        topic: &str,
        partition: i32,
    ) -> Result<Self, RunError> {
        let queue = consumer
            .split_partition_queue(topic, partition)
            .ok_or_else(|| RunError::Topics(format!("{topic} has no partition {partition}")))?;
        Ok(Self { consumer: consumer.clone(), topic: topic.to_owned(), partition, queue })
    }
}

impl RecordQueue for KafkaQueue {
    type Record<'a> = BorrowedMessage<'a>;

    fn poll(&self, wait: Duration) -> Result<Polled<BorrowedMessage<'_>>, RunError> {
        match self.queue.poll(wait) {
            None => Ok(Polled::Nothing),
            Some(Ok(message)) => Ok(Polled::Record(message)),
            Some(Err(KafkaError::PartitionEOF(_))) => Ok(Polled::EndOfLog),
            Some(Err(e)) => check_error(e, &self.topic).map(|()| Polled::Nothing),
        }
    }

    fn seek(&self, offset: i64) -> Result<(), RunError> {
        self.consumer
            .seek(&self.topic, self.partition, Offset::Offset(offset), SEEK_TIMEOUT)
            .map_err(client_error(format!("read {} to its end", self.topic)))
    }

    fn service_client(&self) -> Result<(), RunError> {
        service_client(&self.consumer)
    }

    fn detach(record: &BorrowedMessage<'_>) -> OwnedMessage {
        record.detach()
    }
}

/// Lets a client do its background work. A record on the consumer's own queue arrived before its partition
/// had a queue, which is an error.
fn service_client(consumer: &BaseConsumer<ReaderContext>) -> Result<(), RunError> {
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
