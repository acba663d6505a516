//! A task's writer: effects, state and positions as they are made, then one commit of them all.
//!
//! With `ExactlyOnce` that is a Kafka transaction under an id of the partition's own: taking the id over aborts what the
//! owner before left open and shuts it out. The group has no part in it, so that tasks that stay where they are commit on
//! while others move.

use std::time::Duration;

use firewatch_engine::{Change, Effect};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::client::Deliveries;
use crate::headers::{content_headers, owned};
use crate::wait::{Since, pause};
use crate::{Guarantee, KafkaSettings, RunError, Topics, doing};

/// Longest wait for one answer of a coordinator. Longer than a broker takes to be replaced.
const ANSWER: Duration = Duration::from_secs(20);
/// Wait before a question that may be asked again is asked again.
const AGAIN: Duration = Duration::from_millis(50);
/// Longest wait for news of deliveries before looking again.
const NEWS: Duration = Duration::from_millis(10);

/// The writer of one task.
pub(crate) struct Writer {
    producer: BaseProducer<Deliveries>,
    transactional: bool,
    partition: i32,
    topics: Topics,
    /// Something was written since the last commit.
    begun: bool,
    bytes: Vec<u8>,
}

impl Writer {
    /// Connects and takes the place of whoever wrote for this partition before.
    pub fn open(settings: &KafkaSettings, topics: &Topics, partition: u32) -> Result<Self, RunError> {
        let config = settings.producer_config(Some(partition));
        let made = config.create_with_context(Deliveries::default());
        let producer: BaseProducer<Deliveries> = made.map_err(doing("make the producer"))?;
        let transactional = settings.guarantee == Guarantee::ExactlyOnce;
        if transactional {
            again("take over the partition's transactions", || producer.init_transactions(ANSWER))?;
        }
        let (topics, partition) = (topics.clone(), partition as i32);
        Ok(Self { producer, transactional, partition, topics, begun: false, bytes: Vec::new() })
    }

    /// Writes an effect; `traceparent` is that of its cause.
    pub fn effect(&mut self, effect: &Effect, traceparent: Option<&str>) -> Result<(), RunError> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let topic = self.topics.of(effect);
        // Writing to memory fails only if the record cannot be JSON, which its type rules out.
        effect.encode(&mut bytes).map_err(|e| RunError::Late(format!("{topic}: {e}")))?;
        let headers = owned(&content_headers(effect, traceparent));
        let mut record = BaseRecord::<[u8], [u8]>::to(&topic).payload(&bytes).headers(headers);
        record.key = effect.key();
        let written = self.write(record);
        self.bytes = bytes;
        written
    }

    /// Writes a change of the state to the changelog.
    pub fn state(&mut self, change: &Change) -> Result<(), RunError> {
        let topic = self.topics.state.clone();
        let mut record = BaseRecord::<[u8], [u8]>::to(&topic).key(&change.key).partition(self.partition);
        record.payload = change.value.as_deref();
        self.write(record)
    }

    /// Writes any record, to the partition of its key.
    pub fn record(
        &mut self,
        topic: &str,
        key: &str,
        value: &[u8],
        headers: &[(&'static str, String)],
    ) -> Result<(), RunError> {
        let record = BaseRecord::<[u8], [u8]>::to(topic).key(key.as_bytes()).payload(value);
        self.write(record.headers(owned(headers)))
    }

    fn write(&mut self, mut record: BaseRecord<'_, [u8], [u8]>) -> Result<(), RunError> {
        if !self.begun {
            if self.transactional {
                self.producer.begin_transaction().map_err(doing("begin a transaction"))?;
            }
            self.begun = true;
        }
        let start = Since::now();
        let topic = record.topic.to_owned();
        // A full queue is back-pressure: wait until the brokers have taken some of it.
        while let Err((e, back)) = self.producer.send(record) {
            if e.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(RunError::Undelivered(topic, e));
            }
            if start.elapsed() > ANSWER {
                return Err(RunError::Late(format!("the brokers do not take what is written to {topic}")));
            }
            self.producer.poll(NEWS);
            record = back;
        }
        // Takes note of what was delivered.
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Commits what was written. Tells whether there was anything.
    pub fn commit(&mut self) -> Result<bool, RunError> {
        if !self.begun {
            return Ok(false);
        }
        self.flush()?;
        // Nothing is on its way any more, so a failure is known before the commit is asked for.
        if let Some(failed) = self.producer.context().failure() {
            return Err(failed.into());
        }
        if self.transactional {
            again("commit", || self.producer.commit_transaction(ANSWER)).map_err(in_doubt)?;
        }
        self.begun = false;
        Ok(true)
    }

    /// Waits until the brokers have all that was written. The client's own wait spins through its last millisecond, or
    /// looks every 100 ms only.
    fn flush(&self) -> Result<(), RunError> {
        let start = Since::now();
        while self.producer.in_flight_count() > 0 {
            if start.elapsed() > ANSWER {
                return Err(RunError::Late("the brokers do not take what is written".into()));
            }
            // Each delivery ends this wait.
            self.producer.poll(NEWS);
        }
        Ok(())
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.partition
    }
}

/// A commit that failed, sorted: unless the client says that the transaction has to be aborted, the coordinator may have
/// decided to commit it.
fn in_doubt(e: RunError) -> RunError {
    match e {
        RunError::Client(_, KafkaError::Transaction(t)) if !t.txn_requires_abort() => {
            RunError::InDoubt(t.to_string())
        }
        other => other,
    }
}

/// Asks again while the client says that it may be asked again, for a while.
fn again(what: &str, ask: impl Fn() -> KafkaResult<()>) -> Result<(), RunError> {
    let start = Since::now();
    loop {
        match ask() {
            Err(KafkaError::Transaction(e)) if e.is_retriable() && start.elapsed() < ANSWER => pause(AGAIN),
            done => return done.map_err(doing(what)),
        }
    }
}
