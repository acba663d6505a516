//! The takeoff model: the probability that a conversation takes off. Most posts never do, but all cascades in
//! the network's training data did.
//!
//! By Bayes' rule the odds given author and text are multiplied with the likelihood ratio of the reshares so
//! far. The first is a logistic regression on posts of known authors. The second is one on cascades that took
//! off and ones that did not, with equal weight.

use serde::{Deserialize, Serialize};

use crate::TYPICAL_FOLLOWERS;

/// Number of reshares from which a conversation has taken off.
pub const TAKEOFF_RESHARES: u64 = 50;
/// Prior probability that a post takes off: the share among 9,943 posts of known authors. The odds of an
/// angry complaint are three times as high, in agreement with the 3% of negative brand posts that go viral
/// (Herhausen et al. 2019).
pub const BASE_RATE: f64 = 0.012;
/// Maximum age in minutes; a longer silence carries no further evidence.
const MAX_SILENCE_MINUTES: f64 = 4320.0;
/// Number of opening terms.
pub const OPENING_TERMS: usize = 3;
/// Number of evidence terms.
pub const EVIDENCE_TERMS: usize = 4;

/// The inputs that do not depend on reshare counts: audience and text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Opening {
    /// The reach of author and carriers, in accounts. A famous account that reshares counts like one that
    /// wrote the post.
    pub followers: f64,
    /// Probability that the post is written in anger, 0..1.
    pub arousal: f64,
    /// Probability that the post is a complaint, 0..1.
    pub complaint: f64,
}

impl Opening {
    /// Returns the regression terms, all 0 for a calm post of an ordinary account.
    #[must_use]
    pub fn terms(&self) -> [f64; OPENING_TERMS] {
        let ordinary = (TYPICAL_FOLLOWERS as f64).ln_1p();
        [self.followers.max(0.0).ln_1p() - ordinary, self.arousal, self.complaint]
    }
}

/// Returns the evidence terms of `reshares` reshares within `age` seconds; all 0 at the beginning.
#[must_use]
pub fn evidence(reshares: f64, age: f64) -> [f64; EVIDENCE_TERMS] {
    let (n, t) = (reshares.ln_1p(), (age / 60.0).clamp(0.0, MAX_SILENCE_MINUTES).ln_1p());
    [n, t, n * t, n * n]
}

/// The two regressions: log-odds = bias + opening + evidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Takeoff {
    /// Log-odds of a new, calm post of an ordinary account.
    pub bias: f64,
    /// Weights of the opening terms.
    pub opening: [f64; OPENING_TERMS],
    /// Weights of the evidence terms.
    pub evidence: [f64; EVIDENCE_TERMS],
}

/// The distribution of final sizes, used to correct for selection in the training data.
///
/// The training collections were selected for successful cascades: there the logarithm of the size is about
/// normal, while among all posts the share of sizes follows a power law.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SizePrior {
    /// Mean of the size's natural logarithm in the collections.
    pub mean: f64,
    /// Standard deviation of the size's natural logarithm in the collections.
    pub deviation: f64,
    /// Exponent of the power law among all posts.
    pub power: f64,
}

/// Natural logarithms of the sizes between which the selection is corrected: 50 and 1,000.
const LOG_SIZES: (f64, f64) = (3.912, 6.908);
/// Maximum weight of a size relative to the largest.
const MAX_REWEIGHT: f64 = 10.0;

impl SizePrior {
    /// Returns the weight, 1..10, of a final size given by its logarithm: its frequency among all posts that
    /// take off over that in the collections, relative to the largest sizes.
    #[must_use]
    pub fn size_weight(&self, log_size: f64) -> f64 {
        let log_ratio = |x: f64| {
            let deviations = (x - self.mean) / self.deviation;
            -self.power * x + 0.5 * deviations * deviations
        };
        let (smallest, largest) = LOG_SIZES;
        (log_ratio(log_size.clamp(smallest, largest)) - log_ratio(largest)).exp().clamp(1.0, MAX_REWEIGHT)
    }

    pub(super) fn is_sound(&self) -> bool {
        self.deviation > 0.0 && [self.mean, self.deviation, self.power].iter().all(|x| x.is_finite())
    }
}

/// Converts a probability for [`BASE_RATE`] to one for a stream where `share` of the posts take off.
pub(super) fn with_base_rate(chance: f64, share: f64) -> f64 {
    let odds = |p: f64| p / (1.0 - p);
    if chance >= 1.0 || share >= 1.0 {
        return 1.0;
    }
    let odds = odds(chance) * odds(share.max(0.0)) / odds(BASE_RATE);
    odds / (1.0 + odds)
}

impl Takeoff {
    /// Returns the probability that a conversation takes off, after `reshares` reshares within `age` seconds.
    #[must_use]
    pub fn chance(&self, opening: &Opening, reshares: f64, age: f64) -> f64 {
        if reshares >= TAKEOFF_RESHARES as f64 {
            return 1.0;
        }
        let sum = |weights: &[f64], terms: &[f64]| weights.iter().zip(terms).map(|(w, x)| w * x).sum::<f64>();
        let z =
            self.bias + sum(&self.opening, &opening.terms()) + sum(&self.evidence, &evidence(reshares, age));
        1.0 / (1.0 + (-z).exp())
    }

    pub(super) fn is_sound(&self) -> bool {
        self.opening.iter().chain(&self.evidence).chain([&self.bias]).all(|w| w.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_base_rate_moves_the_odds() {
        assert!((with_base_rate(0.4, BASE_RATE) - 0.4).abs() < 1e-9);
        assert!((with_base_rate(BASE_RATE, 0.5) - 0.5).abs() < 1e-9);
        assert_eq!(
            (with_base_rate(0.1, 1.0), with_base_rate(1.0, 0.2), with_base_rate(0.3, 0.0)),
            (1.0, 1.0, 0.0)
        );
    }
}
