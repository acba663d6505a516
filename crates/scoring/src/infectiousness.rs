//! How catching a conversation is: SEISMIC's infectiousness (Zhao et al. 2015), kept in constant memory.
//!
//! The model: an account with n followers that passes a post on at time 0 brings n p phi(t) further ones a second, phi being
//! how long people take to react. p is estimated by what came over what was exposed, both fading over an hour. The paper's
//! power law is here a sum of exponentials over the horizons of [`Faded`](crate::fade::Faded), so that sums that fade
//! suffice; from 1 s to 28 h they differ by 2.3% at most.

use crate::Cascade;
use crate::decay::TIME_CONSTANTS;

/// The horizon over which p is estimated, among all: an hour. It is none of the kernel's own, see [`acted`].
const WINDOW_INDEX: usize = 4;
/// The kernel: the share of reactions whose delay is exponential with each horizon; the rest come later than all.
const KERNEL_SHARES: [f64; TIME_CONSTANTS.len()] = [0.0, 0.0099, 0.1538, 0.36, 0.0, 0.1884, 0.087];
/// 90% point of the normal distribution: both bounds together leave out a fifth.
const BOUND_Z: f64 = 1.2816;

/// An estimate with an 80% interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounded {
    /// Lower end.
    pub low: f64,
    /// Estimate.
    pub estimate: f64,
    /// Upper end.
    pub high: f64,
}

/// How many further reshares each reshare brings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Infectiousness {
    /// Chance that one follower who could react does, over the last hour.
    pub probability: Bounded,
    /// Reshares that a reshare of a carrier with the mean number of followers brings in the end. From 1 on the
    /// conversation feeds itself.
    pub branching_factor: Bounded,
}

impl Infectiousness {
    /// Of a conversation that was passed on at all.
    #[must_use]
    pub fn from_cascade(cascade: &Cascade) -> Option<Self> {
        let reshares = cascade.reshare_sums()[WINDOW_INDEX];
        let exposure = matured_exposure(&cascade.exposure_sums());
        if reshares < 1e-3 || exposure <= 0.0 {
            return None;
        }
        let per = |n: f64| n / exposure;
        let probability = Bounded {
            low: per(poisson_bound(reshares, -BOUND_Z)),
            estimate: per(reshares),
            high: per(poisson_bound(reshares, BOUND_Z)),
        };
        let mean = cascade.mean_followers();
        let Bounded { low, estimate, high } = probability;
        let branching_factor = Bounded { low: low * mean, estimate: estimate * mean, high: high * mean };
        Some(Self { probability, branching_factor })
    }

    /// Whether it feeds itself, as surely as its interval says.
    #[must_use]
    pub fn is_supercritical(&self) -> bool {
        self.branching_factor.low > 1.0
    }
}

/// Exposure that has had its time, faded like what came of it: for an exposure of age a the integral over s from 0 to a of
/// exp(-(a-s)/T) phi(s), which for each exponential of the kernel is (exp(-a/k) - exp(-a/T)) / (k/T - 1).
fn matured_exposure(exposure_sums: &[f64; TIME_CONSTANTS.len()]) -> f64 {
    let (window, window_sum) = (TIME_CONSTANTS[WINDOW_INDEX], exposure_sums[WINDOW_INDEX]);
    let terms =
        KERNEL_SHARES.iter().zip(TIME_CONSTANTS).zip(exposure_sums).filter(|((share, _), _)| **share > 0.0);
    terms.map(|((share, k), exposure_sum)| share * (exposure_sum - window_sum) / (k / window - 1.0)).sum()
}

/// A bound of a Poisson mean of which `n` came, by Wilson and Hilferty's cube root (1931).
fn poisson_bound(n: f64, z: f64) -> f64 {
    let n = if z > 0.0 { n + 1.0 } else { n };
    n * (1.0 - 1.0 / (9.0 * n) + z / (3.0 * n.sqrt())).max(0.0).powi(3)
}

#[cfg(test)]
mod tests {
    use firewatch_domain::{Engagement, EngagementKind, EventTime};

    use super::*;

    /// The paper's share of reactions that come later than an age in seconds.
    fn survival(secs: f64) -> f64 {
        let (level, cut, power) = (6.265_725e-4, 300.0, 0.231_484_3);
        if secs <= cut { 1.0 - level * secs } else { level * cut / power * (secs / cut).powf(-power) }
    }

    #[test]
    fn the_kernel_is_the_papers_within_what_is_stated() {
        let rest = 1.0 - KERNEL_SHARES.iter().sum::<f64>();
        let mut worst = 0.0_f64;
        for i in 0..1150 {
            let secs = (0.01 * f64::from(i)).exp();
            let ours: f64 = rest
                + KERNEL_SHARES
                    .iter()
                    .zip(TIME_CONSTANTS)
                    .map(|(share, k)| share * (-secs / k).exp())
                    .sum::<f64>();
            worst = worst.max((ours / survival(secs) - 1.0).abs());
        }
        assert!(worst < 0.023, "{worst}");
    }

    /// Every account has so many followers, and every 20 seconds one reshares.
    fn steady_cascade(minutes: i64, followers: u64) -> Cascade {
        let mut cascade = Cascade::default();
        cascade.observe_author("a", Some(followers), EventTime::from_millis(0));
        for i in 1..=3 * minutes {
            let e = Engagement::new(EngagementKind::Reshare, None, Some(followers));
            cascade.observe_engagement(&e, EventTime::from_millis(i * 20_000));
        }
        cascade
    }

    #[test]
    fn ten_times_the_followers_make_it_a_tenth_as_catching_and_as_branching() {
        let few = Infectiousness::from_cascade(&steady_cascade(60, 100)).unwrap();
        let many = Infectiousness::from_cascade(&steady_cascade(60, 1000)).unwrap();
        assert!((few.probability.estimate / many.probability.estimate - 10.0).abs() < 0.01);
        assert!((few.branching_factor.estimate / many.branching_factor.estimate - 1.0).abs() < 0.001);
        assert!(
            few.branching_factor.low < few.branching_factor.estimate
                && few.branching_factor.estimate < few.branching_factor.high
        );
    }

    #[test]
    fn what_grows_feeds_itself_and_what_came_from_one_large_account_does_not() {
        let mut growing = Cascade::default();
        growing.observe_author("a", Some(100), EventTime::from_millis(0));
        let mut fading = Cascade::default();
        fading.observe_author("a", Some(1_000_000), EventTime::from_millis(0));
        for i in 1..200_i64 {
            let e = Engagement::new(EngagementKind::Reshare, None, Some(100));
            growing.observe_engagement(
                &e,
                EventTime::from_millis((1200.0 * (1.0 + i as f64).ln() * 1000.0) as i64),
            );
            fading.observe_engagement(&e, EventTime::from_millis(i * i * 200));
        }
        assert!(Infectiousness::from_cascade(&growing).unwrap().is_supercritical());
        assert!(!Infectiousness::from_cascade(&fading).unwrap().is_supercritical());
        assert_eq!(Infectiousness::from_cascade(&Cascade::default()), None);
    }

    #[test]
    fn bounds_of_a_few_are_those_of_the_poisson_distribution() {
        // Exact 80% bounds of a mean of which 10 came (Garwood 1936): 6.221 and 15.407.
        assert!(
            (poisson_bound(10.0, -BOUND_Z) - 6.221).abs() < 0.02
                && (poisson_bound(10.0, BOUND_Z) - 15.407).abs() < 0.02
        );
    }
}
