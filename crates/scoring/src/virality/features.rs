//! Features of the forecast: age, size, pace at seven time constants, shape of the growth so far, and
//! followers.
//!
//! Most are ratios, so that cascades of different sizes look alike, and logarithms, because growth is
//! multiplicative (Szabo and Huberman 2010; Cheng et al. 2014 on shape and pace).

use crate::Cascade;
use crate::age_histogram::GrowthCurve;
use crate::decay::TIME_CONSTANTS;

/// Shares of the age at which the cumulative count is sampled.
const AGE_SHARES: [f64; 12] = [0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
/// Pseudo-count added to reshares before shares of them are taken, because shares of a few are noise.
const SMOOTHING_COUNT: f64 = 2.0;
/// Shares of the reshares for which the relative age of arrival is sampled.
const RESHARE_SHARES: [f64; 5] = [0.1, 0.25, 0.5, 0.75, 0.9];
/// Reshare counts whose age of arrival is sampled.
const RESHARE_MILESTONES: [f64; 8] = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0];
/// Indices into [`TIME_CONSTANTS`] of the exposure features: 20 minutes and 4 hours.
const EXPOSURE_INDICES: [usize; 2] = [3, 5];

/// Number of features.
pub const FEATURES: usize =
    2 + TIME_CONSTANTS.len() + 2 * AGE_SHARES.len() + RESHARE_SHARES.len() + RESHARE_MILESTONES.len() + 4 + 8;

/// The feature vector. Ages enter as ln(1 + minutes), counts as ln(1 + n). In order:
///
/// - age and number of reshares;
/// - for each time constant the logarithm of the recent pace over the mean pace;
/// - at 12 shares of the age the logarithm of the share of reshares reached, then their count;
/// - for 5 shares of the reshares the share of the age by which they arrived;
/// - the ages of the 1st to 100th reshare at 8 milestones;
/// - mean and standard deviation of the relative age of a reshare, and its mean log age relative to now;
/// - time since the last reshare;
/// - followers: author known, author's count, share of known carriers, mean, largest, share without
///   followers, and two exposure sums. All 0 if unknown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features(pub [f32; FEATURES]);

/// Fills a feature vector in order.
struct FeatureBuilder {
    values: [f32; FEATURES],
    next: usize,
}

impl FeatureBuilder {
    fn new(age: f64, n: f64) -> Self {
        let mut row = Self { values: [0.0; FEATURES], next: 0 };
        row.push(minutes(age));
        row.push(n.ln_1p());
        row
    }

    /// Returns the vector. Features that were not pushed are 0.
    fn finish(self) -> Features {
        debug_assert!(self.next <= FEATURES);
        Features(self.values)
    }

    fn push(&mut self, value: f64) {
        if let Some(slot) = self.values.get_mut(self.next) {
            *slot = value as f32;
        }
        self.next += 1;
    }
}

impl Features {
    /// Computes the features of a cascade at its latest event time.
    #[must_use]
    pub fn from_cascade(cascade: &Cascade) -> Self {
        let mut row = growth_features(cascade);
        followers(&mut row, cascade);
        row.finish()
    }

    /// Computes the features of a cascade as if all follower counts were unknown.
    #[must_use]
    pub fn without_followers(cascade: &Cascade) -> Self {
        growth_features(cascade).finish()
    }

    /// Computes the features of a cascade with `n` reshares at a constant pace over `age` seconds, by
    /// accounts of unknown follower count.
    #[must_use]
    pub(crate) fn steady(n: f64, age: f64) -> Self {
        let age = age.max(MIN_AGE_SECS);
        let mut row = FeatureBuilder::new(age, n);
        TIME_CONSTANTS.iter().for_each(|_| row.push(0.0));
        shape(&mut row, &GrowthCurve::linear(n, age), age);
        row.push(minutes(age / (n + 1.0)));
        row.finish()
    }
}

/// Minimum age in seconds; younger conversations count as this old.
const MIN_AGE_SECS: f64 = 1.0;

