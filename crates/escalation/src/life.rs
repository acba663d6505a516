//! The life of one escalation: which change may follow which, and the steps that are told.

use firewatch_domain::{ActionKind, EscalationState, EventTime, FlagKind, Level};
use serde::{Deserialize, Serialize};

use crate::PrRoute;

/// Where an escalation stands. An escalation that ended may open again as a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// When what it is about was posted or first heard of; part of its name, as a conversation that is heard of again after
    /// it was over has another life. None for a storm, whose own name tells.
    pub began: Option<EventTime>,
    /// How many times one was opened for this conversation and team, this one included.
    pub round: u32,
    /// Changes told since it was opened.
    pub step: u32,
    /// Where it stands.
    pub state: EscalationState,
    /// The highest level told.
    pub level: Level,
    /// Since when the risk has been low enough to end it.
    calm_since: Option<EventTime>,
}

/// A step to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Why, in words.
    pub reason: String,
}

/// What was found in a conversation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// The risk, 0..100.
    pub risk: f64,
    /// Harm that its first post speaks of, the gravest if several.
    pub harm: Option<FlagKind>,
    /// When it was posted, or first heard of.
    pub began: Option<EventTime>,
    /// When.
    pub at: EventTime,
}

impl Found {
    /// The level that it reaches, and why.
    fn reached(&self, route: &PrRoute) -> Option<(Level, Step)> {
        let risk = self.risk;
        let by_risk =
            route.thresholds.iter().rev().find(|(_, least)| risk >= *least).map(|(level, least)| {
                let reason = format!("risk {risk:.1} reached {least}, the policy's threshold for {level}");
                (*level, Step { reason })
            });
        let harm = self.harm.filter(|kind| route.harms.contains(kind)).zip(route.harm_floor);
        let by_harm = harm.map(|(kind, level)| {
            let reason = format!("it {}: {level} at least, whatever its reach", kind.in_words());
            (level, Step { reason })
        });
        // Of the same level, the risk is what is told.
        match (by_risk, by_harm) {
            (Some(risk), Some(harm)) => Some(if harm.0 > risk.0 { harm } else { risk }),
            (risk, harm) => risk.or(harm),
        }
    }
}

impl Life {
    /// A first escalation of this level.
    #[must_use]
    pub fn open(level: Level, began: Option<EventTime>) -> Self {
        Self { began, round: 1, step: 0, state: EscalationState::Open, level, calm_since: None }
    }

    /// Takes what was found: opens, raises, or ends after a calm. Between the threshold and the margin below it nothing
    /// happens, so a risk that wobbles on the line does not flap. Harm does not calm down: a person ends it.
    pub fn decide(life: &mut Option<Self>, found: Found, route: &PrRoute) -> Option<Step> {
        match (life.as_mut(), found.reached(route)) {
            (None, None) => None,
            (None, Some((level, step))) => {
                *life = Some(Self::open(level, found.began));
                Some(step)
            }
            (Some(old), Some((level, step))) if old.state.is_final() => {
                // What a person closed stays closed unless it gets worse.
                if level <= old.level {
                    return None;
                }
                let round = old.round + 1;
                *life = Some(Self { round, ..Self::open(level, old.began) });
                Some(step)
            }
            (Some(open), Some((level, step))) => {
                open.calm_since = None;
                if level <= open.level {
                    return None;
                }
                open.level = level;
                open.step += 1;
                Some(step)
            }
            (Some(open), None) if !open.state.is_final() => open.calm(found.risk, found.at, route),
            (Some(_), None) => None,
        }
    }

    fn calm(&mut self, risk: f64, at: EventTime, route: &PrRoute) -> Option<Step> {
        let clear = route.thresholds[0].1 - route.clear_margin;
        if risk >= clear {
            self.calm_since = None;
            return None;
        }
        let since = *self.calm_since.get_or_insert(at);
        if at - since < route.clear_after {
            return None;
        }
        self.move_to(
            EscalationState::Resolved,
            format!("the risk has stayed below {clear} for {}", at - since),
        )
    }

    /// Takes what a person did.
    pub fn act(&mut self, kind: ActionKind, by: &str) -> Option<Step> {
        let state = kind.leads_to()?;
        self.move_to(state, format!("{state} by {by}"))
    }

    /// Moves on to a state, when it may follow the present one.
    pub fn move_to(&mut self, state: EscalationState, reason: String) -> Option<Step> {
        use EscalationState::{Acknowledged, Answered, Expired, HandedOff, Open, Resolved};
        let allowed = match (self.state, state) {
            (Resolved | Expired, _) | (_, Open) => false,
            (Open, Acknowledged) | (Open | Acknowledged, Answered) => true,
            (from, HandedOff) => from != HandedOff,
            (_, Resolved | Expired) => true,
            _ => false,
        };
        if !allowed {
            return None;
        }
        self.state = state;
        self.step += 1;
        Some(Step { reason })
    }
}

