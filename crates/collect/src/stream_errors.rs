//! Tracks the failing sources, for the readiness probe.

use std::sync::{Mutex, PoisonError};

use thiserror::Error;

use crate::Notice;

/// A source that is failing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{stream}: {problem}")]
pub struct FailingStream {
    /// The source's name.
    pub stream: String,
    /// Its last error.
    pub problem: String,
}

/// The failing sources, each with its last error.
pub struct StreamErrors(Mutex<Vec<(String, String)>>);

impl StreamErrors {
    /// Builds the state for the named streams, all of them not connected yet.
    #[must_use]
    pub fn new(streams: Vec<String>) -> Self {
        Self(Mutex::new(streams.into_iter().map(|stream| (stream, "not connected yet".into())).collect()))
    }

    /// Updates the state by a notice of a source.
    pub fn observe(&self, source: &str, notice: &Notice) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match notice {
            Notice::Connected => all.retain(|(name, _)| name != source),
            Notice::Failed(problem) => {
                all.retain(|(name, _)| name != source);
                all.push((source.to_owned(), problem.clone()));
            }
            // A webhook source recovers with its next accepted payload.
            Notice::Accepted => all.retain(|(name, _)| name != source),
            Notice::Skipped(_) | Notice::Gap(_) => {}
        }
    }

    /// Returns `Ok` if no source is failing.
    ///
    /// # Errors
    /// The first failing source and its error.
    pub fn readiness(&self) -> Result<(), FailingStream> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.first() {
            None => Ok(()),
            Some((source, problem)) => {
                Err(FailingStream { stream: source.clone(), problem: problem.clone() })
            }
        }
    }
}
