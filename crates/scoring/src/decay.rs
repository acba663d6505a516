//! Exponentially decayed sums: an event of age t counts exp(-t/T), for several time constants T.
//!
//! A sum depends only on the set of event times, so late events give the same result as ordered ones. Each
//! time constant is a small integer multiple of the one before, so that one `exp` and a few products yield
//! the decay factors of all of them.

use serde::{Deserialize, Serialize};

/// Time constants T in seconds, ascending.
pub const TIME_CONSTANTS: [f64; 7] = [20.0, 60.0, 300.0, 1200.0, 3600.0, 14_400.0, 57_600.0];

/// The factors exp(-t/T) of one elapsed time t, one for each of [`TIME_CONSTANTS`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DecayFactors(pub [f64; TIME_CONSTANTS.len()]);

impl DecayFactors {
    /// Returns the factors after `secs` seconds. Negative values count as 0.
    pub fn after(secs: f64) -> Self {
        let [.., longest] = TIME_CONSTANTS;
        let x57600 = (-secs.max(0.0) / longest).exp();
        let x14400 = fourth_power(x57600);
        let x3600 = fourth_power(x14400);
        let x1200 = x3600 * x3600 * x3600;
        let x300 = fourth_power(x1200);
        let x60 = fourth_power(x300) * x300;
        let x20 = x60 * x60 * x60;
        Self([x20, x60, x300, x1200, x3600, x14400, x57600])
    }

    /// Returns the mean factors over a span of `span` seconds that ended `ended` seconds ago:
    /// exp(-ended/T) (T/span) (1 - exp(-span/T)).
    pub fn mean_over(span: f64, ended: f64) -> Self {
        let (mut factors, whole) = (Self::after(ended), Self::after(span));
        if span > 1e-3 {
            for ((factor, whole), time_constant) in factors.0.iter_mut().zip(whole.0).zip(TIME_CONSTANTS) {
                *factor *= time_constant / span * (1.0 - whole);
            }
        }
        factors
    }
}

fn fourth_power(x: f64) -> f64 {
    (x * x) * (x * x)
}

/// A decayed sum at every time constant. Single precision suffices, because old contributions decay faster
/// than rounding errors accumulate.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct DecayedSum([f32; TIME_CONSTANTS.len()]);

impl DecayedSum {
    /// Multiplies the sums with the factors of the time that passed.
    pub fn decay(&mut self, factors: &DecayFactors) {
        for (sum, factor) in self.0.iter_mut().zip(factors.0) {
            *sum = (f64::from(*sum) * factor) as f32;
        }
    }

    /// Adds `n` events, weighted by the factors of their age.
    pub fn add(&mut self, n: f64, factors: &DecayFactors) {
        for (sum, factor) in self.0.iter_mut().zip(factors.0) {
            *sum = (f64::from(*sum) + n * factor) as f32;
        }
    }

    /// Returns the sums, in the order of [`TIME_CONSTANTS`].
    pub fn sums(&self) -> [f64; TIME_CONSTANTS.len()] {
        self.0.map(f64::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_the_exponential_at_every_horizon() {
        for secs in [0.0, 0.5, 7.0, 60.0, 1000.0, 50_000.0, 1e7] {
            for (factor, time_constant) in DecayFactors::after(secs).0.iter().zip(TIME_CONSTANTS) {
                assert!(
                    (factor - (-secs / time_constant).exp()).abs() < 1e-12,
                    "{secs} s at {time_constant} s"
                );
            }
        }
    }

    #[test]
    fn a_span_is_the_mean_of_its_moments() {
        let (span, ended) = (600.0, 30.0);
        let mut mean = [0.0; TIME_CONSTANTS.len()];
        for i in 0..60_000 {
            let factors = DecayFactors::after(ended + (f64::from(i) + 0.5) * span / 60_000.0);
            mean.iter_mut().zip(factors.0).for_each(|(m, l)| *m += l / 60_000.0);
        }
        for (a, b) in mean.iter().zip(DecayFactors::mean_over(span, ended).0) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}
