//! The risk: P(complaint) times P(viral), in points of 0..100, with contributions that add up to it.
//!
//! The two probabilities are treated as independent given the observations, because no data set holds both.
//! The points are attributed to the two factors by their Shapley values (Shapley 1953). The share of the
//! viral factor is split further by the steps from a calm new post of an ordinary account to this one: size,
//! velocity, words, reach. Each step gets points in proportion to its change of the log-odds.

use std::borrow::Cow;

use firewatch_domain::{Contribution, Reach, Reason, Reasons, Tenths};

use crate::reasons::{mood, reasons};
use crate::virality::{Forecast, GrowthDistribution, Opening, PredictionInterval};
use crate::{Calibration, Cascade, PLAUSIBLE_FOLLOWERS, Reading, TYPICAL_FOLLOWERS, ViralityModel};

/// Upper limit of a probability when its log-odds are taken, so that near-certainty earns no further points.
const MAX_PROBABILITY: f64 = 0.999;
/// Lower and upper bound of P(complaint) for a post that cannot be read.
const UNREAD: (f64, f64) = (0.05, 0.9);

/// The inputs of an assessment: a conversation with its model and thresholds.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The virality model.
    pub model: &'a ViralityModel,
    /// The spread so far.
    pub cascade: &'a Cascade,
    /// The reading of the root post. `None` until the root post arrives.
    pub reading: Option<&'a Reading>,
    /// The number of reshares and quotes from which a conversation of this brand is viral.
    pub bar: u64,
    /// P(complaint) of a post without a prediction, 0..1.
    pub prior_complaint: f64,
    /// The calibration learnt from verdicts on earlier alerts, if any.
    pub calibration: Option<&'a Calibration>,
}

/// The assessed risk of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// The risk, 0..100.
    pub risk: Tenths,
    /// The risk in the best case of everything unknown.
    pub low: Tenths,
    /// The risk in the worst case of everything unknown.
    pub high: Tenths,
    /// P(complaint), 0..1.
    pub complaint: f64,
    /// P(reaches the bar within 24 h), 0..1.
    pub viral: f64,
    /// The distribution of growth within 24 h.
    pub day_forecast: GrowthDistribution,
    /// The reach so far, in accounts.
    pub reach: Reach,
}

/// An assessment with its forecast, contributions and reasons.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The assessment.
    pub assessment: Assessment,
    /// The growth forecast for every horizon.
    pub forecast: Forecast,
    /// Contributions in points, which add up to the risk.
    pub contributions: Vec<Contribution>,
    /// The reasons, one sentence each, largest contribution first.
    pub reasons: Reasons,
}

