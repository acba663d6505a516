//! A producer and a consumer of plain records, for what surrounds the engine: the demo's recording, the
//! console and tests.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use firewatch_domain::Action;
use firewatch_wire::Contract;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{Message, Offset};

use crate::backoff::{Stopwatch, pause};
use crate::client_context::{DeliveryContext, ReaderContext};
use crate::error::Remedy;
use crate::headers::to_kafka_headers;
use crate::metadata::fetch_topic_metadata;
use crate::span::log_bounds;
use crate::{Formats, KafkaSettings, RunError, client_error};

/// Longest wait for an answer about a topic.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the brokers to acknowledge what was written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);
/// How often to check whether they have.
const FLUSH_POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Wait before an unavailable schema registry is asked again.
const REGISTRY_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Writes records of any kind; [`flush`](Self::flush) waits for their delivery.
pub struct RecordProducer {
    producer: ThreadedProducer<DeliveryContext>,
    formats: Formats,
}

impl RecordProducer {
    /// Creates the producer.
    ///
    /// # Errors
    /// When the client refuses a setting.
    pub fn new(settings: &KafkaSettings) -> Result<Self, RunError> {
        let made = settings.producer_config(None).create_with_context(DeliveryContext::default());
        Ok(Self {
            producer: made.map_err(client_error("create the producer"))?,
            formats: settings.formats.clone(),
        })
    }

    /// Writes one record with its headers, to the partition of its key.
    ///
    /// # Errors
    /// When the client refuses the record. A full queue is waited for.
    pub fn send(
        &self,
        topic: &str,
        key: Option<&str>,
        value: &[u8],
        headers: &[(&'static str, String)],
    ) -> Result<(), RunError> {
        let mut record = BaseRecord::<str, [u8]>::to(topic).payload(value).headers(to_kafka_headers(headers));
        record.key = key;
        self.write(topic, record)
    }

    /// Ensures that the schema registry has the schema of actions, unless they are written as JSON.
    ///
    /// # Errors
    /// When the registry is unavailable or refuses the request.
    pub fn register_action_schema(&self, actions: &str) -> Result<(), RunError> {
        self.formats.register_schemas(&[(Contract::Action, actions.to_owned())])
    }

    /// Writes an action in the format configured for actions.
    ///
    /// # Errors
    /// As [`send`](Self::send), and when the schema registry is unavailable or refuses the request.
    pub fn send_action(&self, topic: &str, action: &Action) -> Result<(), RunError> {
        let mut bytes = Vec::new();
        self.formats.write(Some(Contract::Action), topic, action, &mut bytes)?;
        let media_type = self.formats.format_for(Contract::Action).media_type();
        self.send(topic, Some(&action.conversation), &bytes, &[("content-type", media_type.to_owned())])
    }

    /// Writes one record to a partition, whatever its key.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_to_partition(
        &self,
        topic: &str,
        partition: u32,
        key: &str,
        value: &[u8],
    ) -> Result<(), RunError> {
        let record = BaseRecord::<str, [u8]>::to(topic).partition(partition as i32).key(key).payload(value);
        self.write(topic, record)
    }

    fn write(&self, topic: &str, mut record: BaseRecord<'_, str, [u8]>) -> Result<(), RunError> {
        while let Err((e, back)) = self.producer.send(record) {
            if e.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(RunError::Undelivered(topic.to_owned(), e));
            }
            self.producer.poll(Duration::from_millis(20));
            record = back;
        }
        Ok(())
    }

    /// Waits until the brokers have acknowledged everything written since the last flush.
    ///
    /// # Errors
    /// When a record could not be written.
    pub fn flush(&self) -> Result<(), RunError> {
        let start = Stopwatch::start();
        // The client's own flush polls only every 100 ms.
        while self.producer.in_flight_count() > 0 {
            if start.elapsed() > FLUSH_TIMEOUT {
                return Err(RunError::Timeout("the brokers do not acknowledge what was written".into()));
            }
            pause(FLUSH_POLL_INTERVAL);
        }
        self.producer.context().take_failure().map_or(Ok(()), |failed| Err(failed.into()))
    }
}

