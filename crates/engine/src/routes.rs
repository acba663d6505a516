//! Which routes of the policy a conversation is on, and the numbers that their conditions ask for.

use firewatch_domain::{Level, RouteMatch};
use firewatch_escalation::{Facts, NumericFact, Policy, Route};
use firewatch_scoring::{Assessment, Cascade, TextPrediction};
use serde::{Deserialize, Serialize};

/// Routes, each with the highest level that was reached. A route is kept as a hash of its name, since there are
/// millions of conversations; [`Policy`] has no two routes of the same hash.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct RouteLevels(Vec<(u32, Level)>);

impl RouteLevels {
    /// No route.
    pub const NONE: Self = Self(Vec::new());

    /// Whether it is on none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn level(&self, route: &Route) -> Option<Level> {
        self.0.iter().find(|(id, _)| *id == route.id).map(|(_, level)| *level)
    }

    /// The routes by these facts, if they differ: a new one, a higher level, or one that has ended.
    pub fn evaluate(&self, facts: &Facts<'_>, policy: &Policy) -> Option<Vec<RouteMatch>> {
        let mut changed = false;
        let (mut matches, mut known_count) = (Vec::new(), 0);
        for (name, route) in &policy.routes {
            let before = self.level(route);
            known_count += usize::from(before.is_some());
            let (level, reason) = match (before, route.highest_level(facts)) {
                (None, None) => continue,
                (before, Some((level, condition))) if before.is_none_or(|before| level > before) => {
                    changed = true;
                    let description = condition.describe(facts);
                    (level, format!("{description}: {level} on the policy's route {name}"))
                }
                (Some(level), reached) if reached.is_some() || route.still_holds(facts) => {
                    (level, String::new())
                }
                _ => {
                    changed = true;
                    continue;
                }
            };
            matches.push(RouteMatch {
                route: name.clone(),
                level,
                reason,
                group: route.group_key(facts, level),
            });
        }
        // What the policy has no more has ended.
        changed |= known_count < self.0.len();
        changed.then_some(matches)
    }

    /// Takes over what has changed; tells all routes.
    pub fn apply(&mut self, changed: Option<Vec<RouteMatch>>, policy: &Policy) -> Vec<RouteMatch> {
        if let Some(matches) = changed {
            let ids = matches.iter().filter_map(|m| Some((policy.routes.get(&m.route)?.id, m.level)));
            self.0 = ids.collect();
            return matches;
        }
        let same = policy.routes.iter().filter_map(|(name, route)| {
            Some(RouteMatch {
                route: name.clone(),
                level: self.level(route)?,
                reason: String::new(),
                group: None,
            })
        });
        same.collect()
    }
}

/// Fills in what was read.
pub(crate) fn fill_text_facts(numbers: &mut [f64], prediction: Option<TextPrediction>, reply_complaint: f32) {
    numbers[NumericFact::Negative as usize] =
        prediction.map_or(0.0, |prediction| f64::from(prediction.sentiment.negative));
    numbers[NumericFact::Arousal as usize] =
        prediction.map_or(0.0, |prediction| f64::from(prediction.arousal));
    numbers[NumericFact::ReplyComplaint as usize] = f64::from(reply_complaint);
}

/// Fills in how far it has spread and will; without an assessment, for a post of the brand's own, only how far it has.
pub(crate) fn fill_spread_facts(numbers: &mut [f64], cascade: &Cascade, assessment: Option<&Assessment>) {
    let mut set = |number: NumericFact, value: f64| numbers[number as usize] = value;
    if let Some(a) = assessment {
        set(NumericFact::Risk, a.risk.value());
        set(NumericFact::RiskLow, a.low.value());
        set(NumericFact::RiskHigh, a.high.value());
        set(NumericFact::Complaint, a.complaint);
        set(NumericFact::Viral, a.viral);
        set(NumericFact::ToCome, a.day_forecast.interval().point.round());
    }
    let reach = assessment.map_or_else(|| cascade.audience().reach(), |a| a.reach);
    set(NumericFact::Reach, reach.estimate as f64);
    set(NumericFact::ReachLow, reach.low as f64);
    set(NumericFact::ReachHigh, reach.high as f64);
    let pace = cascade.velocity();
    set(NumericFact::PerMinute1, pace.per_minute_1.into());
    set(NumericFact::PerMinute5, pace.per_minute_5.into());
    set(NumericFact::PerMinute60, pace.per_minute_60.into());
    set(NumericFact::Discounted5, pace.discounted_5.into());
    set(NumericFact::Trend, pace.trend.into());
    set(NumericFact::Minutes, cascade.age().as_secs() / 60.0);
    set(NumericFact::Followers, cascade.author_followers().unwrap_or_default() as f64);
    let counts = cascade.counts();
    set(NumericFact::Reshares, counts.reshares as f64);
    set(NumericFact::Replies, counts.replies as f64);
    set(NumericFact::Quotes, counts.quotes as f64);
    set(NumericFact::Likes, counts.likes as f64);
}
