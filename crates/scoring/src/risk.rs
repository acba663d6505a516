//! The risk: P(complaint) times P(viral), in points of 0..100, with parts that add up to it.
//!
//! The two are taken as independent given what is known; no data set holds both. The points are shared out by Shapley's
//! value of the two factors (Shapley 1953). The viral factor's share is told step by step from an ordinary account's
//! calm fresh post: how often it was passed on, at which pace, what it says, to how many; each gets points in proportion
//! to its change of the log-odds.

use std::borrow::Cow;

use firewatch_domain::{Contribution, Reach, Tenths};

use crate::virality::{Forecast, Interval, Opening, Outlook};
use crate::words::{mood, reasons};
use crate::{Calibration, Cascade, PLAUSIBLE_FOLLOWERS, Reading, TYPICAL_FOLLOWERS, ViralityModel};

/// The most that a chance counts as in log-odds: beyond it nothing more is worth points.
const SURE: f64 = 0.999;
/// P(complaint) of a post that cannot be read, at its mildest and at its worst.
const UNREAD: (f64, f64) = (0.05, 0.9);

/// A conversation, and what it is judged by.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The model.
    pub model: &'a ViralityModel,
    /// The spread so far.
    pub cascade: &'a Cascade,
    /// What was read in its root post; none while that is unseen.
    pub reading: Option<&'a Reading>,
    /// Reshares and quotes at which a conversation of this brand is viral.
    pub bar: u64,
    /// P(complaint) of a post nothing is known of.
    pub prior: f64,
    /// What verdicts on earlier alerts make of the risk.
    pub calibration: Option<&'a Calibration>,
}

/// A conversation's risk.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// The risk, 0..100.
    pub risk: Tenths,
    /// The risk with all that is unknown at its mildest.
    pub low: Tenths,
    /// The risk with all that is unknown at its worst.
    pub high: Tenths,
    /// P(complaint).
    pub complaint: f64,
    /// P(crosses the bar within a day).
    pub viral: f64,
    /// How far it will go within a day.
    pub day: Outlook,
    /// The reach so far.
    pub reach: Reach,
}

/// An assessment with its reasons.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The assessment.
    pub assessment: Assessment,
    /// How far it will go, by time.
    pub forecast: Forecast,
    /// Points that add up to the risk.
    pub contributions: Vec<Contribution>,
    /// Why, in words, heaviest first.
    pub reasons: Vec<String>,
}

impl Subject<'_> {
    /// Says why. Costs twice what the assessment did, so it is for what is told.
    #[must_use]
    pub fn explain(&self, assessment: Assessment) -> Explained {
        let contributions = self.contributions(&assessment);
        let forecast = self.model.forecast(self.cascade, &assessment.day);
        let reasons = reasons(self, &assessment, &contributions, forecast.end());
        Explained { assessment, forecast, contributions, reasons }
    }

    /// What was read in the post, in words; none when it was not read.
    #[must_use]
    pub fn mood(&self, assessment: &Assessment) -> Option<String> {
        mood(self, assessment)
    }

    /// The most that the risk can be, whatever the spread.
    #[must_use]
    pub fn most(&self) -> f64 {
        100.0 * self.calibrated(self.complaint().high)
    }

    /// P(complaint), with its mildest and its worst value.
    #[must_use]
    pub fn complaint(&self) -> Interval {
        match self.reading.and_then(|r| r.said.ok()).map(|said| f64::from(said.complaint)) {
            Some(p) => Interval { low: p, expected: p, high: p },
            None => Interval {
                low: UNREAD.0.min(self.prior),
                expected: self.prior,
                high: UNREAD.1.max(self.prior),
            },
        }
    }

    /// Judges it.
    #[must_use]
    pub fn assess(&self) -> Assessment {
        let complaint = self.complaint();
        let day = self.model.day(self.cascade, &self.opening(TYPICAL_FOLLOWERS));
        let to_go = self.bar.saturating_sub(self.cascade.spread()) as f64;
        let crosses = |takes_off: f64, goes: f64| if to_go > 0.0 { takes_off * goes } else { 1.0 };
        // Whose followers are not known bears on whether it takes off, and not on how far it goes then.
        let goes = day.at_least_if_it_takes_off(to_go);
        let viral = crosses(day.takes_off, goes);
        let bounds = [0, PLAUSIBLE_FOLLOWERS]
            .map(|unknown| crosses(self.model.takes_off(self.cascade, &self.opening(unknown)), goes));
        let (least, most) = (viral.min(bounds[0]).min(bounds[1]), viral.max(bounds[0]).max(bounds[1]));
        let risk_of = |p: f64| Tenths::round(100.0 * self.calibrated(p));
        let risk = risk_of(complaint.expected * viral);
        Assessment {
            risk,
            low: risk_of(complaint.low * least).min(risk),
            high: risk_of(complaint.high * most).max(risk),
            complaint: complaint.expected,
            viral,
            day,
            reach: self.cascade.audience().reach(),
        }
    }

    /// What made the risk, in points that add up to it.
    fn contributions(&self, assessed: &Assessment) -> Vec<Contribution> {
        let steps = self.model.steps(self.cascade, &assessed.day);
        let (prior, c, v) = (self.prior, assessed.complaint, assessed.viral);
        let fresh = steps.fresh.at_least(self.bar as f64);
        let ordinary = Opening { followers: TYPICAL_FOLLOWERS as f64, ..self.opening(TYPICAL_FOLLOWERS) };
        let said = self.crosses_with(&ordinary, &assessed.day);
        let [z0, z1, z2, z3, z4] =
            [fresh, self.crosses(&steps.size), self.crosses(&steps.velocity), said, v].map(log_odds);
        // Points for each unit of log-odds; the steps add up to the way from the fresh post to what is.
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
            parts.push(("feedback", 100.0 * (calibration.of(c * v) - c * v)));
        }
        in_tenths(&parts, assessed.risk)
    }

    fn calibrated(&self, p: f64) -> f64 {
        self.calibration.map_or(p, |calibration| calibration.of(p))
    }

    /// The post and its audience, where accounts of unknown audience have so many followers.
    fn opening(&self, followers: u64) -> Opening {
        let said = self.reading.and_then(|r| r.said.ok());
        Opening {
            followers: self.cascade.audience().seen_by(followers) as f64,
            arousal: said.map_or(0.0, |s| f64::from(s.arousal)),
            complaint: said.map_or(0.0, |s| f64::from(s.complaint)),
        }
    }

    fn crosses_with(&self, opening: &Opening, day: &Outlook) -> f64 {
        let takes_off = self.model.takes_off(self.cascade, opening);
        self.crosses(&Outlook { takes_off, ..*day })
    }

    fn crosses(&self, day: &Outlook) -> f64 {
        day.at_least(self.bar.saturating_sub(self.cascade.spread()) as f64)
    }
}

