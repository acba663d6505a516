//! A task's writer: effects and state as they are made, then one commit of them and of the offsets they came from.
//!
//! With `ExactlyOnce` that is a Kafka transaction under an id of the partition's own: taking the id over aborts what the
//! owner before left open and shuts it out. The commit names the group but no generation of it, so that tasks that stay
//! where they are commit on while others move.

use std::time::Duration;

use firewatch_engine::{Change, Effect};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::client::Deliveries;
use crate::headers::{content_headers, owned};
use crate::member::Member;
use crate::reader::Reader;
use crate::wait::{Since, pause};
use crate::{Guarantee, KafkaSettings, RunError, Topics, doing};

/// Longest wait for one answer of a coordinator. Longer than a broker takes to be replaced.
const ANSWER: Duration = Duration::from_secs(20);
/// Wait before a question that may be asked again is asked again.
const AGAIN: Duration = Duration::from_millis(50);
/// Wait while the queue to the brokers is full.
const FULL: Duration = Duration::from_millis(10);
/// How often to look whether all is written.
const LOOK: Duration = Duration::from_millis(1);

/// What a commit takes note of as worked on.
pub(crate) struct Consumed<'a> {
    pub offsets: TopicPartitionList,
    /// Who read it.
    pub reader: &'a Reader,
    /// Who may commit offsets outside transactions; none once the group is left.
    pub member: Option<&'a Member>,
}

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
            self.producer.poll(FULL);
            record = back;
        }
        // Takes note of what was delivered.
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Commits what was written, and with it what was worked on. Nothing is done when there is nothing to commit.
    pub fn commit(&mut self, consumed: Option<&Consumed<'_>>) -> Result<bool, RunError> {
        let consumed = consumed.filter(|c| c.offsets.count() > 0);
        if !self.begun && consumed.is_none() {
            return Ok(false);
        }
        if self.transactional {
            self.commit_transaction(consumed)?;
        } else {
            self.flush()?;
            if let Some(failed) = self.producer.context().failure() {
                return Err(failed.into());
            }
            if let Some(Consumed { offsets, member, .. }) = consumed {
                let member = member.ok_or_else(left)?;
                member.commit(offsets, CommitMode::Sync).map_err(doing("commit offsets"))?;
            }
        }
        self.begun = false;
        Ok(true)
    }

    fn commit_transaction(&mut self, consumed: Option<&Consumed<'_>>) -> Result<(), RunError> {
        if !self.begun {
            self.producer.begin_transaction().map_err(doing("begin a transaction"))?;
            self.begun = true;
        }
        if let Some(Consumed { offsets, reader, .. }) = consumed {
            let group = reader.group()?;
            again("add offsets to the transaction", || {
                self.producer.send_offsets_to_transaction(offsets, &group, ANSWER)
            })?;
        }
        self.flush()?;
        let committed = again("commit", || self.producer.commit_transaction(ANSWER));
        match (committed, self.producer.context().failure()) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(failed)) => Err(failed.into()),
            (Err(e), None) => Err(e),
        }
    }

    /// Waits until the brokers have all that was written. The client's own wait looks every 100 ms only.
    fn flush(&self) -> Result<(), RunError> {
        let start = Since::now();
        loop {
            match self.producer.flush(LOOK) {
                Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)) if start.elapsed() < ANSWER => {}
                flushed => return flushed.map_err(doing("write")),
            }
        }
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Gives up what was written since the last commit.
    pub fn abort(&mut self) -> Result<(), RunError> {
        if self.begun && self.transactional {
            // What was not sent is purged first, which ends only when the client can tell us so.
            again("abort the transaction", || {
                self.producer.poll(FULL);
                self.producer.abort_transaction(AGAIN)
            })?;
        }
        // Failures of what was given up are of no interest any more.
        let _ = self.producer.context().failure();
        self.begun = false;
        Ok(())
    }
}

fn left() -> RunError {
    RunError::Late("this process is not in the group any more".into())
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