impl Subject<'_> {
    /// Explains an assessment. It costs twice as much as the assessment, so call it only for risks that are
    /// emitted.
    #[must_use]
    pub fn explain(&self, assessment: Assessment) -> Explained {
        let contributions = self.contributions(&assessment);
        let forecast = self.model.forecast(self.cascade, &assessment.day_forecast);
        let reasons = reasons(self, &assessment, &contributions, forecast.end());
        Explained { assessment, forecast, contributions, reasons }
    }

    /// Returns the reason about the post's complaint probability. `None` if the post could not be read.
    #[must_use]
    pub fn describe_mood(&self, assessment: &Assessment) -> Option<Reason> {
        mood(self, assessment)
    }

    /// Returns the maximum risk for any spread, 0..100.
    #[must_use]
    pub fn max_risk(&self) -> f64 {
        100.0 * self.calibrated(self.complaint().high)
    }

    /// Returns P(complaint) with its lower and upper bound. They are equal for a post that was read.
    #[must_use]
    pub fn complaint(&self) -> PredictionInterval {
        match self.reading.and_then(|r| r.prediction.ok()).map(|prediction| f64::from(prediction.complaint)) {
            Some(p) => PredictionInterval { low: p, point: p, high: p },
            None => PredictionInterval {
                low: UNREAD.0.min(self.prior_complaint),
                point: self.prior_complaint,
                high: UNREAD.1.max(self.prior_complaint),
            },
        }
    }

    /// Assesses the risk of the conversation.
    #[must_use]
    pub fn assess(&self) -> Assessment {
        let complaint = self.complaint();
        let day = self.model.forecast_day(self.cascade, &self.opening(TYPICAL_FOLLOWERS));
        let to_go = self.bar.saturating_sub(self.cascade.spread()) as f64;
        let crosses =
            |takeoff_probability: f64, goes: f64| if to_go > 0.0 { takeoff_probability * goes } else { 1.0 };
        // Unknown follower counts affect whether the conversation takes off, but not its size after that.
        let goes = day.at_least_given_takeoff(to_go);
        let viral = crosses(day.takeoff_probability, goes);
        let bounds = [0, PLAUSIBLE_FOLLOWERS].map(|unknown| {
            crosses(self.model.takeoff_probability(self.cascade, &self.opening(unknown)), goes)
        });
        let (min_viral, max_viral) =
            (viral.min(bounds[0]).min(bounds[1]), viral.max(bounds[0]).max(bounds[1]));
        let to_risk = |p: f64| Tenths::round(100.0 * self.calibrated(p));
        let risk = to_risk(complaint.point * viral);
        Assessment {
            risk,
            low: to_risk(complaint.low * min_viral).min(risk),
            high: to_risk(complaint.high * max_viral).max(risk),
            complaint: complaint.point,
            viral,
            day_forecast: day,
            reach: self.cascade.audience().reach(),
        }
    }

    /// Returns the contributions to the risk, in points that add up to it.
    fn contributions(&self, assessed: &Assessment) -> Vec<Contribution> {
        let steps = self.model.forecast_steps(self.cascade, &assessed.day_forecast);
        let (prior, c, v) = (self.prior_complaint, assessed.complaint, assessed.viral);
        let fresh = steps.fresh.at_least(self.bar as f64);
        let ordinary = Opening { followers: TYPICAL_FOLLOWERS as f64, ..self.opening(TYPICAL_FOLLOWERS) };
        let with_text = self.crosses_with(&ordinary, &assessed.day_forecast);
        let [z0, z1, z2, z3, z4] =
            [fresh, self.crosses(&steps.size), self.crosses(&steps.velocity), with_text, v].map(log_odds);
        // Points per unit of log-odds. The steps add up to the difference from the fresh post.
        let slope = if (z4 - z0).abs() < 1e-9 { 0.0 } else { (v - fresh) / (z4 - z0) };
        let each = 50.0 * (prior + c) * slope;
        let mut parts = vec![
            ("base", 100.0 * prior * fresh),
            ("words", 50.0 * (c - prior) * (fresh + v) + (z3 - z2) * each),
            ("size", (z1 - z0) * each),
            ("velocity", (z2 - z1) * each),
            ("reach", (z4 - z3) * each),
        ];
        if let Some(calibration) = self.calibration {
            parts.push(("feedback", 100.0 * (calibration.apply(c * v) - c * v)));
        }
        round_to_tenths(&parts, assessed.risk)
    }

    fn calibrated(&self, p: f64) -> f64 {
        self.calibration.map_or(p, |calibration| calibration.apply(p))
    }

    /// Returns the takeoff inputs, with `followers` for accounts of unknown follower count.
    fn opening(&self, followers: u64) -> Opening {
        let prediction = self.reading.and_then(|r| r.prediction.ok());
        Opening {
            followers: self.cascade.audience().reach_assuming(followers) as f64,
            arousal: prediction.map_or(0.0, |s| f64::from(s.arousal)),
            complaint: prediction.map_or(0.0, |s| f64::from(s.complaint)),
        }
    }

    fn crosses_with(&self, opening: &Opening, day: &GrowthDistribution) -> f64 {
        let takeoff_probability = self.model.takeoff_probability(self.cascade, opening);
        self.crosses(&GrowthDistribution { takeoff_probability, ..*day })
    }

    fn crosses(&self, day: &GrowthDistribution) -> f64 {
        day.at_least(self.bar.saturating_sub(self.cascade.spread()) as f64)
    }
}

fn log_odds(p: f64) -> f64 {
    let p = p.clamp(1e-9, MAX_PROBABILITY);
    (p / (1.0 - p)).ln()
}