fn log_odds(p: f64) -> f64 {
    let p = p.clamp(1e-9, SURE);
    (p / (1.0 - p)).ln()
}

/// Rounds so that the tenths still add up: the remainder goes to the largest part.
fn in_tenths(parts: &[(&'static str, f64)], risk: Tenths) -> Vec<Contribution> {
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
    use crate::Said;

    fn model() -> ViralityModel {
        ViralityModel::from_bytes(include_bytes!("../../../models/virality.fwm")).unwrap()
    }

    fn angry() -> Reading {
        let sentiment = Sentiment { negative: 0.9, neutral: 0.08, positive: 0.02 };
        let said = Ok(Said { sentiment, complaint: 0.9, arousal: 0.7 });
        Reading {
            said,
            lang: "en".into(),
            evidence: vec![],
            topics: vec![],
            near: None,
            flags: vec![],
            excerpt: None,
        }
    }

    fn spread(reshares: usize, followers: Option<u64>) -> Cascade {
        let mut cascade = Cascade::default();
        cascade.author("a", followers, EventTime::from_millis(0));
        for i in 0..reshares {
            let e = Engagement::new(EngagementKind::Reshare, Some(i.to_string()), followers);
            cascade.engage(&e, EventTime::from_millis(i as i64 * 1000));
        }
        cascade
    }

    fn judge<T>(
        cascade: &Cascade,
        reading: Option<&Reading>,
        f: impl Fn(&Subject<'_>, Assessment) -> T,
    ) -> T {
        let model = model();
        let subject = Subject { model: &model, cascade, reading, bar: 500, prior: 0.3, calibration: None };
        f(&subject, subject.assess())
    }

    #[test]
    fn contributions_add_up_exactly() {
        for n in [0, 1, 10, 100, 499, 500, 5000] {
            for reading in [None, Some(angry())] {
                judge(&spread(n, Some(100)), reading.as_ref(), |subject, a| {
                    let sum: i32 = subject.contributions(&a).iter().map(|c| c.points.0).sum();
                    assert_eq!(sum, a.risk.0, "{n}: {a:?}");
                    assert!(a.low <= a.risk && a.risk <= a.high && a.risk.value() <= subject.most() + 0.05);
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
            prior: 0.3,
            calibration: None,
        };
        let plain = subject.assess();
        let subject = Subject { calibration: Some(&calibration), ..subject };
        let assessed = subject.assess();
        let wanted = 100.0 * calibration.of(plain.complaint * plain.viral);
        assert!((assessed.risk.value() - wanted).abs() < 0.051 && assessed.risk < plain.risk);
        let explained = subject.explain(assessed.clone());
        let sum: i32 = explained.contributions.iter().map(|c| c.points.0).sum();
        let feedback = explained.contributions.iter().find(|c| c.name == "feedback").unwrap().points;
        assert!((feedback.0 - (assessed.risk.0 - plain.risk.0)).abs() <= 1, "{feedback}");
        assert_eq!(sum, assessed.risk.0);
        let said = explained.reasons.iter().any(|reason| reason.starts_with("verdicts on earlier alerts (-"));
        assert!(said, "{:?}", explained.reasons);
    }

    #[test]
    fn crossing_the_bar_is_viral_and_said_to_be_size() {
        judge(&spread(600, Some(100)), Some(&angry()), |subject, a| {
            assert!(a.viral > 0.99);
            let parts = subject.contributions(&a);
            assert!(parts.iter().find(|c| c.name == "size").unwrap().points.value() > 50.0, "{parts:?}");
        });
    }

    #[test]
    fn an_ordinary_audience_has_no_part_in_the_risk_and_anger_is_no_reach() {
        let mut fresh = Cascade::default();
        fresh.author("a", Some(TYPICAL_FOLLOWERS), EventTime::from_millis(0));
        let e = Engagement::new(EngagementKind::Reshare, None, Some(0));
        (1..30).for_each(|s| fresh.engage(&e, EventTime::from_millis(s * 1000)));
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
