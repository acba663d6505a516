//! A writer whose every record is waited for by itself, for those who must not say that they have something before the brokers do.

use std::future::Future;
use std::time::Duration;

use rdkafka::Message;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::message::Headers;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::client::{Deliveries, reader};
use crate::headers::owned;
use crate::span::bounds;
use crate::{KafkaSettings, RunError, doing};

/// Longest wait for room among what is on its way.
const ROOM: Duration = Duration::from_secs(5);
/// Longest wait for the last record of a log.
const LAST: Duration = Duration::from_secs(5);

/// The writer.
#[derive(Clone)]
pub struct Acked {
    producer: FutureProducer<Quiet>,
}

/// The client's words, in our log.
#[derive(Clone, Default)]
struct Quiet(std::sync::Arc<Deliveries>);

impl rdkafka::client::ClientContext for Quiet {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl Acked {
    /// Connects.
    ///
    /// # Errors
    /// When a setting is refused.
    pub fn new(settings: &KafkaSettings) -> Result<Self, RunError> {
        let made = settings.producer_config(None).create_with_context(Quiet::default());
        Ok(Self { producer: made.map_err(doing("make the producer"))? })
    }

    /// Writes a record; the future ends when the brokers have it, or will not.
    pub fn put(
        &self,
        topic: String,
        value: Vec<u8>,
        headers: &[(&'static str, String)],
    ) -> impl Future<Output = Result<(), RunError>> + Send + use<> {
        let headers = owned(headers);
        // Sent at once where there is room, so that records keep their order.
        let record = FutureRecord::<(), [u8]>::to(&topic).payload(&value).headers(headers);
        let sent = self.producer.send_result(record).map_err(|(e, record)| (e, record.headers));
        let (producer, value) = (self.producer.clone(), if sent.is_ok() { vec![] } else { value });
        async move {
            let failed = |e| RunError::Undelivered(topic.clone(), e);
            let delivered = match sent {
                Ok(delivery) => match delivery.await {
                    Ok(delivered) => delivered.map(|_| ()).map_err(|(e, _)| e),
                    Err(_) => return Err(RunError::Late(format!("{topic}: the producer is gone"))),
                },
                Err((_, headers)) => {
                    let mut record = FutureRecord::<(), [u8]>::to(&topic).payload(&value);
                    record.headers = headers;
                    producer.send(record, ROOM).await.map(|_| ()).map_err(|(e, _)| e)
                }
            };
            delivered.map_err(failed)
        }
    }
}

/// A header of the newest record of a topic that has one of that name; none when the topic is empty.
///
/// # Errors
/// When no broker answers or the topic is not there.
pub fn last_header(settings: &KafkaSettings, topic: &str, name: &str) -> Result<Option<String>, RunError> {
    let consumer = reader(settings)?;
    let metadata = consumer.fetch_metadata(Some(topic), LAST).map_err(doing(format!("ask about {topic}")))?;
    let partitions: Vec<i32> =
        metadata.topics().iter().flat_map(|t| t.partitions()).map(|p| p.id()).collect();
    let mut newest = None;
    for partition in partitions {
        let (low, high) = bounds(&consumer, topic, partition)?;
        if high == low {
            continue;
        }
        let mut last = TopicPartitionList::new();
        last.add_partition_offset(topic, partition, Offset::Offset(high - 1))
            .and_then(|()| consumer.assign(&last))
            .map_err(doing("read the last record"))?;
        let start = crate::wait::Since::now();
        while start.elapsed() < LAST {
            let Some(Ok(message)) = consumer.poll(LAST / 50) else { continue };
            let header = message.headers().and_then(|all| all.iter().find(|header| header.key == name));
            let value = header.and_then(|header| String::from_utf8(header.value?.to_vec()).ok());
            newest = newest.max(value.map(|value| (message.timestamp().to_millis(), value)));
            break;
        }
    }
    Ok(newest.map(|(_, value)| value))
}