#[cfg(test)]
mod tests {
    use firewatch_domain::Duration;

    use super::*;
    use crate::Policy;

    fn route() -> PrRoute {
        Policy::parse("p", "[brands.a]\n").unwrap().pr
    }

    fn minute(m: i64) -> EventTime {
        EventTime::from_millis(0) + Duration::from_mins(m)
    }

    fn found(m: i64, risk: f64) -> Found {
        Found { risk, harm: None, began: None, at: minute(m) }
    }

    fn steps(risks: &[(i64, f64)]) -> Vec<(i64, u32, u32, Level)> {
        let mut life = None;
        let told = risks.iter().filter_map(|(m, risk)| {
            Life::decide(&mut life, found(*m, *risk), &route())?;
            life.as_ref().map(|l: &Life| (*m, l.round, l.step, l.level))
        });
        told.collect()
    }

    #[test]
    fn a_risk_that_wobbles_on_the_line_is_told_once() {
        let wobble: Vec<(i64, f64)> = (0..60).map(|m| (m, if m % 2 == 0 { 15.1 } else { 14.9 })).collect();
        assert_eq!(steps(&wobble), [(0, 1, 0, Level::Medium)]);
    }

    #[test]
    fn it_rises_level_by_level_and_falls_only_after_a_calm() {
        let told =
            steps(&[(0, 16.0), (1, 80.0), (2, 50.0), (3, 9.0), (9, 9.0), (13, 9.0), (14, 16.0), (15, 71.0)]);
        assert_eq!(told, [(0, 1, 0, Level::Medium), (1, 1, 1, Level::Critical), (13, 1, 2, Level::Critical)]);
    }

    #[test]
    fn what_a_person_resolved_opens_again_only_when_worse() {
        let mut life = None;
        assert!(Life::decide(&mut life, found(0, 20.0), &route()).is_some());
        assert!(life.as_mut().unwrap().act(ActionKind::Resolve, "kim").is_some());
        assert!(Life::decide(&mut life, found(1, 30.0), &route()).is_none());
        assert!(Life::decide(&mut life, found(2, 40.0), &route()).is_some());
        assert_eq!(life.map(|l| (l.round, l.step, l.level)), Some((2, 0, Level::High)));
    }

    #[test]
    fn harm_has_a_least_level_whatever_the_risk_and_does_not_calm_down() {
        let harmed = |m, risk, harm| Found { harm: Some(harm), ..found(m, risk) };
        let mut life = None;
        assert!(Life::decide(&mut life, harmed(0, 1.0, FlagKind::ChurnThreat), &route()).is_none());
        let step = Life::decide(&mut life, harmed(1, 1.0, FlagKind::SafetyHarm), &route()).unwrap();
        assert_eq!(
            step.reason,
            "it speaks of danger to somebody's health or safety: medium at least, whatever its reach"
        );
        assert!(
            (2..60)
                .all(|m| Life::decide(&mut life, harmed(m, 1.0, FlagKind::SafetyHarm), &route()).is_none())
        );
        assert_eq!(life.as_ref().map(|l| (l.state, l.level)), Some((EscalationState::Open, Level::Medium)));
        let step = Life::decide(&mut life, harmed(61, 80.0, FlagKind::SafetyHarm), &route()).unwrap();
        assert!(step.reason.starts_with("risk 80.0"), "{step:?}");
        let none = Policy::parse("p", "[brands.a]\n[pr]\nharm_floor = \"none\"\n").unwrap().pr;
        assert!(Life::decide(&mut None, harmed(0, 1.0, FlagKind::SafetyHarm), &none).is_none());
    }

    #[test]
    fn states_follow_in_order() {
        let mut life = Life::open(Level::Low, None);
        assert!(life.act(ActionKind::Acknowledge, "kim").is_some());
        assert!(life.act(ActionKind::Acknowledge, "lee").is_none(), "taken already");
        assert!(life.act(ActionKind::HandOff, "kim").is_some());
        assert!(life.act(ActionKind::Reply, "kim").is_none(), "the talk is private by now");
        assert!(life.act(ActionKind::Resolve, "kim").is_some());
        assert!(life.act(ActionKind::HandOff, "kim").is_none());
        assert_eq!((life.state, life.step), (EscalationState::Resolved, 3));
    }
}
