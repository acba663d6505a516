//! How fast a conversation moves: exponentially decayed counts at three horizons, raw and discounted.
//!
//! For a horizon T the decayed count is S = sum of exp(-(now - t_i)/T), and the pace is S / (T (1 - exp(-age/T))) per
//! minute: the exponentially weighted moving average that Unix load averages use, with its start-up bias taken
//! out (as Kingma and Ba 2015 do for Adam). The discounted pace counts an account once and one with few followers less.

use firewatch_domain::{Duration, Velocity};
use serde::{Deserialize, Serialize};

use crate::fade::{HORIZONS, Left};

/// The horizons of the pace among all: one, five and sixty minutes.
const TOLD: [usize; 3] = [1, 2, 4];
/// The horizon of the discounted pace: five minutes.
const FIVE: usize = 2;
/// Paces below this many a minute are noise to the trend.
const NOISE_FLOOR: f64 = 0.05;
/// Followers from which an account counts in full.
const HEARD: f64 = 10.0;

/// What an engagement of an account with so many followers counts in the discounted pace; one of unknown audience
/// counts in full.
pub(crate) fn weight(followers: Option<u64>) -> f64 {
    followers.map_or(1.0, |f| (f as f64 / HEARD).min(1.0))
}

/// Decayed counts of spreading engagements.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Pace {
    raw: [f32; TOLD.len()],
    discounted: f32,
}

impl Pace {
    /// Lets time pass.
    pub fn fade(&mut self, left: &Left) {
        for (i, horizon) in TOLD.into_iter().enumerate() {
            self.raw[i] *= left.0[horizon] as f32;
        }
        self.discounted *= left.0[FIVE] as f32;
    }

    /// Counts `n` engagements that weigh so much together when discounted, each with what is left of it now.
    pub fn add(&mut self, n: f64, weight: f64, left: &Left) {
        for (i, horizon) in TOLD.into_iter().enumerate() {
            self.raw[i] += (n * left.0[horizon]) as f32;
        }
        self.discounted += (weight * left.0[FIVE]) as f32;
    }

    /// The pace now, for a conversation of this age; before a minute has passed it is read as a minute old.
    pub fn velocity(&self, age: Duration) -> Velocity {
        let age = age.as_secs().max(60.0);
        let per_minute = |sum: f32, horizon: usize| {
            let horizon = HORIZONS[horizon];
            f64::from(sum) * 60.0 / (horizon * (1.0 - (-age / horizon).exp()))
        };
        let mut raw = [0.0; TOLD.len()];
        for ((raw, sum), horizon) in raw.iter_mut().zip(self.raw).zip(TOLD) {
            *raw = per_minute(sum, horizon);
        }
        let trend = ((raw[1] + NOISE_FLOOR) / (raw[2] + NOISE_FLOOR)).ln();
        Velocity {
            per_minute_1: raw[0] as f32,
            per_minute_5: raw[1] as f32,
            per_minute_60: raw[2] as f32,
            discounted_5: per_minute(self.discounted, FIVE) as f32,
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
                pace.fade(&Left::after(3.0));
                pace.add(1.0, 0.5, &Left::after(0.0));
            }
            let v = pace.velocity(Duration::from_mins(minutes));
            for p in [v.per_minute_1, v.per_minute_5, v.per_minute_60, 2.0 * v.discounted_5] {
                assert!((p - 20.0).abs() < 1.0, "{minutes} minutes: {v:?}");
            }
            assert!(v.trend.abs() < 0.05);
        }
    }
}
