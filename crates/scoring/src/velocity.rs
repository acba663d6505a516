//! How fast a conversation moves: exponentially decayed counts at three horizons.
//!
//! For a horizon T the decayed count is S = sum of exp(-(now - t_i)/T), and the pace is S / (T (1 - exp(-age/T))) per
//! minute: the exponentially weighted moving average that Unix load averages use, with its start-up bias taken
//! out (as Kingma and Ba 2015 do for Adam). S depends on the set of times alone, so order does not matter.

use firewatch_domain::{Duration, EventTime, Velocity};
use serde::{Deserialize, Serialize};

/// Horizons in minutes.
const HORIZONS: [f64; 3] = [1.0, 5.0, 60.0];
/// Paces below this many a minute are noise to the trend.
const NOISE_FLOOR: f64 = 0.05;

/// Decayed counts of spreading engagements.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Pace {
    sums: [f64; 3],
    at: Option<EventTime>,
}

impl Pace {
    /// Lets the counts decay to a later time; an earlier one changes nothing.
    pub fn advance(&mut self, now: EventTime) {
        if let Some(at) = self.at.filter(|at| *at < now) {
            let gone = (now - at).as_mins();
            for (sum, horizon) in self.sums.iter_mut().zip(HORIZONS) {
                *sum *= (-gone / horizon).exp();
            }
        }
        self.at = Some(self.at.map_or(now, |at| at.max(now)));
    }

    /// Counts one engagement at its own time, late ones with what is left of them now.
    pub fn add(&mut self, at: EventTime) {
        self.advance(at);
        let late = self.at.map_or(0.0, |now| (now - at).as_mins());
        for (sum, horizon) in self.sums.iter_mut().zip(HORIZONS) {
            *sum += (-late / horizon).exp();
        }
    }

    /// Counts `n` engagements that happened somewhere within `span` before `at`, as a counter snapshot tells. Spread
    /// evenly over the span, each is worth the mean of its decay: (T/span)(1 - exp(-span/T)).
    pub fn add_spread(&mut self, n: u64, span: Duration, at: EventTime) {
        self.advance(at);
        let late = self.at.map_or(0.0, |now| (now - at).as_mins());
        let span = span.as_mins().max(0.0);
        for (sum, horizon) in self.sums.iter_mut().zip(HORIZONS) {
            let mean = if span < 1e-6 { 1.0 } else { horizon / span * (1.0 - (-span / horizon).exp()) };
            *sum += n as f64 * mean * (-late / horizon).exp();
        }
    }

    /// The pace now, for a conversation of this age; before a minute has passed it is read as a minute old.
    #[must_use]
    pub fn velocity(&self, age: Duration) -> Velocity {
        let age = age.as_mins().max(1.0);
        let mut pace = [0.0; 3];
        for ((pace, sum), horizon) in pace.iter_mut().zip(self.sums).zip(HORIZONS) {
            *pace = sum / (horizon * (1.0 - (-age / horizon).exp()));
        }
        let trend = ((pace[1] + NOISE_FLOOR) / (pace[2] + NOISE_FLOOR)).ln();
        Velocity {
            per_minute_1: pace[0] as f32,
            per_minute_5: pace[1] as f32,
            per_minute_60: pace[2] as f32,
            trend: trend as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(m: f64) -> EventTime {
        EventTime::from_millis((m * 60_000.0) as i64)
    }

    #[test]
    fn a_steady_stream_reads_as_its_pace_at_every_horizon_and_age() {
        for minutes in [2, 10, 240] {
            let mut pace = Pace::default();
            for i in 0..minutes * 20 {
                pace.add(minute(f64::from(i) / 20.0));
            }
            let v = pace.velocity(minute(f64::from(minutes)) - minute(0.0));
            for p in [v.per_minute_1, v.per_minute_5, v.per_minute_60] {
                assert!((p - 20.0).abs() < 1.0, "{minutes} minutes: {v:?}");
            }
            assert!(v.trend.abs() < 0.05);
        }
    }

    #[test]
    fn order_does_not_matter() {
        let times = [0.0, 7.0, 1.5, 30.0, 29.0, 3.0];
        let (mut given, mut sorted) = (Pace::default(), Pace::default());
        times.iter().for_each(|t| given.add(minute(*t)));
        let mut times = times;
        times.sort_by(f64::total_cmp);
        times.iter().for_each(|t| sorted.add(minute(*t)));
        for (a, b) in given.sums.iter().zip(sorted.sums) {
            assert!((a - b).abs() < 1e-9);
        }
    }

    #[test]
    fn a_snapshot_counts_like_its_engagements_one_by_one() {
        let (mut single, mut snapshot) = (Pace::default(), Pace::default());
        for i in 0..1000 {
            single.add(minute(f64::from(i) / 100.0));
        }
        single.advance(minute(10.0));
        snapshot.add_spread(1000, Duration::from_mins(10), minute(10.0));
        for (a, b) in single.sums.iter().zip(snapshot.sums) {
            assert!((a - b).abs() / a < 0.01, "{a} {b}");
        }
    }
}
