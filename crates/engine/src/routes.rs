//! Evaluates which routes of the policy a conversation matches, and fills in the facts their conditions use.

use firewatch_domain::{Level, RouteMatch};
use firewatch_escalation::{Facts, NumericFact, Policy, Route};
use firewatch_scoring::{Assessment, Cascade, TextPrediction};
use serde::{Deserialize, Serialize};

/// The routes that a conversation matches, each with the highest level that holds. Stores a hash of each
/// route's name to save memory, as bytes because postcard takes five bytes for most `u32` values; [`Policy`] has no
/// two routes with the same hash.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct RouteLevels(Vec<([u8; 4], Level)>);

impl RouteLevels {
    /// No route matches.
    pub const NONE: Self = Self(Vec::new());

    /// Whether the conversation matches no route.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn level(&self, route: &Route) -> Option<Level> {
        self.0.iter().find(|(id, _)| *id == route.id.to_le_bytes()).map(|(_, level)| *level)
    }

    /// Returns all matching routes if one is new, has another level or ended; `None` if nothing changed. While no
    /// level holds but the route does, its level stays.
    pub fn evaluate(&self, facts: &Facts<'_>, policy: &Policy) -> Option<Vec<RouteMatch>> {
        let mut changed = false;
        let (mut reached, mut still_in_policy) = (Vec::new(), 0);
        for (name, route) in &policy.routes {
            let before = self.level(route);
            still_in_policy += usize::from(before.is_some());
            match (before, route.highest_level(facts)) {
                (None, None) => {}
                (before, Some((level, condition))) if before != Some(level) => {
                    changed = true;
                    reached.push((name, route, level, Some(condition)));
                }
                (Some(level), now) if now.is_some() || route.still_holds(facts) => {
                    reached.push((name, route, level, None));
                }
                _ => changed = true,
            }
        }
        // A route removed from the policy has ended.
        changed |= still_in_policy < self.0.len();
        changed.then(|| {
            reached
                .into_iter()
                .map(|(name, route, level, condition)| RouteMatch {
                    route: name.clone(),
                    level,
                    reason: condition.map_or_else(String::new, |condition| {
                        format!("{}: {level} on the policy's route {name}", condition.describe(facts))
                    }),
                    group: route.group_key(facts, level),
                })
                .collect()
        })
    }

    /// Stores the matches if they changed, and returns all matching routes.
    pub fn apply(&mut self, changed: Option<Vec<RouteMatch>>, policy: &Policy) -> Vec<RouteMatch> {
        if let Some(matches) = changed {
            let ids =
                matches.iter().filter_map(|m| Some((policy.routes.get(&m.route)?.id.to_le_bytes(), m.level)));
            self.0 = ids.collect();
            return matches;
        }
        let unchanged = policy.routes.iter().filter_map(|(name, route)| {
            Some(RouteMatch {
                route: name.clone(),
                level: self.level(route)?,
                reason: String::new(),
                // The dispatcher reads the group only when a route begins to match, and has stored it since.
                group: None,
            })
        });
        unchanged.collect()
    }
}

/// Fills in the facts that the text models predict.
pub(crate) fn fill_text_facts(numbers: &mut [f64], prediction: Option<TextPrediction>, reply_complaint: f32) {
    numbers[NumericFact::Negative as usize] =
        prediction.map_or(0.0, |prediction| f64::from(prediction.sentiment.negative));
    numbers[NumericFact::Arousal as usize] =
        prediction.map_or(0.0, |prediction| f64::from(prediction.arousal));
    numbers[NumericFact::ReplyComplaint as usize] = f64::from(reply_complaint);
}

/// Fills in the facts of the spread so far, and with an assessment also those of the risk and the forecast.
/// A brand's own post has no assessment: its facts of risk, complaint and forecast keep their default, 0, and
/// its reach comes from the audience.
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
    // The five-minute rate in which each account counts once, and accounts with few followers count less.
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
