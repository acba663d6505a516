//! A task's writer: collects effects, state changes and positions, then commits them together.
//!
//! With `ExactlyOnce` a commit is a Kafka transaction under the partition's own transactional id. Taking over
//! the id aborts what the previous owner left open and fences it. The consumer group is not part of the
//! transaction, so tasks that keep their partition go on committing while others move.

use std::time::Duration;

use firewatch_domain::Event;
use firewatch_engine::{ChangelogEntry, Effect};
use firewatch_wire::{Contract, Format};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde::Serialize;

use crate::backoff::{Stopwatch, pause};
use crate::client_context::DeliveryContext;
use crate::headers::{HeaderPair, effect_headers, event_headers, to_kafka_headers};
use crate::{Formats, Guarantee, KafkaSettings, RunError, Topics, client_error};

/// Longest wait for one answer of a coordinator; longer than a broker takes to be replaced.
const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(20);
/// Wait before a retriable request is sent again.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// Longest wait for delivery reports before the timeout is checked.
const DELIVERY_POLL_TIMEOUT: Duration = Duration::from_millis(10);

/// Writes and commits for one task.
pub(crate) struct TaskWriter {
    producer: BaseProducer<DeliveryContext>,
    transactional: bool,
    partition: i32,
    topics: Topics,
    formats: Formats,
    /// Whether anything was written since the last commit.
    has_uncommitted: bool,
    encode_buffer: Vec<u8>,
}

impl TaskWriter {
    /// Connects and, with transactions, fences the previous writer of this partition.
    pub fn open(settings: &KafkaSettings, topics: &Topics, partition: u32) -> Result<Self, RunError> {
        let config = settings.producer_config(Some(partition));
        let made = config.create_with_context(DeliveryContext::default());
        let producer: BaseProducer<DeliveryContext> = made.map_err(client_error("create the producer"))?;
        let transactional = settings.guarantee == Guarantee::ExactlyOnce;
        if transactional {
            retry_transient("take over the partition's transactional id", || {
                producer.init_transactions(COORDINATOR_TIMEOUT)
            })?;
        }
        let (topics, formats, partition) = (topics.clone(), settings.formats.clone(), partition as i32);
        Ok(Self {
            producer,
            transactional,
            partition,
            topics,
            formats,
            has_uncommitted: false,
            encode_buffer: Vec::new(),
        })
    }

    /// Writes an effect to its topic; `traceparent` is that of the record that caused it.
    pub fn write_effect(&mut self, effect: &Effect, traceparent: Option<&str>) -> Result<(), RunError> {
        let (topic, contract) = (self.topics.topic_for(effect), contract(effect));
        let format = contract.map_or(Format::Json, |contract| self.formats.format_for(contract));
        let headers = effect_headers(effect, format, traceparent);
        self.encode(contract, &topic, effect.key(), effect, &headers)
    }

    /// Writes an event decoded from a source's payload; `traceparent` is that of the payload.
    pub fn write_event(
        &mut self,
        topic: &str,
        event: &Event,
        source: &str,
        traceparent: Option<&str>,
    ) -> Result<(), RunError> {
        let headers = event_headers(event, source, self.formats.format_for(Contract::Event), traceparent);
        let key = event.conversation.as_bytes();
        self.encode(Some(Contract::Event), topic, Some(key), event, &headers)
    }

    /// Writes a record in the format configured for its contract.
    fn encode(
        &mut self,
        contract: Option<Contract>,
        topic: &str,
        key: Option<&[u8]>,
        record: &impl Serialize,
        headers: &[HeaderPair],
    ) -> Result<(), RunError> {
        let mut bytes = std::mem::take(&mut self.encode_buffer);
        bytes.clear();
        self.formats.write(contract, topic, record, &mut bytes)?;
        let mut record =
            BaseRecord::<[u8], [u8]>::to(topic).payload(&bytes).headers(to_kafka_headers(headers));
        record.key = key;
        let written = self.send(record);
        self.encode_buffer = bytes;
        written
    }

