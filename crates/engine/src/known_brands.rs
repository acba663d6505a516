//! The brands that have dispatchers in any partition: those of the policy, and those of the policies before it.
//!
//! A conversation stays with the dispatcher that decided it first. So a brand that the policy no longer lists still
//! receives watermarks, actions and updates, or its open escalations would wait without end.

use std::collections::BTreeSet;

use firewatch_escalation::UNLISTED_BRAND;
use serde::{Deserialize, Serialize};

use crate::Ruleset;

/// Maximum number of brands whose dispatchers receive what an event says of a conversation of an unknown brand.
const MAX_ASKED: usize = 64;

/// The brands that a task has sent watermarks to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownBrands(BTreeSet<String>);

impl KnownBrands {
    /// Adds the brands of the active policy.
    pub fn adopt(&mut self, ruleset: &Ruleset) {
        for brand in ruleset.policy.brands.keys() {
            if !self.0.contains(brand) {
                self.0.insert(brand.clone());
            }
        }
    }

    /// Iterates over the keys that signals can have: those of the ruleset, and the brands of former policies.
    pub fn signal_keys<'a>(&'a self, ruleset: &'a Ruleset) -> impl Iterator<Item = &'a str> + Clone {
        let former = self.0.iter().filter(|brand| !ruleset.policy.brands.contains_key(*brand));
        ruleset.signal_keys().chain(former.map(String::as_str))
    }

    /// Iterates over the keys of the dispatchers that may know of a conversation that is not followed: that of its
    /// brand, or all when the brand is not known, unless there are more than [`MAX_ASKED`]. What a brand of a former
    /// policy began since is known as unlisted.
    pub fn keys_of_unfollowed<'a>(
        &'a self,
        brand: Option<&'a str>,
        ruleset: &'a Ruleset,
    ) -> impl Iterator<Item = &'a str> + Clone {
        let of_policy = brand.map(|brand| ruleset.signal_key(Some(brand)));
        let former = brand.filter(|brand| of_policy == Some(UNLISTED_BRAND) && self.0.contains(*brand));
        let asks_all = brand.is_none() && self.signal_keys(ruleset).nth(MAX_ASKED + 1).is_none();
        let all = self.signal_keys(ruleset).filter(move |_| asks_all);
        of_policy.into_iter().chain(former).chain(all)
    }
}
