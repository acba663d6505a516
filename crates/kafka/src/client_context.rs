//! What every client of the library shares: its words in our log, each trouble told once, and failed deliveries.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::Message;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

use crate::{KafkaSettings, RunError, client_error};

/// The kinds of trouble that were told: the client repeats itself with every attempt, a log need not. Work that succeeds
/// ends them, so that the same trouble is told again when it comes again.
#[derive(Default)]
pub(crate) struct ReportedErrors(Mutex<Vec<RDKafkaErrorCode>>);

impl ReportedErrors {
    pub fn report_once(&self, who: &str, error: &KafkaError, reason: &str) {
        let mut reported = lock(&self.0);
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        if !reported.contains(&code) {
            eprintln!("{who}: {error}: {reason}");
            reported.push(code);
        }
    }

    pub fn reset(&self) {
        lock(&self.0).clear();
    }
}

/// A reader without a place in any group.
#[derive(Default)]
pub(crate) struct ReaderContext {
    reported_errors: ReportedErrors,
}

/// Makes a reader that has no partitions yet.
pub(crate) fn create_consumer(settings: &KafkaSettings) -> Result<BaseConsumer<ReaderContext>, RunError> {
    settings
        .reader_config()
        .create_with_context(ReaderContext::default())
        .map_err(client_error("make the reader"))
}

impl ClientContext for ReaderContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition is asked for, and is no trouble.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            self.reported_errors.report_once("kafka reader", &error, reason);
        }
    }
}

impl ConsumerContext for ReaderContext {}

/// A delivery that failed for good.
#[derive(Debug, Clone)]
pub(crate) struct DeliveryFailure {
    pub topic: String,
    pub error: KafkaError,
}

/// Notes deliveries that failed for good.
#[derive(Default)]
pub(crate) struct DeliveryContext {
    failure: Mutex<Option<DeliveryFailure>>,
    reported_errors: ReportedErrors,
}

impl DeliveryContext {
    /// The first failure since this was last asked.
    pub fn take_failure(&self) -> Option<DeliveryFailure> {
        lock(&self.failure).take()
    }
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reported_errors.report_once("kafka producer", &error, reason);
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.reported_errors.reset(),
            Err((error, message)) => {
                let failed = DeliveryFailure { topic: message.topic().to_owned(), error: error.clone() };
                lock(&self.failure).get_or_insert(failed);
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
