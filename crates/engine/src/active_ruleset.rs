//! The policy in force: another can take its place while tasks work.

use std::sync::{Arc, PoisonError, RwLock};

use crate::Ruleset;

/// The brain that tasks work with. Each takes it anew for every round, so that a round has one policy.
pub struct ActiveRuleset(RwLock<Arc<Ruleset>>);

impl ActiveRuleset {
    /// This one first.
    #[must_use]
    pub fn new(ruleset: Arc<Ruleset>) -> Self {
        Self(RwLock::new(ruleset))
    }

    /// The one in force.
    #[must_use]
    pub fn get(&self) -> Arc<Ruleset> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another in force.
    pub fn replace(&self, ruleset: Arc<Ruleset>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ruleset;
    }
}
