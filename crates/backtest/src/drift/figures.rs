//! Computes the drift of each feature between two spans, and the calibration of the forecast.
//!
//! The population stability index (PSI) sums (q - p) ln(q / p) over ten bins that hold a tenth of the former
//! span each. For two samples of one population its distribution is about chi-squared, scaled by the sample
//! sizes (Yurdakul 2018), so values within that noise are ignored.

use std::fmt;

use firewatch_domain::EventTime;
use serde::Serialize;
use thiserror::Error;

use super::{FEATURES, FORECAST_HORIZON, Sample, Scores};

/// Number of bins of the former span.
const BINS: usize = 10;
/// PSI from which drift is moderate, and large (Siddiqi 2006).
const PSI_SOME: f64 = 0.1;
const PSI_MUCH: f64 = 0.25;
/// Normal quantile of the noise level: chance exceeds it once in two hundred times.
const NOISE_Z: f64 = 2.576;
/// Minimum number of conversations in a span.
const MIN_CONVERSATIONS: usize = 50;
/// Minimum complaint probability for the forecast's calibration; below it the engine may stop re-scoring.
const MIN_COMPLAINT: f32 = 0.1;
/// Lower edges of the forecast's bins.
const FORECAST_BINS: [f64; 6] = [0.0, 0.01, 0.05, 0.2, 0.5, 0.8];

/// Why two spans cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DriftError {
    /// A span has too few conversations.
    #[error(
        "{input}: scores of {conversations} conversations; at least {MIN_CONVERSATIONS} are needed{}",
        first_fault.as_ref().map_or(String::new(), |fault| format!("; {fault}"))
    )]
    TooFewConversations {
        /// Name of the input.
        input: String,
        /// Number of its conversations.
        conversations: usize,
        /// The first record that could not be read, if any.
        first_fault: Option<String>,
    },
}

/// The amount of drift of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftLevel {
    /// Within chance or below 0.1.
    Not,
    /// Moderate: worth a look.
    Some,
    /// Large: another population.
    Much,
}

/// The drift of a feature between the former and the recent span.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureDrift {
    /// Name of the feature.
    pub name: &'static str,
    /// Time of the sample: `first` or `half an hour later`.
    pub when: &'static str,
    /// Population stability index.
    pub psi: f64,
    /// The largest PSI that chance explains (99.5% quantile).
    pub noise: f64,
    /// Amount of drift.
    pub moved: DriftLevel,
    /// Means of the known values, former and recent.
    pub means: (f64, f64),
    /// Lower edges of the bins; `None` is the last bin, of unknown values, if there are any.
    pub bins: Vec<Option<f64>>,
    /// Shares of the former and the recent span in each bin.
    pub shares: Vec<(f64, f64)>,
}

/// The forecast of crossing the bar against the outcome, over conversations older than a day. Conversations
/// that are surely no complaints are left out, because only their first score is emitted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForecastCalibration {
    /// Possible complaints that had not crossed the bar when they were sampled.
    pub conversations: u64,
    /// Number expected to cross within a day: the sum of the forecasts.
    pub expected: f64,
    /// 95% interval of that number if the forecast is calibrated.
    pub interval: (f64, f64),
    /// Number that crossed.
    pub crossed: u64,
    /// Bins of the forecast: lower edge, conversations, mean forecast and share that crossed.
    pub bins: Vec<(f64, u64, f64, f64)>,
}

/// The drift report; pairs hold the former and the recent span.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    /// Names of the inputs.
    pub inputs: [String; 2],
    /// First and last start of a conversation.
    pub spans: [Option<(EventTime, EventTime)>; 2],
    /// Number of conversations.
    pub conversations: [usize; 2],
    /// All features, the largest drift first.
    pub features: Vec<FeatureDrift>,
    /// Calibration of the forecast; `None` with too few conversations.
    pub calibration: [Option<ForecastCalibration>; 2],
    /// Descriptions of the first records that could not be read.
    pub faults: Vec<String>,
}

