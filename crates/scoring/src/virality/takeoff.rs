//! Does it take off at all? Most posts never do, and the cascades that the network learnt from all did.
//!
//! Bayes: the odds from the author and the text, times what the reshares so far say. The first is a logistic regression on
//! posts of known authors, the second one on cascades that took off against ones that did not, weighed alike.

use serde::{Deserialize, Serialize};

use crate::TYPICAL_FOLLOWERS;

/// Reshares from which a conversation has taken off.
pub const TAKEOFF_RESHARES: u64 = 50;
/// Share of posts that take off, where nothing else is known: that of 9,943 posts of known authors. For an angry complaint
/// the odds are three times as high, which agrees with the 3% of negative brand posts that go viral (Herhausen et al. 2019).
pub const BASE_RATE: f64 = 0.012;
/// Minutes after which silence says no more.
const MAX_SILENCE_MINUTES: f64 = 4320.0;
/// Terms of an opening.
pub const OPENING_TERMS: usize = 3;
/// Terms of the evidence.
pub const EVIDENCE_TERMS: usize = 4;

/// What is known of a post when it is written, and of who carries it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Opening {
    /// Followers of the author, and of all who carry it: a famous account that passes it on is as good as one that wrote it.
    pub followers: f64,
    /// Probability that it is written in anger, 0..1.
    pub arousal: f64,
    /// Probability that it is a complaint, 0..1.
    pub complaint: f64,
}

impl Opening {
    /// The terms, nought for a calm post of an ordinary account.
    #[must_use]
    pub fn terms(&self) -> [f64; OPENING_TERMS] {
        let ordinary = (TYPICAL_FOLLOWERS as f64).ln_1p();
        [self.followers.max(0.0).ln_1p() - ordinary, self.arousal, self.complaint]
    }
}

/// The terms of so many reshares within an age in seconds; all nought at the beginning.
#[must_use]
pub fn evidence(reshares: f64, age: f64) -> [f64; EVIDENCE_TERMS] {
    let (n, t) = (reshares.ln_1p(), (age / 60.0).clamp(0.0, MAX_SILENCE_MINUTES).ln_1p());
    [n, t, n * t, n * n]
}

/// The two regressions: log-odds = bias + opening + evidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Takeoff {
    /// Log-odds of a calm post of an ordinary account.
    pub bias: f64,
    /// Weights of the opening's terms.
    pub opening: [f64; OPENING_TERMS],
    /// Weights of the evidence's terms.
    pub evidence: [f64; EVIDENCE_TERMS],
}

/// How large conversations become that take off. Collections were chosen for their success: the logarithm of the size is about
/// normal in those that were learnt from, where of all posts the share of larger ones falls with a power of the size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SizePrior {
    /// Mean of the logarithm of the size in the collections.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
    /// The power of all posts.
    pub power: f64,
}

/// The logarithms of the sizes between which the collections are held to be chosen: 50 and 1,000.
const LOG_SIZES: (f64, f64) = (3.912, 6.908);
/// By how much a size can be made likelier than the largest at most.
const MAX_REWEIGHT: f64 = 10.0;

impl SizePrior {
    /// How much likelier a final size of this logarithm is among all that take off than in the collections, against the
    /// largest sizes.
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

/// A chance that was told for [`BASE_RATE`], among posts of which another share takes off.
pub(super) fn with_base_rate(chance: f64, share: f64) -> f64 {
    let odds = |p: f64| p / (1.0 - p);
    if chance >= 1.0 || share >= 1.0 {
        return 1.0;
    }
    let odds = odds(chance) * odds(share.max(0.0)) / odds(BASE_RATE);
    odds / (1.0 + odds)
}

impl Takeoff {
    /// The chance that a conversation takes off, after so many reshares within an age in seconds.
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
