//! Velocity of a conversation: exponentially decayed engagement counts at three time constants, raw and
//! discounted.
//!
//! For a time constant T the decayed count is S = sum of exp(-(now - t_i)/T), and the pace is S / (T (1 -
//! exp(-age/T))): the exponentially weighted moving average of Unix load averages, corrected for its start-up
//! bias (as in Adam, Kingma and Ba 2015). The discounted pace counts each account once, and accounts with few
//! followers less.

use firewatch_domain::{Duration, Velocity};
use serde::{Deserialize, Serialize};

use crate::decay::{DecayFactors, TIME_CONSTANTS};

/// Indices into [`TIME_CONSTANTS`] of the pace: 1, 5 and 60 minutes.
const PACE_INDICES: [usize; 3] = [1, 2, 4];
/// Index into [`TIME_CONSTANTS`] of the discounted pace: 5 minutes.
const FIVE_MINUTES_INDEX: usize = 2;
/// Engagements per minute added to both paces in the trend, so that small paces do not make it noisy.
const NOISE_FLOOR: f64 = 0.05;
/// Follower count from which an account counts in full.
const FULL_WEIGHT_FOLLOWERS: f64 = 10.0;

/// Returns the weight, 0..1, of an engagement in the discounted pace. An unknown follower count has weight 1.
pub(crate) fn weight(followers: Option<u64>) -> f64 {
    followers.map_or(1.0, |f| (f as f64 / FULL_WEIGHT_FOLLOWERS).min(1.0))
}

/// Decayed counts of reshares, quotes and replies.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Pace {
    raw: [f32; PACE_INDICES.len()],
    discounted: f32,
}

impl Pace {
    /// Multiplies the counts with the factors of the time that passed.
    pub fn decay(&mut self, factors: &DecayFactors) {
        for (i, index) in PACE_INDICES.into_iter().enumerate() {
            self.raw[i] *= factors.0[index] as f32;
        }
        self.discounted *= factors.0[FIVE_MINUTES_INDEX] as f32;
    }

    /// Adds `n` engagements of total discounted weight `weight`, multiplied by the factors of their age.
    pub fn add(&mut self, n: f64, weight: f64, factors: &DecayFactors) {
        for (i, index) in PACE_INDICES.into_iter().enumerate() {
            self.raw[i] += (n * factors.0[index]) as f32;
        }
        self.discounted += (weight * factors.0[FIVE_MINUTES_INDEX]) as f32;
    }

    /// Returns the pace in engagements per minute for a conversation of age `age`. Ages below one minute
    /// count as one minute.
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
