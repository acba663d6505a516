//! Shared by all clients of librdkafka: log lines, one report for each kind of error, and failed deliveries.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::Message;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

use crate::{KafkaSettings, RunError, client_error};

/// The kinds of errors that were reported. The client repeats an error with every attempt, but the log should
/// not. A success clears the list, so that a later recurrence is reported again.
#[derive(Default)]
pub(crate) struct ReportedErrors(Mutex<Vec<RDKafkaErrorCode>>);

impl ReportedErrors {
    pub fn report_once(&self, who: &str, error: &KafkaError, reason: &str) {
        let mut reported = lock(&self.0);
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        if !reported.contains(&code) {
            tracing::warn!("{who}: {error}: {reason}");
            reported.push(code);
        }
    }

    pub fn reset(&self) {
        lock(&self.0).clear();
    }
}

/// Context of a consumer that joins no group.
#[derive(Default)]
pub(crate) struct ReaderContext {
    reported_errors: ReportedErrors,
    /// The last error that the client reported, with its reason.
    last_error: Mutex<Option<(RDKafkaErrorCode, String)>>,
}

impl ReaderContext {
    /// Returns why the brokers refuse the credentials, or TLS fails; `None` for problems that can pass.
    pub fn refusal(&self) -> Option<String> {
        let last = lock(&self.last_error);
        let (code, reason) = last.as_ref()?;
        let remedy = match code {
            // A broker that goes away in the middle of it can come back.
            RDKafkaErrorCode::Authentication if !reason.contains("transport failure") => {
                "check sasl.mechanisms, sasl.username and sasl.password of kafka.common"
            }
            RDKafkaErrorCode::SSL if reason.contains("certificate verify failed") => {
                "check that ssl.ca.location of kafka.common names the authority of the brokers' certificates, and \
                 that the certificates are for the hosts in kafka.brokers"
            }
            // An alert is how a broker refuses a client's certificate.
            _ if reason.contains("SSL alert") => {
                "check ssl.certificate.location and ssl.key.location of kafka.common"
            }
            _ => return None,
        };
        Some(format!("{reason}; {remedy}"))
    }

    /// Returns the reason of the last error.
    pub fn last_reason(&self) -> Option<String> {
        lock(&self.last_error).as_ref().map(|(_, reason)| reason.clone())
    }
}

/// Creates a consumer that has no partitions yet.
pub(crate) fn create_consumer(settings: &KafkaSettings) -> Result<BaseConsumer<ReaderContext>, RunError> {
    settings
        .reader_config()
        .create_with_context(ReaderContext::default())
        .map_err(client_error("create the reader"))
}

impl ClientContext for ReaderContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition is a requested event, not an error.
        let code = error.rdkafka_error_code();
        if code != Some(RDKafkaErrorCode::PartitionEOF) {
            // That all brokers are down follows from the errors before it.
            if let Some(code) = code.filter(|code| *code != RDKafkaErrorCode::AllBrokersDown) {
                *lock(&self.last_error) = Some((code, reason.to_owned()));
            }
            self.reported_errors.report_once("kafka reader", &error, reason);
        }
    }
}

impl ConsumerContext for ReaderContext {}

/// A delivery that failed permanently.
#[derive(Debug, Clone)]
pub(crate) struct DeliveryFailure {
    pub topic: String,
    pub error: KafkaError,
}

/// Keeps the first delivery that failed permanently.
#[derive(Default)]
pub(crate) struct DeliveryContext {
    failure: Mutex<Option<DeliveryFailure>>,
    /// The last topic that a transaction may not write to. Only a log line of the client names it.
    unauthorized_topic: Mutex<Option<String>>,
    reported_errors: ReportedErrors,
}

impl DeliveryContext {
    /// Takes the first failure since the last call.
    pub fn take_failure(&self) -> Option<DeliveryFailure> {
        lock(&self.failure).take()
    }

    /// Takes the topic that the last transaction was not authorized to write to.
    pub fn take_unauthorized_topic(&self) -> Option<String> {
        lock(&self.unauthorized_topic).take()
    }
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "ADDPARTS" && message.contains("Topic authorization failed") {
            *lock(&self.unauthorized_topic) = message.split('"').nth(1).map(str::to_owned);
        }
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

/// Locks a mutex, even a poisoned one: the thread that panicked only moved values, so they are still
/// consistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Logs a message of librdkafka. It is silent unless something is wrong or its `debug` property is set.
pub(crate) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            tracing::error!("kafka {facility}: {message}");
        }
        RDKafkaLogLevel::Warning => tracing::warn!("kafka {facility}: {message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!("kafka {facility}: {message}"),
        RDKafkaLogLevel::Debug => tracing::debug!("kafka {facility}: {message}"),
    }
}
