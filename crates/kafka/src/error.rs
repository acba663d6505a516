//! What can go wrong with Kafka, sorted by what to do about it.

use std::fmt;

use firewatch_engine::StateError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::client_context::DeliveryFailure;

/// What stops the Kafka side.
#[derive(Debug)]
pub enum RunError {
    /// The client refused: a setting, or the cluster.
    Client(String, KafkaError),
    /// The topics are not as they must be.
    Topics(String),
    /// A record could not be written; nothing after the last commit counts.
    Undelivered(String, KafkaError),
    /// A record and the schema it is to be written by do not fit, or the registry refuses.
    Contract(String),
    /// The state cannot be read.
    State(StateError),
    /// An answer did not come in time.
    Timeout(String),
    /// It is not known whether what was written is committed.
    InDoubt(String),
    /// The trouble has lasted too long.
    RetriesExhausted(String),
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Undo what is not committed, and do it again.
    Redo,
    /// Another has taken this place, or it is not known how a commit ended: begin from what is committed.
    Restart,
    /// It will not get better by itself.
    Stop,
}

impl RunError {
    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Topics(_) | Self::Contract(_) | Self::State(_) | Self::RetriesExhausted(_) => Remedy::Stop,
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

impl From<StateError> for RunError {
    fn from(e: StateError) -> Self {
        Self::State(e)
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(doing, e) => write!(f, "{doing}: {e}"),
            Self::Topics(problem)
            | Self::Contract(problem)
            | Self::Timeout(problem)
            | Self::RetriesExhausted(problem) => f.write_str(problem),
            Self::Undelivered(topic, e) => {
                write!(f, "a record for {topic} could not be written, so nothing was committed: {e}")
            }
            Self::InDoubt(problem) => write!(f, "it is not known how a commit ended: {problem}"),
            Self::State(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for RunError {}

/// Names what was being done when the client refused.
pub(crate) fn client_error(what: impl Into<String>) -> impl FnOnce(KafkaError) -> RunError {
    let what = what.into();
    move |e| RunError::Client(what, e)
}
