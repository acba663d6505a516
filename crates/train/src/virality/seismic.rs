//! An exact implementation of SEISMIC (Zhao, Erdogdu, He, Rajaraman and Leskovec, KDD 2015), the baseline of
//! forecasts.
//!
//! An account with n followers causes n p(t) phi(s) reshares a second, s seconds after it reshared. The
//! kernel phi is constant for five minutes and then a power law. The infectiousness p(t) is estimated in a
//! triangular window; the final size follows from it and the remaining exposure if p(t) times the mean number
//! of followers is below 1.

use firewatch_backtest::cascades::ReshareHistory;

/// phi before [`PHI_CUT_SECS`], per second.
const PHI_LEVEL: f64 = 6.265_725e-4;
/// Seconds after which phi decays.
const PHI_CUT_SECS: f64 = 300.0;
/// Exponent of the decay, minus 1. The paper's text has 0.242; this is the value in its published code, with
/// which the kernel integrates to 1.
const PHI_POWER: f64 = 0.231_484_3;
/// Bounds of the window in seconds; the window is half the age.
const WINDOW_SECS: (f64, f64) = (300.0, 7200.0);
/// The paper's mean number of followers reached.
const MEAN_FOLLOWERS: f64 = 100.0;
/// Steps of the numerical integral over the window.
const STEPS: usize = 64;

/// SEISMIC's estimate for a cascade.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeismicEstimate {
    /// Infectiousness p(t): probability of a reshare per exposure.
    pub infectiousness: f64,
    /// Final number of reshares; infinite if the cascade is supercritical.
    pub size: f64,
}

/// Estimates a cascade at an age in seconds. Unknown follower counts are taken as `unknown`, as is the root's
/// count if no resharer's is known.
#[must_use]
pub fn seismic(cascade: &ReshareHistory, age: f64, unknown: f64) -> SeismicEstimate {
    let seen = &cascade.reshares[..cascade.count_until(age)];
    let has_followers = seen.iter().any(|r| r.followers.is_some());
    let root = cascade.followers.filter(|_| has_followers).map_or(unknown, |f| f as f64);
    let reshares = seen.iter().map(|r| (r.secs, r.followers.map_or(unknown, |f| f as f64)));
    let carriers: Vec<(f64, f64)> = std::iter::once((0.0, root)).chain(reshares).collect();
    let window = (age / 2.0).clamp(WINDOW_SECS.0, WINDOW_SECS.1);
    let weight = |t: f64| (1.0 - (age - t) / window).max(0.0);
    let came: f64 = seen.iter().map(|r| weight(r.secs)).sum();
    let acted: f64 =
        carriers.iter().map(|(t, n)| n * integral(*t, (age - window).max(*t), age, weight)).sum();
    let p = if acted > 0.0 { came / acted } else { 0.0 };
    let to_come: f64 = carriers.iter().map(|(t, n)| n * phi_tail(age - t)).sum();
    let critical = p * MEAN_FOLLOWERS;
    let size =
        if critical < 1.0 { seen.len() as f64 + p * to_come / (1.0 - critical) } else { f64::INFINITY };
    SeismicEstimate { infectiousness: p, size }
}

/// Returns the kernel phi at an age, per second.
fn phi(secs: f64) -> f64 {
    if secs <= PHI_CUT_SECS { PHI_LEVEL } else { PHI_LEVEL * (secs / PHI_CUT_SECS).powf(-1.0 - PHI_POWER) }
}

/// Returns the integral of phi beyond an age.
#[must_use]
pub fn phi_tail(secs: f64) -> f64 {
    let tail = PHI_LEVEL * PHI_CUT_SECS / PHI_POWER;
    if secs <= PHI_CUT_SECS {
        tail + PHI_LEVEL * (PHI_CUT_SECS - secs)
    } else {
        tail * (secs / PHI_CUT_SECS).powf(-PHI_POWER)
    }
}

/// Integrates weight times phi between two times for a reshare at time `t`, by the trapezoidal rule.
fn integral(t: f64, from: f64, to: f64, weight: impl Fn(f64) -> f64) -> f64 {
    let step = (to - from) / STEPS as f64;
    let at = |i: usize| from + i as f64 * step;
    let value = |i: usize| weight(at(i)) * phi(at(i) - t);
    step * ((1..STEPS).map(value).sum::<f64>() + 0.5 * (value(0) + value(STEPS)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use firewatch_backtest::cascades::Reshare;

    #[test]
    fn the_kernel_adds_up_to_one_and_its_integral_is_its_own() {
        assert!((phi_tail(0.0) - 1.0).abs() < 1e-6, "{}", phi_tail(0.0));
        for secs in [10.0, 299.0, 301.0, 50_000.0] {
            let slope = (phi_tail(secs - 0.01) - phi_tail(secs + 0.01)) / 0.02;
            assert!((slope / phi(secs) - 1.0).abs() < 1e-4, "{secs} s: {slope} and {}", phi(secs));
        }
    }

    /// Reshares at exactly the expected rate of a known infectiousness, with few followers besides the
    /// root's.
    #[test]
    fn a_cascade_of_known_infectiousness_is_seen_through() {
        let (p, root, each) = (0.002, 100_000_u64, 1_u64);
        let came = |t: f64| p * root as f64 * (1.0 - phi_tail(t));
        let mut reshares = Vec::new();
        for t in 1..=36_000 {
            let t = f64::from(t) / 10.0;
            if came(t).floor() > reshares.len() as f64 {
                reshares.push(Reshare { secs: t, followers: Some(each), user: None });
            }
        }
        let cascade = ReshareHistory { followers: Some(root), reshares, ..ReshareHistory::default() };
        let estimate = seismic(&cascade, 3600.0, 1.0);
        assert!((estimate.infectiousness / p - 1.0).abs() < 0.1, "{estimate:?}");
        let end = cascade.size() as f64 + p * root as f64 * phi_tail(3600.0) / (1.0 - p * MEAN_FOLLOWERS);
        assert!((estimate.size / end - 1.0).abs() < 0.05, "{estimate:?} {end}");
        assert_eq!(seismic(&cascade, 3600.0, 1.0), seismic(&cascade, 3600.0, 9.0), "all followers are known");
        let unknown = ReshareHistory { followers: None, ..cascade };
        assert!(seismic(&unknown, 0.5, 1.0).infectiousness == 0.0, "no reshares yet");
    }
}