/// Computes all features except those of followers.
fn growth_features(cascade: &Cascade) -> FeatureBuilder {
    let age = cascade.age().as_secs().max(MIN_AGE_SECS);
    let curve = cascade.growth_curve();
    let mut row = FeatureBuilder::new(age, curve.total());
    pace(&mut row, cascade, age, curve.total());
    shape(&mut row, &curve, age);
    row.push(minutes(cascade.since_last_reshare().as_secs()));
    row
}

fn minutes(secs: f64) -> f64 {
    (secs / 60.0).max(0.0).ln_1p()
}

/// Pushes for each time constant the logarithm of the decayed count over its value at the mean pace.
fn pace(row: &mut FeatureBuilder, cascade: &Cascade, age: f64, n: f64) {
    for (sum, time_constant) in cascade.reshare_sums().into_iter().zip(TIME_CONSTANTS) {
        let steady = n * time_constant * (1.0 - (-age / time_constant).exp()) / age;
        row.push(((sum.max(0.0) + 0.3) / (steady + 0.3)).ln());
    }
}

/// Pushes the features of the growth curve's shape.
fn shape(row: &mut FeatureBuilder, curve: &GrowthCurve, age: f64) {
    let n = curve.total();
    let by = curve.counts_at(AGE_SHARES.map(|part| part * age));
    by.iter().for_each(|by| row.push(((by + SMOOTHING_COUNT) / (n + SMOOTHING_COUNT)).ln()));
    by.iter().for_each(|by| row.push(by.ln_1p()));
    for reached in curve.ages_at(RESHARE_SHARES.map(|share| share * n)) {
        row.push(if n > 0.0 { reached / age } else { 1.0 });
    }
    for (many, reached) in RESHARE_MILESTONES.into_iter().zip(curve.ages_at(RESHARE_MILESTONES)) {
        row.push(if n >= many { minutes(reached) } else { minutes(age) + 0.5 });
    }
    let (mut sum, mut squares, mut logs) = (0.0, 0.0, 0.0);
    for (middle, count) in curve.bins() {
        let part = middle / age;
        sum += count * part;
        squares += count * part * part;
        logs += count * minutes(middle);
    }
    let some = n.max(1.0);
    let mean = if n > 0.0 { sum / some } else { 1.0 };
    row.push(mean);
    row.push((squares / some - mean * mean).max(0.0).sqrt());
    row.push(if n > 0.0 { logs / some - minutes(age) } else { 0.0 });
}

/// Pushes the features of the carriers' followers.
fn followers(row: &mut FeatureBuilder, cascade: &Cascade) {
    let audience = cascade.audience();
    let (known, unknown) = audience.known();
    let author = cascade.author_followers();
    row.push(f64::from(u8::from(author.is_some())));
    row.push((author.unwrap_or(0) as f64).ln_1p());
    row.push(known as f64 / (known + unknown).max(1) as f64);
    if known == 0 {
        return;
    }
    row.push(audience.known_mean().ln_1p());
    row.push(audience.largest().next().map_or(0.0, |v| v.followers as f64).ln_1p());
    row.push(audience.zero_follower_share().unwrap_or(0.0));
    let exposure_sums = cascade.exposure_sums();
    EXPOSURE_INDICES.iter().for_each(|i| row.push(exposure_sums[*i].max(0.0).ln_1p()));
}

#[cfg(test)]
mod tests {
    use firewatch_domain::{Engagement, EngagementKind, EventTime};

    use super::*;

    #[test]
    fn a_root_that_comes_late_changes_little() {
        let at = |secs: i64| EventTime::from_millis(secs * 1000);
        let build = |order: &[i64]| {
            let mut cascade = Cascade::default();
            for t in order {
                if *t == 0 {
                    cascade.observe_author("a", Some(900), at(0));
                } else {
                    let e = Engagement::new(EngagementKind::Reshare, None, Some(400));
                    cascade.observe_engagement(&e, at(*t));
                }
            }
            cascade
        };
        let mut times: Vec<i64> = std::iter::once(0).chain(5..305).collect();
        let ordered = Features::from_cascade(&build(&times));
        times.chunks_exact_mut(9).for_each(<[i64]>::reverse);
        let late = Features::from_cascade(&build(&times));
        for (i, (a, b)) in ordered.0.iter().zip(late.0).enumerate() {
            assert!((a - b).abs() < 0.4, "feature {i}: {a} {b}");
        }
    }
}