/// Rounds contributions to tenths so that they still add up to the risk. The largest one takes the remainder.
fn round_to_tenths(parts: &[(&'static str, f64)], risk: Tenths) -> Vec<Contribution> {
    let mut rounded: Vec<Contribution> = parts
        .iter()
        .map(|(name, points)| Contribution { name: Cow::Borrowed(*name), points: Tenths::round(*points) })
        .collect();
    let sum: i32 = rounded.iter().map(|c| c.points.0).sum();
    if let Some(largest) = rounded.iter_mut().max_by_key(|c| c.points.0.abs()) {
        largest.points.0 += risk.0 - sum;
    }
    rounded
}

#[cfg(test)]
mod tests {
    use firewatch_domain::{Engagement, EngagementKind, EventTime, Sentiment};

    use super::*;
    use crate::TextPrediction;

    fn model() -> ViralityModel {
        ViralityModel::from_bytes(include_bytes!("../../../models/virality.fwm")).unwrap()
    }

    fn angry() -> Reading {
        let sentiment = Sentiment { negative: 0.9, neutral: 0.08, positive: 0.02 };
        let prediction = Ok(TextPrediction { sentiment, complaint: 0.9, arousal: 0.7 });
        Reading {
            prediction,
            lang: "en".into(),
            evidence: vec![],
            topics: vec![],
            sim_hash: None,
            flags: vec![],
            excerpt: None,
        }
    }

    fn spread(reshares: usize, followers: Option<u64>) -> Cascade {
        let mut cascade = Cascade::default();
        cascade.observe_author("a", followers, EventTime::from_millis(0));
        for i in 0..reshares {
            let e = Engagement::new(EngagementKind::Reshare, Some(i.to_string()), followers);
            cascade.observe_engagement(&e, EventTime::from_millis(i as i64 * 1000));
        }
        cascade
    }

    fn judge<T>(
        cascade: &Cascade,
        reading: Option<&Reading>,
        f: impl Fn(&Subject<'_>, Assessment) -> T,
    ) -> T {
        let model = model();
        let subject =
            Subject { model: &model, cascade, reading, bar: 500, prior_complaint: 0.3, calibration: None };
        f(&subject, subject.assess())
    }

    #[test]
    fn contributions_add_up_exactly() {
        for n in [0, 1, 10, 100, 499, 500, 5000] {
            for reading in [None, Some(angry())] {
                judge(&spread(n, Some(100)), reading.as_ref(), |subject, a| {
                    let sum: i32 = subject.contributions(&a).iter().map(|c| c.points.0).sum();
                    assert_eq!(sum, a.risk.0, "{n}: {a:?}");
                    assert!(
                        a.low <= a.risk && a.risk <= a.high && a.risk.value() <= subject.max_risk() + 0.05
                    );
                });
            }
        }
    }

    #[test]
    fn what_feedback_does_is_a_contribution_of_its_own() {
        let (model, cascade, reading) = (model(), spread(100, Some(100)), angry());
        let calibration = Calibration { version: "1".into(), scale: 1.0, shift: -1.0 };
        let subject = Subject {
            model: &model,
            cascade: &cascade,
            reading: Some(&reading),
            bar: 500,
            prior_complaint: 0.3,
            calibration: None,
        };
        let plain = subject.assess();
        let subject = Subject { calibration: Some(&calibration), ..subject };
        let assessed = subject.assess();
        let wanted = 100.0 * calibration.apply(plain.complaint * plain.viral);
        assert!((assessed.risk.value() - wanted).abs() < 0.051 && assessed.risk < plain.risk);
        let explained = subject.explain(assessed.clone());
        let sum: i32 = explained.contributions.iter().map(|c| c.points.0).sum();
        let feedback = explained.contributions.iter().find(|c| c.name == "feedback").unwrap().points;
        assert!((feedback.0 - (assessed.risk.0 - plain.risk.0)).abs() <= 1, "{feedback}");
        assert_eq!(sum, assessed.risk.0);
        let is_mentioned =
            explained.reasons.texts().any(|text| text.starts_with("verdicts on earlier alerts (-"));
        assert!(is_mentioned, "{:?}", explained.reasons);
    }

    #[test]
    fn crossing_the_bar_is_viral_and_attributed_to_size() {
        judge(&spread(600, Some(100)), Some(&angry()), |subject, a| {
            assert!(a.viral > 0.99);
            let parts = subject.contributions(&a);
            assert!(parts.iter().find(|c| c.name == "size").unwrap().points.value() > 50.0, "{parts:?}");
        });
    }

    #[test]
    fn an_ordinary_audience_has_no_part_in_the_risk_and_anger_is_no_reach() {
        let mut fresh = Cascade::default();
        fresh.observe_author("a", Some(TYPICAL_FOLLOWERS), EventTime::from_millis(0));
        let e = Engagement::new(EngagementKind::Reshare, None, Some(0));
        (1..30).for_each(|s| fresh.observe_engagement(&e, EventTime::from_millis(s * 1000)));
        judge(&fresh, Some(&angry()), |subject, a| {
            let parts = subject.contributions(&a);
            let points = |name| parts.iter().find(|c| c.name == name).unwrap().points.0;
            assert!(points("reach") == 0 && points("words") > 30, "{parts:?}");
        });
    }

    #[test]
    fn the_faster_it_spreads_the_higher_the_risk() {
        let risk = |n: usize| judge(&spread(n, Some(300)), Some(&angry()), |_, a| a.risk);
        let all = [0, 5, 20, 60, 200, 450].map(risk);
        assert!(all.is_sorted(), "{all:?}");
        assert!(all[0].value() < 2.0 && all[5].value() > 50.0, "{all:?}");
    }

    #[test]
    fn what_is_unknown_widens_the_risk() {
        let width = |followers, reading: Option<&Reading>| {
            judge(&spread(30, followers), reading, |_, a| a.high.0 - a.low.0)
        };
        assert_eq!(width(Some(100), Some(&angry())), 0);
        assert!(width(None, Some(&angry())) > 0);
        assert!(width(Some(100), None) > 0);
    }
}