/// Follows topics without joining a group.
pub struct TopicTail {
    consumer: BaseConsumer<ReaderContext>,
    formats: Formats,
    /// A record whose schema could not be fetched yet.
    undecoded: Cell<Option<ReceivedRecord>>,
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRecord {
    /// Topic that holds the record.
    pub topic: String,
    /// Partition of the topic.
    pub partition: u32,
    /// Offset in the partition.
    pub offset: i64,
    /// The key, if the record has one.
    pub key: Option<Vec<u8>>,
    /// The value: as JSON if it could be decoded, otherwise as received.
    pub value: Vec<u8>,
    /// Headers whose values are UTF-8 text.
    pub headers: Vec<(String, String)>,
}

impl TopicTail {
    /// Follows topics from their beginning.
    ///
    /// # Errors
    /// When the client refuses a setting or a topic is not known.
    pub fn new(settings: &KafkaSettings, topics: &[String]) -> Result<Self, RunError> {
        Self::resume(settings, topics, &BTreeMap::new())
    }

    /// Follows topics from `positions`: the offset of the next record by topic and partition. A partition
    /// without a position starts at its beginning; a position outside the log moves to the nearest end of the
    /// log.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn resume(
        settings: &KafkaSettings,
        topics: &[String],
        positions: &BTreeMap<(String, u32), i64>,
    ) -> Result<Self, RunError> {
        let mut config = settings.reader_config();
        let made = config.set("enable.partition.eof", "false").create_with_context(ReaderContext::default());
        let consumer: BaseConsumer<ReaderContext> = made.map_err(client_error("create the reader"))?;
        let mut wanted = rdkafka::TopicPartitionList::new();
        for topic in topics {
            let metadata = fetch_topic_metadata(&consumer, topic, METADATA_TIMEOUT)?;
            for partition in metadata.topics().iter().flat_map(|t| t.partitions()).map(|p| p.id()) {
                let at = match positions.get(&(topic.clone(), u32::try_from(partition).unwrap_or_default())) {
                    None => Offset::Beginning,
                    Some(at) => {
                        let (low, high) = log_bounds(&consumer, topic, partition)?;
                        Offset::Offset((*at).clamp(low, high))
                    }
                };
                wanted.add_partition_offset(topic, partition, at).map_err(client_error("start reading"))?;
            }
        }
        consumer.assign(&wanted).map_err(client_error("start reading"))?;
        Ok(Self { consumer, formats: settings.formats.clone(), undecoded: Cell::default() })
    }

    /// Returns the next record, if one arrives within `wait`. Returns `None` while brokers, or a schema
    /// registry that is needed, are unavailable; both are retried.
    ///
    /// # Errors
    /// When reading fails permanently.
    pub fn next(&self, wait: Duration) -> Result<Option<ReceivedRecord>, RunError> {
        let waited = self.undecoded.take();
        let news = waited.is_none();
        let mut record = match waited {
            Some(waited) => waited,
            None => {
                let Some(polled) = self.consumer.poll(wait) else { return Ok(None) };
                match polled.map_err(client_error("read")) {
                    Ok(message) => raw_record(&message),
                    // The client looks for the coordinator of its group, which it does not join.
                    Err(RunError::Client(_, e))
                        if e.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) =>
                    {
                        return Ok(None);
                    }
                    Err(e) if e.remedy() == Remedy::Redo => return Ok(None),
                    Err(e) => return Err(e),
                }
            }
        };
        match record.decode_value(&self.formats) {
            Ok(()) => Ok(Some(record)),
            Err(e) if e.remedy() == Remedy::Redo => {
                if news {
                    tracing::warn!("{e}; trying again");
                }
                self.undecoded.set(Some(record));
                pause(wait.min(REGISTRY_RETRY_INTERVAL));
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }
}

impl ReceivedRecord {
    /// Converts the value to JSON; a value that cannot be decoded stays as received.
    fn decode_value(&mut self, formats: &Formats) -> Result<(), RunError> {
        if let Ok(Cow::Owned(json)) = formats.json(&self.value)? {
            self.value = json;
        }
        Ok(())
    }
}

pub(crate) fn decode_message(
    message: &BorrowedMessage<'_>,
    formats: &Formats,
) -> Result<ReceivedRecord, RunError> {
    let mut received = raw_record(message);
    received.decode_value(formats)?;
    Ok(received)
}

fn raw_record(message: &BorrowedMessage<'_>) -> ReceivedRecord {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let text = |h: rdkafka::message::Header<'_, &[u8]>| {
            Some((h.key.to_owned(), String::from_utf8(h.value?.to_vec()).ok()?))
        };
        headers.iter().filter_map(text).collect()
    });
    ReceivedRecord {
        topic: message.topic().to_owned(),
        partition: u32::try_from(message.partition()).unwrap_or_default(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().unwrap_or_default().to_vec(),
        headers,
    }
}