impl Drift {
    /// Compares a recent span with a former one.
    ///
    /// # Errors
    /// When either span has fewer than 50 conversations.
    pub fn compare(inputs: [String; 2], former: &Scores, recent: &Scores) -> Result<Self, DriftError> {
        for (name, scores) in inputs.iter().zip([former, recent]) {
            let conversations = scores.conversations();
            if conversations < MIN_CONVERSATIONS {
                return Err(DriftError::TooFewConversations {
                    input: name.clone(),
                    conversations,
                    first_fault: scores.faults.first().cloned(),
                });
            }
        }
        let samples = [former.ordered(), recent.ordered()];
        let mut features: Vec<FeatureDrift> = (0..FEATURES.len()).map(|i| feature(i, &samples)).collect();
        features.sort_by(|a, b| {
            (b.moved, b.psi).partial_cmp(&(a.moved, a.psi)).unwrap_or(std::cmp::Ordering::Equal)
        });
        let known = |scores: &Scores, samples: &[&Sample]| {
            ForecastCalibration::from_samples(
                samples.iter().filter(|sample| Some(sample.began + FORECAST_HORIZON) <= scores.last).copied(),
            )
        };
        Ok(Self {
            inputs,
            spans: [former.span(), recent.span()],
            conversations: [former.conversations(), recent.conversations()],
            features,
            calibration: [known(former, &samples[0]), known(recent, &samples[1])],
            faults: former.faults.iter().chain(&recent.faults).cloned().collect(),
        })
    }
}

fn feature(i: usize, samples: &[Vec<&Sample>; 2]) -> FeatureDrift {
    let values =
        |samples: &[&Sample]| samples.iter().map(|sample| f64::from(sample.values[i])).collect::<Vec<f64>>();
    let (former, recent) = (values(&samples[0]), values(&samples[1]));
    let edges = edges(&former);
    let unknown = former.iter().chain(&recent).any(|value| value.is_nan());
    let bins: Vec<Option<f64>> = edges.iter().copied().map(Some).chain(unknown.then_some(None)).collect();
    let counts = |values: &[f64]| {
        let mut counts = vec![0_usize; bins.len()];
        for value in values {
            let bin = if value.is_nan() {
                bins.len() - 1
            } else {
                edges.partition_point(|edge| edge <= value).max(1) - 1
            };
            counts[bin] += 1;
        }
        counts
    };
    let (n, m) = (former.len() as f64, recent.len() as f64);
    let both = counts(&former).into_iter().zip(counts(&recent));
    let counts: Vec<(f64, f64)> = both.map(|(a, b)| (a as f64, b as f64)).collect();
    // Half a count is added to each bin, so that an empty bin does not make the index infinite.
    let bins_n = counts.len() as f64;
    let share = |count: f64, of: f64| (count + 0.5) / (of + 0.5 * bins_n);
    let psi =
        counts.iter().map(|(a, b)| (share(*a, n), share(*b, m))).map(|(p, q)| (q - p) * (q / p).ln()).sum();
    let noise = chi_squared(bins_n - 1.0) * (1.0 / n + 1.0 / m);
    let moved = match psi {
        psi if psi < PSI_SOME.max(noise) => DriftLevel::Not,
        psi if psi < PSI_MUCH.max(noise) => DriftLevel::Some,
        _ => DriftLevel::Much,
    };
    let when = if i < super::FIRST_SCORE_FEATURES { "first" } else { "half an hour later" };
    FeatureDrift {
        name: FEATURES[i],
        when,
        psi,
        noise,
        moved,
        means: (mean(&former), mean(&recent)),
        bins,
        shares: counts.iter().map(|(a, b)| (a / n, b / m)).collect(),
    }
}

/// Returns the lower edges of bins with about equal numbers of these values; equal values share a bin.
fn edges(values: &[f64]) -> Vec<f64> {
    let mut known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    known.sort_by(f64::total_cmp);
    let at = |i: usize| known.get(i * known.len() / BINS).copied();
    let mut edges: Vec<f64> = (0..BINS).filter_map(at).collect();
    edges.dedup();
    // The value after one that fills a whole bin starts a new bin; otherwise one bin would hold both.
    let above = |edge: &f64| known.partition_point(|value| value <= edge);
    let fills =
        |edge: &f64| (above(edge) - known.partition_point(|value| value < edge)) * BINS >= known.len();
    let next: Vec<f64> =
        edges.iter().filter(|edge| fills(edge)).filter_map(|edge| known.get(above(edge)).copied()).collect();
    edges.extend(next);
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    if edges.is_empty() {
        edges.push(0.0);
    }
    edges
}

fn mean(values: &[f64]) -> f64 {
    let known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    known.iter().sum::<f64>() / known.len().max(1) as f64
}

/// Returns the 99.5% quantile of chi-squared (Wilson and Hilferty 1931).
fn chi_squared(degrees: f64) -> f64 {
    if degrees < 1.0 {
        return 0.0;
    }
    let part = 2.0 / (9.0 * degrees);
    degrees * (1.0 - part + NOISE_Z * part.sqrt()).powi(3)
}

