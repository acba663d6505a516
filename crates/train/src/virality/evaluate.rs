//! Evaluates the forecast on unseen cascades, against SEISMIC and log-linear growth on the same cascades.
//!
//! Five-fold cross-validation: each of five models forecasts the fifth of the cascades it was not trained on.
//! Cascades count at an age only with at least ten reshares, because SEISMIC's estimate is noise with fewer.

use std::path::Path;

use firewatch_scoring::virality::Forecast;
use firewatch_scoring::{SentimentModel, ViralityModel};

use super::sample::{CascadeOfSet, SETS, read_cascade_sets};
use super::seismic::seismic;
use super::train_on;
use firewatch_backtest::cascades::forecast;
use firewatch_report::{AnalysisError, parallel::in_parallel, random::text_hash};

/// Number of folds of the cross-validation.
const FOLDS: u64 = 5;
/// Minimum number of reshares of an evaluated cascade.
const MIN_RESHARES: usize = 10;
/// Followers that SEISMIC assumes for accounts with unknown followers. Of the tried values from 200 to
/// 100,000 this is about the best on Weibo, and at 30 and 60 minutes on Twitter.
const UNKNOWN_FOLLOWERS: f64 = 1000.0;

/// Ages of the evaluation, in seconds.
pub const AGES: [f64; 15] = [
    60.0, 120.0, 180.0, 300.0, 450.0, 600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0, 7200.0, 14_400.0,
    28_800.0, 86_400.0,
];

/// The forecast of a cascade at an age, by a model that has not seen the cascade.
#[derive(Debug, Clone)]
pub struct EvaluatedForecast {
    /// Index of the cascade among those of [`read_cascade_sets`].
    pub cascade: usize,
    /// Index into [`SETS`].
    pub set: usize,
    /// Age in seconds.
    pub age: f64,
    /// Reshares up to that age.
    pub seen: f64,
    /// Final number of reshares.
    pub size: f64,
    /// The forecast.
    pub forecast: Forecast,
    /// Final size according to SEISMIC.
    pub seismic: f64,
    /// Final size according to log-linear growth.
    pub linear: f64,
}

impl EvaluatedForecast {
    /// Returns the forecast of the final size: point, low and high end of the 80% interval.
    #[must_use]
    pub fn forecast_size(&self) -> (f64, f64, f64) {
        let i = self.forecast.end().interval();
        (self.seen + i.point, self.seen + i.low, self.seen + i.high)
    }
}

/// Returns the fold in which a cascade is held out.
#[must_use]
pub fn fold(known: &CascadeOfSet) -> u64 {
    text_hash(&known.cascade.name) % FOLDS
}

/// Forecasts every cascade at every age with a model trained without it; returns the forecasts by age, then
/// cascade.
///
/// # Errors
/// When a file cannot be read, or training fails.
pub fn forecast_all(
    data: &Path,
    sentiment: &SentimentModel,
    progress: &mut dyn FnMut(String),
) -> Result<Vec<EvaluatedForecast>, AnalysisError> {
    let all = read_cascade_sets(data)?;
    let folds: Vec<u64> = (0..FOLDS).collect();
    let parts = in_parallel(&folds, |part| {
        let within: Vec<&CascadeOfSet> = all.iter().filter(|k| fold(k) != *part).collect();
        let model = train_on(data, sentiment, &within, &mut |_| ())?;
        let out = all.iter().enumerate().filter(|(_, k)| fold(k) == *part);
        Ok(AGES
            .iter()
            .flat_map(|age| forecast_fold(&model, out.clone(), &within, *age))
            .collect::<Vec<EvaluatedForecast>>())
    });
    let mut forecasts = Vec::new();
    for part in parts {
        forecasts.extend(part?);
        progress(format!("{} forecasts", forecasts.len()));
    }
    forecasts.sort_by(|a: &EvaluatedForecast, b| a.age.total_cmp(&b.age).then(a.cascade.cmp(&b.cascade)));
    Ok(forecasts)
}

fn forecast_fold<'a>(
    model: &ViralityModel,
    out: impl Iterator<Item = (usize, &'a CascadeOfSet)>,
    within: &[&CascadeOfSet],
    age: f64,
) -> Vec<EvaluatedForecast> {
    let lines: Vec<(f64, f64)> = (0..SETS.len()).map(|set| line(within, set, age)).collect();
    out.map(|(cascade, known)| {
        let seen = known.cascade.count_until(age) as f64;
        let (level, slope) = lines[known.set];
        EvaluatedForecast {
            cascade,
            set: known.set,
            age,
            seen,
            size: known.cascade.size() as f64,
            forecast: forecast(model, &known.cascade, age, 1.0),
            seismic: seismic(&known.cascade, age, UNKNOWN_FOLLOWERS).size,
            linear: (level + slope * seen.max(1.0).ln()).exp().max(seen),
        }
    })
    .collect()
}

