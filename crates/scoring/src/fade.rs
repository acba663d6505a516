//! Sums that fade: of each thing that happened exp(-t/T) is left after a time t, at several horizons T.
//!
//! A sum depends on the set of times alone, so late events are folded in as if they had come in order. Every horizon is
//! a small multiple of the one before, so that one exponential and a few products give what is left at all of them.

use serde::{Deserialize, Serialize};

/// Horizons in seconds.
pub const HORIZONS: [f64; 7] = [20.0, 60.0, 300.0, 1200.0, 3600.0, 14_400.0, 57_600.0];

/// What is left of one after some time, at each horizon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Left(pub [f64; HORIZONS.len()]);

impl Left {
    /// After this many seconds; a negative time counts as none.
    pub fn after(secs: f64) -> Self {
        let [.., longest] = HORIZONS;
        let x57600 = (-secs.max(0.0) / longest).exp();
        let x14400 = fourth(x57600);
        let x3600 = fourth(x14400);
        let x1200 = x3600 * x3600 * x3600;
        let x300 = fourth(x1200);
        let x60 = fourth(x300) * x300;
        let x20 = x60 * x60 * x60;
        Self([x20, x60, x300, x1200, x3600, x14400, x57600])
    }

    /// The mean over a span that ended some seconds ago: (T/span)(1 - exp(-span/T)) of what is left after those.
    pub fn over(span: f64, ended: f64) -> Self {
        let (mut left, whole) = (Self::after(ended), Self::after(span));
        if span > 1e-3 {
            for ((left, whole), horizon) in left.0.iter_mut().zip(whole.0).zip(HORIZONS) {
                *left *= horizon / span * (1.0 - whole);
            }
        }
        left
    }
}

fn fourth(x: f64) -> f64 {
    (x * x) * (x * x)
}

/// A fading sum at every horizon. Single precision: what is old fades faster than its errors add up.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Faded([f32; HORIZONS.len()]);

impl Faded {
    /// Lets time pass.
    pub fn fade(&mut self, left: &Left) {
        for (sum, left) in self.0.iter_mut().zip(left.0) {
            *sum = (f64::from(*sum) * left) as f32;
        }
    }

    /// Adds `n`, each with what is left of it now.
    pub fn add(&mut self, n: f64, left: &Left) {
        for (sum, left) in self.0.iter_mut().zip(left.0) {
            *sum = (f64::from(*sum) + n * left) as f32;
        }
    }

    /// The sums now.
    pub fn sums(&self) -> [f64; HORIZONS.len()] {
        self.0.map(f64::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_the_exponential_at_every_horizon() {
        for secs in [0.0, 0.5, 7.0, 60.0, 1000.0, 50_000.0, 1e7] {
            for (left, horizon) in Left::after(secs).0.iter().zip(HORIZONS) {
                assert!((left - (-secs / horizon).exp()).abs() < 1e-12, "{secs} s at {horizon} s");
            }
        }
    }

    #[test]
    fn a_span_is_the_mean_of_its_moments() {
        let (span, ended) = (600.0, 30.0);
        let mut mean = [0.0; HORIZONS.len()];
        for i in 0..60_000 {
            let left = Left::after(ended + (f64::from(i) + 0.5) * span / 60_000.0);
            mean.iter_mut().zip(left.0).for_each(|(m, l)| *m += l / 60_000.0);
        }
        for (a, b) in mean.iter().zip(Left::over(span, ended).0) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}
