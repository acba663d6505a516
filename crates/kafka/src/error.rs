//! What can go wrong with Kafka, sorted by what to do about it.

use firewatch_engine::StateError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use thiserror::Error;

use crate::client_context::DeliveryFailure;

/// Why the Kafka side stopped or has to begin again.
#[derive(Debug, Error)]
pub enum RunError {
    /// The client or the cluster refused: what was attempted, and why it failed.
    #[error("{0}: {1}")]
    Client(String, #[source] KafkaError),
    /// The topics do not exist or do not fit each other; the message has the remedy.
    #[error("{0}")]
    Topics(String),
    /// The brokers refuse the client, or the client refuses them or its settings; the message has the remedy.
    #[error("kafka: {0}")]
    Refused(String),
    /// The requested span or offset holds no record; the message has the remedy.
    #[error("{0}")]
    Span(String),
    /// A record for a topic could not be written; nothing after the last commit counts.
    #[error("a record for {0} could not be written, so nothing was committed: {1}")]
    Undelivered(String, #[source] KafkaError),
    /// A record does not fit the schema it is to be written by, or the registry refuses; the message has the remedy.
    #[error("{0}")]
    Contract(String),
    /// The state cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// An entry of the changelog that is not the engine's cannot be read; the message has the remedy.
    #[error("{0}")]
    Changelog(String),
    /// An answer did not come in time.
    #[error("{0}")]
    Timeout(String),
    /// Nobody knows whether the last transaction was committed.
    #[error("it is not known how a commit ended: {0}")]
    InDoubt(String),
    /// Retries went on for longer than `engine.patience`.
    #[error("{0}")]
    RetriesExhausted(String),
    /// The operating system refused a thread for a partition.
    #[error("start a thread for partition {0}: {1}")]
    Thread(u32, #[source] std::io::Error),
    /// The worker of a partition panicked; standard error has the message.
    #[error("the worker of partition {0} panicked")]
    Panicked(u32),
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Undo what is not committed, and work on it again.
    Redo,
    /// Another process owns the partition, or the end of a commit is unknown: begin again from what is committed.
    Restart,
    /// A retry cannot help.
    Stop,
}

impl RunError {
    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Topics(_)
            | Self::Refused(_)
            | Self::Span(_)
            | Self::Contract(_)
            | Self::State(_)
            | Self::Changelog(_)
            | Self::RetriesExhausted(_)
            | Self::Thread(..)
            | Self::Panicked(_) => Remedy::Stop,
            Self::Timeout(_) => Remedy::Redo,
            Self::InDoubt(_) => Remedy::Restart,
            Self::Client(_, e) | Self::Undelivered(_, e) => client_remedy(e),
        }
    }
}

fn client_remedy(e: &KafkaError) -> Remedy {
    use RDKafkaErrorCode as Code;
    let code = e.rdkafka_error_code();
    match code {
        Some(
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::MessageSizeTooLarge
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
            | Code::InvalidConfig
            | Code::InvalidArgument
            | Code::PolicyViolation,
        ) => Remedy::Stop,
        Some(
            Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch | Code::Fatal | Code::State,
        ) => Remedy::Restart,
        _ if matches!(e, KafkaError::Transaction(t) if t.is_fatal()) => Remedy::Restart,
        _ if matches!(e, KafkaError::MessageConsumptionFatal(_) | KafkaError::ClientConfig(..)) => {
            Remedy::Stop
        }
        _ => Remedy::Redo,
    }
}

impl From<DeliveryFailure> for RunError {
    fn from(failed: DeliveryFailure) -> Self {
        Self::Undelivered(failed.topic, failed.error)
    }
}

/// Names what was attempted when the client refused.
pub(crate) fn client_error(what: impl Into<String>) -> impl FnOnce(KafkaError) -> RunError {
    let what = what.into();
    move |e| RunError::Client(what, e)
}
