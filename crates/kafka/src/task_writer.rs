//! A task's writer: effects, state and positions as they are made, then one commit of them all.
//!
//! With `ExactlyOnce` that is a Kafka transaction under an id of the partition's own: taking the id over aborts what the
//! owner before left open and shuts it out. The group has no part in it, so that tasks that stay where they are commit on
//! while others move.

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

/// Longest wait for one answer of a coordinator. Longer than a broker takes to be replaced.
const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(20);
/// Wait before a question that may be asked again is asked again.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// Longest wait for news of deliveries before looking again.
const DELIVERY_POLL_TIMEOUT: Duration = Duration::from_millis(10);

/// The writer of one task.
pub(crate) struct TaskWriter {
    producer: BaseProducer<DeliveryContext>,
    transactional: bool,
    partition: i32,
    topics: Topics,
    formats: Formats,
    /// Something was written since the last commit.
    has_uncommitted: bool,
    encode_buffer: Vec<u8>,
}

impl TaskWriter {
    /// Connects and takes the place of whoever wrote for this partition before.
    pub fn open(settings: &KafkaSettings, topics: &Topics, partition: u32) -> Result<Self, RunError> {
        let config = settings.producer_config(Some(partition));
        let made = config.create_with_context(DeliveryContext::default());
        let producer: BaseProducer<DeliveryContext> = made.map_err(client_error("make the producer"))?;
        let transactional = settings.guarantee == Guarantee::ExactlyOnce;
        if transactional {
            retry_transient("take over the partition's transactions", || {
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

    /// Writes an effect; `traceparent` is that of its cause.
    pub fn write_effect(&mut self, effect: &Effect, traceparent: Option<&str>) -> Result<(), RunError> {
        let (topic, contract) = (self.topics.topic_for(effect), contract(effect));
        let format = contract.map_or(Format::Json, |contract| self.formats.format_for(contract));
        let headers = effect_headers(effect, format, traceparent);
        self.encode((contract, &topic, effect.key()), effect, &headers)
    }

    /// Writes an event that a payload of a source told; `traceparent` is the payload's.
    pub fn write_event(
        &mut self,
        topic: &str,
        event: &Event,
        source: &str,
        traceparent: Option<&str>,
    ) -> Result<(), RunError> {
        let to = (Some(Contract::Event), topic, Some(event.conversation.as_bytes()));
        let headers = event_headers(event, (source, self.formats.format_for(Contract::Event)), traceparent);
        self.encode(to, event, &headers)
    }

    /// Writes a record in the form that is chosen for it.
    fn encode(
        &mut self,
        (contract, topic, key): (Option<Contract>, &str, Option<&[u8]>),
        record: &impl Serialize,
        headers: &[HeaderPair],
    ) -> Result<(), RunError> {
        let mut bytes = std::mem::take(&mut self.encode_buffer);
        bytes.clear();
        self.formats.write((contract, topic), record, &mut bytes)?;
        let mut record =
            BaseRecord::<[u8], [u8]>::to(topic).payload(&bytes).headers(to_kafka_headers(headers));
        record.key = key;
        let written = self.send(record);
        self.encode_buffer = bytes;
        written
    }

    /// Writes a change of the state to the changelog.
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
        // A full queue is back-pressure: wait until the brokers have taken some of it.
        while let Err((e, back)) = self.producer.send(record) {
            if e.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(RunError::Undelivered(topic, e));
            }
            if start.elapsed() > COORDINATOR_TIMEOUT {
                return Err(RunError::Timeout(format!("the brokers do not take what is written to {topic}")));
            }
            self.producer.poll(DELIVERY_POLL_TIMEOUT);
            record = back;
        }
        // Takes note of what was delivered.
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Commits what was written. Tells whether there was anything.
    pub fn commit(&mut self) -> Result<bool, RunError> {
        if !self.has_uncommitted {
            return Ok(false);
        }
        self.flush()?;
        // Nothing is on its way any more, so a failure is known before the commit is asked for.
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

    /// Waits until the brokers have all that was written. The client's own wait spins through its last millisecond, or
    /// looks every 100 ms only.
    fn flush(&self) -> Result<(), RunError> {
        let start = Stopwatch::start();
        while self.producer.in_flight_count() > 0 {
            if start.elapsed() > COORDINATOR_TIMEOUT {
                return Err(RunError::Timeout("the brokers do not take what is written".into()));
            }
            // Each delivery ends this wait.
            self.producer.poll(DELIVERY_POLL_TIMEOUT);
        }
        Ok(())
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.partition
    }
}

/// What published record an effect is; none for signals, which only firewatch reads.
fn contract(effect: &Effect) -> Option<Contract> {
    match effect {
        Effect::Score(_) => Some(Contract::Score),
        Effect::Escalation(_) | Effect::HandedOver(..) | Effect::Shadow(..) => Some(Contract::Escalation),
        Effect::DeadLetter(..) => Some(Contract::DeadLetter),
        Effect::Signal(_) => None,
    }
}

/// A commit that failed, sorted: unless the client says that the transaction has to be aborted, the coordinator may have
/// decided to commit it.
fn mark_in_doubt(e: RunError) -> RunError {
    match e {
        RunError::Client(_, KafkaError::Transaction(t)) if !t.txn_requires_abort() => {
            RunError::InDoubt(t.to_string())
        }
        other => other,
    }
}

/// Asks again while the client says that it may be asked again, for a while.
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
