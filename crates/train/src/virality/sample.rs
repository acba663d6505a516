//! Training samples of the forecast: snapshots of real cascades at many ages.

use std::path::Path;

use firewatch_scoring::virality::{
    FEATURES, FORECAST_HORIZONS, Features, GROWTH_BINS, HORIZON_COUNT, bin_ends, growth,
};

use firewatch_backtest::cascades::{ReshareHistory, cascades};
use firewatch_report::{AnalysisError, parallel::in_parallel, random::mix, random::text_hash};

/// The training sets, and the weight of a cascade in each: the set of large cascades is small.
pub const SETS: [(&str, f32); 3] = [("twitter1516", 1.0), ("weibo", 1.0), ("seismic100", 2.0)];
/// Snapshots of each cascade: their number, and the bounds of their log-uniform ages in seconds. The second
/// group adds snapshots in the first hours, when a warning is useful.
const SNAPSHOTS: [(usize, f64, f64); 2] = [(20, 20.0, 260_000.0), (8, 250.0, 8000.0)];
/// Standard deviation of the smoothing of outcomes, in bins.
const SMOOTHING_BINS: f64 = 0.7;

/// A cascade and its set.
#[derive(Debug, Clone)]
pub struct CascadeOfSet {
    /// Index into [`SETS`].
    pub set: usize,
    /// The cascade.
    pub cascade: ReshareHistory,
}

/// Reads all training cascades.
///
/// # Errors
/// When a file cannot be read or has a bad row.
pub fn read_cascade_sets(data: &Path) -> Result<Vec<CascadeOfSet>, AnalysisError> {
    let mut all = Vec::new();
    for (set, (name, _)) in SETS.iter().enumerate() {
        let path = data.join(format!("cascades/{name}_dev.csv"));
        all.extend(cascades(&path)?.into_iter().map(|cascade| CascadeOfSet { set, cascade }));
    }
    Ok(all)
}

/// A cascade at an age, with its outcome.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Features at that age.
    pub features: Features,
    /// Smoothed outcome: for each forecast horizon the shares of the growth bins.
    pub outcome: [[f32; GROWTH_BINS]; HORIZON_COUNT],
    /// Weight in training.
    pub weight: f32,
}

/// Returns all snapshots of some cascades, in their order.
#[must_use]
pub fn snapshots(all: &[&CascadeOfSet]) -> Vec<Snapshot> {
    in_parallel(all, |known| snapshots_of(known)).into_iter().flatten().collect()
}

fn snapshots_of(known: &CascadeOfSet) -> Vec<Snapshot> {
    let seed = text_hash(&known.cascade.name);
    let ages = SNAPSHOTS.iter().enumerate().flat_map(|(kind, (times, from, to))| {
        (0..*times).map(move |i| {
            let even = mix(seed, (1000 * kind + i) as u64) as f64 / u64::MAX as f64;
            (from.ln() + even * (to.ln() - from.ln())).exp()
        })
    });
    ages.map(|age| snapshot(known, age)).collect()
}

fn snapshot(known: &CascadeOfSet, age: f64) -> Snapshot {
    let summary = known.cascade.cascade_at(age);
    let (seen, so_far) = (known.cascade.count_until(age), summary.resharers() as f64);
    let outcome = FORECAST_HORIZONS.map(|ahead| {
        let more = known.cascade.count_until(age + ahead) - seen;
        smoothed(growth(more as f64, so_far))
    });
    Snapshot { features: Features::from_cascade(&summary), outcome, weight: SETS[known.set].1 }
}

/// Returns a normal distribution around the observed growth, by bin.
fn smoothed(growth: f64) -> [f32; GROWTH_BINS] {
    let middle = |i: usize| {
        let (begin, end) = bin_ends(i);
        let width = end - begin;
        // Treat an open bin as if it had the width of the inner bins.
        if i == 0 { end - 0.5 * inner_width() } else { begin + 0.5 * width.min(inner_width()) }
    };
    let at = growth.clamp(middle(0), middle(GROWTH_BINS - 1));
    let mut shares = [0.0; GROWTH_BINS];
    for (i, share) in shares.iter_mut().enumerate() {
        *share = (-0.5 * ((at - middle(i)) / (SMOOTHING_BINS * inner_width())).powi(2)).exp() as f32;
    }
    let sum: f32 = shares.iter().sum();
    shares.map(|share| share / sum)
}

fn inner_width() -> f64 {
    let (begin, end) = bin_ends(1);
    end - begin
}

/// Returns the mean, and 1 over the standard deviation, of each feature.
pub(super) fn scales(snapshots: &[Snapshot]) -> (Vec<f32>, Vec<f32>) {
    let n = snapshots.len().max(1) as f64;
    let column = |i: usize| snapshots.iter().map(move |l| f64::from(l.features.0[i]));
    (0..FEATURES)
        .map(|i| {
            let mean = column(i).sum::<f64>() / n;
            let spread = (column(i).map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
            (mean as f32, (1.0 / (spread + 1e-3)) as f32)
        })
        .unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_smoothed_around_its_bin() {
        for (u, bin) in [(-9.0, 0), (0.0, 17), (12.0, GROWTH_BINS - 1)] {
            let shares = smoothed(u);
            assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            let largest_bin = (0..GROWTH_BINS).max_by(|a, b| shares[*a].total_cmp(&shares[*b])).unwrap();
            assert_eq!(largest_bin, bin, "{u}: {shares:?}");
        }
    }
}
