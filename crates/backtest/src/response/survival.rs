//! Kaplan-Meier estimate (1958) of the time to a reply when some replies have not come yet.
//!
//! A complaint without a reply is censored: it is known to have waited at least as long as it was observed.
//! Leaving it out would make a brand that never replies look fast.

/// A wait for a reply, which may be censored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wait {
    /// Length in minutes.
    pub minutes: f64,
    /// Whether it ended with a reply; otherwise the observation ended.
    pub answered: bool,
}

/// The share of requests still waiting, by time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SurvivalCurve {
    /// Number of waits.
    pub waits: usize,
    /// Number of waits that ended with a reply.
    pub answered: usize,
    /// Times in minutes, each with the share still waiting after it.
    pub steps: Vec<(f64, f64)>,
}

impl SurvivalCurve {
    /// Estimates the curve from waits.
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

    /// Returns the minutes within which a share (0 to 1) is answered; `None` if the share is never reached.
    #[must_use]
    pub fn within(&self, share: f64) -> Option<f64> {
        self.steps.iter().find(|(_, still)| 1.0 - still >= share - 1e-12).map(|(minutes, _)| *minutes)
    }

    /// Returns the share answered within a number of minutes.
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
        // Freireich et al. 1963, remission under 6-MP, as in Cox and Oakes 1984: S(6) 0.857, S(10) 0.753,
        // S(23) 0.448.
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
