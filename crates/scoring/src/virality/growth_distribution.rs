//! A forecast as a probability distribution over the number of further reshares.

use std::sync::LazyLock;

use super::network::GROWTH_BINS;
use super::takeoff::SizePrior;

/// Bounds of the growth u = ln((more + 0.5) / (so far + 1)). The bins between them have equal width; the
/// first and the last bin lie outside and are open.
const GROWTH_BOUNDS: (f64, f64) = (-5.5, 7.5);
/// Assumed widths of the two open bins.
const OPEN_BIN_WIDTHS: (f64, f64) = (1.5, 1.0);
/// The quantile used as point forecast. Growth is skewed, and a value below the median has the smallest
/// median absolute percentage error.
const POINT_QUANTILE: f64 = 0.34;
/// The quantiles used as the ends of the 80% interval. Training smooths outcomes over bins, which widens the
/// distributions slightly; these quantiles correct for it.
const INTERVAL_QUANTILES: (f64, f64) = (0.11, 0.89);

/// Returns the growth u of `more` further reshares after `so_far`.
#[must_use]
pub fn growth(more: f64, so_far: f64) -> f64 {
    ((more + 0.5) / (so_far + 1.0)).ln()
}

fn more(growth: f64, so_far: f64) -> f64 {
    (growth.exp() * (so_far + 1.0) - 0.5).max(0.0)
}

/// Returns the growth at which a bin begins and ends.
#[must_use]
pub fn bin_ends(bin: usize) -> (f64, f64) {
    let width = (GROWTH_BOUNDS.1 - GROWTH_BOUNDS.0) / (GROWTH_BINS - 2) as f64;
    let at = |i: usize| GROWTH_BOUNDS.0 + i as f64 * width;
    let begin = if bin == 0 { GROWTH_BOUNDS.0 - OPEN_BIN_WIDTHS.0 } else { at(bin - 1) };
    let end = if bin + 1 == GROWTH_BINS { GROWTH_BOUNDS.1 + OPEN_BIN_WIDTHS.1 } else { at(bin) };
    (begin, end)
}

/// The increase of the size's logarithm at the middle of each bin: ln(1 + exp(u)).
static MIDDLES: LazyLock<[f64; GROWTH_BINS]> = LazyLock::new(|| {
    std::array::from_fn(|i| {
        let (begin, end) = bin_ends(i);
        ((begin + end) / 2.0).exp().ln_1p()
    })
});

impl SizePrior {
    /// Returns the weight of each growth bin for a conversation with `so_far` reshares, which leads from the sizes in
    /// the training collections to those of all posts that take off.
    pub(super) fn growth_weights(&self, so_far: f64) -> [f32; GROWTH_BINS] {
        let log_size = (so_far + 1.0).ln();
        MIDDLES.map(|log_growth| self.size_weight(log_size + log_growth) as f32)
    }
}

/// Returns the chances of the growth bins times their weights, as chances that add up to 1.
pub(super) fn weighted(mut chances: [f32; GROWTH_BINS], weights: &[f32; GROWTH_BINS]) -> [f32; GROWTH_BINS] {
    let mut sum = 0.0;
    for (chance, weight) in chances.iter_mut().zip(weights) {
        *chance *= weight;
        sum += *chance;
    }
    chances.map(|chance| chance / sum)
}

/// A point forecast with its 80% interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PredictionInterval {
    /// Lower end: 10% of outcomes are below.
    pub low: f64,
    /// The point forecast, which is below the median; see [`GrowthDistribution::interval`].
    pub point: f64,
    /// Upper end: 10% of outcomes are above.
    pub high: f64,
}

impl PredictionInterval {
    /// Applies `f` to each of the three values.
    #[must_use]
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self { low: f(self.low), point: f(self.point), high: f(self.high) }
    }
}

/// The distribution of further reshares within one horizon: 0 if the conversation does not take off,
/// otherwise a histogram over growth bins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GrowthDistribution {
    pub(crate) so_far: f64,
    pub(crate) takeoff_probability: f64,
    pub(crate) chances: [f32; GROWTH_BINS],
}

impl GrowthDistribution {
    /// Returns the quantile of further reshares at `share`, 0..1.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let stays = 1.0 - self.takeoff_probability;
        if share <= stays {
            return 0.0;
        }
        let (share, mut below) = ((share - stays) / self.takeoff_probability, 0.0);
        for (i, chance) in self.chances.iter().map(|c| f64::from(*c)).enumerate() {
            if below + chance >= share || i + 1 == GROWTH_BINS {
                let (begin, end) = bin_ends(i);
                let part = ((share - below) / chance.max(1e-12)).clamp(0.0, 1.0);
                return more(begin + (end - begin) * part, self.so_far);
            }
            below += chance;
        }
        0.0
    }

    /// Returns the probability of at least `n` further reshares.
    #[must_use]
    pub fn at_least(&self, n: f64) -> f64 {
        if n <= 0.0 { 1.0 } else { self.takeoff_probability * self.at_least_given_takeoff(n) }
    }

    /// Returns the probability of at least `n` further reshares, for `n` of 1 or more, if the conversation
    /// takes off.
    #[must_use]
    pub fn at_least_given_takeoff(&self, n: f64) -> f64 {
        // Subtracts half a reshare as continuity correction.
        let growth = growth(n - 0.5, self.so_far);
        let mut above = 0.0;
        for (i, chance) in self.chances.iter().enumerate() {
            let (begin, end) = bin_ends(i);
            above += f64::from(*chance) * ((end - growth) / (end - begin)).clamp(0.0, 1.0);
        }
        above.min(1.0)
    }

    /// Returns the point forecast, which is the 34% quantile, and the 80% interval.
    #[must_use]
    pub fn interval(&self) -> PredictionInterval {
        PredictionInterval {
            low: self.quantile(INTERVAL_QUANTILES.0),
            point: self.quantile(POINT_QUANTILE),
            high: self.quantile(INTERVAL_QUANTILES.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_chances_are_one_distribution() {
        let mut chances = [0.0; GROWTH_BINS];
        (8..20).for_each(|i| chances[i] = 1.0 / 12.0);
        for (takeoff_probability, so_far) in [(1.0, 100.0), (0.6, 100.0), (1.0, 3.0), (0.6, 30.0)] {
            let distribution = GrowthDistribution { so_far, takeoff_probability, chances };
            for share in [0.5, 0.7, 0.9] {
                let n = distribution.quantile(share);
                assert!(
                    n > 0.0 && (distribution.at_least(n + 0.5) - (1.0 - share)).abs() < 0.02,
                    "{share}: {n}"
                );
            }
            let PredictionInterval { low, point, high } = distribution.interval();
            assert!(low <= point && point < high);
        }
        let idle = GrowthDistribution { so_far: 0.0, takeoff_probability: 0.05, chances };
        assert_eq!(idle.interval().map(f64::round), PredictionInterval { low: 0.0, point: 0.0, high: 0.0 });
        assert!(idle.at_least(1.0) < 0.05 && idle.at_least(0.0) == 1.0);
    }
}
