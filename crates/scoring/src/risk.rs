//! The risk: P(complaint) times P(viral), in points of 0..100, with parts that add up to it.
//!
//! The two are taken as independent given what is known; no data set holds both. The points are shared out
//! by Shapley's value of the two factors (Shapley 1953), and the viral factor's share among its features by
//! Aumann and Shapley's (1974; "integrated gradients", Sundararajan et al. 2017): along the straight line from
//! the baseline, feature i of a logistic function gets d_i (v - v0)/(z - z0), d_i its change of log-odds.
//! The baseline is a post of unknown mood that an ordinary account has just written.

use std::borrow::Cow;

use firewatch_domain::{Contribution, EventTime, Reach, Tenths};

use crate::virality::N;
use crate::{Cascade, FEATURES, PLAUSIBLE_FOLLOWERS, Reading, TYPICAL_FOLLOWERS, ViralityModel, features};

/// Log-odds of a conversation that has crossed the bar already.
const CROSSED: f64 = 6.9;
/// P(complaint) of a post that cannot be read, at its mildest and at its worst.
const UNREAD: (f64, f64) = (0.05, 0.9);

/// The brand's viral bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Reshares and quotes at which a conversation counts as viral.
    pub reshares: u64,
}

/// A conversation's risk and what it is made of.
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
    /// P(crosses the bar within the horizon).
    pub viral: f64,
    /// Points that add up to the risk.
    pub contributions: Vec<Contribution>,
    /// The reach it was computed from.
    pub reach: Reach,
}

/// Assesses a conversation. `reading` is what was read in its root post, none while that is unseen; `prior` is
/// P(complaint) of a post nothing is known of.
#[must_use]
pub fn assess(
    model: &ViralityModel,
    cascade: &Cascade,
    reading: Option<&Reading>,
    bar: Bar,
    prior: f64,
) -> Assessment {
    let reach = cascade.audience().reach();
    let (complaint, mildest, worst) = complaint(reading, prior);

    let look = |followers: u64| features(cascade, bar.reshares, cascade.audience().mean(followers));
    let x = look(TYPICAL_FOLLOWERS);
    let crossed = cascade.spread() >= bar.reshares;
    let viral = |x: &[f64; N]| {
        let z = model.log_odds(x);
        if crossed { z.max(CROSSED) } else { z }
    };
    let z = viral(&x);
    let v = sigmoid(z);
    let bounds = [0, PLAUSIBLE_FOLLOWERS].map(|followers| sigmoid(viral(&look(followers))));
    let (v_low, v_high) = (v.min(bounds[0]).min(bounds[1]), v.max(bounds[0]).max(bounds[1]));

    let x0 = baseline(bar);
    let z0 = model.log_odds(&x0);
    let v0 = sigmoid(z0);
    let mut parts = vec![("base", 100.0 * prior * v0), ("words", 50.0 * (complaint - prior) * (v0 + v))];
    let slope = if (z - z0).abs() < 1e-9 { v * (1.0 - v) } else { (v - v0) / (z - z0) };
    let per_log_odds = 50.0 * (prior + complaint) * slope;
    let (now, then) = (model.parts(&x), model.parts(&x0));
    for (feature, (now, then)) in FEATURES.iter().zip(now.iter().zip(then)) {
        add(&mut parts, feature.part, (now - then) * per_log_odds);
    }
    // What crossing the bar adds beyond the model is the size's doing.
    add(&mut parts, "size", (z - model.log_odds(&x)) * per_log_odds);

    let risk = Tenths::round(100.0 * complaint * v);
    Assessment {
        risk,
        low: Tenths::round(100.0 * mildest * v_low).min(risk),
        high: Tenths::round(100.0 * worst * v_high).max(risk),
        complaint,
        viral: v,
        contributions: in_tenths(&parts, risk),
        reach,
    }
}

/// P(complaint) with its bounds.
fn complaint(reading: Option<&Reading>, prior: f64) -> (f64, f64, f64) {
    match reading.map(|r| &r.said) {
        Some(Ok(said)) => {
            let p = f64::from(said.complaint);
            (p, p, p)
        }
        _ => (prior, UNREAD.0.min(prior), UNREAD.1.max(prior)),
    }
}

/// The features of a post that an ordinary account has just written.
fn baseline(bar: Bar) -> [f64; N] {
    let mut cascade = Cascade::default();
    cascade.begin(EventTime::from_millis(0));
    features(&cascade, bar.reshares, TYPICAL_FOLLOWERS as f64)
}

fn add(parts: &mut Vec<(&'static str, f64)>, name: &'static str, points: f64) {
    match parts.iter_mut().find(|(n, _)| *n == name) {
        Some((_, sum)) => *sum += points,
        None => parts.push((name, points)),
    }
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

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

#[cfg(test)]
mod tests {
    use firewatch_domain::{Engagement, EngagementKind, Sentiment};

    use super::*;
    use crate::Said;

    const BAR: Bar = Bar { reshares: 500 };

    fn model() -> ViralityModel {
        ViralityModel::new(3.0, [-1.0, 1.2, 0.5, 0.2, 0.3])
    }

    fn angry() -> Reading {
        let sentiment = Sentiment { negative: 0.9, neutral: 0.08, positive: 0.02 };
        let said = Ok(Said { sentiment, complaint: 0.9, arousal: 0.7 });
        Reading { said, lang: "en".into(), evidence: vec![], topics: vec![], flags: vec![] }
    }

    fn spread(reshares: usize, followers: Option<u64>) -> Cascade {
        let mut cascade = Cascade::default();
        cascade.begin(EventTime::from_millis(0));
        cascade.author("a", followers);
        for i in 0..reshares {
            let e = Engagement { kind: EngagementKind::Reshare, actor: Some(i.to_string()), followers };
            cascade.engage(&e, EventTime::from_millis(i as i64 * 1000));
        }
        cascade
    }

    #[test]
    fn contributions_add_up_exactly() {
        for n in [0, 1, 10, 100, 499, 500, 5000] {
            for reading in [None, Some(angry())] {
                let a = assess(&model(), &spread(n, Some(100)), reading.as_ref(), BAR, 0.3);
                let sum: i32 = a.contributions.iter().map(|c| c.points.0).sum();
                assert_eq!(sum, a.risk.0, "{n}: {a:?}");
                assert!(a.low <= a.risk && a.risk <= a.high && a.risk.0 <= 1000);
            }
        }
    }

    #[test]
    fn crossing_the_bar_is_viral_and_said_to_be_size() {
        let a = assess(&model(), &spread(600, Some(100)), Some(&angry()), BAR, 0.3);
        assert!(a.viral > 0.99);
        let size = a.contributions.iter().find(|c| c.name == "size").unwrap();
        assert!(size.points.0 > 0);
    }

    #[test]
    fn what_is_unknown_widens_the_risk() {
        let width = |a: Assessment| a.high.0 - a.low.0;
        let told = assess(&model(), &spread(50, Some(100)), Some(&angry()), BAR, 0.3);
        let no_followers = assess(&model(), &spread(50, None), Some(&angry()), BAR, 0.3);
        let no_root = assess(&model(), &spread(50, Some(100)), None, BAR, 0.3);
        assert_eq!(width(told), 0);
        assert!(width(no_followers) > 0);
        assert!(width(no_root) > 0);
    }
}