impl ForecastCalibration {
    fn from_samples<'a>(samples: impl Iterator<Item = &'a Sample>) -> Option<Self> {
        let viral = FEATURES.iter().position(|name| *name == "viral")?;
        let forecasts: Vec<(f64, bool)> = samples
            .filter(|sample| !sample.crossed.0 && sample.values[0] >= MIN_COMPLAINT)
            .map(|sample| (f64::from(sample.values[viral]), sample.crossed.1))
            .collect();
        if forecasts.len() < MIN_CONVERSATIONS {
            return None;
        }
        let expected: f64 = forecasts.iter().map(|(p, _)| p).sum();
        let sd = forecasts.iter().map(|(p, _)| p * (1.0 - p)).sum::<f64>().sqrt();
        let bins = FORECAST_BINS.iter().zip(FORECAST_BINS.iter().skip(1).chain([&f64::INFINITY])).filter_map(
            |(from, to)| {
                let own: Vec<&(f64, bool)> =
                    forecasts.iter().filter(|(p, _)| (from..to).contains(&p)).collect();
                let n = own.len() as f64;
                let crossed = own.iter().filter(|(_, crossed)| *crossed).count() as f64;
                (n > 0.0).then(|| {
                    (*from, own.len() as u64, own.iter().map(|(p, _)| p).sum::<f64>() / n, crossed / n)
                })
            },
        );
        Some(Self {
            conversations: forecasts.len() as u64,
            expected,
            interval: ((expected - 1.96 * sd).max(0.0), expected + 1.96 * sd),
            crossed: forecasts.iter().filter(|(_, crossed)| *crossed).count() as u64,
            bins: bins.collect(),
        })
    }

    /// Returns whether the number that crossed is within the interval of the forecast.
    #[must_use]
    pub fn holds(&self) -> bool {
        // Counts are whole numbers, so allow half a count on either side.
        let crossed = self.crossed as f64;
        (self.interval.0 - 0.5..=self.interval.1 + 0.5).contains(&crossed)
    }
}

impl fmt::Display for ForecastCalibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { conversations, expected, interval: (low, high), crossed, .. } = self;
        let verdict = match (self.holds(), (*crossed as f64) < *expected) {
            (true, _) => "the forecast holds",
            (false, true) => "the forecast is too high",
            (false, false) => "the forecast is too low",
        };
        write!(
            f,
            "of {conversations} possible complaints, {expected:.1} were expected to cross the bar within a \
             day ({low:.1} to {high:.1}) and {crossed} did: {verdict}"
        )
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in ["former", "recent"].into_iter().enumerate() {
            let span = self.spans[i].map_or(String::new(), |(from, to)| format!(", {from} to {to}"));
            writeln!(f, "{name}: {} conversations of {}{span}", self.conversations[i], self.inputs[i])?;
        }
        self.faults.iter().try_for_each(|fault| writeln!(f, "  {fault}"))?;
        writeln!(f, "\n{}\n", self.summary_sentence())?;
        writeln!(
            f,
            "{:<18} {:<19} {:>7} {:>7} {:>12} {:>12}",
            "", "", "PSI", "noise", "former mean", "recent mean"
        )?;
        for FeatureDrift { name, when, psi, noise, moved, means, .. } in &self.features {
            let mark = match moved {
                DriftLevel::Not => "",
                DriftLevel::Some => "  moderate drift",
                DriftLevel::Much => "  large drift",
            };
            let (before, now) = means;
            writeln!(f, "{name:<18} {when:<19} {psi:>7.3} {noise:>7.3} {before:>12.3} {now:>12.3}{mark}")?;
        }
        writeln!(f)?;
        for (name, calibration) in ["former", "recent"].into_iter().zip(&self.calibration) {
            match calibration {
                Some(calibration) => writeln!(f, "{name}: {calibration}")?,
                None => writeln!(f, "{name}: too few conversations older than a day to check the forecast")?,
            }
        }
        Ok(())
    }
}

