//! What every client of the library shares: its words in our log, each trouble told once, and failed deliveries.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::Message;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

use crate::{KafkaSettings, RunError, doing};

/// The kinds of trouble that were told: the client repeats itself with every attempt, a log need not. Work that succeeds
/// ends them, so that the same trouble is told again when it comes again.
#[derive(Default)]
pub(crate) struct Trouble(Mutex<Vec<RDKafkaErrorCode>>);

impl Trouble {
    pub fn tell(&self, who: &str, error: &KafkaError, reason: &str) {
        let mut told = lock(&self.0);
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        if !told.contains(&code) {
            eprintln!("{who}: {error}: {reason}");
            told.push(code);
        }
    }

    pub fn is_over(&self) {
        lock(&self.0).clear();
    }
}

/// A reader without a place in any group.
#[derive(Default)]
pub(crate) struct Reading {
    trouble: Trouble,
}

/// Makes a reader that has no partitions yet.
pub(crate) fn reader(settings: &KafkaSettings) -> Result<BaseConsumer<Reading>, RunError> {
    settings.reader_config().create_with_context(Reading::default()).map_err(doing("make the reader"))
}

impl ClientContext for Reading {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition is asked for, and is no trouble.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            self.trouble.tell("kafka reader", &error, reason);
        }
    }
}

impl ConsumerContext for Reading {}

/// A delivery that failed for good.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub topic: String,
    pub error: KafkaError,
}

/// Notes deliveries that failed for good.
#[derive(Default)]
pub(crate) struct Deliveries {
    failed: Mutex<Option<Failed>>,
    trouble: Trouble,
}

impl Deliveries {
    /// The first failure since this was last asked.
    pub fn failure(&self) -> Option<Failed> {
        lock(&self.failed).take()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble.tell("kafka producer", &error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.trouble.is_over(),
            Err((error, message)) => {
                let failed = Failed { topic: message.topic().to_owned(), error: error.clone() };
                lock(&self.failed).get_or_insert(failed);
            }
        }
    }
}

/// A poisoned lock means that another thread panicked while it only moved values; they are still whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whatever librdkafka has to say; it is quiet unless something is wrong or its `debug` property is set.
pub(crate) fn log_line(_: RDKafkaLogLevel, facility: &str, message: &str) {
    eprintln!("kafka {facility}: {message}");
}
