//! Kafka's side of a task's writer: one producer, whose records are committed together.
//!
//! With `ExactlyOnce` a commit is a transaction under the partition's own transactional id. Taking over the id
//! aborts what the previous owner left open and fences it. The consumer group is not part of the transaction,
//! so tasks that keep their partition go on committing while others move.

use std::time::Duration;

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::backoff::{Stopwatch, pause};
use crate::client_context::DeliveryContext;
use crate::headers::to_kafka_headers;
use crate::log::{LogWriter, OutgoingRecord};
use crate::{Guarantee, KafkaSettings, RunError, client_error};

/// Longest wait for one answer of a coordinator; longer than a broker takes to be replaced.
const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(20);
/// Wait before a retriable request is sent again.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// Longest wait for delivery reports before the timeout is checked.
const DELIVERY_POLL_TIMEOUT: Duration = Duration::from_millis(10);

/// A producer that commits what it sent.
pub(crate) struct TransactionalProducer {
    producer: BaseProducer<DeliveryContext>,
    transactional: bool,
    /// Whether anything was sent since the last commit.
    has_uncommitted: bool,
}

impl TransactionalProducer {
    /// Connects and, with transactions, fences the previous writer of this partition.
    pub fn open(settings: &KafkaSettings, partition: u32) -> Result<Self, RunError> {
        let config = settings.producer_config(Some(partition));
        let made = config.create_with_context(DeliveryContext::default());
        let producer: BaseProducer<DeliveryContext> = made.map_err(client_error("create the producer"))?;
        let transactional = settings.guarantee == Guarantee::ExactlyOnce;
        if transactional {
            retry_transient("take over the partition's transactional id", || {
                producer.init_transactions(COORDINATOR_TIMEOUT)
            })?;
        }
        Ok(Self { producer, transactional, has_uncommitted: false })
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
}

impl LogWriter for TransactionalProducer {
    fn send(&mut self, record: &OutgoingRecord<'_>) -> Result<(), RunError> {
        if !self.has_uncommitted {
            if self.transactional {
                self.producer.begin_transaction().map_err(client_error("begin a transaction"))?;
            }
            self.has_uncommitted = true;
        }
        let start = Stopwatch::start();
        let mut pending = to_base_record(record);
        // A full queue is back-pressure: wait until the brokers accept some of it.
        while let Err((e, back)) = self.producer.send(pending) {
            if e.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(RunError::Undelivered(record.topic.to_owned(), e));
            }
            if start.elapsed() > COORDINATOR_TIMEOUT {
                let problem = format!("the brokers do not accept records for {}", record.topic);
                return Err(RunError::Timeout(problem));
            }
            self.producer.poll(DELIVERY_POLL_TIMEOUT);
            pending = back;
        }
        // Handles delivery reports.
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    fn commit(&mut self) -> Result<bool, RunError> {
        if !self.has_uncommitted {
            return Ok(false);
        }
        self.flush()?;
        // Nothing is in flight any more, so a failed delivery is known before the commit is requested.
        if let Some(failed) = self.producer.context().take_failure() {
            // When the transaction fails, the client purges what it has queued, and the commit returns why.
            let purged = [Some(RDKafkaErrorCode::PurgeQueue), Some(RDKafkaErrorCode::PurgeInflight)];
            if self.transactional && purged.contains(&failed.error.rdkafka_error_code()) {
                let topic = self.producer.context().take_unauthorized_topic().unwrap_or(failed.topic);
                let why = self.producer.commit_transaction(COORDINATOR_TIMEOUT).err().unwrap_or(failed.error);
                return Err(RunError::Undelivered(topic, why));
            }
            return Err(failed.into());
        }
        if self.transactional {
            retry_transient("commit", || self.producer.commit_transaction(COORDINATOR_TIMEOUT))
                .map_err(mark_in_doubt)?;
        }
        self.has_uncommitted = false;
        Ok(true)
    }
}

fn to_base_record<'a>(record: &OutgoingRecord<'a>) -> BaseRecord<'a, [u8], [u8]> {
    let mut to_send = BaseRecord::to(record.topic);
    to_send.partition = record.partition;
    to_send.key = record.key;
    to_send.payload = record.payload;
    if !record.headers.is_empty() {
        to_send.headers = Some(to_kafka_headers(record.headers));
    }
    to_send
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