/// Fits ln(size) = a + b ln(seen) by least squares on the cascades of a set (Szabo and Huberman 2010).
fn line(within: &[&CascadeOfSet], set: usize, age: f64) -> (f64, f64) {
    let points = within.iter().filter(|k| k.set == set && k.cascade.count_until(age) >= MIN_RESHARES);
    let points: Vec<(f64, f64)> =
        points.map(|k| ((k.cascade.count_until(age) as f64).ln(), (k.cascade.size() as f64).ln())).collect();
    let n = points.len().max(1) as f64;
    let (mx, my) = points.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
    let (xx, xy) = points
        .iter()
        .fold((0.0, 0.0), |(xx, xy), (x, y)| (xx + (x - mx) * (x - mx), xy + (x - mx) * (y - my)));
    let slope = if xx > 0.0 { xy / xx } else { 1.0 };
    (my - slope * mx, slope)
}

/// Figures of a set at an age; triples are ours, SEISMIC's and log-linear growth's.
#[derive(Debug, Clone)]
pub struct ForecastFigures {
    /// Name of the set.
    pub set: &'static str,
    /// Age in minutes.
    pub minutes: f64,
    /// Number of evaluated cascades.
    pub cascades: usize,
    /// Median absolute percentage error of the final size, as a fraction.
    pub error: [f64; 3],
    /// Kendall's tau between forecast and final size.
    pub tau: [f64; 3],
    /// Share of final sizes within the 80% interval, 0 to 1.
    pub covered: f64,
}

/// Computes the figures of every set at some ages.
#[must_use]
pub fn figures(forecasts: &[EvaluatedForecast], ages: &[f64]) -> Vec<ForecastFigures> {
    let sets = SETS.iter().enumerate();
    sets.flat_map(|(set, (name, _))| ages.iter().map(move |age| measure_set(forecasts, set, name, *age)))
        .collect()
}

fn measure_set(forecasts: &[EvaluatedForecast], set: usize, name: &'static str, age: f64) -> ForecastFigures {
    let is_in = |a: &&EvaluatedForecast| a.set == set && a.age == age && a.seen >= MIN_RESHARES as f64;
    let forecasts: Vec<&EvaluatedForecast> = forecasts.iter().filter(is_in).collect();
    let size_of: [fn(&EvaluatedForecast) -> f64; 3] = [|a| a.forecast_size().0, |a| a.seismic, |a| a.linear];
    let within = |a: &&&EvaluatedForecast| {
        let (_, low, high) = a.forecast_size();
        (low.floor()..=high.ceil()).contains(&a.size)
    };
    ForecastFigures {
        set: name,
        minutes: age / 60.0,
        cascades: forecasts.len(),
        error: size_of.map(|size| median(forecasts.iter().map(|a| (size(a) - a.size).abs() / a.size))),
        tau: size_of.map(|size| kendall(&forecasts.iter().map(|a| (size(a), a.size)).collect::<Vec<_>>())),
        covered: forecasts.iter().filter(within).count() as f64 / forecasts.len().max(1) as f64,
    }
}

/// Returns the median; of an even number of values the lower middle one, and NaN of none.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// Computes Kendall's tau-b (1945).
fn kendall(points: &[(f64, f64)]) -> f64 {
    let (mut sum, mut x_differs, mut y_differs) = (0.0, 0.0, 0.0);
    for (i, a) in points.iter().enumerate() {
        for b in &points[..i] {
            let sign = |a: f64, b: f64| if a == b { 0.0 } else { (a - b).signum() };
            let (x, y) = (sign(a.0, b.0), sign(a.1, b.1));
            sum += x * y;
            x_differs += x * x;
            y_differs += y * y;
        }
    }
    sum / f64::sqrt(x_differs * y_differs).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tau_and_median_of_known_values() {
        assert!((kendall(&[(1.0, 1.0), (2.0, 2.0), (3.0, 4.0), (4.0, 3.0)]) - 4.0 / 6.0).abs() < 1e-9);
        assert!((kendall(&[(1.0, 1.0), (1.0, 2.0), (2.0, 3.0)]) - 2.0 / 6.0_f64.sqrt()).abs() < 1e-9);
        assert!((median([3.0, f64::INFINITY, 1.0].into_iter()) - 3.0).abs() < 1e-9);
    }
}
