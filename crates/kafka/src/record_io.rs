//! A writer and a reader of plain records, for what stands at either end of the engine: the demo's recording, the
//! people who wait for escalations, and tests.

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
use crate::span::log_bounds;
use crate::{Formats, KafkaSettings, RunError, client_error};

/// Longest wait for an answer.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the brokers to take what was written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);
/// How often to look whether they have.
const FLUSH_POLL_INTERVAL: Duration = Duration::from_millis(1);
/// How long a schema registry that is away is left alone.
const REGISTRY_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Writes records.
pub struct RecordProducer {
    producer: ThreadedProducer<DeliveryContext>,
    formats: Formats,
}

impl RecordProducer {
    /// Connects.
    ///
    /// # Errors
    /// When a setting is refused.
    pub fn new(settings: &KafkaSettings) -> Result<Self, RunError> {
        let made = settings.producer_config(None).create_with_context(DeliveryContext::default());
        Ok(Self {
            producer: made.map_err(client_error("make the producer"))?,
            formats: settings.formats.clone(),
        })
    }

    /// Writes one record with its headers, to the partition of its key.
    ///
    /// # Errors
    /// When it is refused; a full queue is waited for.
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

    /// Sees that the schema registry has what actions are written by, where they are not JSON.
    ///
    /// # Errors
    /// When it is away, or refuses.
    pub fn register_action_schema(&self, actions: &str) -> Result<(), RunError> {
        self.formats.register_schemas(&[(Contract::Action, actions.to_owned())])
    }

    /// Writes an action in the form that is chosen for them.
    ///
    /// # Errors
    /// As [`send`](Self::send), and when the schema registry is away or refuses.
    pub fn send_action(&self, topic: &str, action: &Action) -> Result<(), RunError> {
        let mut bytes = Vec::new();
        self.formats.write((Some(Contract::Action), topic), action, &mut bytes)?;
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

    /// Waits until the brokers have everything that was written since the last time.
    ///
    /// # Errors
    /// When a record could not be written.
    pub fn flush(&self) -> Result<(), RunError> {
        let start = Stopwatch::start();
        // The client's own wait looks every 100 ms only.
        while self.producer.in_flight_count() > 0 {
            if start.elapsed() > FLUSH_TIMEOUT {
                return Err(RunError::Timeout("the brokers do not take what is written".into()));
            }
            pause(FLUSH_POLL_INTERVAL);
        }
        self.producer.context().take_failure().map_or(Ok(()), |failed| Err(failed.into()))
    }
}

/// Reads topics on and on, without a place in any group.
pub struct TopicTail {
    consumer: BaseConsumer<ReaderContext>,
    formats: Formats,
    /// A record whose schema is not known yet.
    undecoded: Cell<Option<ReceivedRecord>>,
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRecord {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value, as JSON where it was in another form that can be read.
    pub value: Vec<u8>,
    /// Headers that are text.
    pub headers: Vec<(String, String)>,
}

impl TopicTail {
    /// Connects and starts at the beginning of each topic.
    ///
    /// # Errors
    /// When a setting is refused or a topic is not known.
    pub fn new(settings: &KafkaSettings, topics: &[String]) -> Result<Self, RunError> {
        Self::resume(settings, topics, &BTreeMap::new())
    }

    /// The same, but going on where somebody stands: the offset of the next record by topic and partition. What is gone
    /// from the log by now is passed over.
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
        let consumer: BaseConsumer<ReaderContext> = made.map_err(client_error("make the reader"))?;
        let mut wanted = rdkafka::TopicPartitionList::new();
        for topic in topics {
            let metadata = consumer
                .fetch_metadata(Some(topic), METADATA_TIMEOUT)
                .map_err(client_error(format!("ask about topic {topic}")))?;
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

    /// The next record, if one comes in time. While brokers are away none does, nor while a schema registry is that has to be
    /// asked; both are tried again.
    ///
    /// # Errors
    /// When reading fails for good.
    pub fn next(&self, wait: Duration) -> Result<Option<ReceivedRecord>, RunError> {
        let waited = self.undecoded.take();
        let news = waited.is_none();
        let mut record = match waited {
            Some(waited) => waited,
            None => {
                let Some(polled) = self.consumer.poll(wait) else { return Ok(None) };
                match polled.map_err(client_error("read")) {
                    Ok(message) => raw_record(&message),
                    Err(e) if e.remedy() == Remedy::Redo => return Ok(None),
                    Err(e) => return Err(e),
                }
            }
        };
        match record.decode_value(&self.formats) {
            Ok(()) => Ok(Some(record)),
            Err(e) if e.remedy() == Remedy::Redo => {
                if news {
                    eprintln!("firewatch: {e}; trying again");
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
    /// Makes its value JSON; what cannot be read stays as it arrived.
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
