//! How catching a conversation is: SEISMIC's infectiousness (Zhao et al. 2015), kept in constant memory.
//!
//! The model: an account with n followers that passes a post on at time 0 brings n p phi(t) further ones a second, phi being
//! how long people take to react. p is estimated by what came over what was exposed, both fading over an hour. The paper's
//! power law is here a sum of exponentials over the horizons of [`Faded`](crate::fade::Faded), so that sums that fade
//! suffice; from 1 s to 28 h they differ by 2.3% at most.

use crate::Cascade;
use crate::fade::HORIZONS;

/// The horizon over which p is estimated, among all: an hour. It is none of the kernel's own, see [`acted`].
const OVER: usize = 4;
/// The kernel: the share of reactions whose delay is exponential with each horizon; the rest come later than all.
const SHARES: [f64; HORIZONS.len()] = [0.0, 0.0099, 0.1538, 0.36, 0.0, 0.1884, 0.087];
/// 90% point of the normal distribution: both bounds together leave out a fifth.
const BOUND: f64 = 1.2816;

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
pub struct Infection {
    /// Chance that one follower who could react does, over the last hour.
    pub infectiousness: Bounded,
    /// Reshares that a reshare of a carrier with the mean number of followers brings in the end. From 1 on the
    /// conversation feeds itself.
    pub branching: Bounded,
}

impl Infection {
    /// Of a conversation that was passed on at all.
    #[must_use]
    pub fn of(cascade: &Cascade) -> Option<Self> {
        let came = cascade.passed_on()[OVER];
        let exposed = acted(&cascade.exposed());
        if came < 1e-3 || exposed <= 0.0 {
            return None;
        }
        let per = |n: f64| n / exposed;
        let infectiousness =
            Bounded { low: per(poisson(came, -BOUND)), estimate: per(came), high: per(poisson(came, BOUND)) };
        let mean = cascade.mean_followers();
        let Bounded { low, estimate, high } = infectiousness;
        let branching = Bounded { low: low * mean, estimate: estimate * mean, high: high * mean };
        Some(Self { infectiousness, branching })
    }

    /// Whether it feeds itself, as surely as its interval says.
    #[must_use]
    pub fn is_supercritical(&self) -> bool {
        self.branching.low > 1.0
    }
}

/// Exposure that has had its time, faded like what came of it: for an exposure of age a the integral over s from 0 to a of
/// exp(-(a-s)/T) phi(s), which for each exponential of the kernel is (exp(-a/k) - exp(-a/T)) / (k/T - 1).
fn acted(exposed: &[f64; HORIZONS.len()]) -> f64 {
    let (over, left) = (HORIZONS[OVER], exposed[OVER]);
    let terms = SHARES.iter().zip(HORIZONS).zip(exposed).filter(|((share, _), _)| **share > 0.0);
    terms.map(|((share, k), exposed)| share * (exposed - left) / (k / over - 1.0)).sum()
}

/// A bound of a Poisson mean of which `n` came, by Wilson and Hilferty's cube root (1931).
fn poisson(n: f64, z: f64) -> f64 {
    let n = if z > 0.0 { n + 1.0 } else { n };
    n * (1.0 - 1.0 / (9.0 * n) + z / (3.0 * n.sqrt())).max(0.0).powi(3)
}

#[cfg(test)]
mod tests {
    use firewatch_domain::{Engagement, EngagementKind, EventTime};

    use super::*;

    /// The paper's share of reactions that come later than an age in seconds.
    fn later(secs: f64) -> f64 {
        let (level, cut, power) = (6.265_725e-4, 300.0, 0.231_484_3);
        if secs <= cut { 1.0 - level * secs } else { level * cut / power * (secs / cut).powf(-power) }
    }

    #[test]
    fn the_kernel_is_the_papers_within_what_is_stated() {
        let rest = 1.0 - SHARES.iter().sum::<f64>();
        let mut worst = 0.0_f64;
        for i in 0..1150 {
            let secs = (0.01 * f64::from(i)).exp();
            let ours: f64 =
                rest + SHARES.iter().zip(HORIZONS).map(|(share, k)| share * (-secs / k).exp()).sum::<f64>();
            worst = worst.max((ours / later(secs) - 1.0).abs());
        }
        assert!(worst < 0.023, "{worst}");
    }

    /// Every account has so many followers, and every 20 seconds one reshares.
    fn steady(minutes: i64, followers: u64) -> Cascade {
        let mut cascade = Cascade::default();
        cascade.author("a", Some(followers), EventTime::from_millis(0));
        for i in 1..=3 * minutes {
            let e = Engagement::new(EngagementKind::Reshare, None, Some(followers));
            cascade.engage(&e, EventTime::from_millis(i * 20_000));
        }
        cascade
    }

    #[test]
    fn ten_times_the_followers_make_it_a_tenth_as_catching_and_as_branching() {
        let few = Infection::of(&steady(60, 100)).unwrap();
        let many = Infection::of(&steady(60, 1000)).unwrap();
        assert!((few.infectiousness.estimate / many.infectiousness.estimate - 10.0).abs() < 0.01);
        assert!((few.branching.estimate / many.branching.estimate - 1.0).abs() < 0.001);
        assert!(few.branching.low < few.branching.estimate && few.branching.estimate < few.branching.high);
    }

    #[test]
    fn what_grows_feeds_itself_and_what_came_from_one_large_account_does_not() {
        let mut growing = Cascade::default();
        growing.author("a", Some(100), EventTime::from_millis(0));
        let mut fading = Cascade::default();
        fading.author("a", Some(1_000_000), EventTime::from_millis(0));
        for i in 1..200_i64 {
            let e = Engagement::new(EngagementKind::Reshare, None, Some(100));
            growing.engage(&e, EventTime::from_millis((1200.0 * (1.0 + i as f64).ln() * 1000.0) as i64));
            fading.engage(&e, EventTime::from_millis(i * i * 200));
        }
        assert!(Infection::of(&growing).unwrap().is_supercritical());
        assert!(!Infection::of(&fading).unwrap().is_supercritical());
        assert_eq!(Infection::of(&Cascade::default()), None);
    }

    #[test]
    fn bounds_of_a_few_are_those_of_the_poisson_distribution() {
        // Exact 80% bounds of a mean of which 10 came (Garwood 1936): 6.221 and 15.407.
        assert!((poisson(10.0, -BOUND) - 6.221).abs() < 0.02 && (poisson(10.0, BOUND) - 15.407).abs() < 0.02);
    }
}
