//! Which sources have trouble, for the readiness probe.

use std::sync::{Mutex, PoisonError};

use crate::Notice;

/// Streams that are not connected, each with what is wrong.
pub struct StreamErrors(Mutex<Vec<(String, String)>>);

impl StreamErrors {
    /// Streams by name, none of them connected yet.
    #[must_use]
    pub fn new(streams: Vec<String>) -> Self {
        Self(Mutex::new(streams.into_iter().map(|stream| (stream, "not connected yet".into())).collect()))
    }

    /// Notes what happened to a source.
    pub fn observe(&self, source: &str, notice: &Notice) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match notice {
            Notice::Connected => all.retain(|(name, _)| name != source),
            Notice::Failed(problem) => {
                all.retain(|(name, _)| name != source);
                all.push((source.to_owned(), problem.clone()));
            }
            // A webhook's trouble is over with the next one that is taken.
            Notice::Accepted => all.retain(|(name, _)| name != source),
            Notice::Skipped(_) | Notice::Gap(_) => {}
        }
    }

    /// Ready when no source has trouble.
    ///
    /// # Errors
    /// The first source with trouble, and the trouble.
    pub fn readiness(&self) -> Result<(), String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.first() {
            None => Ok(()),
            Some((source, problem)) => Err(format!("{source}: {problem}")),
        }
    }
}
