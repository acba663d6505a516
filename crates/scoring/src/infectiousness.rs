//! Infectiousness of a conversation by SEISMIC (Zhao et al. 2015), in constant memory.
//!
//! In the model a reshare at time 0 by an account with n followers causes n p phi(t) further reshares per
//! second, where phi is the density of reaction times. p is estimated as recent reshares over recent
//! exposure, both decayed over one hour. The paper's power law for phi is approximated by a sum of
//! exponentials over [`TIME_CONSTANTS`], so that decayed sums suffice; the approximation error is at most
//! 2.3% from 1 s to 28 h.

use crate::Cascade;
use crate::decay::TIME_CONSTANTS;

/// Index into [`TIME_CONSTANTS`] of the estimation window for p: one hour. It must not be one of the kernel's
/// own time constants, because [`matured_exposure`] divides by their difference.
const WINDOW_INDEX: usize = 4;
/// The kernel phi: for each time constant the share of reactions with an exponential delay of that mean. The
/// remaining share reacts later than the longest time constant.
const KERNEL_SHARES: [f64; TIME_CONSTANTS.len()] = [0.0, 0.0099, 0.1538, 0.36, 0.0, 0.1884, 0.087];
/// 90% quantile of the standard normal distribution: the two bounds enclose 80%.
const BOUND_Z: f64 = 1.2816;

/// An estimate with an 80% interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounded {
    /// Lower end of the interval (10% quantile).
    pub low: f64,
    /// Point estimate.
    pub estimate: f64,
    /// Upper end of the interval (90% quantile).
    pub high: f64,
}

/// Estimated reshares that each reshare causes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Infectiousness {
    /// Probability, 0..1, that an exposed follower reshares, estimated over the last hour.
    pub probability: Bounded,
    /// Expected total number of reshares caused by one reshare of an account with the mean number of
    /// followers. From 1 on the conversation sustains itself.
    pub branching_factor: Bounded,
}

impl Infectiousness {
    /// Estimates the infectiousness of a cascade. Returns `None` if it has no recent reshares or no exposure.
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

    /// Returns whether the conversation sustains itself: the lower bound of the branching factor exceeds 1.
    #[must_use]
    pub fn is_supercritical(&self) -> bool {
        self.branching_factor.low > 1.0
    }
}

/// Returns the exposure whose reaction time has passed, decayed like the reshares it caused.
///
/// For an exposure of age a this is the integral over s from 0 to a of exp(-(a-s)/T) phi(s). Each exponential
/// of the kernel with time constant k contributes (exp(-a/k) - exp(-a/T)) / (k/T - 1).
fn matured_exposure(exposure_sums: &[f64; TIME_CONSTANTS.len()]) -> f64 {
    let (window, window_sum) = (TIME_CONSTANTS[WINDOW_INDEX], exposure_sums[WINDOW_INDEX]);
    let terms =
        KERNEL_SHARES.iter().zip(TIME_CONSTANTS).zip(exposure_sums).filter(|((share, _), _)| **share > 0.0);
    terms.map(|((share, k), exposure_sum)| share * (exposure_sum - window_sum) / (k / window - 1.0)).sum()
}

/// Returns a confidence bound for a Poisson mean after `n` events, by the Wilson-Hilferty cube root (1931).
/// A positive `z` gives the upper bound, a negative one the lower bound.
fn poisson_bound(n: f64, z: f64) -> f64 {
    let n = if z > 0.0 { n + 1.0 } else { n };
    n * (1.0 - 1.0 / (9.0 * n) + z / (3.0 * n.sqrt())).max(0.0).powi(3)
}

#[cfg(test)]
mod tests {
    use firewatch_domain::{Engagement, EngagementKind, EventTime};

    use super::*;

    /// The paper's survival function: the share of reactions that take longer than `secs`.
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

    /// Builds a cascade with one reshare every 20 seconds, each by an account with `followers` followers.
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
        // Exact 80% bounds of the mean after 10 events (Garwood 1936): 6.221 and 15.407.
        assert!(
            (poisson_bound(10.0, -BOUND_Z) - 6.221).abs() < 0.02
                && (poisson_bound(10.0, BOUND_Z) - 15.407).abs() < 0.02
        );
    }
}
