//! The Kafka side of the engine: consumer group, producer, headers, and the embedded broker.
//!
//! Nothing outside this crate names rdkafka. Outputs are written before offsets are committed, so a crash repeats
//! work under the same ids and loses none.

mod embedded;
mod feed;
mod headers;
mod runner;
mod session;
mod settings;

pub use embedded::Embedded;
pub use feed::{Feed, Received, Tail};
pub use headers::content_headers;
pub use runner::{Clock, Runner};
pub use session::Health;
pub use settings::{KafkaSettings, Topics, check_properties};

use rdkafka::error::KafkaError;
use std::fmt;

/// What stops the Kafka side.
#[derive(Debug)]
pub enum RunError {
    /// The client refused: a setting, or the cluster.
    Client(String, KafkaError),
    /// The topics are not as they must be.
    Topics(String),
    /// A record could not be written; nothing after the last commit counts.
    Undelivered(String),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(doing, e) => write!(f, "{doing}: {e}"),
            Self::Topics(problem) => f.write_str(problem),
            Self::Undelivered(problem) => {
                write!(f, "a record could not be written, so nothing was committed: {problem}")
            }
        }
    }
}

impl std::error::Error for RunError {}

/// Names what was being done when the client refused.
pub(crate) fn doing(what: impl Into<String>) -> impl FnOnce(KafkaError) -> RunError {
    let what = what.into();
    move |e| RunError::Client(what, e)
}
