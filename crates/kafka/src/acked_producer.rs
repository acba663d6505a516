//! A producer that reports the delivery of each record separately.
//!
//! Collectors use it, because they must not acknowledge a payload before the brokers have it.

use std::future::Future;
use std::time::Duration;

use rdkafka::Message;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::message::Headers;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::client_context::{DeliveryContext, create_consumer};
use crate::headers::to_kafka_headers;
use crate::span::log_bounds;
use crate::{KafkaSettings, RunError, client_error};

/// Longest wait for room in the producer's queue.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the last record of a log.
const LAST_RECORD_TIMEOUT: Duration = Duration::from_secs(5);

/// Writes records and waits for each one's acknowledgement.
#[derive(Clone)]
pub struct AckedProducer {
    producer: FutureProducer<SharedDeliveryContext>,
}

/// Logs the client's messages and errors; clones share one context.
#[derive(Clone, Default)]
struct SharedDeliveryContext(std::sync::Arc<DeliveryContext>);

impl rdkafka::client::ClientContext for SharedDeliveryContext {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl AckedProducer {
    /// Creates the producer.
    ///
    /// # Errors
    /// When the client refuses a setting.
    pub fn new(settings: &KafkaSettings) -> Result<Self, RunError> {
        let made = settings.producer_config(None).create_with_context(SharedDeliveryContext::default());
        Ok(Self { producer: made.map_err(client_error("create the producer"))? })
    }

    /// Writes a record. The future resolves once the brokers have acknowledged it or it has failed.
    pub fn send(
        &self,
        topic: String,
        value: Vec<u8>,
        headers: &[(&'static str, String)],
    ) -> impl Future<Output = Result<(), RunError>> + Send + use<> {
        let headers = to_kafka_headers(headers);
        // Queued at once where there is room, so that records keep their order.
        let record = FutureRecord::<(), [u8]>::to(&topic).payload(&value).headers(headers);
        let sent = self.producer.send_result(record).map_err(|(e, record)| (e, record.headers));
        let (producer, value) = (self.producer.clone(), if sent.is_ok() { vec![] } else { value });
        async move {
            let failed = |e| RunError::Undelivered(topic.clone(), e);
            let delivered = match sent {
                Ok(delivery) => match delivery.await {
                    Ok(delivered) => delivered.map(|_| ()).map_err(|(e, _)| e),
                    Err(_) => {
                        return Err(RunError::Timeout(format!(
                            "{topic}: the producer stopped before delivery"
                        )));
                    }
                },
                Err((_, headers)) => {
                    let mut record = FutureRecord::<(), [u8]>::to(&topic).payload(&value);
                    record.headers = headers;
                    producer.send(record, QUEUE_TIMEOUT).await.map(|_| ()).map_err(|(e, _)| e)
                }
            };
            delivered.map_err(failed)
        }
    }
}

/// Returns the header `name` of the newest among the last records of a topic's partitions; `None` if none has
/// it.
///
/// # Errors
/// When no broker answers or the topic does not exist.
pub fn last_header(settings: &KafkaSettings, topic: &str, name: &str) -> Result<Option<String>, RunError> {
    let consumer = create_consumer(settings)?;
    let metadata = consumer
        .fetch_metadata(Some(topic), LAST_RECORD_TIMEOUT)
        .map_err(client_error(format!("fetch the metadata of topic {topic}")))?;
    let partitions: Vec<i32> =
        metadata.topics().iter().flat_map(|t| t.partitions()).map(|p| p.id()).collect();
    let mut newest = None;
    for partition in partitions {
        let (low, high) = log_bounds(&consumer, topic, partition)?;
        if high == low {
            continue;
        }
        let mut last = TopicPartitionList::new();
        last.add_partition_offset(topic, partition, Offset::Offset(high - 1))
            .and_then(|()| consumer.assign(&last))
            .map_err(client_error("read the last record"))?;
        let start = crate::backoff::Stopwatch::start();
        while start.elapsed() < LAST_RECORD_TIMEOUT {
            let Some(Ok(message)) = consumer.poll(LAST_RECORD_TIMEOUT / 50) else { continue };
            let header = message.headers().and_then(|all| all.iter().find(|header| header.key == name));
            let value = header.and_then(|header| String::from_utf8(header.value?.to_vec()).ok());
            newest = newest.max(value.map(|value| (message.timestamp().to_millis(), value)));
            break;
        }
    }
    Ok(newest.map(|(_, value)| value))
}
