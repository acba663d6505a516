//! How fast a conversation moves: exponentially decayed counts at three horizons, raw and discounted.
//!
//! For a horizon T the decayed count is S = sum of exp(-(now - t_i)/T), and the pace is S / (T (1 - exp(-age/T))) per
//! minute: the exponentially weighted moving average that Unix load averages use, with its start-up bias taken
//! out (as Kingma and Ba 2015 do for Adam). The discounted pace counts an account once and one with few followers less.

use firewatch_domain::{Duration, Velocity};
use serde::{Deserialize, Serialize};

use crate::decay::{DecayFactors, TIME_CONSTANTS};

/// The horizons of the pace among all: one, five and sixty minutes.
const PACE_INDICES: [usize; 3] = [1, 2, 4];
/// The horizon of the discounted pace: five minutes.
const FIVE_MINUTES_INDEX: usize = 2;
/// Paces below this many a minute are noise to the trend.
const NOISE_FLOOR: f64 = 0.05;
/// Followers from which an account counts in full.
const FULL_WEIGHT_FOLLOWERS: f64 = 10.0;

/// What an engagement of an account with so many followers counts in the discounted pace; one of unknown audience
/// counts in full.
pub(crate) fn weight(followers: Option<u64>) -> f64 {
    followers.map_or(1.0, |f| (f as f64 / FULL_WEIGHT_FOLLOWERS).min(1.0))
}

/// Decayed counts of spreading engagements.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Pace {
    raw: [f32; PACE_INDICES.len()],
    discounted: f32,
}

impl Pace {
    /// Lets time pass.
    pub fn decay(&mut self, factors: &DecayFactors) {
        for (i, index) in PACE_INDICES.into_iter().enumerate() {
            self.raw[i] *= factors.0[index] as f32;
        }
        self.discounted *= factors.0[FIVE_MINUTES_INDEX] as f32;
    }

    /// Counts `n` engagements that weigh so much together when discounted, each with what is left of it now.
    pub fn add(&mut self, n: f64, weight: f64, factors: &DecayFactors) {
        for (i, index) in PACE_INDICES.into_iter().enumerate() {
            self.raw[i] += (n * factors.0[index]) as f32;
        }
        self.discounted += (weight * factors.0[FIVE_MINUTES_INDEX]) as f32;
    }

    /// The pace now, for a conversation of this age; before a minute has passed it is read as a minute old.
    pub fn velocity(&self, age: Duration) -> Velocity {
        let age = age.as_secs().max(60.0);
        let per_minute = |sum: f32, index: usize| {
            let time_constant = TIME_CONSTANTS[index];
            f64::from(sum) * 60.0 / (time_constant * (1.0 - (-age / time_constant).exp()))
        };
        let mut raw = [0.0; PACE_INDICES.len()];
        for ((raw, sum), index) in raw.iter_mut().zip(self.raw).zip(PACE_INDICES) {
            *raw = per_minute(sum, index);
        }
        let trend = ((raw[1] + NOISE_FLOOR) / (raw[2] + NOISE_FLOOR)).ln();
        Velocity {
            per_minute_1: raw[0] as f32,
            per_minute_5: raw[1] as f32,
            per_minute_60: raw[2] as f32,
            discounted_5: per_minute(self.discounted, FIVE_MINUTES_INDEX) as f32,
            trend: trend as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_reads_as_its_pace_at_every_horizon_and_age() {
        for minutes in [2, 10, 240] {
            let mut pace = Pace::default();
            for _ in 0..minutes * 20 {
                pace.decay(&DecayFactors::after(3.0));
                pace.add(1.0, 0.5, &DecayFactors::after(0.0));
            }
            let v = pace.velocity(Duration::from_mins(minutes));
            for p in [v.per_minute_1, v.per_minute_5, v.per_minute_60, 2.0 * v.discounted_5] {
                assert!((p - 20.0).abs() < 1.0, "{minutes} minutes: {v:?}");
            }
            assert!(v.trend.abs() < 0.05);
        }
    }
}