    /// Writes a state change to the changelog.
    pub fn write_change(&mut self, change: &ChangelogEntry) -> Result<(), RunError> {
        let topic = self.topics.state.clone();
        let mut record = BaseRecord::<[u8], [u8]>::to(&topic).key(&change.key).partition(self.partition);
        record.payload = change.value.as_deref();
        self.send(record)
    }

    fn send(&mut self, mut record: BaseRecord<'_, [u8], [u8]>) -> Result<(), RunError> {
        if !self.has_uncommitted {
            if self.transactional {
                self.producer.begin_transaction().map_err(client_error("begin a transaction"))?;
            }
            self.has_uncommitted = true;
        }
        let start = Stopwatch::start();
        let topic = record.topic.to_owned();
        // A full queue is back-pressure: wait until the brokers accept some of it.
        while let Err((e, back)) = self.producer.send(record) {
            if e.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(RunError::Undelivered(topic, e));
            }
            if start.elapsed() > COORDINATOR_TIMEOUT {
                return Err(RunError::Timeout(format!("the brokers do not accept records for {topic}")));
            }
            self.producer.poll(DELIVERY_POLL_TIMEOUT);
            record = back;
        }
        // Handles delivery reports.
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Commits what was written. Returns whether there was anything to commit.
    pub fn commit(&mut self) -> Result<bool, RunError> {
        if !self.has_uncommitted {
            return Ok(false);
        }
        self.flush()?;
        // Nothing is in flight any more, so a failed delivery is known before the commit is requested.
        if let Some(failed) = self.producer.context().take_failure() {
            return Err(failed.into());
        }
        if self.transactional {
            retry_transient("commit", || self.producer.commit_transaction(COORDINATOR_TIMEOUT))
                .map_err(mark_in_doubt)?;
        }
        self.has_uncommitted = false;
        Ok(true)
    }

    /// Waits until the brokers have acknowledged everything written. The client's own flush spins through its
    /// last millisecond or polls only every 100 ms.
    fn flush(&self) -> Result<(), RunError> {
        let start = Stopwatch::start();
        while self.producer.in_flight_count() > 0 {
            if start.elapsed() > COORDINATOR_TIMEOUT {
                return Err(RunError::Timeout("the brokers do not acknowledge what was written".into()));
            }
            // Returns at the first delivery report.
            self.producer.poll(DELIVERY_POLL_TIMEOUT);
        }
        Ok(())
    }

    /// Returns the partition that this writer commits for.
    pub fn partition(&self) -> i32 {
        self.partition
    }
}

/// Returns the contract of an effect's record; `None` for signals, which only firewatch reads.
fn contract(effect: &Effect) -> Option<Contract> {
    match effect {
        Effect::Score(_) => Some(Contract::Score),
        Effect::Escalation(_) | Effect::HandedOver(..) | Effect::Shadow(..) => Some(Contract::Escalation),
        Effect::DeadLetter(..) => Some(Contract::DeadLetter),
        Effect::Signal(_) => None,
    }
}

/// Marks a failed commit as in doubt, unless the client requires an abort: the coordinator may have decided
/// to commit the transaction.
fn mark_in_doubt(e: RunError) -> RunError {
    match e {
        RunError::Client(_, KafkaError::Transaction(t)) if !t.txn_requires_abort() => {
            RunError::InDoubt(t.to_string())
        }
        other => other,
    }
}

/// Repeats a request while the client calls its error retriable, until `COORDINATOR_TIMEOUT` has passed.
fn retry_transient(what: &str, call: impl Fn() -> KafkaResult<()>) -> Result<(), RunError> {
    let start = Stopwatch::start();
    loop {
        match call() {
            Err(KafkaError::Transaction(e)) if e.is_retriable() && start.elapsed() < COORDINATOR_TIMEOUT => {
                pause(RETRY_INTERVAL);
            }
            done => return done.map_err(client_error(what)),
        }
    }
}
