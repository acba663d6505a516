//! Which routes of the policy a conversation is on, and the numbers that their conditions ask for.

use firewatch_domain::{Level, RouteMatch};
use firewatch_escalation::{Facts, Number, Policy, Route};
use firewatch_scoring::{Assessment, Cascade, Said};
use serde::{Deserialize, Serialize};

/// Routes, each with the highest level that was reached. A route is kept as a hash of its name, since there are
/// millions of conversations; [`Policy`] has no two routes of the same hash.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Routes(Vec<(u32, Level)>);

impl Routes {
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
    pub fn now(&self, facts: &Facts<'_>, policy: &Policy) -> Option<Vec<RouteMatch>> {
        let mut changed = false;
        let (mut now, mut known) = (Vec::new(), 0);
        for (name, route) in &policy.routes {
            let before = self.level(route);
            known += usize::from(before.is_some());
            let (level, reason) = match (before, route.reached(facts)) {
                (None, None) => continue,
                (before, Some((level, condition))) if before.is_none_or(|before| level > before) => {
                    changed = true;
                    let said = condition.said(facts);
                    (level, format!("{said}: {level} on the policy's route {name}"))
                }
                (Some(level), reached) if reached.is_some() || route.lasts(facts) => (level, String::new()),
                _ => {
                    changed = true;
                    continue;
                }
            };
            now.push(RouteMatch { route: name.clone(), level, reason, group: route.group(facts, level) });
        }
        // What the policy has no more has ended.
        changed |= known < self.0.len();
        changed.then_some(now)
    }

    /// Takes over what has changed; tells all routes.
    pub fn take(&mut self, changed: Option<Vec<RouteMatch>>, policy: &Policy) -> Vec<RouteMatch> {
        if let Some(now) = changed {
            let ids = now.iter().filter_map(|m| Some((policy.routes.get(&m.route)?.id, m.level)));
            self.0 = ids.collect();
            return now;
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
pub(crate) fn words(to: &mut [f64], said: Option<Said>, reply_complaint: f32) {
    to[Number::Negative as usize] = said.map_or(0.0, |said| f64::from(said.sentiment.negative));
    to[Number::Arousal as usize] = said.map_or(0.0, |said| f64::from(said.arousal));
    to[Number::ReplyComplaint as usize] = f64::from(reply_complaint);
}

/// Fills in how far it has spread and will; without an assessment, for a post of the brand's own, only how far it has.
pub(crate) fn numbers(to: &mut [f64], cascade: &Cascade, assessment: Option<&Assessment>) {
    let mut set = |number: Number, value: f64| to[number as usize] = value;
    if let Some(a) = assessment {
        set(Number::Risk, a.risk.value());
        set(Number::RiskLow, a.low.value());
        set(Number::RiskHigh, a.high.value());
        set(Number::Complaint, a.complaint);
        set(Number::Viral, a.viral);
        set(Number::ToCome, a.day.interval().expected.round());
    }
    let reach = assessment.map_or_else(|| cascade.audience().reach(), |a| a.reach);
    set(Number::Reach, reach.estimate as f64);
    set(Number::ReachLow, reach.low as f64);
    set(Number::ReachHigh, reach.high as f64);
    let pace = cascade.velocity();
    set(Number::PerMinute1, pace.per_minute_1.into());
    set(Number::PerMinute5, pace.per_minute_5.into());
    set(Number::PerMinute60, pace.per_minute_60.into());
    set(Number::Discounted5, pace.discounted_5.into());
    set(Number::Trend, pace.trend.into());
    set(Number::Minutes, cascade.age().as_secs() / 60.0);
    set(Number::Followers, cascade.author_followers().unwrap_or_default() as f64);
    let counts = cascade.counts();
    set(Number::Reshares, counts.reshares as f64);
    set(Number::Replies, counts.replies as f64);
    set(Number::Quotes, counts.quotes as f64);
    set(Number::Likes, counts.likes as f64);
}
