//! How long answers take when some have not come yet: the estimator of Kaplan and Meier (1958).
//!
//! A complaint that was not answered while it was watched is known to have waited so long and no more; leaving it out
//! would make a brand that never answers look fast.

/// A wait in minutes, and whether it ended with an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wait {
    /// Minutes.
    pub minutes: f64,
    /// It ended with an answer; otherwise it was watched no longer.
    pub answered: bool,
}

/// The share that still waits, by time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SurvivalCurve {
    /// How many waits it is of.
    pub waits: usize,
    /// How many were answered.
    pub answered: usize,
    /// Minutes, and the share that still waits from then on.
    pub steps: Vec<(f64, f64)>,
}

impl SurvivalCurve {
    /// The curve of waits.
    #[must_use]
    pub fn kaplan_meier(waits: &[Wait]) -> Self {
        let mut waits = waits.to_vec();
        waits.sort_by(|a, b| a.minutes.total_cmp(&b.minutes));
        let (mut at_risk, mut still) = (waits.len(), 1.0);
        let mut steps = Vec::new();
        for same in waits.chunk_by(|a, b| a.minutes == b.minutes) {
            let answered = same.iter().filter(|wait| wait.answered).count();
            if answered > 0 {
                still *= 1.0 - answered as f64 / at_risk as f64;
                steps.push((same[0].minutes, still));
            }
            at_risk -= same.len();
        }
        Self { waits: waits.len(), answered: waits.iter().filter(|wait| wait.answered).count(), steps }
    }

    /// Minutes within which a share is answered; none when that is not reached.
    #[must_use]
    pub fn within(&self, share: f64) -> Option<f64> {
        self.steps.iter().find(|(_, still)| 1.0 - still >= share - 1e-12).map(|(minutes, _)| *minutes)
    }

    /// The share answered within so many minutes.
    #[must_use]
    pub fn answered_within(&self, minutes: f64) -> f64 {
        let by_then = self.steps.partition_point(|(at, _)| *at <= minutes);
        by_then.checked_sub(1).and_then(|i| self.steps.get(i)).map_or(0.0, |(_, still)| 1.0 - still)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_that_of_the_textbook() {
        // Freireich et al. 1963, remission under 6-MP, as in Cox and Oakes 1984: S(6) 0.857, S(10) 0.753, S(23) 0.448.
        let answered = [6, 6, 6, 7, 10, 13, 16, 22, 23];
        let watched = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35];
        let wait = |answered| move |minutes: &i32| Wait { minutes: f64::from(*minutes), answered };
        let waits: Vec<Wait> =
            answered.iter().map(wait(true)).chain(watched.iter().map(wait(false))).collect();
        let curve = SurvivalCurve::kaplan_meier(&waits);
        let still = |minutes: f64| 1.0 - curve.answered_within(minutes);
        for (minutes, wanted) in [(5.9, 1.0), (6.0, 0.857), (10.0, 0.753), (23.0, 0.448), (99.0, 0.448)] {
            assert!((still(minutes) - wanted).abs() < 0.001, "{minutes}: {}", still(minutes));
        }
        assert_eq!((curve.within(0.5), curve.within(0.9)), (Some(23.0), None));
        assert_eq!((curve.waits, curve.answered), (21, 9));
    }
}
