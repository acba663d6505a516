//! The policy in force: another can take its place while tasks work.

use std::sync::{Arc, PoisonError, RwLock};

use crate::Brain;

/// The brain that tasks work with. Each takes it anew for every round, so that a round has one policy.
pub struct InForce(RwLock<Arc<Brain>>);

impl InForce {
    /// This one first.
    #[must_use]
    pub fn new(brain: Arc<Brain>) -> Self {
        Self(RwLock::new(brain))
    }

    /// The one in force.
    #[must_use]
    pub fn get(&self) -> Arc<Brain> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another in force.
    pub fn replace(&self, brain: Arc<Brain>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = brain;
    }
}
