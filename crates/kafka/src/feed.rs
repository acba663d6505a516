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

use crate::client::{Deliveries, Reading};
use crate::error::Remedy;
use crate::headers::owned;
use crate::span::bounds;
use crate::wait::{Since, pause};
use crate::{Formats, KafkaSettings, RunError, doing};

/// Longest wait for an answer.
const ASK: Duration = Duration::from_secs(10);
/// Longest wait for the brokers to take what was written.
const FLUSH: Duration = Duration::from_secs(30);
/// How often to look whether they have.
const LOOK: Duration = Duration::from_millis(1);
/// How long a schema registry that is away is left alone.
const AWAY: Duration = Duration::from_secs(1);

/// Writes records.
pub struct Feed {
    producer: ThreadedProducer<Deliveries>,
    formats: Formats,
}

impl Feed {
    /// Connects.
    ///
    /// # Errors
    /// When a setting is refused.
    pub fn new(settings: &KafkaSettings) -> Result<Self, RunError> {
        let made = settings.producer_config(None).create_with_context(Deliveries::default());
        Ok(Self { producer: made.map_err(doing("make the producer"))?, formats: settings.formats.clone() })
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
        let mut record = BaseRecord::<str, [u8]>::to(topic).payload(value).headers(owned(headers));
        record.key = key;
        self.write(topic, record)
    }

    /// Sees that the schema registry has what actions are written by, where they are not JSON.
    ///
    /// # Errors
    /// When it is away, or refuses.
    pub fn prepare(&self, actions: &str) -> Result<(), RunError> {
        self.formats.prepare(&[(Contract::Action, actions.to_owned())])
    }

    /// Writes an action in the form that is chosen for them.
    ///
    /// # Errors
    /// As [`send`](Self::send), and when the schema registry is away or refuses.
    pub fn act(&self, topic: &str, action: &Action) -> Result<(), RunError> {
        let mut bytes = Vec::new();
        self.formats.write((Some(Contract::Action), topic), action, &mut bytes)?;
        let media_type = self.formats.of(Contract::Action).media_type();
        self.send(topic, Some(&action.conversation), &bytes, &[("content-type", media_type.to_owned())])
    }

    /// Writes one record to a partition, whatever its key.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_to(&self, topic: &str, partition: u32, key: &str, value: &[u8]) -> Result<(), RunError> {
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
        let start = Since::now();
        // The client's own wait looks every 100 ms only.
        while self.producer.in_flight_count() > 0 {
            if start.elapsed() > FLUSH {
                return Err(RunError::Late("the brokers do not take what is written".into()));
            }
            pause(LOOK);
        }
        self.producer.context().failure().map_or(Ok(()), |failed| Err(failed.into()))
    }
}

/// Reads topics on and on, without a place in any group.
pub struct Tail {
    consumer: BaseConsumer<Reading>,
    formats: Formats,
    /// A record whose schema is not known yet.
    waiting: Cell<Option<Received>>,
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
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

impl Tail {
    /// Connects and starts at the beginning of each topic.
    ///
    /// # Errors
    /// When a setting is refused or a topic is not known.
    pub fn new(settings: &KafkaSettings, topics: &[String]) -> Result<Self, RunError> {
        Self::from(settings, topics, &BTreeMap::new())
    }

    /// The same, but going on where somebody stands: the offset of the next record by topic and partition. What is gone
    /// from the log by now is passed over.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from(
        settings: &KafkaSettings,
        topics: &[String],
        positions: &BTreeMap<(String, u32), i64>,
    ) -> Result<Self, RunError> {
        let mut config = settings.reader_config();
        let made = config.set("enable.partition.eof", "false").create_with_context(Reading::default());
        let consumer: BaseConsumer<Reading> = made.map_err(doing("make the reader"))?;
        let mut wanted = rdkafka::TopicPartitionList::new();
        for topic in topics {
            let metadata = consumer
                .fetch_metadata(Some(topic), ASK)
                .map_err(doing(format!("ask about topic {topic}")))?;
            for partition in metadata.topics().iter().flat_map(|t| t.partitions()).map(|p| p.id()) {
                let at = match positions.get(&(topic.clone(), u32::try_from(partition).unwrap_or_default())) {
                    None => Offset::Beginning,
                    Some(at) => {
                        let (low, high) = bounds(&consumer, topic, partition)?;
                        Offset::Offset((*at).clamp(low, high))
                    }
                };
                wanted.add_partition_offset(topic, partition, at).map_err(doing("start reading"))?;
            }
        }
        consumer.assign(&wanted).map_err(doing("start reading"))?;
        Ok(Self { consumer, formats: settings.formats.clone(), waiting: Cell::default() })
    }

    /// The next record, if one comes in time. While brokers are away none does, nor while a schema registry is that has to be
    /// asked; both are tried again.
    ///
    /// # Errors
    /// When reading fails for good.
    pub fn next(&self, wait: Duration) -> Result<Option<Received>, RunError> {
        let waited = self.waiting.take();
        let news = waited.is_none();
        let mut record = match waited {
            Some(waited) => waited,
            None => {
                let Some(polled) = self.consumer.poll(wait) else { return Ok(None) };
                match polled.map_err(doing("read")) {
                    Ok(message) => as_it_arrived(&message),
                    Err(e) if e.remedy() == Remedy::Redo => return Ok(None),
                    Err(e) => return Err(e),
                }
            }
        };
        match record.read(&self.formats) {
            Ok(()) => Ok(Some(record)),
            Err(e) if e.remedy() == Remedy::Redo => {
                if news {
                    eprintln!("firewatch: {e}; trying again");
                }
                self.waiting.set(Some(record));
                pause(wait.min(AWAY));
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }
}

impl Received {
    /// Makes its value JSON; what cannot be read stays as it arrived.
    fn read(&mut self, formats: &Formats) -> Result<(), RunError> {
        if let Ok(Cow::Owned(json)) = formats.json(&self.value)? {
            self.value = json;
        }
        Ok(())
    }
}

pub(crate) fn received(message: &BorrowedMessage<'_>, formats: &Formats) -> Result<Received, RunError> {
    let mut received = as_it_arrived(message);
    received.read(formats)?;
    Ok(received)
}

fn as_it_arrived(message: &BorrowedMessage<'_>) -> Received {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let text = |h: rdkafka::message::Header<'_, &[u8]>| {
            Some((h.key.to_owned(), String::from_utf8(h.value?.to_vec()).ok()?))
        };
        headers.iter().filter_map(text).collect()
    });
    Received {
        topic: message.topic().to_owned(),
        partition: u32::try_from(message.partition()).unwrap_or_default(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().unwrap_or_default().to_vec(),
        headers,
    }
}
