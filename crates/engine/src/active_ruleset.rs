//! Holds the active ruleset, and replaces it while tasks run.

use std::sync::{Arc, PoisonError, RwLock};

use crate::Ruleset;

/// The ruleset that all tasks use. Each task gets it once per poll round, so that a round uses one ruleset
/// throughout.
pub struct ActiveRuleset(RwLock<Arc<Ruleset>>);

impl ActiveRuleset {
    /// Starts with this ruleset.
    #[must_use]
    pub fn new(ruleset: Arc<Ruleset>) -> Self {
        Self(RwLock::new(ruleset))
    }

    /// Returns the current ruleset.
    #[must_use]
    pub fn get(&self) -> Arc<Ruleset> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the ruleset; tasks use the new one from their next round.
    pub fn replace(&self, ruleset: Arc<Ruleset>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ruleset;
    }
}