impl Drift {
    /// Names the features with large and with moderate drift.
    pub(super) fn summary_sentence(&self) -> String {
        let moved = |how: DriftLevel| {
            let names =
                self.features.iter().filter(|feature| feature.moved == how).map(|feature| feature.name);
            names.collect::<Vec<_>>().join(", ")
        };
        match (moved(DriftLevel::Much), moved(DriftLevel::Some)) {
            (much, some) if much.is_empty() && some.is_empty() => "No drift beyond chance.".into(),
            (much, some) if some.is_empty() => format!("Large drift: {much}."),
            (much, some) if much.is_empty() => format!("Moderate drift: {some}."),
            (much, some) => format!("Large drift: {much}. Moderate drift: {some}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firewatch_report::random::unit;

    /// Simulates conversations: complaint probabilities are a power of uniform numbers, and conversations
    /// cross the bar with their forecast probability times `right`.
    fn scores(seed: u64, n: u64, power: f64, right: f64) -> Scores {
        let mut scores =
            Scores { last: Some(EventTime::from_millis(2_000_000_000_000)), ..Scores::default() };
        for i in 0..n {
            let mut values = [0.0; FEATURES.len()];
            values[0] = unit(seed, 3 * i).powf(power) as f32;
            values[1] = if i % 7 == 0 { f32::NAN } else { 0.5 };
            values[7] = unit(seed, 3 * i + 1).powi(4) as f32;
            let crossed = unit(seed, 3 * i + 2) < f64::from(values[7]) * right;
            let began = EventTime::from_millis(1_800_000_000_000 + i as i64);
            scores.samples.insert(i.to_string(), Sample { began, values, crossed: (false, crossed) });
        }
        scores
    }

    fn drift(former: &Scores, recent: &Scores) -> Drift {
        Drift::compare(["a".into(), "b".into()], former, recent).unwrap()
    }

    #[test]
    fn two_samples_of_one_population_do_not_differ() {
        for seed in 0..40 {
            let drift = drift(&scores(seed, 800, 1.0, 1.0), &scores(seed + 100, 300, 1.0, 1.0));
            assert!(drift.features.iter().all(|feature| feature.moved == DriftLevel::Not), "{drift}");
        }
        let holds = (0..400).filter(|seed| {
            let scores = scores(*seed, 800, 1.0, 1.0);
            ForecastCalibration::from_samples(scores.ordered().into_iter())
                .is_some_and(|calibrated| calibrated.holds())
        });
        // 380 on average, with a standard deviation of 4.4.
        let n = holds.count();
        assert!((365..=395).contains(&n), "{n}");
    }

    #[test]
    fn what_moved_is_named_and_a_forecast_that_is_too_high_is_reported() {
        let drift = drift(&scores(1, 2000, 1.0, 1.0), &scores(2, 2000, 2.0, 0.5));
        assert_eq!((drift.features[0].name, drift.features[0].moved), ("complaint", DriftLevel::Much));
        // Uniform numbers against their squares: the sum of (q - p) ln(q / p) over tenths.
        let p = |i: f64| 0.1 * (i + 1.0) - 0.1 * i;
        let q = |i: f64| (0.1 * (i + 1.0)).sqrt() - (0.1 * i).sqrt();
        let wanted: f64 = (0..10).map(f64::from).map(|i| (q(i) - p(i)) * (q(i) / p(i)).ln()).sum();
        assert!((drift.features[0].psi - wanted).abs() < 0.05, "{} and {wanted}", drift.features[0].psi);
        assert!(drift.to_string().contains("Large drift: complaint."), "{drift}");
        assert!(drift.to_string().contains("did: the forecast is too high"), "{drift}");
    }

    #[test]
    fn a_value_that_most_have_and_values_that_are_not_known_have_bins_of_their_own() {
        let values: Vec<f64> = (0..100).map(|i| if i < 85 { 0.0 } else { f64::from(i) }).collect();
        assert_eq!(edges(&values), [0.0, 85.0, 90.0]);
        assert_eq!(edges(&(0..50).map(f64::from).collect::<Vec<_>>()).len(), BINS);
        let drift = drift(&scores(1, 700, 1.0, 1.0), &scores(2, 700, 1.0, 1.0));
        let arousal = drift.features.iter().find(|feature| feature.name == "arousal").unwrap();
        assert_eq!((arousal.bins.len(), arousal.bins.last()), (2, Some(&None)));
        assert!((arousal.shares[1].0 - 1.0 / 7.0).abs() < 0.01);
    }

    #[test]
    fn chance_is_that_of_chi_squared() {
        // The 99.5% quantiles of 9 and 1 degrees are 23.589 and 7.879.
        assert!((chi_squared(9.0) - 23.589).abs() < 0.1 && (chi_squared(1.0) - 7.879).abs() < 0.25);
    }
}
